// Namespaces, nodes, the table of kinds, and what holds for any value whatever.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeObject, objectKindOf } from '../../../src/decode/decode.ts'
import { decodeNamespace } from '../../../src/decode/namespace.ts'
import { decodeNode } from '../../../src/decode/node.ts'
import { show } from '../../../src/lib/show.ts'
import type { Policy } from '../../../src/model/policy.ts'
import { fieldsOf, good, strict } from './support.ts'

describe('decode: Namespace', () => {
  const namespace = (metadata: unknown) => decodeNamespace({ kind: 'Namespace', metadata }, 'u1')

  it('rule 21: the label with its name is always there, and right', () => {
    assert.deepEqual(good(namespace({ name: 'shop' })).labels, new Map([['kubernetes.io/metadata.name', 'shop']]))
    const row = good(namespace({ name: 'shop', labels: { team: 'a', 'kubernetes.io/metadata.name': 'bank' }, creationTimestamp: '1970-01-01T00:00:01Z' }))
    assert.deepEqual([row.labels, row.createdAt], [new Map([['kubernetes.io/metadata.name', 'shop'], ['team', 'a']]), 1000])
  })

  it('what cannot be read has no stand-in', () => {
    for (const metadata of [{ name: 'a.b' }, { name: 'shop', labels: { a: 1 } }, null, { name: 5 }]) {
      const decoded = namespace(metadata)
      assert.deepEqual([decoded.kind, (decoded as { strict: unknown }).strict], ['bad', null])
    }
  })
})

describe('decode: Node', () => {
  const node = (status: unknown, spec?: unknown) => decodeNode({ kind: 'Node', metadata: { name: 'n1.example.com', labels: { zone: 'a' } }, spec, status }, 'u1')

  it('rules 58, 121: addresses of every type that are IP addresses; host names are skipped', () => {
    const addresses = [
      { type: 'Hostname', address: '10.9.9.9' },
      { type: 'InternalIP', address: '10.0.0.1' },
      { type: 'InternalIP', address: 'FD00::1' },
      { type: 'ExternalIP', address: '10.0.0.1' },
      { type: 'InternalDNS', address: 'n1.internal' },
      { type: 'Other', address: '192.0.2.1' },
    ]
    const row = good(node({ addresses }, { podCIDR: '10.88.1.0/24', podCIDRs: ['10.88.1.0/24', 'fd00:88:1::/64'] }))
    assert.deepEqual([row.addresses, row.podCidrs.map((c) => c.text)], [['10.0.0.1', 'fd00::1', '192.0.2.1'], ['10.88.1.0/24', 'fd00:88:1::/64']])
    assert.deepEqual([row.name, row.labels], ['n1.example.com', new Map([['zone', 'a']])])
  })

  it('an address that cannot be read is left out and the rest stands', () => {
    const decoded = node({ addresses: [{ type: 'InternalIP', address: 'x' }, 'y', { type: 'InternalIP', address: '10.0.0.2' }] }, { podCIDRs: ['z'] })
    assert.deepEqual([strict(decoded).addresses, strict(decoded).podCidrs], [['10.0.0.2'], []])
    assert.deepEqual(fieldsOf(decoded), ['status.addresses[0].address', 'status.addresses[1]', 'spec.podCIDRs[0]'])
  })

  it('one that is being deleted, or that the cluster autoscaler is going to delete, is leaving', () => {
    const taints = (...keys: readonly unknown[]) => node(undefined, { taints: keys.map((key) => ({ key, effect: 'NoSchedule' })) })
    assert.deepEqual([good(node(undefined)).leaving, good(taints('node.kubernetes.io/unschedulable', 7)).leaving], [false, false])
    assert.equal(good(taints('a', 'ToBeDeletedByClusterAutoscaler')).leaving, true)
    assert.equal(good(decodeNode({ metadata: { name: 'n1', deletionTimestamp: '2026-11-26T04:00:00Z' } }, 'u1')).leaving, true)
  })

  it('picket.dev/egress-source: one address of each family; what is none, or a second one, is left out and named', () => {
    const from = (value: unknown) => decodeNode({ metadata: { name: 'n1', annotations: { 'picket.dev/egress-source': value } } }, 'u1')
    assert.deepEqual([good(from('192.0.2.1, FD00::1')).egressSources, good(from('fd00::1')).egressSources, good(from('')).egressSources], [['192.0.2.1', 'fd00::1'], ['fd00::1'], []])
    for (const [value, left] of [['eth0', []], ['192.0.2.0/24,fd00::1', ['fd00::1']], ['192.0.2.1,192.0.2.2', ['192.0.2.1']], ['fd00::1,192.0.2.1,fd00::2', ['fd00::1', '192.0.2.1']], [7, []]] as const) {
      const decoded = from(value)
      assert.deepEqual([strict(decoded).egressSources, fieldsOf(decoded)], [left, ['metadata.annotations[picket.dev/egress-source]']], String(value))
    }
  })

  it('missing status and spec are fine', () => {
    assert.deepEqual(good(node(undefined)).addresses, [])
  })
})

describe('decode: any object', () => {
  it('each kind has its own decoder, Service and EndpointSlice none yet', () => {
    assert.deepEqual(['Pod', 'Namespace', 'Node', 'NetworkPolicy', 'Service', 'EndpointSlice', 'constructor'].map(objectKindOf), ['pod', 'namespace', 'node', 'policy', 'service', 'slice', null])
    assert.equal(decodeObject('Pod', { metadata: { name: 'a' } }, 'u')?.kind, 'pod')
    assert.equal(decodeObject('Secret', {}, 'u'), null)
  })

  const kinds = ['Pod', 'Namespace', 'Node', 'NetworkPolicy']

  it('rule 105: never throws, and gives the same twice, for any JSON value', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.jsonValue({ maxDepth: 6 }), (kind, raw) => {
        assert.deepEqual(decodeObject(kind, raw, 'u'), decodeObject(kind, structuredClone(raw), 'u'))
      }),
      { numRuns: 500 },
    )
  })

  const odd = fc.oneof(fc.constantFrom(null, '', 'x', 0, -1, true, [], {}, [null], [[]], '\u202e\n\u0000', '__proto__'), fc.jsonValue({ maxDepth: 2 }))
  const maybe = <T>(usual: fc.Arbitrary<T>): fc.Arbitrary<unknown> => fc.oneof({ weight: 6, arbitrary: usual }, { weight: 1, arbitrary: odd })
  const record = (model: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> => maybe(fc.record(model, { requiredKeys: [] }))
  const list = (item: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> => maybe(fc.array(item, { maxLength: 3 }))
  const label = fc.constantFrom('a', 'b', 'x.io/c', 'bad key')
  const requirement = record({ key: maybe(label), operator: maybe(fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist')), values: list(fc.constantFrom('v', 'w', '')) })
  const selector = record({ matchLabels: maybe(fc.dictionary(label, maybe(fc.constantFrom('v', 'w')))), matchExpressions: list(requirement) })
  const cidr = maybe(fc.constantFrom('10.0.0.0/8', '10.1.0.1/16', 'fd00::/8', 'fd00:1::/32', '0.0.0.0/0'))
  const peer = record({ podSelector: selector, namespaceSelector: selector, ipBlock: record({ cidr, except: list(cidr) }) })
  const port = record({ protocol: maybe(fc.constantFrom('TCP', 'UDP')), port: maybe(fc.constantFrom(80, 443, 'http', '80')), endPort: maybe(fc.constantFrom(80, 90)) })
  const spec = record({
    podSelector: selector,
    policyTypes: list(maybe(fc.constantFrom('Ingress', 'Egress'))),
    ingress: list(record({ from: list(peer), ports: list(port) })),
    egress: list(record({ to: list(peer), ports: list(port) })),
  })

  it("rules 23, 25: 'all' stands only where the object has an absent or empty list, and nothing is frozen by half", () => {
    fc.assert(
      fc.property(spec, (value) => {
        const raw = { metadata: { name: 'p', namespace: 'shop' }, spec: value } as never
        const decoded = decodeObject('NetworkPolicy', raw, 'u')?.decoded
        assert.deepEqual(decoded, decodeObject('NetworkPolicy', structuredClone(raw), 'u')?.decoded)
        const row = (decoded?.kind === 'good' ? decoded.row : decoded?.strict) as Policy
        assert.equal(Object.isFrozen(row), true)
        for (const [direction, field] of [['ingress', 'from'], ['egress', 'to']] as const) {
          for (const rule of row[direction]) {
            const given = (value as never)[direction][rule.index] as Record<string, unknown>
            const empty = (list: unknown) => list === undefined || list === null || (Array.isArray(list) && list.length === 0)
            assert.equal(rule.peers === 'all', empty(given[field]))
            assert.equal(rule.ports === 'all', empty(given['ports']))
          }
        }
        if (decoded?.kind === 'bad') assert.equal(decoded.problems.some((p) => p.severity === 'error'), true)
        for (const problem of decoded?.problems ?? []) assert.doesNotMatch(`${problem.object}${problem.field}${problem.message}`, /[\p{C}]/u)
      }),
      { numRuns: 1000 },
    )
  })

  it('a bad version isolates and selects at least what its repaired version would', () => {
    const expression = { key: 'tier', operator: 'In', values: ['db'] }
    const whole = { podSelector: { matchLabels: { app: 'web' }, matchExpressions: [expression] }, policyTypes: ['Ingress', 'Egress'] }
    const broken = { podSelector: { matchLabels: { app: 'web' }, matchExpressions: [{ ...expression, operator: 'in' }] }, policyTypes: ['Ingress', 'egress'] }
    const rowOf = (value: unknown) => decodeObject('NetworkPolicy', { metadata: { name: 'p' }, spec: value }, 'u')?.decoded
    const meant = good(rowOf(whole) as never) as Policy
    const row = strict(rowOf(broken) as never) as Policy
    assert.deepEqual(row.isolates, meant.isolates)
    assert.equal(row.pods.requirements.every((r) => meant.pods.requirements.some((m) => m.key === r.key)), true)
    assert.equal(row.pods.text, 'app=web')
  })
})

describe('show: values in messages', () => {
  it('is short and printable whatever the value', () => {
    assert.equal(show('a\u001b[31m"\u202e'), '"a\\u{1b}[31m\\"\\u{202e}"')
    assert.equal(show('x'.repeat(1e6)).length, 69)
    assert.deepEqual([null, undefined, 5, true, [], [1, 2], {}, { a: 1, b: 2, c: 3, d: 4 }].map(show), ['nothing', 'nothing', '5', 'true', 'an empty list', 'a list of 2', 'an empty mapping', 'a mapping (a, b, c, ...)'])
  })
})
