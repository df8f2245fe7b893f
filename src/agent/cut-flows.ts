// Connections between their forms: keys of the cut sets' elements (kernel/conntrack-flows.ts), the judge's packet, nft's text.
//
// **Invariant:** a key is the connection as its client sends it, behind DNAT; key and connection are one to one.
import { KEY_LENGTH, type FlowKey } from '../kernel/conntrack-flows.ts'
import { bytesOf, familyOf, fromBits, toBits, type Address, type Family } from '../model/ip.ts'
import { PROTOCOLS, type Protocol } from '../model/objects.ts'
import type { Packet } from '../policy/judge.ts'

export interface CutFlow extends Packet {
  readonly protocol: Protocol
  readonly sourcePort: number
}

const NUMBER_OF: Readonly<Record<Protocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 }
const PROTOCOL_OF = new Map(PROTOCOLS.map((protocol) => [NUMBER_OF[protocol], protocol]))

export function familyOfKey(key: FlowKey): Family {
  return key.length === KEY_LENGTH[4] ? 4 : 6
}

/** Bytes of addresses -> their text, each made once: connections share their ends. */
export class AddressTexts {
  readonly #texts = new Map<string, Address>()

  /** `bytes` as latin1: 4 or 16. */
  of(bytes: string): Address {
    const known = this.#texts.get(bytes)
    if (known !== undefined) return known
    const at = (i: number): number => bytes.charCodeAt(i)
    const text = bytes.length === 4 ? `${at(0)}.${at(1)}.${at(2)}.${at(3)}` : fromBits(6, BigInt(`0x${Buffer.from(bytes, 'latin1').toString('hex')}`))
    this.#texts.set(bytes, text)
    return text
  }
}

/** Null where it is of a protocol that has no connections: somebody else put it in. */
export function flowOf(key: FlowKey, texts: AddressTexts): CutFlow | null {
  const width = familyOfKey(key) === 4 ? 4 : 16
  const behind = 2 * width
  const protocol = PROTOCOL_OF.get(key.charCodeAt(behind))
  if (protocol === undefined) return null
  return { source: texts.of(key.slice(0, width)), destination: texts.of(key.slice(width, behind)), protocol, sourcePort: portAt(key, behind + 4), port: portAt(key, behind + 8) }
}

function portAt(key: FlowKey, at: number): number {
  return (key.charCodeAt(at) << 8) | key.charCodeAt(at + 1)
}

/** The same connection, had the other end opened it. */
export function reversed(key: FlowKey): FlowKey {
  const width = familyOfKey(key) === 4 ? 4 : 16
  const behind = 2 * width
  return key.slice(width, behind) + key.slice(0, width) + key.slice(behind, behind + 4) + key.slice(behind + 8) + key.slice(behind + 4, behind + 8)
}

/** An element as nft lists it; null where no connection has such a key. */
export function keyOfElement(text: string): FlowKey | null {
  const [source = '', destination = '', word = '', from, to] = text.split(' . ')
  const protocol = PROTOCOLS.find((p) => p.toLowerCase() === word)
  if (protocol === undefined) return null
  const port = (value: string | undefined): string => String.fromCharCode(Number(value) >> 8, Number(value) & 0xff, 0, 0)
  return `${addressBytes(source)}${addressBytes(destination)}${String.fromCharCode(NUMBER_OF[protocol], 0, 0, 0)}${port(from)}${port(to)}`
}

function addressBytes(address: Address): string {
  return Buffer.from(bytesOf(familyOf(address), toBits(address))).toString('latin1')
}

/** One after another, as they are handed to the kernel. */
export function joinedKeys(keys: readonly FlowKey[]): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.alloc(keys.reduce((sum, key) => sum + key.length, 0))
  let at = 0
  for (const key of keys) at += bytes.write(key, at, 'latin1')
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** And back: those of one family. */
export function splitKeys(bytes: Uint8Array, family: Family): FlowKey[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  const length = KEY_LENGTH[family]
  return Array.from({ length: text.length / length }, (_, i) => text.slice(i * length, (i + 1) * length))
}
