// One turn: drain the inbox, apply it to the store, step the plan, translate it. Synchronous: no I/O, no await.
//
//   inbox -> store + selectors -> policy/step, nat/step -> ruleset/translate -> wanted table + dirty names
//
// **Invariant:** after run() the wanted table says what everything drained so far means; before every source is synced
// nothing is run at all.
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { KINDS, type Changes, type Kind, type Revision } from '../model/changes.ts'
import type { Owner } from '../model/owner.ts'
import { PolicyPlan, type StepOptions } from '../policy/step.ts'
import { NatPlan, NO_NAT_OPTIONS, type NatOptions } from '../nat/nat.ts'
import type { NatDelta } from '../nat/plan.ts'
import type { SkeletonOptions } from '../ruleset/skeleton.ts'
import { Translator } from '../ruleset/translate.ts'
import { emptyBatch, Inbox, type Batch } from '../store/inbox.ts'
import { Store } from '../store/store.ts'
import type { Snapshot, SnapshotDelta } from '../store/snapshot.ts'
import type { PlanDelta } from '../policy/plan.ts'

export interface TurnReport {
  readonly revision: Revision
  /** Rows of each kind that changed. */
  readonly changed: Readonly<Record<Kind, number>>
  /** Names of the first few objects that changed, for people. */
  readonly objects: readonly string[]
  readonly rowsTouched: number
  /** Whose quarantine an edit ended. */
  readonly released: readonly Owner[]
  /** When the policies that are new in this turn were created: milliseconds since 1970, 0 where it is not known. */
  readonly newPolicies: readonly number[]
  /** Milliseconds of each stage. */
  readonly ms: { readonly store: number; readonly policy: number; readonly translate: number }
}

/** At the end of each turn: what changed in the plan, and in the rows that it was made of. */
export type OnPlanned = (revision: Revision, delta: PlanDelta, services: NatDelta['services'], rows: SnapshotDelta) => void

export interface TurnOptions {
  readonly step: StepOptions
  readonly skeleton: SkeletonOptions
  /** Absent: Services and masquerade are somebody else's. */
  readonly nat?: NatOptions
  readonly clock: Clock
  readonly onWork: () => void
  readonly onPlanned?: OnPlanned
}

const NAMED_OBJECTS = 8

export class Turns {
  readonly inbox: Inbox
  readonly store = new Store()
  readonly plan: PolicyPlan
  readonly nat: NatPlan
  readonly translator: Translator
  /** By problemKey; of the store and the plan. */
  readonly problems = new Map<string, Problem>()
  readonly #clock: Clock
  readonly #onPlanned: OnPlanned
  #revision: Revision = 0
  #snapshot: Snapshot | null = null

  constructor(options: TurnOptions) {
    this.inbox = new Inbox(options.onWork)
    this.plan = new PolicyPlan(options.step)
    this.nat = new NatPlan(options.nat ?? NO_NAT_OPTIONS)
    this.translator = new Translator(options.skeleton)
    this.#clock = options.clock
    this.#onPlanned = options.onPlanned ?? (() => undefined)
  }

  /** What the plan was made of: valid until the next turn. Null before the first. */
  get snapshot(): Snapshot | null {
    return this.#snapshot
  }

  get revision(): Revision {
    return this.#revision
  }

  /** Null while a source is not synced yet (rule 103). */
  run(): TurnReport | null {
    return this.inbox.isSynced() ? this.#run(this.inbox.drain()) : null
  }

  /** A turn that takes in nothing new: the same objects with another quarantine. To be called after a first run() only. */
  requarantine(quarantine: ReadonlySet<Owner>): TurnReport {
    return this.#run(emptyBatch(), quarantine)
  }

  #run(batch: Batch, quarantine?: ReadonlySet<Owner>): TurnReport {
    const start = this.#clock.now()
    const rows = this.#rows()
    const turn = this.store.apply(batch, quarantine)
    this.#revision = Math.max(1, turn.snapshot.revision)
    this.#snapshot = turn.snapshot
    const stored = this.#clock.now()
    const planned = this.plan.step(turn.snapshot, turn.delta)
    const { services, masquerade } = this.nat.step(turn.snapshot, turn.delta)
    const stepped = this.#clock.now()
    this.translator.translate(planned)
    this.translator.translateNat(services.services, masquerade)
    const translated = this.#clock.now()
    this.#onPlanned(this.#revision, planned, services.services, turn.delta)
    this.#keep(turn.problems)
    this.#keep(planned.problems)
    this.#keep(services.problems)
    return {
      revision: this.#revision,
      changed: counts(turn.delta),
      objects: names(turn.delta),
      rowsTouched: this.#rows() - rows,
      released: turn.released,
      newPolicies: [...turn.delta.policies.values()].flatMap(({ before, after }) => (before === null && after !== null ? [after.createdAt] : [])),
      ms: { store: stored - start, policy: stepped - stored, translate: translated - stepped },
    }
  }

  #rows(): number {
    return this.store.rowsTouched + this.plan.work.rows + (this.nat.services?.work.rows ?? 0) + this.translator.wanted.rowsTouched
  }

  #keep(changes: Changes<string, Problem>): void {
    for (const [key, { after }] of changes) {
      if (after === null) this.problems.delete(key)
      else this.problems.set(key, after)
    }
  }
}

const FIELD = { pod: 'pods', namespace: 'namespaces', node: 'nodes', policy: 'policies', service: 'services', slice: 'slices', interface: 'interfaces' } as const

function counts(delta: SnapshotDelta): Record<Kind, number> {
  return Object.fromEntries(KINDS.map((kind) => [kind, delta[FIELD[kind]].size])) as Record<Kind, number>
}

function names(delta: SnapshotDelta): string[] {
  const found: string[] = []
  for (const kind of KINDS) {
    for (const { before, after } of delta[FIELD[kind]].values()) {
      if (found.length === NAMED_OBJECTS) return found
      const row = after ?? before
      if (row === null) continue
      const verb = before === null ? '+' : after === null ? '-' : '~'
      found.push(`${verb}${kind} ${'namespace' in row ? `${row.namespace}/${row.name}` : row.name}`)
    }
  }
  return found
}
