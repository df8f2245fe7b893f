// Records as rows of a table: one column for each thing that people compare.
//
// **Invariant:** every row has as many cells as there are headers, and each cell is printable.
import type { AuditRecord } from './record.ts'
import { clockOf, destinationOf, lossOf, protocolOf, remarksOf, safe, serviceOf, sourceOf, whyOf } from './words.ts'

export const TABLE_HEADERS = ['time', 'node', 'source', 'destination', 'service', 'protocol', 'verdict', 'direction', 'count', 'why'] as const

const NONE = '-'

export function tableRow(record: AuditRecord): readonly string[] {
  const head = [clockOf(record.time), safe(record.node)]
  const plain = (verdict: string, count: string, why: string): readonly string[] => [...head, NONE, NONE, NONE, NONE, verdict, NONE, count, why]
  switch (record.type) {
    case 'verdict': {
      const direction = record.direction === null ? NONE : safe(record.direction)
      const why = [whyOf(record), ...remarksOf(record)].join(' ')
      return [...head, sourceOf(record), destinationOf(record), serviceOf(record) ?? NONE, protocolOf(record), safe(record.verdict), `${direction}${record.is_reply ? ' reply' : ''}`, String(record.count), why]
    }
    case 'lost':
      return plain('lost', String(record.count), `${lossOf(record)}, ${clockOf(record.first)} to ${clockOf(record.last)}`)
    case 'agent':
      return plain('agent', NONE, `${safe(record.event)}: ${safe(record.message)}`)
  }
}
