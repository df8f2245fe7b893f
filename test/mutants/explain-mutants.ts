// Planted bugs of `picket explain`: what would let it answer otherwise than the packets, or believe a node that it did not ask.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const EXPLAIN_MUTANTS: readonly Mutant[] = [
  { title: 'explain: the source\'s policies are not asked', file: 'explain/explain.ts', search: "egress.kind === 'denied' || ingress.kind === 'denied'", replace: "ingress.kind === 'denied'", caughtBy: 'explain' },
  { title: 'explain: policies see the Service\'s port', file: 'explain/explain.ts', search: 'destination: address, protocol, port }', replace: 'destination: address, protocol, port: called?.port ?? port }', caughtBy: 'explain' },
  { title: 'explain: the endpoint sees the client, masqueraded or not', file: 'explain/route.ts', search: 'entry.masquerade ? this.#masqueraded(call, slot, entrance) : source.address', replace: 'source.address', caughtBy: 'explainServices' },
  { title: 'explain: one of several answers is enough', file: 'explain/answer.ts', search: "all.every((one) => one === 'allowed')", replace: "all.some((one) => one === 'allowed')", caughtBy: 'explain' },
  { title: 'explain: a node that judges otherwise has programmed it', file: 'explain/halves.ts', search: 'if (gist(there) !== gist(half))', replace: 'if (there.kind !== half.kind)', caughtBy: 'explainAgents' },
  { title: 'explain: a kernel that is not as far has programmed it', file: 'explain/halves.ts', search: 'if (!word.programmed)', replace: 'if (word.programmedAt === null)', caughtBy: 'explainAgents' },
  { title: 'explain: what waits for a turn is no matter', file: 'agent/explaining.ts', search: 'now.revision === turns.revision && drained()', replace: 'now.revision === turns.revision', caughtBy: 'explaining' },
]
