// NetworkPolicy (networking.k8s.io/v1), as Picket keeps it.
//
// **Invariant:** 'all' is written out and never an empty list: an empty list of peers or ports opens nothing (rule 23).
import type { Cidr } from './ip.ts'
import type { LabelSelector } from './labels.ts'
import type { LogWish } from './log-wish.ts'
import type { Pod, PolicyUid, Protocol } from './objects.ts'
import type { PodSelector } from './selector.ts'

export type Direction = 'ingress' | 'egress'
export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress']

export interface Policy {
  readonly uid: PolicyUid
  readonly namespace: string
  readonly name: string
  readonly generation: number
  /** Milliseconds since 1970 of metadata.creationTimestamp, which is whole seconds; 0 where there is none. Nothing is enforced by it. */
  readonly createdAt: number
  /** Which pods of its own namespace it selects (rule 6). */
  readonly pods: LabelSelector
  /** policyTypes, defaulted (rule 3). */
  readonly isolates: { readonly ingress: boolean; readonly egress: boolean }
  /** Empty where the direction is not isolated (rule 4). */
  readonly ingress: readonly PolicyRule[]
  readonly egress: readonly PolicyRule[]
  /** Of its annotations; absent where they say nothing. */
  readonly log?: LogWish
}

/** Peers AND ports (rule 31). */
export interface PolicyRule {
  /** Its place in the object, from 0: rules that could not be read leave holes. */
  readonly index: number
  readonly peers: 'all' | readonly Peer[]
  readonly ports: 'all' | readonly PolicyPort[]
}

export type Peer =
  | { readonly kind: 'pods'; readonly selector: PodSelector }
  | { readonly kind: 'ipBlock'; readonly cidr: Cidr; readonly except: readonly Cidr[] }

export type PolicyPort =
  /** Every port of the protocol (rule 30). */
  | { readonly kind: 'protocol'; readonly protocol: Protocol }
  /** `first` to `last`, both included, 1-65535. */
  | { readonly kind: 'range'; readonly protocol: Protocol; readonly first: number; readonly last: number }
  | { readonly kind: 'named'; readonly protocol: Protocol; readonly name: string }

/** A pod that policies select and that selectors match: hostNetwork pods are neither (rule 24), nor finished ones (rule 93). */
export function isPeer(pod: Pod): boolean {
  return !pod.hostNetwork && !pod.finished
}

/** The number of the first port with that name and protocol (rules 38, 40); null where there is none (rule 39). */
export function resolvePort(pod: Pod, protocol: Protocol, name: string): number | null {
  return pod.ports.find((p) => p.name === name && p.protocol === protocol)?.port ?? null
}

