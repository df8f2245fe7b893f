// Pods as protobuf and as JSON: the same rows, wherever the bytes are cut; and damaged bytes are a failure of their own kind, or harmless.
//
// The encoder is the tests' own. **Invariant:** what is compared has passed every decoder of the real path, from bytes to rows.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ApiFailure } from '../../src/kube/failures.ts'
import { RESOURCES, type Resource } from '../../src/kube/resources.ts'
import { asJson, cut, streamsOf } from '../support/encoded-streams.ts'
import { bytesField, encodeMessage, eventFrame, frame, listMessage, numberField, PROTOBUF, varint } from '../support/protobuf.ts'
import { report, runs } from '../support/runs.ts'

const { watched, listed } = streamsOf(RESOURCES.find(({ plural }) => plural === 'pods') as Resource)

const text = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 6 }), fc.constantFrom('', 'a', 'web', 'shop', 'x'.repeat(300), 'ü€𝄞', '__proto__', 'constructor'))
const label = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('app', 'tier', 'example.com/zone', '1', '__proto__', 'constructor', 'toString') }, text)
const annotation = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('picket.dev/source-prefixes', 'kubernetes.io/config.mirror', '__proto__', 'other') }, text)
const prefixes = fc.oneof(text, fc.constantFrom('10.0.0.0/8', '10.0.0.0/8, fd00::/64', 'x,10.1.0.0/16', ''))
const address = fc.oneof({ weight: 12, arbitrary: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant('')) }, text)
/** Whole seconds, as the API has them. */
const time = fc.oneof(
  fc.date({ min: new Date('0001-01-02T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
  fc.constantFrom(new Date(0), new Date('2026-11-01T08:00:00Z')),
).map((date) => `${date.toISOString().slice(0, 19)}Z`)
const number = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 65_535 }) }, fc.constantFrom(0, -1, 65_536, 2 ** 31 - 1, -(2 ** 31)))

/** Left out, or there: as the API's JSON has it, which leaves out what is empty. */
function fields<T extends Readonly<Record<string, fc.Arbitrary<unknown>>>>(all: T): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(all, { requiredKeys: [] })
}

const port = fields({ name: fc.oneof({ weight: 9, arbitrary: fc.constantFrom('http', 'dns', '') }, text), hostPort: number, protocol: fc.oneof({ weight: 9, arbitrary: fc.constantFrom('TCP', 'UDP', 'SCTP') }, text), hostIP: text }).chain((some) => number.map((containerPort) => ({ ...some, containerPort })))
const container = fields({
  name: text, image: text, command: fc.array(text, { maxLength: 2 }), env: fc.array(fields({ name: text, value: text }), { maxLength: 2 }), ports: fc.array(port, { maxLength: 3 }), restartPolicy: fc.constantFrom('Always', 'Never', 'OnFailure'),
  resources: fields({ limits: fc.dictionary(text, text, { maxKeys: 2 }) }), livenessProbe: fields({ httpGet: fields({ path: text, port: fc.oneof(text, number) }), periodSeconds: number }),
})
const pod = fc.record({
  metadata: fields({
    name: fc.oneof({ weight: 4, arbitrary: fc.constantFrom('a', 'web-0') }, text), generateName: text, namespace: fc.oneof({ weight: 4, arbitrary: fc.constantFrom('shop', 'db') }, text), uid: fc.oneof(fc.uuid(), text), resourceVersion: fc.nat().map(String), generation: fc.maxSafeInteger(),
    creationTimestamp: time, deletionTimestamp: time, deletionGracePeriodSeconds: number, labels: fc.oneof(fc.dictionary(label, text, { maxKeys: 4 }), fc.dictionary(fc.constantFrom('app', 'tier', '1', 'constructor', 'toString'), fc.constantFrom('web', 'db', ''), { maxKeys: 4 })),
    annotations: fc.dictionary(annotation, prefixes, { maxKeys: 4 }), finalizers: fc.array(text, { maxLength: 2 }), ownerReferences: fc.array(fields({ kind: text, name: text, controller: fc.boolean() }), { maxLength: 2 }),
    managedFields: fc.array(fields({ manager: text, time, fieldsV1: fc.jsonValue() as fc.Arbitrary<unknown> }), { maxLength: 2 }),
  }),
  spec: fields({
    nodeName: fc.oneof(fc.constantFrom('n1', 'n2'), text), hostNetwork: fc.boolean(), containers: fc.array(container, { maxLength: 3 }), initContainers: fc.array(container, { maxLength: 3 }), restartPolicy: text, priority: number,
    securityContext: fc.constant({}), nodeSelector: fc.dictionary(text, text, { maxKeys: 2 }), tolerations: fc.array(fields({ key: text, tolerationSeconds: number }), { maxLength: 2 }),
  }),
  status: fields({
    phase: fc.oneof(fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'), text), podIP: address, podIPs: fc.array(address.map((ip) => ({ ip })), { maxLength: 3 }), hostIP: text, hostIPs: fc.array(fc.record({ ip: text }), { maxLength: 2 }),
    startTime: time, conditions: fc.array(fields({ type: text, status: text, lastTransitionTime: time }), { maxLength: 2 }), containerStatuses: fc.array(fields({ name: text, ready: fc.boolean(), state: fields({ running: fields({ startedAt: time }) }) }), { maxLength: 2 }),
  }),
})

const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 4000 })), { minLength: 1, maxLength: 5 })

describe('property: pods in protobuf', function () {
  this.timeout(120_000)

  it('are the rows that JSON gives, of watches and of lists, wherever the bytes are cut', () => {
    let good = 0
    let bad = 0
    fc.assert(
      fc.property(fc.array(pod, { maxLength: 4 }), sizes, fc.record({ resourceVersion: fc.nat().map(String), continue: fc.constantFrom('', 'next') }), (all, pieces, metadata) => {
        const events = watched(cut(Buffer.concat(all.map((one) => eventFrame('ADDED', 'Pod', one))), pieces), `${PROTOBUF};stream=watch`)
        assert.deepEqual(events, watched([Buffer.from(all.map((one) => `{"type":"ADDED","object":${asJson(one)}}\n`).join(''))], 'application/json'))
        const list = listed(cut(listMessage('Pod', metadata, all), pieces), PROTOBUF)
        assert.deepEqual(list, listed([Buffer.from(`{"metadata":${asJson(metadata)},"items":[${all.map(asJson).join(',')}]}`)], 'application/json'))
        const readable = events.filter(({ row }) => row.decoded.kind === 'good').length
        good += readable
        bad += events.length - readable
      }),
      runs(240),
    )
    assert.ok(good > 20 && bad > 20, `${good} good, ${bad} bad`)
    report('pods in protobuf', good + bad)
  })

  it('that are damaged are an ApiFailure, or say something else; nothing else is thrown', () => {
    let failed = 0
    const damage = fc.array(fc.tuple(fc.constantFrom('set' as const, 'drop' as const, 'insert' as const), fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(pod, damage, sizes, fc.boolean(), (one, changes, pieces, asList) => {
        let bytes = asList ? listMessage('Pod', { resourceVersion: '7' }, [one, one]) : Buffer.concat([eventFrame('ADDED', 'Pod', one), eventFrame('DELETED', 'Pod', one)])
        for (const [how, place, byte] of changes) {
          const at = place % bytes.length
          bytes = Buffer.concat([bytes.subarray(0, at), how === 'drop' ? Buffer.alloc(0) : Buffer.from([byte]), bytes.subarray(how === 'insert' ? at : at + 1)])
        }
        try {
          if (asList) listed(cut(bytes, pieces), PROTOBUF)
          else watched(cut(bytes, pieces), PROTOBUF)
        } catch (error) {
          if (!(error instanceof ApiFailure)) throw error
          assert.ok(['Garbage', 'TooLarge', 'Cut'].includes(error.code), error.code)
          failed += 1
        }
      }),
      runs(900),
    )
    assert.ok(failed > 100, `${failed} failures`)
  })

  it('of any bytes at all are an ApiFailure, or nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (any) => {
        const bytes = Buffer.from(any)
        for (const read of [() => watched([frame(bytes)], PROTOBUF), () => watched([frame(bytesField(2, bytesField(1, Buffer.concat([Buffer.from('k8s\0'), bytes]))))], PROTOBUF), () => listed([Buffer.from('k8s\0'), bytes], PROTOBUF)]) {
          try {
            read()
          } catch (error) {
            if (!(error instanceof ApiFailure)) throw error
          }
        }
      }),
      runs(1000),
    )
  })

  it('with fields that nobody knows are read without them', () => {
    const odd = fc.oneof(
      fc.tuple(fc.integer({ min: 200, max: 2 ** 29 - 1 }), fc.uint8Array({ maxLength: 20 })).map(([field, bytes]) => bytesField(field, Buffer.from(bytes))),
      fc.tuple(fc.integer({ min: 200, max: 2 ** 29 - 1 }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n })).map(([field, value]) => numberField(field, value)),
      fc.tuple(fc.integer({ min: 200, max: 2 ** 29 - 1 }), fc.constantFrom([1, 8] as const, [5, 4] as const)).map(([field, [type, size]]) => Buffer.concat([varint(field * 8 + type), Buffer.alloc(size, 0xff)])),
    )
    fc.assert(
      fc.property(pod, odd, odd, (one, first, last) => {
        const item = Buffer.concat([first, encodeMessage('Pod', one), last])
        const plain = readOne(encodeMessage('Pod', one))
        assert.deepEqual(readOne(item), plain)
      }),
      runs(180),
    )
  })
})

/** The message of a pod as an item of a list. */
function readOne(message: Buffer): unknown {
  const typeMeta = bytesField(1, bytesField(2, 'PodList'))
  return listed([Buffer.concat([Buffer.from('k8s\0'), typeMeta, bytesField(2, bytesField(2, message))])], PROTOBUF)
}
