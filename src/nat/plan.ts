// What the Service NAT of one node comes to, as data: which address leads to which list of endpoints.
//
// Pure nouns; step.ts makes them, ruleset/services.ts turns them into elements.
// **Invariant:** a (client, address, protocol, port) has one entry at most, whoever claims it; a list's slots are dense.
import type { Problem } from '../lib/problem.ts'
import type { Changes } from '../model/changes.ts'
import type { Address, Cidr, Family } from '../model/ip.ts'
import type { Protocol, Uid } from '../model/objects.ts'
import type { UdpPort } from './stale.ts'
import type { Target } from './targets.ts'

/** Who asks: internal and external policy, and masquerade, differ by it. */
export type Client = 'pod' | 'outside' | 'node'
export const CLIENTS: readonly Client[] = ['pod', 'outside', 'node']

/** Number of a list of endpoints, 1 to `mostLists`: what the conntrack mark carries. */
export type ListId = number

/** Stands for a length that some list has, 1 to `mostSizes`: the mark has few bits for it. */
export type SizeCode = number

export interface EndpointList {
  readonly id: ListId
  readonly protocol: Protocol
  /** Seconds that a client stays with its endpoint; null: each connection anew. */
  readonly affinity: number | null
  /** By index, dense; the two families are two lists of one number. */
  readonly slots: Readonly<Record<Family, readonly Target[]>>
  /** What stands for each one's length in the mark; 0 where it is empty. */
  readonly sizes: Readonly<Record<Family, SizeCode>>
}

export interface ServiceEntry {
  readonly client: Client
  readonly address: Address
  readonly protocol: Protocol
  readonly port: number
  /** `reject`: no usable endpoint on any node; `drop`: there are some, and the local policy leaves none. */
  readonly to: ListId | 'reject' | 'drop'
  /** The endpoint sees the node's address. */
  readonly masquerade: boolean
}

/** A load balancer's port that only some may reach. */
export interface RestrictedPort {
  readonly address: Address
  readonly protocol: Protocol
  readonly port: number
  /** Disjoint, of the address's family; empty: nobody. */
  readonly ranges: readonly Cidr[]
}

/** All that one Service is on this node. */
export interface PlannedService {
  readonly uid: Uid
  readonly namespace: string
  readonly name: string
  readonly entries: readonly ServiceEntry[]
  readonly lists: readonly EndpointList[]
  /** Those that are its own: unknown ports of them are rejected. */
  readonly clusterIps: readonly Address[]
  readonly restricted: readonly RestrictedPort[]
  /** Of the addresses that are this one's; none where it has no port of UDP. */
  readonly udp: readonly UdpPort[]
  /** healthCheckNodePort, and how many endpoints of it this node has. */
  readonly health: { readonly port: number; readonly localEndpoints: number } | null
}

export interface NatDelta {
  readonly services: Changes<Uid, PlannedService>
  readonly problems: Changes<string, Problem>
}
