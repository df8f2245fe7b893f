// Entries <-> one buffer, which one thread hands to the other; read back one flow at a time, when it is asked for.
//
// One entry: length of the key (16 bits), TCP flags and whether there are any (8 bits each), four zeros, first, last, count, bytes (64-bit floats), key.
// **Invariant:** what was written reads back the same; a batch is never longer than its most entries need.
import { fromBits, type Address, type Family } from '../model/ip.ts'
import { KEY_HEAD, KIND_ICMP, KIND_PORTS, type Entry } from './aggregate.ts'
import type { LoggedFlow } from './logged-flow.ts'

const HEAD = 40

export class BatchWriter {
  #bytes = Buffer.alloc(1 << 14)
  #length = 0
  #packets = 0

  /** The sum of the entries' counts. */
  get packets(): number {
    return this.#packets
  }

  add(entry: Readonly<Entry>): void {
    const { key, tcpFlags, first, last, count, bytes } = entry
    this.#room(HEAD + key.length)
    const at = this.#length
    this.#bytes.writeUInt16LE(key.length, at)
    this.#bytes[at + 2] = tcpFlags < 0 ? 0 : tcpFlags
    this.#bytes[at + 3] = tcpFlags < 0 ? 0 : 1
    this.#bytes.writeDoubleLE(first, at + 8)
    this.#bytes.writeDoubleLE(last, at + 16)
    this.#bytes.writeDoubleLE(count, at + 24)
    this.#bytes.writeDoubleLE(bytes, at + 32)
    this.#bytes.write(key, at + HEAD, 'latin1')
    this.#length += HEAD + key.length
    this.#packets += count
  }

  /** What was added since the last time, as a buffer of its own. */
  take(): ArrayBuffer {
    const taken = new Uint8Array(this.#length)
    taken.set(this.#bytes.subarray(0, this.#length))
    this.#length = 0
    this.#packets = 0
    return taken.buffer
  }

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.length) return
    const bytes = Buffer.alloc(2 * this.#bytes.length)
    this.#bytes.copy(bytes, 0, 0, this.#length)
    this.#bytes = bytes
  }
}

/** The flows of a batch, each decoded when it is asked for; may be gone through more than once. */
export function flowsIn(batch: ArrayBuffer): Iterable<LoggedFlow> {
  return { [Symbol.iterator]: () => decoded(Buffer.from(batch)) }
}

function* decoded(bytes: Buffer): Generator<LoggedFlow, void> {
  for (let at = 0; at < bytes.length; at += HEAD + bytes.readUInt16LE(at)) yield flowAt(bytes, at)
}

function flowAt(bytes: Buffer, at: number): LoggedFlow {
  const key = bytes.subarray(at + HEAD, at + HEAD + bytes.readUInt16LE(at))
  const family: Family = key[0] === 4 ? 4 : 6
  const width = family === 4 ? 4 : 16
  const kind = key[2]
  const [one, two] = [key.readUInt16BE(4), key.readUInt16BE(6)]
  return {
    prefix: key.toString('utf8', KEY_HEAD + 2 * width),
    family,
    source: addressAt(key, family, KEY_HEAD),
    destination: addressAt(key, family, KEY_HEAD + width),
    protocol: key[1] as number,
    sourcePort: kind === KIND_PORTS ? one : null,
    destinationPort: kind === KIND_PORTS ? two : null,
    icmp: kind === KIND_ICMP ? { type: one, code: two } : null,
    tcpFlags: bytes[at + 3] === 1 ? (bytes[at + 2] as number) : null,
    mark: key.readUInt32BE(8),
    inInterface: key.readUInt32BE(12),
    outInterface: key.readUInt32BE(16),
    first: bytes.readDoubleLE(at + 8),
    last: bytes.readDoubleLE(at + 16),
    count: bytes.readDoubleLE(at + 24),
    bytes: bytes.readDoubleLE(at + 32),
  }
}

function addressAt(key: Buffer, family: Family, at: number): Address {
  if (family === 4) return `${key[at]}.${key[at + 1]}.${key[at + 2]}.${key[at + 3]}`
  return fromBits(6, (key.readBigUInt64BE(at) << 64n) | key.readBigUInt64BE(at + 8))
}
