// What explain answers, as plain data: the same for people and for programs.
//
// **Invariant:** texts and numbers only, so that JSON says all of it; every denial says what denied and what came nearest.
import type { Problem } from '../lib/problem.ts'
import type { Address, Family } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import type { Direction } from '../model/policy.ts'

/** `some`: one family, port or endpoint is allowed, and another one is not. */
export type Verdict = 'allowed' | 'denied' | 'some'

export interface Answer {
  readonly verdict: Verdict
  readonly from: string
  readonly to: string
  readonly flows: readonly Flow[]
  /** Of the policies, pods and Services in question. */
  readonly problems: readonly Problem[]
}

/** One way that a new connection may take: of one family, protocol and range of ports that are all judged alike. */
export interface Flow {
  readonly verdict: Verdict
  readonly family: Family
  readonly source: Address
  /** On which it runs; null where that is not known, or it is outside. */
  readonly sourceNode: string | null
  readonly called: Address
  readonly protocol: Protocol
  /** As called, both included. */
  readonly ports: { readonly first: number; readonly last: number }
  /** Null where no Service has that address and port. */
  readonly service: ServiceStep | null
  /** One for each endpoint; none where the Service leads nowhere. */
  readonly legs: readonly Leg[]
}

/** `namespace` and `name` are null where no Service has an address that is one of Services. */
export interface ServiceStep {
  readonly namespace: string | null
  readonly name: string | null
  readonly outcome: 'translated' | 'no-such-service' | 'no-endpoint' | 'no-local-endpoint' | 'no-such-port' | 'source-range' | 'headless'
  readonly text: string
}

export interface Leg {
  readonly verdict: Exclude<Verdict, 'some'>
  /** After translation. */
  readonly destination: End
  readonly port: number
  /** What the destination takes for the source: the node's address, where it masquerades on the way to another one. */
  readonly seenAs: Address
  readonly egress: Half
  readonly ingress: Half
}

/** Whose address it is. */
export interface End {
  readonly kind: 'pod' | 'node' | 'external'
  /** `shop/web-1`, `n1`, or the address. */
  readonly name: string
  readonly address: Address
  /** On which it runs; null where that is not known, or it is outside. */
  readonly node: string | null
}

export interface PolicyName {
  readonly namespace: string
  readonly name: string
}

export interface RuleName extends PolicyName {
  readonly direction: Direction
  /** Its place in the policy, from 0. */
  readonly index: number
  readonly text: string
}

/** Whether the kernel of a pod's node does what is said of it. */
export interface Programmed {
  readonly node: string
  readonly state:
    /** Its agent judges the same, and its kernel holds that. */
    | 'programmed'
    /** Its agent judges the same, and its kernel is not as far. */
    | 'not-yet'
    /** Its agent judges otherwise: it has not heard of the newest change, or something stands in its way. */
    | 'otherwise'
    | 'not-asked'
  readonly text: string
}

/** On the pod's node, replies left out. */
export interface Count {
  readonly packets: number
  readonly bytes: number
}

/** `counted`: what the rule that allows it let pass in all, or what the pod was denied in that direction in all; absent where no agent was asked. `programmed`: of halves that policies hold for; absent where that is not asked: of a folder, and of policies that are not there yet. */
export type Half = Said & { readonly programmed?: Programmed; readonly counted?: Count }

type Said =
  /** Its own node judges it, which was not asked. */
  | { readonly kind: 'elsewhere'; readonly text: string }
  /** No policy applies there: outside the cluster, a node, or a pod on the network of its node. */
  | { readonly kind: 'no-policy'; readonly text: string }
  | { readonly kind: 'not-isolated'; readonly text: string }
  /** Allowed whatever policies say. */
  | { readonly kind: 'exempt'; readonly text: string }
  | { readonly kind: 'allowed'; readonly text: string; readonly by: RuleName; readonly also: readonly RuleName[]; readonly isolatedBy: readonly PolicyName[] }
  | { readonly kind: 'denied'; readonly text: string; readonly isolatedBy: readonly PolicyName[]; readonly nearest: readonly Miss[] }

/** A rule that did not allow it, and all that kept it from doing so. */
export interface Miss {
  readonly rule: RuleName
  readonly why: readonly Why[]
}

export type WhyKind =
  /** The rule allows the port of the Service; policies see the endpoint's. */
  | 'service-port'
  /** Its block holds the address of the Service; policies see the endpoint's. */
  | 'service-address'
  | 'port'
  | 'protocol'
  | 'named-port'
  | 'except'
  | 'pod-labels'
  | 'namespace-labels'
  | 'namespace'
  | 'namespace-and-pod-labels'
  | 'ip-block'
  | 'family'
  | 'not-a-pod'
  | 'nobody'
  /** The plan says otherwise than the policy's text: a mistake of ours. */
  | 'compiled'

export interface Why {
  readonly kind: WhyKind
  readonly text: string
}

export function verdictOf(all: readonly Verdict[]): Verdict {
  if (all.length > 0 && all.every((one) => one === 'allowed')) return 'allowed'
  return all.every((one) => one === 'denied') ? 'denied' : 'some'
}
