// Planted bugs of what is logged: rules, prefixes, whose annotation holds, and when it ends.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const LOG_MUTANTS: readonly Mutant[] = [
  { title: 'log: a limit gates the verdict', file: 'ruleset/log-rules.ts', search: 'if (!services || !kept) return [`${before}${counts} ${log}`]', replace: "if (!services || !kept) return [`${before}${counts} ${log}${kept ? '' : ' drop'}`]", caughtBy: 'logRules' },
  { title: 'log: what is logged as allowed comes to no accept', file: 'ruleset/log-rules.ts', search: '${match}jump ${name}`', replace: '${match}goto ${name}`', caughtBy: 'logRules' },
  { title: "log: a packet that passes keeps conntrack's mark", file: 'ruleset/log-rules.ts', search: 'meta mark set ct mark ${log} meta mark set 0`', replace: 'meta mark set ct mark ${log}`', caughtBy: 'logRules' },
  { title: "log: others' marks are lost", file: 'ruleset/log-rules.ts', search: '`${before}meta mark 0 ${counts} meta mark set ct mark', replace: '`${before}${counts} meta mark set ct mark', caughtBy: 'logRules' },
  { title: 'log: a denied packet without an entry keeps the mark that it came with', file: 'ruleset/log-rules.ts', search: "['meta mark set 0 meta mark set ct mark']", replace: "['meta mark set ct mark']", caughtBy: 'logRules' },
  { title: 'log: every packet of a connection that nobody answers', file: 'ruleset/log-rules.ts', search: "'ct state new ct status and confirmed == 0'", replace: "'ct state new'", caughtBy: 'logRules' },
  { title: 'log: the prefix of what is denied says allowed', file: 'ruleset/log-rules.ts', search: "prefix('denied', null, denied)", replace: "prefix('allowed', '0.0', denied)", caughtBy: 'logRules' },
  { title: 'log: one family only', file: 'ruleset/log-rules.ts', search: 'const rules = FAMILIES.flatMap((family) => logRules(log, { prefix, counter: loggedAllowedCounter(id)', replace: 'const rules = FAMILIES.slice(0, 1).flatMap((family) => logRules(log, { prefix, counter: loggedAllowedCounter(id)', caughtBy: 'logRules' },
  { title: 'log: a drop behind a match is counted no more', file: 'ruleset/log-rules.ts', search: 'rules: [...rules, `${verdict} drop`] })', replace: "rules: [...rules, 'drop'] })", caughtBy: 'logRules' },
  { title: 'log: what is logged is not counted', file: 'ruleset/log-rules.ts', search: "${shares.join(' ')} counter name \"${counter}\"`", replace: "${shares.join(' ')}`", caughtBy: 'logRules' },
  { title: 'log: the same generation for other rules', file: 'ruleset/log-prefix.ts', search: 'policies.map((p) => [p.uid, p.name]), rules, dispatch]', replace: 'policies.map((p) => [p.uid, p.name])]', caughtBy: 'logPrefix' },
  { title: 'log: prefixes of others are read', file: 'ruleset/log-prefix.ts', search: "(event === 'allowed') === (place === '-') || ", replace: '', caughtBy: 'logPrefix' },
  { title: "log: a namespace's annotation goes before its policies'", file: 'logging/wishes.ts', search: 'policy?.log ?? namespace?.log ?? cluster', replace: 'namespace?.log ?? policy?.log ?? cluster', caughtBy: 'logWishes' },
  { title: 'log: of several wishes the one that says least holds', file: 'logging/wishes.ts', search: 'wish.sample < found.sample', replace: 'wish.sample > found.sample', caughtBy: 'logWishes' },
  { title: 'log: what another policy allows is logged, too', file: 'policy/profile-log.ts', search: 'covers(rule, port) && isMeant(rule, ports, peer)', replace: 'isMeant(rule, ports, peer)', caughtBy: 'logRules' },
  { title: 'log: a rule for wider ports counts only where it is looked up', file: 'policy/profile-log.ts', search: 'one.first <= port.first && port.last <= one.last', replace: 'one.first === port.first && port.last === one.last', caughtBy: 'logRules' },
  { title: "log: a namespace's annotation waits for the next change of a policy", file: 'policy/profiles.ts', search: 'new Set<ProfileId>(this.#loggedBy(namespaces))', replace: 'new Set<ProfileId>([...this.#loggedBy(namespaces)].slice(0, 0))', caughtBy: 'logRules' },
  { title: 'log: a malformed annotation asks for everything', file: 'decode/log-annotations.ts', search: "TRAFFIC_LOGS.find((one): one is TrafficLog => one === text) ?? null", replace: "TRAFFIC_LOGS.find((one): one is TrafficLog => one === text) ?? 'all'", caughtBy: 'logAnnotations' },
  { title: 'log: without a readable end nothing ever ends', file: 'decode/log-annotations.ts', search: 'level === undefined || !isBounded ?', replace: 'level === undefined ?', caughtBy: 'logAnnotations' },
  { title: 'log: what ends takes sample and label with it', file: 'logging/wishes.ts', search: 'return Object.keys(rest).length === 0 ? undefined : Object.freeze(rest)', replace: 'return Object.keys(rest).length === 0 || true ? undefined : Object.freeze(rest)', caughtBy: 'logEnds' },
  { title: 'log: an annotation outlives the agent', file: 'agent/log-ends.ts', search: 'if (this.#isClosed || ', replace: 'if (', caughtBy: 'logEnds' },
  { title: 'log: a mistake in the history ends the turn', file: 'agent/audit.ts', search: '    } catch (error) {\n      this.#isBroken = true', replace: '    } catch (error) {\n      throw error', caughtBy: 'auditOfNode' },
  { title: 'log: an earlier end waits for a later one', file: 'agent/log-ends.ts', search: 'this.#cancel !== null && this.#next <= end', replace: 'this.#cancel !== null', caughtBy: 'logEnds' },
]
