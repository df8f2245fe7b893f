// The compiler from events to the kernel's text, in one process: what property and transition tests drive.
//
// The same turns, diff and apply as the agent's, with a table in memory in the kernel's place.
// **Invariant:** after turn() the table in memory is what the agent would have committed, commit by commit.
import { compileOptions } from '../../src/agent/compile-options.ts'
import { Turns, type TurnReport } from '../../src/agent/turn.ts'
import type { SourceEvent } from '../../src/model/changes.ts'
import type { TrafficLog } from '../../src/model/log-wish.ts'
import type { Problem } from '../../src/lib/problem.ts'
import type { NatDelta } from '../../src/nat/plan.ts'
import type { PlanDelta } from '../../src/policy/plan.ts'
import { apply } from '../../src/nft/apply.ts'
import { diff } from '../../src/nft/diff.ts'
import type { Transaction } from '../../src/nft/objects.ts'
import { render } from '../../src/nft/render.ts'
import { emptyDirty, emptyTable, everything, mergeDirty, type Dirty, type TableState } from '../../src/nft/state.ts'
import type { LogOptions } from '../../src/ruleset/log-rules.ts'
import { TABLE, type SkeletonOptions } from '../../src/ruleset/skeleton.ts'
import type { AgentConfig } from '../../src/settings.ts'
import { syncAll } from './cluster-feed.ts'

export interface PipelineOptions extends Partial<SkeletonOptions> {
  readonly nodeName: string
  readonly sourcePrefixNamespaces?: readonly string[]
  /** Services and masquerade as the agent's settings would have them; absent: none. */
  readonly services?: Partial<AgentConfig>
  /** Keeps the whole table's text after each commit; slow, for transitions. */
  readonly captureCommits?: boolean
  /** What is logged where no annotation says it; absent: nothing is. `log` says how. */
  readonly auditLog?: TrafficLog
}

/** As the agent's defaults. */
export const LOG: LogOptions = { group: 61, nodeLimit: 1000, podLimit: 200, sourceLimit: 20, denies: true, services: true }

const SERVICES: Partial<AgentConfig> = {
  serviceProxy: 'picket', masquerade: 'picket', nodePortAddresses: ['primary'], serviceCIDRs: ['10.96.0.0/16', 'fd00:96::/112'], serviceMarkMask: '0xffffff00',
  masqueradeAll: false, masqueradeRandomFully: true, nonMasqueradeCIDRs: ['10.0.0.0/8', 'fc00::/7'], podInterfaces: [], sourcePrefixNamespaces: [],
}
const CLOCK = { now: () => 0, wallTime: () => 0, after: () => () => undefined }

export class Pipeline {
  readonly turns: Turns
  /** The whole table's text after each commit, with captureCommits. */
  readonly commits: string[] = []
  readonly transactions: Transaction[] = []
  /** What the last turn changed in the plan. */
  planned: PlanDelta | null = null
  /** And of Services. */
  services: NatDelta['services'] = new Map()
  readonly #capture: boolean
  #applied: TableState | null = null
  #dirty: Dirty = emptyDirty()

  constructor(options: PipelineOptions) {
    const { nodeName, sourcePrefixNamespaces = [], captureCommits = false, services, auditLog, ...rest } = options
    const nat = services === undefined ? undefined : compileOptions({ ...SERVICES, ...services, nodeName } as AgentConfig)
    const skeleton: SkeletonOptions = { newPods: 'deny', nodeEgress: 'allow', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto', ...(nat?.skeleton.nat === undefined ? {} : { nat: nat.skeleton.nat }), ...(auditLog === undefined ? {} : { log: LOG }), ...rest }
    this.#capture = captureCommits
    this.turns = new Turns({
      clock: CLOCK,
      onWork: () => undefined,
      onPlanned: (_, delta, services) => {
        this.planned = delta
        this.services = services
      },
      step: { isLocal: (pod) => pod.node === nodeName, nodeName, podInterfaces: skeleton.podInterfaces, podAttachment: skeleton.podAttachment, sourcePrefixNamespaces, ...(auditLog === undefined ? {} : { auditLog }) },
      skeleton,
      ...(nat === undefined ? {} : { nat: nat.nat }),
    })
    syncAll(this.turns.inbox)
  }

  push(events: readonly SourceEvent[]): void {
    for (const event of events) this.turns.inbox.push(event)
  }

  /** Drain, step, translate, and commit until nothing differs. */
  turn(): TurnReport {
    const report = this.turns.run() as TurnReport
    const { wanted } = this.turns.translator
    mergeDirty(this.#dirty, wanted.takeDirty())
    for (;;) {
      const transaction = diff(TABLE, this.#applied, wanted.state, this.#dirty, (name) => wanted.ownersOf(name))
      if (transaction === null) break
      this.#applied ??= emptyTable()
      apply(this.#applied, transaction)
      this.transactions.push(transaction)
      if (this.#capture) this.commits.push(this.text())
    }
    this.#dirty = emptyDirty()
    return report
  }

  get problems(): readonly Problem[] {
    return [...this.turns.problems.values()]
  }

  /** The table in memory. */
  get applied(): TableState {
    return this.#applied ?? emptyTable()
  }

  /** The table in memory, written as what would make it from nothing. */
  text(): string {
    return tableText(this.#applied ?? emptyTable())
  }
}

/** A whole table as the text that makes it from nothing. */
export function tableText(state: TableState): string {
  const parts: string[] = []
  let made: TableState | null = null
  for (;;) {
    const dirty = made === null ? emptyDirty() : everything(made, state)
    const transaction = diff(TABLE, made, state, dirty, () => [])
    if (transaction === null) return parts.join('')
    parts.push(render(transaction))
    made ??= emptyTable()
    apply(made, transaction)
  }
}
