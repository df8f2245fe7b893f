// The kernel in memory, with one fault at a commit that a test chooses, and every state that packets could see noted.
//
// **Invariant:** a fault strikes once; `seen` holds the whole table after each commit that reached it, in order.
import type { CommitOutcome } from '../../src/kernel/kernel.ts'
import type { Transaction } from '../../src/nft/objects.ts'
import { render } from '../../src/nft/render.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { FakeKernel } from './fake-kernel.ts'

/** `killed`: nobody is there any more to hear the answer. */
export const FAULTS = ['refused', 'lost, applied', 'lost, dropped', 'killed, applied', 'killed, dropped'] as const
export type Fault = (typeof FAULTS)[number]

export class FaultyKernel extends FakeKernel {
  /** The table's text after each commit. */
  readonly seen: string[] = []
  #fault: Fault | null = null
  #commitsBefore = 0
  struck = false
  /** It takes nothing that adds or writes what this text is part of; what it holds already may go. */
  refusedContent: string | null = null

  /** Strikes after so many commits from now on. */
  plan(fault: Fault | null, commitsBefore = 0): void {
    this.#fault = fault
    this.#commitsBefore = commitsBefore
    this.struck = false
  }

  override async check(transaction: Transaction): Promise<CommitOutcome> {
    return this.#refusal(transaction) ?? super.check(transaction)
  }

  #refusal(transaction: Transaction): CommitOutcome | null {
    if (this.refusedContent === null) return null
    const operations = transaction.operations.filter(({ verb }) => !verb.startsWith('delete'))
    return render({ ...transaction, operations }).includes(this.refusedContent) ? { kind: 'refused', message: 'Could not process rule: Invalid argument' } : null
  }

  override async commit(transaction: Transaction): Promise<CommitOutcome> {
    const refusal = this.#refusal(transaction)
    if (refusal !== null) return refusal
    const fault = this.#commitsBefore-- > 0 ? null : this.#fault
    if (fault !== null) {
      this.#fault = null
      this.struck = true
    }
    if (fault === 'refused') return { kind: 'refused', message: 'Could not process rule: Cannot allocate memory' }
    if (fault === 'lost, dropped' || fault === 'lost, applied') this.loseNextAnswer(fault === 'lost, applied' ? 'applied' : 'dropped')
    if (fault !== 'killed, dropped') {
      const outcome = await super.commit(transaction)
      if (outcome.kind !== 'refused' && fault !== 'lost, dropped') this.seen.push(this.text(TABLE))
      if (fault !== 'killed, applied') return outcome
    }
    return new Promise<CommitOutcome>(() => undefined)
  }
}
