// One Service and its endpoints -> what it is on this node: entries, lists, who may reach its load balancer, who serves its UDP.
//
// The decision procedure, field by field. **Invariant:** a port that has usable endpoints somewhere is never rejected, one
// that has none anywhere never dropped; nothing is masqueraded where a policy Local keeps the client's address.
import type { Problem } from '../lib/problem.ts'
import { familyOf, FAMILIES, hostCidr, type Address, type Family } from '../model/ip.ts'
import type { Service, ServicePort } from '../model/service.ts'
import { endpointSets, needsOf, type EndpointSets, type Where } from './endpoints.ts'
import { entryKey } from './memory.ts'
import type { MergedEndpoints, PortEndpoint } from './merged.ts'
import { CLIENTS, type Client, type EndpointList, type ListId, type PlannedService, type RestrictedPort, type ServiceEntry } from './plan.ts'
import type { UdpEndpoint, UdpPort } from './stale.ts'
import { targetKey, type Target } from './targets.ts'
import { claimKey, virtualAddresses, type VirtualAddress } from './virtual.ts'

export interface CompileContext {
  readonly where: Where
  readonly nodePortAddresses: readonly Address[]
  readonly masqueradeAll: boolean
  /** Null where the key is this Service's; otherwise the title of whose it is. */
  readonly heldBy: (key: string) => string | null
  /** The list of that port and kind with these endpoints, to which `entries` lead (entryKey); why there is no room for it. */
  readonly listOf: (port: ServicePort, kind: ListKind, targets: Readonly<Record<Family, readonly Target[]>>, entries: () => Iterable<string>) => EndpointList | string
}

/** Of the whole cluster, or of this node. */
export type ListKind = 'cluster' | 'local'

export interface Compiled {
  readonly planned: PlannedService
  readonly problems: readonly Problem[]
}

type Goal = ListId | 'reject' | 'drop'
interface Goals {
  readonly cluster: Goal
  readonly local: Goal
}

export function compileService(service: Service, merged: MergedEndpoints, context: CompileContext): Compiled {
  return new Compilation(service, merged, context).run()
}

class Compilation {
  readonly #service: Service
  readonly #merged: MergedEndpoints
  readonly #context: CompileContext
  readonly #entries: ServiceEntry[] = []
  readonly #lists: EndpointList[] = []
  readonly #restricted: RestrictedPort[] = []
  readonly #udp: UdpPort[] = []
  readonly #localAddresses: Readonly<Record<Family, Set<Address>>> | null
  readonly #problems = new Map<string, Problem>()
  /** ClusterIPs, and keys (claimKey) of the other addresses' ports: those are often a node's, on which others listen, too. */
  readonly #own: ReadonlySet<string>

  constructor(service: Service, merged: MergedEndpoints, context: CompileContext) {
    this.#service = service
    this.#merged = merged
    this.#context = context
    this.#localAddresses = service.healthCheckNodePort === null ? null : { 4: new Set(), 6: new Set() }
    const external = [...service.externalIps, ...service.loadBalancerIps]
    this.#own = new Set([...service.clusterIps, ...service.ports.flatMap(({ protocol, port }) => external.map((address) => claimKey(address, protocol, port)))])
  }

  run(): Compiled {
    const { uid, namespace, name, clusterIps, healthCheckNodePort } = this.#service
    for (const port of this.#service.ports) this.#port(port)
    const here = this.#localAddresses
    // A pod with an address of each family is one endpoint.
    const health = healthCheckNodePort === null || here === null ? null : { port: healthCheckNodePort, localEndpoints: Math.max(here[4].size, here[6].size) }
    const planned = { uid, namespace, name, entries: exact(this.#entries), lists: exact(this.#lists), clusterIps, restricted: exact(this.#restricted), udp: exact(this.#udp), health }
    return { planned: Object.freeze(planned), problems: [...this.#problems.values()] }
  }

  #port(port: ServicePort): void {
    const virtual = virtualAddresses(this.#service, port, this.#context.nodePortAddresses)
    const external = virtual.some(({ kind }) => kind !== 'cluster-ip')
    const needs = needsOf(this.#service.internalPolicy, this.#service.externalPolicy, external || port.nodePort !== null)
    const families = FAMILIES.filter((family) => this.#service.clusterIps.some((address) => familyOf(address) === family))
    const endpoints = new Map(families.map((family) => [family, this.#endpoints(port, family)]))
    const sets = new Map([...endpoints].map(([family, all]) => [family, endpointSets(all, this.#context.where, needs)]))
    const goals = this.#goals(port, virtual, sets)
    for (const [family, all] of endpoints) this.#countLocal(family, all)
    const served = port.protocol === 'UDP' ? new Map([...endpoints].map(([family, all]) => [family, all.map(udpEndpoint)])) : null
    for (const one of virtual) {
      const family = familyOf(one.address)
      const goal = goals.get(family)
      if (goal === undefined) this.#foreignFamily(one)
      else if (this.#isOurs(one, port)) {
        this.#enter(one, port, goal)
        const serves = served?.get(family)
        if (serves !== undefined) this.#udp.push({ address: one.address, port: one.port, endpoints: serves })
      }
    }
  }

  #countLocal(family: Family, endpoints: readonly PortEndpoint[]): void {
    if (this.#localAddresses === null) return
    for (const { address, ready, node } of endpoints) if (ready && node !== null && node === this.#context.where.node) this.#localAddresses[family].add(address)
  }

  /** Those that may serve: an endpoint that is the Service's own address would lead nowhere. */
  #endpoints(port: ServicePort, family: Family): readonly PortEndpoint[] {
    return this.#merged.of(port.name, port.protocol, family).filter((endpoint) => {
      if (!this.#own.has(endpoint.address) && !this.#own.has(claimKey(endpoint.address, port.protocol, endpoint.port))) return true
      this.#problem('EndpointIsService', undefined, `its endpoint ${targetKey(endpoint)} is an address of the Service itself; it is left out`)
      return false
    })
  }

  #goals(port: ServicePort, virtual: readonly VirtualAddress[], sets: ReadonlyMap<Family, EndpointSets<PortEndpoint>>): ReadonlyMap<Family, Goals> {
    const targets = (kind: ListKind): Readonly<Record<Family, readonly Target[]>> => ({ 4: sets.get(4)?.[kind] ?? [], 6: sets.get(6)?.[kind] ?? [] })
    const list = (kind: ListKind): ListId | null => this.#list(port, kind, targets(kind), () => this.#leading(virtual, port, kind))
    const lists = { cluster: list('cluster'), local: list('local') }
    const goal = (kind: ListKind, set: EndpointSets<PortEndpoint>): Goal => {
      // "usable ones exist but the local policy leaves none: drop", and elsewhere "no usable endpoint on any node: reject".
      if ((set[kind] ?? []).length === 0) return set.hasAny ? 'drop' : 'reject'
      return lists[kind] ?? 'reject'
    }
    return new Map([...sets].map(([family, set]) => [family, { cluster: goal('cluster', set), local: goal('local', set) }]))
  }

  *#leading(virtual: readonly VirtualAddress[], port: ServicePort, kind: ListKind): Iterable<string> {
    for (const one of virtual) for (const client of CLIENTS) if (this.#policy(one, client).kind === kind) yield entryKey(client, one.address, port.protocol, one.port)
  }

  #list(port: ServicePort, kind: ListKind, targets: Readonly<Record<Family, readonly Target[]>>, entries: () => Iterable<string>): ListId | null {
    if (targets[4].length + targets[6].length === 0) return null
    const list = this.#context.listOf(port, kind, targets, entries)
    if (typeof list === 'string') {
      this.#problem('ServiceDoesNotFit', 'spec.ports', `${list}; port ${port.port}/${port.protocol} is rejected on this node`)
      return null
    }
    this.#lists.push(list)
    return list.id
  }

  #isOurs(one: VirtualAddress, port: ServicePort): boolean {
    const holder = this.#context.heldBy(claimKey(one.address, port.protocol, one.port))
    if (holder === null) return true
    const where = targetKey(one)
    this.#problem('ServiceConflict', one.field, `${where}/${port.protocol} belongs to Service ${holder}, which is older; here it is not translated for this one`)
    return false
  }

  #enter(one: VirtualAddress, { protocol }: ServicePort, goals: Goals): void {
    for (const client of CLIENTS) {
      const { kind, masquerade } = this.#policy(one, client)
      const to = goals[kind]
      this.#entries.push({ client, address: one.address, protocol, port: one.port, to, masquerade: masquerade && typeof to === 'number' })
    }
    const { sourceRanges } = this.#service
    if (one.kind !== 'load-balancer' || sourceRanges === null) return
    const family = familyOf(one.address)
    // The balancer's own address: where a node holds it, what the node itself sends there comes from it.
    const ranges = [hostCidr(one.address), ...sourceRanges.filter((range) => range.family === family)]
    this.#restricted.push({ address: one.address, protocol, port: one.port, ranges })
  }

  /** Which endpoints serve that client at that address, and whether they see the node's. */
  #policy({ kind }: VirtualAddress, client: Client): { readonly kind: ListKind; readonly masquerade: boolean } {
    const { internalPolicy, externalPolicy } = this.#service
    // "ClusterIP: internal policy decides; masquerade only if the client is not a pod (or masqueradeAll)."
    if (kind === 'cluster-ip') return { kind: internalPolicy === 'Local' ? 'local' : 'cluster', masquerade: client !== 'pod' || this.#context.masqueradeAll }
    // "Cluster uses all and masquerades."
    if (externalPolicy === 'Cluster') return { kind: 'cluster', masquerade: true }
    // "Local keeps the client's address and uses local endpoints (a pod as client uses cluster endpoints, no masquerade;
    // the node itself cluster endpoints, masqueraded)."
    return { kind: client === 'outside' ? 'local' : 'cluster', masquerade: client === 'node' }
  }

  #foreignFamily(one: VirtualAddress): void {
    if (one.kind === 'node-port') return
    this.#problem('AddressFamily', one.field, `${one.address} is IPv${familyOf(one.address)}, and the Service has no ClusterIP of that family; it is not translated`)
  }

  #problem(code: string, field: string | undefined, message: string): void {
    const { namespace, name } = this.#service
    const where = field === undefined ? {} : { field }
    this.#problems.set(`${code} ${message}`, Object.freeze({ code, severity: 'error', object: `Service ${namespace}/${name}`, ...where, message }))
  }
}

/** One that is ready though it does not serve (publishNotReadyAddresses) is led to all the same. */
function udpEndpoint({ address, port, ready, serving }: PortEndpoint): UdpEndpoint {
  return { address, port, serving: serving || ready }
}

const NONE: readonly never[] = Object.freeze([])

/** A list that was pushed to has room for sixteen more: of 10,000 Services that is 3 MB. */
function exact<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : Object.freeze(list.slice())
}
