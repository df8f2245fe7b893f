// What a dump tells part by part, for one reader that takes its time.
//
// **Invariant:** parts come out in the order in which they went in, each once, and then null.
export class Parts {
  readonly #waiting: Uint8Array[] = []
  #ended = false
  #wake: (() => void) | null = null

  push(part: Uint8Array): void {
    this.#waiting.push(part)
    this.#wake?.()
  }

  /** Nothing more comes. */
  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  /** The next part, as soon as there is one; null where nothing more comes. */
  async next(): Promise<Uint8Array | null> {
    while (this.#waiting.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#waiting.shift() ?? null
  }
}
