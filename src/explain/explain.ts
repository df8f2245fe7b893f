// Who calls whom on which port -> may they, through which Service, and why: the face of this folder.
//
//   question -> places -> route (nat/) -> for each endpoint the two halves (policy/judge.ts) -> answer
//
// **Invariant:** the answer is the compiled plan's: where that changes, so does the answer. It is of a new connection's first packet.
import { PicketError } from '../lib/errors.ts'
import { familyOf, type Address } from '../model/ip.ts'
import type { Direction } from '../model/policy.ts'
import type { Service } from '../model/service.ts'
import { serviceKey } from '../model/service.ts'
import { verdictOf, type Answer, type End, type Flow, type Half, type Leg, type ServiceStep } from './answer.ts'
import { halfOf } from './half.ts'
import { placeOf, readSource, readTarget, type Party, type Place } from './places.ts'
import { protocolsOf, rangesBetween, type PortRange, type PortsAsked } from './ports.ts'
import { Routes, type RoutedTarget } from './route.ts'
import type { Planned } from './planned.ts'

export interface Question {
  /** `NAMESPACE/POD` or an address. A Service is refused. */
  readonly from: string
  /** `NAMESPACE/POD`, `NAMESPACE/svc/NAME` or an address. */
  readonly to: string
  readonly ports: PortsAsked
  /** The node where what comes from outside enters; null where that does not matter. */
  readonly via: string | null
}

/** One half alone: as that end sees the packet, after translation. */
export interface HalfQuestion {
  readonly direction: Direction
  readonly source: Address
  readonly destination: Address
  readonly protocol: PortRange['protocol']
  readonly port: number
}

/** The same word as the half of an answer has, but for what a Service made of it. */
export function explainHalf(world: Planned, { direction, ...packet }: HalfQuestion): Half {
  return halfOf(world, direction, placeOf(world, direction === 'egress' ? packet.source : packet.destination), packet, null)
}

/** PicketError where the question cannot be answered: no such pod, no address, nothing in common. */
export function explain(world: Planned, question: Question): Answer {
  const source = readSource(world, question.from)
  const target = readTarget(world, question.to)
  const asking = new Asking(world, question)
  const flows = target.kind === 'service' ? asking.service(source, target.service) : asking.places(source, target.places)
  if (flows.length === 0) throw new PicketError('NoCommonFamily', `${source.title} and ${target.title} have no addresses of one IP family: nothing can pass between them`)
  return { verdict: verdictOf(flows.map(({ verdict }) => verdict)), from: source.title, to: target.title, flows, problems: world.problemsOf(objectsIn(flows)) }
}

class Asking {
  readonly #world: Planned
  readonly #ports: PortsAsked
  readonly #routes: Routes

  constructor(world: Planned, { ports, via }: Question) {
    this.#world = world
    this.#ports = ports
    this.#routes = new Routes(world, via)
  }

  places(source: Party, destinations: readonly Place[]): readonly Flow[] {
    return pairs(source, destinations).flatMap(([from, to]) => {
      const owner = this.#ports.port === null ? this.#routes.ownerOf(from, to.address) : null
      const ranges = owner === null ? rangesBetween(this.#world, this.#ports, from, to) : this.#portsOf(owner.ports)
      return merged(ranges.map((range) => this.#flow(from, to.address, range)))
    })
  }

  service(source: Party, service: Service): readonly Flow[] {
    if (!service.proxied) return this.#headless(source, service)
    const addresses = service.clusterIps.map((address) => placeOf(this.#world, address))
    return pairs(source, addresses).flatMap(([from, { address }]) => {
      const ranges = this.#portsOf(this.#ports.port === null ? service.ports : service.ports.filter(({ port }) => port === this.#ports.port))
      // A port that it does not have is answered as such.
      const missing = protocolsOf(this.#ports).map((protocol) => ({ protocol, first: this.#ports.port ?? 1, last: this.#ports.port ?? 1 })).slice(0, 1)
      return (ranges.length === 0 ? missing : ranges).map((range) => this.#flow(from, address, range))
    })
  }

  #portsOf(ports: readonly { readonly protocol: PortRange['protocol']; readonly port: number }[]): readonly PortRange[] {
    const { protocol } = this.#ports
    return ports.filter((one) => protocol === null || one.protocol === protocol).map((one) => ({ protocol: one.protocol, first: one.port, last: one.port }))
  }

  /** Its name stands for the addresses of its endpoints, and no port is translated. */
  #headless(source: Party, { namespace, name }: Service): readonly Flow[] {
    const slices = [...this.#world.snapshot.slices.where('service', serviceKey(namespace, name))]
    const endpoints = [...new Set(slices.flatMap((slice) => slice.endpoints.filter(({ ready }) => ready).map(({ address }) => address)))].sort()
    if (endpoints.length === 0) {
      throw new PicketError('NoAddress', `Service ${namespace}/${name} has neither an address of its own nor ready endpoints (headless, ExternalName or another proxy's): ask for the pod or the address behind it`)
    }
    const service: ServiceStep = { namespace, name, outcome: 'headless', text: 'it has no address of its own: its name stands for its endpoints' }
    const flows = this.places(source, endpoints.map((address) => placeOf(this.#world, address)))
    return flows.map((flow) => ({ ...flow, service: flow.service ?? service }))
  }

  #flow(source: Place, called: Address, { protocol, first, last }: PortRange): Flow {
    const { service, targets } = this.#routes.route({ source, address: called, protocol, port: first })
    const legs = targets.map((target) => this.#leg(source, target, protocol, service === null ? null : { address: called, port: first }))
    return { verdict: legs.length === 0 ? 'denied' : verdictOf(legs.map(({ verdict }) => verdict)), family: familyOf(called), source: source.address, sourceNode: source.node, called, protocol, ports: { first, last }, service, legs }
  }

  #leg(source: Place, { address, port, seenAs }: RoutedTarget, protocol: PortRange['protocol'], called: { readonly address: Address; readonly port: number } | null): Leg {
    const destination = placeOf(this.#world, address)
    const packet = { source: source.address, destination: address, protocol, port }
    const egress = halfOf(this.#world, 'egress', source, packet, called)
    const ingress = halfOf(this.#world, 'ingress', destination, { ...packet, source: seenAs }, called)
    const denied = egress.kind === 'denied' || ingress.kind === 'denied'
    return { verdict: denied ? 'denied' : 'allowed', destination: endOf(destination), port, seenAs, egress, ingress }
  }
}

function endOf({ kind, name, address, node }: Place): End {
  return { kind, name, address, node }
}

function pairs({ places }: Party, others: readonly Place[]): readonly (readonly [Place, Place])[] {
  return places.flatMap((from) => others.filter((to) => familyOf(to.address) === familyOf(from.address)).map((to) => [from, to] as const))
}

/** Neighbouring ranges of which the same is said are one: a rule's border need not be one for this question. */
function merged(flows: readonly Flow[]): readonly Flow[] {
  const found: Flow[] = []
  for (const flow of flows) {
    const before = found.at(-1)
    if (before !== undefined && before.ports.last + 1 === flow.ports.first && before.protocol === flow.protocol && saying(before) === saying(flow)) {
      found[found.length - 1] = { ...before, ports: { first: before.ports.first, last: flow.ports.last } }
    } else found.push(flow)
  }
  return found
}

function saying({ verdict, service, legs }: Flow): string {
  const half = (one: Half): unknown => (one.kind === 'allowed' ? [one.by.name, one.by.index] : one.kind)
  return JSON.stringify([verdict, service, legs.map(({ egress, ingress }) => [half(egress), half(ingress)])])
}

/** As problems name them. */
function objectsIn(flows: readonly Flow[]): ReadonlySet<string> {
  const objects = new Set<string>()
  for (const { service, legs } of flows) {
    if (service !== null && service.name !== null) objects.add(`Service ${service.namespace}/${service.name}`)
    for (const { destination, egress, ingress } of legs) {
      if (destination.kind === 'pod') objects.add(`Pod ${destination.name}`)
      for (const half of [egress, ingress]) if ('isolatedBy' in half) for (const { namespace, name } of half.isolatedBy) objects.add(`NetworkPolicy ${namespace}/${name}`)
    }
  }
  return objects
}
