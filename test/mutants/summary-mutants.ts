// Planted bugs of the summary: what a node counts as, who is told, and what is kept instead of counted.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const SUMMARY_MUTANTS: readonly Mutant[] = [
  { title: 'summary: unlisted failures do not matter', file: 'summary/node-report.ts', search: 'if (!report.isWhole) return PENDING', replace: '', caughtBy: 'summary' },
  { title: 'summary: a Service that fails is a policy that fails', file: 'summary/node-report.ts', search: "kind === 'NetworkPolicy' && ", replace: '', caughtBy: 'summary' },
  { title: 'summary: versions are compared as text', file: 'lib/versions.ts', search: 'if (a.length !== b.length) return a.length - b.length', replace: '', caughtBy: 'summaryNodes' },
  { title: 'summary: a node has to be ahead of the policy', file: 'summary/node-report.ts', search: 'order <= 0', replace: 'order < 0', caughtBy: 'summaryNodes' },
  { title: 'summary: silence is believed to be consent', file: 'summary/node-report.ts', search: 'report === null || !isAlive', replace: 'report === null', caughtBy: 'summary' },
  { title: 'summary: a Node made again inherits the report', file: 'summary/summary.ts', search: 'if (uid === report.owner) return report', replace: 'return report', caughtBy: 'summary' },
  { title: 'summary: labels make a version new', file: 'summary/first-seen.ts', search: 'known?.uid === said.uid && known.generation === said.generation', replace: 'false', caughtBy: 'summaryTimes' },
  { title: 'summary: a new generation keeps the time of the old one', file: 'summary/conditions.ts', search: 'old?.status === one.status && !renewed.includes(type)', replace: 'old?.status === one.status', caughtBy: 'summaryTimes' },
  { title: 'summary: a pod that moves is not told', file: 'summary/book.ts', search: 'if (before !== null && after !== null && before.node === after.node) continue', replace: 'if (before !== null && after !== null) continue', caughtBy: 'summary' },
  { title: 'summary: a new place is not judged', file: 'summary/summary.ts', search: 'if (node !== null && isAnother) this.#judgeLater(entry, node)', replace: '', caughtBy: 'summary' },
  { title: 'summary: a policy is told once when its peers come and go', file: 'summary/watched.ts', search: 'watch.wasEmpty = isEmpty', replace: '', caughtBy: 'summary' },
  { title: 'summary: ports of pods that go are kept', file: 'summary/watched.ts', search: 'has(change.after, count) - has(change.before, count)', replace: 'has(change.after, count)', caughtBy: 'summary' },
  { title: 'summary: an edit lets go what it still names', file: 'summary/book.ts', search: '!named.has(', replace: 'named.has(', caughtBy: 'summary' },
  { title: 'summary: a witness that is gone still speaks', file: 'summary/service-blocks.ts', search: 'if (held.witness !== null && !gone.has(held.witness)) continue', replace: 'if (held.witness !== null) continue', caughtBy: 'summary' },
  { title: 'summary: a policy that leaves takes the way of others', file: 'summary/dns.ts', search: 'if (isolated.ways === 0) this.#block(policy, -1)', replace: 'this.#block(policy, -1)', caughtBy: 'summary' },
  { title: 'summary: DNS pods cannot ask themselves', file: 'summary/dns.ts', search: 'ways: this.#ends.has(pod) ? 1 : 0', replace: 'ways: 0', caughtBy: 'summary' },
  { title: 'summary: an edit changes no way to the DNS', file: 'summary/summary.ts', search: 'for (const uid of delta.policies.keys()) leads(uid)', replace: '', caughtBy: 'summary' },
]
