// The thread that dumps conntrack: networks in, the connections of those networks out, in parts as they are found.
//
// The kernel needs 0.3 us to pass over an entry and 2 us to tell it (Linux 6.18). So for few IPv4 addresses in a long table
// the kernel filters, one pass for each address and side; else it tells everything once. Sockets are of one pass,
// so that nothing of one that went wrong is read by the next.
// **Invariant:** each request ends with `done` or `failed`; the kernel's table is only read.
import { readFileSync } from 'node:fs'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { messageOf } from '../lib/errors.ts'
import { tellLoaded } from '../lib/workers.ts'
import { conntrackDumpRequest, NETLINK_NETFILTER, visitEntries, type DumpScope } from '../netlink/conntrack.ts'
import { enterNetns, loadLibc } from '../netlink/libc.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { FlowCollector, NetworkFilter, singleAddresses } from './conntrack-flows.ts'

export interface DumpRequest {
  readonly networks: Uint8Array<ArrayBuffer>
}

export type DumpAnswer =
  /** First, where it will take some time. */
  | { readonly kind: 'long'; readonly id: number }
  | { readonly kind: 'flows'; readonly id: number; readonly flows: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'done'; readonly id: number; readonly seen: number }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string }

const TIMEOUT_MS = 100
/** So many timeouts in a row without a word, and the dump is lost. */
const MOST_SILENCE = 20
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
/** A pass during which the table changed its size may have left entries out. */
const ATTEMPTS = 3
/** With so many IPv4 addresses at most, and so many entries at least, filtering is quicker than reading everything. */
const FEW_ADDRESSES = 1
const LONG_TABLE = 5_000
/** What was found is told after so many datagrams of 32 KB: some 5,000 entries. */
const DATAGRAMS_A_PART = 32

/** The passes for these networks. Servers come first: it is replies that flow on where originals are judged. */
function passesFor(networks: Uint8Array, isLong: boolean): readonly DumpScope[] {
  const addresses = singleAddresses(networks)
  const four = addresses?.filter((address) => address.length === 4) ?? []
  if (addresses === null || four.length > FEW_ADDRESSES || !isLong) return [{ kind: 'all' }]
  const from = (direction: 'reply' | 'original'): DumpScope[] => four.map((source) => ({ kind: 'source', direction, source }))
  const six: readonly DumpScope[] = four.length < addresses.length ? [{ kind: 'family', family: 6 }] : []
  return [...from('reply'), ...six, ...from('original')]
}

/** Of this thread's network namespace; 0 where the kernel does not say. */
function entryCount(): number {
  try {
    return Number(readFileSync('/proc/sys/net/netfilter/nf_conntrack_count', 'utf8'))
  } catch {
    return 0
  }
}

function dump(networks: Uint8Array, isLong: boolean, tell: (collector: FlowCollector) => void): number {
  const collector = new FlowCollector(new NetworkFilter(networks))
  for (const scope of passesFor(networks, isLong)) {
    for (let attempt = 1; ; attempt++) {
      const flaw = pass(scope, attempt, collector, tell)
      tell(collector)
      if (flaw === null) break
      if (attempt === ATTEMPTS) throw new Error(flaw)
    }
  }
  return collector.seen
}

/** Reads one dump to its end; returns why it is not complete, null where it is. */
function pass(scope: DumpScope, sequence: number, collector: FlowCollector, tell: (collector: FlowCollector) => void): string | null {
  const socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, groups: 0, receiveBufferBytes: RECEIVE_BUFFER_BYTES, timeoutMs: TIMEOUT_MS })
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
      if (end?.kind === 'failed') throw new Error(`the kernel refused it: ${[end.code, end.text].filter((t) => t !== '').join(': ')}`)
      if (end !== null) return interrupted ? 'the table changed while it was read' : null
      if (++datagrams % DATAGRAMS_A_PART === 0) tell(collector)
    }
    return `the kernel said nothing for ${(MOST_SILENCE * TIMEOUT_MS) / 1000} s`
  } finally {
    socket.close()
  }
}

function answer(port: MessagePort, { id, networks }: DumpRequest & { readonly id: number }): void {
  const tell = (collector: FlowCollector): void => {
    if (collector.isEmpty) return
    const flows = collector.take()
    port.postMessage({ kind: 'flows', id, flows } satisfies DumpAnswer, [flows.buffer])
  }
  try {
    const isLong = entryCount() >= LONG_TABLE
    if (isLong) port.postMessage({ kind: 'long', id } satisfies DumpAnswer)
    port.postMessage({ kind: 'done', id, seen: dump(networks, isLong, tell) } satisfies DumpAnswer)
  } catch (error) {
    port.postMessage({ kind: 'failed', id, message: messageOf(error) } satisfies DumpAnswer)
  }
}

loadLibc()
tellLoaded()
const port = parentPort
if (port === null) throw new Error('conntrack-worker is a worker thread')
const { netns } = workerData as { readonly netns?: string }
if (netns !== undefined) enterNetns(netns)
port.on('message', (request: DumpRequest & { readonly id: number }) => answer(port, request))
