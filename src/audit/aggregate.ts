// Logged packets -> entries: those with all in common but their time and length are one, for a window.
//
// The first packet of a key is due at once; what follows, when the key's window ends. A key that had packets in its window
// goes on in another one, so that a steady flow is told once a window.
// **Invariant:** each packet that was added is in exactly one telling or in one loss; there are never more keys than allowed.
import { visitPackets, type NflogPacket } from '../netlink/nflog.ts'
import { Losses } from './losses.ts'
import type { LostPackets } from './logged-flow.ts'
import { emptyFields, readPacket, type PacketFields } from './packet.ts'

/** Key: family, protocol, kind, 0, two numbers of 16 bits, mark, interfaces of 32 bits, both addresses, prefix. */
export const KEY_HEAD = 20
export const KIND_PORTS = 1
export const KIND_ICMP = 2
const LONGEST_PREFIX = 255
/** A time stamp that far from now is of another clock. */
const FAR_MS = 3_600_000
const MOST_FORGOTTEN = 4_096

export interface Entry {
  /** The key's bytes, one a character. */
  readonly key: string
  /** Of the first packet; -1 for none. */
  tcpFlags: number
  first: number
  last: number
  count: number
  bytes: number
  /** Monotonic: when its window ends. */
  ends: number
  /** To be told at once. */
  isFresh: boolean
}

export interface AggregateOptions {
  readonly windowMs: number
  readonly mostKeys: number
}

export class Aggregate {
  readonly #options: AggregateOptions
  readonly #losses = new Losses()
  /** In order of the ends of their windows. */
  readonly #entries = new Map<string, Entry>()
  readonly #scratch = Buffer.alloc(KEY_HEAD + 32 + LONGEST_PREFIX)
  readonly #fields = emptyFields()
  #fresh: Entry[] = []
  #freshAt = 0
  #datagram: Uint8Array = new Uint8Array(0)
  #now = 0
  #wall = 0
  #taken = 0
  /** Some key may have nothing left to tell. */
  #mayHaveTold = false
  readonly #visit = (packet: Readonly<NflogPacket>): void => this.#add(packet)

  constructor(options: AggregateOptions) {
    this.#options = options
  }

  /** Packets that came, and that are known to be lost, so far. */
  get taken(): number {
    return this.#taken
  }

  get keys(): number {
    return this.#entries.size
  }

  /** Something is to be told at once. */
  get hasFresh(): boolean {
    return this.#freshAt < this.#fresh.length
  }

  /** `now`: of the monotonic clock; `wall`: milliseconds since 1970. Both are the moment of reading. */
  datagram(bytes: Uint8Array, now: number, wall: number): void {
    this.#datagram = bytes
    this.#now = now
    this.#wall = wall
    visitPackets(bytes, this.#visit)
  }

  /** Tells what is due, at most so many: `write` copies the entry, which is used again. Returns how many there were. */
  tell(now: number, most: number, write: (entry: Readonly<Entry>) => void): number {
    return this.#tell(now, most, write, false)
  }

  /** The same, of all that there is: every window ends. */
  tellAll(now: number, most: number, write: (entry: Readonly<Entry>) => void): number {
    return this.#tell(now, most, write, true)
  }

  /**
   * Ends the windows of all flows from or to these addresses (their bytes, one a character; null: of all): others have them now. What was counted is
   * told at once, and what comes is another flow.
   */
  cut(addresses: ReadonlySet<string> | null): void {
    for (const entry of this.#entries.values()) {
      const { key } = entry
      const width = key.charCodeAt(0) === 4 ? 4 : 16
      const middle = KEY_HEAD + width
      if (addresses !== null && !addresses.has(key.slice(KEY_HEAD, middle)) && !addresses.has(key.slice(middle, middle + width))) continue
      // While nobody takes them, they stay what they are: there is a limit to what may wait.
      if (this.#fresh.length - this.#freshAt >= this.#options.mostKeys) return
      this.#entries.delete(key)
      if (entry.isFresh || entry.count === 0) continue
      entry.isFresh = true
      this.#fresh.push(entry)
    }
  }

  takeLost(now: number, all: boolean): LostPackets[] {
    return this.#losses.take(now, all)
  }

  #tell(now: number, most: number, write: (entry: Readonly<Entry>) => void, all: boolean): number {
    let told = 0
    while (told < most && this.#freshAt < this.#fresh.length) {
      told += this.#write(this.#fresh[this.#freshAt++] as Entry, write)
    }
    // Also where some are left: a flood of new keys would make it grow for as long as it lasts.
    this.#fresh = this.#fresh.slice(this.#freshAt)
    this.#freshAt = 0
    if (this.#fresh.length > 0) return told
    for (const entry of this.#entries.values()) {
      if (told >= most || (!all && entry.ends > now)) break
      this.#entries.delete(entry.key)
      if (entry.count === 0) continue
      told += this.#write(entry, write)
      if (all) continue
      entry.ends = now + this.#options.windowMs
      this.#entries.set(entry.key, entry)
    }
    return told
  }

  /** Forgets keys of which all is told: they are new again at their next packet. False where there are none. */
  #makeRoom(): boolean {
    if (!this.#mayHaveTold) return false
    let forgotten = 0
    // Many at once, as each time costs a walk.
    for (const { key, count } of this.#entries.values()) {
      if (count > 0) continue
      this.#entries.delete(key)
      if (++forgotten === MOST_FORGOTTEN) return true
    }
    this.#mayHaveTold = false
    return forgotten > 0
  }

  #write(entry: Entry, write: (entry: Readonly<Entry>) => void): number {
    write(entry)
    entry.count = 0
    entry.bytes = 0
    entry.isFresh = false
    this.#mayHaveTold = true
    return 1
  }

  #add(packet: Readonly<NflogPacket>): void {
    const time = packet.time !== null && Math.abs(packet.time - this.#wall) < FAR_MS ? packet.time : this.#wall
    if (packet.sequence !== null) this.#taken += this.#losses.sequence(packet.sequence, time)
    this.#taken++
    const fields = this.#fields
    readPacket(this.#datagram, packet.payloadAt, packet.payloadLength, packet.family, fields)
    const key = this.#scratch.toString('latin1', 0, this.#writeKey(packet, fields))
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      if (this.#entries.size >= this.#options.mostKeys && !this.#makeRoom()) return this.#losses.add('queue', 1, time, time)
      entry = { key, tcpFlags: -1, first: 0, last: 0, count: 0, bytes: 0, ends: this.#now + this.#options.windowMs, isFresh: true }
      this.#entries.set(key, entry)
      this.#fresh.push(entry)
    }
    if (entry.count === 0) {
      entry.tcpFlags = fields.tcpFlags
      entry.first = entry.last = time
    } else if (time > entry.last) entry.last = time
    else if (time < entry.first) entry.first = time
    entry.count++
    entry.bytes += fields.length
  }

  /** Returns the key's length. */
  #writeKey(packet: Readonly<NflogPacket>, fields: PacketFields): number {
    const key = this.#scratch
    key[0] = fields.family
    key[1] = fields.protocol
    key[2] = fields.kind === 'ports' ? KIND_PORTS : fields.kind === 'icmp' ? KIND_ICMP : 0
    key[3] = 0
    key[4] = fields.one >> 8
    key[5] = fields.one
    key[6] = fields.two >> 8
    key[7] = fields.two
    put32(key, 8, packet.mark)
    // A bridge is many pods', each of its ports one pod's.
    put32(key, 12, packet.inPort || packet.inInterface)
    put32(key, 16, packet.outPort || packet.outInterface)
    const width = fields.family === 4 ? 4 : 16
    this.#copy(fields.sourceAt, width, KEY_HEAD)
    this.#copy(fields.destinationAt, width, KEY_HEAD + width)
    const prefix = Math.min(packet.prefixLength, LONGEST_PREFIX)
    this.#copy(packet.prefixAt, prefix, KEY_HEAD + 2 * width)
    return KEY_HEAD + 2 * width + prefix
  }

  /** From the datagram; zeros where `at` is -1. */
  #copy(at: number, length: number, to: number): void {
    for (let i = 0; i < length; i++) this.#scratch[to + i] = at < 0 ? 0 : (this.#datagram[at + i] as number)
  }
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}
