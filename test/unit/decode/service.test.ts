// What a Service becomes, and what of a bad one stands in where no good version is known.
import assert from 'node:assert/strict'
import { decodeService } from '../../../src/decode/service.ts'
import type { Service } from '../../../src/model/service.ts'
import { fieldsOf, good, strict } from './support.ts'

type Parts = { readonly metadata?: object; readonly status?: unknown; readonly apiVersion?: unknown }

const HTTP = { name: 'http', port: 80 }
const V4 = '10.96.0.10'
const V6 = 'fd00:96::10'

/** A Service with cluster addresses of both families and a port, and what `spec` says beside or instead. */
const service = (spec: object = {}, parts: Parts = {}) =>
  decodeService(
    {
      apiVersion: parts.apiVersion ?? 'v1',
      kind: 'Service',
      metadata: { namespace: 'shop', name: 'web', ...parts.metadata },
      spec: { clusterIP: V4, clusterIPs: [V4, V6], ports: [HTTP], ...spec },
      status: parts.status,
    },
    'u1',
    's',
  )
const balanced = (ingress: unknown, spec: object = {}) => service({ type: 'LoadBalancer', ...spec }, { status: { loadBalancer: { ingress } } })

/** Bad because of these fields, and its strict row. */
function bad(decoded: ReturnType<typeof service>, ...fields: string[]): Service {
  const row = strict(decoded)
  assert.deepEqual(fieldsOf(decoded), fields)
  return row
}

function absent(decoded: ReturnType<typeof service>, ...fields: string[]): void {
  assert.deepEqual([decoded.kind, (decoded as { strict: unknown }).strict, fieldsOf(decoded)], ['bad', null, fields])
}

describe('decode: Service', () => {
  it('reads everything that is kept', () => {
    const row = good(
      balanced([{ ip: '203.0.113.10' }, { ip: 'FD00:203::10', ipMode: 'VIP' }], {
        externalIPs: ['192.0.2.7', 'fd00:192::7', '192.0.2.7'],
        ports: [{ name: 'http', port: 80, nodePort: 30_080, targetPort: 'http' }, { name: 'dns', port: 53, protocol: 'UDP', nodePort: 30_053 }, { name: 's', port: 80, protocol: 'SCTP' }],
        externalTrafficPolicy: 'Local',
        internalTrafficPolicy: 'Local',
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
        loadBalancerSourceRanges: ['192.0.2.9/24', 'fd00:1::/32', '192.0.2.0/24'],
        healthCheckNodePort: 31_000,
      }),
    )
    assert.deepEqual({ ...row, sourceRanges: row.sourceRanges?.map((cidr) => cidr.text) }, {
      uid: 'u1', namespace: 'shop', name: 'web', createdAt: 0, proxied: true, clusterIps: [V4, V6], externalIps: ['192.0.2.7', 'fd00:192::7'],
      loadBalancerIps: ['203.0.113.10', 'fd00:203::10'], sourceRanges: ['192.0.2.0/24', 'fd00:1::/32'],
      ports: [
        { name: 'http', protocol: 'TCP', port: 80, nodePort: 30_080 },
        { name: 'dns', protocol: 'UDP', port: 53, nodePort: 30_053 },
        { name: 's', protocol: 'SCTP', port: 80, nodePort: null },
      ],
      internalPolicy: 'Local', externalPolicy: 'Local', affinity: 60, healthCheckNodePort: 31_000,
    })
    assert.equal(good(service({}, { metadata: { creationTimestamp: '1970-01-01T00:00:01Z' } })).createdAt, 1000)
  })

  it('writes the defaults of the API out, for fields that are absent, null, and as protobuf has those that were not given', () => {
    const plain = good(service({}))
    assert.deepEqual(
      [plain.proxied, plain.internalPolicy, plain.externalPolicy, plain.affinity, plain.sourceRanges, plain.healthCheckNodePort, plain.ports],
      [true, 'Cluster', 'Cluster', null, null, null, [{ name: 'http', protocol: 'TCP', port: 80, nodePort: null }]],
    )
    const empty = { type: '', externalTrafficPolicy: '', internalTrafficPolicy: '', sessionAffinity: '', healthCheckNodePort: 0, loadBalancerSourceRanges: [], externalIPs: [] }
    const written = service({ ...empty, ports: [{ ...HTTP, protocol: '', nodePort: 0 }] })
    assert.deepEqual([good(written), written.problems], [plain, []])
    assert.equal(good(service({ type: 'NodePort', ports: [{ ...HTTP, nodePort: 0 }] })).ports[0]?.nodePort, null)
    const none = Object.fromEntries(Object.keys(empty).map((key) => [key, null]))
    assert.deepEqual(good(service({ ...none, ports: [{ ...HTTP, protocol: null, nodePort: null }] })), plain)
  })

  it('headless, ExternalName, without address and of another proxy: nothing is translated', () => {
    const proxied = (spec: object, labels?: unknown) => good(service(spec, { metadata: { labels } })).proxied
    assert.equal(proxied({}, { app: 'web' }), true)
    assert.equal(proxied({ clusterIP: 'None', clusterIPs: ['None'] }), false)
    assert.equal(proxied({ clusterIP: 'None', clusterIPs: undefined }), false)
    assert.equal(proxied({ clusterIP: undefined, clusterIPs: ['None'] }), false)
    assert.equal(proxied({ clusterIP: '', clusterIPs: [] }), false)
    assert.equal(proxied({ clusterIP: undefined, clusterIPs: undefined }), false)
    assert.equal(proxied({ type: 'ExternalName', externalName: 'example.com' }), false)
    for (const value of ['cilium', '', null]) {
      assert.equal(proxied({}, { 'service.kubernetes.io/service-proxy-name': value }), false)
      assert.equal(proxied({}, { 'service.kubernetes.io/headless': value }), false)
    }
    assert.equal(bad(service({}, { metadata: { labels: 'x' } }), 'metadata.labels').proxied, false)
  })

  it('cluster addresses: clusterIP alone, clusterIPs alone, either family first', () => {
    const of = (spec: object) => good(service({ clusterIP: undefined, clusterIPs: undefined, ...spec })).clusterIps
    assert.deepEqual(of({ clusterIP: V4 }), [V4])
    assert.deepEqual(of({ clusterIP: 'FD00:96::10' }), [V6])
    assert.deepEqual(of({ clusterIPs: [V6, V4] }), [V6, V4])
    assert.deepEqual(of({ clusterIP: 'fd00:96:0::10', clusterIPs: [V6] }), [V6])
  })

  it('node ports are of the types that have them; a type that has none may keep one that is not used', () => {
    const ports = [{ ...HTTP, nodePort: 30_080 }]
    for (const type of ['NodePort', 'LoadBalancer']) assert.equal(good(service({ type, ports })).ports[0]?.nodePort, 30_080)
    const plain = service({ ports })
    assert.deepEqual([good(plain).ports[0]?.nodePort, plain.problems.map((p) => [p.severity, p.field])], [null, [['warning', 'spec.ports[0].nodePort']]])
  })

  it('externalTrafficPolicy counts where traffic can come from outside, the health check port only for load balancers with Local', () => {
    const external = (spec: object) => {
      const row = good(service({ externalTrafficPolicy: 'Local', healthCheckNodePort: 31_000, ...spec }))
      return [row.externalPolicy, row.healthCheckNodePort]
    }
    assert.deepEqual(external({}), ['Cluster', null])
    assert.deepEqual(external({ externalIPs: ['192.0.2.7'] }), ['Local', null])
    assert.deepEqual(external({ type: 'NodePort' }), ['Local', null])
    assert.deepEqual(external({ type: 'LoadBalancer' }), ['Local', 31_000])
    assert.deepEqual(external({ type: 'LoadBalancer', externalTrafficPolicy: 'Cluster' }), ['Cluster', null])
    assert.deepEqual(external({ type: 'ExternalName', externalIPs: ['192.0.2.7'] }), ['Cluster', null])
  })

  it('addresses of a load balancer: those with ipMode VIP, of type LoadBalancer', () => {
    const ingress = [{ ip: '203.0.113.1', ipMode: 'Proxy' }, { hostname: 'lb.example.com' }, { ip: '', hostname: 'x' }, { ip: 'fd00:203::2' }, { ip: '203.0.113.3', ipMode: 'VIP', ports: [] }]
    const decoded = balanced(ingress)
    assert.deepEqual([good(decoded).loadBalancerIps, decoded.problems], [['fd00:203::2', '203.0.113.3'], []])
    assert.deepEqual(good(balanced(ingress, { type: 'NodePort' })).loadBalancerIps, [])
    assert.deepEqual(good(service({ type: 'LoadBalancer' }, { status: { loadBalancer: {} } })).loadBalancerIps, [])
  })

  it('what a controller wrote wrongly into the status is left out, and the Service is good', () => {
    const decoded = balanced([{ ip: 'x' }, { ip: '127.0.0.1' }, { ip: '203.0.113.1', ipMode: 'proxy' }, 'y', { ip: '203.0.113.2' }])
    assert.deepEqual(good(decoded).loadBalancerIps, ['203.0.113.2'])
    const field = (i: number, rest: string) => `status.loadBalancer.ingress[${i}]${rest}`
    assert.deepEqual(fieldsOf(decoded), [field(0, '.ip'), field(1, '.ip'), field(2, '.ipMode'), field(3, '')])
    assert.equal(decoded.problems.every((p) => p.severity === 'error' && p.source === 's' && p.object === 'Service shop/web'), true)
  })

  it('blanks around a source range are allowed, as the API lets them pass', () => {
    assert.deepEqual(good(service({ loadBalancerSourceRanges: [' 192.0.2.0/24 ', '\tfd00::/8\n'] })).sourceRanges?.map((c) => c.text), ['192.0.2.0/24', 'fd00::/8'])
  })

  it('session affinity: three hours unless it says otherwise; its config without it does not matter', () => {
    const affinity = (spec: object) => good(service(spec)).affinity
    assert.equal(affinity({ sessionAffinity: 'ClientIP' }), 10_800)
    assert.equal(affinity({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: {} } }), 10_800)
    for (const timeoutSeconds of [1, 86_400]) assert.equal(affinity({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds } } }), timeoutSeconds)
    assert.equal(affinity({ sessionAffinity: 'None', sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } }), null)
  })
})

describe('decode: a bad Service', () => {
  it('without a name, a spec, or of another API group counts as absent', () => {
    absent(service({}, { metadata: { name: 'a.b' } }), 'metadata.name')
    absent(service({}, { metadata: { namespace: 'A' } }), 'metadata.namespace')
    absent(decodeService({ metadata: { name: 'web' } }, 'u1'), 'spec')
    absent(decodeService({ metadata: { name: 'web' }, spec: [] }, 'u1'), 'spec')
    absent(service({}, { apiVersion: 'serving.knative.dev/v1' }), 'apiVersion')
    absent(decodeService('x', 'u1'), undefined as never)
  })

  it('addresses that cannot be read, or that a node has for itself, are left out', () => {
    for (const wrong of ['x', 5, '', null, '10.96.0.10/32', '010.96.0.10', '::ffff:10.96.0.10', '127.0.0.1', '169.254.169.254', '224.0.0.1', '0.0.0.0', '255.255.255.255', '::', '::1', 'fe80::1', 'ff02::1']) {
      assert.deepEqual(bad(service({ externalIPs: [wrong, '192.0.2.7'] }), 'spec.externalIPs[0]').externalIps, ['192.0.2.7'])
      const second = bad(service({ clusterIPs: [V4, wrong] }), 'spec.clusterIPs[1]')
      assert.deepEqual([second.clusterIps, second.proxied], [[V4], true])
      if (wrong === '' || wrong === null) continue
      const only = bad(service({ clusterIP: wrong, clusterIPs: undefined }), 'spec.clusterIP')
      assert.deepEqual([only.clusterIps, only.proxied], [[], false])
    }
    assert.deepEqual(bad(service({ externalIPs: '192.0.2.7' }), 'spec.externalIPs').externalIps, [])
  })

  it('two cluster addresses of one family, or a first one that is not clusterIP, serve nothing that is in doubt', () => {
    assert.deepEqual(bad(service({ clusterIPs: [V4, '10.96.0.11', V6] }), 'spec.clusterIPs[1]').clusterIps, [V4, V6])
    const doubt = bad(service({ clusterIP: '10.96.0.99' }), 'spec.clusterIPs[0]')
    assert.deepEqual([doubt.clusterIps, doubt.proxied], [[], false])
  })

  it('ports that cannot be read are left out, and the others stay', () => {
    const port = (entry: unknown, field: string) => {
      const row = bad(service({ ports: [entry, { name: 'dns', port: 53, protocol: 'UDP' }] }), `spec.ports[0]${field}`)
      assert.deepEqual(row.ports.map((p) => p.name), ['dns'])
    }
    for (const wrong of [0, 65_536, -1, 1.5, '80', null, NaN, true]) port({ name: 'a', port: wrong }, '.port')
    port({ name: 'a', port: 80, protocol: 'tcp' }, '.protocol')
    for (const wrong of ['A', 'a_b', 'x'.repeat(64), 5]) port({ name: wrong, port: 80 }, '.name')
    port('x', '')
    assert.deepEqual(bad(service({ ports: 'x' }), 'spec.ports').ports, [])
  })

  it('without ports it is bad where it has an address to be reached at', () => {
    for (const ports of [undefined, null, []]) assert.deepEqual(bad(service({ ports }), 'spec.ports').ports, [])
    assert.deepEqual(good(service({ ports: [], clusterIP: 'None', clusterIPs: ['None'] })).ports, [])
    assert.deepEqual(good(service({ ports: [], type: 'ExternalName' })).ports, [])
  })

  it('of two ports with the same protocol and number, or name, the first has it', () => {
    const same = bad(service({ ports: [HTTP, { name: 'other', port: 80 }, { name: 'udp', port: 80, protocol: 'UDP' }] }), 'spec.ports[1].port')
    assert.deepEqual(same.ports.map((p) => p.name), ['http', 'udp'])
    assert.deepEqual(bad(service({ ports: [HTTP, { name: 'http', port: 81 }] }), 'spec.ports[1].name').ports.map((p) => p.port), [80])
    assert.deepEqual(bad(service({ ports: [{ port: 80 }, { port: 81 }] }), 'spec.ports[1].name').ports.map((p) => p.port), [80])
  })

  it('of two ports with the same node port the first has it, and the second none; a number may serve each protocol', () => {
    const ports = [{ ...HTTP, nodePort: 30_080 }, { name: 'b', port: 81, nodePort: 30_080 }, { name: 'c', port: 81, protocol: 'UDP', nodePort: 30_080 }]
    const row = bad(service({ type: 'NodePort', ports }), 'spec.ports[1].nodePort')
    assert.deepEqual(row.ports.map((p) => [p.name, p.nodePort]), [['http', 30_080], ['b', null], ['c', 30_080]])
    for (const nodePort of [65_536, -1, '30080']) assert.equal(bad(service({ type: 'NodePort', ports: [{ ...HTTP, nodePort }] }), 'spec.ports[0].nodePort').ports[0]?.nodePort, null)
  })

  it('source ranges that cannot be read let nobody in, never anybody', () => {
    const ranges = (value: unknown, ...fields: string[]) => bad(service({ loadBalancerSourceRanges: value }), ...fields).sourceRanges?.map((c) => c.text)
    const field = (i: number) => `spec.loadBalancerSourceRanges[${i}]`
    assert.deepEqual(ranges(['10.0.0.0', '192.0.2.0/24', null], field(0), field(2)), ['192.0.2.0/24'])
    assert.deepEqual(ranges(['10.0.0.0/33'], field(0)), [])
    assert.deepEqual(ranges([''], field(0)), [])
    assert.deepEqual(ranges('192.0.2.0/24', 'spec.loadBalancerSourceRanges'), [])
    assert.deepEqual(ranges({}, 'spec.loadBalancerSourceRanges'), [])
  })

  it('a type or policy that nobody knows counts as the narrowest', () => {
    const odd = bad(service({ type: 'loadBalancer', ports: [{ ...HTTP, nodePort: 30_080 }] }, { status: { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } } }), 'spec.type', 'spec.ports[0].nodePort')
    assert.deepEqual([odd.ports[0]?.nodePort, odd.loadBalancerIps, odd.clusterIps], [null, [], [V4, V6]])
    assert.equal(bad(service({ internalTrafficPolicy: 'local' }), 'spec.internalTrafficPolicy').internalPolicy, 'Local')
    assert.equal(bad(service({ type: 'NodePort', externalTrafficPolicy: 5 }), 'spec.externalTrafficPolicy').externalPolicy, 'Local')
    assert.equal(bad(service({ sessionAffinity: 'clientip' }), 'spec.sessionAffinity').affinity, null)
  })

  it('an affinity that cannot be read lasts as long as the default', () => {
    for (const timeoutSeconds of [0, 86_401, -1, 1.5, '60']) {
      const decoded = service({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds } } })
      assert.equal(bad(decoded, 'spec.sessionAffinityConfig.clientIP.timeoutSeconds').affinity, 10_800)
    }
    assert.equal(bad(service({ sessionAffinity: 'ClientIP', sessionAffinityConfig: 5 }), 'spec.sessionAffinityConfig').affinity, 10_800)
  })

  it('a health check port that is no port, or a node port of its own, is none', () => {
    const local = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', ports: [{ ...HTTP, nodePort: 30_080 }, { name: 'u', port: 80, protocol: 'UDP', nodePort: 30_081 }] }
    for (const port of [65_536, '31000', 30_080]) assert.equal(bad(service({ ...local, healthCheckNodePort: port }), 'spec.healthCheckNodePort').healthCheckNodePort, null)
    assert.equal(good(service({ ...local, healthCheckNodePort: 30_081 })).healthCheckNodePort, 30_081)
    assert.equal(good(service(local)).healthCheckNodePort, null)
  })
})
