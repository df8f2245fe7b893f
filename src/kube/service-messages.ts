// Services and EndpointSlices in protobuf -> the raw objects that their JSON would give, as far as decode/ reads them.
//
// Field numbers from generated.proto of k8s.io/api/core/v1 and k8s.io/api/discovery/v1, v0.37.2. A large cluster has as many of these as
// it has pods, and slices change with every pod. **Invariant:** as in messages.ts.
import { nested, push, put, readMetadata, type Fields, type MessageKind } from './messages.ts'
import type { Cursor } from './protobuf.ts'

export const SERVICE_MESSAGE: MessageKind = { kind: 'Service', read: readService }
export const SLICE_MESSAGE: MessageKind = { kind: 'EndpointSlice', read: readSlice }

/** core/v1 Service: 1 metadata, 2 spec, 3 status. JSON has them always. */
function readService(cursor: Cursor): unknown {
  const metadata: Fields = {}
  const spec: Fields = {}
  const status: Fields = {}
  while (cursor.next()) {
    if (cursor.field === 1) nested(cursor, () => readMetadata(cursor, metadata))
    else if (cursor.field === 2) nested(cursor, () => readSpec(cursor, spec))
    else if (cursor.field === 3) nested(cursor, () => readStatus(cursor, status))
    else cursor.skip()
  }
  return { metadata, spec, status }
}

const SPEC_TEXTS: ReadonlyMap<number, string> = new Map([
  [3, 'clusterIP'],
  [4, 'type'],
  [7, 'sessionAffinity'],
  [11, 'externalTrafficPolicy'],
  [22, 'internalTrafficPolicy'],
])
const SPEC_LISTS: ReadonlyMap<number, string> = new Map([
  [5, 'externalIPs'],
  [9, 'loadBalancerSourceRanges'],
  [18, 'clusterIPs'],
])

/** core/v1 ServiceSpec: those above, and 1 ports, 12 healthCheckNodePort, 14 sessionAffinityConfig. */
function readSpec(cursor: Cursor, spec: Fields): void {
  while (cursor.next()) {
    const { field } = cursor
    const text = SPEC_TEXTS.get(field)
    const list = SPEC_LISTS.get(field)
    if (text !== undefined) put(spec, text, cursor.string())
    else if (list !== undefined) push(spec, list, cursor.string())
    else if (field === 1) push(spec, 'ports', nested(cursor, () => readServicePort(cursor)))
    else if (field === 12) putNumber(spec, 'healthCheckNodePort', cursor.int32())
    else if (field === 14) spec['sessionAffinityConfig'] = readOne(cursor, 'clientIP', () => readOne(cursor, 'timeoutSeconds', () => cursor.int32()))
    else cursor.skip()
  }
}

/** A message of which field 1 is read. */
function readOne(cursor: Cursor, name: string, read: () => unknown): Fields {
  const fields: Fields = {}
  nested(cursor, () => {
    while (cursor.next()) {
      if (cursor.field === 1) fields[name] = read()
      else cursor.skip()
    }
  })
  return fields
}

/** core/v1 ServicePort: 1 name, 2 protocol, 3 port, 5 nodePort. JSON has the port always. */
function readServicePort(cursor: Cursor): Fields {
  const port: Fields = { port: 0 }
  while (cursor.next()) {
    if (cursor.field === 1) put(port, 'name', cursor.string())
    else if (cursor.field === 2) put(port, 'protocol', cursor.string())
    else if (cursor.field === 3) port['port'] = cursor.int32()
    else if (cursor.field === 5) putNumber(port, 'nodePort', cursor.int32())
    else cursor.skip()
  }
  return port
}

/** core/v1 ServiceStatus: 1 loadBalancer, of which 1 ingress. */
function readStatus(cursor: Cursor, status: Fields): void {
  while (cursor.next()) {
    if (cursor.field === 1) status['loadBalancer'] = nested(cursor, () => readBalancer(cursor))
    else cursor.skip()
  }
}

function readBalancer(cursor: Cursor): Fields {
  const balancer: Fields = {}
  while (cursor.next()) {
    if (cursor.field === 1) push(balancer, 'ingress', nested(cursor, () => readIngress(cursor)))
    else cursor.skip()
  }
  return balancer
}

/** core/v1 LoadBalancerIngress: 1 ip, 3 ipMode. */
function readIngress(cursor: Cursor): Fields {
  const ingress: Fields = {}
  while (cursor.next()) {
    if (cursor.field === 1) put(ingress, 'ip', cursor.string())
    else if (cursor.field === 3) ingress['ipMode'] = cursor.string()
    else cursor.skip()
  }
  return ingress
}

/** discovery/v1 EndpointSlice: 1 metadata, 2 endpoints, 3 ports, 4 addressType. */
function readSlice(cursor: Cursor): unknown {
  const metadata: Fields = {}
  const slice: Fields = { metadata, addressType: '' }
  while (cursor.next()) {
    if (cursor.field === 1) nested(cursor, () => readMetadata(cursor, metadata))
    else if (cursor.field === 2) push(slice, 'endpoints', nested(cursor, () => readEndpoint(cursor)))
    else if (cursor.field === 3) push(slice, 'ports', nested(cursor, () => readEndpointPort(cursor)))
    else if (cursor.field === 4) slice['addressType'] = cursor.string()
    else cursor.skip()
  }
  return slice
}

/** discovery/v1 Endpoint: 1 addresses, 2 conditions, 6 nodeName, 8 hints. */
function readEndpoint(cursor: Cursor): Fields {
  const endpoint: Fields = {}
  while (cursor.next()) {
    if (cursor.field === 1) push(endpoint, 'addresses', cursor.string())
    else if (cursor.field === 2) endpoint['conditions'] = nested(cursor, () => readConditions(cursor))
    else if (cursor.field === 6) endpoint['nodeName'] = cursor.string()
    else if (cursor.field === 8) endpoint['hints'] = nested(cursor, () => readHints(cursor))
    else cursor.skip()
  }
  return endpoint
}

/** discovery/v1 EndpointConditions: 1 ready, 2 serving, 3 terminating. What is not there is not false. */
function readConditions(cursor: Cursor): Fields {
  const conditions: Fields = {}
  while (cursor.next()) {
    if (cursor.field === 1) conditions['ready'] = cursor.bool()
    else if (cursor.field === 2) conditions['serving'] = cursor.bool()
    else if (cursor.field === 3) conditions['terminating'] = cursor.bool()
    else cursor.skip()
  }
  return conditions
}

/** discovery/v1 EndpointHints: 1 forZones, 2 forNodes; of each 1 name, which JSON has always. */
function readHints(cursor: Cursor): Fields {
  const hints: Fields = {}
  while (cursor.next()) {
    const list = cursor.field === 1 ? 'forZones' : cursor.field === 2 ? 'forNodes' : null
    if (list === null) cursor.skip()
    else push(hints, list, nested(cursor, () => readNamed(cursor)))
  }
  return hints
}

function readNamed(cursor: Cursor): Fields {
  let name = ''
  while (cursor.next()) {
    if (cursor.field === 1) name = cursor.string()
    else cursor.skip()
  }
  return { name }
}

/** discovery/v1 EndpointPort: 1 name, 2 protocol, 3 port; all may be left out. */
function readEndpointPort(cursor: Cursor): Fields {
  const port: Fields = {}
  while (cursor.next()) {
    if (cursor.field === 1) port['name'] = cursor.string()
    else if (cursor.field === 2) port['protocol'] = cursor.string()
    else if (cursor.field === 3) port['port'] = cursor.int32()
    else cursor.skip()
  }
  return port
}

/** Left out while it is 0. */
function putNumber(fields: Fields, key: string, value: number): void {
  if (value !== 0) fields[key] = value
}
