// The policy plan, one step after another: what a local pod is given, and what a change tells.
import assert from 'node:assert/strict'
import { hostInterface, namespace, node, pod, policy, selector } from '../../support/builders.ts'
import { remove, syncAll, upsert } from '../../support/cluster-feed.ts'
import { parseCidr } from '../../../src/model/ip.ts'
import type { Peer } from '../../../src/model/policy.ts'
import { EVERYTHING } from '../../../src/model/labels.ts'
import { podSelector } from '../../../src/model/selector.ts'
import type { Attachment, Member, PlanDelta, Profile } from '../../../src/policy/plan.ts'
import { PolicyPlan, type StepOptions } from '../../../src/policy/step.ts'
import { Inbox } from '../../../src/store/inbox.ts'
import { Store } from '../../../src/store/store.ts'

class Harness {
  readonly inbox = new Inbox(() => undefined)
  readonly store = new Store()
  readonly plan: PolicyPlan
  constructor(options: Partial<StepOptions> = {}) {
    this.plan = new PolicyPlan({ isLocal: (p) => p.node === 'n1', nodeName: 'n1', podInterfaces: [], podAttachment: 'auto', sourcePrefixNamespaces: [], ...options })
    syncAll(this.inbox)
  }
  turn(): PlanDelta {
    const { snapshot, delta } = this.store.apply(this.inbox.drain())
    return this.plan.step(snapshot, delta)
  }
}

const pods = (text: string, space = 'shop'): Peer => ({ kind: 'pods', selector: podSelector({ kind: 'named', name: space }, selector(text)) })
const everyNamespace: Peer = { kind: 'pods', selector: podSelector({ kind: 'matching', selector: EVERYTHING }, EVERYTHING) }
const block = (cidr: string, ...except: string[]): Peer => ({ kind: 'ipBlock', cidr: parseCidr(cidr)!, except: except.map((e) => parseCidr(e)!) })
const tcp = (first: number, last = first) => ({ kind: 'range' as const, protocol: 'TCP' as const, first, last })
const named = (name: string, protocol: 'TCP' | 'UDP' = 'TCP') => ({ kind: 'named' as const, protocol, name })
const local = (name: string, last: number, fields: Parameters<typeof pod>[0] = {}) =>
  pod({ namespace: 'shop', name, node: 'n1', addresses: [`10.0.0.${last}`, `fd00::${last}`], labels: { app: name }, ...fields })
const link = (index: number, name: string, ...hostRoutes: string[]) => hostInterface({ index, name, hostRoutes })

const attachment = (delta: PlanDelta, uid: string): Attachment => delta.attachments.get(uid)?.after as Attachment
const profiles = (delta: PlanDelta): Profile[] => [...delta.profiles.values()].flatMap((c) => (c.after === null ? [] : [c.after]))
const text = (members: readonly Member[]): string[] =>
  members.map((m) => (m.kind === 'address' ? m.address : m.kind === 'pair' ? `${m.address} ${m.port}/${m.protocol}` : `${m.first}-${m.last}`)).sort()

describe('policy/step: isolation', () => {
  it('rule 1: a pod that no policy selects is open in both directions', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1))
    assert.deepEqual([attachment(h.turn(), 'pod/shop/web')].map((a) => [a.ingress, a.egress]), [['open', 'open']])
  })
  it('rule 2: a policy of type Ingress only leaves egress open, and the reverse', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', name: 'in', ingress: [] }))
    const first = attachment(h.turn(), 'pod/shop/web')
    assert.ok(first.ingress.startsWith('ingress/shop/') && first.egress === 'open')
    remove(h.inbox, 'policy', policy({ namespace: 'shop', name: 'in', ingress: [] }))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', name: 'out', egress: [] }))
    const second = attachment(h.turn(), 'pod/shop/web')
    assert.ok(second.egress.startsWith('egress/shop/') && second.ingress === 'open')
  })
  it('rule 5: an empty rule list allows nothing, one empty rule allows everything', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', name: 'p', ingress: [], egress: [{}] }))
    const [ingress, egress] = profiles(h.turn()).sort((a, b) => (a.direction < b.direction ? 1 : -1))
    assert.deepEqual(ingress?.dispatch, [])
    assert.deepEqual(egress?.dispatch, [{ kind: 'all', ports: [], peers: 'all', by: [[{ policy: 'policy/shop/p', index: 0 }]] }])
  })
  it('rule 6: a policy selects pods of its own namespace only', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1), local('db', 2, { namespace: 'pay', uid: 'db' }))
    upsert(h.inbox, 'policy', policy({ namespace: 'pay', ingress: [] }))
    const delta = h.turn()
    assert.equal(attachment(delta, 'pod/shop/web').ingress, 'open')
    assert.notEqual(attachment(delta, 'db').ingress, 'open')
  })
  it('rule 7: pods with the same policies share a profile, whatever the order in which they came', () => {
    const [a, b] = [policy({ namespace: 'shop', name: 'a', ingress: [] }), policy({ namespace: 'shop', name: 'b', ingress: [{}] })]
    const ids = [[a, b], [b, a]].map((order) => {
      const h = new Harness()
      upsert(h.inbox, 'pod', local('web', 1), local('api', 2))
      const seen = order.map((p) => (upsert(h.inbox, 'policy', p), h.turn())).at(-1)!
      assert.equal(attachment(seen, 'pod/shop/web').ingress, attachment(seen, 'pod/shop/api').ingress)
      return attachment(seen, 'pod/shop/web').ingress
    })
    assert.equal(ids[0], ids[1])
  })
  it('rule 9: a policy that selects nothing costs nothing until a pod matches', () => {
    const h = new Harness()
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', pods: 'app=web', ingress: [{ peers: [pods('app=api')] }] }))
    const before = h.turn()
    assert.equal(before.profiles.size + before.sets.size, 0)
    upsert(h.inbox, 'pod', local('web', 1))
    assert.equal(h.turn().profiles.size, 1)
  })
  it('rule 24: a hostNetwork pod is neither a subject nor a peer', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1), local('host', 9, { hostNetwork: true, addresses: ['192.168.0.1'] }))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', ingress: [{ peers: [pods('')] }] }))
    const delta = h.turn()
    assert.equal(delta.attachments.has('pod/shop/host'), false)
    assert.deepEqual(text([...delta.members.values()][0]!.added), ['10.0.0.1', 'fd00::1'])
  })
  it('rule 93: a pod that finished is nobody from that turn on', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1), local('job', 2))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', ingress: [{ peers: [pods('')] }] }))
    h.turn()
    upsert(h.inbox, 'pod', local('job', 2, { finished: true }))
    const delta = h.turn()
    assert.equal(delta.attachments.get('pod/shop/job')?.after, null)
    assert.deepEqual([...delta.members.values()].flatMap((m) => text(m.removed)), ['10.0.0.2', 'fd00::2'])
  })
})

describe('policy/step: peers and ports', () => {
  it('rule 23: a rule whose peers match nothing keeps its empty set and never becomes any', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', ingress: [{ peers: [pods('app=nobody')] }, { peers: [] }] }))
    const delta = h.turn()
    const [all] = profiles(delta)[0]!.dispatch
    assert.ok(all!.peers !== 'all' && all!.peers.length === 1)
    assert.deepEqual([...delta.members.values()].flatMap((m) => text(m.added)), [])
  })
  it('rule 35: an ingress named port is one of the selected pod, so other numbers give other profiles', () => {
    const h = new Harness()
    const port = (n: number) => [{ name: 'http', protocol: 'TCP' as const, port: n }]
    upsert(h.inbox, 'pod', local('web', 1, { ports: port(8080) }), local('api', 2, { ports: port(9090) }), local('old', 3, { ports: port(8080) }))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', ingress: [{ ports: [named('http')] }] }))
    const delta = h.turn()
    const of = (name: string) => attachment(delta, `pod/shop/${name}`).ingress
    assert.equal(of('web'), of('old'))
    assert.notEqual(of('web'), of('api'))
    assert.deepEqual(delta.profiles.get(of('api'))?.after?.dispatch, [{ kind: 'exact', ports: [{ protocol: 'TCP', first: 9090, last: 9090 }], peers: 'all', by: [[{ policy: 'policy/shop/policy', index: 0 }]] }])
  })
  it('rules 36, 37: an egress named port is pairs of each destination pod, without a cross product', () => {
    const h = new Harness()
    const port = (n: number) => ({ ports: [{ name: 'http', protocol: 'TCP' as const, port: n }] })
    upsert(h.inbox, 'pod', local('web', 1), local('a', 2, { ...port(8080), node: 'n2' }), local('b', 3, { ...port(9090), node: 'n2' }))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', pods: 'app=web', egress: [{ peers: [pods('')], ports: [named('http')] }] }))
    const delta = h.turn()
    assert.deepEqual(text([...delta.members.values()][0]!.added), ['10.0.0.2 8080/TCP', '10.0.0.3 9090/TCP', 'fd00::2 8080/TCP', 'fd00::3 9090/TCP'])
  })
  it('rules 38, 39: a name of another protocol, or of no port, opens nothing', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1, { ports: [{ name: 'http', protocol: 'UDP', port: 80 }] }))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', ingress: [{ ports: [named('http'), named('nothing')] }] }))
    assert.deepEqual(profiles(h.turn())[0]!.dispatch, [])
  })
  it('rule 42: an egress named port toward an ipBlock matches nothing', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', egress: [{ peers: [block('0.0.0.0/0')], ports: [named('http')] }] }))
    assert.deepEqual(profiles(h.turn())[0]!.dispatch, [])
  })
  it('rules 46, 49, 50, 52: excepts subtract from their own block, and blocks merge, family by family', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1))
    const peers = [block('10.0.0.0/30', '10.0.0.1/32'), block('10.0.0.0/31'), block('0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1'), block('fd00::/127')]
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', ingress: [{ peers }] }))
    const base = 10n << 24n
    assert.deepEqual([...h.turn().members.values()].flatMap((m) => m.added), [
      { kind: 'range', family: 4, first: base, last: base + 3n },
      { kind: 'range', family: 6, first: 0xfd00n << 112n, last: (0xfd00n << 112n) + 1n },
    ])
  })
  it('more than eight peers for one port become one union, and fewer again are apart', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1), ...[...'abcdefghij'].map((name, i) => local(name, 10 + i, { node: 'n2' })))
    const rules = (count: number) => policy({ namespace: 'shop', pods: 'app=web', ingress: [...'abcdefghij'].slice(0, count).map((a) => ({ peers: [pods(`app=${a}`)], ports: [tcp(80)] })) })
    upsert(h.inbox, 'policy', rules(10))
    const delta = h.turn()
    assert.deepEqual([...delta.sets.values()].map((c) => c.after?.kind), ['union'])
    assert.equal([...delta.unions.values()].flat().flatMap((d) => d.added).length, 20)
    upsert(h.inbox, 'policy', rules(9))
    assert.deepEqual([...h.turn().unions.values()].flat().map((d) => text(d.removed)), [['10.0.0.19', 'fd00::19']])
    upsert(h.inbox, 'policy', rules(8))
    const apart = h.turn()
    assert.equal([...apart.sets.values()].filter((c) => c.after?.kind === 'pods').length, 8)
    assert.equal([...apart.sets.values()].filter((c) => c.after === null && c.before?.kind === 'union').length, 1)
  })
})

describe('policy/step: changes', () => {
  it('rule 27: relabelling a peer moves its addresses and nothing else', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1), local('api', 2, { node: 'n2' }))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', pods: 'app=web', ingress: [{ peers: [pods('app=api')] }] }))
    h.turn()
    upsert(h.inbox, 'pod', local('api', 2, { node: 'n2', labels: { app: 'other' } }))
    const delta = h.turn()
    assert.deepEqual([...delta.members.values()].map((m) => [text(m.added), text(m.removed)]), [[[], ['10.0.0.2', 'fd00::2']]])
    assert.equal(delta.profiles.size + delta.sets.size + delta.attachments.size, 0)
  })
  it('rule 27: relabelling a namespace changes who its pods are', () => {
    const h = new Harness()
    upsert(h.inbox, 'namespace', namespace({ name: 'shop' }))
    upsert(h.inbox, 'pod', local('web', 1), pod({ namespace: 'pay', name: 'db', addresses: ['10.0.1.1'] }))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', ingress: [{ peers: [everyNamespace] }] }))
    h.turn()
    upsert(h.inbox, 'namespace', namespace({ name: 'pay' }))
    assert.deepEqual([...h.turn().members.values()].flatMap((m) => text(m.added)), ['10.0.1.1'])
  })
  it('an edited ipBlock is edited in place: same set, only the ranges that differ', () => {
    const h = new Harness()
    const edited = (...cidrs: string[]) => policy({ namespace: 'shop', ingress: [{ peers: cidrs.map((c) => block(c)) }] })
    upsert(h.inbox, 'pod', local('web', 1))
    upsert(h.inbox, 'policy', edited('10.1.0.0/16', '10.3.0.0/16'))
    h.turn()
    upsert(h.inbox, 'policy', edited('10.1.0.0/16', '10.5.0.0/16'))
    const delta = h.turn()
    assert.equal(delta.sets.size, 0)
    assert.deepEqual([...delta.members.values()].map((m) => [m.added.length, m.removed.length]), [[1, 1]])
  })
  it('a set that stays in use while its users change is not told as new', () => {
    const h = new Harness()
    const rule = { peers: [pods('app=api')] }
    upsert(h.inbox, 'pod', local('web', 1), local('api', 2))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', name: 'old', pods: 'app=web', ingress: [rule] }))
    h.turn()
    remove(h.inbox, 'policy', policy({ namespace: 'shop', name: 'old' }))
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', name: 'new', pods: 'app=web', ingress: [rule] }))
    const delta = h.turn()
    assert.equal(delta.sets.size, 0)
    assert.equal(delta.profiles.size, 2)
  })
  it('rule 97: a policy that comes back in another namespace under its old UID leaves the old one', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1), local('db', 2, { namespace: 'pay', uid: 'db' }))
    upsert(h.inbox, 'policy', policy({ uid: 'p', namespace: 'shop', ingress: [] }))
    h.turn()
    upsert(h.inbox, 'policy', policy({ uid: 'p', namespace: 'pay', ingress: [] }))
    const delta = h.turn()
    assert.equal(attachment(delta, 'pod/shop/web').ingress, 'open')
    assert.notEqual(attachment(delta, 'db').ingress, 'open')
  })
  it('everything goes when the last local pod goes', () => {
    const h = new Harness()
    const web = local('web', 1)
    upsert(h.inbox, 'pod', web)
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', ingress: [{ peers: [pods('app=api')] }, { peers: [block('10.0.0.0/8')], ports: [tcp(80), tcp(90, 99)] }] }))
    h.turn()
    remove(h.inbox, 'pod', web)
    h.turn()
    assert.deepEqual([h.plan.sets.size, h.plan.profiles.size, h.plan.locals.size], [0, 0, 0])
  })
})

describe('policy/attach: interfaces', () => {
  const found = (delta: PlanDelta) => attachment(delta, 'pod/shop/web').by.map((k) => `${k.via === 'interface' ? k.interface : 'by'} ${k.address}`)
  it('finds a pod behind the veth that has a host route to its address', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1))
    upsert(h.inbox, 'interface', link(7, 'veth7', '10.0.0.1', 'fd00::1'))
    const delta = h.turn()
    assert.deepEqual(found(delta), ['veth7 10.0.0.1', 'veth7 fd00::1'])
    assert.deepEqual(delta.knownInterfaces, { added: ['veth7'], removed: [] })
  })
  it('rule 90: a veth with host routes that no pod claims stays unknown, until its pod is known', () => {
    const h = new Harness()
    upsert(h.inbox, 'interface', link(7, 'veth7', '10.0.0.1', 'fd00::1'))
    assert.deepEqual(h.turn().knownInterfaces.added, [])
    upsert(h.inbox, 'pod', local('web', 1))
    assert.deepEqual(h.turn().knownInterfaces.added, ['veth7'])
  })
  it("an uplink of kind veth, a bridge port, a veth with the node's address: never a pod's", () => {
    const h = new Harness()
    upsert(h.inbox, 'node', node({ uid: 'n1', name: 'n1', addresses: ['192.168.0.1'] }))
    upsert(h.inbox, 'pod', local('web', 1))
    upsert(h.inbox, 'interface', hostInterface({ index: 2, name: 'uplink', hasWiderRoutes: true, hostRoutes: ['10.0.0.1'] }))
    upsert(h.inbox, 'interface', hostInterface({ index: 3, name: 'port', master: 9 }))
    upsert(h.inbox, 'interface', hostInterface({ index: 4, name: 'mine', addresses: ['192.168.0.1'], hostRoutes: ['fd00::1'] }))
    const delta = h.turn()
    assert.deepEqual(found(delta), [])
    assert.deepEqual([...delta.knownInterfaces.added].sort(), ['mine', 'port', 'uplink'])
    assert.deepEqual([...delta.problems.values()].map((c) => c.after?.code), ['NotEnforced'])
  })
  it('rule 70: a pod without a host route is led by its address where a bridge has the route, the network, or its port', () => {
    for (const bridge of [{ hostRoutes: ['10.0.0.1', 'fd00::1'] }, { networks: [parseCidr('10.0.0.0/24')!, parseCidr('fd00::/64')!] }]) {
      const h = new Harness()
      upsert(h.inbox, 'pod', local('web', 1))
      assert.deepEqual(found(h.turn()), [])
      upsert(h.inbox, 'interface', hostInterface({ index: 9, name: 'cni0', kind: 'bridge', ...bridge }))
      const delta = h.turn()
      assert.deepEqual(found(delta), ['by 10.0.0.1', 'by fd00::1'])
      assert.deepEqual([...delta.problems.values()].map((c) => c.after), [null])
      remove(h.inbox, 'interface', hostInterface({ index: 9 }))
      assert.deepEqual(found(h.turn()), [])
    }
  })
  it('rule 87: the port behind which the address is is told with it, of bridges of this node only', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1))
    upsert(h.inbox, 'interface', hostInterface({ index: 9, name: 'cni0', kind: 'bridge' }), hostInterface({ index: 7, name: 'p7', master: 9, behind: { mac: '02:00:00:00:00:07', addresses: ['10.0.0.1'] } }))
    const { by } = attachment(h.turn(), 'pod/shop/web')
    assert.deepEqual(by, [{ via: 'address', address: '10.0.0.1', port: { index: 7, name: 'p7', mac: '02:00:00:00:00:07', bridge: 'cni0' } }])
    upsert(h.inbox, 'interface', hostInterface({ index: 7, name: 'p7', master: 8, behind: { mac: '02:00:00:00:00:07', addresses: ['10.0.0.1'] } }))
    assert.deepEqual(found(h.turn()), [])
  })
  it('rule 90: a port is told with what is behind it, whether a pod is known there or not, once its bridge is', () => {
    const h = new Harness()
    const port = (addresses: readonly string[], master = 9) => hostInterface({ index: 7, name: 'p7', master, behind: { mac: '02:00:00:00:00:07', addresses } })
    const told = () => [...h.turn().ports].map(([key, { before, after }]) => [key, before?.addresses, after && [after.bridge, ...after.addresses]])
    upsert(h.inbox, 'interface', port(['10.0.0.1']))
    assert.deepEqual(told(), [])
    upsert(h.inbox, 'interface', hostInterface({ index: 9, name: 'cni0', kind: 'bridge' }))
    assert.deepEqual(told(), [['7', undefined, ['cni0', '10.0.0.1']]])
    upsert(h.inbox, 'pod', local('web', 1))
    assert.deepEqual(told(), [])
    upsert(h.inbox, 'interface', port(['10.0.0.1', 'fd00::1']))
    assert.deepEqual(told(), [['7', ['10.0.0.1'], ['cni0', '10.0.0.1', 'fd00::1']]])
    upsert(h.inbox, 'interface', hostInterface({ index: 9, name: 'cni1', kind: 'bridge' }))
    assert.deepEqual(told(), [['7', ['10.0.0.1', 'fd00::1'], ['cni1', '10.0.0.1', 'fd00::1']]])
    remove(h.inbox, 'interface', hostInterface({ index: 9 }))
    assert.deepEqual(told(), [['7', ['10.0.0.1', 'fd00::1'], null]])
  })
  it('a host route wins over a bridge; podAttachment says otherwise in both ways', () => {
    const by = { auto: ['veth7 10.0.0.1', 'by fd00::1'], interface: ['veth7 10.0.0.1'], address: ['by 10.0.0.1', 'by fd00::1'] } as const
    for (const podAttachment of ['auto', 'interface', 'address'] as const) {
      const h = new Harness({ podAttachment })
      upsert(h.inbox, 'pod', local('web', 1))
      upsert(h.inbox, 'interface', link(7, 'veth7', '10.0.0.1'), hostInterface({ index: 9, name: 'cni0', kind: 'bridge', networks: [parseCidr('10.0.0.0/24')!, parseCidr('fd00::/64')!] }))
      assert.deepEqual(found(h.turn()), by[podAttachment])
    }
  })
  it('rule 94: the same name with another index and another address is another pod', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1), local('next', 2))
    upsert(h.inbox, 'interface', link(7, 'veth0', '10.0.0.1', 'fd00::1'))
    h.turn()
    upsert(h.inbox, 'interface', link(8, 'veth0', '10.0.0.2', 'fd00::2'))
    remove(h.inbox, 'interface', link(7, 'veth0'))
    const delta = h.turn()
    assert.deepEqual(found(delta), [])
    assert.deepEqual(attachment(delta, 'pod/shop/next').by.map((k) => (k.via === 'interface' ? k.interface : '')), ['veth0', 'veth0'])
    assert.deepEqual(delta.knownInterfaces, { added: [], removed: [] })
  })
  it('rules 90, 95: a terminating pod gets no interface that it did not have; one that is not, or that nothing is known of, does', () => {
    const to = (index: number) => link(index, `veth${index}`, '10.0.0.1', 'fd00::1')
    const names = (h: Harness) => (h.turn(), h.plan.locals.get('pod/shop/web')?.attachment.by.map((k) => (k.via === 'interface' ? k.interface : 'by')))
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1))
    upsert(h.inbox, 'interface', to(7))
    assert.deepEqual(names(h), ['veth7', 'veth7'])
    remove(h.inbox, 'interface', to(7))
    upsert(h.inbox, 'interface', to(8))
    assert.deepEqual(names(h), ['veth8', 'veth8'])
    upsert(h.inbox, 'pod', local('web', 1, { terminating: true }))
    assert.deepEqual(names(h), ['veth8', 'veth8'])
    // A route that goes and comes is no other interface; nor is another name.
    upsert(h.inbox, 'interface', link(8, 'other'))
    assert.deepEqual(names(h), [])
    upsert(h.inbox, 'interface', link(8, 'other', '10.0.0.1', 'fd00::1'))
    assert.deepEqual(names(h), ['other', 'other'])
    remove(h.inbox, 'interface', to(8))
    upsert(h.inbox, 'interface', to(9))
    assert.deepEqual(names(h), [])
    upsert(h.inbox, 'policy', policy({ namespace: 'shop', name: 'p', ingress: [] }))
    assert.deepEqual(names(h), [])
    // Its next owner has it at once; an agent that starts now cannot know.
    upsert(h.inbox, 'pod', local('next', 1, { createdAt: 5 }))
    h.turn()
    assert.deepEqual(h.plan.behind('veth9'), new Set(['pod/shop/next']))
    const restarted = new Harness()
    upsert(restarted.inbox, 'pod', local('web', 1, { terminating: true }))
    upsert(restarted.inbox, 'interface', to(9))
    assert.deepEqual(names(restarted), ['veth9', 'veth9'])
  })
  it('a vanished interface is known no longer, and its pod has none', () => {
    const h = new Harness()
    upsert(h.inbox, 'pod', local('web', 1))
    upsert(h.inbox, 'interface', link(7, 'veth7', '10.0.0.1', 'fd00::1'))
    h.turn()
    remove(h.inbox, 'interface', link(7, 'veth7'))
    const delta = h.turn()
    assert.deepEqual(delta.knownInterfaces.removed, ['veth7'])
    assert.deepEqual(found(delta), [])
  })
  it('further source prefixes hold in the namespaces that the config lists, and nowhere else', () => {
    for (const [namespaces, expected] of [[['shop'], 1], [[], 0]] as const) {
      const h = new Harness({ sourcePrefixNamespaces: namespaces })
      upsert(h.inbox, 'pod', local('web', 1, { sourcePrefixes: [parseCidr('10.9.0.0/24')!] }))
      upsert(h.inbox, 'interface', link(7, 'veth7', '10.0.0.1'))
      assert.equal(attachment(h.turn(), 'pod/shop/web').sourcePrefixes.length, expected)
    }
  })
  it('an interface whose name nft could not take as it is stays unknown, and its pod is NotEnforced', () => {
    for (const name of ['veth*', 'a"b', 'a\\b', 'a\u0001b', 'a\ufffdb']) {
      const h = new Harness()
      upsert(h.inbox, 'pod', local('web', 1))
      upsert(h.inbox, 'interface', link(7, name, '10.0.0.1', 'fd00::1'))
      const delta = h.turn()
      assert.deepEqual([found(delta), delta.knownInterfaces.added, delta.problems.size], [[], [], 1], JSON.stringify(name))
    }
  })
  it('kube-ipvs0 makes the node NotEnforced (rules 43, 65)', () => {
    const h = new Harness()
    upsert(h.inbox, 'interface', hostInterface({ index: 5, name: 'kube-ipvs0', kind: 'dummy' }))
    assert.deepEqual([...h.turn().problems.values()].map((c) => [c.after?.code, c.after?.object]), [['NotEnforced', 'interface kube-ipvs0']])
  })
})
