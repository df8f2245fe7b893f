// The policy plan: what this node enforces, in Picket's own terms, before it becomes nftables.
//
// explain, the cutting of connections and the audit judge by this form, never by a second reading of the spec.
// **Invariant:** ids are made of what they name; PeerSet contents are told as deltas, complete where a set is new.
import type { Address, Cidr, Family, Range } from '../model/ip.ts'
import type { Changes } from '../model/changes.ts'
import type { PodUid, PolicyUid, Protocol } from '../model/objects.ts'
import type { Direction } from '../model/policy.ts'
import type { PodSelector } from '../model/selector.ts'
import type { Problem } from '../lib/problem.ts'
import type { Logged } from '../logging/wishes.ts'

/** Names the direction, the namespace, the policies and what their named ports mean on these pods. */
export type ProfileId = string
export type SetId = string

/** The set of policies that select a pod in one direction; pods with the same set share it. */
export interface Profile {
  readonly id: ProfileId
  readonly direction: Direction
  readonly namespace: string
  /** Sorted by namespace/name. */
  readonly policies: readonly { readonly uid: PolicyUid; readonly name: string }[]
  /** What is allowed, rule by rule; nothing else is. For explain. */
  readonly rules: readonly PlanRule[]
  /** The same, ordered by port, so that a packet visits only rules that could allow it. For the ruleset. */
  readonly dispatch: readonly PortClass[]
  /** Absent where nothing is. */
  readonly log?: ProfileLog
}

/** What is logged of a profile. */
export interface ProfileLog {
  /** What nothing allowed; null: not logged. */
  readonly denied: Logged | null
  /** New connections, by what allowed them: `CLASS.PEER`, indexes in the dispatch; peer `all` is 0. */
  readonly allowed: Readonly<Record<string, readonly PlaceLog[]>>
}

/** Ports of one class may be opened by rules of several policies, each with its own wish. */
export interface PlaceLog extends Logged {
  /** Null: all of the class. */
  readonly ports: readonly PlanPort[] | null
}

export interface PlanRule {
  readonly policy: PolicyUid
  /** The rule's place in the policy, from 0. */
  readonly index: number
  /** Where the ports are and who the peers are; both must hold. */
  readonly ports: 'all' | readonly PlanPort[]
  readonly peers: 'all' | readonly PlanPeer[]
}

/** `first`-`last`, both included; 0-65535 is the whole protocol. Named ports of the selected pod are numbers here. */
export interface PlanPort {
  readonly protocol: Protocol
  readonly first: number
  readonly last: number
}

/** Membership in a set: of addresses, or (pairs) of (address, protocol, port) where the rule's ports are 'all'. */
export interface PlanPeer {
  readonly kind: 'addresses' | 'pairs'
  readonly set: SetId
}

/** Ports with the same peers. `exact` classes lead through one hash map, the others are tried one after the other. */
export interface PortClass {
  readonly kind: 'exact' | 'range' | 'protocol' | 'all'
  /** Empty for `all`; sorted; one for `range` and `protocol`. */
  readonly ports: readonly PlanPort[]
  /** At most MAX_PEERS; beyond, they become one union. In the order of the rules that name them. */
  readonly peers: 'all' | readonly PlanPeer[]
  /**
   * For each of `peers` (for 'all': one) the rule that it counts for: the first of those that name it; several where a union joins the
   * peers of several rules. Absent: nothing is counted.
   */
  readonly by?: readonly (readonly RuleRef[])[]
}

/** A rule by its policy and its place there, from 0. */
export interface RuleRef {
  readonly policy: PolicyUid
  readonly index: number
}

export type PeerSet =
  | { readonly kind: 'pods'; readonly id: SetId; readonly selector: PodSelector }
  | { readonly kind: 'pairs'; readonly id: SetId; readonly selector: PodSelector; readonly protocol: Protocol; readonly port: string }
  | { readonly kind: 'cidrs'; readonly id: SetId; readonly place: Place }
  /** Everything in the sets `sources`, where one port has more than MAX_PEERS peers. What it holds is part of its id. */
  | { readonly kind: 'union'; readonly id: SetId; readonly holds: UnionContent; readonly profile: ProfileId; readonly ports: string; readonly sources: readonly SetId[] }

/** `ranges` where any source is CIDRs, `addresses` where all are pods, `pairs` where all are pairs. */
export type UnionContent = 'addresses' | 'ranges' | 'pairs'

/** Where a set of CIDRs stands: its name, while the CIDRs in it change. */
export interface Place {
  readonly policy: PolicyUid
  readonly namespace: string
  readonly name: string
  readonly direction: Direction
  readonly rule: number
  /** Of the policy's rules in that direction, their CIDRs left out. */
  readonly shape: string
}

/** One member: an address, a range, or an (address, protocol, port). `pods` sets hold addresses, `cidrs` and `union` ranges. */
export type Member =
  | { readonly kind: 'address'; readonly address: Address }
  | { readonly kind: 'pair'; readonly address: Address; readonly protocol: Protocol; readonly port: number }
  | ({ readonly kind: 'range'; readonly family: Family } & Range)

export interface MemberDelta {
  readonly added: readonly Member[]
  readonly removed: readonly Member[]
}

/** A union counts its members by source: what one source takes away, another may still hold. */
export interface UnionDelta extends MemberDelta {
  readonly source: SetId
}

/** How one local pod is attached, and what is enforced for it. */
export interface Attachment {
  readonly pod: PodUid
  readonly namespace: string
  readonly name: string
  /** Every address of the pod with what leads to it. An address that nothing leads to is missing here, and a problem. */
  readonly by: readonly HostKey[]
  /** Behind its interfaces, or its bridge's ports. */
  readonly sourcePrefixes: readonly Cidr[]
  readonly ingress: ProfileId | 'open'
  readonly egress: ProfileId | 'open'
  /** It is in quarantine: whatever policies say, nothing passes to or from what it is led by. */
  readonly closed: boolean
}

/** By the interface that has a host route to the address; or by the address alone, where the pod is on a bridge. */
export type HostKey =
  | { readonly via: 'interface'; readonly interface: string; readonly address: Address }
  | { readonly via: 'address'; readonly address: Address; readonly port: BridgePort | null }

/** Where frames of the address come from; null in a HostKey while the port is not found yet. */
export interface BridgePort {
  readonly index: number
  readonly name: string
  readonly mac: string
  /** The bridge's name, which inet sees in place of the port's. */
  readonly bridge: string
}

/** A port of a bridge with what the kernel says is behind it, whether a pod is known there or not. */
export interface PortBehind extends BridgePort {
  readonly addresses: readonly Address[]
}

/** The interfaces that are the pod's alone: none for a pod on a bridge. */
export function interfacesOf(attachment: Attachment | undefined): string[] {
  return (attachment?.by ?? []).flatMap((key) => (key.via === 'interface' ? [key.interface] : []))
}

/** The ports behind which the pod is. */
export function portsOf(attachment: Attachment): readonly BridgePort[] {
  const ports = attachment.by.flatMap((key) => (key.via === 'address' && key.port !== null ? [key.port] : []))
  return [...new Map(ports.map((port) => [port.name, port])).values()]
}

/** The bridges over which it is reached. */
export function bridgesOf(attachment: Attachment): readonly string[] {
  return [...new Set(portsOf(attachment).map((port) => port.bridge))]
}

export interface PlanDelta {
  readonly profiles: Changes<ProfileId, Profile>
  readonly attachments: Changes<PodUid, Attachment>
  /** The sets that a rule of some profile's dispatch names; those that only a union reads are not told. */
  readonly sets: Changes<SetId, PeerSet>
  /** A new set's whole content is `added`; the content of a set that went is not told. */
  readonly members: ReadonlyMap<SetId, MemberDelta>
  /** The same for unions, in order. */
  readonly unions: ReadonlyMap<SetId, readonly UnionDelta[]>
  /** Names of interfaces of a pod's kind that are not an unknown pod: local pods' and the node's own. */
  readonly knownInterfaces: { readonly added: readonly string[]; readonly removed: readonly string[] }
  /** By the port's index. */
  readonly ports: Changes<string, PortBehind>
  readonly problems: Changes<string, Problem>
}
