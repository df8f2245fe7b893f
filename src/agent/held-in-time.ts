// Whether the kernel follows what is planned: what load balancers hear as healthy, by kube-proxy's measure.
//
// As kube-proxy has it, a node is healthy while nothing that is planned waits for longer than twice its sync period.
// **Invariant:** before the kernel held the first whole ruleset it is not healthy, however short that took so far.
import type { Clock } from '../lib/clock.ts'
import type { Revision } from '../model/changes.ts'

/** kube-proxy's: twice 30 s. */
const LONGEST_MS = 60_000

export class HeldInTime {
  readonly #clock: Clock
  #planned: Revision = 0
  #held: Revision = -1
  /** When the kernel came to lag behind, or last came nearer; null while it does not. */
  #waitsSince: number | null = null
  #updatedAt: number | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  planned(revision: Revision): void {
    this.#planned = revision
    if (revision > this.#held) this.#waitsSince ??= this.#clock.now()
  }

  held(revision: Revision): void {
    this.#held = revision
    this.#updatedAt = this.#clock.wallTime()
    this.#waitsSince = this.#planned > revision ? this.#clock.now() : null
  }

  get isHealthy(): boolean {
    return this.#updatedAt !== null && (this.#waitsSince === null || this.#clock.now() - this.#waitsSince <= LONGEST_MS)
  }

  /** Milliseconds since 1970, when the kernel last took something; null: never yet. */
  get updatedAt(): number | null {
    return this.#updatedAt
  }
}
