// Which rule's counter stands where, and which counters the table has while profiles and pods come and go.
import assert from 'node:assert/strict'
import { Pipeline } from '../../support/pipeline.ts'
import type { Pod } from '../../../src/model/objects.ts'
import type { Peer, PolicyRule } from '../../../src/model/policy.ts'
import { hostInterface, ipBlock, pod, podPeer, podsOf, policy } from '../../support/builders.ts'
import { upsert } from '../../support/cluster-feed.ts'

const pods = (text: string): Peer => podPeer(podsOf('default', text))
const tcp = (first: number, last = first): Exclude<PolicyRule['ports'], 'all'>[number] => ({ kind: 'range', protocol: 'TCP', first, last })

class World {
  readonly pipeline = new Pipeline({ nodeName: 'n1', podAttachment: 'interface' })

  pod(name: string, number: number, labels: Readonly<Record<string, string>>, more: Partial<Pod> = {}): void {
    const addresses = [`10.0.0.${number}`, `fd00::${number}`]
    upsert(this.pipeline.turns.inbox, 'pod', pod({ name, addresses, node: 'n1', labels, ...more }))
    upsert(this.pipeline.turns.inbox, 'interface', hostInterface({ index: number, name: `veth${number}`, hostRoutes: addresses }))
  }

  policy(name: string, ingress: readonly Partial<PolicyRule>[], app = 'db', uid = `uid-${name}`): void {
    upsert(this.pipeline.turns.inbox, 'policy', policy({ uid, name, pods: `app=${app}`, ingress }))
  }

  /** Names without the hash. */
  counters(): readonly string[] {
    this.pipeline.turn()
    return [...this.pipeline.applied.counters.keys()].filter((name) => /^(passed|dropped)/.test(name)).map((name) => name.replace(/\/[0-9A-Z]{12}$/, '')).sort()
  }

  /** `PORTS: RULE`, of each place of a profile. */
  rules(): readonly string[] {
    this.pipeline.turn()
    const chains = [...this.pipeline.applied.chains.values()].filter(({ name }) => name.startsWith('ingress/'))
    return chains.flatMap(({ name, rules }) => rules.flatMap((rule) => {
      const [, policyName, index] = /counter name "passed\/default\/(\w+)\/ingress\/(\d)/.exec(rule) ?? []
      return policyName === undefined ? [] : [`${name.split('/')[3] ?? ''} ${/^(tcp dport \S+ )?/.exec(rule)?.[0] ?? ''}${policyName} ${index}`.trim()]
    })).sort()
  }
}

describe('counters of rules and pods', () => {
  it('are one for each rule, also where two have the same peers and other ports', () => {
    const world = new World()
    world.pod('db', 1, { app: 'db' })
    world.policy('p', [{ peers: [pods('app=web')], ports: [tcp(80)] }, { peers: [pods('app=web')], ports: [tcp(81)] }, { ports: [tcp(82)] }, { ports: [tcp(83)] }, { peers: [pods('app=web')], ports: [tcp(90, 99)] }])
    assert.deepEqual(world.counters().slice(1), [0, 1, 2, 3, 4].map((index) => `passed/default/p/ingress/${index}`))
    assert.deepEqual(world.rules(), ['tcp dport 90-99 p 4', 'tcp dport 90-99 p 4', 'tcp-80 p 0', 'tcp-80 p 0', 'tcp-81 p 1', 'tcp-81 p 1', 'tcp-82 p 2', 'tcp-83 p 3'])
  })
  it('count for the first rule of those that have the port and the peer', () => {
    const world = new World()
    world.pod('db', 1, { app: 'db' })
    world.policy('b', [{ peers: [pods('app=web')], ports: [tcp(80)] }])
    world.policy('a', [{ peers: [pods('app=web')], ports: [tcp(80)] }, { peers: [pods('app=web')], ports: [tcp(80)] }])
    assert.deepEqual(world.rules(), ['tcp-80 a 0', 'tcp-80 a 0'])
  })
  it('are of several rules where a union joins their peers, and of one where it has only its own', () => {
    const world = new World()
    world.pod('db', 1, { app: 'db' })
    const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => pods(`app=a${from + i}`))
    world.policy('p', [{ peers: many(0, 9), ports: [tcp(80)] }, { peers: many(0, 5), ports: [tcp(81)] }, { peers: many(5, 5), ports: [tcp(81)] }])
    assert.deepEqual(world.counters().slice(1), ['passed-several/default/p/ingress', 'passed/default/p/ingress/0'])
    world.policy('q', [{ peers: many(20, 2), ports: [tcp(81)] }])
    assert.deepEqual(world.counters().slice(1), ['passed-several/default/ingress', 'passed/default/p/ingress/0'])
  })
  it('are shared by profiles, stay while any has the rule, and go with the last', () => {
    const world = new World()
    world.pod('db', 1, { app: 'db' })
    world.pod('also', 2, { app: 'db', tier: 'gold' })
    world.policy('p', [{ ports: [tcp(80)] }])
    upsert(world.pipeline.turns.inbox, 'policy', policy({ name: 'gold', pods: 'tier=gold', ingress: [] }))
    world.counters()
    const before = [...world.pipeline.applied.counters.keys()].filter((name) => name.startsWith('passed/'))
    assert.equal(before.length, 1)
    world.pod('db', 1, { app: 'db', tier: 'gold' })
    world.counters()
    assert.deepEqual([...world.pipeline.applied.counters.keys()].filter((name) => name.startsWith('passed/')), before, 'the profile is another, the counter is not')
    world.policy('p', [{ ports: [tcp(80)] }], 'db', 'another')
    world.counters()
    const after = [...world.pipeline.applied.counters.keys()].filter((name) => name.startsWith('passed/'))
    assert.equal(after.length, 1)
    assert.notDeepEqual(after, before, 'another policy of the name')
    world.pod('db', 1, {})
    world.pod('also', 2, {})
    assert.deepEqual(world.counters(), [])
    assert.deepEqual([...world.pipeline.turns.translator.counters.counted.keys()], [])
  })
  it('of a pod are its own while it is isolated, in each direction, whatever its profile', () => {
    const world = new World()
    world.pod('db', 1, { app: 'db' })
    world.policy('p', [])
    const [name = ''] = world.counters()
    assert.match(name, /^dropped\/ingress\/default\//)
    const led = (): unknown => [...(world.pipeline.applied.sets.get('dropped-ingress-by-interface')?.elements.values() ?? [])]
    assert.deepEqual(led(), [{ key: '"veth1"', value: name }])
    world.policy('q', [{ peers: [ipBlock('10.0.0.0/8')] }])
    assert.deepEqual(world.counters()[0], name)
    assert.deepEqual(led(), [{ key: '"veth1"', value: name }])
    // Another pod behind the same interface, in one turn.
    upsert(world.pipeline.turns.inbox, 'pod', pod({ uid: 'other', name: 'db', addresses: ['10.0.0.1', 'fd00::1'], node: 'n1', labels: { app: 'db' } }))
    world.pipeline.turns.inbox.push({ verb: 'delete', kind: 'pod', key: 'pod/default/db' })
    assert.deepEqual(world.counters()[0], 'dropped/ingress/default/other')
    assert.deepEqual(led(), [{ key: '"veth1"', value: 'dropped/ingress/default/other' }])
  })
  it('take one transaction of counters and elements where a pod comes whose profile is there', () => {
    const world = new World()
    world.pod('db', 1, { app: 'db' })
    world.policy('p', [{ ports: [tcp(80)] }])
    world.pipeline.turn()
    const before = world.pipeline.transactions.length
    world.pod('two', 2, { app: 'db' })
    world.pipeline.turn()
    const [one, ...more] = world.pipeline.transactions.slice(before)
    assert.equal(more.length, 0)
    for (const { verb, ...rest } of one?.operations ?? []) assert.ok('set' in rest || (verb === 'add' && 'object' in rest && rest.object.kind === 'counter'), verb)
  })
})
