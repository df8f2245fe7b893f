// The thread that listens to nf_tables' notifications: enters the namespace, opens the socket, folds what comes.
//
// It blocks in receive for all of its life, so it takes no messages: `control` is how it is spoken to. Now and then it asks how
// many commits there were, so that one which nobody told of is noticed too.
// **Invariant:** it ends within 200 ms of being told to; whatever was not read is told as a doubt; the queue was empty
// at the moment that `sinceMs` goes back to.
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../lib/clock.ts'
import { WorkerControl } from '../lib/worker-control.ts'
import { tellLoaded } from '../lib/workers.ts'
import { enterNetns, loadLibc } from '../netlink/libc.ts'
import { decodeMessages } from '../netlink/messages.ts'
import { decodeNftables, generationRequest, NETLINK_NETFILTER } from '../netlink/nftables.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { NoticeFold, type DoubtPost, type NoticePost } from './notice-fold.ts'

export interface NoticesWorkerData {
  /** Path of the network namespace; null for the process's own. */
  readonly netns: string | null
  readonly family: string
  readonly table: string
  readonly receiveBufferBytes: number
  /** NFTABLES_GROUP; 0 hears nothing, for tests. */
  readonly groups: number
  /** Of the WorkerControl of whoever started the worker. */
  readonly control: SharedArrayBuffer
}

/** `listening` once, first: from then on nothing is missed. */
export type NoticesPost = { readonly kind: 'listening' } | NoticePost | DoubtPost

const TIMEOUT_MS = 100
/** Twice that, and the reading back, stay below the 5 s in which a change is noticed. */
const COUNT_MS = 1_500
const ANSWER_BYTES = 64 * 1024
/** Of datagrams: the answer is one. */
const MOST_ANSWERS = 4

function listen(data: NoticesWorkerData, post: (post: NoticesPost) => void): void {
  if (data.netns !== null) enterNetns(data.netns)
  const { receiveBufferBytes, groups } = data
  const socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, groups, receiveBufferBytes, timeoutMs: TIMEOUT_MS })
  const counter = new CommitCounter()
  const control = new WorkerControl(data.control)
  const fold = new NoticeFold(data.family, data.table, systemClock.now(), post)
  try {
    let empty = systemClock.now()
    let asked = empty
    /** What the kernel said, until everything that it had told by then is read. */
    let count = counter.ask()
    post({ kind: 'listening' })
    while (!control.stopped()) {
      const before = systemClock.now()
      let received = socket.receive(false)
      if (received.kind === 'nothing') {
        empty = before
        if (count !== null) fold.counted(count, asked, before)
        const due = before - asked >= COUNT_MS
        count = due ? counter.ask() : null
        if (due) asked = before
        received = socket.receive(count === null)
      }
      if (received.kind === 'datagram') fold.datagram(received.bytes, systemClock.now(), empty)
      else if (received.kind === 'lost') fold.lost(received.reason, systemClock.now(), empty)
    }
  } finally {
    socket.close()
    counter.close()
  }
}

/** Asks the kernel how many commits there were. */
class CommitCounter {
  readonly #socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, groups: 0, receiveBufferBytes: ANSWER_BYTES, timeoutMs: TIMEOUT_MS })
  #sequence = 0

  /** Null where it does not say. */
  ask(): number | null {
    this.#socket.send(generationRequest(++this.#sequence))
    for (let i = 0; i < MOST_ANSWERS; i++) {
      const received = this.#socket.receive(true)
      if (received.kind !== 'datagram') return null
      for (const message of decodeMessages(received.bytes)) {
        const answer = message.sequence === this.#sequence ? decodeNftables(message) : null
        if (answer?.kind === 'end') return answer.generation
      }
    }
    return null
  }

  close(): void {
    this.#socket.close()
  }
}

loadLibc()
tellLoaded()
const port = parentPort
if (port === null) throw new Error('notices-worker is a worker thread')
listen(workerData as NoticesWorkerData, (post) => port.postMessage(post))
