// A line of the stream or of a file -> the record that it is, or what is wrong with it.
//
// Whoever reads lines reads them here: of agents of another version, and of files that anybody may have written.
// **Invariant:** what is given out as a record has every field that is shown, of its type; nothing more is known of what stands in it.
import { show } from '../lib/show.ts'
import { SCHEMA, type AuditRecord } from './record.ts'

export type ReadLine = { readonly record: AuditRecord; readonly wrong: null } | { readonly record: null; readonly wrong: string }

/** What a value must be: null where it is, else what was expected of it and at which field. */
type Check = (value: unknown, field: string) => string | null
type Fields = Readonly<Record<string, Check>>

const isText: Check = (value, field) => (typeof value === 'string' ? null : wrong(field, 'a text', value))
const isNumber: Check = (value, field) => (typeof value === 'number' ? null : wrong(field, 'a number', value))
const isBoolean: Check = (value, field) => (typeof value === 'boolean' ? null : wrong(field, 'true or false', value))
const isTime: Check = (value, field) => (typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/.test(value) ? null : wrong(field, 'a time such as 2026-11-27T12:00:00.000Z', value))
const oneOf = (...words: readonly unknown[]): Check => (value, field) => (words.includes(value) ? null : wrong(field, `one of ${words.join(', ')}`, value))
const orNull = (check: Check): Check => (value, field) => (value === null ? null : check(value, field))
const listOf = (check: Check): Check => (value, field) => {
  if (!Array.isArray(value)) return wrong(field, 'a list', value)
  return first(value, (one, index) => check(one, `${field}[${index}]`))
}
const textsByName: Check = (value, field) => {
  if (!isMapping(value)) return wrong(field, 'a mapping', value)
  return first(Object.entries(value), ([key, one]) => isText(one, `${field}.${key}`))
}
const mapping = (fields: Fields): Check => (value, field) => {
  if (!isMapping(value)) return wrong(field, 'a mapping', value)
  return first(Object.entries(fields), ([name, check]) => check(value[name], field === '' ? name : `${field}.${name}`))
}

const POLICY: Fields = { kind: isText, namespace: orNull(isText), name: isText, uid: isText }
const RULE: Fields = { ...POLICY, generation: orNull(isNumber), direction: isText, index: isNumber }
const END: Fields = {
  kind: oneOf('pod', 'node', 'external', 'service'), namespace: orNull(isText), pod: orNull(isText), uid: orNull(isText), node: orNull(isText),
  workload: orNull(mapping({ kind: isText, name: isText })), labels: textsByName,
}
const SERVICE: Fields = { namespace: isText, name: isText, port: orNull(isNumber), cluster_ip: orNull(isText) }
const COMMON: Fields = { schema: oneOf(SCHEMA), type: oneOf('verdict', 'lost', 'agent'), time: isTime, node: isText }
const OF_TYPE: Readonly<Record<AuditRecord['type'], Fields>> = {
  verdict: {
    first_seen: isTime, last_seen: isTime, count: isNumber, bytes: isNumber, verdict: isText, reason: isText, direction: orNull(isText), is_reply: isBoolean,
    ip: mapping({ source: isText, destination: isText, family: oneOf(4, 6) }),
    l4: mapping({ protocol: isText, source_port: orNull(isNumber), destination_port: orNull(isNumber), tcp_flags: orNull(listOf(isText)), icmp: orNull(mapping({ type: isNumber, code: isNumber })) }),
    source: mapping(END), destination: mapping({ ...END, service: orNull(mapping(SERVICE)) }),
    policy: orNull(mapping(RULE)), also: listOf(mapping(RULE)),
    isolated_by: orNull(mapping({ total: isNumber, policies: listOf(mapping(POLICY)) })),
    nearest_miss: orNull(mapping({ policy: mapping(POLICY), rule: isNumber, why: isText })),
    tier: orNull(isText), ruleset_revision: orNull(isNumber), undecided: listOf(mapping({ field: isText, why: isText })), sampled: isNumber, label: orNull(isText),
  },
  lost: { stage: isText, name: orNull(isText), count: isNumber, first: isTime, last: isTime },
  agent: { event: isText, message: isText },
}

/** One line without its line feed. */
export function readLine(line: string): ReadLine {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return { record: null, wrong: `expected a record of ${SCHEMA} as JSON, found ${show(line)}` }
  }
  const fault = mapping(COMMON)(value, '') ?? mapping(OF_TYPE[(value as AuditRecord).type])(value, '')
  return fault === null ? { record: value as AuditRecord, wrong: null } : { record: null, wrong: fault }
}

function first<Of>(list: readonly Of[], check: (one: Of, index: number) => string | null): string | null {
  for (const [index, one] of list.entries()) {
    const fault = check(one, index)
    if (fault !== null) return fault
  }
  return null
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function wrong(field: string, expected: string, value: unknown): string {
  return `${field === '' ? '' : `${show(field).slice(1, -1)}: `}expected ${expected}, found ${show(value)}`
}
