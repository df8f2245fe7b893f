// A raw Service (v1) -> Service, with the API's defaults written out and fields left out that its type does not use.
//
// A bad Service keeps, in its strict row, what could be read: see service-addresses.ts and service-ports.ts.
// **Invariant:** what cannot be read never leads further than it could have meant: a type counts as ClusterIP, a traffic policy
// as Local, and labels that may name another proxy as ones that do.
import type { Decoded } from '../model/changes.ts'
import type { Uid } from '../model/objects.ts'
import type { Service, ServicePort } from '../model/service.ts'
import { FieldReader, type Mapping, own } from './fields.ts'
import { readCreatedAt, readMetadata, readName, readNamespace, titleOf } from './metadata.ts'
import { A_PORT_NUMBER, isPortNumber } from './protocols.ts'
import { readClusterIps, readExternalIps, readLoadBalancerIps, readSourceRanges } from './service-addresses.ts'
import { readProxiedLabels } from './service-labels.ts'
import { readServicePorts } from './service-ports.ts'

const API_VERSION = 'v1'
const TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const
type ServiceType = (typeof TYPES)[number]
const POLICIES = ['Cluster', 'Local'] as const
type TrafficPolicy = (typeof POLICIES)[number]
/** Seconds that sessionAffinity ClientIP lasts. "Default value is 10800(for 3 hours)." */
const AFFINITY_DEFAULT = 10_800
const AFFINITY_LONGEST = 86_400

/** `uid` is the Service's identity, `source` where it came from. Never throws. */
export function decodeService(raw: unknown, uid: Uid, source?: string): Decoded<Service> {
  const reader = new FieldReader(titleOf('Service', raw, true), source, 'nothing is translated for the service')
  const opened = readMetadata(reader, raw)
  if (opened === null) return reader.decoded<Service>(null)
  const { object, metadata } = opened
  const apiVersion = own(object, 'apiVersion')
  if (apiVersion !== undefined && apiVersion !== API_VERSION) {
    // Others have a kind of this name too, with a spec of its own. Items of a list need not repeat the version.
    reader.error('apiVersion', apiVersion, API_VERSION)
    return reader.decoded<Service>(null)
  }
  const name = readName(reader, metadata, 'label')
  const namespace = readNamespace(reader, metadata)
  const createdAt = readCreatedAt(reader, metadata)
  const ours = readProxiedLabels(reader, metadata) !== null
  const spec = reader.mapping(own(object, 'spec'), 'spec')
  const status = reader.optionalMapping(own(object, 'status'), 'status', 'no address of a load balancer is served') ?? {}
  if (name === null || namespace === null || spec === null) return reader.decoded<Service>(null)

  const type = readChoice<ServiceType>(reader, spec, 'type', TYPES, 'ClusterIP', 'ClusterIP')
  const onNodes = type === 'NodePort' || type === 'LoadBalancer'
  const { headless, addresses: clusterIps } = readClusterIps(reader, spec)
  const externalIps = readExternalIps(reader, spec)
  const proxied = ours && type !== 'ExternalName' && !headless && clusterIps.length > 0
  const ports = readServicePorts(reader, spec, onNodes)
  if (proxied && isNone(own(spec, 'ports'))) reader.error('spec.ports', own(spec, 'ports'), 'at least one port', 'every port of its addresses rejects')
  const externalPolicy = readChoice<TrafficPolicy>(reader, spec, 'externalTrafficPolicy', POLICIES, 'Cluster', 'Local')
  // A policy for traffic that cannot come is none: as kube-proxy, and a policy may stay behind when the type changes.
  const reachable = onNodes || (type === 'ClusterIP' && externalIps.length > 0)
  const local = reachable && externalPolicy === 'Local'
  return reader.decoded<Service>(
    Object.freeze({
      uid,
      namespace,
      name,
      createdAt,
      proxied,
      clusterIps,
      externalIps,
      // The API clears them when the type changes; a manifest need not.
      loadBalancerIps: type === 'LoadBalancer' ? readLoadBalancerIps(reader, status) : Object.freeze([]),
      sourceRanges: readSourceRanges(reader, spec),
      ports,
      internalPolicy: readChoice<TrafficPolicy>(reader, spec, 'internalTrafficPolicy', POLICIES, 'Cluster', 'Local'),
      externalPolicy: local ? 'Local' : 'Cluster',
      affinity: readAffinity(reader, spec),
      healthCheckNodePort: type === 'LoadBalancer' && local ? readHealthCheckNodePort(reader, spec, ports) : null,
    }),
  )
}

function isNone(list: unknown): boolean {
  return list === undefined || (Array.isArray(list) && list.length === 0)
}

/** One of `choices`; `absent` where it is absent or empty, `strict` with an error where it is none of them. */
function readChoice<Choice extends string>(reader: FieldReader, spec: Mapping, key: string, choices: readonly Choice[], absent: Choice, strict: Choice): Choice {
  const value = own(spec, key)
  if (value === undefined || value === '') return absent
  const choice = choices.find((one) => one === value)
  if (choice !== undefined) return choice
  reader.error(`spec.${key}`, value, choices.join(', '), `it counts as ${strict}`)
  return strict
}

/** Seconds; null: none. The config of another affinity than ClientIP does not matter; the API drops it. */
function readAffinity(reader: FieldReader, spec: Mapping): number | null {
  if (readChoice(reader, spec, 'sessionAffinity', ['None', 'ClientIP'], 'None', 'None') === 'None') return null
  const field = 'spec.sessionAffinityConfig'
  const otherwise = `it lasts ${AFFINITY_DEFAULT} seconds`
  const config = reader.optionalMapping(own(spec, 'sessionAffinityConfig'), field, otherwise) ?? {}
  const clientIp = reader.optionalMapping(own(config, 'clientIP'), `${field}.clientIP`, otherwise) ?? {}
  const seconds = own(clientIp, 'timeoutSeconds') ?? AFFINITY_DEFAULT
  // "The value must be >0 && <=86400(for 1 day) if ServiceAffinity == "ClientIP"."
  if (typeof seconds === 'number' && Number.isInteger(seconds) && seconds >= 1 && seconds <= AFFINITY_LONGEST) return seconds
  reader.error(`${field}.clientIP.timeoutSeconds`, seconds, `whole seconds from 1 to ${AFFINITY_LONGEST}`, otherwise)
  return AFFINITY_DEFAULT
}

/** Zero, as the API writes it, is none: an API server gives one, a manifest may lack it. */
function readHealthCheckNodePort(reader: FieldReader, spec: Mapping, ports: readonly ServicePort[]): number | null {
  const field = 'spec.healthCheckNodePort'
  const otherwise = 'health of local endpoints is told nowhere'
  const port = own(spec, 'healthCheckNodePort')
  if (port === undefined || port === 0) return null
  if (!isPortNumber(port)) return reader.error(field, port, A_PORT_NUMBER, otherwise)
  const taken = ports.some(({ nodePort, protocol }) => nodePort === port && protocol === 'TCP')
  return taken ? reader.error(field, port, "a number that is no TCP node port of the service's own", otherwise) : port
}
