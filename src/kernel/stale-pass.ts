// Stale entries of UDP, found and deleted: the conntrack worker's part of it.
//
// Finding is one pass over what conntrack holds of UDP, for all Services; deleting is a message for each entry, some hundreds in one
// call. **Invariant:** what is not there any more is no error; whatever else the kernel says no to is one.
import { UDP, type DumpScope } from '../netlink/conntrack.ts'
import { controlOf, decodeMessages } from '../netlink/messages.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import { DumpRefused, openConntrack, readConntrack } from './conntrack-pass.ts'
import { StaleJudge } from './served-ports.ts'
import { deletionsOf, StaleCollector, staleCount } from './stale-entries.ts'

/** Of one call: 52 KB, and as many answers at most. */
const DELETED_AT_ONCE = 500
/** Linux before 5.8 tells everything; what refuses to filter is asked without. */
const CANNOT_FILTER: ReadonlySet<string> = new Set(['EOPNOTSUPP', 'EINVAL'])

/** How conntrack is read; for tests. */
export type Read = typeof readConntrack

/** `ports` of encodeServed(). `tell` is given what was found since the last call; the number of entries that the kernel told. */
export function findStale(ports: Uint8Array, tell: (entries: Uint8Array<ArrayBuffer>) => void, read: Read = readConntrack): number {
  const judge = new StaleJudge(ports)
  const collector = new StaleCollector(judge)
  const pass = (scope: DumpScope): void =>
    read(scope, collector, () => {
      if (!collector.isEmpty) tell(collector.take())
    })
  for (const family of judge.families) {
    try {
      pass({ kind: 'protocol', family, protocol: UDP })
    } catch (error) {
      if (!(error instanceof DumpRefused) || !CANNOT_FILTER.has(error.code)) throw error
      pass({ kind: 'family', family })
    }
  }
  return collector.seen
}

/** The number of entries that were still there, and are deleted. Throws on the first that the kernel refuses to delete. */
export function deleteStale(entries: Uint8Array): number {
  const records = Buffer.from(entries.buffer, entries.byteOffset, entries.length)
  const count = staleCount(entries)
  const socket = openConntrack()
  try {
    let deleted = 0
    for (let first = 0; first < count; first += DELETED_AT_ONCE) deleted += deleteSome(socket, records, first, Math.min(first + DELETED_AT_ONCE, count))
    return deleted
  } finally {
    socket.close()
  }
}

/** A sequence number is a record's index and 1: 0 is nobody's. */
function deleteSome(socket: NetlinkSocket, records: Buffer, first: number, end: number): number {
  socket.send(deletionsOf(records, first, end, first + 1))
  let gone = 0
  for (;;) {
    const received = socket.receive(true)
    if (received.kind !== 'datagram') throw new Error(received.kind === 'lost' ? received.reason : 'the kernel did not answer')
    for (const message of decodeMessages(received.bytes)) {
      const control = controlOf(message)
      if (message.port !== socket.port || control === null) continue
      if (control.kind === 'failed' && control.code !== 'ENOENT') throw new Error(`the kernel refused to delete an entry: ${[control.code, control.text].filter((text) => text !== '').join(': ')}`)
      if (control.kind === 'failed') gone++
      if (message.sequence === end) return end - first - gone
    }
  }
}
