// The addresses under which one port of a Service is reached, besides its endpoints.
//
// **Invariant:** an (address, port) stands once, as the first of the kinds below that it is.
import type { Address } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import type { Service, ServicePort } from '../model/service.ts'
import { targetKey, type Target } from './targets.ts'

export interface VirtualAddress extends Target {
  readonly kind: 'cluster-ip' | 'external-ip' | 'load-balancer' | 'node-port'
  /** Of the Service, for people. */
  readonly field: string
}

export function virtualAddresses(service: Service, { port, nodePort }: ServicePort, nodePortAddresses: readonly Address[]): readonly VirtualAddress[] {
  const all: VirtualAddress[] = [
    ...service.clusterIps.map((address) => ({ kind: 'cluster-ip' as const, address, port, field: 'spec.clusterIPs' })),
    ...service.loadBalancerIps.map((address) => ({ kind: 'load-balancer' as const, address, port, field: 'status.loadBalancer.ingress' })),
    ...service.externalIps.map((address) => ({ kind: 'external-ip' as const, address, port, field: 'spec.externalIPs' })),
    ...(nodePort === null ? [] : nodePortAddresses.map((address) => ({ kind: 'node-port' as const, address, port: nodePort, field: 'spec.ports' }))),
  ]
  const found = new Map<string, VirtualAddress>()
  for (const one of all) if (!found.has(targetKey(one))) found.set(targetKey(one), one)
  return [...found.values()]
}

/** What two Services cannot both have. */
export function claimKey(address: Address, protocol: Protocol, port: number): string {
  return `${address} ${protocol} ${port}`
}
