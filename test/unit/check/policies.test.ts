// What policies that are there will do: whom they isolate, and what their authors may not expect.
//
// Raw objects, as the API has them, through the same decoder and compiler as everything else.
// **Invariant:** each warning has a cluster that has it, and the same cluster without the fault that has not.
import assert from 'node:assert/strict'
import { compile } from '../../../src/check/compiled.ts'
import { judgePolicies, type PolicyReport } from '../../../src/check/policies.ts'
import { serviceOf } from '../../../src/check/raw.ts'
import { decodeObject } from '../../../src/decode/decode.ts'
import type { SourceEvent } from '../../../src/model/changes.ts'

type Fields = Readonly<Record<string, unknown>>

function event(kind: string, namespace: string, name: string, fields: Fields, labels: Fields = {}): SourceEvent {
  const key = `${kind}/${namespace}/${name}`
  const raw = { kind, metadata: { ...(namespace === '' ? {} : { namespace }), name, uid: key, labels }, ...fields }
  return { verb: 'upsert', key, ...decodeObject(kind, raw, key) } as SourceEvent
}

function pod(name: string, ip: string, { spec = {}, namespace = 'shop', labels = { app: name } }: { readonly spec?: Fields; readonly namespace?: string; readonly labels?: Fields } = {}): SourceEvent {
  const containers = [{ name: 'main', ports: [{ name: 'http', containerPort: 8080 }] }]
  return event('Pod', namespace, name, { spec: { nodeName: 'n1', containers, ...spec }, status: { phase: 'Running', podIPs: [{ ip }] } }, labels)
}

const policy = (name: string, spec: Fields): SourceEvent => event('NetworkPolicy', 'shop', name, { spec: { podSelector: {}, ...spec } })
const DNS = pod('coredns-1', '10.0.9.9', { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } })
const WORLD = [
  ...['shop', 'kube-system'].map((name) => event('Namespace', '', name, {})),
  event('Node', '', 'n1', { status: { addresses: [{ type: 'InternalIP', address: '192.168.0.1' }] } }),
  pod('web', '10.0.0.1'), pod('db', '10.0.0.2'), DNS,
]
const SERVICES = [
  serviceOf({ metadata: { namespace: 'kube-system', name: 'kube-dns' }, spec: { clusterIP: '10.96.0.10', selector: { 'k8s-app': 'kube-dns' }, ports: [{ port: 53, protocol: 'UDP' }, { port: 53, protocol: 'TCP' }] } }),
  serviceOf({ metadata: { namespace: 'shop', name: 'db' }, spec: { clusterIPs: ['10.96.0.20', 'fd00::20'], ports: [{ port: 80, targetPort: 'http' }] } }),
  serviceOf({ metadata: { namespace: 'shop', name: 'headless' }, spec: { clusterIP: 'None' } }),
]
const TO_DNS = { to: [{ namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }], ports: [{ protocol: 'UDP', port: 53 }] }

function report(events: readonly SourceEvent[], hasNodeLocalDns = false): PolicyReport {
  return judgePolicies(compile([...WORLD, ...events]), SERVICES, hasNodeLocalDns)
}
/** What is not ok, as texts. */
const surprises = (...events: readonly SourceEvent[]): readonly string[] => report(events).findings.flatMap(({ level, found }) => (level === 'ok' ? [] : [`${level}: ${found}`]))

describe('check: what policies will do', () => {
  it('none: nothing changes', () => assert.deepEqual(report([]).findings.map(({ level, found }) => [level, found]), [['ok', 'no NetworkPolicy is there: nothing changes for any pod']]))
  it('whom they isolate, in which direction, and whom each selects', () => {
    const { findings, effects } = report([policy('web-in', { podSelector: { matchLabels: { app: 'web' } }, ingress: [] }), policy('all-out', { policyTypes: ['Egress'], egress: [TO_DNS] })])
    assert.deepEqual(findings.map(({ level, found }) => [level, found]), [['ok', '2 NetworkPolicies; of 3 pods isolated: 1 for ingress, 2 for egress']])
    assert.deepEqual(effects.map(({ name, pods, isolates }) => [name, pods, isolates]), [['all-out', 2, ['egress']], ['web-in', 1, ['ingress']]])
  })
  it('one that selects no pod', () => {
    assert.deepEqual(surprises(policy('typo', { podSelector: { matchLabels: { app: 'wbe' } } })), ['warning: 1 policy selects no pod: shop/typo'])
  })
  it('one that selects pods of the network of their node', () => {
    const host = pod('host', '192.168.0.1', { spec: { hostNetwork: true } })
    assert.deepEqual(surprises(host, policy('all', { ingress: [] })), ['warning: 1 policy selects pods of the network of their node: shop/all'])
    assert.deepEqual(surprises(host, policy('web', { podSelector: { matchLabels: { app: 'web' } }, ingress: [] })), [])
  })
  it('egress that leads no packet to the DNS', () => {
    const closed = policy('out', { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Egress'], egress: [{ ports: [{ port: 80 }] }] })
    assert.deepEqual(surprises(closed), ['warning: pods that may not ask the DNS of the cluster, as no egress rule leads there: shop (1 pod, by out)'])
    assert.deepEqual(report([closed], true).findings.filter(({ level }) => level !== 'ok'), [])
    for (const rule of [TO_DNS, { ports: [{ protocol: 'TCP', port: 53 }] }, {}, { to: [{ ipBlock: { cidr: '10.0.9.0/24' } }] }]) {
      assert.deepEqual(surprises(policy('out', { policyTypes: ['Egress'], egress: [rule] })), [], JSON.stringify(rule))
    }
    // The Service's own address is not what policies see.
    assert.equal(surprises(policy('out', { policyTypes: ['Egress'], egress: [{ to: [{ ipBlock: { cidr: '10.96.0.10/32' } }] }] })).length, 2)
  })
  it('a port by a name that nobody has: of the selected pods for ingress, of the destinations for egress', () => {
    assert.deepEqual(surprises(policy('in', { ingress: [{ ports: [{ port: 'http' }, { port: 'metrics' }] }] })), ['warning: 1 policy names a port that no pod has: shop/in'])
    assert.deepEqual(report([policy('in', { ingress: [{}, { ports: [{ port: 'metrics' }] }] })]).effects[0]?.unknownPorts, ['spec.ingress[1]: metrics/TCP'])
    assert.deepEqual(surprises(policy('in', { ingress: [{ ports: [{ port: 'http' }] }] })), [])
    const out = (port: string, protocol = 'TCP'): SourceEvent => policy('out', { policyTypes: ['Egress'], egress: [TO_DNS, { to: [{ podSelector: { matchLabels: { app: 'db' } } }], ports: [{ port, protocol }] }] })
    assert.deepEqual(surprises(out('http')), [])
    for (const bad of [out('web'), out('http', 'UDP')]) assert.match(surprises(bad).join(), /names a port that no pod has/)
  })
  it('an ipBlock of Services only: of others too it is as meant', () => {
    const to = (cidr: string, except: readonly string[] = []): SourceEvent => policy('out', { policyTypes: ['Egress'], egress: [TO_DNS, { to: [{ ipBlock: { cidr, except } }] }] })
    for (const cidr of ['10.96.0.0/16', '10.96.0.20/32', 'fd00::/64']) assert.match(surprises(to(cidr)).join(), /1 policy has an ipBlock of Services' addresses: shop\/out/, cidr)
    for (const [cidr, except] of [['0.0.0.0/0', []], ['10.0.0.0/8', []], ['192.0.2.0/24', []], ['10.96.0.0/24', ['10.96.0.0/26']]] as const) assert.deepEqual(surprises(to(cidr, except)), [], cidr)
  })
  it('objects that cannot be read: an error that names object and field', () => {
    const [found, ...others] = surprises(policy('bad', { ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/99' } }] }] }))
    assert.deepEqual(others, [])
    assert.match(found ?? '', /^error: objects that cannot be read as they are: NetworkPolicy shop\/bad: spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr/)
  })
})
