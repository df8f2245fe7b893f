// The control plane's part for Services: addresses and node ports, EndpointSlices where the folder has none, ways in from outside.
//
// Objects of the folder -> what is added to Services, further objects, and which node the outside host sends to for which address.
// **Invariant:** what the folder says stays; a Service that has a slice there gets none of ours.
import { type Address, familyOf } from '../model/ip.ts'
import type { JsonObject } from './case-fields.ts'
import type { LabService } from './daemon-protocol.ts'
import { deriveSlices, type SlicePod } from './derived-slices.ts'
import { keyOf } from './pod-facts.ts'
import { portText } from './probe-name.ts'
import { type GivenAddresses, ServiceAddresses } from './service-addresses.ts'
import { isPort, listOf, objectOf, serviceFacts, type ServiceFacts } from './service-facts.ts'

export interface DecidedServices {
  readonly services: readonly LabService[]
  /** Derived EndpointSlices, without UID. */
  readonly slices: readonly JsonObject[]
  /** Address of a load balancer or external address -> name of the node that it leads to. */
  readonly routes: ReadonlyMap<Address, string>
  /** A Service of the folder with what the API server and a cloud add. */
  readonly completed: (service: JsonObject) => JsonObject
}

const SERVICE_NAME = 'kubernetes.io/service-name'

export class ServicePlane {
  readonly #addresses = new ServiceAddresses()

  /** `nodes`: names, in order. */
  decide(objects: readonly JsonObject[], pods: readonly SlicePod[], nodes: readonly string[]): DecidedServices {
    const facts = new Map(objects.filter((one) => one['kind'] === 'Service').map((one) => [keyOf(one), serviceFacts(one)]))
    const all = [...facts.values()]
    const given = this.#addresses.give(all)
    const written = new Map<string, JsonObject[]>()
    for (const slice of objects) if (slice['kind'] === 'EndpointSlice') written.set(serviceOf(slice), [...(written.get(serviceOf(slice)) ?? []), slice])
    const slices = new Map(all.map((one) => [one.key, written.get(one.key) ?? deriveSlices(one, pods)]))
    const external = (one: ServiceFacts): readonly Address[] => [...(given.get(one.key)?.loadBalancerIps ?? []), ...one.externalIps]
    return {
      services: all.map((one) => labService(one, given.get(one.key) as GivenAddresses, external(one))),
      slices: all.flatMap((one) => (written.has(one.key) ? [] : (slices.get(one.key) ?? []))),
      routes: new Map(all.flatMap((one) => {
        const node = entryOf(one, slices.get(one.key) ?? [], nodes)
        return node === undefined ? [] : external(one).map((address) => [address, node] as const)
      })),
      completed: (service) => {
        const known = facts.get(keyOf(service))
        return known === undefined ? service : withGiven(service, known, given.get(known.key) as GivenAddresses)
      },
    }
  }
}

function serviceOf(slice: JsonObject): string {
  const labels = objectOf(objectOf(slice['metadata'])['labels'])
  const [namespace] = keyOf(slice).slice('EndpointSlice '.length).split('/')
  return `${namespace}/${String(labels[SERVICE_NAME])}`
}

/** With externalTrafficPolicy Local a load balancer sends to nodes that have an endpoint: the first of those. */
function entryOf({ localOnly }: ServiceFacts, slices: readonly JsonObject[], nodes: readonly string[]): string | undefined {
  if (!localOnly) return nodes[0]
  const ready = slices.flatMap((one) => listOf(one['endpoints'])).map(objectOf).filter((one) => objectOf(one['conditions'])['ready'] !== false)
  return nodes.find((name) => ready.some((one) => one['nodeName'] === name)) ?? nodes[0]
}

function labService({ key, type, ports }: ServiceFacts, { clusterIps, nodePorts }: GivenAddresses, external: readonly Address[]): LabService {
  return {
    key,
    type,
    addresses: clusterIps,
    external,
    ports: ports.map(portText),
    nodePorts: ports.flatMap(({ protocol }, index) => {
      const port = nodePorts[index] ?? null
      return port === null ? [] : [portText({ protocol, port })]
    }),
  }
}

/** ExternalName and headless Services get nothing. */
function withGiven(service: JsonObject, { ports, type }: ServiceFacts, { clusterIps, nodePorts, healthCheckNodePort, loadBalancerIps }: GivenAddresses): JsonObject {
  if (clusterIps.length === 0) return service
  const spec = objectOf(service['spec'])
  const [clusterIP] = clusterIps
  // By port and protocol: those that cannot be read have no place in the list of facts.
  const nodePortOf = (one: JsonObject): JsonObject => {
    const index = ports.findIndex(({ port, protocol }) => port === one['port'] && protocol === (one['protocol'] ?? 'TCP'))
    const nodePort = nodePorts[index] ?? null
    return nodePort === null || isPort(one['nodePort']) ? one : { ...one, nodePort }
  }
  return {
    ...service,
    spec: {
      ...spec,
      type,
      clusterIP,
      clusterIPs: clusterIps,
      ipFamilies: clusterIps.map((one) => `IPv${familyOf(one)}`),
      ...(Array.isArray(spec['ports']) ? { ports: spec['ports'].map((one: unknown) => nodePortOf(objectOf(one))) } : {}),
      ...(healthCheckNodePort === null || isPort(spec['healthCheckNodePort']) ? {} : { healthCheckNodePort }),
    },
    status: loadBalancerIps.length === 0 ? { loadBalancer: {}, ...objectOf(service['status']) } : withIngress(objectOf(service['status']), loadBalancerIps),
  }
}

/** What the folder says of a load balancer (its ipMode, ports) stays. */
function withIngress(status: JsonObject, addresses: readonly Address[]): JsonObject {
  const ingress = listOf(objectOf(status['loadBalancer'])['ingress'])
  return ingress.length > 0 ? status : { ...status, loadBalancer: { ingress: addresses.map((ip) => ({ ip })) } }
}
