// A watch that has lived for a while counts as good: until then its end is a failure like others.
//
// **Invariant:** `onCalm` is called at most once, and never after end().
import type { Clock } from '../lib/clock.ts'

export class Calm {
  readonly #clock: Clock
  readonly #afterMs: number
  readonly #onCalm: () => void
  #cancel: (() => void) | null = null
  #reached = false

  constructor(clock: Clock, afterMs: number, onCalm: () => void) {
    this.#clock = clock
    this.#afterMs = afterMs
    this.#onCalm = onCalm
  }

  get reached(): boolean {
    return this.#reached
  }

  /** Counts from the first call. */
  begin(): void {
    this.#cancel ??= this.#clock.after(this.#afterMs, () => {
      this.#reached = true
      this.#onCalm()
    })
  }

  end(): void {
    this.#cancel?.()
  }
}
