// The metrics of the operator, all of them read when somebody scrapes, but for the time of a step.
//
// The page deploy/docs/metrics.md lists them; a test compares. **Invariant:** counters never go back: those of a term that ended are
// handed in with those of the present one.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { addEventMetrics, type EventReading } from './event-metrics.ts'
import type { MetricInfo } from './metrics.ts'
import type { Counts, WatchReading } from './readings.ts'

/** Of one kind of status, since the start. */
export interface PublishReading {
  readonly actions: Counts
  readonly setbacks: Counts
  readonly waiting: number
}

export interface OperatorReading {
  readonly leads: boolean
  readonly synced: boolean
  readonly quiet: boolean
  readonly terms: number
  /** Mistakes of our own, after each of which everything is read anew. */
  readonly mistakes: number
  /** Objects by kind; empty while nobody leads here. */
  readonly objects: Counts
  readonly policies: PublishReading
  readonly nodes: PublishReading
  readonly events: EventReading | null
  readonly watches: readonly WatchReading[]
}

type Read = () => OperatorReading

export class OperatorMetrics {
  readonly #registry = new Registry()
  readonly #step: Histogram

  /** `read` is called at each scrape, once for each metric. */
  constructor(read: Read, build: { readonly version: string; readonly node: string }) {
    const registers = [this.#registry]
    this.#gauge('picket_operator_leader', 'Whether this operator leads, and so writes: 1 of exactly one of them.', () => Number(read().leads))
    this.#gauge('picket_operator_synced', 'Whether the leader has read the cluster; 0 of who does not lead.', () => Number(read().synced))
    this.#gauge('picket_operator_quiet', 'Whether the leader writes nothing, because it was cut off or over half of the nodes went silent together: for a minute.', () => Number(read().quiet))
    this.#counter('picket_operator_terms_total', 'Times that this operator became the leader.', [], () => [[{}, read().terms]])
    this.#counter('picket_operator_mistakes_total', 'Mistakes of its own, after each of which the leader read everything anew; its log has them.', [], () => [[{}, read().mistakes]])
    void new Gauge({
      name: 'picket_operator_objects', help: 'Objects that the leader knows, by kind; silent nodes are those whose Node or agent is not ready now.', labelNames: ['kind'], registers,
      collect() {
        this.reset()
        for (const [kind, count] of Object.entries(read().objects)) this.set({ kind }, count)
      },
    })
    const both = (): readonly (readonly [string, PublishReading])[] => [['PolicyEnforcement', read().policies], ['NodeEnforcement', read().nodes]]
    const each = (counts: (one: PublishReading) => Counts, label: string): Counted => both().flatMap(([object, one]) => Object.entries(counts(one)).map(([value, count]) => [{ object, [label]: value }, count] as const))
    this.#counter('picket_operator_writes_total', 'Requests that began to change a status object, by kind and action: create, apply, delete.', ['object', 'action'], () => each(({ actions }) => actions, 'action'))
    this.#counter('picket_operator_setbacks_total', 'Of them, those that came to nothing: conflict (somebody wrote meanwhile), missing (the object is gone), refused (by the API server), away (no answer).', ['object', 'setback'], () => each(({ setbacks }) => setbacks, 'setback'))
    void new Gauge({
      name: 'picket_operator_waiting', help: 'Status objects that wait to be written, by kind.', labelNames: ['object'], registers,
      collect() {
        for (const [object, { waiting }] of both()) this.set({ object }, waiting)
      },
    })
    this.#step = new Histogram({
      name: 'picket_operator_step_duration_seconds', help: 'Time of one step of the leader: to take in what happened, and to say what has to be written.',
      buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10], registers,
    })
    addEventMetrics(this.#registry, () => read().events)
    this.#addWatches(() => read().watches)
    new Gauge({ name: 'picket_operator_build_info', help: 'Always 1; the labels say which versions run.', labelNames: ['version', 'node'], registers }).set(build, 1)
    collectDefaultMetrics({ register: this.#registry })
  }

  stepped(seconds: number): void {
    this.#step.observe(seconds)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** For the page. */
  list(): readonly MetricInfo[] {
    // The labels of a metric are a field that the types leave out.
    const metrics = this.#registry.getMetricsAsArray() as unknown as readonly MetricInfo[]
    return metrics.map(({ name, help, type, labelNames }) => ({ name, help, type, labelNames }))
  }

  #addWatches(read: () => readonly WatchReading[]): void {
    const registers = [this.#registry]
    void new Gauge({
      name: 'picket_operator_watch_silence_seconds', help: 'Seconds since anything was heard of the resource, bookmarks (about one a minute) included; since the start where nothing was.', labelNames: ['resource'], registers,
      collect() {
        this.reset()
        for (const { resource, silence } of read()) this.set({ resource }, silence)
      },
    })
    const errors = (): Counted => read().flatMap(({ resource, errors: counts }) => Object.entries(counts).map(([reason, count]) => [{ resource, reason }, count] as const))
    this.#counter('picket_operator_watch_errors_total', 'Failures to list or watch the resource since this operator became the leader, by reason.', ['resource', 'reason'], errors)
  }

  #gauge(name: string, help: string, value: () => number): void {
    void new Gauge({
      name, help, registers: [this.#registry],
      collect() {
        this.set(value())
      },
    })
  }

  #counter(name: string, help: string, labelNames: readonly string[], counts: () => Counted): void {
    void new Counter({
      name, help, labelNames, registers: [this.#registry],
      collect() {
        this.reset()
        for (const [labels, count] of counts()) this.inc(labels, count)
      },
    })
  }
}

type Counted = readonly (readonly [Record<string, string>, number])[]
