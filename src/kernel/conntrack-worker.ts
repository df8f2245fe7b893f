// The thread that reads conntrack: networks in, the connections of those networks out, in parts as they are found; or the UDP ports
// of Services in, stale entries out; or those in, and they are deleted.
//
// The kernel needs 0.3 us to pass over an entry and 2 us to tell it (Linux 6.18). So for few IPv4 addresses in a long table
// the kernel filters, one pass for each address and side; else it tells everything once.
// **Invariant:** each request ends with `done` or `failed`; the kernel's table is only read, but for entries of UDP that lead past
// the endpoints of a Service.
import { readFileSync } from 'node:fs'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { messageOf } from '../lib/errors.ts'
import { tellLoaded } from '../lib/workers.ts'
import type { DumpScope } from '../netlink/conntrack.ts'
import { enterNetns, loadLibc } from '../netlink/libc.ts'
import { FlowCollector, NetworkFilter, singleAddresses } from './conntrack-flows.ts'
import { readConntrack } from './conntrack-pass.ts'
import { deleteStale, findStale } from './stale-pass.ts'

export type ConntrackRequest =
  | { readonly kind: 'dump'; readonly networks: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'find'; readonly ports: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'delete'; readonly entries: Uint8Array<ArrayBuffer> }

export type ConntrackAnswer =
  /** First, where it will take some time. */
  | { readonly kind: 'long'; readonly id: number }
  /** Flows, or stale entries. */
  | { readonly kind: 'part'; readonly id: number; readonly records: Uint8Array<ArrayBuffer> }
  /** Entries that the kernel told, or that it deleted. */
  | { readonly kind: 'done'; readonly id: number; readonly count: number }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string }

/** With so many IPv4 addresses at most, and so many entries at least, filtering is quicker than reading everything. */
const FEW_ADDRESSES = 1
const LONG_TABLE = 5_000

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

function dump(networks: Uint8Array, isLong: boolean, tell: (flows: Uint8Array<ArrayBuffer>) => void): number {
  const collector = new FlowCollector(new NetworkFilter(networks))
  for (const scope of passesFor(networks, isLong)) {
    readConntrack(scope, collector, () => {
      if (!collector.isEmpty) tell(collector.take())
    })
  }
  return collector.seen
}

function answer(port: MessagePort, request: ConntrackRequest & { readonly id: number }): void {
  const { id } = request
  const say = (one: ConntrackAnswer, transfer: readonly ArrayBuffer[] = []): void => port.postMessage(one, transfer)
  const part = (records: Uint8Array<ArrayBuffer>): void => say({ kind: 'part', id, records }, [records.buffer])
  const count = (): number => {
    if (request.kind === 'find') return findStale(request.ports, part)
    if (request.kind === 'delete') return deleteStale(request.entries)
    const isLong = entryCount() >= LONG_TABLE
    if (isLong) say({ kind: 'long', id })
    return dump(request.networks, isLong, part)
  }
  try {
    say({ kind: 'done', id, count: count() })
  } catch (error) {
    say({ kind: 'failed', id, message: messageOf(error) })
  }
}

loadLibc()
tellLoaded()
const port = parentPort
if (port === null) throw new Error('conntrack-worker is a worker thread')
const { netns } = workerData as { readonly netns?: string }
if (netns !== undefined) enterNetns(netns)
port.on('message', (request: ConntrackRequest & { readonly id: number }) => answer(port, request))
