// (source, destination, protocol, port) -> allowed or not, and by which rule: the plan's own form, read for one packet.
//
// The cutting of connections judges by this, and explain: neither reads the specification a second time. It says
// what the table says of a first packet that crosses the node: after DNAT, before SNAT, both stages (rule 8).
// **Invariant:** allowed here is accepted there, for every packet: a property test holds it against the compiled table.
import { familyOf, toBits, type Address } from '../model/ip.ts'
import { contains } from '../model/ip.ts'
import type { Pod, Protocol } from '../model/objects.ts'
import type { Direction } from '../model/policy.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { bridgesOf, interfacesOf, type Attachment, type PlanRule, type Profile, type ProfileId } from './plan.ts'
import type { PeerFacts } from './sets.ts'
import type { PolicyPlan } from './step.ts'

export interface Packet {
  readonly source: Address
  readonly destination: Address
  /** Null: a protocol without ports. Only rules without `ports` allow it (rule 88). */
  readonly protocol: Protocol | null
  /** The destination's; 0 where there are none. */
  readonly port: number
}

/** What one pod's policies of one direction say. */
export type Side =
  /** No pod of this node, or none that is attached. */
  | { readonly kind: 'not-here' }
  /** No policy isolates the pod in this direction (rule 1). */
  | { readonly kind: 'open'; readonly pod: Attachment }
  | { readonly kind: 'allowed'; readonly pod: Attachment; readonly profile: ProfileId; readonly rule: PlanRule }
  | { readonly kind: 'denied'; readonly pod: Attachment; readonly profile: ProfileId }
  /** Several pods are behind the interface, or have the source prefix: nothing is allowed. */
  | { readonly kind: 'ambiguous'; readonly pod: Attachment }
  /** It is in quarantine. */
  | { readonly kind: 'closed'; readonly pod: Attachment }

export interface Judgement {
  readonly allowed: boolean
  readonly egress: Side
  readonly ingress: Side
}

/** What is known of an address, so that it is looked up once. */
interface End extends PeerFacts {
  readonly address: Address
  readonly attachment: Attachment | null
  /** Several pods are behind its interface. */
  readonly isAmbiguous: boolean
  /** Others of its bridge with the same source prefix. */
  readonly others: readonly Attachment[]
  /** Found by an address of its own, not by a source prefix. */
  readonly isOwn: boolean
  readonly isNode: boolean
}

export interface JudgeOptions {
  /** Whether egress policy applies to what a pod sends to its own node (rule 61). */
  readonly nodeEgress: 'allow' | 'enforce'
}

const NOT_HERE: Side = Object.freeze({ kind: 'not-here' })

/** For one state of the plan: make another one after each step. Remembers the ends that it looked up. */
export class Judge {
  readonly #plan: PolicyPlan
  readonly #snapshot: Snapshot
  readonly #options: JudgeOptions
  readonly #ends = new Map<Address, End>()
  readonly #prefixes: readonly Attachment[]

  constructor(plan: PolicyPlan, snapshot: Snapshot, options: JudgeOptions) {
    this.#plan = plan
    this.#snapshot = snapshot
    this.#options = options
    const prefixes = [...plan.locals.values()].map((local) => local.attachment).filter((a) => a.sourcePrefixes.length > 0 && a.by.length > 0)
    // As in the table, where two overlap and one is in quarantine: it closes what is left.
    this.#prefixes = prefixes.filter((a) => !a.closed).concat(prefixes.filter((a) => a.closed))
  }

  judge(packet: Packet): Judgement {
    const from = this.#end(packet.source)
    const to = this.#end(packet.destination)
    // "Traffic from the node on which the pod runs is always allowed" (rule 58), and a pod to itself (rule 62).
    const untouched = from.isNode || (to.isNode && this.#options.nodeEgress === 'allow') || (from.address === to.address && from.isOwn && from.attachment?.closed !== true)
    const egress = untouched ? passing(from) : this.#side('egress', from, to, packet)
    const ingress = untouched ? passing(to) : this.#side('ingress', to, from, packet)
    return { allowed: isAllowed(egress) && isAllowed(ingress), egress, ingress }
  }

  /** The same facts by which a rule's peers are judged. Valid as long as the judge. */
  peerAt(address: Address): PeerFacts {
    return this.#end(address)
  }

  #side(direction: Direction, subject: End, peer: End, packet: Packet): Side {
    const pod = subject.attachment
    if (pod === null) return NOT_HERE
    if (pod.closed) return { kind: 'closed', pod }
    if (subject.isAmbiguous || subject.others.some((other) => other[direction] !== pod[direction])) return { kind: 'ambiguous', pod }
    const id = pod[direction]
    if (id === 'open') return { kind: 'open', pod }
    const rule = this.#ruleFor(this.#plan.profiles.get(id), peer, packet)
    return rule === null ? { kind: 'denied', pod, profile: id } : { kind: 'allowed', pod, profile: id, rule }
  }

  /** Rules are ORed and their order never matters (rule 7): the first that allows it; null where none does. */
  #ruleFor(profile: Profile | undefined, peer: End, packet: Packet): PlanRule | null {
    for (const rule of profile?.rules ?? []) if (namesPort(rule, packet) && this.namesPeer(rule, peer, packet)) return rule
    return null
  }

  /** Whether the peer is one of the rule's; its ports are another question (namesPort). */
  namesPeer(rule: PlanRule, peer: PeerFacts, { protocol, port }: Packet): boolean {
    if (rule.peers === 'all') return true
    const { sets } = this.#plan
    return rule.peers.some(({ set }) => sets.contains(set, peer, protocol, port, this.#snapshot.selectors))
  }

  #end(address: Address): End {
    const known = this.#ends.get(address)
    if (known !== undefined) return known
    const family = familyOf(address)
    const bits = toBits(address)
    const found = [...this.#snapshot.pods.where('address', address)]
    const own = this.#attachedAs(found, address)
    const prefixed = own === null ? this.#prefixes.filter((a) => a.sourcePrefixes.some((p) => p.family === family && contains(p, bits))) : []
    const [attachment, ...rest] = own === null ? prefixed : [own]
    const bridges = attachment === undefined ? [] : bridgesOf(attachment)
    const others = bridges.length === 0 ? [] : rest.filter((other) => !other.closed && bridgesOf(other).some((name) => bridges.includes(name)))
    // One in quarantine is nobody's peer.
    const pods = found.filter((pod) => pod.addresses.includes(address))
    const isNode = own === null && this.#plan.isOfNode(address, this.#snapshot)
    const isAmbiguous = interfacesOf(attachment).some((name) => this.#plan.behind(name).size > 1)
    const end: End = { address, family, bits, pods, attachment: attachment ?? null, isAmbiguous, others, isOwn: own !== null, isNode }
    this.#ends.set(address, end)
    return end
  }

  #attachedAs(pods: readonly Pod[], address: Address): Attachment | null {
    for (const pod of pods) {
      const attachment = this.#plan.locals.get(pod.uid)?.attachment
      if (attachment?.by.some((key) => key.address === address) === true) return attachment
    }
    return null
  }
}

export function namesPort({ ports }: PlanRule, { protocol, port }: Packet): boolean {
  return ports === 'all' || ports.some((p) => p.protocol === protocol && p.first <= port && port <= p.last)
}

function passing({ attachment }: End): Side {
  return attachment === null ? NOT_HERE : { kind: 'open', pod: attachment }
}

function isAllowed(side: Side): boolean {
  return side.kind === 'not-here' || side.kind === 'open' || side.kind === 'allowed'
}
