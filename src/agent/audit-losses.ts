// What was lost on the way to a record, gathered: one record a second for each stage, whatever is lost meanwhile.
//
// **Invariant:** every packet that is added is told once, and the times span all that is told.
import type { LostPackets } from '../audit/logged-flow.ts'
import type { Clock } from '../lib/clock.ts'

type Stage = LostPackets['stage']

const INTERVAL_MS = 1_000

export class AuditLosses {
  readonly #clock: Clock
  readonly #tell: (lost: LostPackets) => void
  readonly #waiting = new Map<Stage, LostPackets>()
  readonly #totals: Record<Stage, number> = { kernel: 0, queue: 0 }
  #cancel: (() => void) | null = null
  /** By the clock's now(); -Infinity: never. */
  #lastAt = -Infinity
  #toldAt = -Infinity

  constructor(clock: Clock, tell: (lost: LostPackets) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  /** Since the start, by stage. */
  get totals(): Readonly<Record<Stage, number>> {
    return { ...this.#totals }
  }

  /** Milliseconds since something was lost; Infinity: nothing was. */
  get since(): number {
    return this.#clock.now() - this.#lastAt
  }

  add(lost: LostPackets): void {
    if (lost.count <= 0) return
    this.#totals[lost.stage] += lost.count
    this.#lastAt = this.#clock.now()
    const before = this.#waiting.get(lost.stage)
    this.#waiting.set(lost.stage, before === undefined ? lost : { ...lost, count: before.count + lost.count, first: Math.min(before.first, lost.first), last: Math.max(before.last, lost.last) })
    if (this.#cancel !== null) return
    this.#cancel = this.#clock.after(Math.max(0, this.#toldAt + INTERVAL_MS - this.#lastAt), () => this.flush())
  }

  /** Tells what waits. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = null
    this.#toldAt = this.#clock.now()
    for (const lost of this.#waiting.values()) this.#tell(lost)
    this.#waiting.clear()
  }
}
