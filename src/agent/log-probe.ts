// Whether this kernel can log: asked once, before anything is compiled, since one log rule would have the whole table refused.
//
// **Invariant:** the kernel judges a table of our making and keeps nothing of it.
import type { Kernel } from '../kernel/kernel.ts'
import { messageOf } from '../lib/errors.ts'
import type { Problem } from '../lib/problem.ts'
import type { Transaction } from '../nft/objects.ts'

/** Null where it can; else why not. Never throws. */
export async function whyItCannotLog(kernel: Pick<Kernel, 'check'>, group: number): Promise<string | null> {
  const rules = [`log prefix "picket/probe" group ${group} snaplen 128 queue-threshold 64`]
  const transaction: Transaction = {
    table: { family: 'inet', name: 'picket-log-probe' },
    step: 'stage',
    createsTable: true,
    operations: [{ verb: 'add', object: { kind: 'chain', name: 'probe', rules }, owners: [] }],
  }
  try {
    const outcome = await kernel.check(transaction)
    return outcome.kind === 'acknowledged' ? null : outcome.message
  } catch (error) {
    return messageOf(error)
  }
}

export function cannotLog(nodeName: string, why: string): Problem {
  return Object.freeze({
    code: 'CannotLog',
    severity: 'warning',
    object: `node ${nodeName}`,
    message: `the kernel takes no log rule (${why}): what is denied or allowed is enforced and counted, and nothing of it is logged; load the module nfnetlink_log and start the agent again`,
  })
}
