// What each Service of a playground is given: ClusterIPs, node ports, an address of a load balancer.
//
// ServiceFacts -> GivenAddresses: the API server's allocators and a cloud's load balancer. **Invariant:** a Service keeps what it was
// given for as long as it is there; no two have an address or a node port in common; what the folder says itself is kept.
import { type Address, type Cidr, type Family, familyOf, FAMILIES, fromBits, parseCidr } from '../model/ip.ts'
import type { PortFacts, ServiceFacts } from './service-facts.ts'

export interface GivenAddresses {
  /** One a family, the primary first; none of a headless Service. */
  readonly clusterIps: readonly Address[]
  /** Of each port in order; null: none. */
  readonly nodePorts: readonly (number | null)[]
  /** Null: none. */
  readonly healthCheckNodePort: number | null
  readonly loadBalancerIps: readonly Address[]
}

/** [IPv4, IPv6]. */
export const SERVICE_RANGES: readonly Cidr[] = ['10.96.0.0/16', 'fd00:96::/112'].map((text) => parseCidr(text) as Cidr)
/** Where a cloud's load balancers would have their addresses: TEST-NET-2, and a private range. */
const LOAD_BALANCER_RANGES: readonly Cidr[] = ['198.51.100.0/24', 'fd00:98::/112'].map((text) => parseCidr(text) as Cidr)
const FIRST_HOST = 10n
const NODE_PORTS = { first: 30_000, last: 32_767 } as const

export class ServiceAddresses {
  /** Service and what it is for (`shop/web ip 4`, `shop/web port 80/TCP`) -> what was given. */
  readonly #given = new Map<string, string>()

  /** `services`: all that there are now; whatever others were given is free again. */
  give(services: readonly ServiceFacts[]): ReadonlyMap<string, GivenAddresses> {
    const keys = new Set(services.map(({ key }) => key))
    for (const purpose of this.#given.keys()) if (!keys.has(purpose.split(' ')[0] as string)) this.#given.delete(purpose)
    const taken = new Set<string>(services.flatMap((one) => [
      ...one.clusterIps, ...one.loadBalancerIps, ...one.externalIps, ...one.ports.flatMap(({ protocol, nodePort }) => (nodePort === null ? [] : [`${nodePort}/${protocol}`])),
    ]))
    for (const value of this.#given.values()) taken.add(value)
    return new Map(services.map((one) => [one.key, this.#giveOne(one, taken)]))
  }

  #giveOne(service: ServiceFacts, taken: Set<string>): GivenAddresses {
    const { key, type, headless, families, clusterIps, ports, localOnly, loadBalancerIps } = service
    const balanced = type === 'LoadBalancer'
    const own = type !== 'ExternalName' && !headless
    return {
      clusterIps: own ? families.map((family) => clusterIps.find((one) => familyOf(one) === family) ?? this.#address(`${key} ip ${family}`, family, SERVICE_RANGES, taken)) : [],
      nodePorts: ports.map((port) => (balanced || type === 'NodePort' ? (port.nodePort ?? this.#nodePort(`${key} port ${portKey(port)}`, port.protocol, taken)) : null)),
      healthCheckNodePort: balanced && localOnly ? this.#nodePort(`${key} health`, 'TCP', taken) : null,
      loadBalancerIps: balanced && loadBalancerIps.length === 0 ? families.map((family) => this.#address(`${key} lb ${family}`, family, LOAD_BALANCER_RANGES, taken)) : loadBalancerIps,
    }
  }

  #address(purpose: string, family: Family, ranges: readonly Cidr[], taken: Set<string>): Address {
    const { first, last } = ranges[FAMILIES.indexOf(family)] as Cidr
    return this.#take(purpose, taken, function* () {
      for (let bits = first + FIRST_HOST; bits < last; bits++) yield fromBits(family, bits)
    })
  }

  #nodePort(purpose: string, protocol: string, taken: Set<string>): number {
    const given = this.#take(purpose, taken, function* () {
      for (let port: number = NODE_PORTS.first; port <= NODE_PORTS.last; port++) yield `${port}/${protocol}`
    })
    return Number(given.split('/')[0])
  }

  /** What was given before; else the first that is free. */
  #take(purpose: string, taken: Set<string>, all: () => Iterable<string>): string {
    const known = this.#given.get(purpose)
    if (known !== undefined) return known
    for (const one of all()) {
      if (taken.has(one)) continue
      taken.add(one)
      this.#given.set(purpose, one)
      return one
    }
    throw new Error(`nothing is left to give for ${purpose}`)
  }
}

function portKey({ port, protocol }: PortFacts): string {
  return `${port}/${protocol}`
}
