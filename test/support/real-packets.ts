// Whole IP packets as bytes, with right checksums, for what no socket of an honest pod sends: spoofed sources, protocols
// nobody knows, errors about connections, echoes, chosen source ports.
//
// forge.ts sends them. **Invariant:** a packet is one that the kernel takes for valid; what is odd about it is what the
// test says.
import { addressBytes } from '../kernel/packet-bytes.ts'

export interface Packet {
  readonly destination: string
  readonly bytes: Buffer
}

const ICMP = 1
const TCP = 6
const UDP = 17
const ICMPV6 = 58

interface Ends {
  readonly from: string
  readonly to: string
}

/** Any IP protocol; `dontFragment` speaks of IPv4, and no IPv6 router fragments. */
export function ipPacket({ from, to }: Ends, protocol: number, payload: Buffer): Packet {
  const [source, destination] = [addressBytes(from), addressBytes(to)]
  if (source.length === 16) {
    const head = Buffer.from([0x60, 0, 0, 0, payload.length >> 8, payload.length & 255, protocol, 64])
    return { destination: to, bytes: Buffer.concat([head, source, destination, payload]) }
  }
  const length = 20 + payload.length
  // Identification 1, DF, TTL 64; the kernel fills in the checksum.
  const head = Buffer.from([0x45, 0, length >> 8, length & 255, 0, 1, 0x40, 0, 64, protocol, 0, 0])
  const header = Buffer.concat([head, source, destination])
  header.writeUInt16BE(checksum([header]), 10)
  return { destination: to, bytes: Buffer.concat([header, payload]) }
}

export interface Ports {
  readonly source: number
  readonly destination: number
}

/** `size` bytes of payload. */
export function udpPacket(ends: Ends, { source, destination }: Ports, size = 8): Packet {
  const udp = Buffer.alloc(8 + size, 0x78)
  for (const [index, value] of [source, destination, udp.length, 0].entries()) udp.writeUInt16BE(value, index * 2)
  udp.writeUInt16BE(withPseudoHeader(ends, UDP, udp) || 0xffff, 6)
  return ipPacket(ends, UDP, udp)
}

/** Without options or payload. */
export function tcpPacket(ends: Ends, { source, destination }: Ports, flags: 'syn' | 'ack', sequence = 1000): Packet {
  const tcp = Buffer.alloc(20)
  tcp.writeUInt16BE(source, 0)
  tcp.writeUInt16BE(destination, 2)
  tcp.writeUInt32BE(sequence, 4)
  tcp.writeUInt16BE(0x5000 | (flags === 'syn' ? 2 : 16), 12)
  tcp.writeUInt16BE(0xffff, 14)
  tcp.writeUInt16BE(withPseudoHeader(ends, TCP, tcp), 16)
  return ipPacket(ends, TCP, tcp)
}

export function echoRequest(ends: Ends, id: number): Packet {
  return icmpPacket(ends, ends.from.includes(':') ? 128 : 8, 0, Buffer.from([id >> 8, id & 255, 0, 1, 1, 2, 3, 4]))
}

/** Neighbour solicitation for `target`, of IPv6; genuine ones have a hop limit of 255, which no router lets through. */
export function neighbourSolicitation(ends: Ends, target: string, hopLimit: number): Packet {
  const packet = icmpPacket(ends, 135, 0, Buffer.concat([Buffer.alloc(4), addressBytes(target)]))
  packet.bytes[7] = hopLimit
  return packet
}

/** Who answers for `target`, without being asked. */
export function neighbourAdvertisement(ends: Ends, target: string): Packet {
  const packet = icmpPacket(ends, 136, 0, Buffer.concat([Buffer.from([0x20, 0, 0, 0]), addressBytes(target)]))
  packet.bytes[7] = 255
  return packet
}

/** Port unreachable, about `about`. */
export function unreachable(ends: Ends, about: Packet): Packet {
  const [type, code] = ends.from.includes(':') ? [1, 4] : [3, 3]
  return icmpPacket(ends, type, code, Buffer.concat([Buffer.alloc(4), about.bytes.subarray(0, 64)]))
}

function icmpPacket(ends: Ends, type: number, code: number, rest: Buffer): Packet {
  const six = ends.from.includes(':')
  const icmp = Buffer.concat([Buffer.from([type, code, 0, 0]), rest])
  icmp.writeUInt16BE(six ? withPseudoHeader(ends, ICMPV6, icmp) : checksum([icmp]), 2)
  return ipPacket(ends, six ? ICMPV6 : ICMP, icmp)
}

function withPseudoHeader({ from, to }: Ends, protocol: number, payload: Buffer): number {
  const tail = Buffer.alloc(8)
  tail.writeUInt32BE(payload.length, 0)
  tail.writeUInt32BE(protocol, 4)
  return checksum([addressBytes(from), addressBytes(to), tail, payload])
}

/** The Internet checksum; every part but the last has an even length. */
function checksum(parts: readonly Buffer[]): number {
  const all = Buffer.concat(parts)
  let sum = 0
  for (let index = 0; index < all.length; index += 2) sum += index + 1 < all.length ? all.readUInt16BE(index) : (all[index] as number) << 8
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
