// A node says that it has observed a deletion, whenever it was one of a policy of a namespace with pods there: `picket status --wait` counts on it.
//
// **Invariant:** it is told after the kernel holds it, once, and for no other namespace.
import assert from 'node:assert/strict'
import { GonePolicies } from '../../../src/agent/gone-policies.ts'
import type { SourceEvent } from '../../../src/model/changes.ts'
import type { Policy } from '../../../src/model/policy.ts'
import { ipBlock, pod, policy, port } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'
import { NodeWorld } from '../../support/node-world.ts'

const upserted = (row: Policy): SourceEvent => ({ verb: 'upsert', kind: 'policy', key: row.uid, decoded: { kind: 'good', row, problems: [] } })
const listed = (...rows: readonly Policy[]): SourceEvent => ({ verb: 'replace', kind: 'policy', rows: new Map(rows.map((row) => [row.uid, { kind: 'good' as const, row, problems: [] }])) })
const deleted = ({ uid }: Policy): SourceEvent => ({ verb: 'delete', kind: 'policy', key: uid })

describe('policies that are gone', () => {
  const [here, there] = [policy({ namespace: 'here', name: 'a' }), policy({ namespace: 'there', name: 'b' })]
  let changes = 0
  const made = (): GonePolicies => {
    changes = 0
    const gone = new GonePolicies({ where: (_, value) => (value === 'n1/here' ? [pod()] : []) }, 'n1', () => (changes += 1))
    gone.arrived([listed(here, there)])
    gone.planned(1, true)
    gone.held(1)
    return gone
  }
  it('count once the kernel holds the revision without them', () => {
    const gone = made()
    gone.arrived([deleted(here)])
    gone.planned(2, false)
    gone.held(2)
    assert.equal(changes, 0, 'the turn did not take it in')
    gone.planned(3, true)
    assert.equal(changes, 0)
    gone.held(3)
    gone.held(4)
    assert.equal(changes, 1)
  })
  it('count at once where the turn changed nothing', () => {
    const gone = made()
    gone.arrived([deleted(here)])
    gone.planned(1, true)
    assert.equal(changes, 1)
  })
  it('count by their namespace, or where it is not known', () => {
    const gone = made()
    gone.arrived([deleted(there)])
    gone.planned(1, true)
    assert.equal(changes, 0)
    gone.arrived([{ verb: 'upsert', kind: 'policy', key: 'bad', decoded: { kind: 'bad', strict: null, problems: [] } }, { verb: 'delete', kind: 'policy', key: 'bad' }])
    gone.planned(1, true)
    assert.equal(changes, 1)
  })
  it('count when they came and went between two turns, and when a list lacks them', () => {
    const gone = made()
    const brief = policy({ namespace: 'here', name: 'brief' })
    gone.arrived([upserted(brief), deleted(brief)])
    gone.planned(1, true)
    gone.arrived([listed(there)])
    gone.planned(1, true)
    assert.deepEqual([changes, gone.here()], [2, []])
  })
})

describe('the node status tells that policies are gone', () => {
  let world: NodeWorld
  const one = (name: string, pods: string, namespace = 'default') => policy({ namespace, name, pods, ingress: [{ ports: [port(80)], peers: [ipBlock('10.9.0.0/24')] }] })
  const [local, elsewhere, foreign] = [one('local', 'app=web'), one('elsewhere', 'app=other'), one('foreign', 'app=web', 'far')]
  const observed = (): string | undefined => world.status.observedResourceVersions?.['networkpolicies']

  beforeEach(async () => {
    world = new NodeWorld()
    world.say((feed) => upsert(feed, 'pod', pod({ namespace: 'far', name: 'p', node: 'n2', addresses: ['10.0.0.9'] })))
    world.list(local, elsewhere, foreign)
    await world.rest()
  })
  afterEach(() => world.close())

  async function gone(version: string, row: Policy): Promise<void> {
    world.say((feed) => remove(feed, 'policy', row))
    world.versions['networkpolicies'] = version
    await world.rest()
  }

  it('of one that selected a pod here, and of one of its namespace that selected none', async () => {
    await gone('110', local)
    assert.equal(observed(), '110')
    await gone('120', elsewhere)
    assert.equal(observed(), '120')
  })
  it('in one write, after the kernel has let go of it', async () => {
    const { writes } = world
    world.kernel.loseNextAnswer('dropped')
    world.say((feed) => remove(feed, 'policy', local))
    world.versions['networkpolicies'] = '110'
    await world.turn()
    assert.equal(observed(), '100', 'nobody knows what the kernel holds')
    await world.clock.advance(20_000)
    assert.deepEqual([observed(), world.status.counts?.policies], ['110', 0])
    await world.clock.advance(20_000)
    const before = world.writes
    await gone('120', elsewhere)
    assert.equal(world.writes, before + 1)
    assert.ok(before > writes)
  })
  it('of one that came and went before a turn', async () => {
    const { writes } = world
    world.say((feed) => {
      upsert(feed, 'policy', one('brief', 'app=web'))
      remove(feed, 'policy', one('brief', 'app=web'))
    })
    world.versions['networkpolicies'] = '130'
    await world.rest()
    assert.deepEqual([observed(), world.writes], ['130', writes + 1])
  })
  it('not of one of a namespace without pods here', async () => {
    const { writes } = world
    await gone('110', foreign)
    assert.deepEqual([observed(), world.writes], ['100', writes])
  })
  it('an agent that was away meanwhile tells it when it starts', async () => {
    await world.close()
    const next = new NodeWorld(world)
    next.versions['networkpolicies'] = '150'
    next.list(local, foreign)
    await next.rest()
    assert.equal(next.status.observedResourceVersions?.['networkpolicies'], '150')
    await next.close()
  })
})
