// A place where records go, and what all of them have in common.
//
// **Invariant:** write() neither waits nor throws: what a sink cannot take at once waits in its own bounded queue, or is counted as lost.
import type { AuditRecord, LostRecord } from '../flows/record.ts'

/** A record with its line, made once for all sinks. */
export interface RecordLine {
  readonly record: AuditRecord
  /** JSON without a line feed; at most MAX_LINE - 1 bytes. */
  readonly line: string
}

export interface Sink {
  /** As in messages and metrics: `file /var/log/picket/audit.log`. */
  readonly name: string
  write(record: RecordLine): void
  /** For metrics and AuditHealthy. */
  state(): SinkState
  /** Writes what is queued, for at most a second, and lets go. */
  close(): Promise<void>
}

export interface SinkState {
  readonly written: number
  readonly lost: number
  readonly queued: number
  /** Why it cannot write now; null where it can. */
  readonly failure: string | null
}

/** What a sink tells its owner. */
export interface SinkEvents {
  /** At most once a second. */
  onLost(lost: Pick<LostRecord, 'count' | 'first' | 'last'>): void
  onFailed(message: string): void
  onRecovered(): void
}
