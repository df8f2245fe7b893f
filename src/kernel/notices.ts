// Who else changes our table: starts the thread that listens, and starts it again where it ends.
//
//   nf_tables -> notices-worker (folds) -> here -> TextKernel (leaves out our own commits) -> committer (reads back)
//
// **Invariant:** between `listening` and close() every commit of anybody that names the table is told, or a doubt is:
// a thread that ends is a doubt, and so is whatever happened until the next one listens.
import type { Worker } from 'node:worker_threads'
import type { Clock } from '../lib/clock.ts'
import { messageOf, PicketError } from '../lib/errors.ts'
import { WorkerControl } from '../lib/worker-control.ts'
import { spawnWorker } from '../lib/workers.ts'
import { NFTABLES_GROUP } from '../netlink/nftables.ts'
import type { Table } from '../nft/objects.ts'
import type { DoubtPost, NoticePost } from './notice-fold.ts'
import type { NoticesPost, NoticesWorkerData } from './notices-worker.ts'

export interface NoticesOptions {
  readonly table: Table
  readonly netns?: string
  readonly clock: Clock
  readonly onPost: (post: NoticePost | DoubtPost) => void
  /** Bytes of notifications that the kernel keeps until they are read. */
  readonly receiveBufferBytes?: number
  /** Of notifications; 0 hears none, for tests. */
  readonly groups?: number
}

/** A commit of ten thousand rules is some 5 MB of notifications. */
const RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024
const START_DEADLINE_MS = 15_000
const CLOSE_DEADLINE_MS = 1_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 10_000

export class Notices {
  /** Rejects with a PicketError where the first thread cannot listen. */
  readonly started: Promise<void>
  readonly #options: NoticesOptions
  #start: { readonly resolve: () => void; readonly reject: (error: Error) => void } | null = null
  #worker: Worker | null = null
  #control = new WorkerControl()
  #listening = false
  #lostAt: number | null = null
  #pause = FIRST_PAUSE_MS
  #cancelTimer: () => void = () => {}
  #closed = false

  constructor(options: NoticesOptions) {
    this.#options = options
    this.started = new Promise((resolve, reject) => (this.#start = { resolve, reject }))
    this.#startWorker()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTimer()
    if (this.#worker !== null) await endWorker(this.#worker, this.#control, this.#options.clock)
    this.#worker = null
  }

  #startWorker(): void {
    const { table, netns, clock, receiveBufferBytes = RECEIVE_BUFFER_BYTES, groups = NFTABLES_GROUP } = this.#options
    this.#control = new WorkerControl()
    this.#listening = false
    const { family, name } = table
    const workerData: NoticesWorkerData = { netns: netns ?? null, family, table: name, receiveBufferBytes, groups, control: this.#control.buffer }
    const worker = spawnWorker('notices-worker', { workerData })
    this.#worker = worker
    worker.on('message', (post: NoticesPost) => this.#receive(worker, post))
    worker.on('error', (error) => this.#lost(worker, messageOf(error)))
    worker.on('exit', () => this.#lost(worker, 'the thread ended by itself'))
    this.#cancelTimer = clock.after(START_DEADLINE_MS, () => this.#lost(worker, `no answer within ${START_DEADLINE_MS} ms`))
  }

  #receive(worker: Worker, post: NoticesPost): void {
    if (this.#closed || worker !== this.#worker) return
    if (post.kind !== 'listening') return this.#options.onPost(post)
    this.#listening = true
    this.#cancelTimer()
    this.#pause = FIRST_PAUSE_MS
    this.#start?.resolve()
    this.#start = null
    if (this.#lostAt === null) return
    this.#options.onPost({ kind: 'doubt', reason: 'the thread that listens was started again', sinceMs: this.#options.clock.now() - this.#lostAt })
    this.#lostAt = null
  }

  #lost(worker: Worker, message: string): void {
    if (this.#closed || worker !== this.#worker) return
    const { clock } = this.#options
    this.#worker = null
    this.#cancelTimer()
    void endWorker(worker, this.#control, clock)
    if (this.#start !== null) {
      this.#closed = true
      this.#start.reject(new PicketError('NoNotifications', `cannot listen to the notifications of nf_tables: ${message}`))
      return
    }
    // What it had read and not posted is lost with it.
    if (this.#listening) this.#lostAt ??= clock.now() - CLOSE_DEADLINE_MS
    this.#cancelTimer = clock.after(this.#pause, () => this.#startWorker())
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS)
  }
}

/** Tells it to stop, which it sees within its receive's timeout, and ends it by force where it does not. */
async function endWorker(worker: Worker, control: WorkerControl, clock: Clock): Promise<void> {
  control.stop()
  const cancel = clock.after(CLOSE_DEADLINE_MS, () => void worker.terminate())
  await new Promise<void>((resolve) => (worker.threadId === -1 ? resolve() : worker.once('exit', () => resolve())))
  cancel()
}
