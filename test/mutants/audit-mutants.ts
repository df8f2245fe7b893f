// Planted bugs of the audit stream's records: whose a packet was, what decided, and what fits into a line.
//
// **Invariant:** as in mutants.ts.
import type { Mutant } from './mutants.ts'

export const AUDIT_MUTANTS: readonly Mutant[] = [
  { title: 'audit: the owner of now, whenever the packet came', file: 'audit/timeline.ts', search: 'if (past === undefined) return [now]', replace: 'if (past !== null) return [now]', caughtBy: 'auditHistory' },
  { title: 'audit: a plan counts as soon as it is made', file: 'audit/timeline.ts', search: 'if (from <= last && moment.until >= first) found.add(value)', replace: 'if (from <= last && moment.from >= first) found.add(value)', caughtBy: 'auditHistory' },
  { title: 'audit: what was counts until the acknowledgement', file: 'audit/timeline.ts', search: 'from = moment.from', replace: 'from = moment.until', caughtBy: 'auditHistory' },
  { title: 'audit: of several owners the last is named', file: 'audit/ends.ts', search: 'const [owner, ...others] = owners', replace: 'const [owner, ...others] = owners.slice(-1)', caughtBy: 'auditHistory' },
  { title: 'audit: of several owners what the first is', file: 'audit/ends.ts', search: "why: isOne ? null : 'ambiguous'", replace: 'why: null', caughtBy: 'auditHistory' },
  { title: 'audit: a held revision holds what was planned after it', file: 'audit/moments.ts', search: 'if (entry.revision > revision) continue', replace: '', caughtBy: 'auditHistory' },
  { title: 'audit: what was forgotten never was', file: 'audit/moments.ts', search: 'else this.#horizon = Math.max(this.#horizon, entry.until)', replace: '', caughtBy: 'auditHistory' },
  { title: 'audit: what goes before it is held is known', file: 'audit/moments.ts', search: 'if (entry.until === Infinity) this.#awaited = Math.max(this.#awaited ?? 0, entry.revision)', replace: 'if (entry.until === Infinity) this.#horizon = entry.from', caughtBy: 'auditHistory' },
  { title: 'audit: an interface is whose address it is', file: 'audit/ends.ts', search: 'behind.length > 0 ? behind : history.ownersOf', replace: 'history.ownersOf', caughtBy: 'auditHistory' },
  { title: 'audit: an interface of nobody is whose address it is', file: 'audit/ends.ts', search: '&& history.isSomebodys(index)', replace: '&& index < 0', caughtBy: 'auditHistory' },
  { title: 'audit: an interface goes to the heir of its address', file: 'audit/history-interfaces.ts', search: 'if (snapshot.pods.get(owner.uid) !== undefined || this.#hasNewer(uid, index, snapshot)) return', replace: '', caughtBy: 'auditInterfaces' },
  { title: 'audit: what is handed over is told at once', file: 'audit/history-interfaces.ts', search: '&& moment.until + SETTLE_MS >= span.first', replace: '&& moment.until < 0', caughtBy: 'auditInterfaces' },
  { title: 'audit: a link that went takes its pod along', file: 'audit/history-interfaces.ts', search: 'if (moment === null) return this.#forget(index)', replace: 'return this.#forget(index)', caughtBy: 'auditInterfaces' },
  { title: 'audit: any change of a pod is remembered', file: 'audit/history-addresses.ts', search: 'if (samePod(pod, podNow(snapshot, address))) continue', replace: 'if (pod === podNow(snapshot, address)) continue', caughtBy: 'auditInterfaces' },
  { title: 'audit: the profile of now isolated then', file: 'audit/history-profiles.ts', search: 'if (profile !== undefined && this.#hashOf(profile) === generation)', replace: 'if (profile !== undefined)', caughtBy: 'auditRecords' },
  { title: 'audit: the generation of now allowed then', file: 'audit/history-profiles.ts', search: 'return this.#generations.between(policy, now, { first: Math.min(since, to), last: to }).filter((one) => one !== null)', replace: 'return [now ?? 0, to * 0, since * 0].slice(0, 1)', caughtBy: 'auditRecords' },
  { title: 'audit: any member of a union allowed it', file: 'audit/records-policy.ts', search: 'return one.length === 1 ? one : distinct(', replace: 'return one.length > 0 ? one : distinct(', caughtBy: 'auditRecords' },
  { title: 'audit: the plan of now knows what was then', file: 'audit/history.ts', search: 'for (const uid of policies) if (this.#profiles.editedSince(uid, since)) return false', replace: 'for (const uid of policies) if (this.#profiles.editedSince(uid, Infinity)) return true', caughtBy: 'auditRecords' },
  { title: 'audit: explain is asked for every record', file: 'audit/records-miss.ts', search: 'if (this.#tokens < 1) return false', replace: '', caughtBy: 'auditRecords' },
  { title: 'audit: any mark is a Service', file: 'audit/history-services.ts', search: 'word !== null && led(word)', replace: 'word !== null && (led(word) || true)', caughtBy: 'auditRecords' },
  { title: 'audit: an endpoint that left led nowhere', file: 'audit/history-services.ts', search: 'if (!stay.has(key)) this.#targets.note', replace: 'if (stay.has(key)) this.#targets.note', caughtBy: 'auditRecords' },
  { title: 'audit: who has the number now, translated it', file: 'audit/history-services.ts', search: 'this.#words.between(id, now === null ? null : wordOf(now, id), span)', replace: '[now === null ? null : wordOf(now, id)]', caughtBy: 'auditServices' },
  { title: 'audit: nobody else had the number', file: 'audit/history-services.ts', search: 'left.filter(({ uid }) => words.every((word) => word.uid !== uid))', replace: 'left.filter(() => words.length === 0)', caughtBy: 'auditServices' },
  { title: 'audit: a ClusterIP that went to another Service was always its', file: 'audit/history-services.ts', search: 'if (moment !== null) this.#addresses.note(address, atPort(before, null), moment, WORD_BYTES)', replace: '', caughtBy: 'auditServices' },
  { title: 'audit: a line is as long as it gets', file: 'flows/line.ts', search: 'while (over > -4 &&', replace: 'while (over > 400 &&', caughtBy: 'auditLines' },
  { title: 'audit: labels that were cut are not counted', file: 'flows/line.ts', search: 'Object.keys(one.labels).length - (kept[at]?.length ?? 0) })', replace: '0 })', caughtBy: 'auditLines' },
  { title: 'audit: C1 and bidirectional marks are printed raw', file: 'flows/safe-json.ts', search: 'const UNPRINTABLE = /[\\p{C}\\u2028\\u2029]/gu', replace: 'const UNPRINTABLE = /[\\0-\\x1f]/gu', caughtBy: 'auditLines' },
]
