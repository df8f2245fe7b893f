// Addresses and CIDRs in raw objects: parsed, canonical, without repeats.
//
// **Invariant:** an IPv4 address that is written as IPv6 (::ffff:10.0.0.1) is refused: on the wire it is IPv4, so that it
// would stand in a set of the other family and match nothing there.
import { type Address, type Cidr, contains, parseAddress, parseCidr, toBits } from '../model/ip.ts'

export const AN_ADDRESS = 'an IPv4 or IPv6 address such as 10.0.0.1 or fd00::1 (no IPv4-mapped IPv6, no zone, no leading zeros)'
export const A_CIDR = 'a CIDR such as 10.0.0.0/8 or fd00::/8 (no IPv4-mapped IPv6, no zone, no leading zeros)'

const MAPPED = parseCidr('::ffff:0:0/96') as Cidr

/** A canonical address; null where it is not one that a packet can carry. */
export function addressOf(value: unknown): Address | null {
  const address = typeof value === 'string' && value.length <= 64 ? parseAddress(value) : null
  if (address === null) return null
  // Canonical, so that every mapped address begins in this way; to look at its bits costs as much as to parse it.
  return address.startsWith('::ffff:') && contains(MAPPED, toBits(address)) ? null : address
}

/**
 * The texts of canonical addresses that name no single host of a network, or another one on each node: 0.0.0.0/8, 127.0.0.0/8,
 * 169.254.0.0/16, 224.0.0.0/4, 255.255.255.255, ::, ::1, fe80::/10, ff00::/8. As text, since it is asked of every endpoint.
 */
const SPECIAL = /^(?:0\.|127\.|169\.254\.|22[4-9]\.|23[0-9]\.|255\.255\.255\.255$|::1?$|fe[89ab][0-9a-f]:|ff[0-9a-f]{2}:)/

export const A_HOST_ADDRESS = 'an IPv4 or IPv6 address of one host (no loopback, link-local, multicast or unspecified one; no IPv4-mapped IPv6, no zone, no leading zeros)'

/**
 * A canonical address that one host can have, as the API wants it of endpoints and external IPs: "unspecified and loopback
 * addresses are nonsensical and link-local addresses tend to be used for node-centric purposes". Null where it is none.
 */
export function hostAddressOf(value: unknown): Address | null {
  const address = addressOf(value)
  return address === null || SPECIAL.test(address) ? null : address
}

/** A canonical CIDR (rule 51); null where it is none. */
export function cidrOf(value: unknown): Cidr | null {
  const cidr = typeof value === 'string' && value.length <= 64 ? parseCidr(value) : null
  if (cidr === null) return null
  return cidr.family === 6 && cidr.prefix >= MAPPED.prefix && contains(MAPPED, cidr.first) ? null : cidr
}

/** Whether `inner` lies in `outer`; never across families (rule 50). */
export function covers(outer: Cidr, inner: Cidr): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last
}
