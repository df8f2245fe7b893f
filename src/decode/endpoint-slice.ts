// A raw EndpointSlice (discovery.k8s.io/v1) -> EndpointSlice: a part of a Service's endpoints, of one family.
//
// An endpoint or a port that cannot be read is left out and told, and the slice is good: a bad slice stays at its last good
// version, and one wrong endpoint must not keep pods in service that are gone.
// **Invariant:** every address is of the slice's family and of one host, and occurs once; no endpoint leads to a node's
// loopback or link-local services.
import { show } from '../lib/show.ts'
import type { Decoded } from '../model/changes.ts'
import { type Address, type Family, familyOf } from '../model/ip.ts'
import type { Uid } from '../model/objects.ts'
import type { Endpoint, EndpointPort, EndpointSlice } from '../model/service.ts'
import { hostAddressOf } from './addresses.ts'
import { FieldReader, type Mapping, isMapping, own } from './fields.ts'
import { readMetadata, readName, readNamespace, titleOf } from './metadata.ts'
import { DNS_LABEL, DNS_SUBDOMAIN, isDnsLabel, isDnsSubdomain } from './names.ts'
import { A_PORT_NUMBER, A_PROTOCOL, isPortNumber, protocolOf } from './protocols.ts'
import { SERVICE_NAME, readProxiedLabels } from './service-labels.ts'

const API_VERSION = 'discovery.k8s.io/v1'
const FAMILY_OF: ReadonlyMap<unknown, Family> = new Map([['IPv4', 4], ['IPv6', 6]])
const A_HOST_OF = {
  4: 'an IPv4 address of one host, as addressType says (no loopback, link-local, multicast or unspecified one, no leading zeros)',
  6: 'an IPv6 address of one host, as addressType says (no loopback, link-local, multicast or unspecified one, no IPv4-mapped one, no zone)',
} as const
const NO_ENDPOINT = 'this endpoint is left out'
const NO_PORT = 'this port is left out'
const NONE: readonly never[] = Object.freeze([])

/** `uid` is the slice's identity, `source` where it came from. Never throws. */
export function decodeEndpointSlice(raw: unknown, uid: Uid, source?: string): Decoded<EndpointSlice> {
  const reader = new FieldReader(titleOf('EndpointSlice', raw, true), source, 'the slice has no endpoints')
  const opened = readMetadata(reader, raw)
  if (opened === null) return reader.decoded<EndpointSlice>(null)
  const { object, metadata } = opened
  const apiVersion = own(object, 'apiVersion')
  if (apiVersion !== undefined && apiVersion !== API_VERSION) {
    // Older versions have other fields. Items of a list need not repeat the version.
    reader.error('apiVersion', apiVersion, API_VERSION)
    return reader.decoded<EndpointSlice>(null)
  }
  const name = readName(reader, metadata)
  const namespace = readNamespace(reader, metadata)
  const service = readService(reader, metadata)
  if (name === null || namespace === null) return reader.decoded<EndpointSlice>(null)
  // Nobody's: no packet depends on what is in it, and there are many where Services are headless.
  const nobodys = Object.freeze({ uid, namespace, name, service: null, family: 4 as Family, ports: NONE, endpoints: NONE })
  if (service === null) return reader.decoded<EndpointSlice>(nobodys)
  const type = own(object, 'addressType')
  const family = FAMILY_OF.get(type)
  if (type === 'FQDN') {
    // "No semantics are defined for the "FQDN" type", and kube-proxy ignores such a slice.
    reader.remark('warning', 'InvalidField', 'addressType', 'found "FQDN", expected IPv4 or IPv6; the slice has no endpoints, since names are not resolved')
    return reader.decoded<EndpointSlice>(nobodys)
  }
  if (family === undefined) {
    reader.error('addressType', type, 'IPv4 or IPv6')
    return reader.decoded<EndpointSlice>(nobodys)
  }
  const ports = readPorts(reader, object)
  return reader.decoded<EndpointSlice>(Object.freeze({ uid, namespace, name, service, family, ports, endpoints: readEndpoints(reader, object, family) }))
}

/** The name of the Service that it belongs to; null where it is none's, a headless one's or another proxy's. */
function readService(reader: FieldReader, metadata: Mapping): string | null {
  const value = own(readProxiedLabels(reader, metadata) ?? {}, SERVICE_NAME)
  if (value === undefined || value === '') return null
  if (typeof value === 'string' && isDnsLabel(value)) return value
  leaveOut(reader, `metadata.labels[${SERVICE_NAME}]`, value, DNS_LABEL, 'the slice belongs to no Service')
  return null
}

/** Tells what is left out of a slice that is good without it. */
function leaveOut(reader: FieldReader, field: string, found: unknown, expected: string, now: string): null {
  reader.remark('error', 'InvalidField', field, `found ${show(found)}, expected ${expected}; ${now}`)
  return null
}

function readPorts(reader: FieldReader, object: Mapping): readonly EndpointPort[] {
  const list = reader.optionalList(own(object, 'ports'), 'ports') ?? []
  const found = new Map<string, EndpointPort>()
  list.forEach((item, i) => {
    const field = `ports[${i}]`
    const port = readPort(reader, item, field)
    if (port === null) return
    // "All ports in an EndpointSlice must have a unique name." Ports of Services find it by name and protocol.
    const key = `${port.name} ${port.protocol}`
    const other = found.get(key)
    if (other === undefined) found.set(key, port)
    else if (other.port !== port.port) leaveOut(reader, `${field}.name`, port.name, 'a name that no port before it has with its protocol', NO_PORT)
  })
  return Object.freeze([...found.values()])
}

function readPort(reader: FieldReader, item: unknown, field: string): EndpointPort | null {
  if (!isMapping(item)) return leaveOut(reader, field, item, 'a mapping with name and port', NO_PORT)
  const name = own(item, 'name') ?? ''
  const given = own(item, 'protocol')
  const protocol = protocolOf(given === '' ? undefined : given)
  const port = own(item, 'port')
  if (typeof name !== 'string' || (name !== '' && !isDnsLabel(name))) return leaveOut(reader, `${field}.name`, name, DNS_LABEL, NO_PORT)
  if (protocol === null) return leaveOut(reader, `${field}.protocol`, given, A_PROTOCOL, NO_PORT)
  if (port === undefined) {
    // "If this is not specified, ports are not restricted and must be interpreted in the context of the specific consumer."
    reader.remark('warning', 'InvalidField', `${field}.port`, `there is no number, and a Service needs one; ${NO_PORT}`)
    return null
  }
  // The API itself takes any number here.
  if (!isPortNumber(port)) return leaveOut(reader, `${field}.port`, port, A_PORT_NUMBER, NO_PORT)
  return Object.freeze({ name, protocol, port })
}

function readEndpoints(reader: FieldReader, object: Mapping, family: Family): readonly Endpoint[] {
  const list = reader.optionalList(own(object, 'endpoints'), 'endpoints') ?? []
  const found = new Map<Address, Endpoint>()
  list.forEach((item, i) => {
    const endpoint = readEndpoint(reader, item, `endpoints[${i}]`, family)
    if (endpoint === null) return
    // A pod on the host network that ends and the one that follows it have the same address: the one that serves counts.
    const other = found.get(endpoint.address)
    if (other === undefined || usefulness(endpoint) > usefulness(other)) found.set(endpoint.address, endpoint)
  })
  return Object.freeze([...found.values()])
}

/** Ready ones first, then those that end and still serve, then those that nobody is sent to. */
function usefulness({ ready, serving, terminating }: Endpoint): number {
  if (ready) return 2
  return serving && terminating ? 1 : 0
}

function readEndpoint(reader: FieldReader, item: unknown, field: string, family: Family): Endpoint | null {
  if (!isMapping(item)) return leaveOut(reader, field, item, 'a mapping with addresses', NO_ENDPOINT)
  const addresses = own(item, 'addresses')
  if (!Array.isArray(addresses) || addresses.length === 0) return leaveOut(reader, `${field}.addresses`, addresses, 'a list of one address', NO_ENDPOINT)
  // "No semantics are defined for additional addresses beyond the first, and kube-proxy does not look at them."
  const address = hostAddressOf(addresses[0])
  if (address === null || familyOf(address) !== family) return leaveOut(reader, `${field}.addresses[0]`, addresses[0], A_HOST_OF[family], NO_ENDPOINT)
  const conditions = own(item, 'conditions') ?? {}
  if (!isMapping(conditions)) return leaveOut(reader, `${field}.conditions`, conditions, 'a mapping', NO_ENDPOINT)
  // "A nil value should be interpreted as "true"." (ready, serving); of terminating: "as "false"".
  const ready = own(conditions, 'ready') ?? true
  const serving = own(conditions, 'serving') ?? true
  const terminating = own(conditions, 'terminating') ?? false
  if (typeof ready !== 'boolean' || typeof serving !== 'boolean' || typeof terminating !== 'boolean') {
    const [key, value] = Object.entries({ ready, serving, terminating }).find(([, one]) => typeof one !== 'boolean') as [string, unknown]
    return leaveOut(reader, `${field}.conditions.${key}`, value, 'true or false', NO_ENDPOINT)
  }
  const nodeName = own(item, 'nodeName')
  const node = nodeName === undefined || nodeName === '' ? null : nodeName
  if (node !== null && (typeof node !== 'string' || !isDnsSubdomain(node))) return leaveOut(reader, `${field}.nodeName`, node, DNS_SUBDOMAIN, NO_ENDPOINT)
  const hints = own(item, 'hints')
  const zoneHints = readHints(reader, hints, `${field}.hints`, 'forZones')
  const nodeHints = readHints(reader, hints, `${field}.hints`, 'forNodes')
  return Object.freeze({ address, ready, serving, terminating, node, zoneHints, nodeHints })
}

/** Names; null where there are none. Hints that cannot be read are none, so that the Service's clients go to every endpoint. */
function readHints(reader: FieldReader, hints: unknown, field: string, key: 'forZones' | 'forNodes'): readonly string[] | null {
  const list = isMapping(hints) ? own(hints, key) : hints
  if (list === undefined) return null
  const names = Array.isArray(list) ? list.map((item: unknown) => (isMapping(item) ? own(item, 'name') : null)) : [null]
  if (names.every((name) => typeof name === 'string' && name !== '' && name.length <= 253)) {
    return names.length === 0 ? null : Object.freeze([...new Set(names as string[])])
  }
  const message = `found ${show(list)}, expected a list of mappings with name; the endpoint counts as one without such hints`
  reader.remark('warning', 'InvalidField', `${field}.${key}`, message)
  return null
}
