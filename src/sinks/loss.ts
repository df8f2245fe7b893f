// What did not get through one place, counted: how many records, and the times of the first and last of them.
//
// **Invariant:** each record that is added is told by exactly one take().
import type { LostRecord } from '../flows/record.ts'

export type Loss = Pick<LostRecord, 'count' | 'first' | 'last'>

export class LossCount {
  #count = 0
  #first = ''
  #last = ''
  #total = 0

  /** Ever. */
  get total(): number {
    return this.#total
  }

  /** Not taken yet. */
  get pending(): number {
    return this.#count
  }

  /** `time`: of the record, RFC 3339 in UTC with milliseconds: such texts are in the order of their times. Of more than one: the first's and the last's. */
  add(time: string, count = 1, last = time): void {
    if (this.#count === 0 || time < this.#first) this.#first = time
    if (this.#count === 0 || last > this.#last) this.#last = last
    this.#count += count
    this.#total += count
  }

  /** Null where nothing was lost since the last call. */
  take(): Loss | null {
    if (this.#count === 0) return null
    const loss = { count: this.#count, first: this.#first, last: this.#last }
    this.#count = 0
    return loss
  }
}
