// The history's bounds, what it costs, and who is behind an interface when links and the API come in odd orders.
import assert from 'node:assert/strict'
import { endOf, type FoundEnd } from '../../../src/audit/ends.ts'
import { Moments } from '../../../src/audit/moments.ts'
import { workloadOf } from '../../../src/audit/pod-words.ts'
import { Timeline } from '../../../src/audit/timeline.ts'
import type { Pod } from '../../../src/model/objects.ts'
import { AuditWorld } from '../../support/audit-world.ts'
import { cidr, hostInterface, node, pod } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'

const link = (index: number, address: string) => hostInterface({ index, name: `veth${index}`, hostRoutes: [address] })
const local = (name: string, address: string, fields: Partial<Pod> = {}): Pod => Object.freeze({ ...pod({ uid: name, name, node: 'n1', addresses: [address] }), ...fields })

function world(...rows: Pod[]): AuditWorld {
  const at = new AuditWorld()
  upsert(at.inbox, 'node', node({ name: 'n1', addresses: ['192.168.1.1'] }))
  upsert(at.inbox, 'pod', ...rows)
  at.settle()
  at.now += 1000
  return at
}

const from = (at: AuditWorld, index: number, time = at.now, address = '10.0.1.1'): FoundEnd => endOf(at.history, { address, interface: index, at: null, span: { first: time, last: time } })

describe('audit: moments', () => {
  it('know the revision of a time, but for the time between plan and acknowledgement', () => {
    const moments = new Moments()
    assert.equal(moments.revisionAt(5), 'unresolved')
    assert.equal(moments.planned(1, 10), null)
    assert.equal(moments.horizon, Infinity)
    moments.held(1, 20)
    moments.planned(2, 30)
    moments.planned(3, 35)
    assert.equal(moments.revisionAt(36), 'ambiguous')
    moments.held(3, 40)
    assert.deepEqual([20, 21, 29, 30, 40, 41, 99].map((time) => moments.revisionAt(time)), ['unresolved', 1, 1, 'ambiguous', 'ambiguous', 3, 3])
    moments.planned(4, 50)
    moments.held(3, 60)
    assert.deepEqual([49, 55, 65].map((time) => moments.revisionAt(time)), [3, 'ambiguous', 'ambiguous'])
  })

  it('go after their time, by number and by bytes; what was before is too old then', () => {
    for (const bounds of [{ keep: 100, notes: 99, bytes: 2 ** 20 }, { keep: 1e9, notes: 1, bytes: 2 ** 20 }, { keep: 1e9, notes: 99, bytes: 1500 }]) {
      const moments = new Moments(bounds)
      const line = new Timeline<string, string>(moments)
      moments.planned(1, 0)
      moments.held(1, 5)
      for (const [value, revision, time] of [['a', 2, 10], ['b', 3, 200]] as const) {
        line.note('k', value, moments.planned(revision, time) ?? assert.fail(), 1000)
        moments.held(revision, time + 5)
      }
      moments.planned(4, 300)
      assert.deepEqual([moments.horizon, moments.size.notes, line.all('k').map(({ value }) => value)], [16, 1, ['b']], JSON.stringify(bounds))
    }
  })

  it('that go before the kernel held them leave nothing known until it does', () => {
    const moments = new Moments({ keep: 1e9, notes: 1, bytes: 2 ** 20 })
    const line = new Timeline<string, string>(moments)
    moments.planned(1, 0)
    moments.held(1, 5)
    for (const revision of [2, 3]) line.note('k', String(revision), moments.planned(revision, 10 * revision) ?? assert.fail(), 0)
    moments.planned(4, 40)
    assert.equal(moments.horizon, Infinity)
    moments.held(4, 50)
    assert.deepEqual([moments.horizon, moments.revisionAt(60)], [51, 4])
  })

  it('keep nothing of what does not change: no pod, no address, no policy', () => {
    const at = world(...Array.from({ length: 500 }, (_, i) => pod({ uid: `u${i}`, name: `p${i}`, node: 'n2', addresses: [`10.1.${i >> 8}.${i & 255}`] })))
    assert.deepEqual([at.history.size.notes, at.history.size.bytes], [0, 0])
    upsert(at.inbox, 'pod', pod({ uid: 'u7', name: 'p7', node: 'n2', addresses: ['10.1.0.7'], labels: { a: 'b' } }))
    at.settle()
    assert.equal(at.history.size.notes, 1)
    // What no record says is no change of it.
    upsert(at.inbox, 'pod', Object.freeze({ ...pod({ uid: 'u7', name: 'p7', node: 'n2', addresses: ['10.1.0.7'], labels: { a: 'b' } }), terminating: true }))
    at.settle()
    assert.equal(at.history.size.notes, 1)
    at.now += 400_000
    at.turn()
    assert.deepEqual([at.history.size.notes, at.history.size.bytes], [0, 0])
  })
})

describe('audit: who is behind an interface', () => {
  const first = local('first', '10.0.1.1')
  const heir = local('heir', '10.0.1.1', { createdAt: 7 })

  it('its pod, as long as it is there and after, whoever has the address', () => {
    const at = world(first)
    upsert(at.inbox, 'interface', link(20, '10.0.1.1'))
    at.settle()
    const before = at.now
    at.now += 100
    upsert(at.inbox, 'pod', { ...first, terminating: true }, { ...heir, node: 'n2' })
    at.settle()
    at.now += 100
    assert.deepEqual([from(at, 20).pod?.uid, from(at, 0).pod?.uid], ['first', 'heir'])
    remove(at.inbox, 'interface', link(20, ''))
    remove(at.inbox, 'pod', first)
    at.settle()
    assert.deepEqual([from(at, 20, before).pod?.uid, from(at, 20).pod?.uid], ['first', 'first'])
    at.now += 400_000
    at.settle()
    assert.deepEqual([from(at, 20).pod, from(at, 20).why, from(at, 0).pod?.uid], [null, 'ambiguous', 'heir'], 'forgotten')
  })

  it('not the heir of the address by a link that is left over, while the first pod is there', () => {
    const at = world(first)
    upsert(at.inbox, 'interface', link(20, '10.0.1.1'))
    at.settle()
    upsert(at.inbox, 'pod', { ...first, terminating: true }, heir)
    at.settle()
    assert.deepEqual([from(at, 20).pod?.uid, from(at, 20).why], ['first', null])
  })

  it('either one, where the link of the first seems to lead to its heir; until that has settled', () => {
    const at = world(first)
    upsert(at.inbox, 'interface', link(20, '10.0.1.1'))
    at.settle()
    at.now += 100
    const handedOver = at.now
    remove(at.inbox, 'pod', first)
    upsert(at.inbox, 'pod', heir)
    at.settle()
    for (const time of [handedOver - 50, handedOver + 50]) assert.deepEqual([from(at, 20, time).pod, from(at, 20, time).why], [null, 'ambiguous'])
    assert.equal(from(at, 20, handedOver + 11_000).pod?.uid, 'heir')
  })

  it('the heir all the time, where the first had another one: routes came before the API', () => {
    const at = world(first)
    upsert(at.inbox, 'interface', link(20, '10.0.1.1'))
    at.settle()
    remove(at.inbox, 'interface', link(20, ''))
    upsert(at.inbox, 'interface', link(21, '10.0.1.1'))
    at.settle()
    at.now += 50
    const early = at.now
    at.now += 50
    remove(at.inbox, 'pod', first)
    upsert(at.inbox, 'pod', heir)
    at.settle()
    assert.deepEqual([from(at, 21, early).pod?.uid, from(at, 21).pod?.uid, from(at, 20).pod?.uid], ['heir', 'heir', 'first'])
  })

  it('nobody, where several pods share it: there the address tells', () => {
    const at = world(first, local('second', '10.0.1.2'))
    upsert(at.inbox, 'interface', hostInterface({ index: 20, name: 'veth20', hostRoutes: ['10.0.1.1', '10.0.1.2'] }))
    at.settle()
    at.now += 10
    assert.deepEqual([from(at, 20).pod?.uid, from(at, 20, at.now, '10.0.1.2').pod?.uid, from(at, 20, at.now, '10.9.9.9').end.kind], ['first', 'second', 'external'])
  })

  it('of a pod on a bridge its port; a link that was of no pod leaves what the address tells when it goes', () => {
    const at = world(first)
    const bridge = hostInterface({ index: 5, name: 'br0', kind: 'bridge', addresses: ['10.0.1.254'], networks: [cidr('10.0.1.0/24')], hasWiderRoutes: true })
    const leg = hostInterface({ index: 21, name: 'leg', master: 5, behind: { mac: '02:00:00:00:00:01', addresses: ['10.0.1.1'] } })
    const tunnel = hostInterface({ index: 9, name: 'tun', kind: 'vxlan' })
    upsert(at.inbox, 'interface', bridge, leg, tunnel)
    at.settle()
    at.now += 10
    const before = at.now
    for (const index of [5, 9, 21]) assert.equal(from(at, index).pod?.uid, 'first')
    assert.deepEqual(at.turns.plan.locals.get('first')?.attachment.by.map(({ via }) => via), ['address'])
    at.now += 10
    remove(at.inbox, 'interface', leg, tunnel)
    remove(at.inbox, 'pod', first)
    upsert(at.inbox, 'pod', { ...heir, node: 'n2' })
    at.settle()
    at.now += 10
    assert.deepEqual([from(at, 21, before).pod?.uid, from(at, 21).pod?.uid, from(at, 9, before).pod?.uid, from(at, 9).pod?.uid], ['first', 'first', 'first', 'heir'])
    assert.equal(from(at, 99).why, 'ambiguous', 'one that nobody has told of')
  })

  it('an uplink is nobody\'s: there the address tells', () => {
    const at = world(first)
    upsert(at.inbox, 'interface', hostInterface({ index: 2, name: 'eth0', kind: '', addresses: ['192.168.1.1'], hasWiderRoutes: true }), hostInterface({ index: 3, name: 'veth3', hasWiderRoutes: true }))
    at.settle()
    at.now += 10
    for (const index of [2, 3]) assert.equal(from(at, index).pod?.uid, 'first')
  })
})

describe('audit: workloads', () => {
  const of = (kind: string, name: string, hash?: string): unknown => workloadOf(pod({ controller: { kind, name }, labels: hash === undefined ? {} : { 'pod-template-hash': hash } }))
  it('are what controls the pod; of a ReplicaSet that a Deployment made, the Deployment', () => {
    assert.deepEqual(of('ReplicaSet', 'web-6d5f', '6d5f'), { kind: 'Deployment', name: 'web' })
    assert.deepEqual(of('ReplicaSet', 'a-b-6d5f', '6d5f'), { kind: 'Deployment', name: 'a-b' })
    for (const [kind, name, hash] of [['ReplicaSet', 'web-6d5f', '7777'], ['ReplicaSet', 'web'], ['ReplicaSet', '-6d5f', '6d5f'], ['DaemonSet', 'web-6d5f', '6d5f'], ['Job', 'nightly-29012345']] as const) assert.deepEqual(of(kind, name, hash), { kind, name })
    assert.equal(workloadOf(pod()), null)
  })
})
