// The rules of a profile that did not allow a packet, the nearest first, and what kept each from it.
//
// Whether a rule's ports and peers hold is asked of the plan; only what of its text is to blame is read from the policy's row.
// **Invariant:** every miss has a reason; the order depends on the packet and the policies only.
import { EVERYTHING } from '../model/labels.ts'
import { podSelector } from '../model/selector.ts'
import type { Policy, PolicyRule } from '../model/policy.ts'
import { namesPort, type Judge, type Packet } from '../policy/judge.ts'
import type { PlanRule, Profile } from '../policy/plan.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Miss, RuleName, Why, WhyKind } from './answer.ts'
import { ruleName } from './rule-text.ts'
import { whyPeer, type PeerContext } from './why-peer.ts'
import { whyPort, type PortContext } from './why-port.ts'

export interface Trial {
  readonly judge: Judge
  readonly snapshot: Snapshot
  readonly profile: Profile
  readonly packet: Packet
  readonly peer: PeerContext
  readonly port: PortContext
}

interface Candidate {
  readonly policy: Policy
  readonly rule: PolicyRule
  /** What is compiled of it: nothing, where it cannot match. */
  readonly compiled: readonly PlanRule[]
}

/** How near a reason is to a match: the lower, the nearer. The mistakes that people make most stand first. */
export const NEARNESS: readonly WhyKind[] = [
  'compiled', 'service-port', 'service-address', 'named-port', 'protocol', 'port', 'except', 'pod-labels', 'namespace-labels', 'namespace', 'namespace-and-pod-labels',
  'ip-block', 'not-a-pod', 'family', 'nobody',
]

const EVERY_POD = podSelector({ kind: 'matching', selector: EVERYTHING }, EVERYTHING)

/** The rules that allow it, as the plan has them, in its order. */
export function allowing(trial: Trial): readonly RuleName[] {
  return candidates(trial).flatMap((one) => (one.compiled.some((rule) => allows(trial, rule)) ? [ruleName(one.policy, trial.profile.direction, one.rule)] : []))
}

export function misses(trial: Trial): readonly Miss[] {
  const found = candidates(trial).map((one) => ({ rule: ruleName(one.policy, trial.profile.direction, one.rule), why: reasons(trial, one) }))
  // The order of the policies is kept among those that are equally near.
  return found.sort((a, b) => distance(a) - distance(b))
}

/** Of two reasons the further one counts first: a rule with one fault is nearer than one with two. */
function distance({ why }: Miss): number {
  return why.reduce((sum, { kind }) => sum + NEARNESS.indexOf(kind), (why.length - 1) * 100)
}

function candidates({ snapshot, profile }: Trial): readonly Candidate[] {
  return profile.policies.flatMap(({ uid }) => {
    const policy = snapshot.policies.get(uid)
    return policy === undefined ? [] : policy[profile.direction].map((rule) => ({ policy, rule, compiled: profile.rules.filter((one) => one.policy === uid && one.index === rule.index) }))
  })
}

function allows({ judge, packet, peer }: Trial, rule: PlanRule): boolean {
  return namesPort(rule, packet) && judge.namesPeer(rule, peer.peer, packet)
}

function reasons(trial: Trial, { rule, compiled }: Candidate): readonly Why[] {
  const { judge, packet, peer, port, profile } = trial
  // Pairs of address and port say nothing of either alone: there the text is asked.
  const numeric = compiled.find(({ peers }) => peers === 'all' || peers.every(({ kind }) => kind === 'addresses'))
  const portHolds = numeric !== undefined && namesPort(numeric, packet)
  const peerHolds = numeric !== undefined && judge.namesPeer(numeric, peer.peer, packet)
  const why = [portHolds ? null : whyPort(rule.ports, port), peerHolds ? null : whyPeers(rule, peer)].filter((one) => one !== null)
  if (why.length > 0) return why
  const byName = profile.direction === 'egress' ? whyName(rule, peer) : null
  return [byName ?? { kind: 'compiled', text: 'its text seems to allow this, and what is compiled of it does not; that is a bug of Picket: report it with the policy' }]
}

/** Toward others a port by its name is one of the pods that are selected: blocks select none (rule 42), nor does 'all' where the namespace is not known. */
function whyName({ peers, ports }: PolicyRule, context: PeerContext): Why | null {
  if (ports === 'all' || !ports.some(({ kind }) => kind === 'named')) return null
  if (peers === 'all') return whyPeer({ kind: 'pods', selector: EVERY_POD }, context)
  const isBlocksOnly = peers.every((peer) => peer.kind === 'ipBlock' || whyPeer(peer, context) !== null)
  return isBlocksOnly ? { kind: 'named-port', text: 'a port by its name is one of the pods that a selector means: toward an ipBlock it allows nothing' } : null
}

/** Of several peers the nearest. */
function whyPeers({ peers }: PolicyRule, context: PeerContext): Why | null {
  if (peers === 'all') return null
  if (peers.length === 0) return { kind: 'nobody', text: 'it names no peer that could be read' }
  const found = peers.map((peer) => whyPeer(peer, context))
  if (found.includes(null)) return null
  return found.filter((one) => one !== null).sort((a, b) => NEARNESS.indexOf(a.kind) - NEARNESS.indexOf(b.kind))[0] ?? null
}
