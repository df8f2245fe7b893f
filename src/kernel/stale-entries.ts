// Stale entries of UDP (served-ports.ts) as they cross between the conntrack worker and the main thread, there and back.
//
// A record is the connection as the forward hook sees it, which the main thread judges by policy first (decisions/0015), and what
// the kernel has to be told to delete that entry and no other. **Invariant:** only entries of UDP become records, and all
// that becomes of a record is a deletion of UDP.
import { ID_LENGTH, idOf, udpDeleteRequest } from '../netlink/conntrack-delete.ts'
import type { Entry } from '../netlink/conntrack.ts'
import { flowAt, FLOW_LENGTH, KEY_LENGTH, Records, writeFlow, type FlowKey } from './conntrack-flows.ts'
import type { StaleJudge } from './served-ports.ts'

/** A flow, the reply's destination (16; of IPv4 the first 4 count), its port (2), 2 unused, the entry's id. */
export const STALE_LENGTH = FLOW_LENGTH + 16 + 4 + ID_LENGTH
const DESTINATION_AT = FLOW_LENGTH
const PORT_AT = DESTINATION_AT + 16
const ID_AT = PORT_AT + 4

export function staleCount(entries: Uint8Array): number {
  return Math.floor(entries.length / STALE_LENGTH)
}

/** The connection, as its client sends it, behind DNAT; the index is below staleCount(). */
export function staleFlowAt(entries: Buffer, index: number): FlowKey {
  const at = index * STALE_LENGTH
  return flowAt(entries.subarray(at, at + FLOW_LENGTH), 0).key
}

/** Those of the indexes, in a buffer of their own. */
export function selectStale(entries: Buffer, indexes: readonly number[]): Uint8Array<ArrayBuffer> {
  const selected = new Uint8Array(indexes.length * STALE_LENGTH)
  indexes.forEach((index, i) => selected.set(entries.subarray(index * STALE_LENGTH, (index + 1) * STALE_LENGTH), i * STALE_LENGTH))
  return selected
}

export class StaleCollector {
  readonly #judge: StaleJudge
  readonly #records = new Records(STALE_LENGTH)
  /** Entries seen, stale or not. */
  seen = 0

  constructor(judge: StaleJudge) {
    this.#judge = judge
  }

  /** `entry` stands in `bytes`. */
  add(bytes: Uint8Array, entry: Entry): void {
    this.seen++
    if (!this.#judge.isStale(bytes, entry)) return
    const id = idOf(bytes, entry)
    if (id === null) return
    const { family, destination, destinationPort } = entry.reply
    const at = this.#records.add()
    const out = this.#records.bytes
    writeFlow(out, at, bytes, entry)
    out.set(bytes.subarray(destination, destination + (family === 4 ? 4 : 16)), at + DESTINATION_AT)
    out[at + PORT_AT] = destinationPort >> 8
    out[at + PORT_AT + 1] = destinationPort & 0xff
    out.set(bytes.subarray(id, id + ID_LENGTH), at + ID_AT)
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#records.take()
  }

  get isEmpty(): boolean {
    return this.#records.isEmpty
  }
}

/** One message for each of the records from `first` to before `end`, numbered from `sequence`; the last is acknowledged in any case. */
export function deletionsOf(entries: Buffer, first: number, end: number, sequence: number): Uint8Array {
  return Buffer.concat(Array.from({ length: end - first }, (_, i) => deletionOf(entries, first + i, sequence + i, first + i === end - 1)))
}

function deletionOf(entries: Buffer, index: number, sequence: number, acknowledged: boolean): Uint8Array {
  const at = index * STALE_LENGTH
  const record = entries.subarray(at, at + STALE_LENGTH)
  const key = Buffer.from(staleFlowAt(entries, index), 'latin1')
  const width = key.length === KEY_LENGTH[4] ? 4 : 16
  const reply = {
    source: key.subarray(width, 2 * width),
    destination: record.subarray(DESTINATION_AT, DESTINATION_AT + width),
    sourcePort: key.readUInt16BE(2 * width + 8),
    destinationPort: record.readUInt16BE(PORT_AT),
  }
  return udpDeleteRequest(sequence, reply, record.subarray(ID_AT, ID_AT + ID_LENGTH), acknowledged)
}
