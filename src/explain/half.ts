// One end of a packet's way: what the policies of that pod say of it, with the rules that decide or came nearest.
//
// The judge that cuts connections is asked, with the plan of the pod's own node.
// **Invariant:** whether it is allowed is the judge's word alone; everything else here only says why.
import { type Address, familyOf } from '../model/ip.ts'
import type { Pod } from '../model/objects.ts'
import type { Direction } from '../model/policy.ts'
import { Judge, type Packet, type Side } from '../policy/judge.ts'
import type { PlanRule, Profile } from '../policy/plan.ts'
import type { Half, PolicyName, RuleName } from './answer.ts'
import { allowing, misses, type Trial } from './misses.ts'
import type { Place } from './places.ts'
import { ruleName } from './rule-text.ts'
import type { Planned } from './planned.ts'

/** What a packet was before a Service changed it; null where none did. */
export interface Called {
  readonly address: Address
  readonly port: number
}

/** `subject` is the end whose policies are asked, `packet` as that end sees it. */
export function halfOf(world: Planned, direction: Direction, subject: Place, packet: Packet, called: Called | null): Half {
  const { pod } = subject
  if (pod === null) return { kind: 'no-policy', text: subject.kind === 'node' ? `node ${subject.name}: no policy holds for what is on the network of a node` : `${subject.address} is of no pod: no policy holds there` }
  const plan = world.planFor(pod)
  if (plan === null) return { kind: 'elsewhere', text: `${pod.namespace}/${pod.name} runs on ${pod.node === null ? 'no node' : `node ${pod.node}`}, whose agent judges it: ask there` }
  const judge = new Judge(plan, world.snapshot, world.settings)
  const side = judge.judge(packet)[direction]
  // By interface, one in quarantine is an unknown pod to the judge; that denies, too.
  if (side.kind === 'closed' || pod.quarantined !== undefined) return { kind: 'denied', text: `${pod.namespace}/${pod.name} is in quarantine: the kernel refused what belongs to it, and nothing passes`, isolatedBy: [], nearest: [] }
  if (side.kind === 'ambiguous') return { kind: 'denied', text: `${pod.namespace}/${pod.name} cannot be told from other pods behind its interface: nothing passes`, isolatedBy: [], nearest: [] }
  const profileId = side.kind === 'not-here' ? 'open' : side.pod[direction]
  const profile = profileId === 'open' ? undefined : plan.profiles.get(profileId)
  if (profile === undefined || side.kind === 'open' || side.kind === 'not-here') return passing(pod, direction, packet, side)
  const trial = trialOf(world, judge, profile, packet, called)
  const isolatedBy = profile.policies.map(({ name }) => ({ namespace: profile.namespace, name }))
  if (side.kind === 'allowed') return allowed(world, side.rule, trial, isolatedBy)
  return { kind: 'denied', text: `${counted(isolatedBy)} for ${direction}, and no rule allows this`, isolatedBy, nearest: misses(trial) }
}

function passing(pod: Pod, direction: Direction, packet: Packet, side: Side): Half {
  const title = `${pod.namespace}/${pod.name}`
  if (side.kind !== 'open') return { kind: 'no-policy', text: `${title} has no address that policies hold for` }
  if (side.pod[direction] === 'open') return { kind: 'not-isolated', text: `no policy isolates ${title} for ${direction}` }
  const why = packet.source === packet.destination ? 'a pod always reaches itself' : 'a pod and the node that it runs on always reach each other'
  return { kind: 'exempt', text: why }
}

function trialOf({ snapshot }: Planned, judge: Judge, profile: Profile, packet: Packet, called: Called | null): Trial {
  const address = profile.direction === 'ingress' ? packet.source : packet.destination
  const peer = { snapshot, peer: judge.peerAt(address), address, serviceAddress: profile.direction === 'egress' ? sameFamily(called?.address, address) : null }
  const port = { packet, pods: judge.peerAt(packet.destination).pods, servicePort: called !== null && called.port !== packet.port ? called.port : null }
  return { judge, snapshot, profile, packet, peer, port }
}

function sameFamily(called: Address | undefined, address: Address): Address | null {
  return called !== undefined && familyOf(called) === familyOf(address) ? called : null
}

function allowed(world: Planned, rule: PlanRule, trial: Trial, isolatedBy: readonly PolicyName[]): Half {
  const by = nameOf(world, rule, trial)
  const also = allowing(trial).filter((one) => one.name !== by.name || one.index !== by.index)
  return { kind: 'allowed', text: `allowed by ${by.namespace}/${by.name} ${by.direction}[${by.index}]`, by, also, isolatedBy }
}

function nameOf({ snapshot }: Planned, { policy: uid, index }: PlanRule, { profile: { direction, namespace, policies } }: Trial): RuleName {
  const policy = snapshot.policies.get(uid)
  const rule = policy?.[direction].find((one) => one.index === index)
  if (policy !== undefined && rule !== undefined) return ruleName(policy, direction, rule)
  return { namespace, name: policies.find((one) => one.uid === uid)?.name ?? uid, direction, index, text: '' }
}

function counted(isolatedBy: readonly PolicyName[]): string {
  const [first, ...more] = isolatedBy
  return `isolated by ${first === undefined ? 'nobody' : `${first.namespace}/${first.name}`}${more.length === 0 ? '' : ` (+${more.length})`}`
}
