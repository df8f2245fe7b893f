// Who has a value: value -> keys, the form of every secondary index of this folder and of the store.
//
// Most values (an address, a pod's own name) have one key, and a Set for each would cost more than the rows: a lone key
// stands for itself. **Invariant:** add and remove of one (value, key) may repeat; a value without keys is not kept.

const NONE: readonly string[] = []

export class Postings {
  readonly #keys = new Map<string, string | Set<string>>()

  add(value: string, key: string): void {
    const held = this.#keys.get(value)
    if (held === undefined) this.#keys.set(value, key)
    else if (typeof held !== 'string') held.add(key)
    else if (held !== key) this.#keys.set(value, new Set([held, key]))
  }

  remove(value: string, key: string): void {
    const held = this.#keys.get(value)
    if (held === key) this.#keys.delete(value)
    if (held === undefined || typeof held === 'string' || !held.delete(key)) return
    if (held.size === 1) this.#keys.set(value, held.values().next().value as string)
  }

  /** The keys of `value`, in no order; a view that must not outlive the next change. */
  of(value: string): Iterable<string> {
    const held = this.#keys.get(value)
    return held === undefined ? NONE : typeof held === 'string' ? [held] : held
  }

  count(value: string): number {
    const held = this.#keys.get(value)
    return held === undefined ? 0 : typeof held === 'string' ? 1 : held.size
  }
}
