// What the kernel's named counters have counted, over their whole lives: read when somebody asks, and before one goes.
//
// A counter goes when no chain names it any more, and comes back from 0 when one does: the agent remembers what it had. Across a restart
// of the agent the kernel remembers, as long as something names the counter.
// **Invariant:** the total of what a counter counts never falls while this agent runs.
import type { Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import type { CounterValue } from '../nft/listing.ts'
import type { Counted } from '../ruleset/rule-counters.ts'
import { TABLE } from '../ruleset/skeleton.ts'

export interface CountingOptions {
  readonly kernel: Pick<Kernel, 'readCounters'>
  readonly clock: Clock
  /** The counters of the wanted table, by name. */
  readonly counted: () => ReadonlyMap<string, Counted>
  /** Of those that it lost lately. */
  readonly leaving: () => ReadonlyMap<string, Counted>
  /** All counters of the table, at each reading. */
  readonly onValues?: (values: ReadonlyMap<string, CounterValue>) => void
}

/** One counter, since it was first made. */
export interface Total extends CounterValue {
  readonly counted: Counted
  /** Whether something names it now. */
  readonly live: boolean
}

/** Milliseconds, of those that went: told for so long, so that a scrape sees the last value. */
const TOLD_MS = 300_000
/** Remembered, should they come back; then the one that went first is forgotten. */
const MOST_GONE = 10_000

interface Entry {
  readonly counted: Counted
  /** What it counted before it went the last time. */
  base: CounterValue
  last: CounterValue
  /** Null while it is there. */
  goneAt: number | null
}

const NOTHING: CounterValue = { packets: 0, bytes: 0 }

export class Counting {
  readonly #options: CountingOptions
  readonly #entries = new Map<string, Entry>()
  #reading: Promise<void> | null = null

  constructor(options: CountingOptions) {
    this.#options = options
  }

  /** Read now, for all who ask at once. By the counter's name; those that went within the last minutes too. What could not be read is as it was read last. */
  async totals(): Promise<ReadonlyMap<string, Total>> {
    await this.#read()
    const now = this.#options.clock.now()
    const told = [...this.#entries].filter(([, { goneAt }]) => goneAt === null || now - goneAt < TOLD_MS)
    return new Map(told.map(([name, { counted, base, last, goneAt }]) => [name, { counted, ...sum(base, last), live: goneAt === null }]))
  }

  /** These are about to be deleted, and count nothing any more. */
  async leave(names: readonly string[]): Promise<void> {
    // One that is under way may have been answered before the last packet.
    await this.#reading
    await this.#read()
    const now = this.#options.clock.now()
    for (const name of names) {
      const entry = this.#entries.get(name)
      if (entry !== undefined) this.#gone(name, entry, now)
    }
  }

  #read(): Promise<void> {
    this.#reading ??= this.#ask().finally(() => (this.#reading = null))
    return this.#reading
  }

  async #ask(): Promise<void> {
    const { kernel, clock, counted, leaving } = this.#options
    const values = await kernel.readCounters(TABLE)
    if (values === null) return
    this.#options.onValues?.(values)
    const wanted = counted()
    for (const [name, value] of values) {
      const entry = this.#entries.get(name)
      const what = wanted.get(name) ?? entry?.counted ?? leaving().get(name)
      if (what === undefined) continue
      if (entry === undefined) this.#entries.set(name, { counted: what, base: NOTHING, last: value, goneAt: null })
      else this.#counts(name, entry, value, wanted.has(name))
    }
    const now = clock.now()
    for (const [name, entry] of this.#entries) if (entry.goneAt === null && !values.has(name)) this.#gone(name, entry, now)
  }

  #counts(name: string, entry: Entry, value: CounterValue, isWanted: boolean): void {
    // It was deleted and made again, by us or with the whole table: it counts from 0.
    const isNew = entry.goneAt !== null ? isWanted : value.packets < entry.last.packets || value.bytes < entry.last.bytes
    if (isNew) entry.base = sum(entry.base, entry.last)
    // What is left over since the kernel refused to delete it.
    else if (entry.goneAt !== null) return
    entry.last = value
    entry.goneAt = null
    // Those that went last stand last.
    if (isNew) this.#entries.delete(name)
    if (isNew) this.#entries.set(name, entry)
  }

  #gone(name: string, entry: Entry, now: number): void {
    if (entry.goneAt !== null) return
    entry.goneAt = now
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    let left = this.#entries.size - this.#options.counted().size - MOST_GONE
    for (const [old, { goneAt }] of this.#entries) {
      if (left <= 0) return
      if (goneAt === null) continue
      this.#entries.delete(old)
      left -= 1
    }
  }
}

function sum(a: CounterValue, b: CounterValue): CounterValue {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes }
}
