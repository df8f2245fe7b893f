// One part of a key or of data, as nft text -> its bytes, by the kernel's name of its type (types.ts).
//
// Addresses and ports are in network order, marks and numbers in the host's: little-endian, as on amd64 and arm64. Forms
// that nft would read too, but that an Element never has (names of services, short addresses), are not read here.
// **Invariant:** what is not known for certain is not written: whoever asks takes the way of text then.
import { PROTOCOLS } from './protocols.ts'

export interface PartType {
  /** Bytes, without padding. */
  readonly width: number
  /** Whether a larger value has larger bytes, so that ranges of them are ranges. */
  readonly isOrdered: boolean
  /** Whether the kernel compares numbers of the host's order: nft turns those around in sets with intervals. */
  readonly isHosts: boolean
  /** Writes the value to `bytes`, which are zero there; false where the text is none of this type. */
  readonly write: (text: string, bytes: Uint8Array, at: number) => boolean
}

const MAX_INTERFACE_BYTES = 15
const PROTOCOL_NUMBERS: ReadonlyMap<string, number> = new Map(Object.entries(PROTOCOLS).map(([number, name]) => [name, Number(number)]))

const number = (width: 1 | 2): PartType => ({ width, isOrdered: true, isHosts: false, write: (text, bytes, at) => writeNumber(decimal(text, 256 ** width - 1), bytes, at, width) })
const HOST_NUMBER: PartType = { width: 4, isOrdered: false, isHosts: true, write: writeHostNumber }

const TYPES: ReadonlyMap<string, PartType> = new Map<string, PartType>([
  ['ipv4_addr', { width: 4, isOrdered: true, isHosts: false, write: writeIPv4 }],
  ['ipv6_addr', { width: 16, isOrdered: true, isHosts: false, write: writeIPv6 }],
  ['ether_addr', { width: 6, isOrdered: false, isHosts: false, write: writeEther }],
  ['ifname', { width: 16, isOrdered: false, isHosts: false, write: writeInterface }],
  // Words make no ranges that nft reads.
  ['inet_proto', { ...number(1), isOrdered: false, write: (text, bytes, at) => writeNumber(PROTOCOL_NUMBERS.get(text) ?? decimal(text, 255), bytes, at, 1) }],
  ['inet_service', number(2)],
  ['icmp_type', number(1)],
  ['icmpv6_type', number(1)],
  ['mark', HOST_NUMBER],
  // Of numgen, jhash and symhash: 32 bits.
  ['integer', HOST_NUMBER],
])

export function partTypeOf(type: string): PartType | null {
  return TYPES.get(type) ?? null
}

/** -1 where the text is no decimal number up to `most`, or not in its shortest form. */
function decimal(text: string, most: number): number {
  if (text.length === 0 || text.length > 10 || (text.length > 1 && text.startsWith('0'))) return -1
  let value = 0
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value <= most ? value : -1
}

/** In network order. */
function writeNumber(value: number, bytes: Uint8Array, at: number, width: 1 | 2): boolean {
  if (value < 0) return false
  if (width === 2) bytes[at] = value >> 8
  bytes[at + width - 1] = value & 255
  return true
}

function writeHostNumber(text: string, bytes: Uint8Array, at: number): boolean {
  const value = decimal(text, 0xffff_ffff)
  for (let i = 0; i < 4; i++) bytes[at + i] = (value >>> (8 * i)) & 255
  return value >= 0
}

function writeIPv4(text: string, bytes: Uint8Array, at: number): boolean {
  const parts = text.split('.')
  if (parts.length !== 4) return false
  for (let i = 0; i < 4; i++) {
    const value = decimal(parts[i] as string, 255)
    if (value < 0) return false
    bytes[at + i] = value
  }
  return true
}

/** RFC 5952, but for mapped addresses, which an Element has in the form of all others. */
function writeIPv6(text: string, bytes: Uint8Array, at: number): boolean {
  const halves = text.split('::')
  if (halves.length > 2) return false
  const groups = (half: string | undefined): readonly string[] => (half === undefined || half === '' ? [] : half.split(':'))
  const [before, behind] = [groups(halves[0]), groups(halves[1])]
  const given = before.length + behind.length
  if (halves.length === 1 ? given !== 8 : given > 7) return false
  const write = (list: readonly string[], from: number): boolean =>
    list.every((group, i) => {
      if (!/^[0-9a-f]{1,4}$/.test(group)) return false
      const value = Number.parseInt(group, 16)
      bytes[from + 2 * i] = value >> 8
      bytes[from + 2 * i + 1] = value & 255
      return true
    })
  return write(before, at) && write(behind, at + 16 - 2 * behind.length)
}

function writeEther(text: string, bytes: Uint8Array, at: number): boolean {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text)) return false
  for (let i = 0; i < 6; i++) bytes[at + i] = Number.parseInt(text.slice(3 * i, 3 * i + 2), 16)
  return true
}

/** In quotes. A name that ends in `*` would be a wildcard to nft (validate.ts). */
function writeInterface(text: string, bytes: Uint8Array, at: number): boolean {
  if (!/^"[^"\\\s\0-\x1f\x7f]*[^"\\\s\0-\x1f\x7f*]"$/.test(text)) return false
  const name = Buffer.from(text.slice(1, -1))
  if (name.length > MAX_INTERFACE_BYTES) return false
  bytes.set(name, at)
  return true
}
