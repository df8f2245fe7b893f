// Planted bugs of `picket status --wait`: what would let it end too early, or never.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const WAIT_MUTANTS: readonly Mutant[] = [
  { title: 'wait: an older generation will do', file: 'status/verdict.ts', search: 'status.policyGeneration < generation', replace: 'false', caughtBy: 'statusWait' },
  { title: 'wait: what was deleted is gone', file: 'status/wait.ts', search: 'order !== null && order <= 0', replace: 'true', caughtBy: 'statusWait' },
  { title: 'wait: versions are compared as text', file: 'lib/versions.ts', search: 'if (a.length !== b.length) return a.length - b.length', replace: '', caughtBy: 'statusPast' },
  { title: 'wait: only one node is asked for what was deleted', file: 'status/wait.ts', search: 'new Set(this.#nodes.keys())', replace: "new Set(['n1'])", caughtBy: 'statusWait' },
  { title: 'wait: the past need not be known', file: 'status/wait.ts', search: "new Set(['policy', 'told', 'node', 'past'])", replace: "new Set(['policy', 'told', 'past'])", caughtBy: 'statusWait' },
  { title: 'wait: a policy that is deleted is waited for', file: 'status/wait.ts', search: '    this.#live.delete(uid)\n    this.#policies.delete(uid)', replace: '    this.#live.delete(uid)', caughtBy: 'statusWait' },
  { title: 'wait: the past ends where the list begins', file: 'status/past.ts', search: "if (version !== null && isOlder(until, version)) return 'over'", replace: '', caughtBy: 'statusPast' },
]
