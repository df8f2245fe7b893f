// Our table in the kernel: what was applied to it, what may differ from what is wanted, and the steps that change it.
//
// The committer decides what is done when; here is how. acknowledged: the applied table becomes what was sent. unknown:
// it is read back before anything else. Start is that same path.
// **Invariant:** `applied` is what the kernel holds, or null while there is no table; it changes only after an answer.
import type { CommitOutcome, ForeignChange, Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import type { Revision } from '../model/changes.ts'
import type { Owner } from '../model/owner.ts'
import { apply } from '../nft/apply.ts'
import { diff, diffAtOnce } from '../nft/diff.ts'
import type { Table, Transaction } from '../nft/objects.ts'
import type { OwnersOf } from '../nft/operations.ts'
import { emptyDirty, emptyTable, everything, isReached, mergeDirty, type Dirty, type TableState } from '../nft/state.ts'
import { ReadBacks } from './read-backs.ts'

export interface KernelTableOptions {
  readonly kernel: Kernel
  readonly clock: Clock
  readonly table: Table
  readonly wanted: TableState
  readonly ownersOf: OwnersOf
  /** The table was read, at a start or because somebody may have changed it: what the kernel holds, null where it has no table. */
  readonly onRead?: (read: TableState | null) => void
  /** These counters are about to go, and count nothing any more: the sweep waits until their last values are read. What it resolves with is called once they are gone. */
  readonly onCountersLeave?: (names: readonly string[]) => Promise<() => void>
}

/** What a row of commits came to. */
export interface Done {
  readonly steps: Transaction['step'][]
  operations: number
  /** Milliseconds. */
  readonly ms: { diff: number; commit: number }
}

export function nothingDone(): Done {
  return { steps: [], operations: 0, ms: { diff: 0, commit: 0 } }
}

export interface Unacknowledged {
  readonly outcome: Exclude<CommitOutcome, { kind: 'acknowledged' }>
  readonly transaction: Transaction
}

export type TableReading =
  | { readonly kind: 'failed'; readonly message: string }
  /** `differences` from what was applied: empty where there are none, or at a start. */
  | { readonly kind: 'read'; readonly differences: readonly string[]; readonly by: string }

export class KernelTable {
  readonly #options: KernelTableOptions
  readonly #readBacks: ReadBacks
  #applied: TableState | null = null
  #isKnown = false
  #wasThere = false
  #dirty: Dirty = emptyDirty()
  #revision: Revision = 0
  #reached: Revision = 0

  constructor(options: KernelTableOptions) {
    this.#options = options
    this.#readBacks = new ReadBacks(options)
  }

  /** Of the wanted table; 0 before the first turn. */
  get revision(): Revision {
    return this.#revision
  }

  /** The newest revision of which packets see everything; what is left over may not be swept yet. */
  get reached(): Revision {
    return this.#reached
  }

  /** What the kernel holds, to be read only; null while there is no table, or nobody knows. */
  get applied(): TableState | null {
    return this.#isKnown ? this.#applied : null
  }

  get isKnown(): boolean {
    return this.#isKnown
  }

  /** Whether the kernel holds a ruleset that packets go by: one of ours, or the one that was there at the start. */
  get isInForce(): boolean {
    return this.#wasThere || this.#reached > 0
  }

  /** The wanted table is of that revision, and `dirty` may differ. */
  want(revision: Revision, dirty: Dirty): void {
    mergeDirty(this.#dirty, dirty)
    this.#revision = revision
  }

  /** Nobody knows any more what the kernel holds. */
  lose(): void {
    this.#isKnown = false
  }

  suspect(change: ForeignChange): void {
    this.#readBacks.suspect(change)
  }

  async read(): Promise<TableReading> {
    const reading = await this.#readBacks.read(this.#isKnown ? { state: this.#applied } : null)
    if (reading.kind === 'failed') return reading
    this.#isKnown = true
    if (reading.kind === 'same') return { kind: 'read', differences: [], by: '' }
    this.#applied = reading.state
    // One that was left before it was filled has no base chain: nothing is in force by it.
    this.#wasThere = reading.state !== null && isReached(reading.state)
    mergeDirty(this.#dirty, reading.dirty ?? everything(reading.state, this.#options.wanted))
    return { kind: 'read', differences: reading.differences, by: reading.by }
  }

  /** Commits until nothing differs (null), or until something is not acknowledged, or `ends` says so (null). */
  async commitAll(done: Done, ends: () => boolean): Promise<Unacknowledged | null> {
    const { clock, kernel, table, wanted, ownersOf, onCountersLeave } = this.#options
    for (;;) {
      const start = clock.now()
      const transaction = diff(table, this.#applied, wanted, this.#dirty, ownersOf)
      const sent = clock.now()
      done.ms.diff += sent - start
      if (transaction === null || transaction.step === 'sweep') this.#reached = this.#revision
      if (transaction === null) this.#dirty = emptyDirty()
      if (transaction === null || ends()) return null
      const leaving = countersOf(transaction)
      const gone = leaving.length > 0 ? await onCountersLeave?.(leaving) : undefined
      const outcome = await kernel.commit(transaction)
      done.ms.commit += clock.now() - sent
      if (outcome.kind !== 'acknowledged') return { outcome, transaction }
      done.steps.push(transaction.step)
      done.operations += transaction.operations.length
      this.#applied ??= emptyTable()
      apply(this.#applied, transaction)
      gone?.()
    }
  }

  /** What the kernel would answer to all that differs; nothing is kept. */
  async judge(): Promise<CommitOutcome> {
    const transaction = this.#atOnce()
    return transaction === null ? { kind: 'acknowledged' } : this.#options.kernel.check(transaction)
  }

  /** The owners of all that differs. */
  suspects(): readonly Owner[] {
    return [...new Set(this.#atOnce()?.operations.flatMap((operation) => operation.owners) ?? [])]
  }

  #atOnce(): Transaction | null {
    const { table, wanted, ownersOf } = this.#options
    return diffAtOnce(table, this.#applied, wanted, this.#dirty, ownersOf)
  }
}

/** Those that it deletes. */
function countersOf({ operations }: Transaction): readonly string[] {
  return operations.flatMap((operation) => (operation.verb === 'delete' && operation.object.kind === 'counter' ? [operation.object.name] : []))
}
