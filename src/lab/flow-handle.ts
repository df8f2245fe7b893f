// A flow as its opener holds it: the worker that carries it does the work.
//
// **Invariant:** after stop() the numbers stay what they were then.
import { PicketError } from '../lib/errors.ts'
import type { FlowSpec } from './messages.ts'
import type { Flow, FlowStats } from './testbed.ts'
import type { WorkerClient } from './worker-client.ts'

export class WorkerFlow implements Flow {
  readonly #worker: WorkerClient
  readonly #number: number
  #final: Promise<FlowStats> | null = null

  private constructor(worker: WorkerClient, number: number) {
    this.#worker = worker
    this.#number = number
  }

  /** `number`: unique. Rejects with a PicketError where a TCP connection does not come about. */
  static async open(worker: WorkerClient, number: number, spec: FlowSpec): Promise<Flow> {
    if (!(spec.packetsPerSecond >= 1 && spec.packetsPerSecond <= 10_000)) {
      throw new PicketError('InvalidFlow', `packetsPerSecond ${spec.packetsPerSecond}: expected 1 to 10000`)
    }
    await worker.request({ kind: 'open-flow', flow: number, spec })
    return new WorkerFlow(worker, number)
  }

  stats(): Promise<FlowStats> {
    return this.#final ?? this.#worker.request({ kind: 'flow-stats', flow: this.#number })
  }

  stop(): Promise<FlowStats> {
    this.#final ??= this.#worker.request({ kind: 'stop-flow', flow: this.#number })
    return this.#final
  }
}
