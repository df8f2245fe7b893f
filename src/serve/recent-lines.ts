// The last lines of the audit stream, by running numbers: what readers of GET /flows are given, each at its own pace.
//
// **Invariant:** the lines from `first` to `end` are here, in order, with so many bytes at most; whatever was before is counted.
import type { RecordLine } from '../sinks/sink.ts'

interface Kept {
  readonly line: RecordLine
  readonly bytes: number
}

export class RecentLines {
  readonly #mostBytes: number
  readonly #onOut: (number: number, line: RecordLine) => void
  #kept: Kept[] = []
  #head = 0
  #bytes = 0
  /** Number of the first that is kept; as many fell out. */
  #first = 0

  /** `onOut`: called for each line that falls out, in order. */
  constructor(mostBytes: number, onOut: (number: number, line: RecordLine) => void) {
    this.#mostBytes = mostBytes
    this.#onOut = onOut
  }

  get first(): number {
    return this.#first
  }

  /** Number of the next one. */
  get end(): number {
    return this.#first + this.#kept.length - this.#head
  }

  get bytes(): number {
    return this.#bytes
  }

  add(line: RecordLine): void {
    const bytes = Buffer.byteLength(line.line) + 1
    this.#kept.push({ line, bytes })
    this.#bytes += bytes
    while (this.#bytes > this.#mostBytes) this.#dropOldest()
    if (this.#head > 1024 && this.#head * 2 >= this.#kept.length) {
      this.#kept = this.#kept.slice(this.#head)
      this.#head = 0
    }
  }

  /** Undefined where it is not here, or not yet. */
  at(number: number): RecordLine | undefined {
    return number < this.#first ? undefined : this.#kept[this.#head + number - this.#first]?.line
  }

  #dropOldest(): void {
    const { line, bytes } = this.#kept[this.#head] as Kept
    // The array keeps its place until it is copied, but not what stood there.
    ;(this.#kept as (Kept | undefined)[])[this.#head] = undefined
    this.#head += 1
    this.#bytes -= bytes
    this.#first += 1
    this.#onOut(this.#first - 1, line)
  }
}
