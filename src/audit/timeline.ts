// What each key meant before its last changes: with what it means now, what it can have meant at a time.
//
// What does not change is not in here: it is read where it stands anyway.
// **Invariant:** between() gives everything that may have been in force within a span, and nothing that cannot.
import type { Moment, Moments, Span } from './moments.ts'

interface Past<V> {
  /** Until that moment. */
  readonly value: V
  readonly moment: Moment
}

export class Timeline<K, V> {
  readonly #moments: Moments
  readonly #past = new Map<K, Past<V>[]>()

  constructor(moments: Moments) {
    this.#moments = moments
  }

  /** Until this moment it was `value`. The first word of a moment counts. `bytes`: how much of memory `value` holds, about. */
  note(key: K, value: V, moment: Moment, bytes: number): void {
    const past = this.#past.get(key)
    if (past?.at(-1)?.moment === moment) return
    if (past === undefined) this.#past.set(key, [{ value, moment }])
    else past.push({ value, moment })
    this.#moments.note(moment, bytes, () => this.#forget(key))
  }

  /** In the order of time, repeats left out. */
  between(key: K, now: V, { first, last }: Span): readonly V[] {
    const past = this.#past.get(key)
    if (past === undefined) return [now]
    const found = new Set<V>()
    let from = -Infinity
    for (const { value, moment } of past) {
      if (from <= last && moment.until >= first) found.add(value)
      from = moment.from
    }
    if (from <= last) found.add(now)
    return [...found]
  }

  /** Everything that is remembered of it, with the moment until which it was. */
  all(key: K): readonly Past<V>[] {
    return this.#past.get(key) ?? []
  }

  /** Whether it may have changed since then. */
  changedSince(key: K, time: number): boolean {
    return (this.#past.get(key) ?? []).some(({ moment }) => moment.until >= time)
  }

  get size(): number {
    return this.#past.size
  }

  /** Moments go in order, so the oldest word of a key is the one that goes. */
  #forget(key: K): void {
    const past = this.#past.get(key)
    if (past === undefined) return
    past.shift()
    if (past.length === 0) this.#past.delete(key)
  }
}
