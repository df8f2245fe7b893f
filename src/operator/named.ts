// Objects by UID and by name, and which names have another one since they were last asked for.
//
// **Invariant:** of two objects of one name the last that was said counts, until it goes; the deletion of the other changes nothing.
import type { Uid } from '../model/objects.ts'

interface Held<Row> {
  readonly uid: Uid
  readonly row: Row
}

export class Named<Row> {
  readonly #names = new Map<Uid, string>()
  readonly #rows = new Map<string, Held<Row>>()
  #changed = new Set<string>()

  /** Null in either place: it is gone. */
  set(uid: Uid, name: string | null, row: Row | null): void {
    const before = this.#names.get(uid)
    if (before !== undefined && this.#rows.get(before)?.uid === uid) this.#rows.delete(before)
    if (before !== undefined) this.#changed.add(before)
    this.#names.delete(uid)
    if (name === null || row === null) return
    this.#names.set(uid, name)
    this.#rows.set(name, { uid, row })
    this.#changed.add(name)
  }

  get(name: string): Row | null {
    return this.#rows.get(name)?.row ?? null
  }

  keys(): Iterable<Uid> {
    return this.#names.keys()
  }

  names(): Iterable<string> {
    return this.#rows.keys()
  }

  get size(): number {
    return this.#rows.size
  }

  /** Names that were said something of since the last call. */
  take(): ReadonlySet<string> {
    const changed = this.#changed
    this.#changed = new Set()
    return changed
  }
}
