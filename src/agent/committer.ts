// Brings the kernel to the wanted table: one commit at a time, stage, switch, sweep, until nothing differs.
//
//   want (a turn ended), check (somebody else changed the table, or the timer) -> read back if need be -> diff -> commit
//
// acknowledged: the applied table becomes what was sent. refused: read back and compare, and where nothing differs the
// owner at fault is contained. unknown: the table is read back and everything is dirty. Start is that same path.
// **Invariant:** `applied` is what the kernel holds, or null while there is no table; it changes only after an answer.
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import type { CommitOutcome, ForeignChange, Kernel } from '../kernel/kernel.ts'
import type { Revision } from '../model/changes.ts'
import type { Owner } from '../model/owner.ts'
import { apply } from '../nft/apply.ts'
import { diff, diffAtOnce } from '../nft/diff.ts'
import type { Table, Transaction } from '../nft/objects.ts'
import type { OwnersOf } from '../nft/operations.ts'
import { emptyDirty, emptyTable, everything, mergeDirty, type Dirty, type TableState } from '../nft/state.ts'
import { commitRefused, kernelUnknown, sweepRefused } from './commit-problems.ts'
import { Containment, type Trial } from './containment.ts'
import { ReadBacks } from './read-backs.ts'

export interface CommitReport {
  readonly revision: Revision
  /** How many transactions it took, and of which steps. */
  readonly steps: readonly Transaction['step'][]
  readonly operations: number
  readonly ms: { readonly diff: number; readonly commit: number }
}

/** What somebody else changed in our table, and is now as it was. */
export interface Repair {
  /** `nft (process 123)`, or why nobody knows. */
  readonly by: string
  readonly differences: readonly string[]
  /** From the noticing to the last commit. */
  readonly ms: number
}

export interface CommitterOptions {
  readonly kernel: Kernel
  readonly clock: Clock
  readonly table: Table
  readonly wanted: TableState
  readonly ownersOf: OwnersOf
  /** Compiles everything with that quarantine, takes in nothing new, and calls want(). */
  readonly compile: (quarantine: ReadonlySet<Owner>) => void
  /** The kernel holds everything up to that revision. */
  readonly onHeld: (report: CommitReport) => void
  /** The table was read, at a start or because somebody may have changed it: what the kernel holds, null where it has no table. */
  readonly onRead?: (read: TableState | null) => void
  readonly onRepaired?: (repair: Repair) => void
  /** A search for what the kernel refuses has ended: turns may go on. */
  readonly onSearched?: () => void
  /** What keeps the kernel from holding it, and what is in quarantine; empty when that is over. */
  readonly onProblems: (problems: readonly Problem[]) => void
}

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000
/** Between two read-backs that somebody else's commits cause. */
const CHECK_PAUSE_MS = 500

export class Committer {
  readonly #options: CommitterOptions
  readonly #readBacks: ReadBacks
  readonly #containment: Containment
  #applied: TableState | null = null
  #known = false
  #dirty: Dirty = emptyDirty()
  #revision: Revision = 0
  /** What the kernel holds but for the answer that is not there yet, and what was told to be held. */
  #reached: Revision = 0
  #held: Revision = 0
  #running: Promise<void> | null = null
  #again = false
  #retryMs = FIRST_RETRY_MS
  #cancelRetry: (() => void) | null = null
  /** The table is to be read back now, or as soon as the pause is over. */
  #checkDue = false
  #cancelCheck: (() => void) | null = null
  #lastCheck = -Infinity
  #repair: { by: string; differences: string[]; since: number } | null = null
  #searching = false
  /** No search before that time. */
  #searchAt = -Infinity
  #closed = false

  constructor(options: CommitterOptions) {
    this.#options = options
    this.#readBacks = new ReadBacks(options)
    this.#containment = new Containment(options.clock, () => this.#wake())
  }

  /** The revision that the kernel holds; 0 before the first. */
  get held(): Revision {
    return this.#held
  }

  /** While it looks for what the kernel refuses, only `compile` may run turns. */
  get searching(): boolean {
    return this.#searching
  }

  /** Another turn ended: `dirty` may differ from now on. */
  want(revision: Revision, dirty: Dirty): void {
    mergeDirty(this.#dirty, dirty)
    this.#revision = revision
    if (!this.#searching) this.#wake()
  }

  /** Edits ended the quarantine of these. */
  released(owners: readonly Owner[]): void {
    this.#containment.forget(owners)
  }

  /** The table is to be compared with what was applied: somebody else changed it (`change`), or it is time to (null). */
  check(change: ForeignChange | null): void {
    const { clock } = this.#options
    if (this.#closed) return
    if (change !== null) this.#readBacks.suspect(change)
    const wait = change === null ? 0 : this.#lastCheck + CHECK_PAUSE_MS - clock.now()
    if (wait <= 0) return this.#checkNow()
    this.#cancelCheck ??= clock.after(wait, () => this.#checkNow())
  }

  #checkNow(): void {
    this.#checkDue = true
    this.#wake()
  }

  /** Ends after the commit that is under way. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelRetry?.()
    this.#cancelCheck?.()
    this.#containment.close()
    await this.#running
  }

  #wake(): void {
    if (this.#closed) return
    this.#cancelRetry?.()
    this.#cancelRetry = null
    this.#again = true
    this.#running ??= this.#run().finally(() => {
      this.#running = null
      if (this.#again && !this.#closed && this.#cancelRetry === null) this.#wake()
    })
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false
      const trouble = await this.#pass()
      if (this.#closed) return
      this.#options.onProblems([...this.#containment.problems, ...trouble])
      if (trouble.length === 0) {
        this.#retryMs = FIRST_RETRY_MS
        continue
      }
      this.#cancelRetry = this.#options.clock.after(this.#retryMs, () => this.#wake())
      this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS)
    }
  }

  /** Reads back where that is due, tries again what is due, and commits until nothing differs; returns what stood in the way. */
  async #pass(): Promise<readonly Problem[]> {
    if (this.#revision === 0) return []
    if (!this.#known || this.#checkDue) {
      const trouble = await this.#readBack()
      if (trouble !== null) return [kernelUnknown(trouble)]
    }
    const lost = await this.#search((trial) => this.#containment.retry(trial))
    if (lost !== null) return [this.#lose(lost)]
    return this.#converge()
  }

  async #converge(): Promise<readonly Problem[]> {
    const done = nothingDone()
    let compared = false
    for (;;) {
      const ended = await this.#commitAll(done)
      if (this.#closed) return []
      if (ended === null) {
        this.#tellHeld(done)
        return []
      }
      const { outcome, transaction } = ended
      if (outcome.kind === 'unknown') return [this.#lose(outcome.message)]
      if (transaction.step === 'sweep') {
        // Packets see nothing of what is only left over.
        this.#tellHeld(done)
        return [sweepRefused(outcome.message)]
      }
      if (!compared) {
        compared = true
        const before = this.#repair
        const trouble = await this.#readBack()
        if (trouble !== null) return [this.#lose(trouble)]
        if (this.#repair !== before) continue
      }
      const suspects = this.#suspects()
      // Closing everybody did not help a moment ago: it will not help now.
      if (this.#options.clock.now() < this.#searchAt) return [commitRefused(outcome.message, suspects)]
      const found = await this.#search((trial) => this.#containment.search(suspects, outcome.message, trial))
      if (found.kind === 'unknown') return [this.#lose(found.message)]
      if (found.kind === 'contained') continue
      this.#searchAt = this.#options.clock.now() + this.#retryMs
      return [commitRefused(outcome.message, suspects)]
    }
  }

  /** Commits until nothing differs (null), or until something is not acknowledged. */
  async #commitAll(done: Done): Promise<Unacknowledged | null> {
    const { clock, kernel, table, wanted, ownersOf } = this.#options
    for (;;) {
      const start = clock.now()
      const transaction = diff(table, this.#applied, wanted, this.#dirty, ownersOf)
      const sent = clock.now()
      done.ms.diff += sent - start
      // Nothing left, or nothing but what is left over: packets see this revision.
      if (transaction === null || transaction.step === 'sweep') this.#reached = this.#revision
      if (transaction === null) this.#dirty = emptyDirty()
      if (transaction === null || this.#closed) return null
      const outcome = await kernel.commit(transaction)
      done.ms.commit += clock.now() - sent
      if (outcome.kind !== 'acknowledged') return { outcome, transaction }
      done.steps.push(transaction.step)
      done.operations += transaction.operations.length
      this.#applied ??= emptyTable()
      apply(this.#applied, transaction)
    }
  }

  #tellHeld(done: Omit<CommitReport, 'revision'>): void {
    const { clock, onHeld, onRepaired } = this.#options
    this.#held = this.#reached
    onHeld({ revision: this.#held, ...done })
    if (this.#repair === null) return
    const { by, differences, since } = this.#repair
    this.#repair = null
    onRepaired?.({ by, differences, ms: clock.now() - since })
  }

  #lose(message: string): Problem {
    this.#known = false
    return kernelUnknown(message)
  }

  /** Null, or why it could not be read. */
  async #readBack(): Promise<string | null> {
    const { clock, wanted } = this.#options
    const since = clock.now()
    this.#cancelCheck?.()
    this.#cancelCheck = null
    this.#checkDue = false
    const reading = await this.#readBacks.read(this.#known ? { state: this.#applied } : null)
    this.#lastCheck = clock.now()
    if (reading.kind === 'failed') return reading.message
    this.#known = true
    if (reading.kind === 'same') return null
    this.#applied = reading.state
    mergeDirty(this.#dirty, reading.dirty ?? everything(reading.state, wanted))
    if (reading.differences.length === 0) return null
    const differences = [...(this.#repair?.differences ?? []), ...reading.differences]
    this.#repair = { by: reading.by, differences, since: this.#repair?.since ?? since }
    return null
  }

  #suspects(): readonly Owner[] {
    const { table, wanted, ownersOf } = this.#options
    const transaction = diffAtOnce(table, this.#applied, wanted, this.#dirty, ownersOf)
    return [...new Set(transaction?.operations.flatMap((o) => o.owners) ?? [])]
  }

  /** Runs what tries other quarantines: turns wait until it ends. */
  async #search<T>(run: (trial: Trial) => Promise<T>): Promise<T> {
    const { table, wanted, ownersOf, kernel, compile, onSearched } = this.#options
    let compiled = false
    const trial: Trial = {
      compile: (quarantine) => {
        compiled = true
        compile(quarantine)
      },
      judge: async () => {
        const transaction = diffAtOnce(table, this.#applied, wanted, this.#dirty, ownersOf)
        return transaction === null ? { kind: 'acknowledged' } : kernel.check(transaction)
      },
      commit: this.#held === 0 ? async () => (await this.#commitAll(nothingDone()))?.outcome ?? { kind: 'acknowledged' } : null,
    }
    this.#searching = true
    try {
      return await run(trial)
    } finally {
      this.#searching = false
      if (compiled) onSearched?.()
    }
  }
}

type Done = { steps: Transaction['step'][]; operations: number; ms: { diff: number; commit: number } }

interface Unacknowledged {
  readonly outcome: Exclude<CommitOutcome, { kind: 'acknowledged' }>
  readonly transaction: Transaction
}

function nothingDone(): Done {
  return { steps: [], operations: 0, ms: { diff: 0, commit: 0 } }
}
