// How long to wait before what failed is tried again: twice as long each time, up to a limit.
//
// **Invariant:** no pause is longer than the longest, and after reset() the next one is the first again.

/** Milliseconds. */
export class RetryPause {
  readonly #first: number
  readonly #longest: number
  #pause: number

  constructor(first: number, longest: number) {
    this.#first = first
    this.#longest = longest
    this.#pause = first
  }

  /** What next() will say. */
  get pause(): number {
    return this.#pause
  }

  next(): number {
    const pause = this.#pause
    this.#pause = Math.min(pause * 2, this.#longest)
    return pause
  }

  reset(): void {
    this.#pause = this.#first
  }
}
