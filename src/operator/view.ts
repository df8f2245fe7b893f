// What the sources say, kept until a step takes it: rows for the store, and beside them versions, readiness, reports and statuses.
//
//   events -> inbox (rows) and what is kept here -> step: store -> summary -> what may have to be written
//
// **Invariant:** no step before every source is synced; between two steps nothing that was said is lost, and of each object only the
// last word counts. An object that was made anew is never taken for the one before: what is kept is let go by UID only.
import type { PolicyEnforcementStatus } from '../crd/policy-enforcement.ts'
import { apiTime } from '../lib/api-time.ts'
import type { Clock } from '../lib/clock.ts'
import { keyOf } from '../lib/names.ts'
import type { SourceEvent } from '../model/changes.ts'
import type { PolicyUid, Uid } from '../model/objects.ts'
import { Inbox } from '../store/inbox.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { Store } from '../store/store.ts'
import type { DnsService } from '../summary/dns.ts'
import type { PolicyVersion } from '../summary/first-seen.ts'
import { NodeLiveness } from '../summary/liveness.ts'
import type { NodeReport } from '../summary/node-report.ts'
import type { ReadPolicyEnforcement } from '../summary/read.ts'
import { Summary, type SummaryDelta } from '../summary/summary.ts'
import { Named } from './named.ts'
import { NodeReadiness } from './readiness.ts'
import type { OperatorEvent, OperatorEventOf, OperatorKind, OperatorRows, ReadNode, ReadPolicy, SeenReport } from './resources.ts'

export interface ViewOptions {
  readonly clock: Clock
  /** A node is not ready, or is again, or is gone: at once, before it counts as silent. */
  readonly onReadiness: (node: string, isReady: boolean) => void
}

export interface ViewStep {
  readonly snapshot: Snapshot
  readonly summary: SummaryDelta
  /** `namespace/name` of PolicyEnforcements that are others than at the last step, or gone. */
  readonly statuses: ReadonlySet<string>
  /** Nodes of which something was said that their NodeEnforcement's `Reporting` depends on. */
  readonly nodes: ReadonlySet<string>
}

/** Kinds that are no rows of the store. */
const BESIDE: readonly OperatorKind[] = ['agent', 'dns', 'report', 'status']

export class ClusterView {
  readonly summary = new Summary()
  /** By node. */
  readonly reports = new Named<SeenReport>()
  /** By `namespace/name`. */
  readonly statuses = new Named<ReadPolicyEnforcement>()
  readonly liveness = new NodeLiveness()
  readonly #clock: Clock
  readonly #store = new Store()
  readonly #inbox = new Inbox(() => undefined)
  readonly #readiness: NodeReadiness
  readonly #dns = new Map<Uid, DnsService>()
  readonly #unsynced = new Set<OperatorKind>(BESIDE)
  #versions = new Map<PolicyUid, PolicyVersion>()
  #hasStepped = false
  #size = { policies: 0, nodes: 0, pods: 0 }

  constructor({ clock, onReadiness }: ViewOptions) {
    this.#clock = clock
    this.#readiness = new NodeReadiness((node, readiness, isReady) => {
      this.liveness.note(node, readiness, clock.wallTime())
      onReadiness(node, isReady)
    })
    // Nobody here translates Services or looks at interfaces.
    for (const kind of ['slice', 'interface'] as const) this.#inbox.push({ verb: 'synced', kind })
  }

  get isSynced(): boolean {
    return this.#unsynced.size === 0 && this.#inbox.isSynced()
  }

  /** As of the last step. */
  get size(): { readonly policies: number; readonly nodes: number; readonly pods: number } {
    return this.#size
  }

  take(event: OperatorEvent): void {
    if (event.verb === 'synced') this.#unsynced.delete(event.kind)
    switch (event.kind) {
      case 'policy':
        return this.#takePolicy(event)
      case 'node':
        return this.#takeNode(event)
      case 'agent':
        return this.#each(event, (key, agent) => this.#readiness.agent(key, agent), () => this.#readiness.agentKeys())
      case 'dns':
        return this.#each(event, (key, service) => (service === null ? this.#dns.delete(key) : this.#dns.set(key, service)), () => this.#dns.keys())
      case 'report':
        return this.#each(event, (key, seen) => this.reports.set(key, seen?.report.node ?? null, seen), () => this.reports.keys())
      case 'status':
        return this.#each(event, (key, status) => this.statuses.set(key, status === null ? null : keyOf(status), status), () => this.statuses.keys())
      default:
        this.#inbox.push(event as SourceEvent)
    }
  }

  /** Null before everything is synced. */
  step(): ViewStep | null {
    if (!this.isSynced) return null
    const now = this.#clock.wallTime()
    if (!this.#hasStepped) this.#takeOver()
    this.#hasStepped = true
    const { snapshot, delta, problems } = this.#store.apply(this.#inbox.drain())
    const [versions, statuses, reported, liveness] = [this.#versions, this.statuses.take(), this.reports.take(), this.liveness.take(now)]
    this.#versions = new Map()
    const reports = new Map<string, NodeReport | null>([...reported].map((node) => [node, this.reports.get(node)?.report ?? null]))
    const written = (namespace: string, name: string): PolicyEnforcementStatus | null => this.statuses.get(keyOf({ namespace, name }))?.status ?? null
    const summary = this.summary.step({ snapshot, delta, problems, versions, reports, liveness, dns: [...this.#dns.values()], written, now: apiTime(now) })
    this.#size = { policies: snapshot.policies.size, nodes: snapshot.nodes.size, pods: snapshot.pods.size }
    return { snapshot, summary, statuses, nodes: new Set([...reported, ...liveness.keys(), ...summary.reporting.keys(), ...summary.orphans]) }
  }

  /** Half the nodes may have been silent for long: nothing flips because we are new. */
  #takeOver(): void {
    for (const node of this.reports.names()) {
      const said = this.reports.get(node)?.report.reporting ?? null
      if (said?.status === 'False') this.liveness.toldBefore(node, { isAlive: false, reason: said.reason, message: said.message })
    }
  }

  #takePolicy(event: OperatorEventOf<'policy'>): void {
    const said = ({ row, version }: ReadPolicy): ReadPolicy['row'] => {
      if (version !== null) this.#versions.set(version.uid, version)
      return row
    }
    this.#inbox.push(rowsOf(event, said) as SourceEvent)
  }

  #takeNode(event: OperatorEventOf<'node'>): void {
    this.#each(event, (key, node) => this.#readiness.node(key, node), () => this.#readiness.nodeKeys())
    this.#inbox.push(rowsOf(event, ({ row }: ReadNode) => row) as SourceEvent)
  }

  /** Sets what is said, and takes away what a whole list leaves out. */
  #each<K extends OperatorKind>(event: OperatorEventOf<K>, set: (key: Uid, row: OperatorRows[K] | null) => unknown, keys: () => Iterable<Uid>): void {
    switch (event.verb) {
      case 'upsert':
        set(event.key, rowIn<K>(event.decoded))
        return
      case 'delete':
        set(event.key, null)
        return
      case 'replace': {
        const left = [...keys()].filter((key) => !event.rows.has(key))
        const takeAway = (): void => left.forEach((key) => set(key, null))
        // An agent goes after its successor has come: else its node is told as silent in between, and over half of them together are
        // a time of quiet. A Node goes before: what one of its name was counts nothing for it.
        if (event.kind !== 'agent') takeAway()
        for (const [key, decoded] of event.rows) set(key, rowIn<K>(decoded))
        if (event.kind === 'agent') takeAway()
        return
      }
      case 'synced':
    }
  }
}

/** resources.ts decodes all of them as good; null is for one that came without a UID and cannot be told from others. */
function rowIn<K extends OperatorKind>(decoded: { readonly kind: string; readonly row?: unknown }): OperatorRows[K] | null {
  return decoded.kind === 'good' ? (decoded.row as OperatorRows[K]) : null
}

function rowsOf<K extends 'policy' | 'node'>(event: OperatorEventOf<K>, row: (read: never) => unknown): unknown {
  const open = (decoded: unknown): unknown => row((decoded as { readonly row: never }).row)
  if (event.verb === 'upsert') return { ...event, decoded: open(event.decoded) }
  if (event.verb === 'replace') return { ...event, rows: new Map([...event.rows].map(([key, decoded]) => [key, open(decoded)])) }
  return event
}
