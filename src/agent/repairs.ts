// What others changed in our table and the agent put right: counted, and the last one kept, for status and the log.
//
// **Invariant:** no repair is left out of the count; what is kept of one is short whatever it was.
import type { Repair } from './committer.ts'

export interface LastRepair {
  readonly at: string
  readonly by: string
  /** The first few differences. */
  readonly what: readonly string[]
  readonly differences: number
}

const NAMED_DIFFERENCES = 8

export class Repairs {
  count = 0
  last: LastRepair | null = null

  /** The log line of it. `at`: milliseconds since 1970. */
  add(repair: Repair, at: number): object {
    this.count++
    const what = repair.differences.slice(0, NAMED_DIFFERENCES)
    this.last = { at: new Date(at).toISOString(), by: repair.by, what, differences: repair.differences.length }
    return { by: repair.by, what, differences: repair.differences.length, repairs: this.count, ms: Math.round(repair.ms) }
  }
}
