// What conntrack knows of some networks, asked for from the main thread; a worker does the reading.
//
// States: no worker -> live, one dump at a time -> (deadline over or worker gone: the dump failed) -> no worker.
// **Invariant:** every dump ends within its deadline with `done` or with a reason; the caller never waits for the kernel.
import type { Worker } from 'node:worker_threads'
import { messageOf } from '../lib/errors.ts'
import { spawnWorker } from '../lib/workers.ts'
import { encodeNetworks, type Network } from './conntrack-flows.ts'
import type { DumpAnswer, DumpRequest } from './conntrack-worker.ts'
import { within } from './runner.ts'

export type DumpEnd =
  /** Everything was told; `seen` counts the entries that the kernel told, wanted or not. */
  | { readonly kind: 'done'; readonly seen: number }
  /** What was told so far holds, more may be missing. */
  | { readonly kind: 'failed'; readonly message: string }

export interface Conntrack {
  /**
   * Tells the connections with ports (TCP, UDP, SCTP) of which an end is in `networks`: records for flowAt(), part by
   * part, some of them twice. One dump at a time.
   */
  dump(networks: readonly Network[], onFlows: (flows: Uint8Array) => void): Promise<DumpEnd>
  close(): Promise<void>
}

type Answer = DumpAnswer | { readonly kind: 'gone'; readonly message: string }

/** Milliseconds: 262,144 entries take 0.6 s. */
const DEADLINE = 5_000

export class ConntrackReader implements Conntrack {
  readonly #netns: string | undefined
  readonly #deadline: number
  #worker: Worker | null = null
  #leaving: Promise<unknown> = Promise.resolve()
  #answer: ((answer: Answer) => void) | null = null
  #ids = 0
  #closed = false

  /** `netns`: path of the network namespace, in place of the process's own. The worker starts now, for the first dump to be quick. */
  constructor(netns?: string, deadline = DEADLINE) {
    this.#netns = netns
    this.#deadline = deadline
    this.#worker = this.#start()
  }

  async dump(networks: readonly Network[], onFlows: (flows: Uint8Array) => void): Promise<DumpEnd> {
    const until = performance.now() + this.#deadline
    if ((await within(this.#leaving.then(() => true), this.#deadline)) === null) return failed('the worker that was lost before still hangs')
    if (this.#closed) return failed('closed')
    const worker = (this.#worker ??= this.#start())
    const request: DumpRequest = { id: ++this.#ids, networks: encodeNetworks(networks) }
    const ended = new Promise<Exclude<Answer, { kind: 'flows' }>>((resolve) => {
      this.#answer = (answer) => {
        if (answer.kind !== 'gone' && answer.id !== request.id) return
        if (answer.kind === 'flows') onFlows(answer.flows)
        else resolve(answer)
      }
    })
    worker.postMessage(request, [request.networks.buffer])
    const end = await within(ended, until - performance.now())
    this.#answer = null
    if (end?.kind === 'done') return { kind: 'done', seen: end.seen }
    if (end?.kind === 'failed') return failed(end.message)
    this.#abandon()
    return failed(end === null ? `no answer within ${this.#deadline} ms` : `the conntrack worker ended: ${end.message}`)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#abandon()
    await this.#leaving
  }

  /** For tests: what a crash looks like. */
  get worker(): Worker | null {
    return this.#worker
  }

  #start(): Worker {
    const worker = spawnWorker('conntrack-worker', { workerData: { netns: this.#netns } })
    const gone = (message: string): void => {
      if (this.#worker !== worker) return
      this.#worker = null
      this.#answer?.({ kind: 'gone', message })
    }
    worker.on('message', (answer: DumpAnswer) => {
      if (this.#worker === worker) this.#answer?.(answer)
    })
    worker.once('error', (error) => gone(messageOf(error)))
    worker.once('exit', (code) => gone(`exit status ${code}`))
    return worker
  }

  #abandon(): void {
    const worker = this.#worker
    this.#worker = null
    this.#answer?.({ kind: 'gone', message: 'closed' })
    // A thread inside a receive ends when that returns.
    if (worker !== null) this.#leaving = worker.terminate()
  }
}

function failed(message: string): DumpEnd {
  return { kind: 'failed', message }
}
