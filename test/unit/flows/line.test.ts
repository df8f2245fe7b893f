// Lines of records: valid by the published schema, with stable keys, at most 4 KiB, safe to print.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { agentRecord, lostRecord } from '../../../src/audit/other-records.ts'
import { lineOf } from '../../../src/flows/line.ts'
import { MAX_LINE, REASONS, SCHEMA, type AuditRecord, type FlowEnd, type FlowPolicy, type FlowRecord } from '../../../src/flows/record.ts'
import { RECORD_SCHEMA, SCHEMA_FILE } from '../../../src/flows/schema.ts'
import { violations } from '../../support/json-schema.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')
/** As read from the file; that it is the one in crds/ is a test. */
const published = JSON.parse(JSON.stringify(RECORD_SCHEMA)) as typeof RECORD_SCHEMA
const NAME = `${'n'.repeat(62)}.${'a'.repeat(63)}.${'m'.repeat(63)}.${'e'.repeat(62)}`
const SPACE = 's'.repeat(63)
const UID = '01234567-89ab-cdef-0123-456789abcdef'
const policy: FlowPolicy = { kind: 'NetworkPolicy', namespace: SPACE, name: NAME, uid: UID }
const end = (labels: FlowEnd['labels']): FlowEnd => ({ kind: 'pod', namespace: SPACE, pod: NAME, uid: UID, node: 'n1', workload: { kind: 'Deployment', name: 'web' }, labels, labels_omitted: 0 })
const longestEnd = (labels: FlowEnd['labels']): FlowEnd => ({ ...end(labels), node: NAME, workload: { kind: 'K'.repeat(63), name: NAME } })
const manyLabels = (count: number): FlowEnd['labels'] => Object.fromEntries(Array.from({ length: count }, (_, i) => [`${'l'.repeat(253)}/${String(i).padStart(3, '0')}${'k'.repeat(60)}`, 'v'.repeat(63)]))

/** Long, with room for something. */
function longest(fields: Partial<FlowRecord> = {}): FlowRecord {
  const time = '2026-11-27T12:00:01.123Z'
  const address = 'fd00:1111:2222:3333:4444:5555:6666:7777'
  return {
    schema: SCHEMA, type: 'verdict', time, first_seen: time, last_seen: time, count: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER, node: 'n1', verdict: 'DROPPED', reason: 'POLICY_DENIED', direction: 'ingress', is_reply: false,
    ip: { source: address, destination: address, family: 6 },
    l4: { protocol: 'TCP', source_port: 65_535, destination_port: 65_535, tcp_flags: ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'], icmp: null },
    source: end({}), destination: { ...end({}), service: { namespace: SPACE, name: 'x'.repeat(63), port: 65_535, cluster_ip: address } },
    policy: null, also: [], isolated_by: { total: 4000, policies: Array.from({ length: 8 }, () => policy) }, nearest_miss: { policy, rule: 1000, why: 'w'.repeat(300) },
    tier: null, ruleset_revision: 2 ** 40, undecided: [{ field: 'destination.service', why: 'ambiguous' }, { field: 'source.labels', why: 'ambiguous' }], sampled: 65_536, label: 'pci',
    ...fields,
  }
}

/** Everything is as long as the API lets it be. */
function utmost(fields: Partial<FlowRecord> = {}): FlowRecord {
  return longest({ node: NAME, source: longestEnd(manyLabels(20)), destination: { ...longestEnd(manyLabels(20)), service: longest().destination.service }, label: '€'.repeat(63), ...fields })
}

const flow = longest({ isolated_by: { total: 1, policies: [policy] }, source: end({ app: 'web' }) })
const allowed = longest({
  verdict: 'FORWARDED', reason: 'POLICY_ALLOW', isolated_by: null, nearest_miss: null, label: null, ruleset_revision: null,
  policy: { ...policy, generation: null, direction: 'egress', index: 0 }, also: [{ ...policy, namespace: null, generation: 3, direction: 'egress', index: 1 }],
})
const ping = longest({
  direction: null, reason: 'INVALID', isolated_by: null, nearest_miss: null, l4: { protocol: 'ICMP', source_port: null, destination_port: null, tcp_flags: null, icmp: { type: 8, code: 0 } },
  source: { kind: 'external', namespace: null, pod: null, uid: null, node: null, workload: null, labels: {}, labels_omitted: 0 }, destination: { ...end({}), service: null },
})
const lost = lostRecord('n1', { stage: 'kernel', name: null, count: 12, first: 1000, last: 1001.5 }, 2000)
const started = agentRecord('n1', 'started', 'audit stream \u001b[31mof\u202e version 1', 2000)
const all: readonly AuditRecord[] = [flow, allowed, ping, lost, started]

function parts(schema: object, at: string): readonly (readonly [string, Readonly<Record<string, unknown>>])[] {
  const one = schema as Readonly<Record<string, unknown>>
  const below = [...Object.entries((one['properties'] ?? {}) as object), ...['items', 'additionalProperties'].flatMap((key) => (typeof one[key] === 'object' ? [[key, one[key]] as const] : [])), ...['anyOf', 'oneOf'].flatMap((key) => ((one[key] ?? []) as object[]).map((part, index) => [`${key}${index}`, part] as const))] as [string, object][]
  return [[at, one], ...below.flatMap(([name, part]) => parts(part as object, `${at}.${name}`))]
}

describe('flows: the JSON Schema of records', () => {
  it('is the one in crds/, and is no manifest that would be installed', () => {
    assert.deepEqual(JSON.parse(readFileSync(path.join(ROOT, 'crds', SCHEMA_FILE), 'utf8')), RECORD_SCHEMA)
    assert.doesNotMatch(readFileSync(path.join(ROOT, 'crds/kustomization.yaml'), 'utf8'), /schema/)
    assert.doesNotMatch(readFileSync(path.join(ROOT, 'deploy/install.yaml'), 'utf8'), /picket\.flow/)
  })
  it('takes real records of every kind', () => {
    for (const record of all) assert.deepEqual(violations(published, JSON.parse(lineOf(record).line)), [], record.type)
    for (const reason of REASONS) assert.deepEqual(violations(published, longest({ reason })), [])
  })
  it('refuses a key too many or too few, at every place', () => {
    let tried = 0
    const broken = (value: unknown, put: (value: unknown) => unknown, isFree: boolean): void => {
      if (typeof value !== 'object' || value === null) return
      if (Array.isArray(value)) return value.forEach((one, at) => broken(one, (other) => put(value.with(at, other)), false))
      for (const [key, one] of Object.entries(value)) {
        if (!isFree) {
          assert.notDeepEqual(violations(published, put(Object.fromEntries(Object.entries(value).filter(([other]) => other !== key)))), [], `without ${key}`)
          tried += 1
        }
        broken(one, (other) => put({ ...value, [key]: other }), key === 'labels')
      }
      if (!isFree) assert.notDeepEqual(violations(published, put({ ...value, extra: 1 })), [], 'a key too many')
    }
    for (const record of all) broken(JSON.parse(JSON.stringify(record)), (value) => value, false)
    assert.ok(tried > 150, String(tried))
  })
  it('refuses values that are none', () => {
    const wrong: readonly Partial<Record<keyof FlowRecord, unknown>>[] = [{ verdict: 'ACCEPTED' }, { reason: 'NO' }, { count: 0 }, { count: 1.5 }, { time: '2026-11-27' }, { tier: 'admin' }, { direction: 'both' }, { sampled: 0 }, { is_reply: 'no' }, { schema: 'picket.flow/v2' }, { ip: { ...flow.ip, family: 5 } }, { l4: { ...flow.l4, source_port: 65_536 } }, { source: { ...flow.source, labels: { app: 1 } } }]
    for (const fields of wrong) assert.notDeepEqual(violations(published, { ...flow, ...fields }), [], JSON.stringify(fields))
  })
  it('says a sentence of every field, and closes every object', () => {
    for (const [name, schema] of parts(RECORD_SCHEMA, '')) {
      const isPart = /(anyOf\d|items|additionalProperties)$/.test(name)
      if (!isPart) assert.match(String(schema['description']), /\w/, name)
      if (schema['properties'] !== undefined) assert.deepEqual([schema['additionalProperties'], schema['required']], [false, Object.keys(schema['properties'] as object)], name)
    }
  })
})

describe('flows: lines', () => {
  it('have the keys in one order, and say what the record says', () => {
    for (const record of all) {
      const { line, record: same } = lineOf(record)
      assert.equal(same, record)
      assert.deepEqual(JSON.parse(line), record)
      const [schema] = (RECORD_SCHEMA['oneOf'] as readonly { readonly properties: Readonly<Record<string, { readonly const?: string }>> }[]).filter(({ properties }) => properties['type']?.const === record.type)
      assert.deepEqual(Object.keys(JSON.parse(line) as object), Object.keys(schema?.properties ?? {}))
    }
    assert.equal(lineOf({ ...lost }).line, lineOf({ ...lost }).line)
  })
  it('are at most 4 KiB with their end, however long the names: labels go first, and are counted', () => {
    const record = longest({ isolated_by: { total: 1, policies: [policy] }, source: end(manyLabels(12)), destination: { ...end(manyLabels(3)), service: null } })
    const fitted = lineOf(record)
    const { source, destination, isolated_by: isolated } = JSON.parse(fitted.line) as FlowRecord
    assert.ok(Buffer.byteLength(fitted.line) < MAX_LINE)
    assert.deepEqual(violations(published, JSON.parse(fitted.line)), [])
    assert.deepEqual([Object.keys(source.labels).length + source.labels_omitted, Object.keys(destination.labels).length + destination.labels_omitted, isolated], [12, 3, record.isolated_by])
    assert.deepEqual(fitted.record, JSON.parse(fitted.line))
    // As many as there is room for.
    const more = lineOf(longest({ isolated_by: null, nearest_miss: null, source: end(manyLabels(12)) })).record as FlowRecord
    assert.ok(Object.keys(more.source.labels).length > Object.keys(source.labels).length)
  })
  it('then the rules that allow it besides, then names of policies; never the one that allowed it', () => {
    const rule = { ...policy, generation: 2 ** 40, direction: 'ingress', index: 1000 } as const
    const many = lineOf(longest({ policy: rule, also: Array.from({ length: 8 }, () => rule), isolated_by: null, nearest_miss: null, source: end(manyLabels(1)) })).record as FlowRecord
    assert.ok(many.also.length < 8 && many.also.length > 0, String(many.also.length))
    assert.deepEqual([many.policy, many.source.labels_omitted], [rule, 1])
    const isolated = lineOf(longest()).record as FlowRecord
    assert.equal(isolated.isolated_by?.total, 4000)
    assert.ok((isolated.isolated_by?.policies.length ?? 8) < 8)
    assert.equal(isolated.nearest_miss?.why.length, 300)
    for (const one of [utmost(), utmost({ policy: rule, also: [rule], isolated_by: null, nearest_miss: null })]) {
      const { line, record } = lineOf(one)
      assert.ok(Buffer.byteLength(line) < MAX_LINE, String(Buffer.byteLength(line)))
      assert.deepEqual(violations(published, JSON.parse(line)), [])
      assert.deepEqual([(record as FlowRecord).policy, (record as FlowRecord).source.pod, (record as FlowRecord).source.labels_omitted], [one.policy, NAME, 20])
    }
  })
  it('are as short where every character of a text has to be escaped', () => {
    const hostile = utmost({ nearest_miss: { policy, rule: 0, why: '\u202e'.repeat(300) }, label: '\u009b'.repeat(63) })
    const { line } = lineOf(hostile)
    assert.ok(Buffer.byteLength(line) < MAX_LINE)
    assert.deepEqual(violations(published, JSON.parse(line)), [])
    const said = lineOf(agentRecord('n1', 'stopped', '\u0007'.repeat(5000), 0)).line
    assert.ok(Buffer.byteLength(said) < MAX_LINE)
    assert.ok(Buffer.byteLength(lineOf({ ...started, message: '€'.repeat(5000) }).line) < MAX_LINE)
  })
  it('hold no control or format character raw, and lose none', () => {
    const text = 'a\u0000\u001b[2J\u007f\u009b31m\u200f\u202e\u2066\u2028\u2029\ufeff\u{e0001}\ud800"\\b'
    const { line } = lineOf(longest({ isolated_by: null, nearest_miss: { policy, rule: 0, why: text }, node: text, source: end({ [text]: text }) }))
    assert.doesNotMatch(line, /[\p{C}\u2028\u2029]/u)
    const back = JSON.parse(line) as FlowRecord
    assert.deepEqual([back.node, back.nearest_miss?.why, back.source.labels[text]], [text, text, text])
    assert.doesNotMatch(started.message, /[\p{C}]/u)
  })
  it('keep a label called __proto__', () => {
    const labels = JSON.parse('{"__proto__":"x","app":"web"}') as FlowEnd['labels']
    assert.match(lineOf(longest({ isolated_by: null, nearest_miss: null, source: end(labels) })).line, /"labels":\{"__proto__":"x","app":"web"\}/)
    const cut = lineOf(longest({ source: end({ ...manyLabels(12), ...labels }) })).line
    assert.deepEqual(violations(published, JSON.parse(cut)), [])
  })
})
