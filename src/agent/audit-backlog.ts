// What the reader has handed over and is no record yet: taken up a few milliseconds at a time, between turns.
//
//   reader -> push(batch) -> take(flow), in order -> ...;  beyond the bound: counted, and told as lost
//
// **Invariant:** each flow is either taken once, or counted in onLost; nobody waits for it.
import type { LoggedFlow, LostPackets } from '../audit/logged-flow.ts'
import type { Clock } from '../lib/clock.ts'

export interface BacklogOptions {
  readonly clock: Clock
  /** Must not throw. */
  readonly take: (flow: LoggedFlow) => void
  readonly onLost: (lost: LostPackets) => void
}

/** Longest stretch without giving way. Milliseconds. */
const SLICE_MS = 4
/** Of the reader's, which are of some thousand flows at most. */
const MOST_BATCHES = 64

export class AuditBacklog {
  readonly #options: BacklogOptions
  readonly #batches: Iterator<LoggedFlow>[] = []
  readonly #idle: (() => void)[] = []
  #isPlanned = false
  #isClosed = false

  constructor(options: BacklogOptions) {
    this.#options = options
  }

  push(batch: Iterable<LoggedFlow>): void {
    if (this.#isClosed || this.#batches.length >= MOST_BATCHES) return this.#lose(batch)
    this.#batches.push(batch[Symbol.iterator]())
    this.#plan()
  }

  /** Resolves when nothing waits any more. */
  async settled(): Promise<void> {
    if (this.#batches.length === 0) return
    await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** What waits is counted as lost. */
  close(): void {
    this.#isClosed = true
    for (const batch of this.#batches.splice(0)) this.#lose({ [Symbol.iterator]: () => batch })
    this.#wake()
  }

  #plan(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    setImmediate(() => {
      this.#isPlanned = false
      this.#slice()
    })
  }

  #slice(): void {
    const { clock, take } = this.#options
    const until = clock.now() + SLICE_MS
    let taken = 0
    for (let batch = this.#batches[0]; batch !== undefined; batch = this.#batches[0]) {
      const { done, value } = batch.next()
      if (done === true) this.#batches.shift()
      else take(value)
      taken += 1
      if ((taken & 15) === 0 && clock.now() >= until) break
    }
    if (this.#batches.length > 0) this.#plan()
    else this.#wake()
  }

  #wake(): void {
    for (const idle of this.#idle.splice(0)) idle()
  }

  #lose(batch: Iterable<LoggedFlow>): void {
    let [count, first, last] = [0, Infinity, 0]
    for (const flow of batch) {
      count += flow.count
      first = Math.min(first, flow.first)
      last = Math.max(last, flow.last)
    }
    if (count > 0) this.#options.onLost({ stage: 'queue', count, first, last })
  }
}
