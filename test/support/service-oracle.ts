// What becomes of a new connection to a Service, read from the specification: what the compiler is held against.
//
// Takes types from model/ and nothing else. It asks one question at a time of all objects, and remembers nothing.
// **Invariant:** shares no code with src/nat: the decision procedure stands here in its own words.
import type { Address } from '../../src/model/ip.ts'
import type { Node, Protocol } from '../../src/model/objects.ts'
import type { Endpoint, EndpointSlice, Service, ServicePort } from '../../src/model/service.ts'

export interface World {
  readonly services: readonly Service[]
  readonly slices: readonly EndpointSlice[]
  readonly node: Node
  readonly nodePortAddresses: readonly Address[]
  readonly masqueradeAll: boolean
}

export interface Question {
  readonly client: 'pod' | 'outside' | 'node'
  readonly address: Address
  readonly protocol: Protocol
  readonly port: number
}

/** `ADDRESS port`, sorted; REJECT; DROP; or null: not a Service's. */
export interface Fate {
  readonly to: readonly string[] | 'REJECT' | 'DROP'
  /** Of no meaning where nothing is reached. */
  readonly masquerade: boolean
}

type Found = Endpoint & { readonly port: number }

export function fateOf(world: World, question: Question): Fate | null {
  const owners = world.services.filter((service) => service.proxied && portsOf(world, service, question).length > 0)
  const [owner] = owners.sort((a, b) => a.createdAt - b.createdAt || (a.uid < b.uid ? -1 : 1))
  if (owner === undefined) return null
  const [found] = portsOf(world, owner, question)
  if (found === undefined) return null
  const { port, internal } = found
  const six = question.address.includes(':')
  if (!owner.clusterIps.some((address) => address.includes(':') === six)) return null
  return decide(world, owner, port, internal, question.client, six)
}

/** The Service's ports that this address and number mean, and whether by a ClusterIP. */
function portsOf({ nodePortAddresses }: World, service: Service, { address, protocol, port }: Question): { readonly port: ServicePort; readonly internal: boolean }[] {
  return service.ports.flatMap((one): { readonly port: ServicePort; readonly internal: boolean }[] => {
    if (one.protocol !== protocol) return []
    if (one.port === port && service.clusterIps.includes(address)) return [{ port: one, internal: true }]
    if (one.port === port && [...service.externalIps, ...service.loadBalancerIps].includes(address)) return [{ port: one, internal: false }]
    return one.nodePort === port && nodePortAddresses.includes(address) ? [{ port: one, internal: false }] : []
  })
}

function decide(world: World, service: Service, port: ServicePort, internal: boolean, client: Question['client'], six: boolean): Fate {
  const all = endpointsOf(world, service, port, six)
  const usable = all.filter((one) => one.ready || (one.serving && one.terminating))
  if (usable.length === 0) return { to: 'REJECT', masquerade: false }
  const isLocalPolicy = internal ? service.internalPolicy === 'Local' : service.externalPolicy === 'Local' && client === 'outside'
  const chosen = isLocalPolicy ? preferReady(all.filter(({ node }) => node === world.node.name)) : clusterWide(world, all)
  if (chosen.length === 0) return { to: 'DROP', masquerade: false }
  const to = [...new Set(chosen.map(({ address, port: number }) => `${address} ${number}`))].sort()
  return { to, masquerade: internal ? client !== 'pod' || world.masqueradeAll : service.externalPolicy === 'Cluster' || client === 'node' }
}

function clusterWide({ node }: World, all: readonly Found[]): readonly Found[] {
  const ready = all.filter((one) => one.ready)
  if (ready.length === 0) return all.filter((one) => one.serving && one.terminating)
  const forNode = ready.filter((one) => one.nodeHints?.includes(node.name) === true)
  if (forNode.length > 0 && ready.every((one) => one.nodeHints !== null && one.nodeHints.length > 0)) return forNode
  const zone = node.labels.get('topology.kubernetes.io/zone')
  const forZone = zone === undefined || zone === '' ? [] : ready.filter((one) => one.zoneHints?.includes(zone) === true)
  if (forZone.length > 0 && ready.every((one) => one.zoneHints !== null && one.zoneHints.length > 0)) return forZone
  return ready
}

function preferReady(endpoints: readonly Found[]): readonly Found[] {
  const ready = endpoints.filter((one) => one.ready)
  return ready.length > 0 ? ready : endpoints.filter((one) => one.serving && one.terminating)
}

/** Each address and port once; where slices contradict each other about one, the ready view of it counts, then one that serves while it ends, then one with a node. */
function endpointsOf({ slices }: World, service: Service, port: ServicePort, six: boolean): readonly Found[] {
  const external = [...service.externalIps, ...service.loadBalancerIps]
  const isOwn = (one: Found): boolean => service.clusterIps.includes(one.address) || (external.includes(one.address) && service.ports.some((other) => other.protocol === port.protocol && other.port === one.port))
  const views = slices
    .filter((slice) => slice.namespace === service.namespace && slice.service === service.name)
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.uid < b.uid ? -1 : 1))
    .flatMap((slice) => slice.ports.filter((one) => one.name === port.name && one.protocol === port.protocol).flatMap((one) => slice.endpoints.map((endpoint) => ({ ...endpoint, port: one.port }))))
    .filter((one) => one.address.includes(':') === six && !isOwn(one))
  const rank = (one: Found): number => (one.ready ? 4 : one.serving && one.terminating ? 2 : 0) + (one.node === null ? 0 : 1)
  return views.filter((one, index) => {
    const same = views.filter((other) => other.address === one.address && other.port === one.port)
    const best = Math.max(...same.map(rank))
    return rank(one) === best && views.indexOf(same.find((other) => rank(other) === best) as Found) === index
  })
}
