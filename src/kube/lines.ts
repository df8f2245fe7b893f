// Bytes of a watch, as they come -> whole lines, each an event of its own.
//
// **Invariant:** where the chunks are cut makes no difference to the lines; what is held is at most one line, and
// never more than the limit.
import { ApiFailure } from './failures.ts'

const NEWLINE = 0x0a

export class LineSplitter {
  readonly #mostBytes: number
  /** Copies: a piece of a chunk would keep the whole chunk alive. */
  #parts: Buffer[] = []
  #held = 0

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes
  }

  /** Bytes of a line that has not ended yet. */
  get held(): number {
    return this.#held
  }

  /** The lines that end in this chunk, without their newline; a line is only valid until the next one is taken. */
  *push(chunk: Buffer): Generator<Buffer, void> {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line = this.#finish(chunk.subarray(start, end))
      start = end + 1
      if (line.length > 0) yield line
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start))
  }

  #finish(last: Buffer): Buffer {
    this.#measure(last.length)
    if (this.#held === 0) return last
    const line = Buffer.concat([...this.#parts, last])
    this.#parts = []
    this.#held = 0
    return line
  }

  #hold(piece: Buffer): void {
    this.#measure(piece.length)
    this.#parts.push(Buffer.from(piece))
    this.#held += piece.length
  }

  #measure(more: number): void {
    if (this.#held + more <= this.#mostBytes) return
    throw new ApiFailure('TooLarge', `an event of more than ${this.#mostBytes} bytes was sent, expected at most that`)
  }
}
