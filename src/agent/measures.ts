// What the agent tells about itself over HTTP: /livez and /readyz for probes, /metrics for Prometheus, and what it measures for it.
//
// The loop calls one method at each of its steps, which counts and returns; sizes and states are read when somebody scrapes.
// **Invariant:** nothing that is measured changes what is enforced; with `metricsAddress: none` nothing is kept.
import type { CommitOutcomeName, Metrics } from '../telemetry/metrics.ts'
import type { AuditReading, Counts, Reading, Sizes, WatchReading } from '../telemetry/readings.ts'
import manifest from '../../package.json' with { type: 'json' }
import type { ClusterState } from '../kube/source.ts'
import type { CanaryResult } from '../canary/verdict.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { KINDS, type Decoded, type Kind, type Revision, type SourceEvent } from '../model/changes.ts'
import type { Family } from '../model/ip.ts'
import { DIRECTIONS } from '../model/policy.ts'
import type { Table } from '../nft/objects.ts'
import { BRIDGE_TABLE } from '../ruleset/bridge.ts'
import { TABLE } from '../ruleset/skeleton.ts'
import { openHealth } from '../serve/health.ts'
import { listen, type Listener } from '../serve/http.ts'
import type { AgentConfig } from '../settings.ts'
import type { Applied } from './applied.ts'
import { Arrivals } from './arrivals.ts'
import { CountSeries } from './count-series.ts'
import { Counting, type Total } from './counting.ts'
import type { CommitReport, Repair } from './committer.ts'
import type { CutReport } from './cutter.ts'
import { MeasuredKernel } from './measured-kernel.ts'
import type { WriteResult } from './node-problems.ts'
import { Suppression } from './suppression.ts'
import type { TurnReport, Turns } from './turn.ts'

/** Where the readings of a scrape come from. */
export interface MeasuredParts {
  readonly turns: Turns
  readonly applied: Applied
  readonly problems: () => readonly Problem[]
  readonly cutConnections: () => number
  /** Null where the objects come from a folder, or before they are asked for. */
  readonly cluster: () => ClusterState | null
  /** Null where the kernel holds the first whole ruleset; else what is missing. */
  readonly notReady: () => string | null
  readonly audit: () => Omit<AuditReading, 'suppression'>
}

/** Far beyond the deadline of any request to the kernel: whoever waits so long waits for good. */
const STUCK_MS = 300_000
const MOST_NEW_POLICIES = 10_000

export class Measures {
  readonly #config: AgentConfig
  readonly #clock: Clock
  readonly #parts: MeasuredParts
  readonly #startedAt: number
  readonly #events = noneOfEach()
  readonly #decodeErrors = noneOfEach()
  readonly #arrivals = new Arrivals((ms, count) => this.#metrics?.eventsHeld(ms / 1000, count))
  #newPolicies: { readonly revision: Revision; readonly createdAt: number }[] = []
  #kernel: MeasuredKernel | null = null
  #counting: Counting | null = null
  readonly #series: CountSeries
  readonly #suppression = new Suppression()
  #metrics: Metrics | null = null
  /** Of the first turn, cut to whole seconds as the API's timestamps are; null before. Milliseconds since 1970. */
  #syncedAt: number | null = null

  constructor(config: AgentConfig, clock: Clock, parts: MeasuredParts) {
    this.#config = config
    this.#clock = clock
    this.#parts = parts
    this.#startedAt = clock.wallTime()
    this.#series = new CountSeries(config.metricsCounters)
  }

  /** The kernel that the agent is to use in place of `kernel`. */
  watchKernel(kernel: Kernel): Kernel {
    this.#kernel = new MeasuredKernel(kernel, this.#clock, (table, outcome, ms) => this.#metrics?.committed(tableName(table), outcome satisfies CommitOutcomeName, ms / 1000))
    const { counters } = this.#parts.turns.translator
    this.#counting = new Counting({ kernel: this.#kernel, clock: this.#clock, counted: () => counters.counted, leaving: () => counters.leaving, onValues: (values) => this.#suppression.take(values) })
    return this.#kernel
  }

  /** What rules let pass and pods are denied; by the counter's name. */
  async counted(): Promise<ReadonlyMap<string, Total>> {
    return (await this.#counting?.totals()) ?? new Map()
  }

  /** Counters are about to go; resolves with what is to be called once they are gone. */
  async countersLeave(names: readonly string[]): Promise<() => void> {
    await this.#counting?.leave(names)
    return () => this.#suppression.gone(names)
  }

  /** Listens where the settings say. Throws a PicketError that names the setting. */
  async open(): Promise<readonly Listener[]> {
    const { healthAddress, metricsAddress } = this.#config
    const health = await openHealth(healthAddress, { stuck: () => this.#stuck(), notReady: this.#parts.notReady })
    if (metricsAddress === 'none') return [health]
    try {
      // Loaded only where it is used.
      const { Metrics } = await import('../telemetry/metrics.ts')
      const build = { version: manifest.version, node: process.versions.node, kernel: this.#kernel?.description ?? '' }
      const metrics = new Metrics(() => this.#reading(), build, [TABLE, BRIDGE_TABLE].map(tableName))
      const answer = async (): Promise<{ status: number; type: string; body: string }> => ({ status: 200, type: metrics.contentType, body: await metrics.text() })
      const listener = await listen('metricsAddress', metricsAddress, { '/metrics': answer })
      this.#metrics = metrics
      // Before the first commit: what was counted until now is the agent's before, all from here on is told, however late somebody scrapes.
      await this.counted()
      return [health, listener]
    } catch (error) {
      await health.close()
      throw error
    }
  }

  /** Before the inbox takes them. */
  arrived(events: readonly SourceEvent[]): void {
    let said = 0
    for (const event of events) {
      if (event.verb === 'synced') continue
      said += 1
      this.#events[event.kind] += 1
      if (event.verb === 'upsert') this.#look(event.kind, event.decoded)
      else if (event.verb === 'replace') for (const decoded of event.rows.values()) this.#look(event.kind, decoded)
    }
    if (this.#metrics !== null) this.#arrivals.arrived(this.#clock.now(), said)
  }

  turned(report: TurnReport): void {
    if (this.#metrics === null) return
    for (const [stage, ms] of Object.entries(report.ms) as [keyof TurnReport['ms'], number][]) this.#metrics.staged(stage, ms / 1000)
    const { revision, newPolicies } = report
    if (this.#syncedAt === null) {
      this.#syncedAt = Math.floor(this.#clock.wallTime() / 1000) * 1000
      return this.#arrivals.forget()
    }
    this.#arrivals.turned(revision)
    for (const createdAt of newPolicies) if (createdAt >= this.#syncedAt) this.#newPolicies.push({ revision, createdAt })
    if (this.#newPolicies.length > MOST_NEW_POLICIES) this.#newPolicies = this.#newPolicies.slice(-MOST_NEW_POLICIES)
  }

  held({ revision, ms }: CommitReport): void {
    if (this.#metrics === null) return
    this.#metrics.staged('diff', ms.diff / 1000)
    this.#arrivals.held(revision, this.#clock.now())
    if (this.#newPolicies.length === 0) return
    const now = this.#clock.wallTime()
    for (const one of this.#newPolicies) if (one.revision <= revision) this.#metrics.policyEnforced(Math.max(0, now - one.createdAt) / 1000)
    this.#newPolicies = this.#newPolicies.filter((one) => one.revision > revision)
  }

  repaired({ by }: Repair): void {
    this.#metrics?.repaired(/^(\S{1,32}) \(process \d+\)/.exec(by)?.[1] ?? null)
  }

  cut({ cut, restored }: CutReport): void {
    this.#metrics?.connectionsCut(cut, restored)
  }

  staleDeleted(count: number): void {
    this.#metrics?.staleDeleted(count)
  }

  canaryRound(family: Family, result: CanaryResult): void {
    this.#metrics?.canaryRound(family, result)
  }

  statusWritten(result: WriteResult): void {
    this.#metrics?.statusWritten(result)
  }

  #look(kind: Kind, { problems }: Decoded<unknown>): void {
    if (problems.some(({ severity }) => severity === 'error')) this.#decodeErrors[kind] += 1
  }

  #stuck(): string | null {
    const waiting = this.#kernel?.oldestRequest ?? 0
    return waiting < STUCK_MS ? null : `the kernel has not answered a request for ${Math.round(waiting / 1000)} s, expected an answer within its deadline`
  }

  async #reading(): Promise<Reading> {
    const { turns, applied, notReady, problems } = this.#parts
    const ready = notReady() === null
    const counted = this.#series.of((await this.counted()).values())
    const all = problems()
    return {
      synced: turns.inbox.isSynced(),
      ready,
      enforced: ready && !all.some(({ code }) => code === 'NotEnforced'),
      appliedRevision: applied.report?.revision ?? 0,
      wantedRevision: turns.revision,
      appliedAt: (applied.report?.at ?? 0) / 1000,
      sizes: sizesOf(turns, this.#parts.cutConnections()),
      problems: all,
      watches: this.#watches(),
      events: this.#events,
      decodeErrors: this.#decodeErrors,
      audit: { ...this.#parts.audit(), suppression: Object.fromEntries(this.#suppression.totals) },
      counted,
    }
  }

  #watches(): readonly WatchReading[] {
    const now = this.#clock.wallTime()
    return (this.#parts.cluster()?.resources ?? []).map(({ resource, synced, lastHeardAt, lists, reconnects, errors }) => {
      const silence = Math.max(0, now - (lastHeardAt ?? this.#startedAt)) / 1000
      return { resource, synced, silence, lists, reconnects, errors: errors as Counts }
    })
  }
}

function noneOfEach(): Record<Kind, number> {
  return Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>
}

function tableName({ family, name }: Table): string {
  return `${family} ${name}`
}

/** Visits this node's pods, and each chain and set once. */
function sizesOf({ plan, nat, snapshot, translator }: Turns, cutConnections: number): Sizes {
  const attachments = [...plan.locals.values()].map(({ attachment }) => attachment)
  const { chains, sets } = translator.wanted.state
  const isolated = DIRECTIONS.map((direction) => [direction, attachments.filter((one) => one[direction] !== 'open').length])
  const total = (counts: Iterable<number>): number => [...counts].reduce((sum, count) => sum + count, 0)
  return {
    objects: {
      pod: snapshot?.pods.size ?? 0,
      namespace: snapshot?.namespaces.size ?? 0,
      node: snapshot?.nodes.size ?? 0,
      policy: snapshot?.policies.size ?? 0,
      service: snapshot?.services.size ?? 0,
      slice: snapshot?.slices.size ?? 0,
      interface: snapshot?.interfaces.size ?? 0,
    },
    localPods: attachments.length,
    isolatedPods: Object.fromEntries(isolated),
    pendingPods: attachments.filter((one) => one.by.length === 0).length,
    profiles: plan.profiles.size,
    services: nat.services?.services.size ?? 0,
    chains: chains.size,
    rules: total([...chains.values()].map(({ rules }) => rules.length)),
    sets: sets.size,
    elements: total([...sets.values()].map(({ elements }) => elements.size)),
    cutConnections,
  }
}
