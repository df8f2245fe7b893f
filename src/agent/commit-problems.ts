// What the committer says to people when the kernel does not hold what it should.
//
// **Invariant:** each names what is at fault as closely as is known, and says what is in force meanwhile.
import type { Problem } from '../lib/problem.ts'
import type { Owner } from '../model/owner.ts'

const NAMED_OWNERS = 5

/** Refused whoever is closed. */
export function commitRefused(message: string, owners: readonly Owner[]): Problem {
  return {
    code: 'CommitRefused',
    severity: 'error',
    object: owners.length > 0 ? owners.slice(0, NAMED_OWNERS).join(', ') : 'the ruleset',
    message: `the kernel refused a change: ${message}; what it held before stays in force, and the change is tried again`,
  }
}

export function sweepRefused(message: string): Problem {
  return {
    code: 'NotSwept',
    severity: 'warning',
    object: 'the ruleset',
    message: `the kernel refused to delete what is no longer used: ${message}; policies are in force, and it is tried again`,
  }
}

export function kernelUnknown(message: string): Problem {
  return {
    code: 'KernelUnknown',
    severity: 'error',
    object: 'the ruleset',
    message: `${message}; what the kernel holds stays in force, it is read back and tried again`,
  }
}
