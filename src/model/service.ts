// Service and EndpointSlice, as Picket keeps them: what leads a packet from a virtual address to a pod.
//
// **Invariant:** what a field may leave out is written out (a policy is Cluster, an endpoint ready); lists are in the object's own
// order, without repeats. Who serves whom is decided in nat/.
import type { Address, Cidr, Family } from './ip.ts'
import type { Protocol, Uid } from './objects.ts'

export interface ServicePort {
  /** Empty where there is one port only; slices name it. */
  readonly name: string
  readonly protocol: Protocol
  /** 1-65535 */
  readonly port: number
  /** null: none */
  readonly nodePort: number | null
}

export interface Service {
  readonly uid: Uid
  readonly namespace: string
  readonly name: string
  /** Milliseconds since 1970 of metadata.creationTimestamp; 0 where there is none. The older of two claims wins. */
  readonly createdAt: number
  /**
   * False: nothing is translated for it. ExternalName, headless (clusterIP None), one of another proxy
   * (label service.kubernetes.io/service-proxy-name), or without any address yet.
   */
  readonly proxied: boolean
  readonly clusterIps: readonly Address[]
  readonly externalIps: readonly Address[]
  /** Of status.loadBalancer.ingress, those with an address and ipMode VIP (the default); none unless type LoadBalancer. */
  readonly loadBalancerIps: readonly Address[]
  /** Who may reach the load balancer's addresses; null: anybody. Empty, where none of them could be read: nobody. */
  readonly sourceRanges: readonly Cidr[] | null
  readonly ports: readonly ServicePort[]
  readonly internalPolicy: 'Cluster' | 'Local'
  readonly externalPolicy: 'Cluster' | 'Local'
  /** Seconds, 1-86400, that sessionAffinity ClientIP lasts; null: None. */
  readonly affinity: number | null
  /** Where the local endpoints' health is told (type LoadBalancer, externalTrafficPolicy Local); null: nowhere. */
  readonly healthCheckNodePort: number | null
}

export interface EndpointSlice {
  readonly uid: Uid
  readonly namespace: string
  readonly name: string
  /** Of label kubernetes.io/service-name; null: nobody's. */
  readonly service: string | null
  readonly family: Family
  readonly ports: readonly EndpointPort[]
  readonly endpoints: readonly Endpoint[]
}

export interface EndpointPort {
  readonly name: string
  readonly protocol: Protocol
  /** 1-65535 */
  readonly port: number
}

export interface Endpoint {
  /** The first of its addresses: "consumers must handle ... not more than the first" (they are of one pod). */
  readonly address: Address
  /** True where absent. */
  readonly ready: boolean
  /** True where absent. */
  readonly serving: boolean
  readonly terminating: boolean
  readonly node: string | null
  /** hints.forZones, hints.forNodes; null where it has none. */
  readonly zoneHints: readonly string[] | null
  readonly nodeHints: readonly string[] | null
}

/** `shop/web`: what a slice and its Service have in common. */
export function serviceKey(namespace: string, name: string): string {
  return `${namespace}/${name}`
}
