// Runs nft text in process: libnftables, in a worker of its own. The main thread only ever waits.
//
// States: no worker -> starting -> ready, one request at a time -> (lost: deadline over or worker gone) -> no worker.
// A lost worker's request ends as `lost` at once; the next request first waits until that worker is really gone.
// **Invariant:** at most one worker lives, so nothing that was sent earlier can land later.
import type { Worker } from 'node:worker_threads'
import { messageOf } from '../lib/errors.ts'
import { spawnWorker } from '../lib/workers.ts'
import { STILL_HANGS } from './asked-worker.ts'
import type { WorkerAnswer, WorkerRequest } from './libnftables-worker.ts'
import { OwnPorts, within, type Run, type RunResult, type Runner } from './runner.ts'

interface Live {
  readonly worker: Worker
  /** Resolves when the worker is gone. */
  readonly gone: Promise<string>
  /** The answer to the request that is under way, or why there will be none. */
  answer: ((answer: WorkerAnswer | { readonly kind: 'gone'; readonly message: string }) => void) | null
}

export class LibnftablesRunner implements Runner {
  readonly #netns: string | undefined
  #live: Live | null = null
  #leaving: Promise<unknown> = Promise.resolve()
  #ids = 0
  readonly #ports = new OwnPorts()

  constructor(netns?: string) {
    this.#netns = netns
  }

  async run(run: Run): Promise<RunResult> {
    const end = performance.now() + run.deadline
    const left = (): number => end - performance.now()
    if ((await within(this.#leaving.then(() => true), left())) === null) return lost(STILL_HANGS)
    if (this.#live === null) {
      const started = await this.#start(left())
      if (started !== null) return lost(started)
    }
    const live = this.#live as Live | null
    if (live === null) return lost('the worker went away')
    const request: WorkerRequest = { id: ++this.#ids, text: run.text, mode: run.mode }
    const answer = await this.#ask(live, request, left())
    if (answer?.kind === 'done' || answer?.kind === 'failed') return { kind: answer.kind, output: answer.output }
    this.#abandon(live)
    return lost(answer?.kind === 'gone' ? `the libnftables worker ended: ${answer.message}` : `no answer from libnftables within ${run.deadline} ms`)
  }

  isOwnPort(port: number): boolean {
    return this.#ports.has(port)
  }

  /** Ends the worker; what is under way is answered as lost. */
  async close(): Promise<void> {
    if (this.#live !== null) this.#abandon(this.#live)
    await this.#leaving
  }

  /** For tests: what a crash looks like. */
  get worker(): Worker | null {
    return this.#live?.worker ?? null
  }

  /** Null once the library is loaded, else why it is not. */
  async #start(deadline: number): Promise<string | null> {
    const worker = spawnWorker('libnftables-worker', { workerData: { netns: this.#netns } })
    const gone = new Promise<string>((resolve) => {
      worker.once('error', (error) => resolve(messageOf(error)))
      worker.once('exit', (code) => resolve(`exit status ${code}`))
    })
    const live: Live = { worker, gone, answer: null }
    this.#live = live
    worker.on('message', (answer: WorkerAnswer) => {
      if (answer.kind === 'done' || answer.kind === 'failed') this.#ports.add(answer.ports)
      live.answer?.(answer)
    })
    void gone.then((message) => {
      if (this.#live === live) this.#live = null
      live.answer?.({ kind: 'gone', message })
    })
    const answer = await this.#ask(live, null, deadline)
    if (answer?.kind === 'ready') return null
    this.#abandon(live)
    if (answer === null) return `libnftables did not start within ${Math.round(deadline)} ms`
    return answer.kind === 'unusable' || answer.kind === 'gone' ? answer.message : 'libnftables gave an answer out of turn'
  }

  /** Sends `request` (null: only listens) and waits for one answer; null when the deadline is over. */
  async #ask(live: Live, request: WorkerRequest | null, deadline: number): Promise<Parameters<NonNullable<Live['answer']>>[0] | null> {
    const answered = new Promise<Parameters<NonNullable<Live['answer']>>[0]>((resolve) => {
      live.answer = resolve
    })
    if (request !== null) live.worker.postMessage(request)
    const answer = await within(answered, deadline)
    live.answer = null
    return answer
  }

  #abandon(live: Live): void {
    if (this.#live === live) this.#live = null
    live.answer?.({ kind: 'gone', message: 'closed' })
    // A thread inside a library call ends only when that call returns.
    this.#leaving = live.worker.terminate()
  }
}

function lost(message: string): RunResult {
  return { kind: 'lost', message }
}
