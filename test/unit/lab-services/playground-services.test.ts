// What the lab makes of Services in a folder of manifests: addresses, node ports, EndpointSlices, ways in, and how they are asked for.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { ControlPlane, type Decided } from '../../../src/lab/control-plane.ts'
import type { Somebody } from '../../../src/lab/matrix.ts'
import { isNodePort, serviceKeyOf, serviceTarget } from '../../../src/lab/service-targets.ts'
import { SourceFolder } from '../../../src/lab/source-folder.ts'

interface Written {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid: string; readonly labels?: Record<string, string> }
  readonly spec: Record<string, unknown>
  readonly status?: unknown
  readonly addressType?: string
  readonly ports?: unknown
  readonly endpoints?: readonly { readonly addresses: readonly string[]; readonly nodeName: string; readonly conditions: Record<string, boolean>; readonly targetRef: { readonly name: string; readonly uid: string }; readonly hints?: unknown }[]
}

const NODES = ['n1', 'n2'].map((name, index) => ({ name, netns: '', addresses: [`192.168.61.${11 + index}`, `fd00:61::${11 + index}`] }))
const pod = (name: string, node: string, rest: string, labels = '{app: web}'): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: shop, labels: ${labels}}\nspec: {nodeName: ${node}, ${rest}}`
const http = (port: number): string => `containers: [{name: c, ports: [{containerPort: ${port}, name: http}]}]`
const service = (name: string, spec: string, rest = ''): string => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: shop}\nspec: ${spec}\n${rest}`
const WEB = '{selector: {app: web}, ports: [{port: 80, targetPort: http}]}'

describe('Services of a playground', () => {
  let dir = ''
  let plane: ControlPlane
  beforeEach(() => {
    dir = mkdtempSync(path.join(os.tmpdir(), 'picket-lab-test-'))
    plane = new ControlPlane(NODES, () => 1_700_000_000_000)
  })
  afterEach(() => rmSync(dir, { recursive: true }))

  const decide = async (...documents: readonly string[]): Promise<Decided> => {
    writeFileSync(path.join(dir, 'all.yaml'), documents.join('\n---\n'))
    return plane.decide(await new SourceFolder(dir).read())
  }
  const mirrored = (decided: Decided): readonly Written[] => (decided.wanted.files.get('all.yaml') ?? '').split(/^---\n/m).map((text) => JSON.parse(text) as Written)
  const slices = (decided: Decided): readonly Written[] =>
    (JSON.parse(decided.wanted.files.get('picket-lab-objects.json') ?? '{}') as { items: Written[] }).items.filter((one) => one.kind === 'EndpointSlice')
  const specOf = (decided: Decided, name: string): Record<string, unknown> => mirrored(decided).find((one) => one.metadata.name === name)?.spec ?? {}

  it('a Service gets a ClusterIP of the families that it asks for, and keeps it', async () => {
    const documents = [service('one', WEB), service('both', '{ipFamilyPolicy: PreferDualStack, ports: []}'), service('six', '{ipFamilies: [IPv6]}'), service('own', '{clusterIP: 10.96.0.10}')]
    const before = await decide(...documents)
    assert.deepEqual(['one', 'both', 'six', 'own'].map((name) => specOf(before, name)['clusterIPs']), [['10.96.0.11'], ['10.96.0.12', 'fd00:96::a'], ['fd00:96::b'], ['10.96.0.10']])
    const after = await decide(...documents.slice(1), service('new', '{}'), service('one', WEB))
    assert.deepEqual(specOf(after, 'one')['clusterIPs'], ['10.96.0.11'])
    assert.deepEqual(specOf(after, 'new')['clusterIPs'], ['10.96.0.13'])
    assert.deepEqual(specOf(after, 'both')['ipFamilies'], ['IPv4', 'IPv6'])
  })

  it('headless and ExternalName Services get nothing', async () => {
    const decided = await decide(service('none', '{clusterIP: None, selector: {app: web}}'), service('name', '{type: ExternalName, externalName: a.example}'))
    assert.deepEqual(['none', 'name'].map((name) => specOf(decided, name)), [{ clusterIP: 'None', selector: { app: 'web' } }, { type: 'ExternalName', externalName: 'a.example' }])
    assert.deepEqual(decided.services.map(({ addresses }) => addresses), [[], []])
  })

  it('node ports for NodePort and LoadBalancer, besides those of the folder; a load balancer gets an address, and a way there from outside', async () => {
    const ports = 'ports: [{port: 53, protocol: UDP}, {port: 80, nodePort: 30000}, {port: 443}]'
    const decided = await decide(service('np', `{type: NodePort, ${ports}}`), service('lb', '{type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80}]}'), pod('a', 'n2', http(8080)))
    assert.deepEqual(specOf(decided, 'np')['ports'], [{ port: 53, protocol: 'UDP', nodePort: 30000 }, { port: 80, nodePort: 30000 }, { port: 443, nodePort: 30001 }])
    const [np, lb] = decided.services
    assert.deepEqual(np?.nodePorts, ['30000/udp', '30000/tcp', '30001/tcp'])
    assert.deepEqual(lb?.external, ['198.51.100.10'])
    assert.deepEqual(mirrored(decided)[1]?.status, { loadBalancer: { ingress: [{ ip: '198.51.100.10' }] } })
    assert.equal(specOf(decided, 'lb')['healthCheckNodePort'], 30003)
    assert.deepEqual([...(decided.wanted.routes ?? [])], [['198.51.100.10', 'n2']])
    assert.equal(isNodePort({ protocol: 'UDP', port: 30000 }, decided.services), true)
    assert.equal(isNodePort({ protocol: 'SCTP', port: 30000 }, decided.services), false)
  })

  it('external addresses lead to a node, and what the folder says of a load balancer stays', async () => {
    const decided = await decide(service('lb', '{type: LoadBalancer, externalIPs: [203.0.113.9], ports: [{port: 80}]}', 'status: {loadBalancer: {ingress: [{ip: 203.0.113.8, ipMode: Proxy}]}}'))
    assert.deepEqual([...(decided.wanted.routes ?? [])], [['203.0.113.8', 'n1'], ['203.0.113.9', 'n1']])
    assert.deepEqual(mirrored(decided)[0]?.status, { loadBalancer: { ingress: [{ ip: '203.0.113.8', ipMode: 'Proxy' }] } })
  })

  it('derives a slice for each family and each set of target ports, of the pods that run and are selected', async () => {
    const documents = [
      service('web', '{ipFamilyPolicy: RequireDualStack, selector: {app: web}, ports: [{port: 80, targetPort: http}]}'),
      pod('a', 'n1', http(8080)), pod('b', 'n2', http(9090)), pod('c', 'n1', http(8080)), pod('other', 'n1', http(8080), '{app: api}'),
      pod('unnamed', 'n1', 'containers: []'), `${pod('done', 'n1', http(8080))}\nstatus: {phase: Succeeded}`,
    ]
    const derived = slices(await decide(...documents))
    assert.deepEqual(derived.map(({ metadata, addressType, ports, endpoints }) => [metadata.name, addressType, ports, endpoints?.map(({ targetRef }) => targetRef.name)]), [
      ['web-ipv4-1', 'IPv4', [{ name: '', protocol: 'TCP', port: 8080 }], ['a', 'c']],
      ['web-ipv4-2', 'IPv4', [{ name: '', protocol: 'TCP', port: 9090 }], ['b']],
      ['web-ipv6-1', 'IPv6', [{ name: '', protocol: 'TCP', port: 8080 }], ['a', 'c']],
      ['web-ipv6-2', 'IPv6', [{ name: '', protocol: 'TCP', port: 9090 }], ['b']],
    ])
    const [first] = derived
    assert.deepEqual(first?.metadata.labels, { 'kubernetes.io/service-name': 'web' })
    assert.deepEqual(first?.endpoints?.map(({ addresses, nodeName, conditions }) => [addresses, nodeName, conditions])[0], [['10.244.1.2'], 'n1', { ready: true, serving: true, terminating: false }])
    assert.notEqual(first?.metadata.uid, derived[1]?.metadata.uid)
    assert.deepEqual(slices(await decide(...documents)).map(({ metadata }) => metadata.uid), derived.map(({ metadata }) => metadata.uid))
  })

  it('numbers and named ports side by side; the port itself where no target is said', async () => {
    const [slice] = slices(await decide(service('web', '{selector: {app: web}, ports: [{name: a, port: 1, targetPort: 8080}, {name: b, port: 2}, {name: c, port: 3, targetPort: dns}]}'), pod('a', 'n1', http(80))))
    assert.deepEqual(slice?.ports, [{ name: 'a', protocol: 'TCP', port: 8080 }, { name: 'b', protocol: 'TCP', port: 2 }])
  })

  it('a pod that the folder calls not ready is not, unless the Service publishes those too', async () => {
    const unready = `${pod('a', 'n1', http(80))}\nstatus: {conditions: [{type: Ready, status: "False"}]}`
    const [web, all] = slices(await decide(service('web', WEB), service('all', '{selector: {app: web}, publishNotReadyAddresses: true, ports: [{port: 80}]}'), unready))
    assert.deepEqual(web?.endpoints?.[0]?.conditions, { ready: false, serving: false, terminating: false })
    assert.deepEqual(all?.endpoints?.[0]?.conditions, { ready: true, serving: true, terminating: false })
  })

  it('hints for a Service that prefers what is near', async () => {
    const node = 'apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: z1}}'
    const near = (name: string, how: string): string => service(name, `{selector: {app: web}, trafficDistribution: ${how}, ports: [{port: 80}]}`)
    const [zone, own, none] = slices(await decide(node, near('zone', 'PreferClose'), near('own', 'PreferSameNode'), service('none', WEB), pod('a', 'n1', http(80))))
    assert.deepEqual([zone, own, none].map((one) => one?.endpoints?.[0]?.hints), [{ forZones: [{ name: 'z1' }] }, { forZones: [{ name: 'z1' }], forNodes: [{ name: 'n1' }] }, undefined])
  })

  it('derives none where the folder has one, and none without a selector', async () => {
    const own = 'apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s, namespace: shop, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nendpoints: [{addresses: [10.1.1.1], nodeName: n2}]\nports: [{port: 80}]'
    const decided = await decide(service('web', '{type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80}]}'), service('bare', '{ports: [{port: 80}]}'), own, pod('a', 'n1', http(80)))
    assert.deepEqual(slices(decided), [])
    assert.equal(mirrored(decided).find((one) => one.kind === 'EndpointSlice')?.metadata.name, 's')
    assert.deepEqual([...(decided.wanted.routes ?? [])], [['198.51.100.10', 'n2']])
  })

  it('is asked by name: from inside its ClusterIPs, from outside those of its load balancer', async () => {
    const { services } = await decide(service('lb', '{type: LoadBalancer, ports: [{port: 80}]}'), service('np', '{type: NodePort, ports: [{port: 80}]}'), service('none', '{clusterIP: None}'))
    const source = (kind: 'outside' | 'pod'): Somebody => ({ label: kind, source: kind === 'outside' ? { kind } : { kind, key: 'shop/a' }, party: { key: kind, node: null }, addresses: [], ports: [] })
    assert.equal(serviceKeyOf('shop/svc/lb'), 'shop/lb')
    for (const label of ['shop/lb', 'svc/lb', '10.0.0.1', 'node:n1', 'outside']) assert.equal(serviceKeyOf(label), null)
    const asked = (name: string, kind: 'outside' | 'pod'): Somebody => serviceTarget(`shop/svc/${name}`, `shop/${name}`, source(kind), services)
    assert.deepEqual(asked('lb', 'pod').addresses, ['10.96.0.10'])
    assert.deepEqual(asked('lb', 'outside').addresses, ['198.51.100.10'])
    assert.deepEqual(asked('lb', 'pod').ports, [{ protocol: 'TCP', port: 80 }])
    assert.throws(() => asked('np', 'outside'), /no address to ask from outside; ask a node for its node port: --to node:NAME --port 30001\/tcp/)
    assert.throws(() => asked('none', 'pod'), /headless.*ask its pods/)
    assert.throws(() => asked('gone', 'pod'), /there is no such Service; there are shop\/svc\/lb/)
  })
})
