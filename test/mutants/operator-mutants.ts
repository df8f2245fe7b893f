// Planted bugs of the operator: what it takes for silence, what it deletes, when it keeps quiet, and how it ends.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const OPERATOR_MUTANTS: readonly Mutant[] = [
  { title: 'operator: the deletion of the one before takes the name', file: 'operator/named.ts', search: 'before !== undefined && this.#rows.get(before)?.uid === uid', replace: 'before !== undefined', caughtBy: 'operatorNamed' },
  { title: 'operator: a pod that goes was unready for as long as it was ready', file: 'operator/resources.ts', search: '{ isReady: false, since: leaving }', replace: '{ ...ready, isReady: false }', caughtBy: 'operatorReadiness' },
  { title: 'operator: one agent in a roll-out is not enough', file: 'operator/readiness.ts', search: 'Number(a.isReady) - Number(b.isReady)', replace: 'Number(b.isReady) - Number(a.isReady)', caughtBy: 'operatorReadiness' },
  { title: 'operator: the end of a Node is that of its successor', file: 'operator/readiness.ts', search: 'if (held.size === 0) this.#named.delete(name)', replace: 'if (node === null) this.#named.delete(name)', caughtBy: 'operatorReadiness' },
  { title: 'operator: a step before the statuses are read', file: 'operator/view.ts', search: 'this.#unsynced.size === 0 && this.#inbox', replace: 'this.#inbox', caughtBy: 'operatorView' },
  { title: 'operator: what a list leaves out is kept', file: 'operator/view.ts', search: 'left.forEach((key) => set(key, null))', replace: 'undefined', caughtBy: 'operatorView' },
  { title: 'operator: an agent goes before its successor has come', file: 'operator/view.ts', search: "if (event.kind !== 'agent') takeAway()", replace: 'takeAway()', caughtBy: 'operatorView' },
  { title: 'operator: a takeover forgets who was silent', file: 'operator/view.ts', search: 'if (!this.#hasStepped) this.#takeOver()', replace: '', caughtBy: 'operatorTerm' },
  { title: 'operator: orphans are what we take for them', file: 'operator/enforcements.ts', search: 'if (owner === null || (uid', replace: 'if (true || owner === null || (uid', caughtBy: 'operatorWrites' },
  { title: 'operator: a policy made anew is believed to be the newer one', file: 'operator/enforcements.ts', search: "if (one.action === 'delete') {", replace: "if (one.action === 'delete' && one.body === null) {", caughtBy: 'operatorWrites' },
  { title: 'operator: NodeEnforcements are made', file: 'operator/enforcements.ts', search: "if (one.action === 'create') throw", replace: "if (false) throw", caughtBy: 'operatorWrites' },
  { title: 'operator: a warning about the server is a cut', file: 'operator/term.ts', search: "return severity === 'error'", replace: "return severity !== 'hint'", caughtBy: 'operatorTerm' },
  { title: 'operator: a watch that fails cuts nothing off', file: 'operator/term.ts', search: 'quiet.lost(clock.now())', replace: '', caughtBy: 'operatorTerm' },
  { title: 'operator: what goes silent is no news', file: 'operator/silence.ts', search: 'if (this.#isOpen) this.#quiet.silent(node, now)', replace: '', caughtBy: 'operatorSilence' },
  { title: 'operator: who was silent when it came is news', file: 'operator/silence.ts', search: 'if (this.#isOpen) ', replace: '', caughtBy: 'operatorSilence' },
  { title: 'operator: silence outlives the term', file: 'operator/silence.ts', search: 'for (const node of this.#silent) this.#quiet.heard(node)', replace: '', caughtBy: 'operatorSilence' },
  { title: 'operator: a former leader goes on', file: 'operator/term.ts', search: 'mayWrite: () => leads() && !this.#isDone', replace: 'mayWrite: () => !this.#isDone', caughtBy: 'operatorTerm' },
  { title: 'operator: it ends before what it began', file: 'operator/term.ts', search: 'if (this.#isDone) await source.close()\n    else this.#source = source', replace: 'this.#source = source', caughtBy: 'operatorTerm' },
  { title: 'operator: who waited through an outage saw it', file: 'operator/operator.ts', search: 'if (isBack || this.#clock', replace: 'if (false && this.#clock', caughtBy: 'operatorLeading' },
  { title: 'operator: a mistake ends all terms', file: 'operator/operator.ts', search: 'if (this.#term === null && this.#leader.leads()) this.#open()', replace: '', caughtBy: 'operatorLeading' },
  { title: 'operator: a mistake is made again at once', file: 'operator/operator.ts', search: 'this.#cancelAgain = this.#clock.after(pauseMs, ', replace: 'this.#cancelAgain = this.#clock.after(0, ', caughtBy: 'operatorLeading' },
]
