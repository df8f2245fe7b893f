// What was lost on the way to a LoggedFlow, counted: gaps in the kernel's sequence numbers, and what found no room here.
//
// The kernel numbers each packet of a group from 0 on, also those that it then cannot deliver.
// **Invariant:** what is added is told once; of each stage at most once in a second, unless all is asked for.
import type { LostPackets } from './logged-flow.ts'

const LEAST_MS = 1_000
const HALF = 0x8000_0000

interface Loss {
  count: number
  first: number
  last: number
  toldAt: number
}

export class Losses {
  readonly #stages: Readonly<Record<LostPackets['stage'], Loss>> = {
    kernel: { count: 0, first: 0, last: 0, toldAt: -Infinity },
    queue: { count: 0, first: 0, last: 0, toldAt: -Infinity },
  }
  #expected = 0
  #before: number | null = null

  /** Takes the sequence number of a packet of that time (milliseconds since 1970). Returns how many before it were lost. */
  sequence(sequence: number, time: number): number {
    const missing = (sequence - this.#expected) >>> 0
    const lost = missing < HALF ? missing : 0
    // Behind what came already: nothing is lost between, and the next one is counted from where we were.
    if (missing < HALF) this.#expected = (sequence + 1) >>> 0
    if (lost > 0) this.add('kernel', lost, this.#before ?? time, time)
    this.#before = time
    return lost
  }

  add(stage: LostPackets['stage'], count: number, first: number, last: number): void {
    const loss = this.#stages[stage]
    loss.first = loss.count === 0 ? first : Math.min(loss.first, first)
    loss.last = loss.count === 0 ? last : Math.max(loss.last, last)
    loss.count += count
  }

  /** What is due at that moment of the monotonic clock; with `all`, whatever there is. */
  take(now: number, all: boolean): LostPackets[] {
    const taken: LostPackets[] = []
    for (const stage of ['kernel', 'queue'] as const) {
      const loss = this.#stages[stage]
      if (loss.count === 0 || (!all && now - loss.toldAt < LEAST_MS)) continue
      taken.push({ stage, count: loss.count, first: Math.min(loss.first, loss.last), last: loss.last })
      loss.count = 0
      loss.toldAt = now
    }
    return taken
  }
}
