// The rows: what Picket keeps of each Kubernetes object, and of each network interface of the node.
//
// **Invariant:** rows are frozen and replaced, never edited. Lists are in the object's own order.
import type { Address, Cidr } from './ip.ts'
import type { Labels } from './labels.ts'
import type { LogWish } from './log-wish.ts'

export type Uid = string
export type PodUid = Uid
export type PolicyUid = Uid

export type Protocol = 'TCP' | 'UDP' | 'SCTP'
export const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP']

export interface NamedPort {
  readonly name: string
  readonly protocol: Protocol
  /** 1-65535 */
  readonly port: number
}

export interface Pod {
  readonly uid: PodUid
  readonly namespace: string
  readonly name: string
  readonly labels: Labels
  /** Name of the node that it was scheduled to; null while it has none. */
  readonly node: string | null
  /** status.podIPs, one a family at most in practice; empty while it has none. */
  readonly addresses: readonly Address[]
  readonly hostNetwork: boolean
  /** Succeeded or Failed: it keeps its addresses in the API and has none on the network (rule 93). */
  readonly finished: boolean
  /** It has a deletionTimestamp; it may still run (rule 96). */
  readonly terminating: boolean
  /** Milliseconds since 1970 of metadata.creationTimestamp; 0 where there is none. */
  readonly createdAt: number
  /** Container ports with a name, of containers and then of restartable init containers (rule 41), in their order. */
  readonly ports: readonly NamedPort[]
  /** What it may send as besides its own addresses: annotation `picket.dev/source-prefixes`. Honoured by config only. */
  readonly sourcePrefixes: readonly Cidr[]
  /** Of a mirror pod: the UID under which its kubelet runs it (annotation `kubernetes.io/config.mirror`). */
  readonly mirrors?: Uid
  /** Its addresses are those that its network plugin gave it, before the API says any. Set by the agent's gate only. */
  readonly given?: true
  /** Its addresses while it is in quarantine: nobody's then, and nothing may pass to or from them. Set by the store only. */
  readonly quarantined?: readonly Address[]
}

export interface Namespace {
  readonly uid: Uid
  readonly name: string
  /** Always with `kubernetes.io/metadata.name` (rule 21). */
  readonly labels: Labels
  /** Milliseconds since 1970 of metadata.creationTimestamp, 0 where there is none: tells it from a deleted one of the same name (rule 100). */
  readonly createdAt: number
  /** Of its annotations; absent where they say nothing. */
  readonly log?: LogWish
}

export interface Node {
  readonly uid: Uid
  readonly name: string
  readonly labels: Labels
  /** The IP addresses among status.addresses. */
  readonly addresses: readonly Address[]
  readonly podCidrs: readonly Cidr[]
  /** Annotation `picket.dev/egress-source`: from where pods' traffic leaves the cluster, one of each family at most. */
  readonly egressSources: readonly Address[]
  /** It is being deleted, or about to be (taint ToBeDeletedByClusterAutoscaler): load balancers are to send it nothing new. */
  readonly leaving: boolean
}

/** A network interface of this node, as rtnetlink tells it. Keyed by `index`, since names are used again. */
export interface HostInterface {
  readonly index: number
  readonly name: string
  /** IFLA_INFO_KIND: `veth`, `bridge`, `vxlan`, ...; empty for hardware. */
  readonly kind: string
  /** Index of the bridge or bond that it belongs to; 0 for none. */
  readonly master: number
  /** Its own addresses, link-local ones left out. */
  readonly addresses: readonly Address[]
  /** Destinations of the /32 and /128 routes that lead out of it, without its own addresses, link-local and multicast. */
  readonly hostRoutes: readonly Address[]
  /** Whether any wider route leads out of it (a subnet, a default route), link-local and multicast left out. */
  readonly hasWiderRoutes: boolean
  /** Of a bridge: the networks of its own addresses, in which its pods are. Empty for all others. */
  readonly networks: readonly Cidr[]
  /** Of a bridge's port: what is at its other end; null where that is not known, and for all others. */
  readonly behind: PortEnd | null
}

/** The pod's end of a bridge's port, as the kernel tells it of the pod's own namespace. */
export interface PortEnd {
  /** `02:00:00:00:00:01` */
  readonly mac: string
  /** Link-local ones left out; each is behind one port at most. */
  readonly addresses: readonly Address[]
}
