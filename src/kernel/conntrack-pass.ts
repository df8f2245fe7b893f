// One reading of conntrack's table from beginning to end, on a socket of its own: nothing of a reading that went wrong is read by
// the next.
//
// **Invariant:** whoever reads learns of entries, and that some may be missing; it ends within its silences.
import { conntrackDumpRequest, NETLINK_NETFILTER, visitEntries, type DumpScope, type Entry } from '../netlink/conntrack.ts'
import { NetlinkSocket } from '../netlink/socket.ts'

/** What takes the entries of a pass. */
export interface Collector {
  /** `entry` stands in `bytes`; both are valid during the call only. */
  add(bytes: Uint8Array, entry: Entry): void
}

const TIMEOUT_MS = 100
/** So many timeouts in a row without a word, and the dump is lost. */
const MOST_SILENCE = 20
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
/** A pass during which the table changed its size may have left entries out. */
const ATTEMPTS = 3
/** What was found is told after so many datagrams of 32 KB: some 5,000 entries. */
const DATAGRAMS_A_PART = 32

/** The kernel says no to the request: `code` is the errno's name. */
export class DumpRefused extends Error {
  readonly code: string
  constructor(code: string, text: string) {
    super(`the kernel refused it: ${[code, text].filter((t) => t !== '').join(': ')}`)
    this.code = code
  }
}

export function openConntrack(): NetlinkSocket {
  return new NetlinkSocket({ protocol: NETLINK_NETFILTER, groups: 0, receiveBufferBytes: RECEIVE_BUFFER_BYTES, timeoutMs: TIMEOUT_MS })
}

/** Reads until nothing is missing; `tell` is called now and then, and at the end. Throws where that does not succeed, DumpRefused among others. */
export function readConntrack(scope: DumpScope, collector: Collector, tell: () => void): void {
  for (let attempt = 1; ; attempt++) {
    const flaw = pass(scope, attempt, collector, tell)
    tell()
    if (flaw === null) return
    if (attempt === ATTEMPTS) throw new Error(flaw)
  }
}

/** Reads one dump to its end; returns why it is not complete, null where it is. */
function pass(scope: DumpScope, sequence: number, collector: Collector, tell: () => void): string | null {
  const socket = openConntrack()
  try {
    socket.send(conntrackDumpRequest(sequence, scope))
    let interrupted = false
    let datagrams = 0
    for (let silence = 0; silence < MOST_SILENCE; ) {
      const received = socket.receive(true)
      if (received.kind === 'lost') return received.reason
      if (received.kind === 'nothing') {
        silence++
        continue
      }
      silence = 0
      const { bytes } = received
      const { end, interrupted: now } = visitEntries(bytes, sequence, socket.port, (entry) => collector.add(bytes, entry))
      interrupted ||= now
      if (end?.kind === 'failed') throw new DumpRefused(end.code, end.text)
      if (end !== null) return interrupted ? 'the table changed while it was read' : null
      if (++datagrams % DATAGRAMS_A_PART === 0) tell()
    }
    return `the kernel said nothing for ${(MOST_SILENCE * TIMEOUT_MS) / 1000} s`
  } finally {
    socket.close()
  }
}
