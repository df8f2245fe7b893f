// Connections between their forms: conntrack's bytes, the judge's packet, the elements of the cut sets and back.
//
// **Invariant:** an element's key is the connection as its client sends it, behind DNAT; key and connection are one to one.
import { flowAt, type Origin } from '../kernel/conntrack-flows.ts'
import type { Network, Side } from '../kernel/conntrack-flows.ts'
import { bitsOf, familyOf, fromBits, toBits, type Address, type Cidr, type Family } from '../model/ip.ts'
import { PROTOCOLS, type Protocol } from '../model/objects.ts'
import type { Packet } from '../policy/judge.ts'

export interface CutFlow extends Packet {
  readonly family: Family
  readonly protocol: Protocol
  readonly sourcePort: number
}

/** As conntrack tells it: its direction may be that of a server's packet. */
export interface TrackedFlow extends CutFlow {
  readonly origin: Origin
}

const PROTOCOL_OF: Readonly<Record<number, Protocol>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' }

export function flowKey(flow: CutFlow): string {
  return `${flow.source} . ${flow.destination} . ${flow.protocol.toLowerCase()} . ${flow.sourcePort} . ${flow.port}`
}

/** Null where somebody else put in what no connection has. */
export function flowOfKey(key: string): CutFlow | null {
  const [source = '', destination = '', word = '', from, to] = key.split(' . ')
  const protocol = PROTOCOLS.find((p) => p.toLowerCase() === word)
  if (protocol === undefined) return null
  return { family: familyOf(source), source, destination, protocol, sourcePort: Number(from), port: Number(to) }
}

/** Bytes of addresses -> their text, each made once: connections share their ends. */
export class AddressTexts {
  readonly #texts = new Map<string, Address>()

  of(bytes: Uint8Array): Address {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
    const known = this.#texts.get(key)
    if (known !== undefined) return known
    let bits = 0n
    for (const byte of bytes) bits = (bits << 8n) | BigInt(byte)
    const text = fromBits(bytes.length === 4 ? 4 : 6, bits)
    this.#texts.set(key, text)
    return text
  }
}

/** The connection of one record; null for a protocol that has none. */
export function readFlow(flows: Uint8Array, index: number, texts: AddressTexts): TrackedFlow | null {
  const { family, protocol: number, source, destination, sourcePort, destinationPort, origin } = flowAt(flows, index)
  const protocol = PROTOCOL_OF[number]
  if (protocol === undefined) return null
  return { family, protocol, source: texts.of(source), destination: texts.of(destination), sourcePort, port: destinationPort, origin }
}

/** The same connection, had the other end opened it. */
export function reversed({ family, protocol, source, destination, sourcePort, port }: CutFlow): CutFlow {
  return { family, protocol, source: destination, destination: source, sourcePort: port, port: sourcePort }
}

export function addressNetwork(address: Address, sides: readonly Side[]): Network {
  const family = familyOf(address)
  return { bytes: bytesOf(family, toBits(address)), prefix: bitsOf(family), sides }
}

export function cidrNetwork(cidr: Cidr, sides: readonly Side[]): Network {
  return { bytes: bytesOf(cidr.family, cidr.first), prefix: cidr.prefix, sides }
}

function bytesOf(family: Family, bits: bigint): Uint8Array {
  const width = bitsOf(family) / 8
  return Uint8Array.from({ length: width }, (_, i) => Number((bits >> BigInt((width - 1 - i) * 8)) & 255n))
}
