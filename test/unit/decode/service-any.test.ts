// Services and EndpointSlices of any values whatever: nothing throws, and what comes out is what a part of them says.
//
// **Invariant:** what is expected is worked out from the raw object and from numbers of addresses, not with decode/'s own means.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeEndpointSlice } from '../../../src/decode/endpoint-slice.ts'
import { decodeService } from '../../../src/decode/service.ts'
import type { Decoded } from '../../../src/model/changes.ts'
import { type Cidr, contains, familyOf, parseAddress, parseCidr, toBits } from '../../../src/model/ip.ts'
import type { EndpointSlice, Service } from '../../../src/model/service.ts'

type Raw = Record<string, unknown>

const NO_HOST = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32', '::/128', '::1/128', 'fe80::/10', 'ff00::/8', '::ffff:0:0/96'].map((text) => parseCidr(text) as Cidr)

const odd = fc.oneof(fc.constantFrom(null, '', 'x', 0, -1, 70_000, true, [], {}, [null], [[]], '\u202e\n\u0000', '__proto__'), fc.jsonValue({ maxDepth: 2 }))
const maybe = <T>(usual: fc.Arbitrary<T>): fc.Arbitrary<unknown> => fc.oneof({ weight: 25, arbitrary: usual }, { weight: 1, arbitrary: odd })
const record = (model: Record<string, fc.Arbitrary<unknown>>, ...requiredKeys: string[]): fc.Arbitrary<unknown> => maybe(fc.record(model, { requiredKeys }))
const list = (item: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> => maybe(fc.array(item, { maxLength: 4 }))

/** The first of them nine times of ten. */
const mostly = (usual: string, other: string): fc.Arbitrary<string> => fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, fc.constant(other))

const octet = fc.constantFrom(0, 1, 10, 127, 169, 192, 224, 239, 240, 254, 255)
const group = fc.constantFrom('0', '1', '00ff', 'ff02', 'FF0E', 'fe80', 'febf', 'fec0', 'fd00', 'ffff', '7f00')
const anyAddress = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', 'fd00::1', 'FD00::2', 'fd00::3') },
  fc.tuple(octet, octet, octet, octet).map((parts) => parts.join('.')),
  fc.array(group, { minLength: 8, maxLength: 8 }).map((parts) => parts.join(':')),
  fc.tuple(group, group).map((parts) => parts.join('::')),
  fc.constantFrom('::', '::1', '::ffff:10.0.0.1', '010.0.0.1', ' 10.0.0.1', 'fe80::1%eth0', 'example.com'),
)
const address = maybe(anyAddress)
const name = maybe(fc.oneof(fc.constantFrom('http', 'dns', '', 'x'), mostly('x-1', 'Bad')))
const protocol = maybe(fc.oneof(fc.constantFrom('TCP', 'UDP', 'SCTP'), mostly('TCP', 'tcp')))
const number = maybe(fc.oneof({ weight: 8, arbitrary: fc.integer({ min: 1, max: 99 }) }, fc.constantFrom(65_535, 65_536)))
const policy = maybe(fc.oneof(mostly('Cluster', 'local'), mostly('Local', 'local')))
const labels = record({
  'kubernetes.io/service-name': maybe(fc.constantFrom('web', 'Web')),
  app: maybe(fc.constant('web')),
})
const foreign = fc.constantFrom({}, {}, {}, { 'service.kubernetes.io/headless': '' }, { 'service.kubernetes.io/service-proxy-name': 'x' })

const service = fc.record({
  labels: maybe(foreign),
  spec: fc.record(
    {
      type: maybe(fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer', 'LoadBalancer', 'ExternalName', 'nodeport')),
      clusterIP: maybe(fc.oneof(mostly('10.96.0.1', 'fd00:96::1'), mostly('10.96.0.1', 'None'))),
      clusterIPs: fc.oneof(fc.constant(['10.96.0.1', 'fd00:96::1']), fc.constant(['10.96.0.1']), list(fc.oneof(fc.constantFrom('10.96.0.1', 'fd00:96::1', 'None'), address))),
      externalIPs: list(address),
      ports: list(record({ name, protocol, port: number, nodePort: number }, 'name', 'port')),
      externalTrafficPolicy: policy,
      internalTrafficPolicy: policy,
      sessionAffinity: maybe(fc.constantFrom('None', 'ClientIP')),
      sessionAffinityConfig: record({ clientIP: record({ timeoutSeconds: maybe(fc.constantFrom(1, 60, 86_400, 86_401)) }) }),
      loadBalancerSourceRanges: list(maybe(fc.oneof(fc.constantFrom('10.0.0.0/8', ' 192.0.2.1/24 ', 'fd00::/8'), mostly('10.0.0.0/33', '::ffff:10.0.0.0/104'), fc.constant('192.0.2.0/24')))),
      healthCheckNodePort: number,
    },
    { requiredKeys: [] },
  ),
  status: record({ loadBalancer: record({ ingress: list(record({ ip: address, ipMode: maybe(fc.constantFrom('VIP', 'Proxy')) }, 'ip')) }) }),
})

const slice = fc.record({
  labels: fc.oneof(labels, foreign, { weight: 6, arbitrary: fc.constant({ 'kubernetes.io/service-name': 'web' }) }),
  rest: fc.record({
    addressType: maybe(fc.oneof(mostly('IPv4', 'FQDN'), mostly('IPv6', 'ipv6'))),
    ports: list(record({ name, protocol, port: number }, 'port')),
    endpoints: list(
      record({
        addresses: maybe(fc.array(address, { minLength: 1, maxLength: 3 })),
        conditions: record({ ready: maybe(fc.boolean()), serving: maybe(fc.boolean()), terminating: maybe(fc.boolean()) }),
        nodeName: maybe(mostly('n1', 'N 1')),
        hints: record({ forZones: list(record({ name: maybe(fc.constantFrom('zone-a', 'zone-b')) })), forNodes: list(record({ name: maybe(fc.constant('n1')) })) }),
      }, 'addresses'),
    ),
  }),
})

function assertHost(text: string): void {
  assert.equal(parseAddress(text), text, 'canonical')
  const range = NO_HOST.find((cidr) => cidr.family === familyOf(text) && contains(cidr, toBits(text)))
  assert.equal(range, undefined, `${text} is in ${range?.text}`)
}

/** Every text in the raw value that is an address, in canonical form: nothing else may come out. */
function addressesIn(value: unknown): ReadonlySet<string> {
  const found = new Set<string>()
  JSON.stringify(value ?? null, (_key, part: unknown) => {
    if (typeof part === 'string') found.add(parseAddress(part) ?? '')
    return part
  })
  return found
}

function rowOf<Row extends object>(decoded: Decoded<Row>): Row | null {
  for (const { object, field, message } of decoded.problems) assert.doesNotMatch(`${object}${field}${message}`, /[\p{C}]/u)
  if (decoded.kind === 'bad') assert.equal(decoded.problems.some((p) => p.severity === 'error'), true)
  const row = decoded.kind === 'good' ? decoded.row : decoded.strict
  if (row !== null) for (const part of [row, ...Object.values(row)]) assert.equal(Object.isFrozen(part), true)
  return row
}

const absent = (value: unknown): boolean => value === undefined || value === null || value === ''

function assertPorts(ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[], raw: unknown): void {
  const keys = ports.map((port) => `${port.name} ${port.protocol}`)
  assert.equal(new Set(keys).size, keys.length, 'ports are told apart by name and protocol')
  for (const { name: called, protocol: over, port } of ports) {
    assert.ok(Number.isInteger(port) && port >= 1 && port <= 65_535)
    const given = (raw as Raw[]).some((item) => item?.['port'] === port && (item['name'] ?? '') === called && (absent(item['protocol']) ? 'TCP' : item['protocol']) === over)
    assert.ok(given, 'a port that the object has')
  }
}

function assertService(row: Service, { labels: given, spec, status }: { labels?: unknown; spec: Raw; status?: unknown }): void {
  for (const [found, raw] of [[row.clusterIps, [spec['clusterIP'], spec['clusterIPs']]], [row.externalIps, spec['externalIPs']], [row.loadBalancerIps, status]] as const) {
    const texts = addressesIn(raw)
    for (const text of found) {
      assertHost(text)
      assert.ok(texts.has(text))
    }
    assert.equal(new Set(found).size, found.length)
  }
  assert.equal(new Set(row.clusterIps.map(familyOf)).size, row.clusterIps.length)
  const type = absent(spec['type']) ? 'ClusterIP' : spec['type']
  const onNodes = type === 'NodePort' || type === 'LoadBalancer'
  if (type !== 'LoadBalancer') assert.deepEqual([row.loadBalancerIps, row.healthCheckNodePort], [[], null])
  const foreignLabel = JSON.stringify(given ?? {}).includes('service.kubernetes.io/')
  if (row.proxied) assert.ok(row.clusterIps.length > 0 && type !== 'ExternalName' && !foreignLabel && spec['clusterIP'] !== 'None')
  assertPorts(row.ports, spec['ports'])
  const nodePorts = row.ports.filter(({ nodePort }) => nodePort !== null)
  if (!onNodes) assert.deepEqual(nodePorts, [])
  assert.equal(new Set(nodePorts.map(({ nodePort, protocol: over }) => `${nodePort} ${over}`)).size, nodePorts.length)
  assert.equal(new Set(row.ports.map(({ port, protocol: over }) => `${port} ${over}`)).size, row.ports.length)
  const ranges = spec['loadBalancerSourceRanges']
  assert.equal(row.sourceRanges === null, ranges === undefined || ranges === null || (Array.isArray(ranges) && ranges.length === 0), 'anybody, where nothing is said only')
  for (const key of ['internalTrafficPolicy', 'externalTrafficPolicy'] as const) {
    const policyOf = key === 'internalTrafficPolicy' ? row.internalPolicy : row.externalPolicy
    const usable = key === 'internalTrafficPolicy' || onNodes || row.externalIps.length > 0
    const said = absent(spec[key]) || spec[key] === 'Cluster'
    if (said) assert.equal(policyOf, 'Cluster')
    else if (usable && type !== 'ExternalName') assert.equal(policyOf, 'Local')
  }
  if (row.affinity !== null) assert.ok(row.affinity >= 1 && row.affinity <= 86_400 && spec['sessionAffinity'] === 'ClientIP')
}

function assertSlice(row: EndpointSlice, raw: { rest: Raw }): void {
  if (row.service === null) assert.deepEqual([row.ports, row.endpoints], [[], []])
  assertPorts(row.ports, raw.rest['ports'])
  const addresses = row.endpoints.map((endpoint) => endpoint.address)
  assert.equal(new Set(addresses).size, addresses.length)
  const firsts = Array.isArray(raw.rest['endpoints']) ? raw.rest['endpoints'].map((item: Raw | null) => (item?.['addresses'] as unknown[] | undefined)?.[0]) : []
  const texts = addressesIn(firsts)
  for (const endpoint of row.endpoints) {
    assertHost(endpoint.address)
    assert.equal(familyOf(endpoint.address), row.family)
    assert.ok(texts.has(endpoint.address), 'the first of its addresses')
    assert.equal(raw.rest['addressType'], `IPv${row.family}`)
    for (const hints of [endpoint.zoneHints, endpoint.nodeHints]) assert.notEqual(hints?.length, 0)
    for (const condition of [endpoint.ready, endpoint.serving, endpoint.terminating]) assert.equal(typeof condition, 'boolean')
  }
}

describe('decode: any Service, any EndpointSlice', () => {
  it('rule 105: never throws, and gives the same twice, for any JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.boolean(), (value, within) => {
        const raw = within ? { metadata: { name: 'web' }, spec: value, status: value, ...(value as object) } : value
        assert.deepEqual(decodeService(raw, 'u'), decodeService(structuredClone(raw), 'u'))
        assert.deepEqual(decodeEndpointSlice(raw, 'u'), decodeEndpointSlice(structuredClone(raw), 'u'))
      }),
      { numRuns: 500 },
    )
  })

  it('a Service leads no further than it says, and to addresses of hosts only', () => {
    let [good, bad, proxied] = [0, 0, 0]
    fc.assert(
      fc.property(service, (value) => {
        const raw = { metadata: { name: 'web', namespace: 'shop', labels: value.labels }, spec: value.spec, status: value.status }
        const decoded = decodeService(raw, 'u')
        assert.deepEqual(decoded, decodeService(structuredClone(raw), 'u'))
        const row = rowOf(decoded)
        assert.ok(row !== null)
        assertService(row, value)
        if (decoded.kind === 'good') good += 1
        else bad += 1
        if (row.proxied) proxied += 1
      }),
      { numRuns: 2000 },
    )
    assert.ok(good > 50 && bad > 50 && proxied > 200, `${good} good, ${bad} bad, ${proxied} proxied`)
  })

  it('an EndpointSlice has addresses of hosts of its family only, each once, and ports of its own', () => {
    let endpoints = 0
    fc.assert(
      fc.property(slice, (value) => {
        const raw = { metadata: { name: 'web-1', namespace: 'shop', labels: value.labels }, ...value.rest }
        const decoded = decodeEndpointSlice(raw, 'u')
        assert.deepEqual(decoded, decodeEndpointSlice(structuredClone(raw), 'u'))
        const row = rowOf(decoded)
        assert.ok(row !== null)
        assertSlice(row, value)
        endpoints += row.endpoints.length
      }),
      { numRuns: 2000 },
    )
    assert.ok(endpoints > 300, `${endpoints} endpoints`)
  })
})
