// The metrics of the agent: names, help and buckets; what is measured as it happens, and what is read when somebody scrapes.
//
// The page deploy/docs/metrics.md lists them; a test compares. Every registry is its agent's own.
// **Invariant:** base units (seconds), `picket_` in front, counters end in _total, labels have few values, or a cap.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { CountedMetrics } from './counted.ts'
import { Gauges } from './gauges.ts'
import type { Build, Reading } from './readings.ts'

export type CommitOutcomeName = 'acknowledged' | 'refused' | 'unknown'
export type Stage = 'store' | 'policy' | 'translate' | 'diff'

const STAGES: readonly Stage[] = ['store', 'policy', 'translate', 'diff']
const OUTCOMES: readonly CommitOutcomeName[] = ['acknowledged', 'refused', 'unknown']
/** Programs that changed our table have names of their own choice: so many are told apart. */
const MOST_CAUSES = 16

export interface MetricInfo {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly labelNames: readonly string[]
}

export class Metrics {
  readonly #registry = new Registry()
  readonly #gauges: Gauges
  readonly #counted: CountedMetrics
  readonly #read: () => Reading | Promise<Reading>
  readonly #eventCommit: Histogram
  readonly #policyEnforcement: Histogram
  readonly #commit: Histogram<'table' | 'outcome'>
  readonly #commits: Counter<'table' | 'outcome'>
  readonly #stage: Histogram<'stage'>
  readonly #repairs: Counter<'cause'>
  readonly #cut: Counter
  readonly #restored: Counter
  readonly #stale: Counter
  readonly #canary: Counter<'family' | 'result'>
  readonly #statusWrites: Counter<'result'>
  readonly #causes = new Set<string>(['unknown'])
  #scrape: Promise<string> | null = null

  /** `read` is called at each scrape. `tables`: names of the kernel's tables that commits may be to. */
  constructor(read: () => Reading | Promise<Reading>, build: Build, tables: readonly string[]) {
    const registers = [this.#registry]
    this.#read = read
    this.#gauges = new Gauges(this.#registry)
    this.#eventCommit = new Histogram({
      name: 'picket_event_commit_duration_seconds',
      help: "Time from an event's arrival in the inbox to the kernel's acknowledgement of the commit that holds it; an event that changes no rule counts when the turn that took it in is held. Events before the first whole ruleset are left out.",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
      registers,
    })
    this.#policyEnforcement = new Histogram({
      name: 'picket_policy_enforcement_duration_seconds',
      help: "Time from a NetworkPolicy's creation (metadata.creationTimestamp) to its enforcement on this node. API timestamps are whole seconds, cut off, so that a value is up to 1 s too long, and clocks may differ. Only policies created since this agent's first ruleset, not its initial list.",
      buckets: [0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 1800],
      registers,
    })
    this.#commit = new Histogram({
      name: 'picket_commit_duration_seconds',
      help: 'Time that the kernel took for one transaction, by table and outcome.',
      labelNames: ['table', 'outcome'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    })
    this.#commits = new Counter({
      name: 'picket_commits_total',
      help: 'Transactions sent to the kernel: acknowledged, refused (the kernel holds what it held before), or unknown (no answer; the table is read back).',
      labelNames: ['table', 'outcome'],
      registers,
    })
    for (const table of tables) for (const outcome of OUTCOMES) this.#commits.inc({ table, outcome }, 0)
    this.#stage = new Histogram({
      name: 'picket_turn_stage_duration_seconds',
      help: 'Time that one turn spent in a stage: store (take in what sources said), policy (what it means), translate (to the wanted table), diff (what to send).',
      labelNames: ['stage'],
      buckets: [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
      registers,
    })
    for (const stage of STAGES) this.#stage.zero({ stage })
    this.#repairs = new Counter({
      name: 'picket_repairs_total',
      help: `Times that somebody else's change of our tables was put right, by the program that made it (unknown where the kernel did not tell; at most ${MOST_CAUSES} programs, then other).`,
      labelNames: ['cause'],
      registers,
    })
    this.#repairs.inc({ cause: 'unknown' }, 0)
    this.#cut = new Counter({ name: 'picket_connections_cut_total', help: 'Open connections that were stopped since policy no longer allows them.', registers })
    this.#restored = new Counter({ name: 'picket_connections_restored_total', help: 'Cut connections that may go on since policy allows them again.', registers })
    this.#stale = new Counter({ name: 'picket_stale_udp_entries_deleted_total', help: "Entries of conntrack deleted since they led a Service's UDP clients to nobody who serves it.", registers })
    this.#canary = new Counter({
      name: 'picket_canary_rounds_total',
      help: "Rounds of the canary's packets by family and by what they showed: ok (the table drops and passes what it should), leaked, dropped, blocked (something in front of the table), failed (they could not be sent), skipped (the node does not forward the family). One round that is not ok may be beside a change that is put right at once; the problems CanaryLeaked, CanaryDropped, CanaryBlocked and CanaryFailed tell what stays.",
      labelNames: ['family', 'result'],
      registers,
    })
    for (const family of [4, 6]) for (const result of ['ok', 'leaked', 'dropped']) this.#canary.inc({ family, result }, 0)
    this.#statusWrites = new Counter({
      name: 'picket_status_writes_total',
      help: "Writes of this node's NodeEnforcement by result: written, or why not (UnknownServer: the CRDs are not there; PermissionMissing: the role; Unreachable, Conflict, ...). It is written when what it tells changes, so that a standing value is no fault.",
      labelNames: ['result'],
      registers,
    })
    this.#statusWrites.inc({ result: 'written' }, 0)
    const info = new Gauge({ name: 'picket_build_info', help: 'Always 1; which agent this is.', labelNames: ['version', 'node_version', 'kernel_access'], registers })
    info.set({ version: build.version, node_version: build.node, kernel_access: build.kernel }, 1)
    this.#counted = new CountedMetrics(this.#registry)
    collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** What text() has, in its order; for the page. */
  list(): readonly MetricInfo[] {
    // The labels of a metric are a field that the types leave out.
    const metrics = this.#registry.getMetricsAsArray() as unknown as readonly MetricInfo[]
    return metrics.map(({ name, help, type, labelNames }) => ({ name, help, type, labelNames }))
  }

  /** In Prometheus' text format. Whoever asks while another scrape is under way gets that one's. */
  text(): Promise<string> {
    this.#scrape ??= this.#collect().finally(() => (this.#scrape = null))
    return this.#scrape
  }

  /** `count` events that arrived together. */
  eventsHeld(seconds: number, count: number): void {
    for (let i = 0; i < count; i += 1) this.#eventCommit.observe(seconds)
  }

  policyEnforced(seconds: number): void {
    this.#policyEnforcement.observe(seconds)
  }

  committed(table: string, outcome: CommitOutcomeName, seconds: number): void {
    this.#commit.observe({ table, outcome }, seconds)
    this.#commits.inc({ table, outcome })
  }

  staged(stage: Stage, seconds: number): void {
    this.#stage.observe({ stage }, seconds)
  }

  /** `program` as it calls itself; null where nobody knows. */
  repaired(program: string | null): void {
    const name = program ?? 'unknown'
    const cause = this.#causes.has(name) || this.#causes.size < MOST_CAUSES ? name : 'other'
    this.#causes.add(cause)
    this.#repairs.inc({ cause })
  }

  canaryRound(family: number, result: string): void {
    this.#canary.inc({ family, result })
  }

  statusWritten(result: string): void {
    this.#statusWrites.inc({ result })
  }

  connectionsCut(cut: number, restored: number): void {
    this.#cut.inc(cut)
    this.#restored.inc(restored)
  }

  staleDeleted(count: number): void {
    this.#stale.inc(count)
  }

  async #collect(): Promise<string> {
    const reading = await this.#read()
    this.#gauges.set(reading)
    this.#counted.set(reading.counted)
    return this.#registry.metrics()
  }
}
