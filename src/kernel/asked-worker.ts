// A worker thread that is asked one thing at a time: a request in, one answer or several out.
//
// States: no worker -> live -> (deadline over or worker gone: the request is lost) -> no worker; the next request starts one.
// **Invariant:** every request ends within its deadline; at most one worker lives, so nothing that was asked earlier
// can be done later than what was asked afterwards.
import type { TransferListItem, Worker } from 'node:worker_threads'
import { messageOf } from '../lib/errors.ts'
import { spawnWorker, type WorkerName } from '../lib/workers.ts'
import { within } from './runner.ts'

export interface Asking<Answer> {
  /** Milliseconds. */
  readonly deadline: number
  readonly transfer?: readonly TransferListItem[]
  /** Told each answer, in order; true: it was the last. */
  readonly onAnswer: (answer: Answer) => boolean
}

export const STILL_HANGS = 'the worker that was lost before still hangs'

export class AskedWorker<Request extends object, Answer extends { readonly id: number }> {
  readonly #name: WorkerName
  readonly #netns: string | undefined
  #worker: Worker | null = null
  #leaving: Promise<unknown> = Promise.resolve()
  #listener: { readonly answer: (answer: Answer) => void; readonly gone: (message: string) => void } | null = null
  #ids = 0
  #closed = false

  /** `netns`: path of the network namespace, in place of the process's own. It starts now, for the first request to be quick. */
  constructor(name: WorkerName, netns?: string) {
    this.#name = name
    this.#netns = netns
    this.#worker = this.#start()
  }

  /** Null once the last answer was told; else why it never will be. One at a time. */
  async ask(request: Request, { deadline, transfer = [], onAnswer }: Asking<Answer>): Promise<string | null> {
    const until = performance.now() + deadline
    if (!(await this.left(deadline))) return STILL_HANGS
    if (this.#closed) return 'closed'
    const worker = (this.#worker ??= this.#start())
    const id = ++this.#ids
    const ended = new Promise<string>((resolve) => {
      this.#listener = {
        answer: (answer) => {
          if (answer.id === id && onAnswer(answer)) resolve('')
        },
        gone: (message) => resolve(`the ${this.#name} ended: ${message}`),
      }
    })
    worker.postMessage({ ...request, id }, transfer)
    const end = await within(ended, until - performance.now())
    this.#listener = null
    if (end === '') return null
    this.#abandon()
    return end ?? `no answer within ${deadline} ms`
  }

  /** Whether a worker that was lost is gone for good, at the latest after so many milliseconds. */
  async left(deadline: number): Promise<boolean> {
    return (await within(this.#leaving.then(() => true), deadline)) !== null
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
    const worker = spawnWorker(this.#name, { workerData: { netns: this.#netns } })
    const gone = (message: string): void => {
      if (this.#worker !== worker) return
      this.#worker = null
      this.#listener?.gone(message)
    }
    worker.on('message', (answer: Answer) => {
      if (this.#worker === worker) this.#listener?.answer(answer)
    })
    worker.once('error', (error) => gone(messageOf(error)))
    worker.once('exit', (code) => gone(`exit status ${code}`))
    return worker
  }

  #abandon(): void {
    const worker = this.#worker
    this.#worker = null
    this.#listener?.gone('closed')
    // A thread inside a call of the kernel ends when that returns.
    if (worker !== null) this.#leaving = worker.terminate()
  }
}
