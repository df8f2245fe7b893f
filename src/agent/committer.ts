// Brings the kernel to the wanted table: one commit at a time, stage, switch, sweep, until nothing differs.
//
// acknowledged: the applied table becomes what was sent. refused: the kernel is as it was; tried again with back-off and
// with the next turn. unknown: the table is read back and everything is dirty. Start is that same path.
// **Invariant:** `applied` is what the kernel holds, or null while nobody knows; it changes only after an answer.
import type { Clock } from '../lib/clock.ts'
import type { Problem } from '../lib/problem.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Revision } from '../model/changes.ts'
import { apply } from '../nft/apply.ts'
import { diff } from '../nft/diff.ts'
import type { Owner, Table, Transaction } from '../nft/objects.ts'
import { emptyDirty, emptyTable, everything, mergeDirty, type Dirty, type TableState } from '../nft/state.ts'

export interface CommitReport {
  readonly revision: Revision
  /** How many transactions it took, and of which steps. */
  readonly steps: readonly Transaction['step'][]
  readonly operations: number
  readonly ms: { readonly diff: number; readonly commit: number }
}

export interface CommitterOptions {
  readonly kernel: Kernel
  readonly clock: Clock
  readonly table: Table
  readonly wanted: TableState
  readonly ownersOf: (name: string) => readonly Owner[]
  /** The kernel holds everything up to that revision. */
  readonly onHeld: (report: CommitReport) => void
  /** The table was read: what the kernel holds now, null where it has no table. */
  readonly onRead?: (applied: TableState | null) => void
  /** What keeps the kernel from holding it; empty when that is over. */
  readonly onProblems: (problems: readonly Problem[]) => void
}

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000

export class Committer {
  readonly #options: CommitterOptions
  #applied: TableState | null = null
  #known = false
  #dirty: Dirty = emptyDirty()
  #revision: Revision = 0
  #held: Revision = 0
  #running: Promise<void> | null = null
  #again = false
  #retryMs = FIRST_RETRY_MS
  #cancelRetry: (() => void) | null = null
  #closed = false

  constructor(options: CommitterOptions) {
    this.#options = options
  }

  /** The revision that the kernel holds; 0 before the first. */
  get held(): Revision {
    return this.#held
  }

  /** Another turn ended: `dirty` may differ from now on. */
  want(revision: Revision, dirty: Dirty): void {
    mergeDirty(this.#dirty, dirty)
    this.#revision = revision
    this.#wake()
  }

  /** Ends after the commit that is under way. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelRetry?.()
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
      const trouble = await this.#converge()
      this.#options.onProblems(trouble)
      if (trouble.length === 0) {
        this.#retryMs = FIRST_RETRY_MS
        continue
      }
      this.#cancelRetry = this.#options.clock.after(this.#retryMs, () => this.#wake())
      this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS)
    }
  }

  /** Commits until nothing differs; returns what stood in the way. */
  async #converge(): Promise<readonly Problem[]> {
    const { clock, table, wanted, ownersOf, kernel } = this.#options
    const steps: Transaction['step'][] = []
    const ms = { diff: 0, commit: 0 }
    let operations = 0
    for (;;) {
      if (!this.#known) {
        const trouble = await this.#readBack()
        if (trouble !== null) return [trouble]
      }
      const start = clock.now()
      const revision = this.#revision
      const transaction = diff(table, this.#applied, wanted, this.#dirty, ownersOf)
      ms.diff += clock.now() - start
      if (transaction === null) {
        this.#dirty = emptyDirty()
        this.#held = revision
        this.#options.onHeld({ revision, steps, operations, ms })
        return []
      }
      const sent = clock.now()
      const outcome = await kernel.commit(transaction)
      ms.commit += clock.now() - sent
      if (this.#closed) return []
      if (outcome.kind === 'refused') return [refused(outcome.message, transaction)]
      if (outcome.kind === 'unknown') {
        this.#known = false
        return [unknown(outcome.message)]
      }
      steps.push(transaction.step)
      operations += transaction.operations.length
      this.#applied ??= emptyTable()
      apply(this.#applied, transaction)
    }
  }

  async #readBack(): Promise<Problem | null> {
    const { kernel, table, wanted } = this.#options
    const read = await kernel.readBack(table)
    if (read.kind === 'failed') return unknown(read.message)
    if (read.kind === 'unreadable') {
      const gone = await kernel.deleteTable(table)
      if (gone.kind !== 'acknowledged') return unknown(gone.message)
    }
    this.#applied = read.kind === 'table' ? read.state : null
    mergeDirty(this.#dirty, everything(this.#applied, wanted))
    this.#known = true
    this.#options.onRead?.(this.#applied)
    return null
  }
}

function refused(message: string, transaction: Transaction): Problem {
  const owners = [...new Set(transaction.operations.flatMap((o) => o.owners))].slice(0, 5)
  return {
    code: 'CommitRefused',
    severity: 'error',
    object: owners.length > 0 ? owners.join(', ') : 'the ruleset',
    message: `the kernel refused a change: ${message}; what it held before stays in force, and the change is tried again`,
  }
}

function unknown(message: string): Problem {
  return {
    code: 'KernelUnknown',
    severity: 'error',
    object: 'the ruleset',
    message: `${message}; what the kernel holds stays in force, it is read back and tried again`,
  }
}
