// Services and EndpointSlices in the short form of case files -> objects of the API, and what the lab has to know of them.
//
// Short names are written out (`ns`, `lb`, `sourceRanges`, `address`, `zoneHints`); every other field stands for itself in `spec`, or
// in an endpoint. **Invariant:** a value that cannot be read is passed on as it is, so that the agent gets to see it.
import { type Address, familyOf, parseAddress } from '../model/ip.ts'
import { PROTOCOLS } from '../model/objects.ts'
import { at, isObject, labelsAt, nameAt, objectAt, type JsonObject, type Place } from './case-fields.ts'
import type { ScenarioEndpoint, ScenarioPort, ScenarioService, ScenarioSlice } from './service-case-types.ts'
import { manyAt, oneOrManyAt } from './service-fields.ts'

/** Throws a PicketError that names the place. */
export function readService(value: unknown, place: Place): ScenarioService {
  const fields = objectAt(value, place)
  const { ns, namespace: long, name: _, labels, annotations, ports = [], lb, ipMode, sourceRanges, affinity, sessionAffinityTimeout, affinityTimeout, status, ...rest } = fields
  const { namespace, name } = nameOf(ns ?? long, fields['name'], place)
  const timeout = sessionAffinityTimeout ?? affinityTimeout
  const ingress = oneOrManyAt(lb, at(place, 'lb'), (one) => ({ ...(typeof one === 'string' ? { ip: one } : (one as object)), ...(ipMode === undefined ? {} : { ipMode }) }))
  const spec = {
    type: 'ClusterIP',
    ...clusterIpsOf(rest),
    ...rest,
    ports: manyAt(ports, at(place, 'ports'), (one) => one).map(withoutEmptyName),
    ...(affinity === undefined ? {} : { sessionAffinity: affinity }),
    ...(timeout === undefined ? {} : { sessionAffinityConfig: { clientIP: { timeoutSeconds: timeout } } }),
    ...(sourceRanges === undefined ? {} : { loadBalancerSourceRanges: sourceRanges }),
  }
  return Object.freeze({
    namespace,
    name,
    ports: portsOf(spec.ports),
    affinity: (spec as JsonObject)['sessionAffinity'] === 'ClientIP',
    object: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name, ...labelled(labels, at(place, 'labels')), ...(annotations === undefined ? {} : { annotations }) },
      spec,
      status: status ?? { loadBalancer: ingress.length === 0 ? {} : { ingress } },
    },
  })
}

/** Throws a PicketError that names the place. */
export function readSlice(value: unknown, place: Place): ScenarioSlice {
  const fields = objectAt(value, place)
  const { namespace, name } = nameOf(fields['ns'] ?? fields['namespace'], fields['name'] ?? `${String(fields['service'])}-slice`, place)
  const service = nameAt(fields['service'], at(place, 'service'), 'object')
  const endpoints = manyAt(fields['endpoints'], at(place, 'endpoints'), (one, here) => readEndpoint(objectAt(one, here)))
  const ports = manyAt(fields['ports'], at(place, 'ports'), (one) => one)
  const readable = endpoints.flatMap(({ known }) => known ?? [])
  const family = readable[0] === undefined ? 4 : familyOf(readable[0].address)
  const labels = { ...labelled(fields['labels'], at(place, 'labels')).labels, 'kubernetes.io/service-name': service }
  return Object.freeze({
    namespace,
    service,
    name,
    ports: portsOf(ports),
    endpoints: readable,
    object: {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace, name, labels },
      addressType: fields['addressType'] ?? `IPv${family}`,
      endpoints: endpoints.map(({ object }) => object),
      ports,
    },
  })
}

function readEndpoint(fields: JsonObject): { readonly known: ScenarioEndpoint | null; readonly object: JsonObject } {
  const { address, addresses = [address], node, nodeName = node, conditions, ready, serving, terminating, hints, zoneHints, nodeHints, ...rest } = fields
  const named = (list: unknown): readonly JsonObject[] => (Array.isArray(list) ? list.map((name: unknown) => ({ name })) : [])
  const said = Object.entries({ ready, serving, terminating }).filter(([, one]) => one !== undefined)
  const written = [...(Array.isArray(zoneHints) ? [['forZones', named(zoneHints)]] : []), ...(Array.isArray(nodeHints) ? [['forNodes', named(nodeHints)]] : [])]
  const object: JsonObject = {
    ...rest,
    addresses,
    ...(nodeName === undefined || nodeName === null ? {} : { nodeName }),
    conditions: { ...(isObject(conditions) ? conditions : {}), ...Object.fromEntries(said) },
    ...(hints === undefined && written.length === 0 ? {} : { hints: { ...(isObject(hints) ? hints : {}), ...Object.fromEntries(written) } }),
  }
  const [first] = Array.isArray(addresses) ? (addresses as readonly unknown[]) : []
  const parsed = typeof first === 'string' ? parseAddress(first) : null
  return { known: parsed === null ? null : { address: parsed, node: typeof nodeName === 'string' ? nodeName : null }, object }
}

function nameOf(namespace: unknown, name: unknown, place: Place): { readonly namespace: string; readonly name: string } {
  return { namespace: nameAt(namespace ?? 'default', at(place, 'ns'), 'namespace'), name: nameAt(name, at(place, 'name'), 'object') }
}

function labelled(value: unknown, place: Place): { readonly labels?: Readonly<Record<string, string>> } {
  return value === undefined ? {} : { labels: Object.fromEntries(labelsAt(value, place)) }
}

/** The API server keeps clusterIP, clusterIPs and ipFamilies in agreement. */
function clusterIpsOf({ clusterIP, clusterIPs }: JsonObject): JsonObject {
  const all: readonly unknown[] = Array.isArray(clusterIPs) ? clusterIPs : clusterIP === undefined || clusterIP === '' ? [] : [clusterIP]
  const families = all.flatMap((one) => {
    const address: Address | null = typeof one === 'string' ? parseAddress(one) : null
    return address === null ? [] : [`IPv${familyOf(address)}`]
  })
  return all.length === 0 ? {} : { clusterIP: all[0], clusterIPs: all, ...(families.length === 0 ? {} : { ipFamilies: families }) }
}

function withoutEmptyName(port: unknown): unknown {
  if (!isObject(port) || port['name'] !== '') return port
  const { name: _, ...rest } = port
  return rest
}

function portsOf(ports: readonly unknown[]): readonly ScenarioPort[] {
  return ports.flatMap((one) => {
    if (!isObject(one)) return []
    const protocol = PROTOCOLS.find((known) => known === (one['protocol'] ?? 'TCP'))
    const [port, nodePort] = [portOf(one['port']), portOf(one['nodePort'])]
    return protocol === undefined || port === null ? [] : [{ protocol, port, nodePort }]
  })
}

function portOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535 ? value : null
}
