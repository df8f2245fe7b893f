// When what was planned came into the kernel: each change of the history belongs to one moment.
//
//   planned(revision) --- the kernel takes it at some time in between --- held(revision): the acknowledgement
//
// A moment is remembered for some minutes; beyond the bounds of number and bytes the oldest go first. What was before the last one
// that went is too old to be known (`horizon`). Times: milliseconds since 1970.
// **Invariant:** the kernel took what belongs to a moment at `from` at the earliest and at `until` at the latest.
import type { Revision } from '../model/changes.ts'

export interface Moment {
  readonly revision: Revision
  /** When it was planned: nothing of it can have been sent before. */
  readonly from: number
  /** When the kernel had acknowledged it; Infinity: it has not yet. */
  readonly until: number
}

export interface Span {
  readonly first: number
  readonly last: number
}

export interface Bounds {
  /** Milliseconds past the end of what was. */
  readonly keep: number
  readonly notes: number
  /** Estimated. */
  readonly bytes: number
}

export const BOUNDS: Bounds = { keep: 300_000, notes: 200_000, bytes: 64 * 2 ** 20 }
/** Of one note, besides what it remembers: its place in a Map and in two lists. */
const NOTE_BYTES = 200
/** Most have a note or two. */
const MOST_MOMENTS = 100_000
/** wallTime() cuts fractions off. */
const CLOCK_MS = 1

interface Entry extends Moment {
  until: number
  notes: number
  bytes: number
  readonly forget: (() => void)[]
}

export class Moments {
  readonly #bounds: Bounds
  /** By time. */
  #entries: Entry[] = []
  #notes = 0
  #bytes = 0
  #horizon = Infinity
  /** The newest revision of what went before the kernel held it, which the horizon waits for; null: none. */
  #awaited: Revision | null = null
  #isOpen = false
  /** What the kernel came to hold, by time; the first is older than the horizon, or at it. */
  #commits: Moment[] = []

  constructor(bounds: Bounds = BOUNDS) {
    this.#bounds = bounds
  }

  /** What was before is not known. Infinity: nothing is, yet. */
  get horizon(): number {
    return this.#awaited === null ? this.#horizon : Infinity
  }

  get size(): { readonly notes: number; readonly bytes: number } {
    return { notes: this.#notes, bytes: this.#bytes }
  }

  /** The moment of this turn; null for the first: what was before that one is not known. Others of one revision are moments of their own. */
  planned(revision: Revision, now: number): Moment | null {
    this.#prune(now)
    if (!this.#isOpen) {
      this.#isOpen = true
      this.#awaited = revision
      return null
    }
    const entry: Entry = { revision, from: now, until: Infinity, notes: 0, bytes: 0, forget: [] }
    this.#entries.push(entry)
    return entry
  }

  /** Another thing is remembered of that moment, which is the newest; `forget` is called when it has gone. */
  note(moment: Moment, bytes: number, forget: () => void): void {
    const entry = moment as Entry
    entry.notes += 1
    entry.bytes += bytes + NOTE_BYTES
    entry.forget.push(forget)
    this.#notes += 1
    this.#bytes += bytes + NOTE_BYTES
  }

  /** The kernel holds that revision. */
  held(revision: Revision, now: number): void {
    let from = now
    if (this.#awaited !== null && this.#awaited <= revision) {
      this.#horizon = now + CLOCK_MS
      this.#awaited = null
    }
    for (let at = this.#entries.length - 1; at >= 0; at--) {
      const entry = this.#entries[at] as Entry
      if (entry.until !== Infinity) break
      if (entry.revision > revision) continue
      entry.until = now + CLOCK_MS
      from = Math.min(from, entry.from)
    }
    if (this.#commits.at(-1)?.revision !== revision) this.#commits.push({ revision, from, until: now + CLOCK_MS })
    this.#prune(now)
  }

  /** Which revision the kernel held then. */
  revisionAt(time: number): Revision | 'ambiguous' | 'unresolved' {
    if (time < this.horizon) return 'unresolved'
    let after = this.#commits.length
    for (let low = 0; low < after; ) {
      const middle = (low + after) >> 1
      if ((this.#commits[middle] as Moment).until > time) after = middle
      else low = middle + 1
    }
    const held = this.#commits[after - 1]
    if (held === undefined) return 'unresolved'
    // What the kernel does not hold yet is the newest; most records are of the last commit, and ask.
    const next = this.#commits[after] ?? this.#entries[this.#entries.findLastIndex(({ until }) => until !== Infinity) + 1]
    return next !== undefined && next.from <= time ? 'ambiguous' : held.revision
  }

  #prune(now: number): void {
    let gone = 0
    for (const entry of this.#entries) {
      const isOld = entry.until + this.#bounds.keep < now
      if (!isOld && this.#notes <= this.#bounds.notes && this.#bytes <= this.#bounds.bytes && this.#entries.length - gone <= MOST_MOMENTS) break
      gone += 1
      this.#notes -= entry.notes
      this.#bytes -= entry.bytes
      for (const forget of entry.forget) forget()
      if (entry.until === Infinity) this.#awaited = Math.max(this.#awaited ?? 0, entry.revision)
      else this.#horizon = Math.max(this.#horizon, entry.until)
    }
    if (gone === 0) return
    this.#entries = this.#entries.slice(gone)
    const first = this.#commits.findLastIndex(({ until }) => until <= this.#horizon)
    if (first > 0) this.#commits = this.#commits.slice(first)
  }
}
