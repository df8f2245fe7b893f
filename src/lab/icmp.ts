// An ICMP or ICMPv6 error as bytes -> which packet it complains about, and a word for the complaint.
//
// A prober's UDP and SCTP sockets are not connected, so the kernel tells them nothing of ICMP errors: it reads them
// itself from a raw socket. **Invariant:** pure; null for whatever is no error or too short to say what it is about.
import { type Address, type Family, parseAddress } from '../model/ip.ts'

export const IPPROTO_ICMP = 1
export const IPPROTO_ICMPV6 = 58

export interface IcmpError {
  /** IP protocol number of the packet complained about, its destination and its ports. */
  readonly protocol: number
  readonly destination: Address
  readonly sourcePort: number
  readonly destinationPort: number
  readonly message: string
}

const UNREACHABLE_4: Readonly<Record<number, string>> = {
  0: 'network unreachable',
  1: 'host unreachable',
  2: 'protocol unreachable',
  3: 'port unreachable',
  4: 'fragmentation needed',
  9: 'network prohibited',
  10: 'host prohibited',
  13: 'administratively prohibited',
}

const UNREACHABLE_6: Readonly<Record<number, string>> = {
  0: 'no route',
  1: 'administratively prohibited',
  2: 'beyond the scope of the source',
  3: 'address unreachable',
  4: 'port unreachable',
  5: 'source address failed policy',
  6: 'reject route',
}

/** `bytes` as a raw socket delivers them: with the IP header for IPv4, without it for IPv6. */
export function parseIcmpError(family: Family, bytes: Buffer): IcmpError | null {
  return family === 4 ? parseIcmp(bytes.subarray(((bytes[0] ?? 0) & 0x0f) * 4)) : parseIcmpv6(bytes)
}

function parseIcmp(bytes: Buffer): IcmpError | null {
  if (bytes.length < 8 + 20 + 4) return null
  const type = bytes.readUInt8(0)
  const code = bytes.readUInt8(1)
  if (type !== 3 && type !== 11) return null
  const quoted = bytes.subarray(8)
  const header = (quoted.readUInt8(0) & 0x0f) * 4
  if (quoted.length < header + 4) return null
  return {
    protocol: quoted.readUInt8(9),
    destination: [...quoted.subarray(16, 20)].join('.'),
    sourcePort: quoted.readUInt16BE(header),
    destinationPort: quoted.readUInt16BE(header + 2),
    message: `ICMP: ${type === 11 ? 'time exceeded' : (UNREACHABLE_4[code] ?? `unreachable, code ${code}`)}`,
  }
}

function parseIcmpv6(bytes: Buffer): IcmpError | null {
  if (bytes.length < 8 + 40 + 4) return null
  const type = bytes.readUInt8(0)
  const code = bytes.readUInt8(1)
  if (type !== 1 && type !== 3) return null
  const quoted = bytes.subarray(8)
  const words = Array.from({ length: 8 }, (_, index) => quoted.readUInt16BE(24 + index * 2).toString(16))
  return {
    protocol: quoted.readUInt8(6),
    destination: parseAddress(words.join(':')) as Address,
    sourcePort: quoted.readUInt16BE(40),
    destinationPort: quoted.readUInt16BE(42),
    message: `ICMPv6: ${type === 3 ? 'time exceeded' : (UNREACHABLE_6[code] ?? `unreachable, code ${code}`)}`,
  }
}
