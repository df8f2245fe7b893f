// Planted bugs of counting: what is lost, counted twice, or counted for another.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const COUNTER_MUTANTS: readonly Mutant[] = [
  { title: 'counters: a policy that is made again goes on where the other of its name was', file: 'ruleset/names.ts', search: '`/${direction}/${rule}/${shortHash(policy.uid, 12)}`', replace: '`/${direction}/${rule}`', caughtBy: 'ruleCounters' },
  { title: 'counters: the ports of two rules with the same peers count for the first', file: 'policy/dispatch.ts', search: '`${refText(by)} ${peer.set}`', replace: 'peer.set', caughtBy: 'ruleCounters' },
  { title: 'counters: two rules that open ports to everybody count for the first', file: 'policy/dispatch.ts', search: 'refText(one.everybody) :', replace: "'all' :", caughtBy: 'ruleCounters' },
  { title: 'counters: the last rule counts, not the first', file: 'policy/dispatch.ts', search: 'if (!found.peers.has(peer.set)) found', replace: 'found', caughtBy: 'ruleCounters' },
  { title: 'counters: the first profile that leaves takes the counter along', file: 'ruleset/rule-counters.ts', search: 'if (users !== undefined && users.size > 0) continue', replace: '', caughtBy: 'ruleCounters' },
  { title: 'counters: they stay when nobody has the rule', file: 'ruleset/rule-counters.ts', search: '      this.#users.delete(name)\n      this.#remove(name)', replace: '      this.#users.delete(name)', caughtBy: 'ruleCounters' },
  { title: 'counters: the next pod behind an interface goes on where the last one was', file: 'ruleset/pods.ts', search: '{ key, value: counter }, owners', replace: '{ key, value: this.#table.state.sets.get(droppedByInterface(direction))?.elements.get(key)?.value ?? counter }, owners', caughtBy: 'ruleCounters' },
  { title: 'counters: what came back counts from 0', file: 'agent/counting.ts', search: 'if (isNew) entry.base = sum(entry.base, entry.last)', replace: 'if (isNew) entry.base = NOTHING', caughtBy: 'counting' },
  { title: 'counters: the last packets before one goes are lost', file: 'agent/counting.ts', search: '    await this.#reading\n    await this.#read()', replace: '', caughtBy: 'counting' },
  { title: 'counters: what goes before anybody asked is not known', file: 'agent/counting.ts', search: ' ?? leaving().get(name)', replace: '', caughtBy: 'counting' },
  { title: 'counters: what the kernel would not delete counts twice', file: 'agent/counting.ts', search: 'entry.goneAt !== null ? isWanted :', replace: 'entry.goneAt !== null ? true :', caughtBy: 'counting' },
  { title: 'counters: a sweep does not wait until they are read', file: 'agent/kernel-table.ts', search: 'await onCountersLeave?.(leaving)', replace: '(onCountersLeave?.(leaving), undefined)', caughtBy: 'counting' },
  { title: 'counters: what was suppressed goes on from where a deleted counter stood', file: 'agent/suppression.ts', search: 'this.#before?.delete(name)', replace: '', caughtBy: 'suppression' },
  { title: 'counters: what is suppressed before the first scrape is told by none', file: 'agent/measures.ts', search: '      await this.counted()\n      return', replace: '      return', caughtBy: 'measures' },
  { title: 'counters: who is in the sum gets the next free series, too', file: 'agent/count-series.ts', search: '!this.#left.has(key) && ', replace: '', caughtBy: 'counting' },
  { title: 'counters: another of the name takes from the sum', file: 'agent/count-series.ts', search: '(series[what] < before[what] ? series[what] : series[what] - before[what])', replace: 'series[what] - before[what]', caughtBy: 'counting' },
]
