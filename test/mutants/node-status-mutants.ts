// Planted bugs of what an agent tells of its node: what is observed, what fails, how long edits took, what is worth a write.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const NODE_STATUS_MUTANTS: readonly Mutant[] = [
  { title: 'node status: a turn that took nothing in observes what waits', file: 'agent/node-enforcement.ts', search: 'if (drained) this.#watermarks.drained(revision)', replace: 'this.#watermarks.drained(revision)', caughtBy: 'nodeStatus' },
  { title: 'node status: what is wanted counts as held', file: 'agent/watermarks.ts', search: '(one) => one.revision <= revision', replace: '(one) => one.revision <= revision + 1', caughtBy: 'watermarks' },
  { title: 'node status: a resource that is listed anew is forgotten', file: 'agent/watermarks.ts', search: '...(before?.versions ?? this.#observed), ', replace: '', caughtBy: 'watermarks' },
  { title: 'node status: versions of what waits for a turn are told', file: 'agent/node-enforcement.ts', search: '!turns.inbox.hasWork && this.#held !== 0', replace: 'this.#held !== 0', caughtBy: 'nodeStatus' },
  { title: 'node status: problems come after what is held', file: 'agent/committer.ts', search: '    this.#tellProblems(trouble)\n    this.#options.onHeld({ revision: this.#held, ...done })', replace: '    this.#options.onHeld({ revision: this.#held, ...done })\n    void trouble', caughtBy: 'nodeStatus' },
  { title: 'node status: what the kernel refuses is committed', file: 'agent/local-policies.ts', search: 'if (isRefused) this.#waiting', replace: 'if (false) this.#waiting', caughtBy: 'nodeStatus' },
  { title: 'node status: a label is a new generation', file: 'agent/local-policies.ts', search: 'if (this.#said.get(uid) === generation) return\n', replace: '', caughtBy: 'nodeStatus' },
  { title: 'node status: a list is an arrival', file: 'agent/local-policies.ts', search: 'this.#said.set(uid, decoded.row.generation)\n      } else', replace: 'this.#note(uid, decoded.row.generation, now)\n      } else', caughtBy: 'nodeStatus' },
  { title: 'node status: what is told with no latency is not written', file: 'agent/local-policies.ts', search: 'if (!one.isRefused) this.changes += 1', replace: 'if (!one.isRefused && one.at !== null) this.changes += 1', caughtBy: 'nodeStatus' },
  { title: 'node status: edits from before a start are not written', file: 'agent/node-enforcement.ts', search: "before.ruleset?.hash.split('-')[1] === this.#policies.hash(this.#gone.here())", replace: 'true', caughtBy: 'nodeStatus' },
  { title: 'node status: the end of a policy is told only where it selected a pod', file: 'agent/gone-policies.ts', search: 'namespace === null || this.#hasPods(namespace)', replace: 'false', caughtBy: 'gonePolicies' },
  { title: 'node status: the end of a policy is told before the kernel has it', file: 'agent/gone-policies.ts', search: 'if (revision <= this.#held) this', replace: 'if (true) this', caughtBy: 'gonePolicies' },
  { title: 'node status: what a restore took back still counts', file: 'agent/node-enforcement.ts', search: "isOlder(now, told['networkpolicies'])", replace: 'false', caughtBy: 'nodeStatus' },
  { title: 'node status: pods that wait for a refused commit are as before', file: 'agent/pod-states.ts', search: 'if (stuck) for (const', replace: 'if (false) for (const', caughtBy: 'nodeStatus' },
  { title: 'node status: policies far away are failures', file: 'agent/node-failures.ts', search: 'policy.name === name && plan.profiles.isUsing(policy.uid)', replace: 'policy.name === name', caughtBy: 'nodeStatus' },
  { title: 'node status: hints are failures', file: 'agent/node-failures.ts', search: "if (problem.severity !== 'error') continue\n", replace: '', caughtBy: 'nodeStatus' },
  { title: 'node status: a failure begins anew with each look', file: 'agent/node-failures.ts', search: 'this.#since.get(refKey(one.ref)) ?? now', replace: 'now', caughtBy: 'nodeStatus' },
  { title: 'node status: a moment is a failure', file: 'agent/lasting.ts', search: 'const LASTING_MS = 3_000', replace: 'const LASTING_MS = 0', caughtBy: 'nodeStatus' },
  { title: 'node status: a pod that ends is a failure', file: 'agent/lasting.ts', search: 'if (pod !== null && isEnding(pod)) return false\n', replace: '', caughtBy: 'nodeStatus' },
  { title: "node status: a refused commit is nobody's", file: 'agent/node-enforcement.ts', search: 'refusal: committer()?.refusal ?? null', replace: 'refusal: null', caughtBy: 'nodeStatus' },
  { title: 'node status: a table that leaks is intact', file: 'agent/node-conditions.ts', search: "return said('False', 'PacketsLeaked', message)", replace: "return said('True', 'PacketsProve', message)", caughtBy: 'nodeStatus' },
  { title: 'node status: a conflict is a failure', file: 'report/node-object.ts', search: 'if (!isOther || isAgain) throw error', replace: 'throw error', caughtBy: 'nodeStatus' },
  { title: 'node status: it is written over what others wrote', file: 'report/node-object.ts', search: 'metadata: { name: node.name, uid, resourceVersion }, status', replace: 'metadata: { name: node.name, uid }, status', caughtBy: 'nodeStatus' },
  { title: 'node status: an object that is gone stays gone', file: 'agent/node-enforcement.ts', search: '      this.#parts.object.forget()\n      this.#lookIn(0)\n      this.#readAgain()', replace: '      this.#readAgain()', caughtBy: 'nodeStatus' },
  { title: 'node status: a lost answer ends failures', file: 'agent/node-enforcement.ts', search: 'this.#isUnknown() ? bothOf(found, this.#failing) : found', replace: 'found', caughtBy: 'nodeStatus' },
]
