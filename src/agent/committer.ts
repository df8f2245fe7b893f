// Brings the kernel to the wanted table: one commit at a time, stage, switch, sweep, until nothing differs.
//
//   want (a turn ended), check (somebody else changed the table, or the timer) -> read back if need be -> diff -> commit
//
// refused: read back and compared, since somebody else may have changed it; where nothing differs the owner at fault is
// contained. unknown: read back. Whatever stays in the way is tried again with back-off.
// **Invariant:** one pass runs at a time, and a revision is told to be held only when packets see all of it.
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import { RetryPause } from '../lib/retry-pause.ts'
import type { ForeignChange } from '../kernel/kernel.ts'
import type { Revision } from '../model/changes.ts'
import type { Owner } from '../model/owner.ts'
import type { Transaction } from '../nft/objects.ts'
import type { Dirty, TableState } from '../nft/state.ts'
import { commitRefused, kernelUnknown, sweepRefused } from './commit-problems.ts'
import { Containment, type Trial } from './containment.ts'
import { KernelTable, nothingDone, type Done, type KernelTableOptions } from './kernel-table.ts'

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

/** A change that the kernel refuses whoever is closed: it is nobody's object. */
export interface Refusal {
  /** Whose objects wait for it. */
  readonly owners: readonly Owner[]
  readonly problem: Problem
}

export interface CommitterOptions extends KernelTableOptions {
  /** Compiles everything with that quarantine, takes in nothing new, and calls want(). */
  readonly compile: (quarantine: ReadonlySet<Owner>) => void
  /** The kernel holds everything up to that revision. */
  readonly onHeld: (report: CommitReport) => void
  readonly onRepaired?: (repair: Repair) => void
  /** A search for what the kernel refuses has ended: turns may go on. */
  readonly onSearched?: () => void
  /** What keeps the kernel from holding it, and what is in quarantine; empty when that is over. Told before onHeld: whoever tells what is held tells what is not, too. */
  readonly onProblems: (problems: readonly Problem[]) => void
}

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000
/** Between two read-backs that somebody else's commits cause. */
const CHECK_PAUSE_MS = 500
/** Read-backs on the timer take no more than one part in so many of the time. */
const TIMER_SHARE = 20

export class Committer {
  readonly #options: CommitterOptions
  readonly #clock: Clock
  readonly #table: KernelTable
  readonly #containment: Containment
  #held: Revision = 0
  #running: Promise<void> | null = null
  #again = false
  readonly #retry = new RetryPause(FIRST_RETRY_MS, LAST_RETRY_MS)
  #cancelRetry: (() => void) | null = null
  /** It is to be read back now, or as soon as the pause is over. */
  #checkDue = false
  #cancelCheck: (() => void) | null = null
  #lastCheck = -Infinity
  #lastCheckMs = 0
  #repair: { readonly by: string; readonly differences: readonly string[]; readonly since: number } | null = null
  #refusal: Refusal | null = null
  #searching = false
  #searchAt = -Infinity
  #closed = false

  constructor(options: CommitterOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#table = new KernelTable(options)
    this.#containment = new Containment(options.clock, () => this.#wake())
  }

  /** The revision that the kernel holds; 0 before the first. */
  get held(): Revision {
    return this.#held
  }

  /** Null where there is none. */
  get refusal(): Refusal | null {
    return this.#refusal
  }

  /** What the kernel holds, to be read only; null while there is no table, or nobody knows. */
  get applied(): TableState | null {
    return this.#table.applied
  }

  /** While it looks for what the kernel refuses, only `compile` may run turns. */
  get searching(): boolean {
    return this.#searching
  }

  /** Another turn ended: `dirty` may differ from now on. */
  want(revision: Revision, dirty: Dirty): void {
    this.#table.want(revision, dirty)
    if (!this.#searching) this.#wake()
  }

  /** Edits ended the quarantine of these. */
  released(owners: readonly Owner[]): void {
    this.#containment.forget(owners)
  }

  /** The table is to be compared with what was applied: somebody else changed it (`change`), or it is time to (null). */
  check(change: ForeignChange | null): void {
    if (this.#closed) return
    if (change !== null) this.#table.suspect(change)
    else if (this.#clock.now() < this.#lastCheck + TIMER_SHARE * this.#lastCheckMs) return
    const wait = change === null ? 0 : this.#lastCheck + CHECK_PAUSE_MS - this.#clock.now()
    if (wait <= 0) return this.#checkNow()
    this.#cancelCheck ??= this.#clock.after(wait, () => this.#checkNow())
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
      this.#tellProblems(trouble)
      if (trouble.length === 0) {
        this.#retry.reset()
        continue
      }
      this.#cancelRetry = this.#clock.after(this.#retry.next(), () => this.#wake())
    }
  }

  /** Reads back and tries again what is due, and commits until nothing differs; returns what stood in the way. */
  async #pass(): Promise<readonly Problem[]> {
    if (this.#table.revision === 0) return []
    if (!this.#table.isKnown || this.#checkDue) {
      const trouble = await this.#readBack()
      if (trouble !== null) return [trouble]
    }
    const lost = await this.#search((trial) => this.#containment.retry(trial))
    if (lost !== null) return [this.#lose(lost)]
    return this.#converge()
  }

  async #converge(): Promise<readonly Problem[]> {
    const done = nothingDone()
    let compared = false
    for (;;) {
      const ended = await this.#table.commitAll(done, () => this.#closed)
      if (this.#closed) return []
      if (ended === null) {
        this.#tellHeld(done)
        return []
      }
      const { outcome, transaction } = ended
      if (outcome.kind === 'unknown') return [this.#lose(outcome.message)]
      if (transaction.step === 'sweep') {
        // Packets see nothing of what is only left over.
        const trouble = [sweepRefused(outcome.message)]
        this.#tellHeld(done, trouble)
        return trouble
      }
      if (!compared) {
        compared = true
        const before = this.#repair
        const trouble = await this.#readBack()
        if (trouble !== null) return [trouble]
        if (this.#repair !== before) continue
      }
      const refused = await this.#contain(outcome.message)
      if (refused !== null) return [refused]
    }
  }

  /** Null where more is in quarantine, so that it is worth going on. */
  async #contain(said: string): Promise<Problem | null> {
    const suspects = this.#table.suspects()
    // Closing everybody did not help a moment ago: it will not help now.
    if (this.#clock.now() < this.#searchAt) return this.#refuse(said, suspects)
    const found = await this.#search((trial) => this.#containment.search(suspects, said, trial))
    if (found.kind === 'contained') return null
    if (found.kind === 'unknown') return this.#lose(found.message)
    this.#searchAt = this.#clock.now() + this.#retry.pause
    return this.#refuse(said, suspects)
  }

  #refuse(said: string, owners: readonly Owner[]): Problem {
    const problem = commitRefused(said, owners)
    this.#refusal = { owners, problem }
    return problem
  }

  #tellProblems(trouble: readonly Problem[]): void {
    if (this.#refusal !== null && !trouble.includes(this.#refusal.problem)) this.#refusal = null
    this.#options.onProblems([...this.#containment.problems, ...trouble])
  }

  #tellHeld(done: Done, trouble: readonly Problem[] = []): void {
    this.#held = this.#table.reached
    this.#tellProblems(trouble)
    this.#options.onHeld({ revision: this.#held, ...done })
    if (this.#repair === null) return
    const { by, differences, since } = this.#repair
    this.#repair = null
    this.#options.onRepaired?.({ by, differences, ms: this.#clock.now() - since })
  }

  #lose(message: string): Problem {
    this.#table.lose()
    return kernelUnknown(message)
  }

  /** Null, or why it could not be read. */
  async #readBack(): Promise<Problem | null> {
    const since = this.#clock.now()
    this.#cancelCheck?.()
    this.#cancelCheck = null
    this.#checkDue = false
    const reading = await this.#table.read()
    this.#lastCheck = this.#clock.now()
    this.#lastCheckMs = this.#lastCheck - since
    if (reading.kind === 'failed') {
      this.#checkDue = true
      return kernelUnknown(reading.message)
    }
    if (reading.differences.length === 0) return null
    const differences = [...(this.#repair?.differences ?? []), ...reading.differences]
    this.#repair = { by: reading.by, differences, since: this.#repair?.since ?? since }
    return null
  }

  /** Runs what tries other quarantines: turns wait until it ends. */
  async #search<T>(run: (trial: Trial) => Promise<T>): Promise<T> {
    const { compile, onSearched } = this.#options
    const commit: Trial['commit'] = async () => (await this.#table.commitAll(nothingDone(), () => this.#closed))?.outcome ?? { kind: 'acknowledged' }
    this.#searching = true
    try {
      return await run({
        compile,
        judge: () => this.#table.judge(),
        commit: this.#table.isInForce ? null : commit,
      })
    } finally {
      this.#searching = false
      onSearched?.()
    }
  }
}
