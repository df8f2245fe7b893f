// What was seen of the canary's packets -> what that says of the table.
//
// Two witnesses: the links count what came in and what went out, counters of the table what its rules dropped and let pass. So a firewall
// of the node behind ours, which drops what we allow (Docker's FORWARD policy), is neither taken for a fault of the table nor hides one.
// **Invariant:** pure; a denied packet that our table did not drop is a leak, whoever dropped it then.
import { FAMILIES, type Family } from '../model/ip.ts'
import type { FamilyStage } from './stage.ts'

export type ProbeName = 'spoofed' | 'egressDenied' | 'ingressDenied' | 'allowed'
export const PROBES: readonly ProbeName[] = ['spoofed', 'egressDenied', 'ingressDenied', 'allowed']

/** Packets of one kind. */
export interface Seen {
  readonly sent: number
  /** Why no more were sent; null where all were. */
  readonly refusal: string | null
  /** By the client's link. */
  readonly arrived: number
  /** By the server's link. */
  readonly left: number
  /** Each by the rules that it stands for; 0 where the kernel has no such counter. */
  readonly counted: { readonly spoofed: number; readonly egress: number; readonly ingress: number; readonly allowed: number; readonly unknown: number }
}

export type Evidence = Readonly<Record<ProbeName, Seen>>

export type FamilyRound = { readonly kind: 'sent'; readonly evidence: Evidence } | Exclude<FamilyStage, { kind: 'ready' }>

export interface Round {
  readonly families: Readonly<Record<Family, FamilyRound>>
  /** Nobody changed any ruleset meanwhile. */
  readonly quiet: boolean
}

/** From what is best to what is worst. */
export const RESULTS = ['skipped', 'ok', 'failed', 'blocked', 'dropped', 'leaked'] as const
export type CanaryResult = (typeof RESULTS)[number]

export interface Verdict {
  readonly result: CanaryResult
  /** For people; empty where there is nothing to say. */
  readonly message: string
}

const DENIED = {
  spoofed: { by: 'spoofed', what: 'with a source that the client does not own' },
  egressDenied: { by: 'egress', what: 'that egress policy denies' },
  ingressDenied: { by: 'ingress', what: 'that ingress policy denies' },
} as const

/** Rules that may drop what is allowed. */
const TAKERS = [
  { by: 'spoofed', as: 'as not of their source' },
  { by: 'egress', as: 'by egress policy' },
  { by: 'ingress', as: 'by ingress policy' },
  { by: 'unknown', as: 'as of an unknown interface' },
] as const

export function judgeFamily(family: Family, round: FamilyRound): Verdict {
  if (round.kind !== 'sent') return { result: round.kind, message: `IPv${family}: ${round.reason}` }
  const { result, message } = judge(round.evidence)
  return { result, message: message === '' ? '' : `IPv${family}: ${message}` }
}

/** Of both families the worse one. */
export function judgeRound({ families }: Pick<Round, 'families'>): Verdict {
  const verdicts = FAMILIES.map((family) => judgeFamily(family, families[family]))
  const result = RESULTS[Math.max(...verdicts.map((one) => RESULTS.indexOf(one.result)))] as CanaryResult
  const said = verdicts.filter((one) => one.message !== '' && (one.result === result || result === 'ok'))
  return { result, message: said.map((one) => one.message).join('; ') }
}

function judge(evidence: Evidence): Verdict {
  const { allowed, egressDenied, ingressDenied } = evidence
  const judged = egressDenied.counted.egress + ingressDenied.counted.ingress + allowed.counted.allowed > 0
  const leaks = (['spoofed', 'egressDenied', 'ingressDenied'] as const).flatMap((name) => leak(evidence[name], DENIED[name], judged))
  if (leaks.length > 0) return { result: 'leaked', message: leaks.join('; ') }
  const ours = TAKERS.filter(({ by }) => allowed.counted[by] > 0)
  if (allowed.left < allowed.sent && allowed.counted.allowed < allowed.sent && ours.length > 0) {
    return { result: 'dropped', message: `the table dropped packets that it is to pass, ${ours.map(({ by, as }) => `${Math.min(allowed.counted[by], allowed.sent)} of ${allowed.sent} ${as}`).join(', ')}` }
  }
  for (const name of PROBES) {
    const blocked = blockedBefore(evidence[name], name === 'allowed' ? 'allowed' : DENIED[name].by)
    if (blocked !== null) return { result: 'blocked', message: blocked }
  }
  if (allowed.left < allowed.sent) return { result: 'ok', message: 'what the table passes is dropped behind it by another firewall of the node (a FORWARD policy DROP, as Docker sets it)' }
  return { result: 'ok', message: '' }
}

function leak({ sent, arrived, left, counted }: Seen, { by, what }: (typeof DENIED)[keyof typeof DENIED], judged: boolean): readonly string[] {
  if (left > 0) return [`${left} of ${sent} packets ${what} came through`]
  // The others came to our chains, and so did these.
  return judged && arrived > 0 && counted[by] === 0 ? [`the table did not drop ${sent} packets ${what}; only something behind it did`] : []
}

/** Why nothing can be said of the table. */
function blockedBefore({ sent, refusal, arrived, left, counted }: Seen, by: keyof Seen['counted']): string | null {
  if (refusal !== null) return `a packet could not be sent (${refusal}): a firewall of the node drops what it sends itself`
  if (arrived < sent) return `${sent - arrived} of ${sent} packets did not come in`
  return counted[by] < sent && left < sent ? `${sent - counted[by]} of ${sent} packets never came to the table's rules: something in front of them drops them` : null
}
