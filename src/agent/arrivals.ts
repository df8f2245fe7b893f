// How long events wait for the kernel: when they arrived, which turn took them in, and when a commit held that turn.
//
//   arrived -> (turn) -> turned(revision) -> (commit) -> held(revision): observed
//
// **Invariant:** an event is observed once, never earlier than the kernel's acknowledgement; memory is bounded however long the
// kernel refuses: old portions are joined then, under the time of the older.
import type { Revision } from '../model/changes.ts'

interface Portion {
  /** Milliseconds of the clock. */
  readonly at: number
  readonly count: number
}

interface Taken extends Portion {
  readonly revision: Revision
}

const MOST_PORTIONS = 4096

export class Arrivals {
  readonly #observe: (ms: number, count: number) => void
  #waiting: Portion[] = []
  #taken: Taken[] = []

  /** `observe` is told how long so many events took that arrived together. */
  constructor(observe: (ms: number, count: number) => void) {
    this.#observe = observe
  }

  arrived(at: number, count: number): void {
    if (count === 0) return
    this.#waiting.push({ at, count })
    if (this.#waiting.length > MOST_PORTIONS) this.#waiting = joined(this.#waiting)
  }

  /** A turn took in all that arrived; its result is of that revision. */
  turned(revision: Revision): void {
    for (const portion of this.#waiting) this.#taken.push({ ...portion, revision })
    this.#waiting = []
    if (this.#taken.length > MOST_PORTIONS) this.#taken = joined(this.#taken)
  }

  /** The kernel holds everything up to that revision. */
  held(revision: Revision, now: number): void {
    const held = this.#taken.filter((one) => one.revision <= revision)
    if (held.length === 0) return
    this.#taken = this.#taken.filter((one) => one.revision > revision)
    for (const { at, count } of held) this.#observe(now - at, count)
  }

  /** What is under way is not to be observed. */
  forget(): void {
    this.#waiting = []
    this.#taken = []
  }
}

/** Half as many: each two neighbours as one, as old as the older, and held when the later one is. */
function joined<One extends Portion>(portions: readonly One[]): One[] {
  return portions.flatMap((portion, i) => {
    const next = portions[i + 1]
    if (i % 2 === 1) return []
    return [next === undefined ? portion : { ...next, at: portion.at, count: portion.count + next.count }]
  })
}
