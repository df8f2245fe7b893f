// What conntrack knows of some networks, asked for from the main thread; a worker does the reading.
//
// **Invariant:** every dump ends within its deadline with `done` or with a reason; the caller never waits for the kernel.
import type { Worker } from 'node:worker_threads'
import { AskedWorker } from './asked-worker.ts'
import { encodeNetworks, type Network } from './conntrack-flows.ts'
import type { DumpAnswer, DumpRequest } from './conntrack-worker.ts'

export type DumpEnd =
  /** Everything was told; `seen` counts the entries that the kernel told, wanted or not. */
  | { readonly kind: 'done'; readonly seen: number }
  /** What was told so far holds, more may be missing. */
  | { readonly kind: 'failed'; readonly message: string }

export interface Conntrack {
  /**
   * Tells the connections with ports (TCP, UDP, SCTP) of which an end is in `networks`: records for flowAt(), part by
   * part, some of them twice; says at the beginning where the table is long. One dump at a time.
   */
  dump(networks: readonly Network[], onFlows: (flows: Uint8Array) => void, onLong?: () => void): Promise<DumpEnd>
  close(): Promise<void>
}

/** Milliseconds: 262,144 entries take 0.6 s. */
const DEADLINE = 5_000

export class ConntrackReader implements Conntrack {
  readonly #asked: AskedWorker<DumpRequest, DumpAnswer>
  readonly #deadline: number

  /** `netns`: path of the network namespace, in place of the process's own. */
  constructor(netns?: string, deadline = DEADLINE) {
    this.#asked = new AskedWorker('conntrack-worker', netns)
    this.#deadline = deadline
  }

  async dump(networks: readonly Network[], onFlows: (flows: Uint8Array) => void, onLong?: () => void): Promise<DumpEnd> {
    const encoded = encodeNetworks(networks)
    let end: DumpEnd | null = null
    const onAnswer = (answer: DumpAnswer): boolean => {
      if (answer.kind === 'long') onLong?.()
      else if (answer.kind === 'flows') onFlows(answer.flows)
      else end = answer
      return end !== null
    }
    const lost = await this.#asked.ask({ networks: encoded }, { deadline: this.#deadline, transfer: [encoded.buffer], onAnswer })
    return lost === null && end !== null ? end : { kind: 'failed', message: lost ?? 'no answer' }
  }

  close(): Promise<void> {
    return this.#asked.close()
  }

  /** For tests: what a crash looks like. */
  get worker(): Worker | null {
    return this.#asked.worker
  }
}
