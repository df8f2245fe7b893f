// What a record says: who, through which Service, what decided and why, and what it does not know.
import assert from 'node:assert/strict'
import { MOST_ASKED } from '../../../src/audit/records-miss.ts'
import type { FlowRecord } from '../../../src/flows/record.ts'
import type { Pod } from '../../../src/model/objects.ts'
import { AuditWorld, logged } from '../../support/audit-world.ts'
import { hostInterface, ipBlock, namespace, node, pod, podPeer, podsOf, policy, port, service, slice } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'

const HASH = '6d5f9c7b8d'
const web = pod({ uid: 'web-uid', namespace: 'shop', name: 'web-1', node: 'n2', addresses: ['10.0.2.1', 'fd00:2::1'], labels: { app: 'web', 'pod-template-hash': HASH }, controller: { kind: 'ReplicaSet', name: `web-${HASH}` } })
const api = pod({ uid: 'api-uid', namespace: 'pay', name: 'api-0', node: 'n1', addresses: ['10.0.1.1', 'fd00:1::1'], labels: { app: 'api' }, controller: { kind: 'StatefulSet', name: 'api' } })
const veth = hostInterface({ index: 20, name: 'veth20', hostRoutes: ['10.0.1.1', 'fd00:1::1'] })
const denyAll = policy({ uid: 'deny-uid', namespace: 'pay', name: 'default-deny', generation: 2, ingress: [] })
const allowWeb = policy({ uid: 'allow-uid', namespace: 'pay', name: 'allow-web', generation: 5, ingress: [{ peers: [podPeer(podsOf('shop', { app: 'web' }))], ports: [port(8080)] }] })

function world(policies = [denyAll, allowWeb]): AuditWorld {
  const made = new AuditWorld()
  upsert(made.inbox, 'namespace', namespace({ name: 'shop' }), namespace({ name: 'pay' }))
  upsert(made.inbox, 'node', node({ name: 'n1', addresses: ['192.168.1.1', 'fd00:9::1'] }), node({ name: 'n2', addresses: ['192.168.1.2'] }))
  upsert(made.inbox, 'pod', web, api)
  upsert(made.inbox, 'policy', ...policies)
  upsert(made.inbox, 'interface', veth)
  made.settle()
  made.now += 1000
  return made
}

const whys = ({ undecided }: FlowRecord): string[] => undecided.map(({ field, why }) => `${field} ${why}`)
const toApi = { source: '10.0.2.1', destination: '10.0.1.1', outInterface: 20 }

describe('records: a denied packet', () => {
  it('is told whole: both ends, all that isolate, the nearest miss', () => {
    const at = world()
    const record = at.record({ ...toApi, prefix: at.denied('api-uid', 'ingress'), first: at.now - 500, count: 12, bytes: 720 })
    assert.deepEqual(record, {
      schema: 'picket.flow/v1', type: 'verdict', time: '1970-01-01T00:16:41.000Z', first_seen: '1970-01-01T00:16:40.500Z', last_seen: '1970-01-01T00:16:41.000Z', count: 12, bytes: 720, node: 'n1',
      verdict: 'DROPPED', reason: 'POLICY_DENIED', direction: 'ingress', is_reply: false, ip: { source: '10.0.2.1', destination: '10.0.1.1', family: 4 },
      l4: { protocol: 'TCP', source_port: 40_000, destination_port: 80, tcp_flags: ['SYN'], icmp: null },
      source: { kind: 'pod', namespace: 'shop', pod: 'web-1', uid: 'web-uid', node: 'n2', workload: { kind: 'Deployment', name: 'web' }, labels: { app: 'web', 'pod-template-hash': HASH }, labels_omitted: 0 },
      destination: { kind: 'pod', namespace: 'pay', pod: 'api-0', uid: 'api-uid', node: 'n1', workload: { kind: 'StatefulSet', name: 'api' }, labels: { app: 'api' }, labels_omitted: 0, service: null },
      policy: null, also: [],
      isolated_by: { total: 2, policies: [{ kind: 'NetworkPolicy', namespace: 'pay', name: 'allow-web', uid: 'allow-uid' }, { kind: 'NetworkPolicy', namespace: 'pay', name: 'default-deny', uid: 'deny-uid' }] },
      nearest_miss: { policy: { kind: 'NetworkPolicy', namespace: 'pay', name: 'allow-web', uid: 'allow-uid' }, rule: 0, why: record.nearest_miss?.why },
      tier: null, ruleset_revision: at.turns.revision, undecided: [], sampled: 1, label: null,
    })
    assert.equal(record.nearest_miss?.why, 'port 80 not in [8080]')
    assert.deepEqual(at.maker.counts, { made: 1, ambiguous: 0, unresolved: 0, foreign: 0 })
  })

  it('of IPv6 and of ICMP, too', () => {
    const at = world()
    const six = at.record({ prefix: at.denied('api-uid', 'ingress'), source: 'fd00:2::1', destination: 'fd00:1::1' })
    assert.deepEqual([six.source.pod, six.destination.pod, six.ip.family, six.nearest_miss?.rule], ['web-1', 'api-0', 6, 0])
    const ping = at.record({ ...toApi, prefix: at.denied('api-uid', 'ingress'), protocol: 1, sourcePort: null, destinationPort: null, tcpFlags: null, icmp: { type: 8, code: 0 } })
    assert.deepEqual(ping.l4, { protocol: 'ICMP', source_port: null, destination_port: null, tcp_flags: null, icmp: { type: 8, code: 0 } })
    assert.equal(ping.is_reply, false)
  })

  it('has what isolated then, whatever the policies say by now; the nearest miss only of now', () => {
    const at = world()
    const prefix = at.denied('api-uid', 'ingress')
    const flow = { ...toApi, prefix, first: at.now, last: at.now }
    at.now += 100
    upsert(at.inbox, 'policy', { ...allowWeb, generation: 6, ingress: [] })
    remove(at.inbox, 'policy', denyAll)
    at.settle()
    at.now += 3000
    const record = at.record(flow)
    assert.deepEqual([record.isolated_by?.policies.map(({ name }) => name), record.nearest_miss, record.undecided], [['allow-web', 'default-deny'], null, []])
    assert.equal(record.ruleset_revision, at.turns.revision - 1)
  })

  it('has no nearest miss where the peer has changed since: it would be of somebody else', () => {
    const at = world()
    const flow = { ...toApi, prefix: at.denied('api-uid', 'ingress'), first: at.now, last: at.now }
    assert.notEqual(at.record(flow).nearest_miss, null)
    at.now += 50
    upsert(at.inbox, 'pod', { ...web, labels: new Map([['app', 'other']]) } as Pod)
    at.settle()
    at.now += 50
    assert.equal(at.record(flow).nearest_miss, null)
  })

  it('asks explain so often a second, and no more', () => {
    const at = world()
    const flow = { ...toApi, prefix: at.denied('api-uid', 'ingress') }
    const found = (): number => Array.from({ length: MOST_ASKED + 50 }, () => at.record(flow)).filter(({ nearest_miss: miss }) => miss !== null).length
    assert.equal(found(), MOST_ASKED)
    at.now += 100
    assert.equal(found(), MOST_ASKED / 10)
  })

  it('of a profile that nobody remembers is unresolved, and that is counted', () => {
    const at = world()
    const prefix = at.denied('api-uid', 'ingress').replace(/\/[0-9A-Z]{10}\/-/, '/0000000000/-')
    assert.deepEqual(whys(at.record({ ...toApi, prefix })), ['isolated_by unresolved'])
    assert.equal(at.maker.counts.unresolved, 1)
  })

  it('from before the agent is unresolved; a prefix of somebody else is none of ours', () => {
    const at = world()
    const record = at.record({ ...toApi, prefix: at.denied('api-uid', 'ingress'), first: 10, last: 20 })
    assert.deepEqual(whys(record), ['source unresolved', 'destination unresolved', 'ruleset_revision unresolved'])
    assert.deepEqual([record.source.kind, record.source.pod, record.ruleset_revision], ['external', null, null])
    for (const prefix of ['', 'FINAL_REJECT: ', 'picket/else']) assert.equal(at.maker.make(logged({ ...toApi, prefix }, at.now), at.now), null)
    assert.equal(at.maker.counts.foreign, 3)
  })
})

describe('records: an allowed packet', () => {
  const more = policy({ uid: 'more-uid', namespace: 'pay', name: 'more', generation: 1, ingress: [{ peers: [podPeer(podsOf('shop', { app: 'other' }))], ports: [port(8080)] }, { peers: [podPeer(podsOf('shop', { app: 'web' }))], ports: [port('8000-9000')] }] })

  it('names the rule of the place, and others with the same peers that allow it', () => {
    const at = world([denyAll, allowWeb, more])
    const place = at.profile('api-uid', 'ingress').dispatch.findIndex(({ kind }) => kind === 'exact')
    const peers = at.profile('api-uid', 'ingress').dispatch[place]?.peers as readonly { readonly set: string }[]
    const index = peers.findIndex(({ set }) => set.includes('web'))
    const record = at.record({ ...toApi, prefix: at.allowed('api-uid', 'ingress', `${place}.${index}`), destinationPort: 8080 })
    assert.deepEqual([record.verdict, record.reason, record.isolated_by, record.undecided], ['FORWARDED', 'POLICY_ALLOW', null, []])
    assert.deepEqual(record.policy, { kind: 'NetworkPolicy', namespace: 'pay', name: 'allow-web', uid: 'allow-uid', generation: 5, direction: 'ingress', index: 0 })
    assert.deepEqual(record.also, [{ kind: 'NetworkPolicy', namespace: 'pay', name: 'more', uid: 'more-uid', generation: 1, direction: 'ingress', index: 1 }])
  })

  it('keeps the generation of the policy that allowed it, while a newer one comes', () => {
    const at = world()
    const flow = { ...toApi, prefix: at.allowed('api-uid', 'ingress', '0.0'), destinationPort: 8080, first: at.now, last: at.now }
    at.now += 10
    upsert(at.inbox, 'policy', { ...allowWeb, generation: 6, ingress: [] })
    at.turn()
    // Sent, and not acknowledged: by the profile's generation it is the old one all the same.
    const during = { ...flow, first: at.now + 1, last: at.now + 1 }
    at.now += 20
    at.held()
    at.now += 10
    for (const one of [flow, during]) assert.deepEqual([at.record(one).policy?.generation, whys(at.record(one)).includes('policy ambiguous')], [5, false])
    upsert(at.inbox, 'policy', { ...denyAll, generation: 3 })
    at.settle()
    assert.equal(at.record(flow).policy?.generation, 5)
  })

  const many = Array.from({ length: 9 }, (_, i) => policy({ uid: `p${i}`, namespace: 'pay', name: `p${i}`, ingress: [{ peers: [i === 4 ? podPeer(podsOf('shop', { app: 'web' })) : ipBlock(`172.16.${i}.0/24`)], ports: [port(80)] }] }))

  it('through a union: the member that allows it, told by the plan of now while that says what it said then', () => {
    const at = world(many)
    const [ports] = at.profile('api-uid', 'ingress').dispatch
    assert.match(JSON.stringify(ports?.peers), /^\[\{"kind":"addresses","set":"union /)
    const flow = { ...toApi, prefix: at.allowed('api-uid', 'ingress', '0.0'), first: at.now, last: at.now }
    assert.deepEqual([at.record(flow).policy?.name, at.record(flow).also, whys(at.record(flow))], ['p4', [], []])
    at.now += 100
    // The CIDRs of a rule are no part of the generation: the profile is the same, and says something else.
    upsert(at.inbox, 'policy', { ...(many[2] as (typeof many)[0]), generation: 2, ingress: [{ index: 0, peers: [ipBlock('10.0.2.0/24')], ports: [port(80)] }] })
    at.settle()
    at.now += 100
    assert.deepEqual([at.record(flow).policy, whys(at.record(flow))], [null, ['policy ambiguous']])
    assert.equal(at.maker.counts.ambiguous, 2)
    assert.deepEqual(whys(at.record({ ...flow, prefix: at.allowed('api-uid', 'ingress', '7.0') })), ['policy ambiguous'])
  })
})

describe('records: labels of log rules', () => {
  const labelled = { ...allowWeb, log: { log: 'all', sample: 7, label: 'pci scope' } } as const

  it('are told by their text, also when the annotation has gone since', () => {
    const at = world([denyAll, labelled])
    const flow = { ...toApi, prefix: at.allowed('api-uid', 'ingress', '0.0', 'pci scope'), destinationPort: 8080, first: at.now, last: at.now }
    assert.deepEqual([at.record(flow).label, at.record(flow).policy?.name, at.record(flow).undecided], ['pci scope', 'allow-web', []])
    at.now += 100
    upsert(at.inbox, 'policy', allowWeb)
    at.settle()
    at.now += 100
    assert.deepEqual([at.record(flow).label, at.record(flow).undecided], ['pci scope', []])
    const never = at.record({ ...flow, prefix: at.allowed('api-uid', 'ingress', '0.0', 'never said') })
    assert.deepEqual([never.label, whys(never)], [null, ['label unresolved']])
  })
})

describe('records: ends', () => {
  it('a pod that went keeps its names, and who has its address now is not taken for it', () => {
    const at = world()
    const flow = { ...toApi, prefix: at.denied('api-uid', 'ingress'), first: at.now, last: at.now }
    at.now += 300
    const heir = pod({ uid: 'heir', namespace: 'shop', name: 'heir', node: 'n2', addresses: ['10.0.2.1'], createdAt: 5 })
    remove(at.inbox, 'pod', web)
    upsert(at.inbox, 'pod', heir)
    at.turn()
    const between = { ...flow, first: at.now, last: at.now }
    at.now += 30
    at.held()
    at.now += 300
    assert.deepEqual([at.record(flow).source.pod, at.record({ ...flow, first: at.now, last: at.now }).source.pod], ['web-1', 'heir'])
    // The kernel took it at some time in between.
    const open = at.record(between)
    assert.deepEqual([open.source.kind, open.source.namespace, open.source.pod, whys(open)], ['pod', 'shop', null, ['source ambiguous', 'ruleset_revision ambiguous']])
    // So do records of packets before and after.
    assert.deepEqual(whys(at.record({ ...flow, last: at.now })), ['source ambiguous'])
  })

  it('a local pod is told by its interface, whatever address it sends from', () => {
    const at = world()
    const record = at.record({ prefix: at.event('spoofed'), source: '10.0.2.1', destination: '10.0.9.9', inInterface: 20 })
    assert.deepEqual([record.reason, record.direction, record.source.pod, record.ip.source, record.destination.kind], ['SPOOFED', null, 'api-0', '10.0.2.1', 'external'])
  })

  it('a link that looks like a pod\'s, and is nobody\'s yet, says nothing; once it is somebody\'s, it always was', () => {
    const at = world()
    const late = pod({ uid: 'late', namespace: 'pay', name: 'late', node: 'n1', addresses: ['10.0.2.1'], createdAt: 9 })
    upsert(at.inbox, 'interface', hostInterface({ index: 31, hostRoutes: ['10.0.2.1'] }))
    at.settle()
    at.now += 10
    const flow = { prefix: at.event('unknown-interface'), source: '10.0.2.1', destination: '10.0.1.1', inInterface: 31, outInterface: 20, first: at.now, last: at.now }
    assert.deepEqual([at.record(flow).reason, at.record(flow).source.kind, whys(at.record(flow))], ['NOT_READY', 'external', ['source ambiguous']])
    at.now += 500
    remove(at.inbox, 'pod', web)
    upsert(at.inbox, 'pod', late)
    at.settle()
    at.now += 500
    assert.deepEqual([at.record(flow).source.pod, whys(at.record(flow))], ['late', []])
  })

  it('nodes by their addresses, and the rest is outside', () => {
    const at = world()
    const from = (source: string): FlowRecord['source'] => at.record({ ...toApi, source, prefix: at.denied('api-uid', 'ingress') }).source
    assert.deepEqual([from('192.168.1.2').kind, from('192.168.1.2').pod, from('192.168.1.2').node, from('203.0.113.1').kind], ['node', 'n2', 'n2', 'external'])
  })

  it('labels that changed meanwhile are those that it had all the time', () => {
    const at = world()
    const first = at.now
    at.now += 100
    upsert(at.inbox, 'pod', { ...web, labels: new Map([['app', 'web'], ['v', '2']]) } as Pod)
    at.settle()
    at.now += 100
    const record = at.record({ ...toApi, prefix: at.denied('api-uid', 'ingress'), first, last: at.now })
    assert.deepEqual([record.source.pod, record.source.labels, record.source.workload, whys(record)], ['web-1', { app: 'web' }, null, ['source.labels ambiguous']])
  })

  it('replies are told by the packet', () => {
    const at = world()
    assert.equal(at.record({ ...toApi, prefix: at.event('invalid'), tcpFlags: 0x12 }).is_reply, true)
    assert.deepEqual(at.record({ ...toApi, prefix: at.event('cut'), tcpFlags: 0xff }).l4.tcp_flags, ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'])
  })
})

describe('records: Services', () => {
  const ours = service({ uid: 'svc', namespace: 'pay', name: 'api', ports: [{ name: '', protocol: 'TCP', port: 443, nodePort: null }], clusterIps: ['10.96.0.9', 'fd00:96::9'] })
  const ends = slice([{ address: '10.0.1.1' }, { address: '10.0.1.7' }], { namespace: 'pay', service: 'api', name: 'api-s', uid: 'slice-uid' })
  const withService = (): AuditWorld => {
    const at = world()
    upsert(at.inbox, 'service', ours)
    upsert(at.inbox, 'slice', ends)
    at.settle()
    at.now += 1000
    return at
  }
  const NAMED = { namespace: 'pay', name: 'api', port: 443, cluster_ip: '10.96.0.9' }
  const endpointPort = (ends.ports as readonly { readonly port: number }[])[0]?.port ?? 8080

  it('is told by the list of endpoints in the mark, as it was called', () => {
    const at = withService()
    const flow = { ...toApi, prefix: at.denied('api-uid', 'ingress'), destinationPort: endpointPort, mark: at.markOf('svc') }
    assert.deepEqual([at.record(flow).destination.service, at.record(flow).undecided], [NAMED, []])
    assert.equal(at.record({ ...flow, mark: 0 }).destination.service, null)
    // Some other list, or somebody else's mark: no endpoint of it is there.
    const other = at.record({ ...flow, destination: '10.0.1.8', outInterface: 0 })
    assert.deepEqual([other.destination.service, whys(other)], [null, ['destination.service unresolved']])
    const foreign = at.record({ ...flow, prefix: at.allowed('api-uid', 'ingress', '0.0'), mark: 0x1 })
    assert.deepEqual([foreign.destination.service, whys(foreign).includes('destination.service ambiguous')], [null, true])
  })

  it('stays told after the endpoint left, and after the Service went', () => {
    const at = withService()
    const flow = { ...toApi, prefix: at.denied('api-uid', 'ingress'), destinationPort: endpointPort, mark: at.markOf('svc'), first: at.now, last: at.now }
    at.now += 100
    upsert(at.inbox, 'slice', { ...ends, endpoints: ends.endpoints.slice(1) })
    at.settle()
    at.now += 100
    assert.deepEqual(at.record(flow).destination.service, NAMED)
    assert.deepEqual(at.record({ ...flow, first: at.now, last: at.now }).destination.service, NAMED, 'a connection that began before')
    remove(at.inbox, 'service', ours)
    at.settle()
    at.now += 100
    assert.deepEqual([at.record(flow).destination.service, at.record(flow).undecided], [NAMED, []])
  })

  it('without endpoints is told by the address that was called', () => {
    const at = withService()
    upsert(at.inbox, 'slice', { ...ends, endpoints: [] })
    at.settle()
    at.now += 100
    const record = at.record({ prefix: at.event('service-rejected'), source: '10.0.1.1', inInterface: 20, destination: 'fd00:96::9', destinationPort: 443 })
    assert.deepEqual([record.reason, record.destination.kind, record.destination.namespace, record.destination.service], ['NO_ENDPOINT', 'service', 'pay', { ...NAMED, cluster_ip: 'fd00:96::9' }])
    const odd = at.record({ prefix: at.event('service-rejected'), source: '10.0.1.1', inInterface: 20, destination: '10.96.0.9', destinationPort: 9 })
    assert.deepEqual([odd.destination.service, odd.undecided], [{ ...NAMED, port: 9 }, []])
    remove(at.inbox, 'service', ours)
    at.settle()
    at.now += 100
    assert.equal(at.record({ prefix: at.event('service-rejected'), source: '10.0.1.1', destination: '10.96.0.9', destinationPort: 443 }).destination.service, null)
  })
})
