// The main thread's side of a lab worker: requests become promises.
//
// **Invariant:** each request settles exactly once; a worker that dies fails all that is open and all that comes later.
import type { Worker } from 'node:worker_threads'
import { PicketError } from '../lib/errors.ts'
import { spawnWorker } from '../lib/workers.ts'
import type { WorkerAnswer, WorkerRequest, WorkerValue } from './messages.ts'

interface Waiting {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

export class WorkerClient {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1
  #dead: Error | null = null

  /** `restingNetns`: path of a namespace without routes, where the thread is while it makes no sockets. */
  constructor(restingNetns: string) {
    // Not this process's own options for Node: some (--input-type, --eval) are for its entry alone.
    this.#worker = spawnWorker('lab-pod-worker', { workerData: { restingNetns }, execArgv: [] })
    this.#worker.on('message', (answer: WorkerAnswer) => this.#settle(answer))
    this.#worker.on('error', (error) => this.#die(error instanceof Error ? error : new Error(String(error))))
    this.#worker.on('exit', () => this.#die(new PicketError('LabClosed', 'the lab was closed')))
  }

  /** Rejects with a PicketError that carries the worker's own words. */
  request<R extends WorkerRequest>(request: R): Promise<WorkerValue[R['kind']]> {
    if (this.#dead !== null) return Promise.reject(this.#dead)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, request })
    })
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }

  #settle(answer: WorkerAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if ('error' in answer) waiting?.reject(new PicketError('LabFailed', answer.error))
    else waiting?.resolve(answer.value as never)
  }

  #die(error: Error): void {
    this.#dead ??= error
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
  }
}
