// Services and EndpointSlices as protobuf and as JSON: the same rows, wherever the bytes are cut; damaged bytes are a failure of their own kind.
//
// The encoder is the tests' own. **Invariant:** what is compared has passed every decoder of the real path, from bytes to rows.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ApiFailure } from '../../src/kube/failures.ts'
import { RESOURCES, type Resource } from '../../src/kube/resources.ts'
import { asJson, cut, streamsOf } from '../support/encoded-streams.ts'
import { eventFrame, listMessage, PROTOBUF } from '../support/protobuf.ts'
import { report, runs } from '../support/runs.ts'

const text = fc.oneof(fc.string({ minLength: 1, maxLength: 12 }), fc.constantFrom('a', 'web', 'x'.repeat(300), 'ü€𝄞', '__proto__', 'constructor'))
const mostly = <T>(...values: readonly T[]): fc.Arbitrary<T | string> => fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...values) }, text)
const number = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 65_535 }) }, fc.constantFrom(0, -1, 65_536, 2 ** 31 - 1, -(2 ** 31)))
const address = fc.oneof({ weight: 12, arbitrary: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('10.1.2.3', 'fd00::7')) }, text)
const protocol = mostly('TCP', 'UDP', 'SCTP', '')
const time = fc.constantFrom('2026-11-01T08:00:00Z', '1970-01-01T00:00:00Z')

/** Left out, or there: as the API's JSON has it, which leaves out what is empty. */
function fields<T extends Readonly<Record<string, fc.Arbitrary<unknown>>>>(all: T): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(all, { requiredKeys: [] })
}

const some = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> => fc.array(one, { minLength: 1, maxLength: 3 })

const metadata = fields({
  name: mostly('web', 'api-x7k2p'), generateName: text, namespace: mostly('shop', 'db'), uid: fc.uuid(), resourceVersion: fc.nat().map(String), creationTimestamp: time,
  labels: fc.dictionary(mostly('kubernetes.io/service-name', 'service.kubernetes.io/headless', 'service.kubernetes.io/service-proxy-name', 'app'), mostly('web', ''), { maxKeys: 3 }),
  annotations: fc.dictionary(text, text, { maxKeys: 2 }), ownerReferences: some(fields({ kind: text, name: text, controller: fc.boolean() })), managedFields: some(fields({ manager: text, time, fieldsV1: fc.jsonValue() as fc.Arbitrary<unknown> })),
})

const service = fc.record({
  metadata,
  spec: fields({
    ports: some(fields({ name: mostly('http', 'dns'), protocol, targetPort: fc.oneof(text, number), nodePort: number, appProtocol: text }).chain((port) => number.map((value) => ({ ...port, port: value })))),
    selector: fc.dictionary(text, text, { minKeys: 1, maxKeys: 2 }), clusterIP: fc.oneof(address, fc.constant('None')), clusterIPs: some(address), type: mostly('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'), externalIPs: some(address),
    sessionAffinity: mostly('None', 'ClientIP'), loadBalancerIP: address, loadBalancerSourceRanges: some(fc.oneof(address, fc.constantFrom('10.0.0.0/8', 'fd00::/64', ' 10.1.0.0/16'))), externalName: text,
    externalTrafficPolicy: mostly('Local', 'Cluster'), healthCheckNodePort: number, publishNotReadyAddresses: fc.boolean(), sessionAffinityConfig: fields({ clientIP: fields({ timeoutSeconds: fc.oneof(number, fc.constantFrom(10, 86_401)) }) }),
    ipFamilyPolicy: text, ipFamilies: some(text), allocateLoadBalancerNodePorts: fc.boolean(), loadBalancerClass: text, internalTrafficPolicy: mostly('Local', 'Cluster', ''), trafficDistribution: text,
  }),
  status: fields({ loadBalancer: fields({ ingress: some(fields({ ip: address, hostname: text, ipMode: mostly('VIP', 'Proxy', ''), ports: some(fields({ port: number, protocol })) })) }), conditions: some(fields({ type: text, status: text, lastTransitionTime: time })) }),
})

/** One that a cluster may have. */
const plainService = fc.record({
  metadata: fc.record({ name: fc.constant('web'), namespace: fc.constant('shop'), uid: fc.uuid(), resourceVersion: fc.nat().map(String), creationTimestamp: time, labels: fc.constantFrom({}, { app: 'web' }) }),
  spec: fields({
    ports: fc.constantFrom([{ name: 'http', protocol: 'TCP', port: 80, targetPort: 'http', nodePort: 30_080 }], [{ port: 53, protocol: 'UDP' }]), clusterIP: fc.constant('10.96.0.7'), clusterIPs: fc.constantFrom(['10.96.0.7'], ['10.96.0.7', 'fd00:96::7']),
    type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer'), externalIPs: fc.constant(['192.0.2.7']), sessionAffinity: fc.constantFrom('None', 'ClientIP'), sessionAffinityConfig: fc.record({ clientIP: fc.record({ timeoutSeconds: fc.integer({ min: 1, max: 86_400 }) }) }),
    loadBalancerSourceRanges: fc.constant(['10.0.0.0/8', 'fd00::/64']), externalTrafficPolicy: fc.constantFrom('Local', 'Cluster'), internalTrafficPolicy: fc.constantFrom('Local', 'Cluster'), healthCheckNodePort: fc.integer({ min: 30_000, max: 32_767 }),
  }),
  status: fields({ loadBalancer: fields({ ingress: fc.constant([{ ip: '203.0.113.7', ipMode: 'VIP' }, { hostname: 'lb.example' }]) }) }),
})

const slice = fields({
  endpoints: some(fields({
    addresses: some(address), conditions: fields({ ready: fc.boolean(), serving: fc.boolean(), terminating: fc.boolean() }), hostname: text, targetRef: fields({ kind: text, name: text, uid: fc.uuid() }), deprecatedTopology: fc.dictionary(text, text, { minKeys: 1, maxKeys: 2 }),
    nodeName: mostly('n1', 'n2', ''), zone: text, hints: fields({ forZones: some(fc.record({ name: mostly('z1', 'z2') })), forNodes: some(fc.record({ name: mostly('n1', 'n2') })) }),
  })),
  ports: some(fields({ name: mostly('http', 'dns', ''), protocol, port: number, appProtocol: text })),
}).chain((rest) => fc.record({ metadata, addressType: mostly('IPv4', 'IPv6', 'FQDN', '') }).map((always) => ({ ...always, ...rest })))

const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 4000 })), { minLength: 1, maxLength: 5 })

for (const { plural, kind, object } of [{ plural: 'services', kind: 'Service', object: fc.oneof(service, plainService) }, { plural: 'endpointslices', kind: 'EndpointSlice', object: slice }] as const) {
  const { watched, listed } = streamsOf(RESOURCES.find((one) => one.plural === plural) as Resource)

  describe(`property: ${plural} in protobuf`, function () {
    this.timeout(120_000)

    it('are the rows that JSON gives, of watches and of lists, wherever the bytes are cut', () => {
      let good = 0
      let bad = 0
      fc.assert(
        fc.property(fc.array(object as fc.Arbitrary<object>, { maxLength: 4 }), sizes, (all, pieces) => {
          const events = watched(cut(Buffer.concat(all.map((one) => eventFrame('MODIFIED', kind, one))), pieces), `${PROTOBUF};stream=watch`)
          assert.deepEqual(events, watched([Buffer.from(all.map((one) => `{"type":"MODIFIED","object":${asJson(one)}}\n`).join(''))], 'application/json'))
          const list = listed(cut(listMessage(kind, { resourceVersion: '7' }, all), pieces), PROTOBUF)
          assert.deepEqual(list, listed([Buffer.from(`{"metadata":{"resourceVersion":"7"},"items":[${all.map(asJson).join(',')}]}`)], 'application/json'))
          const readable = events.filter(({ row }) => row.decoded.kind === 'good').length
          good += readable
          bad += events.length - readable
        }),
        runs(240),
      )
      assert.ok(good > 20 && bad > 20, `${good} good, ${bad} bad`)
      report(`${plural} in protobuf`, good + bad)
    })

    it('that are damaged are an ApiFailure, or say something else; nothing else is thrown', () => {
      let failed = 0
      fc.assert(
        fc.property(object as fc.Arbitrary<object>, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }), sizes, (one, changes, pieces) => {
          const bytes = listMessage(kind, { resourceVersion: '7' }, [one, one])
          for (const [place, byte] of changes) bytes[place % bytes.length] = byte
          try {
            listed(cut(bytes, pieces), PROTOBUF)
          } catch (error) {
            if (!(error instanceof ApiFailure)) throw error
            failed += 1
          }
        }),
        runs(250),
      )
      assert.ok(failed > 30, `${failed} failures`)
    })
  })
}
