// A clock for hours of a thousand nodes: timers in a heap, and time that is spent on what is simulated kept apart.
//
// **Invariant:** timers run in the order of their times, and what one starts has gone on as far as it can before the next.
import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../src/lib/clock.ts'
import { Timetable } from '../../src/report/timetable.ts'

const BEGAN = Date.UTC(2026, 0, 1)

export class BudgetClock implements Clock {
  readonly #times = new Timetable()
  readonly #actions = new Map<string, () => void>()
  #now = 0
  #made = 0
  /** Milliseconds of this process that went into what stands for the rest of the cluster. */
  simulatedMs = 0

  now(): number {
    return this.#now
  }

  wallTime(): number {
    return BEGAN + this.#now
  }

  after(ms: number, action: () => void): () => void {
    this.#made += 1
    const key = String(this.#made)
    this.#actions.set(key, action)
    this.#times.set(key, this.#now + ms)
    return () => {
      this.#actions.delete(key)
      this.#times.remove(key)
    }
  }

  /** Of what is not measured. */
  simulate<T>(action: () => T): T {
    const began = performance.now()
    try {
      return action()
    } finally {
      this.simulatedMs += performance.now() - began
    }
  }

  /** The same clock, for what is not measured. */
  get simulated(): Clock {
    return { now: () => this.now(), wallTime: () => this.wallTime(), after: (ms, action) => this.after(ms, () => this.simulate(action)) }
  }

  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    while (this.#times.next() <= end) {
      this.#now = Math.max(this.#now, this.#times.next())
      const key = this.#times.take(this.#now) ?? ''
      const action = this.#actions.get(key)
      this.#actions.delete(key)
      action?.()
      await turn()
    }
    this.#now = end
  }
}
