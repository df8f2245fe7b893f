// Gives back to the system what a large change left behind: V8 and the allocator keep it otherwise, for changes that may never come.
//
// Once, and only when no turn has run for a while, since collecting stops this thread.
// **Invariant:** a turn that touched few rows costs nothing here.
import type { Clock } from '../lib/clock.ts'
import { collectGarbage } from '../lib/heap.ts'
import { giveBackMemory } from '../netlink/libc.ts'

/** A load of 10,000 Services touches twelve times as many; 250 pods that change, fewer. */
const MANY_ROWS = 10_000
const QUIET_MS = 5_000

export class SpareMemory {
  readonly #clock: Clock
  readonly #collect: () => void
  #cancel: (() => void) | null = null

  constructor(clock: Clock, collect: () => void = giveBack) {
    this.#clock = clock
    this.#collect = collect
  }

  /** After each turn. */
  turned(rowsTouched: number): void {
    if (this.#cancel === null && rowsTouched < MANY_ROWS) return
    this.#cancel?.()
    this.#cancel = this.#clock.after(QUIET_MS, () => {
      this.#cancel = null
      this.#collect()
    })
  }

  close(): Promise<void> {
    this.#cancel?.()
    return Promise.resolve()
  }
}

function giveBack(): void {
  collectGarbage()
  giveBackMemory()
}
