// Transport headers of test packets, as bytes: just enough that conntrack takes them for what they are.
//
// **Invariant:** checksums are left zero; the namespaces of these tests have nf_conntrack_checksum off.
import { bitString } from '../support/oracle-address.ts'

export function addressBytes(address: string): Buffer {
  const bits = bitString(address)
  if (bits === null) throw new Error(`not an address: ${address}`)
  return Buffer.from((bits.match(/.{8}/g) as string[]).map((octet) => Number.parseInt(octet, 2)))
}

export function udp(source: number, destination: number): Buffer {
  return words(source, destination, 12, 0, 0x7069, 0x636b)
}

/** `flags`: SYN 2, RST 4, ACK 16. */
export function tcp(source: number, destination: number, flags: number): Buffer {
  return words(source, destination, 0, 1, 0, 0, 0x5000 | flags, 0xffff, 0, 0)
}

/** An INIT. */
export function sctp(source: number, destination: number): Buffer {
  return words(source, destination, 0, 0, 0, 0, 0x0100, 20, 0, 7, 0, 0xffff, 1, 1, 0, 9)
}

/** A header whose third and fourth byte are `protocolType`: what stands where TCP has its destination port. */
export function gre(protocolType: number): Buffer {
  return words(0, protocolType, 0, 0)
}

export function echo(six: boolean): Buffer {
  const bytes = words(six ? 0x8000 : 0x0800, 0, 77, 1)
  if (!six) bytes.writeUInt16BE(checksum(bytes), 2)
  return bytes
}

/** Destination unreachable about a packet from `source` to `destination`, of which `quoted` is the transport header. */
export function unreachable(source: string, destination: string, protocol: number, quoted: Buffer): Buffer {
  if (source.includes(':')) {
    return Buffer.concat([words(0x0104, 0, 0, 0), words(0x6000, 0, quoted.length, (protocol << 8) | 64), addressBytes(source), addressBytes(destination), quoted])
  }
  const ip = Buffer.concat([words(0x4500, 20 + quoted.length, 0, 0, 0x4000 | protocol, 0), addressBytes(source), addressBytes(destination)])
  const bytes = Buffer.concat([words(0x0303, 0, 0, 0), ip, quoted])
  bytes.writeUInt16BE(checksum(bytes), 2)
  return bytes
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2)
  for (const [i, value] of values.entries()) bytes.writeUInt16BE(value, i * 2)
  return bytes
}

function checksum(bytes: Buffer): number {
  let sum = 0
  for (let i = 0; i + 1 < bytes.length; i += 2) sum += bytes.readUInt16BE(i)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
