// Bytes of a watch in protobuf, as they come -> whole frames, each an event of its own: 4 bytes of length (the highest first), then so many bytes.
//
// As k8s.io/apimachinery/pkg/util/framer writes them. **Invariant:** where the chunks are cut makes no difference to the frames;
// what is held is at most one frame, and a frame beyond the limit is refused by its length, before any of it is held.
import { ApiFailure } from './failures.ts'

const HEADER_BYTES = 4

export class FrameSplitter {
  readonly #mostBytes: number
  /** Copies: a piece of a chunk would keep the whole chunk alive. */
  #parts: Buffer[] = []
  #held = 0
  /** Bytes of the header that are there. */
  #headerBytes = 0
  #length = 0

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes
  }

  /** Bytes of a frame that has not ended yet, without its header. */
  get held(): number {
    return this.#held
  }

  /** The frames that end in this chunk; a frame is only valid until the next one is taken. */
  *push(chunk: Buffer): Generator<Buffer, void> {
    let at = 0
    while (at < chunk.length || this.#isWhole()) {
      if (this.#headerBytes < HEADER_BYTES) {
        this.#readHeader(chunk[at++] as number)
        continue
      }
      const end = Math.min(chunk.length, at + this.#length - this.#held)
      const piece = chunk.subarray(at, end)
      at = end
      if (this.#held + piece.length < this.#length) this.#hold(piece)
      else yield this.#finish(piece)
    }
  }

  /** Without another byte: an empty frame. */
  #isWhole(): boolean {
    return this.#headerBytes === HEADER_BYTES && this.#held === this.#length
  }

  #readHeader(byte: number): void {
    this.#length = this.#length * 256 + byte
    this.#headerBytes += 1
    if (this.#headerBytes < HEADER_BYTES || this.#length <= this.#mostBytes) return
    throw new ApiFailure('TooLarge', `an event of more than ${this.#mostBytes} bytes was sent (${this.#length}), expected at most that`)
  }

  #hold(piece: Buffer): void {
    this.#parts.push(Buffer.from(piece))
    this.#held += piece.length
  }

  #finish(last: Buffer): Buffer {
    const frame = this.#held === 0 ? last : Buffer.concat([...this.#parts, last], this.#length)
    this.#parts = []
    this.#held = 0
    this.#headerBytes = 0
    this.#length = 0
    return frame
  }
}
