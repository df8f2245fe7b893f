// The annotations audit.picket.dev/... of a Namespace or NetworkPolicy -> what they ask to have logged.
//
// **Invariant:** a malformed one is a problem that names it, leaves the object good, and asks for nothing: the next wider setting holds.
import { printable, show } from '../lib/show.ts'
import { TRAFFIC_LOGS, type LogWish, type TrafficLog } from '../model/log-wish.ts'
import { type FieldReader, type Mapping, isMapping, own } from './fields.ts'

const PREFIX = 'audit.picket.dev/'
const MOST = 65_536
const KNOWN: ReadonlySet<string> = new Set(['log', 'sample', 'label', 'until'])
/** Without control, format and private characters and without line ends: it is shown on terminals. */
const LABEL = /^[^\p{C}\u2028\u2029]{1,63}$/u

/** Empty where they ask for nothing. */
export function readLogWish(reader: FieldReader, metadata: Mapping): { readonly log?: LogWish } {
  const annotations = own(metadata, 'annotations')
  if (!isMapping(annotations)) return {}
  const ours = Object.keys(annotations).filter((key) => key.startsWith(PREFIX))
  if (ours.length === 0) return {}
  for (const key of ours) if (!KNOWN.has(key.slice(PREFIX.length))) unknown(reader, key)
  const read = <T>(name: string, parse: (text: string) => T | null, expected: string): T | undefined => {
    const value = own(annotations, `${PREFIX}${name}`)
    if (value === undefined) return undefined
    const parsed = typeof value === 'string' ? parse(value) : null
    if (parsed !== null) return parsed
    malformed(reader, `${PREFIX}${name}`, value, expected)
    return undefined
  }
  const level = read('log', (text) => TRAFFIC_LOGS.find((one): one is TrafficLog => one === text) ?? null, 'none, deny, allow or all')
  const sample = read('sample', sampleOf, `1/N with N from 1 to ${MOST}, such as 1/100`)
  const label = read('label', (text) => (LABEL.test(text) ? text : null), 'a text of 1 to 63 characters, none of them a control character')
  const until = read('until', timeOf, 'a time as RFC 3339 has it, such as 2026-01-31T12:00:00Z')
  // Who wrote an end wanted one: without it nothing is logged forever.
  const isBounded = until !== undefined || own(annotations, `${PREFIX}until`) === undefined
  const wish: LogWish = Object.freeze({
    ...(level === undefined || !isBounded ? {} : { log: level }),
    ...(sample === undefined ? {} : { sample }),
    ...(label === undefined ? {} : { label }),
    ...(until === undefined || level === undefined ? {} : { until }),
  })
  return Object.keys(wish).length === 0 ? {} : { log: wish }
}

function malformed(reader: FieldReader, key: string, value: unknown, expected: string): void {
  const now = key === `${PREFIX}until` ? `${PREFIX}log does not hold either` : 'it is ignored'
  reader.remark('error', 'InvalidField', `metadata.annotations[${key}]`, `found ${show(value)}, expected ${expected}; ${now}, and the next wider setting holds`)
}

function unknown(reader: FieldReader, key: string): void {
  const known = [...KNOWN].map((name) => `${PREFIX}${name}`).join(', ')
  reader.remark('warning', 'UnknownField', `metadata.annotations[${printable(key)}]`, `there is no such annotation (known: ${known}); it is ignored`)
}

function sampleOf(text: string): number | null {
  const match = /^1\/([1-9]\d{0,4})$/.exec(text)
  const of = Number(match?.[1])
  return match !== null && of <= MOST ? of : null
}

const TIME = /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/

function timeOf(text: string): number | null {
  const match = text.length > 40 ? null : TIME.exec(text)
  if (match === null) return null
  const [, day = '', time = '', , offset = ''] = match
  // The date by itself, since JavaScript makes the 31st of a month that has 30 days the next one's 1st.
  const date = Date.parse(`${day}T00:00:00Z`)
  if (Number.isNaN(date) || new Date(date).toISOString().slice(0, 10) !== day) return null
  const parsed = Date.parse(`${day}T${time}${match[3]?.slice(0, 4) ?? ''}${offset.toUpperCase()}`)
  return Number.isNaN(parsed) ? null : parsed
}
