// The ports of a Service: what is asked for, by name, and at which number of every node.
//
// **Invariant:** no two ports have the same protocol and number, name or node port; of two that claim the same, the first has
// it, and a port that cannot be read is left out.
import type { ServicePort } from '../model/service.ts'
import { type FieldReader, type Mapping, isMapping, own } from './fields.ts'
import { DNS_LABEL, isDnsLabel } from './names.ts'
import { A_PORT_NUMBER, A_PROTOCOL, isPortNumber, protocolOf } from './protocols.ts'

const FIELD = 'spec.ports'
const NO_PORT = 'this port is left out'
const NO_NODE_PORT = 'this port has no node port'

/** `onNodes`: whether the Service's type gives it node ports. */
export function readServicePorts(reader: FieldReader, spec: Mapping, onNodes: boolean): readonly ServicePort[] {
  const list = reader.optionalList(own(spec, 'ports'), FIELD, 'the service has no ports') ?? []
  const taken = new Map<string, string>()
  const ports = list.map((item, i) => readPort(reader, item, `${FIELD}[${i}]`, onNodes, taken))
  return Object.freeze(ports.filter((port) => port !== null))
}

/** `taken`: what the ports before this one claim, each with the field that does. */
function readPort(reader: FieldReader, item: unknown, field: string, onNodes: boolean, taken: Map<string, string>): ServicePort | null {
  if (!isMapping(item)) return reader.error(field, item, 'a mapping with port', NO_PORT)
  const name = own(item, 'name') ?? ''
  // The API's default is for the empty protocol too, as a message in protobuf has it where none is given.
  const given = own(item, 'protocol')
  const protocol = protocolOf(given === '' ? undefined : given)
  const port = own(item, 'port')
  if (typeof name !== 'string' || (name !== '' && !isDnsLabel(name))) return reader.error(`${field}.name`, name, DNS_LABEL, NO_PORT)
  if (protocol === null) return reader.error(`${field}.protocol`, given, A_PROTOCOL, NO_PORT)
  if (!isPortNumber(port)) return reader.error(`${field}.port`, port, A_PORT_NUMBER, NO_PORT)
  // "All ports within a ServiceSpec must have unique names." Endpoints are found by name and protocol; two ports that differ
  // in either lead to different ones, and the API's own check of names does not matter here.
  const claims = [
    { key: `name ${name} ${protocol}`, path: `${field}.name`, found: name, expected: 'a name of its own' },
    { key: `port ${port} ${protocol}`, path: `${field}.port`, found: port, expected: 'a number of its own' },
  ]
  for (const { key, path, found, expected } of claims) {
    const by = taken.get(key)
    if (by !== undefined) return reader.error(path, found, `${expected}, since ${by} has this one with the same protocol`, NO_PORT)
  }
  for (const { key, path } of claims) taken.set(key, path)
  return Object.freeze({ name, protocol, port, nodePort: readNodePort(reader, item, `${field}.nodePort`, onNodes, protocol, taken) })
}

/** Zero, as the API writes it, is none. */
function readNodePort(reader: FieldReader, item: Mapping, field: string, onNodes: boolean, protocol: string, taken: Map<string, string>): number | null {
  const port = own(item, 'nodePort')
  if (port === undefined || port === 0) return null
  if (!onNodes) {
    // "may not be used when `type` is 'ClusterIP'"
    reader.remark('warning', 'InvalidField', field, 'only Services of type NodePort and LoadBalancer have node ports; it is not used')
    return null
  }
  if (!isPortNumber(port)) return reader.error(field, port, A_PORT_NUMBER, NO_NODE_PORT)
  const key = `nodePort ${port} ${protocol}`
  const by = taken.get(key)
  if (by !== undefined) return reader.error(field, port, `a number of its own, since ${by} has this one with the same protocol`, NO_NODE_PORT)
  taken.set(key, field)
  return port
}
