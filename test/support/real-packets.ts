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

export interface Ends {
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

const FLAGS = { none: 0, fin: 1, syn: 2, rst: 4, ack: 16, 'syn ack': 18, 'fin ack': 17, 'push ack': 24 } as const
export type TcpFlags = keyof typeof FLAGS

export interface TcpMore {
  readonly acknowledges?: number
  /** Bytes of payload. */
  readonly size?: number
}

/** Without options. */
export function tcpPacket(ends: Ends, { source, destination }: Ports, flags: TcpFlags, sequence = 1000, { acknowledges = 0, size = 0 }: TcpMore = {}): Packet {
  const tcp = Buffer.alloc(20 + size)
  tcp.writeUInt16BE(source, 0)
  tcp.writeUInt16BE(destination, 2)
  tcp.writeUInt32BE(sequence, 4)
  tcp.writeUInt32BE(acknowledges, 8)
  tcp.writeUInt16BE(0x5000 | FLAGS[flags], 12)
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

/** Port unreachable, about `about`. */
export function unreachable(ends: Ends, about: Packet): Packet {
  const [type, code] = ends.from.includes(':') ? [1, 4] : [3, 3]
  return icmpPacket(ends, type, code, Buffer.concat([Buffer.alloc(4), about.bytes.subarray(0, 64)]))
}

/** Fragmentation needed, or packet too big, about `about`: 1,280 bytes are the most. */
export function tooBig(ends: Ends, about: Packet): Packet {
  const [type, code] = ends.from.includes(':') ? [2, 0] : [3, 4]
  return icmpPacket(ends, type, code, Buffer.concat([Buffer.from([0, 0, 1280 >> 8, 1280 & 255]), about.bytes.subarray(0, 64)]))
}

/** Unasked: `target` is at `mac`, override. */
export function neighbourAdvertisement(ends: Ends, target: string, mac: string): Packet {
  const packet = icmpPacket(ends, 136, 0, Buffer.concat([Buffer.from([0x20, 0, 0, 0]), addressBytes(target), Buffer.from([2, 1]), macBytes(mac)]))
  packet.bytes[7] = 255
  return packet
}

/** Gratuitous ARP out of the interface `index`: `address` is at `mac`. */
export function arpReply(index: number, address: string, mac: string): Packet {
  const [hardware, protocol] = [macBytes(mac), addressBytes(address)]
  const head = Buffer.concat([Buffer.alloc(6, 0xff), hardware, Buffer.from([8, 6, 0, 1, 8, 0, 6, 4, 0, 2])])
  return { destination: `dev:${index}`, bytes: Buffer.concat([head, hardware, protocol, Buffer.alloc(6, 0xff), protocol]) }
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

function icmpPacket(ends: Ends, type: number, code: number, rest: Buffer): Packet {
  const six = ends.from.includes(':')
  const icmp = Buffer.concat([Buffer.from([type, code, 0, 0]), rest])
  icmp.writeUInt16BE(six ? withPseudoHeader(ends, ICMPV6, icmp) : checksum([icmp]), 2)
  return ipPacket(ends, six ? ICMPV6 : ICMP, icmp)
}

const EXTENSIONS = { 'hop-by-hop': 0, routing: 43, destination: 60 } as const
export type ExtensionHeader = keyof typeof EXTENSIONS
const FRAGMENT = 44

/** An IPv6 packet with these headers in front of its payload: padding, or a routing header with no segments left. */
export function withHeaders({ destination, bytes }: Packet, headers: readonly ExtensionHeader[]): Packet {
  const numbers = [...headers.map((one) => EXTENSIONS[one]), bytes[6] as number]
  const added = headers.map((one, index) => Buffer.from([numbers[index + 1] as number, 0, ...(one === 'routing' ? [4, 0, 0, 0, 0, 0] : [1, 4, 0, 0, 0, 0])]))
  const whole = Buffer.concat([bytes.subarray(0, 40), ...added, bytes.subarray(40)])
  whole.writeUInt16BE(whole.length - 40, 4)
  whole[6] = numbers[0] as number
  return { destination, bytes: whole }
}

/** Cut behind these offsets of its payload, multiples of eight; IPv6: hop-by-hop and all other headers are cut with it. */
export function fragments({ destination, bytes }: Packet, cuts: readonly number[], id: number): readonly Packet[] {
  const six = bytes[0] === 0x60
  const [head, payload] = [bytes.subarray(0, six ? 40 : 20), bytes.subarray(six ? 40 : 20)]
  const starts = [0, ...cuts]
  return starts.map((start, index) => {
    const end = starts[index + 1] ?? payload.length
    const place = six ? start | (end < payload.length ? 1 : 0) : (start >> 3) | (end < payload.length ? 0x2000 : 0)
    const piece = payload.subarray(start, end)
    const header = Buffer.from(head)
    if (six) {
      const extension = Buffer.from([head[6] as number, 0, place >> 8, place & 255, 0, 0, id >> 8, id & 255])
      header[6] = FRAGMENT
      header.writeUInt16BE(piece.length + 8, 4)
      return { destination, bytes: Buffer.concat([header, extension, piece]) }
    }
    header.writeUInt16BE(20 + piece.length, 2)
    header.writeUInt16BE(id, 4)
    header.writeUInt16BE(place, 6)
    header.writeUInt16BE(0, 10)
    header.writeUInt16BE(checksum([header]), 10)
    return { destination, bytes: Buffer.concat([header, piece]) }
  })
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
