// Records with their lines, as sinks and readers of the agent's socket get them, numbered by `count`.
import type { AuditRecord, FlowRecord, LostRecord } from '../../src/flows/record.ts'
import type { RecordLine } from '../../src/sinks/sink.ts'
import { flowRecord, type Changes } from './flow-records.ts'

export function lineOf(record: AuditRecord): RecordLine {
  return { record, line: JSON.stringify(record) }
}

/** RFC 3339, `ms` after some moment. */
export function timeAt(ms: number): string {
  return new Date(Date.UTC(2026, 0, 5, 12) + ms).toISOString()
}

/** Number `number` of a series: its time goes on by a millisecond each. */
export function numbered(number: number, changes: Changes<FlowRecord> = {}): RecordLine {
  return lineOf(flowRecord({ time: timeAt(number), count: number, ...changes }))
}

/** Of lines as they were read: the numbers of numbered(), and what is told as lost. */
export function readNumbers(lines: readonly string[]): { readonly numbers: readonly number[]; readonly lost: readonly LostRecord[] } {
  const records = lines.map((line) => JSON.parse(line) as AuditRecord)
  return {
    numbers: records.flatMap((record) => (record.type === 'verdict' ? [record.count] : [])),
    lost: records.flatMap((record) => (record.type === 'lost' ? [record] : [])),
  }
}
