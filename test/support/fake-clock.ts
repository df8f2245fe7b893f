// A clock that stands still until a test moves it.
//
// **Invariant:** timers run in the order of their times, each at its own time, and never by themselves.
import type { Clock } from '../../src/lib/clock.ts'

export class FakeClock implements Clock {
  #now = 0
  /** What the wall clock is ahead by. */
  #ahead = 0
  #timers: { at: number; action: () => void }[] = []

  now(): number {
    return this.#now
  }

  wallTime(): number {
    return this.#now + this.#ahead
  }

  /** Somebody sets the wall clock. */
  setAhead(ms: number): void {
    this.#ahead += ms
  }

  /** The process stands still: time passes, and nothing runs until advance() is called. */
  stall(ms: number): void {
    this.#now += ms
  }

  after(ms: number, action: () => void): () => void {
    const timer = { at: this.#now + ms, action }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer)
    }
  }

  /** Runs what falls due meanwhile; what that starts has some time of its own between two timers. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      await settled()
      const next = this.#timers.filter((one) => one.at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((one) => one !== next)
      this.#now = Math.max(this.#now, next.at)
      next.action()
    }
    this.#now = end
    await settled()
  }
}

/** Until every promise that can go on without a timer has. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}
