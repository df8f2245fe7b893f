// Where a call leads: through which Service to which endpoints, as the node on which it enters translates it.
//
// **Invariant:** what nat/ planned for that node is what is told; nothing is guessed where the node is not known.
import { PicketError } from '../lib/errors.ts'
import { show } from '../lib/show.ts'
import { contains, familyOf, toBits, type Address, type Cidr } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import { entryKey } from '../nat/memory.ts'
import { CLIENTS, type Client, type PlannedService, type ServiceEntry } from '../nat/plan.ts'
import { targetKey, type Target } from '../nat/targets.ts'
import type { ServiceStep } from './answer.ts'
import { placeOf, primaryOf, type Place } from './places.ts'
import type { Planned } from './planned.ts'

export interface Call {
  readonly source: Place
  readonly address: Address
  readonly protocol: Protocol
  readonly port: number
}

export interface Route {
  /** Null: nothing is translated. */
  readonly service: ServiceStep | null
  readonly targets: readonly RoutedTarget[]
}

export interface RoutedTarget extends Target {
  /** What the destination takes for the source. */
  readonly seenAs: Address
}

interface Found {
  readonly planned: PlannedService
  readonly entry: ServiceEntry
}

/** The calls of one question; `via`: the node where what comes from outside enters, null where nobody said. */
export class Routes {
  readonly #world: Planned
  readonly #via: string | null
  readonly #entries = new Map<string | null, ReadonlyMap<string, Found>>()

  constructor(world: Planned, via: string | null) {
    this.#world = world
    this.#via = via ?? world.entrance
    if (via !== null && [...world.snapshot.nodes.where('name', via)].length === 0) throw new PicketError('NoSuchNode', `--via ${show(via)}: there is no such Node; kubectl get nodes shows which are`)
  }

  route(call: Call): Route {
    const { source, address, protocol, port } = call
    const entrance = source.node ?? this.#via ?? this.#nodeAt(address)
    this.#expectPlan(call, entrance)
    const found = this.#entriesOn(entrance).get(entryKey(clientOf(source), address, protocol, port))
    if (found === undefined) return this.#untranslated(call, entrance)
    if (source.kind === 'external' && entrance === null) {
      throw new PicketError('NodeNeeded', `what a Service does with calls from outside depends on the node where they enter: name it with --via NODE`)
    }
    const { planned, entry } = found
    const step = (outcome: ServiceStep['outcome'], text: string): ServiceStep => ({ namespace: planned.namespace, name: planned.name, outcome, text })
    if (!mayCall(planned, call)) return { service: step('source-range', `${source.address} is in none of its loadBalancerSourceRanges`), targets: [] }
    if (entry.to === 'reject') return { service: step('no-endpoint', 'it has no endpoint that is ready'), targets: [] }
    if (entry.to === 'drop') return { service: step('no-local-endpoint', `its traffic policy is Local, and node ${entrance} has no endpoint that is ready`), targets: [] }
    const slots = planned.lists.find(({ id }) => id === entry.to)?.slots[familyOf(address)] ?? []
    const targets = slots.map((slot) => ({ ...slot, seenAs: entry.masquerade ? this.#masqueraded(call, slot, entrance) : source.address }))
    return { service: step('translated', `${targetKey(call)}/${protocol} leads to ${slots.length === 1 ? 'its endpoint' : `one of its ${slots.length} endpoints`}`), targets }
  }

  /** An agent has its own node's plan only: what another node translates is not to pass for what is not translated. */
  #expectPlan({ address, protocol, port }: Call, entrance: string | null): void {
    const { entrance: own } = this.#world
    if (own === null || entrance === own || this.#world.servicesOn(entrance) !== null) return
    const known = this.#entriesOn(own)
    const isServices = CLIENTS.some((client) => known.has(entryKey(client, address, protocol, port))) || [...known.values()].some(({ planned }) => planned.clusterIps.includes(address))
    if (isServices) throw new PicketError('AskElsewhere', `${targetKey({ address, port })}/${protocol} is of a Service, which node ${entrance ?? '(none)'} translates: ask the agent there, or for the pod behind it`)
  }

  /** The Service whose own address it is for that client, with the ports that it has there. */
  ownerOf({ node }: Place, address: Address): { readonly planned: PlannedService; readonly ports: readonly { readonly protocol: Protocol; readonly port: number }[] } | null {
    for (const { planned } of this.#world.servicesOn(node ?? this.#via)?.services.values() ?? []) {
      if (!planned.clusterIps.includes(address)) continue
      const ports = planned.entries.filter((entry) => entry.client === 'pod' && entry.address === address)
      return { planned, ports: ports.map(({ protocol, port }) => ({ protocol, port })) }
    }
    return null
  }

  /** What is sent to a node enters there. */
  #nodeAt(address: Address): string | null {
    const { kind, node } = placeOf(this.#world, address)
    return kind === 'node' ? node : null
  }

  #untranslated({ source, address, protocol, port }: Call, entrance: string | null): Route {
    const owner = this.ownerOf(source, address)
    if (owner !== null) {
      const ports = owner.ports.map((one) => `${one.port}/${one.protocol}`).join(', ')
      const { namespace, name } = owner.planned
      return { service: { namespace, name, outcome: 'no-such-port', text: `it has no port ${port}/${protocol}${ports === '' ? '' : `, but ${ports}`}` }, targets: [] }
    }
    if (isIn(address, this.#world.settings.serviceCidrs)) return { service: { namespace: null, name: null, outcome: 'no-such-service', text: `${address} is of the Services' range, and no Service has it` }, targets: [] }
    const node = this.#nodeAt(address)
    if (node !== null && node !== entrance && this.#entriesOn(node).has(entryKey('outside', address, protocol, port))) {
      throw new PicketError('NodePortElsewhere', `${port}/${protocol} is a node port of another node, ${node}: ask for the Service itself, NAMESPACE/svc/NAME`)
    }
    return { service: null, targets: [{ address, port, seenAs: source.address }] }
  }

  /** Where the endpoint is on another node, it sees the node: the source is changed after the first node has judged, and before the second does. */
  #masqueraded({ source }: Call, { address }: Target, entrance: string | null): Address {
    const endpoint = placeOf(this.#world, address)
    if (endpoint.node !== null && endpoint.node === entrance) return source.address
    const [node] = entrance === null ? [] : this.#world.snapshot.nodes.where('name', entrance)
    const seen = primaryOf(node, familyOf(address))
    if (seen === null) throw new PicketError('NodeNeeded', `the endpoint sees the address of node ${entrance ?? '(none)'}, which is not known: the Node object is missing`)
    return seen
  }

  #entriesOn(node: string | null): ReadonlyMap<string, Found> {
    const known = this.#entries.get(node)
    if (known !== undefined) return known
    const entries = new Map<string, Found>()
    for (const { planned } of this.#world.servicesOn(node)?.services.values() ?? []) {
      for (const entry of planned.entries) entries.set(entryKey(entry.client, entry.address, entry.protocol, entry.port), { planned, entry })
    }
    this.#entries.set(node, entries)
    return entries
  }
}

function clientOf({ kind }: Place): Client {
  return kind === 'external' ? 'outside' : kind
}

function isIn(address: Address, ranges: readonly Cidr[]): boolean {
  return ranges.some((range) => range.family === familyOf(address) && contains(range, toBits(address)))
}

function mayCall({ restricted }: PlannedService, { source, address, protocol, port }: Call): boolean {
  return restricted.every((one) => one.address !== address || one.protocol !== protocol || one.port !== port || isIn(source.address, one.ranges))
}
