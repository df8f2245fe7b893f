// The protobuf wire format: a cursor over the fields of one message, nested ones included. Only what Kubernetes' messages use.
//
// A nested message is entered and left, so that one cursor reads a whole object and nothing is allocated but what it is asked for.
// Wire format: https://protobuf.dev/programming-guides/encoding. **Invariant:** each step moves on or throws Damaged, and nothing beyond
// the end of the innermost message is read: any bytes are read in one pass, or not at all.
import { printable } from '../lib/show.ts'
import { ApiFailure } from './failures.ts'

/** The bytes are no such message; the text says why, in short. */
export class Damaged extends Error {}

const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5
const LONGEST_VARINT = 10
const TWO_32 = 2 ** 32

/**
 * Short texts come again and again: keys of labels, and their values, names of nodes and namespaces. The last one of each hash is kept, so that
 * rows share them, as they do those of JSON.parse (measured at 50,000 pods: 8 MB less). 32 bytes x 4096.
 */
const LONGEST_KEPT = 32
const KEPT: string[] = Array.from({ length: 4096 }, () => '')

function shortText(bytes: Buffer, from: number, to: number): string {
  let hash = 0
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] as number
    if (byte >= 0x80) return bytes.toString('utf8', from, to)
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  const slot = (hash ^ (hash >>> 12)) & (KEPT.length - 1)
  const known = KEPT[slot] as string
  if (isText(known, bytes, from, to)) return known
  const text = bytes.toString('latin1', from, to)
  KEPT[slot] = text
  return text
}

function isText(text: string, bytes: Buffer, from: number, to: number): boolean {
  if (text.length !== to - from) return false
  for (let i = 0; i < text.length; i += 1) if (text.charCodeAt(i) !== bytes[from + i]) return false
  return true
}

export class Cursor {
  readonly #bytes: Buffer
  #at: number
  #end: number
  #field = 0
  #type = 0
  /** The upper half of the last varint. */
  #high = 0

  /** From byte `at` to before byte `end`. */
  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#at = at
    this.#end = end
  }

  /** Of the field that next() moved to. */
  get field(): number {
    return this.#field
  }

  /** To the next field of the message; false at its end. The caller then takes its value, or skips it. */
  next(): boolean {
    if (this.#at >= this.#end) return false
    const tag = this.#varint()
    this.#type = tag & 7
    this.#field = tag >>> 3
    if (this.#field === 0 || this.#high !== 0) throw new Damaged('a field without a number')
    return true
  }

  /** Over the value. */
  skip(): void {
    if (this.#type === LENGTH) this.#move(this.#length())
    else if (this.#type === VARINT) this.#varint()
    else if (this.#type === FIXED64) this.#move(8)
    else if (this.#type === FIXED32) this.#move(4)
    else throw new Damaged(`field ${this.#field} is of wire type ${this.#type}`)
  }

  /** Into the nested message; to be given to leave(). */
  enter(): number {
    const length = this.#length()
    const outer = this.#end
    this.#end = this.#at + length
    return outer
  }

  /** To behind the nested message, wherever in it the cursor is. */
  leave(outer: number): void {
    this.#at = this.#end
    this.#end = outer
  }

  /** Over four bytes that must be these. */
  expect(magic: Buffer, what: string): void {
    if (this.#bytes.compare(magic, 0, magic.length, this.#at, Math.min(this.#end, this.#at + magic.length)) !== 0) throw new Damaged(`${what} is missing`)
    this.#at += magic.length
  }

  /** A copy. What is no UTF-8 in it becomes U+FFFD, as in the API's JSON. */
  string(): string {
    const length = this.#length()
    const from = this.#at
    this.#at += length
    return length <= LONGEST_KEPT ? shortText(this.#bytes, from, this.#at) : this.#bytes.toString('utf8', from, this.#at)
  }

  bool(): boolean {
    const low = this.#integer()
    return low !== 0 || this.#high !== 0
  }

  int32(): number {
    return this.#integer() | 0
  }

  /** Exact up to 2^53. */
  int64(): number {
    const low = this.#integer()
    return (this.#high | 0) * TWO_32 + low
  }

  #integer(): number {
    if (this.#type !== VARINT) throw new Damaged(`field ${this.#field} is of wire type ${this.#type}, expected an integer`)
    return this.#varint()
  }

  #length(): number {
    if (this.#type !== LENGTH) throw new Damaged(`field ${this.#field} is of wire type ${this.#type}, expected bytes`)
    const length = this.#varint()
    if (this.#high !== 0 || length > this.#end - this.#at) throw new Damaged(`field ${this.#field} is longer than the message that it is in`)
    return length
  }

  #move(count: number): void {
    if (count > this.#end - this.#at) throw new Damaged(`field ${this.#field} is longer than the message that it is in`)
    this.#at += count
  }

  /** The lower 32 bits, unsigned; the upper ones are left in #high. */
  #varint(): number {
    const bytes = this.#bytes
    const first = this.#at < this.#end ? (bytes[this.#at] as number) : 0x80
    if (first < 0x80) {
      this.#at += 1
      this.#high = 0
      return first
    }
    return this.#longVarint()
  }

  #longVarint(): number {
    let low = 0
    let high = 0
    for (let i = 0; i < LONGEST_VARINT; i += 1) {
      if (this.#at >= this.#end) throw new Damaged('it ends in the middle of a number')
      const byte = this.#bytes[this.#at++] as number
      const bits = byte & 0x7f
      const shift = 7 * i
      if (shift < 32) low |= bits << shift
      if (shift >= 32) high |= bits << (shift - 32)
      else if (shift > 25) high |= bits >>> (32 - shift)
      if (byte < 0x80) {
        this.#high = high >>> 0
        return low >>> 0
      }
    }
    throw new Damaged(`a number of more than ${LONGEST_VARINT} bytes`)
  }
}

/** What `read` makes of the bytes; ApiFailure (Garbage) where they are damaged; `what` names them. */
export function readProtobuf<T>(bytes: Buffer, what: string, read: (cursor: Cursor) => T): T {
  try {
    return read(new Cursor(bytes))
  } catch (error) {
    if (!(error instanceof Damaged)) throw error
    const begins = printable(bytes.toString('latin1', 0, 64), 48)
    throw new ApiFailure('Garbage', `${what} cannot be read as protobuf (${error.message}); it begins with "${begins}"`)
  }
}
