// What the agent tells of its node, over a kernel and an API server in memory: what it has observed, what fails, how long edits took.
//
// **Invariant:** what is written is read back from the API, never from the agent.
import assert from 'node:assert/strict'
import { release } from 'node:os'
import manifest from '../../../package.json' with { type: 'json' }
import type { NodeFailure } from '../../../src/crd/node-enforcement.ts'
import type { Policy } from '../../../src/model/policy.ts'
import { TABLE } from '../../../src/ruleset/skeleton.ts'
import { judgeNode, reportOf } from '../../../src/summary/node-report.ts'
import { hostInterface, ipBlock, node, pod, policy, port } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'
import { NodeWorld, OBJECTS, WEB } from '../../support/node-world.ts'

const one = (name: string, generation = 1, opened = 80, pods = 'app=web') => policy({ name, generation, pods, ingress: [{ ports: [port(opened)], peers: [ipBlock('10.9.0.0/24')] }] })
/** The kernel refuses port 6999. */
const REFUSED = 'tcp . 6999 '
const observed = (world: NodeWorld): string | undefined => world.status.observedResourceVersions?.['networkpolicies']
const committed = (world: NodeWorld): readonly string[] => (world.status.committed ?? []).map(({ uid, generation, latencyMs }) => `${uid} ${generation} ${latencyMs}`)

describe('the node status', () => {
  let world: NodeWorld
  const worlds: NodeWorld[] = []
  const started = async (before: NodeWorld | null = null, ...policies: readonly Policy[]): Promise<NodeWorld> => {
    const made = new NodeWorld(before)
    worlds.push(made)
    made.list(...policies)
    await made.rest()
    return made
  }
  beforeEach(async () => {
    world = await started()
  })
  afterEach(async () => {
    for (const each of worlds.splice(0)) await each.close()
  })

  it('is made once, with what the kernel holds', () => {
    assert.deepEqual(world.api.requests.map(({ method, path, query }) => `${method} ${path} ${query['fieldManager'] ?? ''}`), [`GET ${OBJECTS}/n1 `, `POST ${OBJECTS} picket-agent`, `PATCH ${OBJECTS}/n1/status picket-agent`])
    assert.deepEqual([world.status.counts?.pods, world.status.counts?.policies, observed(world)], [{ isolated: 0, open: 1, pending: 0 }, 0, '100'])
    assert.deepEqual(['Ready', 'Programmed', 'TableIntact'].map((type) => world.said(type)), ['True Enforcing', 'True Programmed', 'True ReadBack'])
    assert.deepEqual(world.written, ['written'])
    const { agentVersion, kernel, nftables, summary } = world.status
    assert.deepEqual([agentVersion, kernel, nftables, summary], [manifest.version, release(), 'fake', { pods: '0/1' }])
  })

  it('tells which revision the kernel holds and since when, and the table by its size and hash', async () => {
    const { ruleset: before, counts: small } = world.status
    await world.clock.advance(60_000)
    world.edit('110', one('a'))
    await world.turn()
    const { ruleset, counts, lastProgrammedTime } = world.status
    assert.equal(ruleset?.revision, world.world.committer.held)
    assert.notEqual(ruleset?.hash, before?.hash)
    assert.equal(lastProgrammedTime, `${new Date(world.clock.wallTime() - 1).toISOString().slice(0, 19)}Z`)
    assert.ok((counts?.rules ?? 0) > (small?.rules ?? 0) && (counts?.setElements ?? 0) > (small?.setElements ?? 0), JSON.stringify([small, counts]))
    assert.equal(counts?.policies, 1)
  })

  describe('observedResourceVersions', () => {
    it('are those of what is committed: not of what waits for a turn, or for the kernel', async () => {
      world.edit('110', one('a'))
      upsertElsewhere(world)
      await world.clock.advance(700_000)
      assert.equal(observed(world), '100', 'a look whether the object is there is no write')
      world.kernel.loseNextAnswer('dropped')
      await world.turn()
      assert.equal(observed(world), '100', 'nobody knows what the kernel holds')
      await world.clock.advance(10_000)
      assert.deepEqual([observed(world), committed(world).length], ['110', 1])
    })

    it('go on with a turn that changes nothing, but cause no write', async () => {
      const { writes } = world
      world.edit('120', one('elsewhere', 1, 80, 'app=other'))
      await world.rest()
      world.edit('121', one('elsewhere', 1, 80, 'app=other'))
      await world.rest()
      assert.deepEqual([world.writes, observed(world)], [writes, '100'])
      world.edit('122', one('a'))
      await world.rest()
      assert.deepEqual([world.writes, observed(world)], [writes + 1, '122'])
    })

    it('are not those of what arrives while it is searched for what the kernel refuses', async () => {
      world.kernel.refuseText(REFUSED)
      world.edit('120', one('a', 1, 6999))
      world.world.turn()
      world.edit('130', one('b', 1, 82))
      await world.clock.advance(1)
      assert.deepEqual([world.failures, observed(world)], [['NetworkPolicy default/a Quarantined'], '120'])
      await world.rest()
      assert.equal(observed(world), '130')
    })

    it('of a resource that is being listed anew stay; after a restore they go down, and that is written', async () => {
      world.edit('900', one('a'))
      await world.rest()
      delete world.versions['networkpolicies']
      world.say((feed) => upsert(feed, 'pod', pod({ name: 'new', node: 'n1', addresses: ['10.0.0.2'] })))
      await world.rest()
      assert.equal(observed(world), '900')
      world.versions['networkpolicies'] = '500'
      world.list(one('a'))
      await world.rest()
      assert.equal(observed(world), '500')
    })
  })

  describe('committed', () => {
    it("tells the time from an event's arrival to the kernel's acknowledgement", async () => {
      world.edit('110', one('a'))
      await world.clock.advance(30)
      await world.turn()
      assert.deepEqual(committed(world), ['policy/default/a 1 30'])
    })

    it('tells a generation once, of the first event of it, and no label of a policy', async () => {
      world.edit('110', one('a', 1))
      await world.clock.advance(5)
      world.edit('111', one('a', 2, 81))
      await world.clock.advance(7)
      world.edit('112', one('a', 2, 81))
      await world.rest()
      world.edit('113', one('a', 2, 81))
      await world.rest()
      assert.deepEqual(committed(world), ['policy/default/a 2 7'])
    })

    it('nothing of a list, of a policy without a pod here, or of one that a pod joins later; but those are written all the same', async () => {
      const { writes } = world
      world.list(one('a', 4), one('b', 1, 80, 'app=other'))
      world.versions['networkpolicies'] = '200'
      await world.rest()
      assert.deepEqual([committed(world), observed(world), world.writes], [[], '200', writes + 1])
      world.list(one('a', 5), one('b', 1, 80, 'app=other'))
      world.versions['networkpolicies'] = '210'
      await world.rest()
      assert.deepEqual([committed(world), observed(world), world.writes], [[], '210', writes + 2], 'another generation, of which no count tells')
      world.edit('220', one('b', 2, 80, 'app=other'))
      world.say((feed) => remove(feed, 'pod', WEB))
      await world.rest()
      world.say((feed) => upsert(feed, 'pod', { ...WEB, uid: 'other', labels: new Map([['app', 'other']]) }))
      await world.rest()
      assert.deepEqual([committed(world), observed(world)], [[], '220'])
    })
  })

  describe('failures', () => {
    it('name what the kernel refuses in the write that has observed it, since when, until it is mended', async () => {
      world.edit('110', one('a'), one('good', 1, 82))
      await world.rest()
      world.kernel.refuseText(REFUSED)
      const { writes } = world
      world.edit('120', one('a', 2, 6999))
      await world.turn()
      const [failure] = world.status.failures as readonly [NodeFailure]
      assert.deepEqual([world.failures, observed(world), world.writes], [['NetworkPolicy default/a Quarantined'], '120', writes + 1])
      assert.match(failure.message, /^spec\.ingress: the kernel refused it: /)
      assert.equal(world.said('Programmed'), 'False Quarantined')
      assert.equal(world.said('Ready'), 'True Enforcing', 'it costs only itself')
      assert.ok(!committed(world).some((text) => text.includes('/a 2 ')), 'what the kernel refuses is not committed')
      const state = (name: string, generation: number): string => judgeNode(one(name), { uid: one(name).uid, generation, resourceVersion: '120' }, reportOf('n1', 'x', world.status), true).state
      assert.deepEqual([state('a', 2), state('good', 1)], ['failed', 'programmed'])
      world.edit('125', one('another', 1, 83))
      await world.rest()
      assert.equal(world.status.failures?.[0]?.since, failure.since)
      world.edit('130', one('a', 3, 80))
      await world.rest()
      assert.deepEqual([world.failures, observed(world), world.said('Programmed')], [[], '130', 'True Programmed'])
    })

    it('what the kernel takes after all is committed then, with the whole time', async () => {
      world.kernel.refuseText(REFUSED)
      world.edit('120', one('a', 2, 6999))
      await world.rest()
      assert.deepEqual([committed(world), world.failures.length], [[], 1])
      world.kernel.acceptText(REFUSED)
      await world.clock.advance(70_000)
      const [latency = 0] = (world.status.committed ?? []).map(({ latencyMs }) => latencyMs)
      assert.ok(latency > 10_000 && latency < 81_000, `${latency} ms`)
      assert.deepEqual(world.failures, [])
    })

    it('do not end with a commit whose answer is lost', async () => {
      world.kernel.refuseText(REFUSED)
      world.edit('120', one('a', 2, 6999))
      await world.rest()
      const holds = (): boolean => [...(world.kernel.state(TABLE)?.sets.values() ?? [])].some(({ elements }) => elements.has('tcp . 6999'))
      const told: string[] = []
      world.api.onChange = (_, { status }) => {
        const { failures = [] } = status as NodeWorld['status']
        told.push(`${holds() ? 'holds' : 'lacks'} ${failures.map(({ reason }) => reason).join()}`)
      }
      world.kernel.acceptText(REFUSED)
      world.kernel.loseNextAnswer('dropped')
      await world.clock.advance(200_000)
      assert.deepEqual(told.filter((text) => text === 'lacks '), [], told.join('; '))
      assert.equal(told.at(-1), 'holds ')
    })

    it('are noticed while the API server is away, so that the first write afterwards has those that a lost answer hides', async () => {
      // An agent that has read nothing of its object yet: there is no status to compare with.
      world.api.fate = () => ({ status: 500 })
      const again = await started(world, one('web', 1, 2001))
      again.kernel.refuseText(REFUSED)
      again.edit('102', one('web', 2, 6999))
      await again.turn()
      again.kernel.acceptText(REFUSED)
      again.kernel.loseNextAnswer('dropped')
      const read = again.kernel.readBack.bind(again.kernel)
      let isAway = true
      again.kernel.readBack = (table) => (isAway ? Promise.resolve({ kind: 'failed', message: 'no answer' }) : read(table))
      await again.clock.advance(1_500)
      assert.deepEqual(again.problems.of('kernel').map(({ code }) => code), ['KernelUnknown'])
      const told: string[] = []
      again.api.onChange = (_, { status }) => {
        const { observedResourceVersions, failures = [] } = (status ?? {}) as NodeWorld['status']
        if (observedResourceVersions !== undefined) told.push(`${observedResourceVersions['networkpolicies'] ?? ''} ${failures.map(({ ref }) => ref.name).join()}`)
      }
      again.api.fate = () => 'usual'
      await again.clock.advance(60_000)
      assert.equal(told[0], '102 web', told.join('; '))
      isAway = false
      await again.clock.advance(60_000)
      assert.deepEqual([observed(again), again.failures], ['102', []])
    })
    it('are those that wait, where the kernel refuses whoever is closed; new pods are pending, and nothing more is observed', async () => {
      world.edit('110', one('a'), one('b', 1, 82, 'app=other'))
      await world.rest()
      world.kernel.refuseText('add')
      world.edit('120', one('a', 2, 81))
      world.say((feed) => {
        upsert(feed, 'pod', pod({ name: 'new', node: 'n1', addresses: ['10.0.0.2'], labels: { app: 'web' } }))
        upsert(feed, 'interface', hostInterface({ index: 11, name: 'veth1', hostRoutes: ['10.0.0.2'] }))
      })
      await world.rest()
      assert.deepEqual([world.failures, observed(world)], [['NetworkPolicy default/a CommitRefused'], '110'])
      assert.deepEqual(world.status.counts?.pods, { isolated: 1, open: 0, pending: 1 })
      assert.deepEqual([world.said('Programmed'), world.said('Ready')], ['False CommitRefused', 'False NotProgrammed'])
      world.kernel.acceptText('add')
      await world.clock.advance(60_000)
      assert.deepEqual([world.failures, observed(world), world.status.counts?.pods, world.said('Ready')], [[], '120', { isolated: 2, open: 0, pending: 0 }, 'True Enforcing'])
    })

    it('are the policies of a pod that nothing leads to, where that lasts and the pod is not ending', async () => {
      world.edit('110', one('a'), one('b', 1, 82, 'app=other'))
      await world.rest()
      world.say((feed) => remove(feed, 'interface', hostInterface({ index: 10 })))
      await world.turn()
      await world.clock.advance(2_000)
      assert.deepEqual(world.failures, [])
      await world.clock.advance(5_000)
      assert.deepEqual([world.failures, world.said('Ready')], [['NetworkPolicy default/a NotEnforced'], 'False NotEnforced'])
      assert.match(world.status.failures?.[0]?.message ?? '', /^Pod default\/web, status\.podIPs: /)
      world.say((feed) => upsert(feed, 'pod', { ...WEB, terminating: true }))
      await world.rest()
      assert.deepEqual(world.failures, [])
    })

    it('are all policies of the node where packets go past the table', async () => {
      world.edit('110', one('a'), one('b', 1, 82, 'app=other'))
      await world.rest()
      world.problems.set('foreign', [{ code: 'NotEnforced', severity: 'error', object: 'flowtable f of table ip x', message: 'it offloads veth0' }])
      await world.clock.advance(10_000)
      assert.deepEqual(world.failures, ['NetworkPolicy default/a NotEnforced'])
      world.problems.set('foreign', [])
      await world.clock.advance(10_000)
      assert.deepEqual(world.failures, [])
    })

    it('are no hints, and none of policies without a pod here', async () => {
      const bad = (name: string, severity: 'error' | 'warning', row = one(name)) => world.say((feed) => feed.push({ verb: 'upsert', kind: 'policy', key: row.uid, decoded: { kind: severity === 'error' ? 'bad' : 'good', row, strict: row, problems: [{ code: 'InvalidField', severity, object: `NetworkPolicy default/${name}`, field: 'spec.x', message: 'no' }] } as never }))
      bad('hint', 'warning')
      bad('far', 'error', one('far', 1, 80, 'app=other'))
      bad('near', 'error')
      await world.rest()
      assert.deepEqual(world.failures, ['NetworkPolicy default/near InvalidField'])
    })
  })

  it('TableIntact is what the packets show; before the first round it is what was said last', async () => {
    const tell = async (result: 'pending' | 'ok' | 'leaked' | 'blocked'): Promise<string> => {
      world.canary = { result, since: 0, lastRound: 0, message: 'as seen' }
      world.problems.set('canary', [])
      await world.clock.advance(10_000)
      return `${world.said('TableIntact')}; ${world.said('Ready')}`
    }
    assert.equal(await tell('pending'), 'True ReadBack; True Enforcing')
    assert.equal(await tell('ok'), 'True PacketsProve; True Enforcing')
    assert.equal(await tell('leaked'), 'False PacketsLeaked; False TableNotIntact')
    assert.equal(await tell('blocked'), 'Unknown NothingProven; True Enforcing')
  })

  it('an agent that is started again writes nothing where nothing differs, and keeps times, latencies and beginnings', async () => {
    world.edit('110', one('a'))
    await world.rest()
    world.kernel.refuseText(REFUSED)
    world.edit('120', one('b', 2, 6999))
    await world.rest()
    await world.clock.advance(100_000)
    const { status, writes } = world
    await world.close()
    const next = await started(world, one('a'), one('b', 2, 6999))
    assert.equal(next.writes, writes)
    next.edit('130', one('c', 1, 85))
    await next.rest()
    assert.equal(next.writes, writes + 1)
    assert.deepEqual([next.status.failures, next.status.conditions, next.status.committed?.slice(0, -1)], [status.failures, status.conditions, status.committed])
  })

  it('an agent that was away while a policy was edited writes what it has observed, though it knows no latency', async () => {
    world.edit('110', one('a'))
    await world.rest()
    const { writes } = world
    await world.close()
    world.versions['networkpolicies'] = '130'
    // The kernel's rules are the same: only the generation tells.
    const next = await started(world, one('a', 2))
    assert.deepEqual([next.writes, observed(next)], [writes + 1, '130'])
    await next.close()
    next.versions['networkpolicies'] = '140'
    const last = await started(next, one('a', 2))
    assert.deepEqual([last.writes, observed(last)], [writes + 1, '130'])
  })

  it("keeps the operator's condition, and writes on what it wrote", async () => {
    const object = world.object as NonNullable<NodeWorld['object']>
    const reporting = { type: 'Reporting', status: 'True', reason: 'AgentReady', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }
    const { conditions = [] } = world.status
    world.api.put(OBJECTS, { ...object, status: { ...world.status, conditions: [...conditions, reporting] } } as typeof object)
    const asked = world.api.requests.length
    const { uid, resourceVersion } = world.object?.metadata ?? {}
    world.edit('110', one('a'))
    await world.rest()
    const requests = world.api.requests.slice(asked)
    assert.deepEqual(requests.map(({ method }) => method), ['PATCH', 'GET', 'PATCH'], 'refused, read anew, and written on that')
    const { metadata } = JSON.parse(requests[2]?.body ?? '') as { readonly metadata: unknown }
    assert.deepEqual(metadata, { name: 'n1', uid, resourceVersion })
    assert.deepEqual([world.said('Reporting'), world.said('Ready'), committed(world).length], ['True AgentReady', 'True Enforcing', 1])
    assert.deepEqual(world.written, ['written', 'written'], 'a conflict on the way is no failure')
  })

  it('costs what this node has, whatever the cluster holds', async () => {
    const far = Array.from({ length: 2_000 }, (_, i) => policy({ namespace: `ns${i % 50}`, name: `p${i}`, generation: 1 }))
    world.edit('110', one('a'), ...far)
    await world.rest()
    const { store } = world.world.turns
    world.edit('120', one('a', 2, 81))
    world.world.turn()
    const before = store.rowsTouched
    await world.turn()
    await world.clock.advance(10_000)
    assert.deepEqual(committed(world).length, 2)
    assert.ok(store.rowsTouched - before < 20, `${store.rowsTouched - before} rows`)
  })

  it('a Node that the API does not know is told as a problem, until it is there', async () => {
    world.say((feed) => remove(feed, 'node', node({ name: 'n1' })))
    await world.rest()
    assert.match(world.problems.of('node-status')[0]?.message ?? '', /the API has no Node n1/)
    world.say((feed) => upsert(feed, 'node', node({ name: 'n1' })))
    world.edit('110', one('a'))
    await world.rest()
    assert.deepEqual([world.problems.of('node-status'), committed(world).length], [[], 1])
  })

  it('of a Node that is made anew the old object is waited for, and a new one made', async () => {
    world.say((feed) => {
      remove(feed, 'node', node({ name: 'n1' }))
      upsert(feed, 'node', node({ name: 'n1', uid: 'again' }))
    })
    const { uid } = world.object?.metadata ?? {}
    await world.turn()
    await world.clock.advance(2_000)
    assert.deepEqual([world.object?.metadata.uid, world.problems.of('node-status')], [uid, []], 'it is not the agent that deletes')
    await world.clock.advance(120_000)
    assert.match(world.problems.of('node-status')[0]?.message ?? '', /owned by a Node of this name with UID node\/n1, which is gone/)
    assert.equal(world.writes, 1)
    world.api.remove(OBJECTS, '/n1')
    await world.clock.advance(61_000)
    assert.notEqual(world.object?.metadata.uid, uid)
    const owners = (world.object?.metadata['ownerReferences'] ?? []) as readonly { readonly uid: string }[]
    assert.deepEqual([owners[0]?.uid, world.said('Ready'), world.problems.of('node-status')], ['again', 'True Enforcing', []])
  })

  it('an object that somebody deleted is made anew, if nothing changes within a quarter of an hour', async () => {
    world.api.remove(OBJECTS, '/n1')
    await world.clock.advance(900_000)
    assert.equal(world.said('Ready'), 'True Enforcing')
  })

  it('an API server that fails is tried ever more seldom, as one problem, and told what is so then', async () => {
    world.api.fate = ({ at }) => ({ status: 503, body: { message: `busy at ${at}` } })
    world.edit('110', one('a'))
    await world.turn()
    const before = world.problems.of('node-status')
    const asked = world.api.requests.length
    await world.clock.advance(600_000)
    assert.equal(before.length, 1)
    assert.deepEqual(world.problems.of('node-status'), before)
    assert.ok(world.api.requests.length - asked < 25, `${world.api.requests.length - asked} requests in 10 minutes`)
    assert.equal(world.world.committer.held, world.world.turns.revision, 'the kernel holds it all the same')
    world.api.fate = () => 'usual'
    await world.clock.advance(61_000)
    assert.deepEqual([world.problems.of('node-status'), committed(world).length], [[], 1])
  })
})

function upsertElsewhere(world: NodeWorld): void {
  world.say((feed) => upsert(feed, 'pod', pod({ name: 'far', node: 'n2', addresses: ['10.7.0.1'] })))
}
