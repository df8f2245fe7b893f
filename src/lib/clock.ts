// Time, as something that is handed in: the agent uses the system's, tests use their own.
//
// **Invariant:** nobody but this file asks the system for the time or for a timer in the agent's loop.

export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. For durations. */
  now(): number
  /** Milliseconds since 1970. For what people read. */
  wallTime(): number
  /** Calls `action` once after `ms` milliseconds; the returned function cancels it. */
  after(ms: number, action: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms)
    return () => clearTimeout(timer)
  },
}
