// What was logged and what limits or samples left out, by event: from the counters of verdicts and of their log rules.
//
//   kernel's counters -> take(values), at each reading -> totals
//
// **Invariant:** totals never fall, whatever counters come and go; what a verdict counted is either logged or suppressed while it has a
// log rule, and neither while it has none.
import type { CounterValue } from '../nft/listing.ts'
import { logCounters } from '../ruleset/names.ts'

export interface Suppressed {
  readonly logged: number
  /** Met a log rule, and was not logged. */
  readonly suppressed: number
}

interface Pair {
  readonly verdict: number
  readonly logged: number
}

export class Suppression {
  readonly #totals = new Map<string, Suppressed>()
  readonly #told = new Map<string, Suppressed>()
  /** By the log rule's counter; null before the first reading: what was counted before this agent is not its own. */
  #before: Map<string, Pair> | null = null
  #verdicts = new Map<string, number>()

  /** By event: `denied`, `allowed`, `spoofed`, and so on. */
  get totals(): ReadonlyMap<string, Suppressed> {
    // Counters of one reading are not of one moment: the difference may fall for a moment, what was told does not.
    for (const [event, { logged, suppressed }] of this.#totals) this.#told.set(event, { logged, suppressed: Math.max(suppressed, this.#told.get(event)?.suppressed ?? 0) })
    return this.#told
  }

  /** Packets of all counters of the table. */
  take(values: ReadonlyMap<string, CounterValue>): void {
    const pairs = new Map<string, Pair>()
    const verdicts = new Map<string, number>()
    for (const [name, { packets: logged }] of values) {
      const of = logCounters(name)
      if (of === null) continue
      const verdict = values.get(of.verdict)?.packets ?? logged
      pairs.set(name, { verdict, logged })
      if (this.#before !== null) this.#add(of.event, this.#since(name, of.verdict), { verdict, logged })
    }
    for (const [name, { packets }] of values) verdicts.set(name, packets)
    this.#before = pairs
    this.#verdicts = verdicts
  }

  /** Deleted: where one of that name comes back, it counts from 0, and may be past where it stood by the next reading. */
  gone(names: readonly string[]): void {
    for (const name of names) {
      this.#before?.delete(name)
      this.#verdicts.delete(name)
    }
  }

  /** What is newly logged counts from where its verdict's counter stood. */
  #since(name: string, verdict: string): Pair {
    return this.#before?.get(name) ?? { verdict: this.#verdicts.get(verdict) ?? 0, logged: 0 }
  }

  #add(event: string, before: Pair, now: Pair): void {
    const grown = (what: keyof Pair): number => (now[what] < before[what] ? now[what] : now[what] - before[what])
    const [logged, verdict] = [grown('logged'), grown('verdict')]
    const total = this.#totals.get(event) ?? { logged: 0, suppressed: 0 }
    this.#totals.set(event, { logged: total.logged + logged, suppressed: total.suppressed + verdict - logged })
  }
}
