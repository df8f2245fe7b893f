// The thread that listens to nf_tables' notifications: enters the namespace, opens the socket, folds what comes.
//
// It blocks in receive for all of its life, so it takes no messages: `control` is how it is spoken to.
// **Invariant:** it ends within 200 ms of being told to; whatever was not read is told as a doubt; the queue was empty
// at the moment that `sinceMs` goes back to.
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../lib/clock.ts'
import { WorkerControl } from '../lib/worker-control.ts'
import { tellLoaded } from '../lib/workers.ts'
import { enterNetns, loadLibc } from '../netlink/libc.ts'
import { NETLINK_NETFILTER, NFTABLES_GROUP } from '../netlink/nftables.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { NoticeFold, type DoubtPost, type NoticePost } from './notice-fold.ts'

export interface NoticesWorkerData {
  /** Path of the network namespace; null for the process's own. */
  readonly netns: string | null
  readonly family: string
  readonly table: string
  readonly receiveBufferBytes: number
  /** Of the WorkerControl of whoever started the worker. */
  readonly control: SharedArrayBuffer
}

/** `listening` once, first: from then on nothing is missed. */
export type NoticesPost = { readonly kind: 'listening' } | NoticePost | DoubtPost

const TIMEOUT_MS = 100

function listen(data: NoticesWorkerData, post: (post: NoticesPost) => void): void {
  if (data.netns !== null) enterNetns(data.netns)
  const { receiveBufferBytes } = data
  const socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, groups: NFTABLES_GROUP, receiveBufferBytes, timeoutMs: TIMEOUT_MS })
  const control = new WorkerControl(data.control)
  const fold = new NoticeFold(data.family, data.table, post)
  try {
    post({ kind: 'listening' })
    let empty = systemClock.now()
    while (!control.stopped()) {
      const before = systemClock.now()
      let received = socket.receive(false)
      if (received.kind === 'nothing') {
        empty = before
        received = socket.receive(true)
      }
      if (received.kind === 'datagram') fold.datagram(received.bytes, systemClock.now() - empty)
      else if (received.kind === 'lost') fold.lost(received.reason, systemClock.now() - empty)
    }
  } finally {
    socket.close()
  }
}

loadLibc()
tellLoaded()
const port = parentPort
if (port === null) throw new Error('notices-worker is a worker thread')
listen(workerData as NoticesWorkerData, (post) => port.postMessage(post))
