// Netlink attributes (struct nlattr): bytes -> values by type, and values -> bytes; beneath every netlink message.
//
// A kernel's answer is read as if anybody could have written it: each length is checked before it is followed.
// **Invariant:** reading ends with a value or a NetlinkMessageError that says what was wrong; it never reads outside
// of the bytes it was given and every step of a loop moves forward. Integers are little-endian, as on amd64 and arm64.

/** Bytes that are no netlink message: `message` says which part, what was found and what would have fitted. */
export class NetlinkMessageError extends Error {
  readonly code = 'InvalidNetlinkMessage'
  constructor(message: string) {
    super(message)
    this.name = 'NetlinkMessageError'
  }
}

/** By type, without the flags for nesting and byte order. Where a type comes twice the last one counts, as in the kernel. */
export type Attributes = ReadonlyMap<number, Uint8Array>

const HEADER = 4
/** The two upper bits are NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
export const TYPE_MASK = 0x3fff
export const NLA_F_NESTED = 0x8000

/** Netlink pads everything to 4 bytes. */
export function align4(length: number): number {
  return (length + 3) & ~3
}

/** `what` names the surrounding thing in errors: `RTM_NEWLINK`. */
export function need(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length < length) throw new NetlinkMessageError(`${what}: ${bytes.length} bytes where at least ${length} were expected`)
}

export function readU16(bytes: Uint8Array, offset: number, what: string): number {
  need(bytes, offset + 2, what)
  return (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8)
}

export function readI32(bytes: Uint8Array, offset: number, what: string): number {
  need(bytes, offset + 4, what)
  return readU16(bytes, offset, what) | (readU16(bytes, offset + 2, what) << 16)
}

export function readU32(bytes: Uint8Array, offset: number, what: string): number {
  return readI32(bytes, offset, what) >>> 0
}

/** Reads the attributes from `start` to the end. The last one's padding may be missing. */
export function readAttributes(bytes: Uint8Array, start: number, what: string): Attributes {
  const found = new Map<number, Uint8Array>()
  let offset = start
  while (offset < bytes.length) {
    const left = bytes.length - offset
    if (left < HEADER) throw new NetlinkMessageError(`${what}: ${left} bytes are left over behind the attributes`)
    const length = readU16(bytes, offset, what)
    const type = readU16(bytes, offset + 2, what) & TYPE_MASK
    if (length < HEADER || length > left) {
      throw new NetlinkMessageError(`${what}: attribute ${type} says ${length} bytes where ${HEADER} to ${left} are possible`)
    }
    found.set(type, bytes.subarray(offset + HEADER, offset + length))
    offset += align4(length)
  }
  return found
}

/** The attribute as a u32; null where it is absent. */
export function attributeU32(attributes: Attributes, type: number, what: string): number | null {
  const bytes = attributes.get(type)
  if (bytes === undefined) return null
  if (bytes.length !== 4) throw new NetlinkMessageError(`${what}: attribute ${type} has ${bytes.length} bytes where 4 were expected`)
  return readU32(bytes, 0, what)
}

/** The attribute as text up to its first NUL; null where it is absent. */
export function attributeText(attributes: Attributes, type: number): string | null {
  const bytes = attributes.get(type)
  if (bytes === undefined) return null
  const end = bytes.indexOf(0)
  return Buffer.from(bytes.buffer, bytes.byteOffset, end < 0 ? bytes.length : end).toString('utf8')
}

/** One attribute with its padding. At most 65,531 bytes of value. */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const length = HEADER + value.length
  if (length > 0xffff) throw new RangeError(`netlink attribute ${type}: ${value.length} bytes, at most ${0xffff - HEADER} fit`)
  const bytes = new Uint8Array(align4(length))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, length, true)
  view.setUint16(2, type, true)
  bytes.set(value, HEADER)
  return bytes
}

export function nestedAttribute(type: number, children: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NLA_F_NESTED, joined(children))
}

export function u32Attribute(type: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return attribute(type, bytes)
}

/** With the NUL at its end that the kernel expects of NLA_NUL_STRING. */
export function textAttribute(type: number, text: string): Uint8Array {
  return attribute(type, Buffer.from(`${text}\0`))
}

/** The parts one after another, each padded to 4 bytes, in one buffer of their own (fit for a transfer to another thread). */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + align4(part.length), 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += align4(part.length)
  }
  return whole
}
