// What the first bytes of a logged packet say: addresses, protocol, ports, ICMP type and code, flags, length.
//
// Anybody may have sent it, and only its start was copied: what cannot be read is left out, and the packet still counts.
// **Invariant:** no bytes whatever make it throw or read outside of them; ports are told only where they are the
// packet's own, so not of a fragment that is not the first.
import type { Family } from '../model/ip.ts'

const [ICMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDPLITE] = [1, 6, 17, 33, 58, 132, 136]
/** IPv6's extension headers, as the kernel's own search for the protocol knows them. */
const [HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION] = [0, 43, 44, 51, 60]
const IPV4_HEADER = 20
const IPV6_HEADER = 40
const AF_INET6 = 10
/** IANA: reserved. Said where the header is cut off before its protocol. */
export const UNREADABLE_PROTOCOL = 255

/** Filled by readPacket, to be used again and again. */
export interface PacketFields {
  family: Family
  /** Offset in the bytes that were given; -1 where they end before. */
  sourceAt: number
  destinationAt: number
  protocol: number
  /** `none`: no number below means anything. `ports`: source and destination. `icmp`: type and code. */
  kind: 'none' | 'ports' | 'icmp'
  one: number
  two: number
  /** -1: not TCP, or cut off. */
  tcpFlags: number
  /** Of the whole packet from its IP header on, as it says itself. */
  length: number
}

export function emptyFields(): PacketFields {
  return { family: 4, sourceAt: -1, destinationAt: -1, protocol: UNREADABLE_PROTOCOL, kind: 'none', one: 0, two: 0, tcpFlags: -1, length: 0 }
}

/** Reads the packet of `length` bytes at `at`. `addressFamily` (AF_INET, AF_INET6) counts where the bytes do not say their version. */
export function readPacket(bytes: Uint8Array, at: number, length: number, addressFamily: number, fields: PacketFields): void {
  const end = Math.min(at + length, bytes.length)
  const version = at < end ? (bytes[at] as number) >> 4 : 0
  fields.sourceAt = fields.destinationAt = fields.tcpFlags = -1
  fields.protocol = UNREADABLE_PROTOCOL
  fields.kind = 'none'
  fields.one = fields.two = 0
  fields.length = Math.max(0, end - at)
  fields.family = version === 4 || (version !== 6 && addressFamily !== AF_INET6) ? 4 : 6
  if (version === 4) readIPv4(bytes, at, end, fields)
  else if (version === 6) readIPv6(bytes, at, end, fields)
}

function readIPv4(bytes: Uint8Array, at: number, end: number, fields: PacketFields): void {
  if (at + 4 <= end) fields.length = word(bytes, at + 2)
  if (at + 10 <= end) fields.protocol = bytes[at + 9] as number
  if (at + IPV4_HEADER > end) return
  fields.sourceAt = at + 12
  fields.destinationAt = at + 16
  const header = ((bytes[at] as number) & 15) * 4
  const offset = word(bytes, at + 6) & 0x1fff
  if (header < IPV4_HEADER || offset !== 0) return
  readTransport(bytes, at + header, end, fields)
}

function readIPv6(bytes: Uint8Array, at: number, end: number, fields: PacketFields): void {
  // A jumbogram says 0 here; then it is what was copied.
  if (at + 6 <= end && word(bytes, at + 4) !== 0) fields.length = IPV6_HEADER + word(bytes, at + 4)
  if (at + 7 <= end) fields.protocol = bytes[at + 6] as number
  if (at + IPV6_HEADER > end) return
  fields.sourceAt = at + 8
  fields.destinationAt = at + 24
  let header = at + IPV6_HEADER
  while (isExtension(fields.protocol)) {
    if (header + 8 > end) return
    const extension = fields.protocol
    fields.protocol = bytes[header] as number
    if (extension === FRAGMENT && (word(bytes, header + 2) & 0xfff8) !== 0) return
    header += extensionLength(extension, bytes[header + 1] as number)
  }
  readTransport(bytes, header, end, fields)
}

function isExtension(protocol: number): boolean {
  return protocol === HOP_BY_HOP || protocol === ROUTING || protocol === FRAGMENT || protocol === AUTHENTICATION || protocol === DESTINATION
}

function extensionLength(extension: number, says: number): number {
  if (extension === FRAGMENT) return 8
  return extension === AUTHENTICATION ? (says + 2) * 4 : (says + 1) * 8
}

function readTransport(bytes: Uint8Array, at: number, end: number, fields: PacketFields): void {
  const { protocol, family } = fields
  if (protocol === (family === 4 ? ICMP : ICMPV6)) {
    if (at + 2 > end) return
    fields.kind = 'icmp'
    fields.one = bytes[at] as number
    fields.two = bytes[at + 1] as number
  } else if (protocol === TCP || protocol === UDP || protocol === SCTP || protocol === DCCP || protocol === UDPLITE) {
    if (at + 4 > end) return
    fields.kind = 'ports'
    fields.one = word(bytes, at)
    fields.two = word(bytes, at + 2)
    if (protocol === TCP && at + 14 <= end) fields.tcpFlags = bytes[at + 13] as number
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}
