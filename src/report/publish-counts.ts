// What a publisher did, counted: for metrics, and for the bench that holds the budget of writes.
//
// **Invariant:** every request is counted once as it begins, by what it does and why, and once as it ends.
import type { Action } from './desired.ts'
import type { Setback } from './setbacks.ts'

export interface PublishCounts {
  /** Known, waiting, and on their way: now. The others since the start. */
  readonly objects: number
  readonly waiting: number
  readonly writing: number
  readonly offers: number
  /** Offers that met a transition of the same object which waited already. */
  readonly coalesced: number
  /** Requests that began. */
  readonly writes: number
  readonly transitions: number
  readonly refreshes: number
  readonly actions: Readonly<Record<Action, number>>
  readonly taken: number
  readonly setbacks: Readonly<Record<Setback, number>>
}

export class Counts {
  #offers = 0
  #coalesced = 0
  #transitions = 0
  #refreshes = 0
  readonly #actions: Record<Action, number> = { create: 0, apply: 0, delete: 0 }
  #taken = 0
  readonly #setbacks: Record<Setback, number> = { conflict: 0, missing: 0, refused: 0, away: 0 }

  offered(waits: boolean): void {
    this.#offers += 1
    if (waits) this.#coalesced += 1
  }

  began(kind: 'transition' | 'counts', action: Action): void {
    if (kind === 'transition') this.#transitions += 1
    else this.#refreshes += 1
    this.#actions[action] += 1
  }

  done(): void {
    this.#taken += 1
  }

  failed(setback: Setback): void {
    this.#setbacks[setback] += 1
  }

  now(objects: number, waiting: number, writing: number): PublishCounts {
    return {
      objects,
      waiting,
      writing,
      offers: this.#offers,
      coalesced: this.#coalesced,
      writes: this.#transitions + this.#refreshes,
      transitions: this.#transitions,
      refreshes: this.#refreshes,
      actions: { ...this.#actions },
      taken: this.#taken,
      setbacks: { ...this.#setbacks },
    }
  }
}

/** Counts of two publishers, one after the other: what is now is the second one's. */
export function joined(before: PublishCounts | null, after: PublishCounts): PublishCounts {
  if (before === null) return after
  const sum = <Key extends string>(one: Readonly<Record<Key, number>>, other: Readonly<Record<Key, number>>): Readonly<Record<Key, number>> =>
    Object.fromEntries((Object.keys(one) as Key[]).map((key) => [key, one[key] + other[key]])) as Record<Key, number>
  return {
    ...after,
    offers: before.offers + after.offers,
    coalesced: before.coalesced + after.coalesced,
    writes: before.writes + after.writes,
    transitions: before.transitions + after.transitions,
    refreshes: before.refreshes + after.refreshes,
    actions: sum(before.actions, after.actions),
    taken: before.taken + after.taken,
    setbacks: sum(before.setbacks, after.setbacks),
  }
}
