// When nothing is written at all: while the operator does not see the cluster as it is, and for a minute after.
//
// "When over half the nodes go silent together, or the operator was cut off, nothing is written for 60 s after its own watches
// are synced": it is more likely that it is we who hear nothing. Nodes are told here when they begin to be silent, not when they
// count as stale, so that the quiet begins before the first of them is written down.
// **Invariant:** nodes that stay silent keep nothing quiet for longer than a minute: what is really gone is told.

/** Milliseconds. */
export interface QuietTimes {
  /** After the watches are synced, and after over half the nodes went silent. */
  readonly after: number
  /** Within which going silent is together. */
  readonly together: number
}

export const USUAL_QUIET: QuietTimes = { after: 60_000, together: 60_000 }

export class Quiet {
  readonly #times: QuietTimes
  #cutOff = true
  #until = -Infinity
  #nodes = 0
  /** Since when each is silent, in that order. */
  readonly #silent = new Map<string, number>()

  /** Begins as one who has not seen the cluster yet: quiet until synced(), without the minute. */
  constructor(times: QuietTimes = USUAL_QUIET) {
    this.#times = times
  }

  /** Until when nothing is written; Infinity: until synced(). */
  get until(): number {
    return this.#cutOff ? Infinity : this.#until
  }

  /** A watch of ours fails, or hears nothing. `now` in milliseconds, as in all of these. */
  lost(now: number): void {
    this.#cutOff = true
    this.#extend(now)
  }

  /** All of them are synced. */
  synced(now: number): void {
    if (!this.#cutOff) return
    this.#cutOff = false
    // Not at the first time: there was nothing to be cut off from.
    if (this.#until > -Infinity) this.#extend(now)
  }

  /** How many there are. */
  nodes(count: number): void {
    this.#nodes = count
  }

  silent(node: string, now: number): void {
    if (this.#silent.has(node)) return
    this.#silent.set(node, now)
    let together = 0
    for (const at of this.#silent.values()) if (at > now - this.#times.together) together += 1
    if (together * 2 > this.#nodes) this.#extend(now)
  }

  /** It reports again, or is no more. */
  heard(node: string): void {
    this.#silent.delete(node)
  }

  #extend(now: number): void {
    this.#until = Math.max(this.#until, now + this.#times.after)
  }
}
