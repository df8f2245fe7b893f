// The metrics of the audit, read when somebody scrapes: what became records, what was lost where, how the sinks are.
//
// **Invariant:** numbers that others keep; a sink's name is one of the settings, so that labels have few values.
import { Counter, Gauge, type Registry } from 'prom-client'
import type { AuditReading } from './readings.ts'

export class AuditGauges {
  readonly #reading: Gauge
  readonly #records: Counter
  readonly #undecided: Counter<'why'>
  readonly #foreign: Counter
  readonly #lost: Counter<'stage'>
  readonly #logged: Counter<'event' | 'result'>
  readonly #remembered: Gauge
  readonly #readers: Gauge
  readonly #sinkRecords: Counter<'sink' | 'result'>
  readonly #queued: Gauge<'sink'>
  readonly #failed: Gauge<'sink'>

  constructor(registry: Registry) {
    const registers = [registry]
    this.#reading = new Gauge({ name: 'picket_audit_reading', help: "Whether the kernel's log of verdicts is read: 0 where the kernel cannot log, or somebody else reads the group.", registers })
    this.#records = new Counter({ name: 'picket_audit_records_total', help: 'Records of verdicts that were made of what the kernel logged; packets that have all in common within seconds are one.', registers })
    this.#undecided = new Counter({ name: 'picket_audit_undecided_records_total', help: 'Records with something that could not be decided: ambiguous (it may have been several: the packet came beside a change), unresolved (older than what is remembered).', labelNames: ['why'], registers })
    this.#foreign = new Counter({ name: 'picket_audit_foreign_flows_total', help: "Flows logged to the agent's group by rules of somebody else; nothing is told of them.", registers })
    this.#lost = new Counter({ name: 'picket_audit_lost_packets_total', help: 'Packets that were logged and became no record: kernel (not read in time), queue (read, and not told in time). Exact; records of type lost tell when.', labelNames: ['stage'], registers })
    this.#logged = new Counter({ name: 'picket_audit_logged_packets_total', help: 'Packets that met a log rule, by event (denied, allowed, spoofed, ...) and result: logged, or suppressed by a limit or a sample. Together they are what the verdicts counted while they had a log rule, exactly.', labelNames: ['event', 'result'], registers })
    this.#remembered = new Gauge({ name: 'picket_audit_history_bytes', help: 'Estimated memory of what is remembered of owners, rules and Services that are no more.', registers })
    this.#readers = new Gauge({ name: 'picket_audit_readers', help: 'Readers of GET /flows on the socket now: picket observe, and others.', registers })
    this.#sinkRecords = new Counter({ name: 'picket_audit_sink_records_total', help: 'Records by sink and by what became of them: written, lost.', labelNames: ['sink', 'result'], registers })
    this.#queued = new Gauge({ name: 'picket_audit_sink_queued_records', help: 'Records that wait for the sink.', labelNames: ['sink'], registers })
    this.#failed = new Gauge({ name: 'picket_audit_sink_failed', help: 'Whether the sink cannot write now; AuditHealthy and the problem AuditSinkFailed say why.', labelNames: ['sink'], registers })
  }

  set({ reading, records, lost, suppression, historyBytes, readers, sinks }: AuditReading): void {
    for (const counter of [this.#records, this.#undecided, this.#foreign, this.#lost, this.#logged, this.#sinkRecords]) counter.reset()
    this.#reading.set(Number(reading))
    this.#records.inc(records.made)
    this.#undecided.inc({ why: 'ambiguous' }, records.ambiguous)
    this.#undecided.inc({ why: 'unresolved' }, records.unresolved)
    this.#foreign.inc(records.foreign)
    for (const [stage, count] of Object.entries(lost)) this.#lost.inc({ stage }, count)
    for (const [event, { logged, suppressed }] of Object.entries(suppression)) {
      this.#logged.inc({ event, result: 'logged' }, logged)
      this.#logged.inc({ event, result: 'suppressed' }, suppressed)
    }
    this.#remembered.set(historyBytes)
    this.#readers.set(readers)
    for (const { name: sink, written, lost: lostThere, queued, failed } of sinks) {
      this.#sinkRecords.inc({ sink, result: 'written' }, written)
      this.#sinkRecords.inc({ sink, result: 'lost' }, lostThere)
      this.#queued.set({ sink }, queued)
      this.#failed.set({ sink }, Number(failed))
    }
  }
}
