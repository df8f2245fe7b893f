// What the operator tells about itself for Prometheus: states that are read when somebody scrapes, and counters over all terms.
//
// **Invariant:** nothing that is measured changes what is written; what a term counted is not lost with it.
import manifest from '../../package.json' with { type: 'json' }
import { joinedEvents } from '../report/event-recorder.ts'
import { joined, type PublishCounts } from '../report/publish-counts.ts'
import { OperatorMetrics, type OperatorReading, type PublishReading } from '../telemetry/operator-metrics.ts'
import type { Clock } from '../lib/clock.ts'
import type { TermState } from './term-parts.ts'
import type { Term } from './term.ts'

export interface MeasuredOperator {
  readonly term: () => Term | null
  readonly terms: () => number
  readonly leads: () => boolean
  /** Milliseconds on the clock. */
  readonly quietUntil: () => number
}

export class OperatorMeasures {
  readonly metrics: OperatorMetrics
  readonly #clock: Clock
  readonly #startedAt: number
  readonly #parts: MeasuredOperator
  #mistakes = 0
  #past: Pick<TermState, 'policies' | 'nodes' | 'events'> | null = null

  constructor(clock: Clock, parts: MeasuredOperator) {
    this.#clock = clock
    this.#parts = parts
    this.#startedAt = clock.wallTime()
    this.metrics = new OperatorMetrics(() => this.#reading(), { version: manifest.version, node: process.versions.node })
  }

  /** Its counts are those of the past from now on. */
  ended(term: Term): void {
    const { policies, nodes, events } = term.state()
    const past = this.#past
    this.#past = past === null ? { policies, nodes, events } : { policies: joined(past.policies, policies), nodes: joined(past.nodes, nodes), events: joinedEvents(past.events, events) }
  }

  broke(): void {
    this.#mistakes += 1
  }

  #reading(): OperatorReading {
    const { term, terms, leads, quietUntil } = this.#parts
    const state = term()?.state() ?? null
    const now = this.#clock.wallTime()
    return {
      leads: leads(),
      synced: state?.isSynced === true,
      quiet: state !== null && quietUntil() > this.#clock.now(),
      terms: terms(),
      mistakes: this.#mistakes,
      objects: state === null ? {} : { ...state.size, 'silent nodes': state.silent },
      policies: published(this.#past?.policies ?? null, state?.policies ?? null),
      nodes: published(this.#past?.nodes ?? null, state?.nodes ?? null),
      events: this.#past === null ? (state?.events ?? null) : joinedEvents(this.#past.events, state?.events ?? null),
      watches: (state?.cluster?.resources ?? []).map(({ resource, synced, lastHeardAt, lists, reconnects, errors }) => ({
        resource, synced, silence: Math.max(0, now - (lastHeardAt ?? this.#startedAt)) / 1000, lists, reconnects, errors: errors as Readonly<Record<string, number>>,
      })),
    }
  }
}

function published(past: PublishCounts | null, present: PublishCounts | null): PublishReading {
  const counts = present === null ? past : joined(past, present)
  return counts === null ? { actions: {}, setbacks: {}, waiting: 0 } : { actions: counts.actions, setbacks: counts.setbacks, waiting: present?.waiting ?? 0 }
}
