// Pods on a bridge by their addresses and source prefixes: what the judge says of them, and that the table says the same.
import assert from 'node:assert/strict'
import { podOwner } from '../../../src/model/owner.ts'
import type { Pod } from '../../../src/model/objects.ts'
import { Judge } from '../../../src/policy/judge.ts'
import { lossesOf } from '../../../src/policy/losses.ts'
import { cidr, hostInterface, ipBlock, namespace, pod, policy, port } from '../../support/builders.ts'
import { upsert } from '../../support/cluster-feed.ts'
import { Pipeline, tableText } from '../../support/pipeline.ts'
import { Tracer } from '../../support/tracer.ts'

const CNI0 = { name: 'cni0', kind: 'bridge' }
const PREFIXES = { sourcePrefixes: [cidr('10.9.0.0/16'), cidr('fd09::/64')] }

function local(name: string, last: number, fields: Partial<Pod> = {}): Pod {
  return pod({ name, node: 'n1', addresses: [`10.0.0.${last}`, `fd00::${last}`], labels: new Map([['app', name]]), ...fields })
}

class World {
  /** Whose connections have been judged again. */
  readonly losers = new Set<string>()
  readonly pipeline = new Pipeline({ nodeName: 'n1', sourcePrefixNamespaces: ['default'] })

  constructor(...pods: readonly Pod[]) {
    const { inbox } = this.pipeline.turns
    upsert(inbox, 'namespace', namespace())
    upsert(inbox, 'pod', ...pods)
    upsert(inbox, 'interface', hostInterface({ index: 9, ...CNI0 }))
    upsert(inbox, 'interface', ...pods.map((one, i) => hostInterface({ index: 20 + i, master: 9, behind: { mac: `02:00:00:00:00:0${i}`, addresses: one.addresses } })))
  }

  /** A UDP datagram over the bridge, by the judge and by the table alike. */
  allowed(source: string, destination: string): boolean {
    this.#turn()
    return this.asked(source, destination)
  }

  #turn(): void {
    this.pipeline.turn()
    assert.ok(this.pipeline.planned !== null)
    for (const uid of lossesOf(this.pipeline.planned, this.pipeline.turns.plan).pods.keys()) this.losers.add(uid.replace(/.*\//, ''))
  }

  asked(source: string, destination: string): boolean {
    const { plan, snapshot, translator } = this.pipeline.turns
    assert.ok(snapshot !== null)
    const { allowed } = new Judge(plan, snapshot, { nodeEgress: 'allow' }).judge({ source, destination, protocol: 'UDP', port: 80 })
    const packet = { path: 'forward', iif: CNI0, oif: CNI0, source, destination, protocol: 17, sourcePort: 5000, destinationPort: 80, ctState: 'new', ctDirection: 'original' } as const
    const { verdict, by } = new Tracer(tableText(translator.wanted.state)).trace(packet)
    assert.equal(verdict === 'accept', allowed, `${source} -> ${destination}: the table says ${verdict} ${by}`)
    return allowed
  }
}

const OUT = policy({ name: 'out', pods: 'app=gw', egress: [{ peers: [ipBlock('10.0.0.2/32'), ipBlock('fd00::2/128')], ports: [port(80, 'UDP')] }] })
const IN = policy({ name: 'in', pods: 'app=gw', ingress: [] })

describe('policy: pods on a bridge', () => {
  it('rule 87: what comes from a source prefix is judged as its pod\'s egress, what goes there as its ingress', () => {
    const world = new World(local('gw', 1, PREFIXES), local('db', 2), local('web', 3))
    for (const [from, db, web] of [['10.9.0.5', '10.0.0.2', '10.0.0.3'], ['fd09::5', 'fd00::2', 'fd00::3']] as const) {
      assert.ok(world.allowed(from, db) && world.allowed(from, web) && world.allowed(web, from))
    }
    upsert(world.pipeline.turns.inbox, 'policy', OUT, IN)
    for (const [from, db, web] of [['10.9.0.5', '10.0.0.2', '10.0.0.3'], ['fd09::5', 'fd00::2', 'fd00::3']] as const) {
      assert.deepEqual([world.allowed(from, db), world.allowed(from, web), world.allowed(web, from)], [true, false, false], from)
    }
    // Beside the prefix nobody is asked.
    assert.ok(world.allowed('10.10.0.5', '10.0.0.3'))
  })

  it('rule 87: an address within somebody\'s prefix is still its own pod\'s', () => {
    const world = new World(local('gw', 1, { sourcePrefixes: [cidr('10.0.0.0/8')] }), local('db', 2), local('web', 3))
    upsert(world.pipeline.turns.inbox, 'policy', OUT)
    assert.deepEqual([world.allowed('10.0.0.3', '10.0.0.1'), world.allowed('10.7.7.7', '10.0.0.3')], [true, false])
  })

  it('rule 87: two pods with one prefix: what both may, while the same policies select them; else nothing', () => {
    const twin = local('twin', 4, { ...PREFIXES, labels: new Map([['app', 'gw']]) })
    const world = new World(local('gw', 1, PREFIXES), local('db', 2), local('web', 3), twin)
    upsert(world.pipeline.turns.inbox, 'policy', OUT)
    assert.deepEqual([world.allowed('10.9.0.5', '10.0.0.2'), world.allowed('10.9.0.5', '10.0.0.3')], [true, false])
    world.losers.clear()
    upsert(world.pipeline.turns.inbox, 'pod', { ...twin, labels: new Map() })
    assert.deepEqual([world.allowed('10.9.0.5', '10.0.0.2'), world.allowed('10.0.0.3', '10.9.0.5')], [false, true])
    assert.deepEqual([...world.losers], ['gw'])
    upsert(world.pipeline.turns.inbox, 'pod', { ...twin, labels: new Map(), sourcePrefixes: [] })
    assert.equal(world.allowed('10.9.0.5', '10.0.0.2'), true)
  })

  it('rule 105: a pod in quarantine is closed in both directions, loses its connections, and opens again', () => {
    const world = new World(local('gw', 1, PREFIXES), local('db', 2), local('web', 3))
    upsert(world.pipeline.turns.inbox, 'policy', policy({ name: 'db', pods: 'app=db', ingress: [{ peers: [ipBlock('0.0.0.0/0')] }] }))
    assert.ok(world.allowed('10.0.0.1', '10.0.0.2') && world.allowed('10.9.0.5', '10.0.0.2'))
    world.pipeline.turns.requarantine(new Set([podOwner('default', 'gw')]))
    assert.ok(world.pipeline.planned !== null)
    const losses = lossesOf(world.pipeline.planned, world.pipeline.turns.plan)
    assert.ok(losses.pods.has('pod/default/gw'))
    for (const [from, to] of [['10.0.0.1', '10.0.0.2'], ['10.0.0.3', '10.0.0.1'], ['10.0.0.1', '10.0.0.1'], ['fd00::1', 'fd00::3'], ['10.9.0.5', '10.0.0.2'], ['fd00::3', 'fd09::5']] as const) {
      // To itself is allowed by rule 62, but not in quarantine: nothing of it is trusted.
      assert.equal(world.asked(from, to), false, `${from} -> ${to}`)
    }
    assert.ok(world.asked('10.0.0.3', '10.0.0.2'))
    world.pipeline.turns.requarantine(new Set())
    assert.ok(world.asked('10.0.0.1', '10.0.0.2') && world.asked('10.9.0.5', '10.0.0.2'))
  })
})
