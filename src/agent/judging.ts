// Judges many connections by the newest plan, a few milliseconds at a time.
//
// Between two slices everything else has its turn, and the plan may become another one.
// **Invariant:** each is judged by what the plan says at that moment, and never while other quarantines are tried.
import type { Clock } from '../lib/clock.ts'
import type { Revision } from '../model/changes.ts'
import { Judge } from '../policy/judge.ts'
import type { Turns } from './turn.ts'

export interface JudgingOptions {
  readonly clock: Clock
  readonly turns: Turns
  readonly nodeEgress: 'allow' | 'enforce'
  /** Resolves at once, but while the committer tries other quarantines: what the plan says then is not meant. */
  readonly planSettled: () => Promise<void>
}

/** Longest stretch of judging without giving way. Milliseconds. */
const SLICE_MS = 4

export class Judging {
  readonly #options: JudgingOptions
  #judge: { readonly judge: Judge; readonly revision: Revision } | null = null
  #closed = false

  constructor(options: JudgingOptions) {
    this.#options = options
  }

  /** Tells each index below `total`, in order, and who judges it; after close() no more. */
  async all(total: number, tell: (index: number, judge: Judge) => void): Promise<void> {
    const { turns, clock, planSettled } = this.#options
    for (let next = 0; next < total; ) {
      await planSettled()
      const judge = this.#now()
      if (judge === null || this.#closed) return
      const { revision } = turns
      while (next < total && revision === turns.revision) {
        const until = clock.now() + SLICE_MS
        do tell(next++, judge)
        while (next < total && ((next & 63) !== 0 || clock.now() < until))
        if (next < total) await new Promise((resolve) => setImmediate(resolve))
      }
    }
  }

  /** What it looked up for the plan as it is: it would hold it for ever. */
  forget(): void {
    this.#judge = null
  }

  close(): void {
    this.#closed = true
  }

  /** One judge while the plan stays: it remembers the ends that it looked up. */
  #now(): Judge | null {
    const { plan, snapshot, revision } = this.#options.turns
    if (snapshot === null) return null
    if (this.#judge?.revision !== revision) this.#judge = { judge: new Judge(plan, snapshot, { nodeEgress: this.#options.nodeEgress }), revision }
    return this.#judge.judge
  }
}
