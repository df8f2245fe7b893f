// Profile and place of a log rule -> the rule that allowed the packet and the others that do, or the policies that isolate.
//
// A place stands for the rules of one port and one set of peers: all of them allow what matched there. A union's members are told
// apart by the plan of now, and only while nothing that they depend on has changed since the packet.
// **Invariant:** only rules that allow the packet for sure are named.
import type { FlowPolicy, FlowRecord, FlowRule } from '../flows/record.ts'
import type { Packet } from '../policy/judge.ts'
import { namesPort } from '../policy/judge.ts'
import type { PlanPeer, PlanRule, Profile } from '../policy/plan.ts'
import type { Undecided } from './ends.ts'
import type { AuditHistory } from './history.ts'
import type { KnownProfile } from './history-profiles.ts'
import type { Span } from './moments.ts'

/** Named of the policies that isolate, and of the rules that allow it besides. */
const MOST_NAMED = 8

export interface FoundRules {
  readonly policy: FlowRule | null
  readonly also: readonly FlowRule[]
  readonly why: Undecided | null
  readonly isGenerationOpen: boolean
}

const NO_RULES: FoundRules = Object.freeze({ policy: null, also: Object.freeze([]), why: null, isGenerationOpen: false })

/** By the plan of now; null: it cannot tell what was then. */
export type Matching = (known: KnownProfile, rules: readonly PlanRule[], packet: Packet) => readonly PlanRule[] | null

export function rulesOf(history: AuditHistory, known: KnownProfile | null, place: string, packet: Packet, span: Span, matching: Matching): FoundRules {
  if (known === null) return { ...NO_RULES, why: 'unresolved' }
  const rules = allowing(known, place, packet, matching)
  if (rules.length === 0) return { ...NO_RULES, why: 'ambiguous' }
  const named = rules.slice(0, MOST_NAMED + 1).map((rule) => ruleOf(history, known, rule, span))
  const [policy, ...also] = named as [Named, ...Named[]]
  return { policy: policy.rule, also: also.map(({ rule }) => rule), why: null, isGenerationOpen: named.some(({ isOpen }) => isOpen) }
}

/** In the profile's order, each once; none where it is not known. */
function allowing(known: KnownProfile, place: string, packet: Packet, matching: Matching): readonly PlanRule[] {
  const { profile } = known
  const [ports, index] = place.split('.').map(Number) as [number, number]
  const peers = profile.dispatch[ports]?.peers
  const peer = peers === 'all' ? null : peers?.[index]
  if (peer === undefined) return []
  const onPort = profile.rules.filter((rule) => namesPort(rule, packet))
  const sure = distinct(onPort.filter(({ peers: own }) => own === 'all' || (peer !== null && own.some(({ set }) => set === peer.set))))
  if (sure.length > 0) {
    // Others that allow it, too, by other peers: as far as the plan of now can tell.
    const others = onPort.filter((rule) => !sure.includes(rule))
    return distinct([...sure, ...(others.length === 0 ? [] : (matching(known, others, packet) ?? []))])
  }
  if (peer === null) return []
  const members = onPort.filter((rule) => isMember(rule, peer))
  const one = distinct(members)
  return one.length === 1 ? one : distinct(matching(known, members, packet) ?? [])
}

/** Of a union are all peers of its kind. */
function isMember({ peers }: PlanRule, { kind }: PlanPeer): boolean {
  return peers !== 'all' && peers.some((one) => one.kind === kind)
}

function distinct(rules: readonly PlanRule[]): readonly PlanRule[] {
  const found = new Map<string, PlanRule>()
  for (const rule of rules) {
    const key = `${rule.index} ${rule.policy}`
    if (!found.has(key)) found.set(key, rule)
  }
  return [...found.values()]
}

interface Named {
  readonly rule: FlowRule
  readonly isOpen: boolean
}

function ruleOf(history: AuditHistory, known: KnownProfile, { policy, index }: PlanRule, span: Span): Named {
  const generations = history.generationsOf(policy, known, span)
  const { direction } = known.profile
  return { rule: { ...policyOf(known.profile, policy), generation: generations.length === 1 ? (generations[0] ?? null) : null, direction, index }, isOpen: generations.length > 1 }
}

function policyOf({ namespace, policies }: Profile, uid: string): FlowPolicy {
  return { kind: 'NetworkPolicy', namespace, name: policies.find((one) => one.uid === uid)?.name ?? uid, uid }
}

export function isolatedBy({ namespace, policies }: Profile): NonNullable<FlowRecord['isolated_by']> {
  return { total: policies.length, policies: policies.slice(0, MOST_NAMED).map(({ name, uid }) => ({ kind: 'NetworkPolicy', namespace, name, uid })) }
}
