// How the kernel lists the rules that we wrote: what read-backs compare with, learned without a window.
//
// A chain's listing is learned at the first read-back after it was written, and only while nobody else is known to have
// touched it: the kernel's notifications say whose commit named which chains. What was learned shortly before such a
// notification came is forgotten, and the chain written anew: nobody knows which came first (decision 8).
// **Invariant:** a listing is trusted only where no commit of anybody else can lie between our writing and our reading.
import type { Clock } from '../lib/clock.ts'
import type { ForeignChange } from '../kernel/kernel.ts'
import type { Chain } from '../nft/objects.ts'

interface Learned {
  readonly listed: string
  /** Milliseconds of the clock. */
  readonly at: number
}

/** Between the kernel's notification and its being told here, beyond what the notification itself says. */
const MARGIN_MS = 1_000

/** What may have been touched by somebody else since the last read-back. */
interface Suspicion {
  readonly chains: Set<string>
  all: boolean
  /** What was learned before this time was learned before any of it happened. */
  since: number
}

export class RuleMemory {
  readonly #clock: Clock
  /** By the chain that was written: another version is another object, the same version lists the same. */
  readonly #learned = new WeakMap<Chain, Learned>()
  /** Known when the present read-back began. */
  #before = nothing()
  /** Told since. */
  #after = nothing()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  suspect(change: ForeignChange): void {
    const since = this.#clock.now() - change.sinceMs - MARGIN_MS
    add(this.#after, { all: change.chains === 'all', chains: new Set(change.chains === 'all' ? [] : change.chains), since })
  }

  /** A read-back begins: it will show whatever is suspected by now. */
  begin(): void {
    add(this.#before, this.#after)
    this.#after = nothing()
  }

  /** Whether `listed`, read now, is what writing `chain` gave. */
  isAsWritten(chain: Chain, listed: string): boolean {
    const learned = this.#learned.get(chain)
    const suspicions = [this.#before, this.#after].filter((s) => s.all || s.chains.has(chain.name))
    if (learned !== undefined && suspicions.every((s) => learned.at < s.since)) {
      if (learned.listed === listed) return true
      // Learned anew once it has been written again: another version of nft may list it in another form.
      this.#learned.delete(chain)
      return false
    }
    this.#learned.delete(chain)
    if (suspicions.length > 0 || countOf(listed) !== chain.rules.length) return false
    this.#learned.set(chain, { listed, at: this.#clock.now() })
    return true
  }

  /** The read-back was compared: what was suspected when it began is settled. */
  settle(): void {
    this.#before = nothing()
  }
}

function nothing(): Suspicion {
  return { chains: new Set(), all: false, since: Infinity }
}

function add(to: Suspicion, more: Suspicion): void {
  for (const chain of more.chains) to.chains.add(chain)
  to.all ||= more.all
  to.since = Math.min(to.since, more.since)
}

function countOf(listed: string): number {
  return listed === '' ? 0 : listed.split('\n').length - 1
}
