// Netlink messages written by hand into one growing buffer, where they have thousands of attributes.
//
// attributes.ts makes a buffer of each attribute, which is easier to read and several times slower.
// **Invariant:** whatever is opened is closed by whoever opened it; everything is padded to 4 bytes.
import { align4, NLA_F_NESTED } from './attributes.ts'
import { HEADER_LENGTH } from './messages.ts'

const ATTRIBUTE = 4

export class MessageWriter {
  #bytes = new Uint8Array(1 << 12)
  #view = new DataView(this.#bytes.buffer)
  length = 0

  /** Padded to 4 bytes. */
  raw(value: Uint8Array): void {
    const padded = align4(value.length)
    this.#room(padded)
    this.#bytes.set(value, this.length)
    this.#bytes.fill(0, this.length + value.length, this.length + padded)
    this.length += padded
  }

  attribute(type: number, value: Uint8Array): void {
    this.#head(type, ATTRIBUTE + value.length)
    this.raw(value)
  }

  /** In network order. */
  numberAttribute(type: number, value: number): void {
    this.#head(type, 2 * ATTRIBUTE)
    this.#room(4)
    this.#view.setInt32(this.length, value)
    this.length += 4
  }

  /** Begins an attribute or a message, which ends with close() or closeMessage(). */
  open(type: number): number {
    this.#head(type | NLA_F_NESTED, 0)
    return this.length - ATTRIBUTE
  }

  close(at: number): void {
    this.#view.setUint16(at, this.length - at, true)
  }

  message(type: number, flags: number, sequence: number): number {
    this.#room(HEADER_LENGTH)
    const at = this.length
    this.#view.setUint32(at, 0)
    this.#view.setUint16(at + 4, type, true)
    this.#view.setUint16(at + 6, flags, true)
    this.#view.setUint32(at + 8, sequence, true)
    this.#view.setUint32(at + 12, 0)
    this.length += HEADER_LENGTH
    return at
  }

  closeMessage(at: number): void {
    this.#view.setUint32(at, this.length - at, true)
  }

  /** Adds a flag to a message that was written. */
  flag(at: number, flag: number): void {
    this.#view.setUint16(at + 6, this.#view.getUint16(at + 6, true) | flag, true)
  }

  done(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.length)
  }

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return
    const bytes = new Uint8Array(Math.max(2 * this.#bytes.length, this.length + more))
    bytes.set(this.#bytes.subarray(0, this.length))
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer)
  }

  #head(type: number, length: number): void {
    this.#room(ATTRIBUTE)
    this.#view.setUint16(this.length, length, true)
    this.#view.setUint16(this.length + 2, type, true)
    this.length += ATTRIBUTE
  }
}
