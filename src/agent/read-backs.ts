// Reads the table back and says what differs from what was applied, if anything does.
//
// At a start nothing is known, so everything read is taken as it is. Later only differences count: they are somebody
// else's doing, since a read-back never runs beside a commit of ours.
// **Invariant:** whatever was suspected when a reading began is settled by it, and stays suspected where it fails.
import type { ForeignChange, Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import { compare } from '../nft/compare.ts'
import type { Table } from '../nft/objects.ts'
import type { Dirty, TableState } from '../nft/state.ts'
import { RuleMemory } from './rule-memory.ts'

export type Reading =
  | { readonly kind: 'failed'; readonly message: string }
  /** As it was applied. */
  | { readonly kind: 'same' }
  | {
      readonly kind: 'other'
      /** What the kernel holds; null: no table. */
      readonly state: TableState | null
      /** The names that differ; null: any may. */
      readonly dirty: Dirty | null
      /** Empty at a start. */
      readonly differences: readonly string[]
      readonly by: string
    }

export interface ReadBacksOptions {
  readonly kernel: Kernel
  readonly clock: Clock
  readonly table: Table
  readonly onRead?: (read: TableState | null) => void
}

const UNTOLD = 'nobody knows (no notification of it came)'

export class ReadBacks {
  readonly #options: ReadBacksOptions
  readonly #memory: RuleMemory
  #by: string | null = null

  constructor(options: ReadBacksOptions) {
    this.#options = options
    this.#memory = new RuleMemory(options.clock)
  }

  suspect(change: ForeignChange): void {
    this.#by = change.by
    this.#memory.suspect(change)
  }

  /** `applied` null: what was applied is not known. */
  async read(applied: { readonly state: TableState | null } | null): Promise<Reading> {
    const { kernel, table } = this.#options
    const by = this.#by
    this.#by = null
    this.#memory.begin()
    const read = await kernel.readBack(table)
    if (read.kind === 'failed') {
      this.#by ??= by
      return { kind: 'failed', message: read.message }
    }
    if (read.kind === 'unreadable') {
      const gone = await kernel.deleteTable(table)
      if (gone.kind !== 'acknowledged') return { kind: 'failed', message: gone.message }
    }
    const told = { by: by ?? UNTOLD, dirty: null }
    if (read.kind !== 'table' || applied === null || applied.state === null) {
      this.#memory.settle()
      const state = read.kind === 'table' ? read.state : null
      if (applied !== null && applied.state === null && state === null) return { kind: 'same' }
      this.#options.onRead?.(state)
      return { kind: 'other', ...told, state, differences: applied === null ? [] : [differenceOf(read)] }
    }
    const { state, dirty, differences } = compare(table.family, applied.state, read, (chain, listed) => this.#memory.isAsWritten(chain, listed))
    this.#memory.settle()
    if (by !== null || differences.length > 0) this.#options.onRead?.(read.state)
    return differences.length === 0 ? { kind: 'same' } : { kind: 'other', state, dirty, differences, by: told.by }
  }
}

function differenceOf(read: { readonly kind: 'table' | 'absent' } | { readonly kind: 'unreadable'; readonly message: string }): string {
  if (read.kind === 'unreadable') return `the table: replaced, with its counters, since ${read.message}`
  return `the table: ${read.kind === 'absent' ? 'missing' : 'not ours'}`
}
