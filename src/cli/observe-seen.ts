// Lines that were given out lately, so that the same ones are known when a stream is taken up again with some overlap.
//
// **Invariant:** what is held is bounded; a line that is still remembered is told from every other one.
import { createHash } from 'node:crypto'

/** More than an agent sends within the overlap. */
const MOST_LINES = 50_000

export class SeenLines {
  /** By hash, oldest first. */
  readonly #lines = new Set<string>()
  /** Of the first record; empty before it. */
  firstTime = ''
  #last: { readonly time: string; readonly at: number } | null = null

  has(line: string): boolean {
    return this.#lines.has(hashOf(line))
  }

  /** `time`: the record's own; `at`: when it came, in milliseconds. */
  add(line: string, time: string, at: number): void {
    if (this.firstTime === '') this.firstTime = time
    this.#last = { time, at }
    this.#lines.add(hashOf(line))
    if (this.#lines.size > MOST_LINES) this.#lines.delete(this.#lines.values().next().value as string)
  }

  /** The last record's own time, where it came at `at` or later. */
  lastSince(at: number): string | null {
    return this.#last !== null && this.#last.at >= at ? this.#last.time : null
  }
}

function hashOf(line: string): string {
  return createHash('sha1').update(line).digest('base64')
}
