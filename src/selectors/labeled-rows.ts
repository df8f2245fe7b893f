// Rows found by their labels: the pods of one namespace, or the namespaces.
//
// **Invariant:** `matching` visits the rows of the rarest equality of the selector, and all rows only where it has none.
import { selectorMatches, type LabelSelector, type Labels, type Requirement } from '../model/labels.ts'
import { Postings } from './postings.ts'

export interface Labeled {
  readonly labels: Labels
}

/** Value of an index over labels. Text that is no valid label may be ambiguous here: whoever reads an index checks the match. */
export function labelText(key: string, value: string): string {
  return `${key}=${value}`
}

export class LabeledRows<Row extends Labeled> {
  readonly #rows = new Map<string, Row>()
  readonly #byLabel = new Postings()

  get size(): number {
    return this.#rows.size
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key)
  }

  set(key: string, row: Row): void {
    const before = this.#rows.get(key)
    if (before?.labels !== row.labels) {
      if (before !== undefined) this.#unlist(key, before)
      for (const [label, value] of row.labels) this.#byLabel.add(labelText(label, value), key)
    }
    this.#rows.set(key, row)
  }

  delete(key: string): void {
    const row = this.#rows.get(key)
    if (row === undefined) return
    this.#unlist(key, row)
    this.#rows.delete(key)
  }

  /** The rows that match, with their keys. `visited` is called once for every row that is looked at. */
  *matching(selector: LabelSelector, visited: () => void): Iterable<readonly [string, Row]> {
    const rarest = this.#rarestEquality(selector)
    if (rarest === null) {
      for (const [key, row] of this.#rows) {
        visited()
        if (selectorMatches(selector, row.labels)) yield [key, row]
      }
      return
    }
    for (const value of rarest.values) {
      for (const key of this.#byLabel.of(labelText(rarest.key, value))) {
        visited()
        const row = this.#rows.get(key) as Row
        if (selectorMatches(selector, row.labels)) yield [key, row]
      }
    }
  }

  #rarestEquality(selector: LabelSelector): Requirement | null {
    let rarest: Requirement | null = null
    let fewest = Infinity
    for (const requirement of selector.requirements) {
      if (requirement.operator !== 'In') continue
      const rows = requirement.values.reduce((sum, value) => sum + this.#byLabel.count(labelText(requirement.key, value)), 0)
      if (rows < fewest) [rarest, fewest] = [requirement, rows]
    }
    return rarest
  }

  #unlist(key: string, row: Row): void {
    for (const [label, value] of row.labels) this.#byLabel.remove(labelText(label, value), key)
  }
}
