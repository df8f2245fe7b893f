// Bytes of a list, as they come -> its items one by one, then the list without them.
//
//   {"kind":"PodList","metadata":{...},"items":[ITEM,ITEM]} -> ITEM, ITEM, {"kind":"PodList","metadata":{...},"items":[]}
//
// A page is parsed item by item, so that neither a long page nor a server that ignores `limit` costs one JSON.parse of everything.
// Brackets and strings are counted here; whether an item is JSON is for its parser to say.
// **Invariant:** where the chunks are cut makes no difference; what is held is at most one item and the envelope, both limited.
import { printable } from '../lib/show.ts'
import { ApiFailure } from './failures.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COMMA = 0x2c
/** Most bytes of the list without its items. */
const MOST_ENVELOPE_BYTES = 1024 * 1024
const ITEMS_KEY = 'items'

export class ItemSplitter {
  readonly #mostBytes: number
  #depth = 0
  #inString = false
  #escaped = false
  #inItems = false
  #ended = false
  /** The last string directly in the list: a key, where a bracket follows. */
  #key = ''
  #envelope: Buffer[] = []
  #envelopeBytes = 0
  #item: Buffer[] = []
  #itemBytes = 0

  /** `mostBytes`: of one item. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes
  }

  /** The items that end in this chunk; an item is only valid until the next one is taken. */
  *push(chunk: Buffer): Generator<Buffer, void> {
    let at = 0
    while (at < chunk.length) {
      if (!this.#inItems) at = this.#readEnvelope(chunk, at)
      else if (this.#depth === 2) at = this.#readBetween(chunk, at)
      else {
        const end = this.#readItem(chunk, at)
        this.#keepItem(chunk.subarray(at, end))
        at = end
        if (this.#depth === 2) yield this.#takeItem()
      }
    }
  }

  /** The list without its items; ApiFailure where it has not ended. */
  end(): Buffer {
    if (!this.#ended) throw new ApiFailure('Cut', 'the answer ended in the middle of a list')
    return Buffer.concat(this.#envelope)
  }

  /** Up to the first item, and behind the last one. */
  #readEnvelope(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length && !this.#inItems) this.#step(chunk[at++] as number)
    this.#envelopeBytes += at - from
    if (this.#envelopeBytes > MOST_ENVELOPE_BYTES) throw new ApiFailure('TooLarge', `a list of more than ${MOST_ENVELOPE_BYTES} bytes beside its items was sent`)
    this.#envelope.push(Buffer.from(chunk.subarray(from, at)))
    return at
  }

  #step(byte: number): void {
    if (this.#inString) return this.#stepInString(byte)
    if (isSpace(byte)) return
    if (this.#ended || (this.#depth === 0 && byte !== OPEN_BRACE)) throw unexpected(byte, this.#ended ? 'behind a list' : 'in place of a list')
    if (byte === QUOTE) {
      this.#inString = true
      if (this.#depth === 1) this.#key = ''
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      this.#depth += 1
      this.#inItems = this.#depth === 2 && byte === OPEN_BRACKET && this.#key === ITEMS_KEY
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      this.#depth -= 1
      this.#ended = this.#depth === 0
    }
  }

  #stepInString(byte: number): void {
    if (this.#escaped) this.#escaped = false
    else if (byte === BACKSLASH) this.#escaped = true
    else if (byte === QUOTE) this.#inString = false
    if (this.#inString && this.#depth === 1 && this.#key.length <= ITEMS_KEY.length) this.#key += String.fromCharCode(byte)
  }

  /** Between two items: one step, over what separates them or to the beginning of the next. */
  #readBetween(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number
    if (byte === CLOSE_BRACKET) {
      this.#inItems = false
      return at // the envelope's own
    }
    if (byte === OPEN_BRACE) this.#depth = 3
    else if (byte !== COMMA && !isSpace(byte)) throw unexpected(byte, 'between the items of a list')
    if (this.#depth === 3) this.#keepItem(chunk.subarray(at, at + 1))
    return at + 1
  }

  /** To the end of the item or of the chunk. The hot loop: each byte of a list passes here. */
  #readItem(chunk: Buffer, from: number): number {
    let depth = this.#depth
    let inString = this.#inString
    let escaped = this.#escaped
    let at = from
    while (at < chunk.length && depth > 2) {
      const byte = chunk[at++] as number
      if (inString) {
        if (escaped) escaped = false
        else if (byte === BACKSLASH) escaped = true
        else if (byte === QUOTE) inString = false
      } else if (byte === QUOTE) inString = true
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth -= 1
    }
    this.#depth = depth
    this.#inString = inString
    this.#escaped = escaped
    return at
  }

  #keepItem(piece: Buffer): void {
    this.#itemBytes += piece.length
    if (this.#itemBytes > this.#mostBytes) throw new ApiFailure('TooLarge', `an item of more than ${this.#mostBytes} bytes was sent, expected at most that`)
    this.#item.push(piece)
  }

  #takeItem(): Buffer {
    const item = Buffer.concat(this.#item, this.#itemBytes)
    this.#item = []
    this.#itemBytes = 0
    return item
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function unexpected(byte: number, where: string): ApiFailure {
  return new ApiFailure('Garbage', `found "${printable(String.fromCharCode(byte))}" ${where}`)
}
