// What the plan of now says of a packet of a moment ago: the rule that came nearest, and which members of a union allow it.
//
// explain's own code and the judge are asked, so that a record says what `picket explain` says.
// **Invariant:** asked only while what was judged then is judged the same now, at most so often a second, and never about more rules
// than take a millisecond or so: otherwise there is no answer.
import type { FlowRecord } from '../flows/record.ts'
import { halfOf, type Called } from '../explain/half.ts'
import type { Planned } from '../explain/planned.ts'
import type { Address } from '../model/ip.ts'
import type { Pod } from '../model/objects.ts'
import type { Policy } from '../model/policy.ts'
import { Judge, type Packet } from '../policy/judge.ts'
import type { PlanRule } from '../policy/plan.ts'
import type { AuditHistory } from './history.ts'
import type { KnownProfile } from './history-profiles.ts'
import { samePod } from './pod-words.ts'

/** Questions in a second, and saved up. */
export const MOST_ASKED = 300
/** Rules, and their peers and ports. */
const MOST_PARTS = 500
const MOST_POLICIES = 100

export interface MissQuestion {
  readonly known: KnownProfile
  /** The end whose policies denied it. */
  readonly pod: Pod
  readonly packet: Packet
  readonly called: Called | null
  /** When it was: milliseconds since 1970. */
  readonly since: number
}

export class PlanOfNow {
  readonly #world: () => Planned | null
  readonly #history: AuditHistory
  #tokens = MOST_ASKED
  #filledAt = -Infinity

  /** `world` null: there is no plan, or it is not meant while others are tried. */
  constructor(world: () => Planned | null, history: AuditHistory) {
    this.#world = world
    this.#history = history
  }

  nearestMiss({ known, pod, packet, called, since }: MissQuestion, now: number): FlowRecord['nearest_miss'] {
    const { profile } = known
    const world = this.#asked(known, packet, since, now)
    const current = world?.snapshot.pods.get(pod.uid)
    if (world === null || current === undefined || !samePod(current, pod)) return null
    if (world.planFor(current)?.locals.get(pod.uid)?.attachment[profile.direction] !== profile.id) return null
    const address = profile.direction === 'ingress' ? packet.destination : packet.source
    const half = halfOf(world, profile.direction, { kind: 'pod', name: `${pod.namespace}/${pod.name}`, address, node: current.node, pod: current }, packet, called)
    const nearest = half.kind === 'denied' ? half.nearest[0] : undefined
    const uid = profile.policies.find(({ name }) => name === nearest?.rule.name)?.uid
    if (nearest === undefined || uid === undefined) return null
    const { namespace, name, index } = nearest.rule
    return { policy: { kind: 'NetworkPolicy', namespace, name, uid }, rule: index, why: nearest.why.map(({ text }) => text).join('; ').slice(0, MOST_TEXT) }
  }

  /** Of the rules those whose peer it is; null where nobody knows what was then. */
  matching(known: KnownProfile, rules: readonly PlanRule[], packet: Packet, since: number, now: number): readonly PlanRule[] | null {
    const world = this.#asked(known, packet, since, now)
    const pod = world === null ? undefined : [...world.snapshot.pods.where('address', known.profile.direction === 'ingress' ? packet.destination : packet.source)][0]
    const plan = world === null || pod === undefined ? null : world.planFor(pod)
    if (world === null || plan === null) return null
    const judge = new Judge(plan, world.snapshot, world.settings)
    const peer = judge.peerAt(peerOf(known, packet))
    return rules.filter((rule) => judge.namesPeer(rule, peer, packet))
  }

  #asked(known: KnownProfile, packet: Packet, since: number, now: number): Planned | null {
    const { policies, direction } = known.profile
    const world = known.ended !== null || policies.length > MOST_POLICIES ? null : this.#world()
    if (world === null || !this.#take(now)) return null
    const rows = policies.map(({ uid }) => world.snapshot.policies.get(uid))
    if (rows.includes(undefined) || partsOf(rows as Policy[], direction) > MOST_PARTS) return null
    return this.#history.isAsThen(peerOf(known, packet), policies.map(({ uid }) => uid), since) ? world : null
  }

  #take(now: number): boolean {
    this.#tokens = Math.min(MOST_ASKED, this.#tokens + Math.max(0, ((now - this.#filledAt) / 1000) * MOST_ASKED))
    this.#filledAt = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}

/** Characters of `why`. */
const MOST_TEXT = 300

function peerOf({ profile: { direction } }: KnownProfile, { source, destination }: Packet): Address {
  return direction === 'ingress' ? source : destination
}

function partsOf(policies: readonly Policy[], direction: 'ingress' | 'egress'): number {
  const size = (part: 'all' | readonly unknown[]): number => (part === 'all' ? 0 : part.length)
  return policies.flatMap((policy) => policy[direction]).reduce((sum, { peers, ports }) => sum + 1 + size(peers) + size(ports), 0)
}
