// The metrics that are read when somebody scrapes: states, sizes, problems, watches, and counters that others keep.
//
// **Invariant:** nothing here is kept up to date in between, so that it costs nothing while nobody asks; what was a problem once
// stays as 0, so that its end is seen.
import { Counter, Gauge, type Registry } from 'prom-client'
import { AuditGauges } from './audit-gauges.ts'
import type { Counts, Reading, Sizes, WatchReading } from './readings.ts'

export class Gauges {
  readonly #registers: Registry[]
  readonly #synced: Gauge
  readonly #ready: Gauge
  readonly #enforced: Gauge
  readonly #applied: Gauge
  readonly #wanted: Gauge
  readonly #appliedAt: Gauge
  readonly #objects: Gauge<'kind'>
  readonly #isolated: Gauge<'direction'>
  readonly #sizes: readonly (readonly [Gauge, (sizes: Sizes) => number])[]
  readonly #problems: Gauge<'code' | 'severity'>
  readonly #seen = new Map<string, { readonly code: string; readonly severity: string }>()
  readonly #watchSynced: Gauge<'resource'>
  readonly #silence: Gauge<'resource'>
  readonly #lists: Counter<'resource'>
  readonly #reconnects: Counter<'resource'>
  readonly #errors: Counter<'resource' | 'reason'>
  readonly #events: Counter<'kind'>
  readonly #decodeErrors: Counter<'kind'>
  readonly #audit: AuditGauges

  constructor(registry: Registry) {
    this.#registers = [registry]
    this.#synced = this.#gauge('picket_source_synced', 'Whether every kind of object was read completely since the start (1) or is waited for (0).')
    this.#ready = this.#gauge('picket_ready', 'Whether the kernel holds the first whole ruleset of this agent; what /readyz says.')
    this.#enforced = this.#gauge('picket_enforced', 'Whether policies are enforced on this node without a known hole: 0 before the first whole ruleset, and while there is a problem NotEnforced.')
    this.#applied = this.#gauge('picket_applied_revision', 'Revision of the rules that the kernel holds; 0 before the first.')
    this.#wanted = this.#gauge('picket_wanted_revision', 'Revision of the rules that the kernel is to hold.')
    this.#appliedAt = this.#gauge('picket_applied_timestamp_seconds', 'When the kernel came to hold the applied revision, in seconds since 1970; 0 before the first.')
    this.#objects = new Gauge({ name: 'picket_objects', help: 'Objects that the agent knows, of the whole cluster (interface: of this node), by kind.', labelNames: ['kind'], registers: this.#registers })
    this.#isolated = new Gauge({ name: 'picket_isolated_pods', help: 'Pods of this node that policies isolate, by direction.', labelNames: ['direction'], registers: this.#registers })
    this.#sizes = [
      [this.#gauge('picket_local_pods', 'Pods of this node that policies may apply to.'), (sizes) => sizes.localPods],
      [this.#gauge('picket_pending_pods', 'Pods of this node that no interface or bridge leads to yet.'), (sizes) => sizes.pendingPods],
      [this.#gauge('picket_profiles', 'Different sets of policies that pods of this node have.'), (sizes) => sizes.profiles],
      [this.#gauge('picket_services', "Services that this node translates; 0 where they are somebody else's."), (sizes) => sizes.services],
      [this.#gauge('picket_chains', 'Chains of the wanted table.'), (sizes) => sizes.chains],
      [this.#gauge('picket_rules', 'Rules of the wanted table.'), (sizes) => sizes.rules],
      [this.#gauge('picket_sets', 'Sets and maps of the wanted table.'), (sizes) => sizes.sets],
      [this.#gauge('picket_set_elements', 'Elements of the sets and maps of the wanted table.'), (sizes) => sizes.elements],
      [this.#gauge('picket_cut_connections', 'Cut connections that are in force now.'), (sizes) => sizes.cutConnections],
    ]
    this.#problems = new Gauge({ name: 'picket_problems', help: 'Problems of now, by code and severity; the status names each.', labelNames: ['code', 'severity'], registers: this.#registers })
    this.#watchSynced = this.#perResource('picket_watch_synced', 'Whether the resource was read completely since the start.')
    this.#silence = this.#perResource('picket_watch_silence_seconds', 'Seconds since anything was heard of the resource, bookmarks (about one a minute) included; since the start where nothing was.')
    this.#lists = this.#counter('picket_watch_lists_total', 'Whole lists of the resource.', ['resource'])
    this.#reconnects = this.#counter('picket_watch_reconnects_total', 'Watches of the resource that were opened after the first; the server ends one every 5 to 10 minutes.', ['resource'])
    this.#errors = this.#counter('picket_watch_errors_total', 'Failures to list or watch the resource, by reason; the reason is that of the problem ApiREASON.', ['resource', 'reason'])
    this.#events = this.#counter('picket_events_total', 'Events of objects that sources said, by kind; a whole list is one.', ['kind'])
    this.#decodeErrors = this.#counter('picket_decode_errors_total', 'Objects, each time they were read, with a field or more that could not be read; the last good version stays, or nothing is opened.', ['kind'])
    this.#audit = new AuditGauges(registry)
  }

  set(reading: Reading): void {
    this.#synced.set(Number(reading.synced))
    this.#ready.set(Number(reading.ready))
    this.#enforced.set(Number(reading.enforced))
    this.#applied.set(reading.appliedRevision)
    this.#wanted.set(reading.wantedRevision)
    this.#appliedAt.set(reading.appliedAt)
    for (const [kind, count] of Object.entries(reading.sizes.objects)) this.#objects.set({ kind }, count)
    for (const [direction, count] of Object.entries(reading.sizes.isolatedPods)) this.#isolated.set({ direction }, count)
    for (const [gauge, size] of this.#sizes) gauge.set(size(reading.sizes))
    this.#setProblems(reading)
    this.#setWatches(reading.watches)
    set(this.#events, 'kind', reading.events)
    set(this.#decodeErrors, 'kind', reading.decodeErrors)
    this.#audit.set(reading.audit)
  }

  #setProblems({ problems }: Reading): void {
    const counts = new Map<string, number>([...this.#seen.keys()].map((key) => [key, 0]))
    for (const { code, severity } of problems) {
      const key = `${code} ${severity}`
      this.#seen.set(key, { code, severity })
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    for (const [key, labels] of this.#seen) this.#problems.set(labels, counts.get(key) ?? 0)
  }

  #setWatches(watches: readonly WatchReading[]): void {
    for (const counter of [this.#lists, this.#reconnects, this.#errors]) counter.reset()
    for (const { resource, synced, silence, lists, reconnects, errors } of watches) {
      this.#watchSynced.set({ resource }, Number(synced))
      this.#silence.set({ resource }, silence)
      this.#lists.inc({ resource }, lists)
      this.#reconnects.inc({ resource }, reconnects)
      for (const [reason, count] of Object.entries(errors)) this.#errors.inc({ resource, reason }, count)
    }
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: this.#registers })
  }

  #perResource(name: string, help: string): Gauge<'resource'> {
    return new Gauge({ name, help, labelNames: ['resource'], registers: this.#registers })
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: this.#registers })
  }
}

/** A counter that somebody else counts. */
function set(counter: Counter<'kind'>, label: 'kind', counts: Counts): void {
  counter.reset()
  for (const [value, count] of Object.entries(counts)) counter.inc({ [label]: value }, count)
}
