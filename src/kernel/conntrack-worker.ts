// The thread that reads conntrack: networks in, the connections of those networks out, in parts as they are found; or the UDP ports
// of Services in, stale entries out; or those in, and they are deleted.
//
// **Invariant:** each request ends with `done` or `failed`; the kernel's table is only read, but for entries of UDP that lead past
// the endpoints of a Service.
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { messageOf } from '../lib/errors.ts'
import { tellLoaded } from '../lib/workers.ts'
import { enterNetns, loadLibc } from '../netlink/libc.ts'
import { findFlows } from './flow-pass.ts'
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

function answer(port: MessagePort, request: ConntrackRequest & { readonly id: number }): void {
  const { id } = request
  const say = (one: ConntrackAnswer, transfer: readonly ArrayBuffer[] = []): void => port.postMessage(one, transfer)
  const part = (records: Uint8Array<ArrayBuffer>): void => say({ kind: 'part', id, records }, [records.buffer])
  const count = (): number => {
    if (request.kind === 'find') return findStale(request.ports, part)
    if (request.kind === 'delete') return deleteStale(request.entries)
    return findFlows(request.networks, part, () => say({ kind: 'long', id }))
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
