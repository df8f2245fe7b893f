// The metrics of the Events that the operator tells: how many were told, repeated and dropped, and how many wait.
//
// Read when somebody scrapes, from what the recorder counts. **Invariant:** labels have few values, which are there from the start.
import { Counter, Gauge, type Registry } from 'prom-client'

/** As report/event-recorder.ts counts. */
export interface EventReading {
  readonly waiting: number
  readonly series: number
  readonly recorded: number
  readonly repeated: number
  readonly superseded: number
  readonly created: number
  readonly patched: number
  readonly failed: number
  readonly dropped: number
}

const OUTCOMES = ['recorded', 'repeated', 'superseded', 'dropped'] as const
const WRITES = ['created', 'patched', 'failed'] as const

/** `read`: null while nobody leads here; counters then stay as they were. */
export function addEventMetrics(registry: Registry, read: () => EventReading | null): void {
  let last: EventReading | null = null
  const reading = (): EventReading | null => (last = read() ?? last)
  const counter = (name: string, help: string, label: 'outcome' | 'result', values: readonly (keyof EventReading)[]): Counter =>
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        const now = reading()
        this.reset()
        for (const value of values) this.inc({ [label]: value }, now?.[value] ?? 0)
      },
    })
  counter(
    'picket_operator_events_total',
    'Events that statuses gave cause for: recorded (all), and of them repeated (counted in a series), superseded (a newer one of the same object came first), dropped (never told, or not to the end: too many at once, or the API server refused them).',
    'outcome',
    OUTCOMES,
  )
  counter('picket_operator_event_writes_total', 'Requests to the API server for Events: created, patched (the count of a series), failed.', 'result', WRITES)
  void new Gauge({
    name: 'picket_operator_events_waiting',
    help: 'Events that wait to be told, of at most 1,000.',
    registers: [registry],
    collect() {
      this.set(reading()?.waiting ?? 0)
    },
  })
}
