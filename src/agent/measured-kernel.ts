// The kernel, with a stopwatch: how long each commit took and what came of it, and whether a request is stuck.
//
// Every request ends within its deadline, by the kernel's own promise; one that does not is what liveness looks for.
// **Invariant:** what the kernel answers is passed on as it is.
import type { CommitOutcome, Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import type { Table, Transaction } from '../nft/objects.ts'

/** Milliseconds; `table` by its family and name. */
export type OnCommit = (table: Table, outcome: CommitOutcome['kind'], ms: number) => void

export class MeasuredKernel implements Kernel {
  readonly #kernel: Kernel
  readonly #clock: Clock
  readonly #onCommit: OnCommit
  /** Requests that are under way: since when. */
  readonly #pending = new Set<{ readonly since: number }>()

  constructor(kernel: Kernel, clock: Clock, onCommit: OnCommit) {
    this.#kernel = kernel
    this.#clock = clock
    this.#onCommit = onCommit
  }

  get description(): string {
    return this.#kernel.description
  }

  /** Milliseconds that the oldest request has been under way; 0 for none. */
  get oldestRequest(): number {
    const [oldest] = this.#pending
    return oldest === undefined ? 0 : this.#clock.now() - oldest.since
  }

  async commit(transaction: Transaction): Promise<CommitOutcome> {
    const since = this.#clock.now()
    const outcome = await this.#during(this.#kernel.commit(transaction))
    this.#onCommit(transaction.table, outcome.kind, this.#clock.now() - since)
    return outcome
  }

  check(transaction: Transaction): ReturnType<Kernel['check']> {
    return this.#during(this.#kernel.check(transaction))
  }

  readBack(table: Table): ReturnType<Kernel['readBack']> {
    return this.#during(this.#kernel.readBack(table))
  }

  deleteTable(table: Table): ReturnType<Kernel['deleteTable']> {
    return this.#during(this.#kernel.deleteTable(table))
  }

  changeElements(...args: Parameters<Kernel['changeElements']>): ReturnType<Kernel['changeElements']> {
    return this.#during(this.#kernel.changeElements(...args))
  }

  takeElements(...args: Parameters<Kernel['takeElements']>): ReturnType<Kernel['takeElements']> {
    return this.#during(this.#kernel.takeElements(...args))
  }

  sweepClients(...args: Parameters<Kernel['sweepClients']>): ReturnType<Kernel['sweepClients']> {
    return this.#during(this.#kernel.sweepClients(...args))
  }

  readCounters(table: Table): ReturnType<Kernel['readCounters']> {
    return this.#during(this.#kernel.readCounters(table))
  }

  flowtables(): ReturnType<Kernel['flowtables']> {
    return this.#during(this.#kernel.flowtables())
  }

  watch(...args: Parameters<Kernel['watch']>): ReturnType<Kernel['watch']> {
    return this.#kernel.watch(...args)
  }

  close(): Promise<void> {
    return this.#kernel.close()
  }

  async #during<T>(request: Promise<T>): Promise<T> {
    const entry = { since: this.#clock.now() }
    this.#pending.add(entry)
    try {
      return await request
    } finally {
      this.#pending.delete(entry)
    }
  }
}
