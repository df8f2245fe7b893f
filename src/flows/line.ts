// A record -> its line: JSON with stable keys in a stable order, of at most 4 KiB, safe to print.
//
// What is too long loses its labels first, then the rules that allow it besides, then names of policies.
// **Invariant:** a line is JSON of a valid record, shorter than MAX_LINE, and holds no control or format character: those are escaped.
import { MAX_LINE, type AuditRecord, type FlowEnd, type FlowRecord } from './record.ts'
import { safeJson } from './safe-json.ts'

/** Without the line feed. */
const ROOM = MAX_LINE - 1
const LEAST_TEXT = 32

/** The record is another one where something had to be left out of it. */
export function lineOf(record: AuditRecord): { readonly record: AuditRecord; readonly line: string } {
  const line = safeJson(record)
  // No character is longer than three bytes, but for those that are two.
  if (line.length * 3 <= ROOM || Buffer.byteLength(line) <= ROOM) return { record, line }
  return record.type === 'verdict' ? fittedFlow(record) : record.type === 'agent' ? fittedText(record, (message) => ({ ...record, message }), record.message) : { record, line }
}

function excess(record: AuditRecord): number {
  return Buffer.byteLength(safeJson(record)) - ROOM
}

function fittedFlow(record: FlowRecord): { readonly record: AuditRecord; readonly line: string } {
  let flow = withoutLabels(record)
  while (excess(flow) > 0 && flow.also.length > 0) flow = { ...flow, also: flow.also.slice(0, -1) }
  while (excess(flow) > 0 && flow.isolated_by !== null && flow.isolated_by.policies.length > 0) {
    flow = { ...flow, isolated_by: { ...flow.isolated_by, policies: flow.isolated_by.policies.slice(0, -1) } }
  }
  // Where every name is as long as names can be, or every character of a text is escaped: what is left then has bounds of its own.
  const { nearest_miss: miss, label } = flow
  if (excess(flow) > 0 && miss !== null) flow = { ...flow, nearest_miss: { ...miss, why: miss.why.slice(0, LEAST_TEXT) } }
  if (excess(flow) > 0 && label !== null) flow = { ...flow, label: label.slice(0, LEAST_TEXT) }
  if (excess(flow) > 0) flow = { ...flow, nearest_miss: null }
  return { record: flow, line: safeJson(flow) }
}

/** Of whoever has more of them; the last ones first. */
function withoutLabels(record: FlowRecord): FlowRecord {
  let over = excess(record)
  const kept = [record.source, record.destination].map(({ labels }) => Object.entries(labels))
  const bytes = kept.map((list) => list.map(([key, value]) => Buffer.byteLength(safeJson(key)) + Buffer.byteLength(safeJson(value)) + 2))
  const sums = bytes.map((list) => list.reduce((sum, one) => sum + one, 0))
  // The number of those that are missing takes a digit or two more.
  while (over > -4 && sums.some((sum) => sum > 0)) {
    const at = (sums[0] as number) >= (sums[1] as number) ? 0 : 1
    kept[at]?.pop()
    const gone = bytes[at]?.pop() ?? 0
    sums[at] = (sums[at] as number) - gone
    over -= gone
  }
  const end = <End extends FlowEnd>(one: End, at: number): End => ({ ...one, labels: Object.fromEntries(kept[at] ?? []), labels_omitted: one.labels_omitted + Object.keys(one.labels).length - (kept[at]?.length ?? 0) })
  return { ...record, source: end(record.source, 0), destination: end(record.destination, 1) }
}

function fittedText<Record extends AuditRecord>(record: Record, withText: (text: string) => Record, text: string): { readonly record: AuditRecord; readonly line: string } {
  let fitted = record
  for (let length = text.length >> 1; excess(fitted) > 0 && length > 0; length >>= 1) fitted = withText(text.slice(0, length))
  return { record: fitted, line: safeJson(fitted) }
}
