// When turns run: one for all that came within a tick, and none while the committer looks for what the kernel refuses.
//
// **Invariant:** whatever was planned is run, once, at the latest when the search ends; after close() nothing runs.
export interface TurnPlannerOptions {
  /** A search is under way. */
  readonly searching: () => boolean
  readonly run: () => void
}

export class TurnPlanner {
  readonly #options: TurnPlannerOptions
  readonly #afterSearches: (() => void)[] = []
  #planned = false
  /** A turn fell into a search. */
  #waits = false
  #closed = false

  constructor(options: TurnPlannerOptions) {
    this.#options = options
  }

  plan(): void {
    if (this.#planned || this.#closed) return
    this.#planned = true
    setImmediate(() => {
      this.#planned = false
      if (this.#closed) return
      this.#waits = this.#options.searching()
      if (!this.#waits) this.#options.run()
    })
  }

  /** Resolves when no search is under way. */
  settled(): Promise<void> {
    return this.#options.searching() ? new Promise((resolve) => this.#afterSearches.push(resolve)) : Promise.resolve()
  }

  searchEnded(): void {
    for (const resolve of this.#afterSearches.splice(0)) resolve()
    if (this.#waits) this.plan()
  }

  close(): void {
    this.#closed = true
  }
}
