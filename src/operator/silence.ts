// Which nodes are not ready now, told to the time of quiet as news: only those that became so while we looked.
//
// The time of quiet outlives a term, this does not. **Invariant:** of what one term told to be silent nothing is left once it is over.
import type { Quiet } from '../report/quiet.ts'

export class Silence {
  readonly #quiet: Quiet
  readonly #silent = new Set<string>()
  #isOpen = false

  constructor(quiet: Quiet) {
    this.#quiet = quiet
  }

  get size(): number {
    return this.#silent.size
  }

  /** After each step. Those that were silent when we came are no news, and before the first step it is not known of how many they are. */
  open(nodes: number): void {
    this.#isOpen = true
    this.#quiet.nodes(nodes)
  }

  /** A Node that is gone is told as ready. */
  heard(node: string, isReady: boolean, now: number): void {
    if (isReady === !this.#silent.has(node)) return
    if (isReady) {
      this.#silent.delete(node)
      this.#quiet.heard(node)
    } else {
      this.#silent.add(node)
      if (this.#isOpen) this.#quiet.silent(node, now)
    }
  }

  close(): void {
    for (const node of this.#silent) this.#quiet.heard(node)
    this.#silent.clear()
  }
}
