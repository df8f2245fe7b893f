// Which entries of conntrack lead past the endpoints of a Service: the table of the Services' UDP ports, and its judge.
//
// A client that goes on sending keeps its entry of UDP for ever: also one to an endpoint that went, and one that was made when
// nobody translated the address yet. The table crosses to the conntrack worker as bytes, which judges there, entry by entry.
// **Invariant:** an entry of another protocol, of an address or port that is not in the table, or to who is kept is
// never stale; judging one costs two or three lookups, whatever the table's length.
import { UDP, type Entry } from '../netlink/conntrack.ts'

/** An address of 4 or 16 bytes, and a port of UDP. */
export interface ServedAt {
  readonly address: Uint8Array
  readonly port: number
}

export interface ServedPort extends ServedAt {
  /** Whose entries stay, of the same family. */
  readonly keeps: readonly ServedAt[]
  /**
   * Whether somebody serves it: entries that nobody translated go, too. Else they stay, and only those go that lead to who is no
   * endpoint at all any more.
   */
  readonly isServed: boolean
}

/** Address length, whether it is served, number of those that are kept (4); the port's own address and theirs, each followed by its port (2). */
const HEAD_LENGTH = 6

export function encodeServed(ports: readonly ServedPort[]): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.alloc(ports.reduce((sum, { address, keeps }) => sum + HEAD_LENGTH + (1 + keeps.length) * (address.length + 2), 0))
  let at = 0
  for (const { address, port, keeps, isServed } of ports) {
    bytes[at] = address.length
    bytes[at + 1] = isServed ? 1 : 0
    at = bytes.writeUInt32BE(keeps.length, at + 2)
    for (const one of [{ address, port }, ...keeps]) {
      if (one.address.length !== address.length) throw new RangeError('an endpoint of another family than the address that it serves')
      bytes.set(one.address, at)
      at = bytes.writeUInt16BE(one.port, at + address.length)
    }
  }
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Address and port: a number of IPv4, nine characters of IPv6. */
type Key = number | string

interface Served {
  readonly keeps: ReadonlySet<Key>
  readonly isServed: boolean
}

export class StaleJudge {
  readonly #ports = new Map<Key, Served>()
  readonly #families = new Set<4 | 6>()

  constructor(encoded: Uint8Array) {
    const view = new DataView(encoded.buffer, encoded.byteOffset)
    for (let at = 0; at < encoded.length; ) {
      const width = encoded[at] as number
      const isServed = encoded[at + 1] === 1
      const first = at + HEAD_LENGTH
      const keys = Array.from({ length: view.getUint32(at + 2) + 1 }, (_, i) => {
        const one = first + i * (width + 2)
        return keyOf(encoded, one, width, pairAt(encoded, one + width))
      })
      at = first + keys.length * (width + 2)
      this.#families.add(width === 4 ? 4 : 6)
      this.#ports.set(keys[0] as Key, { keeps: new Set(keys.slice(1)), isServed })
    }
  }

  /** Those that are worth reading. */
  get families(): readonly (4 | 6)[] {
    return [...this.#families]
  }

  /** `entry` stands in `bytes`. */
  isStale(bytes: Uint8Array, { original, reply }: Entry): boolean {
    if (original.protocol !== UDP) return false
    const width = original.family === 4 ? 4 : 16
    const called = keyOf(bytes, original.destination, width, original.destinationPort)
    const port = this.#ports.get(called)
    if (port === undefined) return false
    const answers = keyOf(bytes, reply.source, width, reply.sourcePort)
    return !port.keeps.has(answers) && (port.isServed || answers !== called)
  }
}

function keyOf(bytes: Uint8Array, at: number, width: number, port: number): Key {
  if (width === 4) return (pairAt(bytes, at) * 0x10000 + pairAt(bytes, at + 2)) * 0x10000 + port
  const pair = (i: number): number => pairAt(bytes, at + 2 * i)
  return String.fromCharCode(pair(0), pair(1), pair(2), pair(3), pair(4), pair(5), pair(6), pair(7), port)
}

function pairAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

