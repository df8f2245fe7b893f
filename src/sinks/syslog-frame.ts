// A record as a message of RFC 5424, framed by octet counting (RFC 6587, RFC 5425).
//
//   731 <133>1 2026-01-05T12:00:01.123Z node-a picket 4711 verdict - {"schema":"picket.flow/v1",...}
//
// **Invariant:** whatever a record says, it stays within its own message: fields are printable ASCII, and the length is of bytes.
import type { AuditRecord } from '../flows/record.ts'
import type { RecordLine } from './sink.ts'

/** local0. */
const FACILITY = 16
const NOT_ASCII = /[^!-~]/g

/** `pid`: of this process. */
export function frameOf({ record, line }: RecordLine, pid: number): string {
  const host = record.node.replaceAll(NOT_ASCII, '?').slice(0, 255)
  const message = `<${FACILITY * 8 + severityOf(record)}>1 ${record.time} ${host === '' ? '-' : host} picket ${pid} ${record.type} - ${line}`
  return `${Buffer.byteLength(message)} ${message}`
}

/** Warning: loss, and a sink that failed. Notice: what is denied, and the agent. Informational: what is allowed. */
function severityOf(record: AuditRecord): number {
  switch (record.type) {
    case 'verdict':
      return record.verdict === 'DROPPED' ? 5 : 6
    case 'lost':
      return 4
    case 'agent':
      return record.event === 'sink-failed' ? 4 : 5
  }
}
