// A table: rows by key, with secondary indexes and the revision of its last change.
//
// Only the store writes; everybody else sees it as a TableView. **Invariant:** rows are frozen and replaced, never edited,
// nothing lists the whole table, and every row that is handed out is counted.
import { Postings } from '../selectors/postings.ts'
import type { Change, Changes, Revision } from '../model/changes.ts'
import type { TableView, WorkCount } from './snapshot.ts'

/** For each index the values under which a row is found. */
export type IndexesOf<Row, Index extends string> = { readonly [I in Index]: (row: Row) => readonly string[] }

export class Table<Row extends object, Index extends string> implements TableView<string, Row, Index> {
  readonly #rows = new Map<string, Row>()
  readonly #indexes: readonly (readonly [Index, (row: Row) => readonly string[], Postings])[]
  readonly #postings = new Map<Index, Postings>()
  readonly #work: WorkCount
  #revision: Revision = 0

  constructor(indexes: IndexesOf<Row, Index>, work: WorkCount) {
    this.#work = work
    this.#indexes = (Object.keys(indexes) as Index[]).map((name) => [name, indexes[name], new Postings()])
    for (const [name, , postings] of this.#indexes) this.#postings.set(name, postings)
  }

  get size(): number {
    return this.#rows.size
  }

  /** The revision of the last change; 0 where there was none. */
  get revision(): Revision {
    return this.#revision
  }

  get(key: string): Row | undefined {
    this.#work.rows += 1
    return this.#rows.get(key)
  }

  *where(index: Index, value: string): Iterable<Row> {
    for (const key of (this.#postings.get(index) as Postings).of(value)) {
      this.#work.rows += 1
      yield this.#rows.get(key) as Row
    }
  }

  /** Takes the changes over; `before` of each must be the row that is there. */
  apply(changes: Changes<string, Row>, revision: Revision): void {
    for (const [key, change] of changes) this.#applyOne(key, change)
    if (changes.size > 0) this.#revision = revision
  }

  #applyOne(key: string, { before, after }: Change<Row>): void {
    this.#work.rows += 1
    if (after === null) this.#rows.delete(key)
    else this.#rows.set(key, Object.freeze(after))
    for (const [, valuesOf, postings] of this.#indexes) {
      if (before !== null) for (const value of valuesOf(before)) postings.remove(value, key)
      if (after !== null) for (const value of valuesOf(after)) postings.add(value, key)
    }
  }
}
