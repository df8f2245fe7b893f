// Connections as they cross from the conntrack worker to the main thread: records of one length, one after another.
//
// A record is a connection as the forward hook sees its original direction: after DNAT and before SNAT, so the source is
// the original one, and the destination is who replies. A filter crosses the other way: the networks to look for.
// **Invariant:** only bytes cross; records and networks are written and read here and nowhere else.
import { TCP, UDP, type Entry, type Tuple } from '../netlink/conntrack.ts'

/** family, origin, 2 unused, key (44; of IPv4 the first 20 count). */
export const FLOW_LENGTH = 48
const KEY_AT = 4
/** family, prefix length, address (16). */
const NETWORK_LENGTH = 18
const ADDRESS_AT = 2
const SCTP = 132
/** Of which "th sport" and "th dport" mean ports. */
const WITH_PORTS: ReadonlySet<number> = new Set([TCP, UDP, SCTP])

/** Ports that clients are given by their hosts begin here (ip_local_port_range); what is below was chosen. */
const FIRST_CLIENT_PORT = 32_768

/**
 * Whether the source is who opened the connection. Conntrack says so of what it saw from its first packet on, and of what it
 * translated. What it took up after it had lost it has the direction of the next packet that came by: of TCP it tells
 * (`picked-up`), of UDP it cannot know (`untold`). Only where the ports look so too: from a served port to a client's.
 */
export type Origin = 'source' | 'picked-up' | 'untold'
const ORIGINS: readonly Origin[] = ['source', 'picked-up', 'untold']

/** An address or network: 4 or 16 bytes in network order. Either end of a connection may be there. */
export interface Network {
  readonly bytes: Uint8Array
  readonly prefix: number
}

/**
 * A connection as the elements of the cut sets name it: the bytes, as latin1, of source, destination, protocol, source port
 * and destination port, each in network order and padded to 4. Its length says the family.
 */
export type FlowKey = string

export const KEY_LENGTH = { 4: 20, 6: 44 } as const

export interface Flow {
  readonly key: FlowKey
  readonly origin: Origin
}

export function flowCount(flows: Uint8Array): number {
  return Math.floor(flows.length / FLOW_LENGTH)
}

/** `flows` of whole records; the index is below flowCount(). */
export function flowAt(flows: Buffer, index: number): Flow {
  const at = index * FLOW_LENGTH
  const length = flows[at] === 4 ? KEY_LENGTH[4] : KEY_LENGTH[6]
  return { key: flows.toString('latin1', at + KEY_AT, at + KEY_AT + length), origin: ORIGINS[flows[at + 1] as number] ?? 'source' }
}

/** The addresses of encoded networks; null where a wider network is among them. */
export function singleAddresses(encoded: Uint8Array): readonly Uint8Array[] | null {
  const found: Uint8Array[] = []
  for (let at = 0; at + NETWORK_LENGTH <= encoded.length; at += NETWORK_LENGTH) {
    const width = encoded[at] === 4 ? 4 : 16
    if ((encoded[at + 1] as number) < width * 8) return null
    found.push(encoded.slice(at + ADDRESS_AT, at + ADDRESS_AT + width))
  }
  return found
}

export function encodeNetworks(networks: readonly Network[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(networks.length * NETWORK_LENGTH)
  networks.forEach((network, i) => {
    const at = i * NETWORK_LENGTH
    bytes[at] = network.bytes.length === 4 ? 4 : 6
    bytes[at + 1] = network.prefix
    bytes.set(network.bytes, at + ADDRESS_AT)
  })
  return bytes
}

/** Which addresses are asked for. Single addresses cost one lookup, however many; wider networks are tried one by one. */
export class NetworkFilter {
  readonly #v4 = new Set<number>()
  /** First by the last four bytes, which differ most. */
  readonly #v6 = new Map<number, Uint8Array[]>()
  readonly #wide: Prefix[] = []

  constructor(encoded: Uint8Array) {
    for (let at = 0; at + NETWORK_LENGTH <= encoded.length; at += NETWORK_LENGTH) {
      const width = encoded[at] === 4 ? 4 : 16
      const bytes = encoded.slice(at + ADDRESS_AT, at + ADDRESS_AT + width)
      const prefix = encoded[at + 1] as number
      if (prefix < width * 8) this.#wide.push({ bytes, prefix })
      else if (width === 4) this.#v4.add(word(bytes, 0))
      else {
        const key = word(bytes, 12)
        const same = this.#v6.get(key)
        if (same === undefined) this.#v6.set(key, [bytes])
        else same.push(bytes)
      }
    }
  }

  /** The address of `width` bytes at `at`. */
  has(bytes: Uint8Array, at: number, width: number): boolean {
    if (width === 4 ? this.#v4.has(word(bytes, at)) : this.#hasV6(bytes, at)) return true
    return this.#wide.some((network) => network.bytes.length === width && startsAlike(network, bytes, at))
  }

  #hasV6(bytes: Uint8Array, at: number): boolean {
    for (const one of this.#v6.get(word(bytes, at + 12)) ?? []) if (startsAlike({ bytes: one, prefix: 128 }, bytes, at)) return true
    return false
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)
}

type Prefix = Pick<Network, 'bytes' | 'prefix'>

function startsAlike(network: Prefix, bytes: Uint8Array, at: number): boolean {
  const whole = network.prefix >> 3
  for (let i = 0; i < whole; i++) if (network.bytes[i] !== bytes[at + i]) return false
  const rest = network.prefix & 7
  return rest === 0 || (((network.bytes[whole] as number) ^ (bytes[at + whole] as number)) & (0xff << (8 - rest)) & 0xff) === 0
}

function originOf(bytes: Uint8Array, original: Tuple, reply: Tuple, pickedUp: boolean, width: number): Origin {
  if (original.sourcePort >= FIRST_CLIENT_PORT || original.destinationPort < FIRST_CLIENT_PORT) return 'source'
  if (original.destinationPort !== reply.sourcePort || original.sourcePort !== reply.destinationPort) return 'source'
  if (!same(bytes, original.source, reply.destination, width) || !same(bytes, original.destination, reply.source, width)) return 'source'
  if (original.protocol === UDP) return 'untold'
  return original.protocol === TCP && pickedUp ? 'picked-up' : 'source'
}

function same(bytes: Uint8Array, one: number, other: number, width: number): boolean {
  for (let i = 0; i < width; i++) if (bytes[one + i] !== bytes[other + i]) return false
  return true
}

/** Collects the flows that have an end in the filter's networks. */
export class FlowCollector {
  readonly #filter: NetworkFilter
  readonly #records = new Records(FLOW_LENGTH)
  /** Entries seen, wanted or not. */
  seen = 0

  constructor(filter: NetworkFilter) {
    this.#filter = filter
  }

  /** `entry` stands in `bytes`. */
  add(bytes: Uint8Array, entry: Entry): void {
    this.seen++
    const { original, reply, pickedUp } = entry
    if (!WITH_PORTS.has(original.protocol)) return
    const width = original.family === 4 ? 4 : 16
    if (!this.#filter.has(bytes, original.source, width) && !this.#filter.has(bytes, reply.source, width)) return
    const at = this.#records.add()
    writeFlow(this.#records.bytes, at, bytes, entry)
    this.#records.bytes[at + 1] = ORIGINS.indexOf(originOf(bytes, original, reply, pickedUp, width))
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#records.take()
  }

  get isEmpty(): boolean {
    return this.#records.isEmpty
  }
}

/** Into a record of zeros at `at`: family and key of `entry`, which stands in `bytes`. */
export function writeFlow(out: Uint8Array, at: number, bytes: Uint8Array, { original, reply }: Entry): void {
  const width = original.family === 4 ? 4 : 16
  out[at] = original.family
  const key = at + KEY_AT
  for (let i = 0; i < width; i++) {
    out[key + i] = bytes[original.source + i] as number
    out[key + width + i] = bytes[reply.source + i] as number
  }
  const behind = key + 2 * width
  out[behind] = original.protocol
  out[behind + 4] = original.sourcePort >> 8
  out[behind + 5] = original.sourcePort & 0xff
  out[behind + 8] = reply.sourcePort >> 8
  out[behind + 9] = reply.sourcePort & 0xff
}

/** Records of one length, one after another. */
export class Records {
  readonly #length: number
  #used = 0
  /** Valid until the next add(). */
  bytes: Uint8Array<ArrayBuffer>

  constructor(length: number) {
    this.#length = length
    this.bytes = new Uint8Array(length * 1024)
  }

  /** Where the new one begins in `bytes`, which is all zeros there. */
  add(): number {
    const at = this.#used
    if (at === this.bytes.length) {
      const grown = new Uint8Array(this.bytes.length * 2)
      grown.set(this.bytes)
      this.bytes = grown
    }
    this.#used += this.#length
    this.bytes.fill(0, at, this.#used)
    return at
  }

  /** What was added since the last call, in a buffer of its own, to be transferred. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.bytes.slice(0, this.#used)
    this.#used = 0
    return taken
  }

  get isEmpty(): boolean {
    return this.#used === 0
  }
}
