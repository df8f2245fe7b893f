// Planted bugs of the agent's loop: commits in turn, repair, containment, pods on a bridge, cutting.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const LOOP_MUTANTS: readonly Mutant[] = [
  // Elements and rules in turn.
  { title: 'rule 91: elements that changed rules need come together with them', file: 'nft/in-turn.ts', search: 'if (come.size > 0) return [...come.values()]', replace: '', caughtBy: 'diff' },
  { title: 'rule 91: elements that old rules need go together with them', file: 'nft/in-turn.ts', search: 'return later === undefined ? [operation] : without(operation as ElementChange, later)', replace: 'return [operation]', caughtBy: 'diff' },
  { title: 'rule 91: rules that were read back name nothing', file: 'nft/in-turn.ts', search: 'all: chains.some((chain) => isListed(chain.rules))', replace: 'all: false', caughtBy: 'diff' },
  { title: 'rule 91: intervals that come and go in one set are torn apart', file: 'nft/in-turn.ts', search: "if (wanted.sets.get(change.set.name)?.object.flags.includes('interval') !== false) return null", replace: '', caughtBy: 'diff' },
  { title: 'rule 91: a key whose value changes is torn apart', file: 'nft/in-turn.ts', search: 'change.elements.filter(({ key }) => !keys.has(key))', replace: 'change.elements', caughtBy: 'diff' },
  { title: 'rule 91: a set is filled in the transaction whose rules name it', file: 'nft/diff.ts', search: "if (structure.length > 0) return next('stage', [...counters, ...structure])\n  return next('switch', [...counters,", replace: "return next('switch', [...counters, ...structure,", caughtBy: 'diff' },
  { title: 'rule 107: what an earlier agent left is not swept', file: 'nft/state.ts', search: 'for (const state of [applied, wanted]) {', replace: 'for (const state of [wanted]) {', caughtBy: 'diff' },
  { title: 'rule 107: sets that nothing names stay', file: 'nft/sweep.ts', search: '...sets.map((set) => remove(set.object.kind, set.object.name)),', replace: '', caughtBy: 'diff' },
  { title: 'rule 101: what packets made is taken out at a restart', file: 'nft/diff.ts', search: 'if (!isKernels(to)) for (const key of from.elements.keys())', replace: 'for (const key of from.elements.keys())', caughtBy: 'diff' },

  // Repair.
  { title: 'rule 108: an element that is missing is no difference', file: 'nft/compare.ts', search: 'if (listed === undefined) missing++', replace: 'if (listed === undefined) continue', caughtBy: 'compare' },
  { title: 'rule 108: an element that leads elsewhere is no difference', file: 'nft/compare.ts', search: 'else if (listed.value !== element.value) changed++', replace: '', caughtBy: 'compare' },
  { title: 'rule 108: an element that was added is no difference', file: 'nft/compare.ts', search: "[added, 'added']", replace: "[0 * added, 'added']", caughtBy: 'compare' },
  { title: 'rule 108: elements of packets are a difference', file: 'nft/compare.ts', search: 'isKernels(before) ? null : elementDifference(before, after)', replace: 'elementDifference(before, after)', caughtBy: 'compare' },
  { title: 'rule 108: the policy of a base chain is not looked at', file: 'nft/compare.ts', search: "if (before.base?.policy !== after.base?.policy) return 'another policy'", replace: '', caughtBy: 'compare' },
  { title: 'rule 108: the hook of a base chain is not looked at', file: 'nft/compare.ts', search: "if (!sameHook(family, before, after)) return 'another hook or priority'", replace: '', caughtBy: 'compare' },
  { title: 'rule 108: a set of another type is the same set', file: 'nft/compare.ts', search: 'before !== undefined && after !== undefined && sameDeclaration(before.object, after.object)', replace: 'before !== undefined && after !== undefined', caughtBy: 'compare' },
  { title: 'rule 108: rules are believed to be as they were written', file: 'nft/compare.ts', search: "return same ? null : 'rules'", replace: 'return null', caughtBy: 'compare' },
  { title: 'rule 108: what differs keeps what was applied', file: 'nft/compare.ts', search: '{ object: before.object, elements: after.elements }', replace: 'before', caughtBy: 'compare' },
  { title: 'rule 108: counters are not looked at', file: 'nft/compare.ts', search: 'result.dirty.counters.add(name)\n', replace: '\n', caughtBy: 'compare' },
  { title: 'rule 108: rules are learned that somebody else may have changed', file: 'agent/rule-memory.ts', search: 'if (suspicions.length > 0 || countOf', replace: 'if (countOf', caughtBy: 'memory' },
  { title: 'rule 108: rules are learned whatever their number', file: 'agent/rule-memory.ts', search: ' || countOf(listed) !== chain.rules.length', replace: '', caughtBy: 'memory' },
  { title: 'rule 108: what was learned just before a change is trusted', file: 'agent/rule-memory.ts', search: 'suspicions.every((s) => learned.at < s.since)', replace: 'true', caughtBy: 'memory' },
  { title: 'rule 108: a notification took no time', file: 'agent/rule-memory.ts', search: 'this.#clock.now() - change.sinceMs - MARGIN_MS', replace: 'this.#clock.now()', caughtBy: 'memory' },
  { title: 'rule 108: a suspicion that comes during a reading ends with it', file: 'agent/rule-memory.ts', search: 'this.#before = nothing()\n  }', replace: 'this.#before = nothing()\n    this.#after = nothing()\n  }', caughtBy: 'memory' },
  { title: 'rule 108: nothing is read back on the timer', file: 'agent/committer.ts', search: 'const wait = change === null ? 0', replace: 'if (change === null) return\n    const wait = change === null ? 0', caughtBy: 'repair' },
  { title: 'rule 108: every notification is a reading of its own', file: 'agent/committer.ts', search: 'this.#lastCheck + CHECK_PAUSE_MS - this.#clock.now()', replace: '0', caughtBy: 'repair' },
  { title: 'rule 108: a refused commit is blamed on its owners at once', file: 'agent/committer.ts', search: 'if (!compared) {', replace: 'if (compared) {', caughtBy: 'repair' },

  // Containment.
  { title: 'rule 105: the second culprit waits for another commit', file: 'agent/containment.ts', search: 'culprits.length === 2', replace: 'culprits.length === 1', caughtBy: 'containment' },
  { title: 'rule 105: nobody looks behind the first culprit', file: 'agent/containment.ts', search: 'refused === suspects.length || culprits.length === 2', replace: 'true', caughtBy: 'containment' },
  { title: 'rule 105: whoever is left is blamed without a judgement', file: 'agent/containment.ts', search: 'while (refused - taken > 1 || !wasJudged)', replace: 'while (refused - taken > 1)', caughtBy: 'containment' },
  { title: 'rule 105: somebody is blamed for what is refused anyway', file: 'agent/containment.ts', search: "if (closed.kind === 'refused') return { kind: 'nobody' }", replace: '', caughtBy: 'containment' },
  { title: 'rule 105: suspects are tried one by one', file: 'agent/containment.ts', search: '(taken + refused) >> 1', replace: 'taken + 1', caughtBy: 'containment' },
  { title: 'rule 105: quarantine is for ever', file: 'agent/containment.ts', search: 'entry.due = true', replace: 'entry.due = false', caughtBy: 'containment' },
  { title: 'rule 105: tried again without a longer pause', file: 'agent/containment.ts', search: 'Math.min(entry.pauseMs * 2, LAST_PAUSE_MS)', replace: 'entry.pauseMs', caughtBy: 'containment' },
  { title: 'rule 105: the search ends with its last try in force', file: 'agent/containment.ts', search: 'this.#enter(culprit)\n    trial.compile(this.owners)', replace: 'this.#enter(culprit)', caughtBy: 'containment' },
  { title: 'rule 105: an edit does not end the quarantine', file: 'store/quarantine.ts', search: 'if (this.isEmpty) return []', replace: 'return []', caughtBy: 'containment' },
  { title: 'rule 57: quarantine closes both directions', file: 'store/quarantine.ts', search: 'owner.endsWith(` ${direction}`)', replace: "owner.endsWith(' ingress') || owner.endsWith(' egress') || direction === ''", caughtBy: 'containment' },
  { title: 'rule 57: quarantine opens what the policy isolated', file: 'store/quarantine.ts', search: "closes('ingress') ? { ingress: [] }", replace: "closes('ingress') ? { isolates: { ...row.isolates, ingress: false } }", caughtBy: 'containment' },
  { title: 'rule 57: a pod in quarantine keeps its addresses', file: 'store/quarantine.ts', search: '...row, addresses: []', replace: '...row', caughtBy: 'quarantine' },

  // Pods on a bridge.
  { title: 'rule 87: whom a port may advertise stays behind', file: 'ruleset/bridge.ts', search: 'if (pins.length === 0) return this.wanted.removeChain(chain)', replace: '', caughtBy: 'pins' },
  { title: 'rule 87: a port is told as new by its name', file: 'ruleset/bridge.ts', search: 'before.get(name) === port.index', replace: 'before.get(name) !== undefined', caughtBy: 'pins' },
  { title: 'rule 87: a bridge port may send with any MAC', file: 'ruleset/bridge.ts', search: '`iifname . ether saddr != @port-macs ${SPOOFED}`,', replace: '', caughtBy: 'bridge' },
  { title: 'rule 87: tagged frames pass', file: 'ruleset/bridge.ts', search: '`ether type { 8021q, 8021ad } ${SPOOFED}`,', replace: '', caughtBy: 'bridge' },
  { title: 'rule 87: IPv6 of a bridge port is not looked at', file: 'ruleset/bridge.ts', search: "'ether type ip6 goto from-pod-v6',", replace: '', caughtBy: 'bridge' },
  { title: 'rule 87: ARP may speak for another MAC', file: 'ruleset/bridge.ts', search: '`iifname . arp saddr ether != @port-macs ${SPOOFED}`,', replace: '', caughtBy: 'bridge' },
  { title: 'rule 87: ARP may speak for another address', file: 'ruleset/bridge.ts', search: "'iifname . arp saddr ip @pins-v4 accept',", replace: "'arp operation reply accept', 'iifname . arp saddr ip @pins-v4 accept',", caughtBy: 'bridge' },
  { title: 'rule 87: any pod may be advertised', file: 'ruleset/bridge.ts', search: "'icmpv6 type nd-neighbor-advert goto advert',", replace: '', caughtBy: 'bridge' },
  { title: 'rule 87: from a link-local address everything passes', file: 'ruleset/bridge.ts', search: "'ip6 saddr fe80::/10 goto link-local',", replace: "'ip6 saddr fe80::/10 accept',", caughtBy: 'bridge' },
  { title: 'rule 87: who is no pod may use a pod\'s addresses', file: 'ruleset/bridge.ts', search: '...FAMILIES.map((f) => `${addressWord(f)} saddr @pinned-v${f} ${SPOOFED}`),', replace: '', caughtBy: 'strays' },
  { title: 'rule 87: who is no pod may use a pod\'s MAC', file: 'ruleset/bridge.ts', search: '`ether saddr @macs ${SPOOFED}`,', replace: '', caughtBy: 'strays' },
  { title: 'rule 87: who is no pod may say that it has a pod\'s address', file: 'ruleset/bridge.ts', search: '`arp saddr ip @pinned-v4 ${SPOOFED}`,', replace: '', caughtBy: 'strays' },

  // Cutting.
  { title: 'rule 79: the reply direction of a cut connection passes', file: 'ruleset/connections.ts', search: '[false, true].map((reversed) => {', replace: '[false].map((reversed) => {', caughtBy: 'golden' },
  { title: 'rule 82: with keep, a SYN at the ports of an ended connection belongs to it', file: 'ruleset/skeleton.ts', search: 'ct state established tcp flags & 0x17 != 0x2 accept', replace: 'ct state established meta l4proto tcp accept', caughtBy: 'golden' },
  { title: 'rule 83: an entry that a server made is never turned round', file: 'agent/cutter.ts', search: 'if (other !== null && !judge.judge(other).allowed) denied.push(asItsClient)', replace: '', caughtBy: 'cutter' },
  { title: 'rule 81: what is allowed again stays cut', file: 'agent/cutter.ts', search: 'if (flow === null || judge.judge(flow).allowed) again.push(key)', replace: '', caughtBy: 'cutter' },
  { title: 'rule 101: what was in the cut sets at a start is forgotten', file: 'agent/cut-set.ts', search: 'new Set(keysOf(cut).filter', replace: 'new Set(keysOf([]).filter', caughtBy: 'cutter' },
  { title: 'rule 78: a dump that failed is not tried again', file: 'agent/cutter.ts', search: 'this.#want(scope.pods, scope.again)', replace: '', caughtBy: 'cutter' },
  { title: 'rule 81: what is restored is taken out while packets may meet it', file: 'agent/cut-set.ts', search: "(part) => [{ verb: 'add', set: restoredFlows, keys: part }]", replace: "(part) => [{ verb: 'remove', set: cutFlows, keys: part }]", caughtBy: 'cutSet' },
  { title: 'rule 79: a member that goes takes nothing away', file: 'policy/losses.ts', search: 'for (const id of plan.profiles.reading(sets)) profiles.add(id)', replace: '', caughtBy: 'cutter' },
  { title: 'rule 79: an edited profile takes nothing away', file: 'policy/losses.ts', search: 'for (const [id, { before, after }] of delta.profiles) if (before !== null && after !== null) profiles.add(id)', replace: '', caughtBy: 'cutter' },

  // The canary.
  { title: 'a hole that another firewall covers is no leak', file: 'canary/verdict.ts', search: 'return judged && arrived > 0 && counted[by] === 0 ?', replace: 'return judged && arrived > 9 ?', caughtBy: 'canaryVerdict' },
  { title: "another firewall's drop is the table's", file: 'canary/verdict.ts', search: 'allowed.left < allowed.sent && allowed.counted.allowed < allowed.sent && ours.length > 0', replace: 'allowed.left < allowed.sent', caughtBy: 'canaryVerdict' },
  { title: 'a table that no packet came to is proven', file: 'canary/verdict.ts', search: "if (blocked !== null) return { result: 'blocked', message: blocked }", replace: '', caughtBy: 'canaryVerdict' },
  { title: 'of two families the better one counts', file: 'canary/verdict.ts', search: 'RESULTS[Math.max(', replace: 'RESULTS[Math.min(', caughtBy: 'canaryVerdict' },
  { title: 'one round is an alarm', file: 'agent/canary.ts', search: 'this.#failed >= TELLING_ROUNDS', replace: 'this.#failed >= 1', caughtBy: 'canary' },
  { title: 'rounds beside commits count', file: 'agent/canary.ts', search: "if (typeof round === 'string' || round.quiet) this.#failed++", replace: 'this.#failed++', caughtBy: 'canary' },
  { title: 'rounds that failed in other ways count', file: 'agent/canary.ts', search: 'if (verdict.result !== this.#last) this.#failed = 0', replace: '', caughtBy: 'canary' },
  { title: 'a leak is not looked into', file: 'agent/canary.ts', search: 'this.#options.recheck()', replace: 'undefined', caughtBy: 'canary' },
  { title: "others may translate the canary's packets", file: 'ruleset/canary.ts', search: 'rules: [`oifname "${CANARY_CLIENT.end}" notrack`]', replace: 'rules: []', caughtBy: 'canaryTable' },
  { title: "the server's other stage drops what egress is to drop", file: 'ruleset/canary.ts', search: '[CANARY_PORTS.allowed, CANARY_PORTS.egressDenied]', replace: '[CANARY_PORTS.allowed]', caughtBy: 'canaryTable' },
]
