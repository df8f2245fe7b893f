// The thread that listens to rtnetlink: enters the namespace, opens the socket, posts what comes (rtnetlink-stream.ts).
//
// It blocks in receive for all of its life, so it takes no messages: `control` is how it is spoken to.
// **Invariant:** it ends within 200 ms of being told to, and the socket is closed however it ends.
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../lib/clock.ts'
import { tellLoaded } from '../lib/workers.ts'
import { enterNetns, loadLibc } from '../netlink/libc.ts'
import { NETLINK_ROUTE, ROUTE_GROUPS } from '../netlink/route.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { RtnetlinkStream } from './rtnetlink-stream.ts'
import type { StreamPost } from './rtnetlink-stream.ts'
import { WorkerControl } from '../lib/worker-control.ts'

export interface RtnetlinkWorkerData {
  /** Path of the network namespace; null for the process's own. */
  readonly netns: string | null
  readonly receiveBufferBytes: number
  /** Of the WorkerControl of whoever started the worker. */
  readonly control: SharedArrayBuffer
}

const TIMEOUT_MS = 100

function listen(data: RtnetlinkWorkerData, post: (post: StreamPost) => void): void {
  const { netns, receiveBufferBytes } = data
  if (netns !== null) enterNetns(netns)
  const socket = new NetlinkSocket({ protocol: NETLINK_ROUTE, groups: ROUTE_GROUPS, receiveBufferBytes, timeoutMs: TIMEOUT_MS })
  try {
    new RtnetlinkStream(socket, receiveBufferBytes, new WorkerControl(data.control), systemClock, post).run()
  } finally {
    socket.close()
  }
}

loadLibc()
tellLoaded()
const port = parentPort
if (port === null) throw new Error('rtnetlink-worker is a worker thread')
listen(workerData as RtnetlinkWorkerData, (post) => {
  port.postMessage(post, post.kind === 'events' ? [post.events.buffer] : [post.dump.buffer, post.during.buffer])
})
