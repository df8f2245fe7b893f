// The thread that reads NFLOG: takes the group, aggregates what comes, and posts batches as far as the other side follows.
//
// Where that side stalls it reads on: entries go on counting, and what needs more keys than there may be is counted as lost.
// **Invariant:** posts that are not credited are bounded; it ends within 200 ms of being told to; the first packet of a key is
// posted within 200 ms of the kernel's logging it, where the other side follows.
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads'
import { systemClock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import { tellLoaded } from '../lib/workers.ts'
import { enterNetns, loadLibc } from '../netlink/libc.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import { Aggregate } from './aggregate.ts'
import { BatchWriter } from './batches.ts'
import { bindGroup, DATAGRAM_WAIT_MS, Refusal } from './bind-group.ts'
import type { LostPackets } from './logged-flow.ts'
import { SharedWords } from './shared-words.ts'

export interface NflogWorkerData {
  readonly group: number
  /** Path of the network namespace; null for the process's own. */
  readonly netns: string | null
  readonly receiveBufferBytes: number
  readonly windowMs: number
  readonly mostKeys: number
  /** Of SharedWords. */
  readonly words: SharedArrayBuffer
}

/** Addresses that others have now: their bytes in hexadecimal, separated by blanks; `*` for all. */
export type NflogRequest = string

export type NflogPost =
  | { readonly kind: 'reading' }
  /** The thread ends behind this. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  /** `packets`: the sum of the flows' counts. To be credited. */
  | { readonly kind: 'batch'; readonly batch: ArrayBuffer; readonly packets: number; readonly lost: readonly LostPackets[] }
  /** All that had come when so many flushes were asked for is told. */
  | { readonly kind: 'flushed'; readonly flushes: number }

const NETLINK_NETFILTER = 12
const RECEIVE_TIMEOUT_MS = 100
const MOST_ENTRIES = 2_048
const MOST_OUTSTANDING = 16
/** Between two posts, so that new keys of a flood come together. */
const LEAST_PAUSE_MS = 20
/** Under a flood the socket is never empty; a flush waits no longer for that. */
const LONGEST_DRAIN_MS = 500

class Reading {
  readonly #socket: NetlinkSocket
  readonly #words: SharedWords
  readonly #aggregate: Aggregate
  readonly #writer = new BatchWriter()
  readonly #post: (post: NflogPost, transfer: ArrayBuffer[]) => void
  readonly #port: MessagePort
  #messages = 0
  #posted = 0
  #postedAt = -Infinity
  #flushes = 0
  /** Of a flush that is asked for and not done: since when. */
  #flushing: { readonly asked: number; readonly since: number } | null = null

  constructor(socket: NetlinkSocket, data: NflogWorkerData, words: SharedWords, port: MessagePort) {
    this.#socket = socket
    this.#words = words
    this.#aggregate = new Aggregate(data)
    this.#port = port
    this.#post = (post, transfer) => port.postMessage(post, transfer)
  }

  run(): void {
    let wait = false
    while (!this.#words.stopped()) {
      const received = this.#socket.receive(wait)
      const now = systemClock.now()
      wait = false
      if (received.kind === 'datagram') {
        this.#aggregate.datagram(received.bytes, now, systemClock.wallTime())
        this.#words.setTaken(this.#aggregate.taken)
      }
      const empty = received.kind === 'nothing'
      this.#noticeFlush(now)
      if (this.#words.messages() !== this.#messages) this.#takeMessages()
      if (this.#flushing !== null && this.#isDrained(this.#flushing.since, now, empty)) wait = !this.#flush(this.#flushing.asked, now)
      else if (now - this.#postedAt >= LEAST_PAUSE_MS) wait = !this.#tell(now) && empty
      else wait = empty
    }
  }

  #noticeFlush(now: number): void {
    const asked = this.#words.flushesAsked()
    if (asked !== this.#flushes) this.#flushing = { asked, since: this.#flushing?.since ?? now }
    this.#flushes = asked
  }

  #takeMessages(): void {
    this.#messages = this.#words.messages()
    const addresses = new Set<string>()
    let isAll = false
    for (let got = receiveMessageOnPort(this.#port); got !== undefined; got = receiveMessageOnPort(this.#port)) {
      const request = got.message as NflogRequest
      if (request === '*') isAll = true
      else for (const one of request.split(' ')) addresses.add(Buffer.from(one, 'hex').toString('latin1'))
    }
    this.#aggregate.cut(isAll ? null : addresses)
  }

  /** The kernel holds packets back until a datagram is full, for a while. */
  #isDrained(since: number, now: number, empty: boolean): boolean {
    const waited = now - since
    return (empty && waited >= 2 * DATAGRAM_WAIT_MS) || waited >= LONGEST_DRAIN_MS
  }

  /** True where there is more to do at once. */
  #flush(asked: number, now: number): boolean {
    while (this.#hasCredit()) {
      const entries = this.#aggregate.tellAll(now, MOST_ENTRIES, (entry) => this.#writer.add(entry))
      this.#postBatch(now, this.#aggregate.takeLost(now, true))
      if (entries === MOST_ENTRIES) continue
      this.#flushing = null
      this.#post({ kind: 'flushed', flushes: asked }, [])
      return true
    }
    return false
  }

  /** True where something was posted. */
  #tell(now: number): boolean {
    if (!this.#hasCredit()) return false
    this.#aggregate.tell(now, MOST_ENTRIES, (entry) => this.#writer.add(entry))
    return this.#postBatch(now, this.#aggregate.takeLost(now, false))
  }

  #hasCredit(): boolean {
    return ((this.#posted - this.#words.credited()) | 0) < MOST_OUTSTANDING
  }

  #postBatch(now: number, lost: readonly LostPackets[]): boolean {
    const { packets } = this.#writer
    if (packets === 0 && lost.length === 0) return false
    const batch = this.#writer.take()
    this.#posted++
    this.#postedAt = now
    this.#post({ kind: 'batch', batch, packets, lost }, [batch])
    return true
  }
}

function read(data: NflogWorkerData, port: MessagePort): void {
  if (data.netns !== null) enterNetns(data.netns)
  const words = new SharedWords(data.words)
  const socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, groups: 0, receiveBufferBytes: data.receiveBufferBytes, timeoutMs: RECEIVE_TIMEOUT_MS, quietLosses: true })
  words.setDescriptor(socket.descriptor)
  try {
    const reading = new Reading(socket, data, words, port)
    bindGroup(socket, data.group)
    port.postMessage({ kind: 'reading' } satisfies NflogPost)
    reading.run()
  } finally {
    if (words.takeDescriptor() !== null) socket.close()
  }
}

loadLibc()
tellLoaded()
const port = parentPort
if (port === null) throw new Error('nflog-worker is a worker thread')
try {
  read(workerData as NflogWorkerData, port)
} catch (error) {
  const code = error instanceof Refusal ? error.code : 'AuditReaderFailed'
  const message = error instanceof Refusal ? error.message : `the thread that reads NFLOG group ${(workerData as NflogWorkerData).group} failed: ${messageOf(error)}`
  port.postMessage({ kind: 'refused', code, message } satisfies NflogPost)
}
