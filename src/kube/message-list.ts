// Bytes of a list in protobuf, as they come -> its items one by one, then the list's metadata: what items.ts is for JSON.
//
//   k8s\0 Unknown{1 typeMeta, 2 raw: PodList{1 metadata, 2 item, 2 item}} -> item, item, metadata
//
// **Invariant:** where the chunks are cut makes no difference; what is held is at most one item, or the metadata, both limited, and
// refused by their length. A list that has not come whole has no end.
import { printable } from '../lib/show.ts'
import { ApiFailure } from './failures.ts'
import { MAGIC, readKind, readListMeta, type MessageKind } from './messages.ts'
import { readProtobuf } from './protobuf.ts'

/** Most bytes of the metadata, or of what else is beside the items. */
const MOST_OTHER_BYTES = 1024 * 1024
const LONGEST_VARINT = 10

type Reading = 'magic' | 'tag' | 'length' | 'number' | 'value'
type Part = 'typeMeta' | 'metadata' | 'item' | 'skipped'

export class MessageListSplitter {
  readonly #kind: MessageKind
  readonly #mostBytes: number
  readonly #what: string
  #reading: Reading = 'magic'
  #part: Part = 'skipped'
  #field = 0
  /** The varint that is being read. */
  #varint = 0
  #varintBytes = 0
  /** Bytes of the list that are still to come; null: not in the list. */
  #listLeft: number | null = null
  #listSeen = false
  /** Bytes of the value that are still to come, and those that are there. */
  #wanted = MAGIC.length
  #parts: Buffer[] = []
  #metadata: unknown = {}

  /** `mostBytes`: of one item. `what` names the list in failures. */
  constructor(kind: MessageKind, mostBytes: number, what: string) {
    this.#kind = kind
    this.#mostBytes = mostBytes
    this.#what = what
  }

  /** The bytes of the items that end in this chunk; an item is only valid until the next one is taken. */
  *push(chunk: Buffer): Generator<Buffer, void> {
    let at = 0
    while (at < chunk.length) {
      if (this.#reading !== 'value' && this.#reading !== 'magic') {
        this.#step(chunk[at++] as number)
        if (!this.#isEmptyValue()) continue
      }
      const piece = chunk.subarray(at, at + this.#wanted)
      at += piece.length
      this.#wanted -= piece.length
      if (this.#wanted > 0) this.#hold(piece)
      else {
        const item = this.#finish(piece)
        if (item !== null) yield item
      }
    }
  }

  /** The list without its items; ApiFailure where it has not ended. */
  end(): unknown {
    if (this.#reading !== 'tag' || this.#varintBytes > 0 || this.#listLeft !== null || !this.#listSeen) throw new ApiFailure('Cut', 'the answer ended in the middle of a list')
    return { metadata: this.#metadata }
  }

  /** One byte of what stands before a value. */
  #step(byte: number): void {
    if (this.#listLeft !== null) this.#take(1)
    if (this.#varintBytes >= LONGEST_VARINT) throw this.#garbage('a number is too long')
    // Beyond 2^53 it is inexact, and refused as a length in any case.
    this.#varint += (byte & 0x7f) * 2 ** (7 * this.#varintBytes)
    this.#varintBytes += 1
    if (byte >= 0x80) return
    const value = this.#varint
    this.#varint = 0
    this.#varintBytes = 0
    if (this.#reading === 'tag') this.#readTag(value)
    else if (this.#reading === 'length') this.#readLength(value)
    else this.#ended()
  }

  #readTag(tag: number): void {
    this.#field = Math.floor(tag / 8)
    const type = tag % 8
    if (this.#field === 0) throw this.#garbage('a field without a number')
    if (type === 2) this.#reading = 'length'
    else if (type === 0) this.#reading = 'number'
    else throw this.#garbage(`field ${this.#field} is of wire type ${type}`)
  }

  #readLength(length: number): void {
    const inList = this.#listLeft !== null
    if (!inList && this.#field === 2) {
      if (this.#listSeen) throw this.#garbage('a second list')
      this.#listSeen = true
      this.#listLeft = length
      this.#ended()
      return
    }
    this.#part = inList ? this.#partOfList() : this.#field === 1 ? 'typeMeta' : 'skipped'
    const most = this.#part === 'item' ? this.#mostBytes : MOST_OTHER_BYTES
    if (length > most) throw new ApiFailure('TooLarge', this.#part === 'item' ? `an item of more than ${most} bytes was sent (${length}), expected at most that` : `a list of more than ${most} bytes beside its items was sent`)
    if (inList) this.#take(length)
    this.#reading = 'value'
    this.#wanted = length
  }

  /** A value that has begun, and ends without another byte. */
  #isEmptyValue(): boolean {
    return this.#reading === 'value' && this.#wanted === 0
  }

  #partOfList(): Part {
    if (this.#field === 1) return 'metadata'
    return this.#field === 2 ? 'item' : 'skipped'
  }

  #take(count: number): void {
    if (count > (this.#listLeft as number)) throw this.#garbage(`field ${this.#field} is longer than the list`)
    this.#listLeft = (this.#listLeft as number) - count
  }

  #hold(piece: Buffer): void {
    if (this.#part !== 'skipped' || this.#reading === 'magic') this.#parts.push(Buffer.from(piece))
  }

  /** The item's bytes; null for what else has ended. */
  #finish(last: Buffer): Buffer | null {
    const value = this.#parts.length === 0 ? last : Buffer.concat([...this.#parts, last])
    this.#parts = []
    if (this.#reading === 'magic') {
      if (!value.equals(MAGIC)) throw this.#garbage(`it begins with "${printable(value.toString('latin1'))}"`)
    } else if (this.#part === 'typeMeta') this.#checkKind(readProtobuf(value, this.#what, readKind))
    else if (this.#part === 'metadata') this.#metadata = readProtobuf(value, this.#what, readListMeta)
    const item = this.#reading === 'value' && this.#part === 'item' ? value : null
    this.#ended()
    return item
  }

  #checkKind(kind: string): void {
    if (kind !== `${this.#kind.kind}List`) throw this.#garbage(`found an object of kind "${printable(kind)}", expected ${this.#kind.kind}List`)
  }

  /** A field, or what begins a message: the next field follows. */
  #ended(): void {
    this.#reading = 'tag'
    if (this.#listLeft === 0) this.#listLeft = null
  }

  #garbage(why: string): ApiFailure {
    return new ApiFailure('Garbage', `${this.#what} cannot be read as protobuf (${why})`)
  }
}
