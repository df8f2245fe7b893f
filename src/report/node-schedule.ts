// When a node writes its own status: at once after a time of rest, otherwise when that time is over, once for all that came meanwhile.
//
// "With N nodes, a node writes when a failure begins or ends, a policy that selects its own pods is committed, or a count changed: at
// once if its last write is max(5 s, N/30 s) old, else when that time is over (coalesced); a watermark alone never causes a write."
// **Invariant:** between the beginnings of two writes that were taken lies at least that time; one write is on its way at most.
import { Backoff } from '../kube/backoff.ts'
import { ApiFailure } from '../kube/failures.ts'
import type { Clock } from '../lib/clock.ts'

/** `watermark`: only what was observed moved on, such as resource versions; the next write tells it. */
export type NodeChange = 'failure' | 'policy' | 'count' | 'watermark'

export interface NodeScheduleOptions {
  readonly clock: Clock
  /** [0, 1) */
  readonly random: () => number
  /** Of the status as it is at this moment. False: it was as it should be, and nothing was written. */
  readonly write: (signal: AbortSignal) => Promise<boolean>
  readonly onTrouble?: (message: string | null) => void
}

const SHORTEST_MS = 5_000
/** Writes a second of all nodes together. */
const ALL_NODES_PER_S = 30
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 60_000

/** Milliseconds between two writes of one node. */
export function restMs(nodes: number): number {
  return Math.max(SHORTEST_MS, (nodes / ALL_NODES_PER_S) * 1000)
}

export class NodeSchedule {
  readonly #options: NodeScheduleOptions
  readonly #stop = new AbortController()
  readonly #backoff: Backoff
  #nodes = 1
  /** Something is to be written. */
  #changed = false
  #writing: Promise<void> | null = null
  /** When the last write began that was taken. */
  #lastAt = -Infinity
  /** After a failure. */
  #notBefore = -Infinity
  #cancel: () => void = () => {}

  constructor(options: NodeScheduleOptions) {
    this.#options = options
    this.#backoff = new Backoff(FIRST_RETRY_MS, LONGEST_RETRY_MS, options.random)
  }

  /** How many there are in the cluster. */
  nodes(count: number): void {
    this.#nodes = count
    this.#look()
  }

  change(what: NodeChange): void {
    if (what === 'watermark') return
    this.#changed = true
    this.#look()
  }

  /** Resolves when nothing is on its way any more. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('closed'))
    this.#cancel()
    await this.#writing
  }

  #look(): void {
    this.#cancel()
    if (!this.#changed || this.#writing !== null || this.#stop.signal.aborted) return
    const { clock } = this.#options
    const waitMs = Math.max(this.#lastAt + restMs(this.#nodes), this.#notBefore) - clock.now()
    if (waitMs <= 0) this.#writing = this.#write()
    else this.#cancel = clock.after(waitMs, () => this.#look())
  }

  async #write(): Promise<void> {
    const { clock, write, onTrouble } = this.#options
    const began = clock.now()
    this.#changed = false
    try {
      if (await write(this.#stop.signal)) this.#lastAt = began
      this.#backoff.reset()
      onTrouble?.(null)
    } catch (error) {
      this.#changed = true
      const asked = error instanceof ApiFailure ? error.retryAfterMs : null
      this.#notBefore = clock.now() + Math.max(this.#backoff.next(), asked ?? 0)
      if (!this.#stop.signal.aborted) onTrouble?.(error instanceof Error ? error.message : String(error))
    }
    this.#writing = null
    this.#look()
  }
}
