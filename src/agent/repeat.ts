// Something that is done again and again, a pause after each end: at once first.
//
// **Invariant:** it never runs twice at a time, and not again after close().
import type { Clock } from '../lib/clock.ts'
import type { Closable } from './follower.ts'

/** `pause` in milliseconds, from the end of one to the next; `action` must not fail. close() does not wait for the one under way. */
export function repeat(clock: Clock, pause: number, action: () => Promise<void>): Closable {
  let closed = false
  const run = async (): Promise<void> => {
    await action()
    if (!closed) cancel = clock.after(pause, () => void run())
  }
  let cancel = clock.after(0, () => void run())
  return {
    close: async () => {
      closed = true
      cancel()
    },
  }
}
