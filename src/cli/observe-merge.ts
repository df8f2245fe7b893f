// Records of several agents in one order, that of their times.
//
// **Invariant:** what is held is bounded: by a number where all is read, by a short while where it goes on.
import type { Clock } from '../lib/clock.ts'
import type { Shown } from './observe-stream.ts'

/** RFC 3339 in UTC with as many digits sorts as text; records of one time stay as they came. */
function byTime(a: Shown, b: Shown): number {
  return a.record.time < b.record.time ? -1 : a.record.time > b.record.time ? 1 : 0
}

/** The last so many, in the order in which they came. */
export class Tail {
  readonly #most: number
  #list: Shown[] = []

  constructor(most: number) {
    this.#most = most
  }

  add(shown: Shown): void {
    this.#list.push(shown)
    if (this.#list.length >= 2 * this.#most + 1000) this.#list = this.#list.slice(this.#list.length - this.#most)
  }

  list(): readonly Shown[] {
    return this.#list.slice(Math.max(0, this.#list.length - this.#most))
  }
}

/** The newest so many of all that came. */
export class Newest {
  readonly #most: number
  #list: Shown[] = []
  /** How many were older than those that are kept. */
  cut = 0

  constructor(most: number) {
    this.#most = most
  }

  add(shown: Shown): void {
    this.#list.push(shown)
    if (this.#list.length >= 2 * this.#most + 1000) this.#settle()
  }

  inOrder(): readonly Shown[] {
    this.#settle()
    return this.#list
  }

  #settle(): void {
    this.#list.sort(byTime)
    const over = Math.max(0, this.#list.length - this.#most)
    this.#list.splice(0, over)
    this.cut += over
  }
}

/** Holds each record for a moment: of those that come meanwhile, older ones go out before it. */
export class Window {
  readonly #clock: Clock
  readonly #length: number
  readonly #out: (shown: Shown) => void
  #held: { readonly shown: Shown; readonly at: number }[] = []
  #cancel: (() => void) | null = null

  /** `length`: milliseconds. */
  constructor(clock: Clock, length: number, out: (shown: Shown) => void) {
    this.#clock = clock
    this.#length = length
    this.#out = out
  }

  add(shown: Shown): void {
    this.#held.push({ shown, at: this.#clock.now() })
    this.#cancel ??= this.#clock.after(this.#length, () => this.#release())
  }

  /** Lets all go. */
  end(): void {
    this.#cancel?.()
    this.#cancel = null
    for (const { shown } of this.#held.splice(0).toSorted((a, b) => byTime(a.shown, b.shown))) this.#out(shown)
  }

  #release(): void {
    this.#cancel = null
    const due = this.#clock.now() - this.#length
    const sorted = this.#held.toSorted((a, b) => byTime(a.shown, b.shown))
    const count = sorted.findLastIndex(({ at }) => at <= due) + 1
    this.#held = sorted.slice(count)
    for (const { shown } of sorted.slice(0, count)) this.#out(shown)
    const [oldest] = this.#held.toSorted((a, b) => a.at - b.at)
    if (oldest !== undefined) this.#cancel = this.#clock.after(Math.max(1, oldest.at - due), () => this.#release())
  }
}
