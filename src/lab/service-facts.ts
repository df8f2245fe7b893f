// What the lab has to know of a Service in order to play its control plane: type, families, ports, selector, addresses.
//
// Raw object -> ServiceFacts, leniently: what is wrong with a Service is the agents' to report, and what cannot be read is taken
// as not said. **Invariant:** never throws.
import { type Address, FAMILIES, type Family, familyOf, parseAddress } from '../model/ip.ts'
import { PROTOCOLS, type Protocol } from '../model/objects.ts'
import { isObject, type JsonObject } from './case-fields.ts'
import { keyOf } from './pod-facts.ts'

export interface PortFacts {
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
  /** A name, or a number. */
  readonly targetPort: string | number
  /** Null: none is said. */
  readonly nodePort: number | null
}

export interface ServiceFacts {
  /** `namespace/name` */
  readonly key: string
  readonly type: string
  /** clusterIP None: no address of its own. */
  readonly headless: boolean
  /** Null: none, so that its endpoints are somebody else's to say. */
  readonly selector: ReadonlyMap<string, string> | null
  /** Those that it has, in its order: the first is its primary one. */
  readonly families: readonly Family[]
  /** Those that the folder gives it. */
  readonly clusterIps: readonly Address[]
  readonly ports: readonly PortFacts[]
  readonly externalIps: readonly Address[]
  readonly loadBalancerIps: readonly Address[]
  readonly localOnly: boolean
  readonly publishNotReady: boolean
  /** PreferClose, PreferSameZone, PreferSameNode; empty: none. */
  readonly distribution: string
}

export function serviceFacts(service: JsonObject): ServiceFacts {
  const spec = objectOf(service['spec'])
  const type = typeof spec['type'] === 'string' ? spec['type'] : 'ClusterIP'
  const said = Array.isArray(spec['clusterIPs']) && spec['clusterIPs'].length > 0 ? spec['clusterIPs'] : [spec['clusterIP']]
  const clusterIps = addressesOf(said)
  const selector = objectOf(spec['selector'])
  const labels = Object.entries(selector).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  const ingress = listOf(objectOf(objectOf(service['status'])['loadBalancer'])['ingress'])
  return {
    key: keyOf(service).slice('Service '.length),
    type,
    headless: said[0] === 'None',
    selector: labels.length === 0 || type === 'ExternalName' ? null : new Map(labels),
    families: familiesOf(spec, clusterIps),
    clusterIps,
    ports: listOf(spec['ports']).flatMap(portOf),
    externalIps: addressesOf(listOf(spec['externalIPs'])),
    loadBalancerIps: addressesOf(ingress.map((one) => objectOf(one)['ip'])),
    localOnly: spec['externalTrafficPolicy'] === 'Local',
    publishNotReady: spec['publishNotReadyAddresses'] === true,
    distribution: typeof spec['trafficDistribution'] === 'string' ? spec['trafficDistribution'] : '',
  }
}

/** The addresses and ipFamilies that are said; else the cluster's first family; and the other one where ipFamilyPolicy asks for it. */
function familiesOf(spec: JsonObject, clusterIps: readonly Address[]): readonly Family[] {
  const named = listOf(spec['ipFamilies']).flatMap((one) => FAMILIES.filter((family) => one === `IPv${family}`))
  const asked = [...clusterIps.map(familyOf), ...named]
  const both = spec['ipFamilyPolicy'] === 'PreferDualStack' || spec['ipFamilyPolicy'] === 'RequireDualStack'
  return [...new Set([...(asked.length > 0 ? asked : FAMILIES.slice(0, 1)), ...(both ? FAMILIES : [])])]
}

function portOf(value: unknown): readonly PortFacts[] {
  const { name, protocol: said = 'TCP', port, targetPort, nodePort } = objectOf(value)
  const protocol = PROTOCOLS.find((known) => known === said)
  if (protocol === undefined || !isPort(port)) return []
  const target = isPort(targetPort) || (typeof targetPort === 'string' && targetPort !== '') ? targetPort : port
  return [{ name: typeof name === 'string' ? name : '', protocol, port, targetPort: target, nodePort: isPort(nodePort) ? nodePort : null }]
}

export function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535
}

function addressesOf(values: readonly unknown[]): readonly Address[] {
  return [...new Set(values.flatMap((one) => (typeof one === 'string' ? (parseAddress(one) ?? []) : [])))]
}

export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
