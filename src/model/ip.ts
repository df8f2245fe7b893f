// Addresses and CIDRs: parsed once, in one canonical form, so that equal means identical text.
//
// **Invariant:** an Address is always in canonical text (RFC 5952 for IPv6), a Cidr has no host bits set.
import ipaddr from 'ipaddr.js'

export type Family = 4 | 6
export const FAMILIES: readonly Family[] = [4, 6]

/** A canonical address: `10.0.0.1`, `fd00::1`. Made by parseAddress and fromBits only. */
export type Address = string

/** A range of addresses of one family, both ends included. */
export interface Range {
  readonly first: bigint
  readonly last: bigint
}

export interface Cidr extends Range {
  readonly family: Family
  /** Prefix length, 0-32 or 0-128. */
  readonly prefix: number
  /** Canonical: `10.0.0.0/24`, host bits cleared (rule 51). */
  readonly text: string
}

/** Strict: no leading zeros, no short forms, no zone. Returns null where `text` is not an address. */
export function parseAddress(text: string): Address | null {
  if (text.includes('%')) return null
  // The families are told apart first: ipaddr.js finds out by an exception that a text is none of its kind, which takes 40 us.
  if (text.includes(':')) return parseIPv6(text)
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) return null
  return text.split('.').some((part) => part.length > 1 && part.startsWith('0')) ? null : text
}

function parseIPv6(text: string): Address | null {
  try {
    return ipaddr.IPv6.parse(text).toRFC5952String()
  } catch {
    return null
  }
}

export function familyOf(address: Address): Family {
  return address.includes(':') ? 6 : 4
}

export function bitsOf(family: Family): number {
  return family === 4 ? 32 : 128
}

/** The address as a number, 0 to 2^32-1 or 2^128-1. */
export function toBits(address: Address): bigint {
  if (familyOf(address) === 4) return BigInt(address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0))
  let value = 0n
  for (const part of ipaddr.IPv6.parse(address).parts) value = (value << 16n) | BigInt(part)
  return value
}

export function fromBits(family: Family, bits: bigint): Address {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((bits >> shift) & 255n)).join('.')
  const parts: number[] = []
  for (let shift = 112n; shift >= 0n; shift -= 16n) parts.push(Number((bits >> shift) & 0xffffn))
  return new ipaddr.IPv6(parts).toRFC5952String()
}

/** In network order: 4 bytes or 16. */
export function bytesOf(family: Family, bits: bigint): Uint8Array {
  const width = bitsOf(family) / 8
  return Uint8Array.from({ length: width }, (_, i) => Number((bits >> BigInt((width - 1 - i) * 8)) & 255n))
}

/** `ADDRESS/LENGTH`; host bits are cleared, as the API server allows them (rule 51). Null where `text` is not a CIDR. */
export function parseCidr(text: string): Cidr | null {
  const match = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text)
  if (match === null) return null
  const address = parseAddress(match[1] as string)
  if (address === null) return null
  const family = familyOf(address)
  const prefix = Number(match[2])
  const width = bitsOf(family)
  if (prefix > width) return null
  const size = 1n << BigInt(width - prefix)
  const first = (toBits(address) / size) * size
  return Object.freeze({ family, prefix, first, last: first + size - 1n, text: `${fromBits(family, first)}/${prefix}` })
}

/** The CIDR that holds one address only. */
export function hostCidr(address: Address): Cidr {
  const family = familyOf(address)
  const first = toBits(address)
  const prefix = bitsOf(family)
  return Object.freeze({ family, prefix, first, last: first, text: `${address}/${prefix}` })
}

export function contains(range: Range, bits: bigint): boolean {
  return range.first <= bits && bits <= range.last
}
