// How long to wait before the next attempt: longer after each failure, up to a limit, and never the same on two nodes.
//
// **Invariant:** a pause lies between half and the whole of a value that doubles from the first to the longest.

export class Backoff {
  readonly #firstMs: number
  readonly #longestMs: number
  readonly #random: () => number
  #failures = 0

  /** `random`: [0, 1). */
  constructor(firstMs: number, longestMs: number, random: () => number) {
    this.#firstMs = firstMs
    this.#longestMs = longestMs
    this.#random = random
  }

  /** Failures since the last reset. */
  get failures(): number {
    return this.#failures
  }

  /** Milliseconds. Counts one more failure. */
  next(): number {
    const whole = Math.min(this.#firstMs * 2 ** Math.min(this.#failures, 30), this.#longestMs)
    this.#failures += 1
    return whole / 2 + (whole / 2) * this.#random()
  }

  reset(): void {
    this.#failures = 0
  }

  /** As after so many failures, where there were more. */
  shorten(failures: number): void {
    this.#failures = Math.min(this.#failures, failures)
  }
}
