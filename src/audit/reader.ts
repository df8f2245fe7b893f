// The main thread's side of the reader of NFLOG: starts the thread that reads, hands on what it posts, starts it again.
//
//   kernel -> nflog-worker (aggregates) -> here -> records
//
// **Invariant:** each packet that a thread took is handed on once, in a flow or in a loss, even where the thread ends by
// itself; opening never throws, and whatever fails is tried again until close().
import type { Worker } from 'node:worker_threads'
import type { Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import { RetryPause } from '../lib/retry-pause.ts'
import { spawnWorker } from '../lib/workers.ts'
import { bytesOf, familyOf, toBits, type Address } from '../model/ip.ts'
import { close as closeDescriptor } from '../netlink/libc.ts'
import { flowsIn } from './batches.ts'
import type { LoggedFlow, LostPackets } from './logged-flow.ts'
import type { NflogPost, NflogRequest, NflogWorkerData } from './nflog-worker.ts'
import { SharedWords } from './shared-words.ts'

export type ReaderState = { readonly kind: 'reading' } | { readonly kind: 'failed'; readonly code: string; readonly message: string }

export interface ReaderOptions {
  /** The NFLOG group, 1 to 65535. */
  readonly group: number
  readonly clock: Clock
  /** `flows` may be gone through later too, and more than once. */
  readonly onFlows: (flows: Iterable<LoggedFlow>) => void
  /** At most once a second for each stage. */
  readonly onLost: (lost: LostPackets) => void
  /** At each change; codes are AuditGroupTaken, AuditReaderFailed and AuditReaderEnded. */
  readonly onState: (state: ReaderState) => void
  /** Path of the network namespace; the process's own without it. */
  readonly netns?: string
  /** For tests; as below. */
  readonly receiveBufferBytes?: number
  readonly windowMs?: number
  readonly mostKeys?: number
  /** Milliseconds between two tries to take a group that another program has. */
  readonly takenPauseMs?: number
}

export interface AuditReader {
  /** No flow is handed on behind its call, and what was taken by then counts as lost; resolves when the group is free again. */
  close(): Promise<void>
  /** Ends all windows: resolves when everything that the kernel had logged is handed on, or nobody reads. */
  flush(): Promise<void>
  /** Others have these addresses now: within some 100 ms, what was counted of flows from and to them is handed on, and not told together with what comes. */
  cut(addresses: readonly Address[]): void
}

const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024
const WINDOW_MS = 5_000
/** Some 20 MB of them. */
const MOST_KEYS = 32_768
const START_DEADLINE_MS = 15_000
const CLOSE_DEADLINE_MS = 1_000
const FLUSH_DEADLINE_MS = 5_000
/** Beyond, all flows are cut: to write that many addresses would keep the main thread. */
const MOST_CUT = 256
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 10_000

export function openReader(options: ReaderOptions): AuditReader {
  return new Reader(options)
}

class Reader implements AuditReader {
  readonly #options: ReaderOptions
  readonly #pause = new RetryPause(FIRST_PAUSE_MS, LONGEST_PAUSE_MS)
  #worker: Worker | null = null
  #words = new SharedWords()
  #isReading = false
  #handedOn = 0
  #lastBatchAt: number
  #state: ReaderState | null = null
  #flushes: { readonly number: number; readonly done: () => void }[] = []
  #cancelTimer: () => void = () => {}
  #closed = false

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#lastBatchAt = options.clock.wallTime()
    this.#start()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelTimer()
    const worker = this.#worker
    this.#worker = null
    this.#endFlushes(Infinity)
    if (worker === null) return
    await this.#end(worker, this.#words)
    this.#settle()
  }

  async flush(): Promise<void> {
    if (this.#worker === null || !this.#isReading) return
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(FLUSH_DEADLINE_MS, resolve)
      const done = (): void => {
        cancel()
        resolve()
      }
      this.#flushes.push({ number: this.#words.askForFlush(), done })
    })
  }

  cut(addresses: readonly Address[]): void {
    if (this.#worker === null || !this.#isReading || addresses.length === 0) return
    const hex = (one: Address): string => Buffer.from(bytesOf(familyOf(one), toBits(one))).toString('hex')
    this.#worker.postMessage((addresses.length > MOST_CUT ? '*' : addresses.map(hex).join(' ')) satisfies NflogRequest)
    this.#words.sent()
  }

  #start(): void {
    const { group, netns = null, clock, receiveBufferBytes = RECEIVE_BUFFER_BYTES, windowMs = WINDOW_MS, mostKeys = MOST_KEYS } = this.#options
    this.#words = new SharedWords()
    this.#isReading = false
    this.#handedOn = 0
    this.#lastBatchAt = clock.wallTime()
    const workerData: NflogWorkerData = { group, netns, receiveBufferBytes, windowMs, mostKeys, words: this.#words.buffer }
    let worker: Worker
    try {
      worker = spawnWorker('nflog-worker', { workerData })
    } catch (error) {
      return this.#fail('AuditReaderFailed', `cannot start the thread that reads NFLOG: ${messageOf(error)}`)
    }
    this.#worker = worker
    worker.on('message', (post: NflogPost) => this.#receive(worker, post))
    worker.on('error', (error) => this.#ended(worker, 'AuditReaderEnded', `the thread that reads NFLOG ended: ${messageOf(error)}`))
    worker.on('exit', () => this.#ended(worker, 'AuditReaderEnded', 'the thread that reads NFLOG ended by itself; it is started again'))
    this.#cancelTimer = clock.after(START_DEADLINE_MS, () => this.#ended(worker, 'AuditReaderFailed', `the thread that reads NFLOG did not start within ${START_DEADLINE_MS} ms`))
  }

  #receive(worker: Worker, post: NflogPost): void {
    if (worker !== this.#worker) return
    switch (post.kind) {
      case 'reading':
        this.#isReading = true
        this.#cancelTimer()
        return this.#tell({ kind: 'reading' })
      case 'batch':
        return this.#handOn(post)
      case 'flushed':
        return this.#endFlushes(post.flushes)
      case 'refused':
        return this.#ended(worker, this.#isReading ? 'AuditReaderEnded' : post.code, post.message)
    }
  }

  #handOn({ batch, packets, lost }: NflogPost & { readonly kind: 'batch' }): void {
    this.#pause.reset()
    this.#handedOn += packets
    this.#lastBatchAt = this.#options.clock.wallTime()
    try {
      if (packets > 0) this.#options.onFlows(flowsIn(batch))
    } finally {
      for (const one of lost) {
        this.#handedOn += one.count
        this.#options.onLost(one)
      }
      this.#words.credit()
    }
  }

  #endFlushes(upTo: number): void {
    const ended = this.#flushes.filter(({ number }) => number <= upTo)
    this.#flushes = this.#flushes.filter(({ number }) => number > upTo)
    for (const { done } of ended) done()
  }

  /** By itself, or it cannot read. What it had taken and not posted is lost with it. */
  #ended(worker: Worker, code: string, message: string): void {
    if (worker !== this.#worker) return
    const words = this.#words
    this.#worker = null
    this.#cancelTimer()
    void this.#end(worker, words)
    this.#settle()
    this.#endFlushes(Infinity)
    this.#fail(code, message)
  }

  /** What the thread took and did not hand on. */
  #settle(): void {
    const { clock, onLost } = this.#options
    const count = (this.#words.taken() - this.#handedOn) >>> 0
    if (count > 0) onLost({ stage: 'queue', count, first: this.#lastBatchAt, last: clock.wallTime() })
  }

  #fail(code: string, message: string): void {
    const pause = code === 'AuditGroupTaken' ? (this.#options.takenPauseMs ?? LONGEST_PAUSE_MS) : this.#pause.next()
    this.#cancelTimer = this.#options.clock.after(pause, () => this.#start())
    this.#tell({ kind: 'failed', code, message })
  }

  #tell(state: ReaderState): void {
    const before = this.#state
    if (before?.kind === 'failed' && state.kind === 'failed' && before.code === state.code && before.message === state.message) return
    this.#state = state
    this.#options.onState(state)
  }

  /** Tells it to stop, which it sees within its receive's timeout, and ends it by force where it does not. */
  async #end(worker: Worker, words: SharedWords): Promise<void> {
    words.stop()
    const cancel = this.#options.clock.after(CLOSE_DEADLINE_MS, () => void worker.terminate())
    await new Promise<void>((resolve) => (worker.threadId === -1 ? resolve() : worker.once('exit', () => resolve())))
    cancel()
    // A thread that was ended by force left its socket open, and with it the group taken.
    const descriptor = words.takeDescriptor()
    if (descriptor !== null) closeDescriptor(descriptor)
  }
}
