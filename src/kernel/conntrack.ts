// What conntrack knows of some networks, and which entries of UDP lead past a Service's endpoints, asked for from the main
// thread; a worker does the reading, and the deleting.
//
// **Invariant:** everything that is asked ends with `done` or with a reason, in the order in which it was asked, and within its
// deadline, counted from its turn; the caller never waits for the kernel.
import type { TransferListItem, Worker } from 'node:worker_threads'
import { AskedWorker } from './asked-worker.ts'
import { encodeNetworks, type Network } from './conntrack-flows.ts'
import type { ConntrackAnswer, ConntrackRequest } from './conntrack-worker.ts'
import { encodeServed, type ServedPort } from './served-ports.ts'

export type DumpEnd =
  /** Everything was told; `seen` counts the entries that the kernel told, wanted or not. */
  | { readonly kind: 'done'; readonly seen: number }
  /** What was told so far holds, more may be missing. */
  | { readonly kind: 'failed'; readonly message: string }

export interface Conntrack {
  /**
   * Tells the connections with ports (TCP, UDP, SCTP) of which an end is in `networks`: records for flowAt(), part by
   * part, some of them twice; says at the beginning where the table is long.
   */
  dump(networks: readonly Network[], onFlows: (flows: Uint8Array) => void, onLong?: () => void): Promise<DumpEnd>
  close(): Promise<void>
}

export type DeleteEnd =
  /** So many were still there. */
  | { readonly kind: 'done'; readonly deleted: number }
  /** Some may be deleted. */
  | { readonly kind: 'failed'; readonly message: string }

export interface StaleEntries {
  /** Tells the stale entries of UDP (served-ports.ts): records for staleFlowAt() and deleteStale(), part by part, some of them twice. */
  findStale(ports: readonly ServedPort[], onStale: (entries: Uint8Array<ArrayBuffer>) => void): Promise<DumpEnd>
  /** Deletes those that are still what they were. `entries` is handed over. */
  deleteStale(entries: Uint8Array<ArrayBuffer>): Promise<DeleteEnd>
}

/** Milliseconds: 262,144 entries take 0.6 s. */
const DEADLINE = 5_000

export class ConntrackReader implements Conntrack, StaleEntries {
  readonly #asked: AskedWorker<ConntrackRequest, ConntrackAnswer>
  readonly #deadline: number
  /** Ends when nothing that was asked before is under way. */
  #free: Promise<unknown> = Promise.resolve()

  /** `netns`: path of the network namespace, in place of the process's own. */
  constructor(netns?: string, deadline = DEADLINE) {
    this.#asked = new AskedWorker('conntrack-worker', netns)
    this.#deadline = deadline
  }

  async dump(networks: readonly Network[], onFlows: (flows: Uint8Array) => void, onLong?: () => void): Promise<DumpEnd> {
    const encoded = encodeNetworks(networks)
    const end = await this.#ask({ kind: 'dump', networks: encoded }, [encoded.buffer], onFlows, onLong)
    return end.kind === 'done' ? { kind: 'done', seen: end.count } : end
  }

  async findStale(ports: readonly ServedPort[], onStale: (entries: Uint8Array<ArrayBuffer>) => void): Promise<DumpEnd> {
    const encoded = encodeServed(ports)
    const end = await this.#ask({ kind: 'find', ports: encoded }, [encoded.buffer], onStale)
    return end.kind === 'done' ? { kind: 'done', seen: end.count } : end
  }

  async deleteStale(entries: Uint8Array<ArrayBuffer>): Promise<DeleteEnd> {
    const end = await this.#ask({ kind: 'delete', entries }, [entries.buffer])
    return end.kind === 'done' ? { kind: 'done', deleted: end.count } : end
  }

  close(): Promise<void> {
    return this.#asked.close()
  }

  /** For tests: what a crash looks like. */
  get worker(): Worker | null {
    return this.#asked.worker
  }

  #ask(request: ConntrackRequest, transfer: readonly TransferListItem[], onPart?: (records: Uint8Array<ArrayBuffer>) => void, onLong?: () => void): Promise<End> {
    const asked = this.#free.then(async (): Promise<End> => {
      let end: End | null = null
      const onAnswer = (answer: ConntrackAnswer): boolean => {
        if (answer.kind === 'long') onLong?.()
        else if (answer.kind === 'part') onPart?.(answer.records)
        else end = answer
        return end !== null
      }
      const lost = await this.#asked.ask(request, { deadline: this.#deadline, transfer, onAnswer })
      return lost === null && end !== null ? end : { kind: 'failed', message: lost ?? 'no answer' }
    })
    this.#free = asked.catch(() => undefined)
    return asked
  }
}

type End = { readonly kind: 'done'; readonly count: number } | { readonly kind: 'failed'; readonly message: string }
