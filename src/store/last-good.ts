// One kind's objects as they were read: the last good version of each, or the strict one where none was ever good.
//
// It turns a netted batch into the changes of the rows in force and the problems of each object, their text completed by
// what happens now. **Invariant:** the rows in force depend on the events of each object only, never on how they fell into turns.
import type { Problem } from '../lib/problem.ts'
import type { Change, Decoded } from '../model/changes.ts'
import type { Uid } from '../model/objects.ts'
import { sameRow } from './equality.ts'
import type { KindBatch, NettedChange } from './inbox.ts'
import type { WorkCount } from './snapshot.ts'

export class LastGood<Row extends object> {
  readonly #good = new Map<Uid, Row>()
  /** Of the objects that were never good: what stands in. Null: nothing does. */
  readonly #strict = new Map<Uid, Row | null>()
  readonly #work: WorkCount
  readonly #onProblems: (key: Uid, problems: readonly Problem[]) => void

  /** `onProblems` is told all problems of each object that a batch names. */
  constructor(work: WorkCount, onProblems: (key: Uid, problems: readonly Problem[]) => void) {
    this.#work = work
    this.#onProblems = onProblems
  }

  /** The row in force; null where the object counts as absent. */
  get(key: Uid): Row | null {
    return this.#good.get(key) ?? this.#strict.get(key) ?? null
  }

  /** What the batch changes of the rows in force. A row that says the same as before is no change, and the old one stays. */
  apply(batch: KindBatch<Row>): ReadonlyMap<Uid, Change<Row>> {
    const changes = new Map<Uid, Change<Row>>()
    for (const key of batch.whole ? this.#unnamed(batch) : []) this.#settle(key, { fresh: true, good: null, last: null }, changes)
    for (const [key, change] of batch.changes) this.#settle(key, change, changes)
    return changes
  }

  #unnamed(batch: KindBatch<Row>): readonly Uid[] {
    return [...this.#good.keys(), ...this.#strict.keys()].filter((key) => !batch.changes.has(key))
  }

  #settle(key: Uid, change: NettedChange<Row>, changes: Map<Uid, Change<Row>>): void {
    this.#work.rows += 1
    const before = this.get(key)
    const good = change.good ?? (change.fresh ? undefined : this.#good.get(key))
    this.#good.delete(key)
    this.#strict.delete(key)
    if (change.last !== null) {
      if (good !== undefined) this.#good.set(key, same(before, good))
      else this.#strict.set(key, change.last.kind === 'bad' && change.last.strict !== null ? same(before, change.last.strict) : null)
    }
    const after = this.get(key)
    if (before !== after) changes.set(key, { before, after })
    this.#onProblems(key, change.last === null ? [] : completed(change.last, good !== undefined))
  }
}

/** The row that is known already where the new one says nothing else. */
function same<Row>(known: Row | null, row: Row): Row {
  return known !== null && sameRow(known, row) ? known : row
}

/**
 * The problems of one reading. What is wrong, and what that could lead to, decode knows; which of it happens depends
 * on what was known before, and is said here, at the end of each error.
 */
function completed<Row>(read: Decoded<Row>, wasGood: boolean): readonly Problem[] {
  if (read.kind === 'good') return read.problems
  const ending = ({ otherwise = read.strict === null ? 'the object counts as absent' : 'the object fails closed' }: Problem): string =>
    wasGood ? 'the last good version stays in force' : `no good version is known, so ${otherwise}`
  return read.problems.map((problem) => {
    const { otherwise: _, ...rest } = problem
    return problem.severity === 'error' ? Object.freeze({ ...rest, message: `${problem.message}; ${ending(problem)}` }) : problem
  })
}
