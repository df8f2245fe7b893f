// Reads the pods of a case: labels, addresses and ports, each of which may be left out.
//
// **Invariant:** addresses are canonical, at most one a family; ports are 1-65535 with a protocol.
import { familyOf, parseAddress, type Address } from '../model/ip.ts'
import { PROTOCOLS } from '../model/objects.ts'
import { at, integerAt, invalid, labelsAt, listAt, nameAt, objectAt, shown, textAt, type JsonObject, type Place } from './case-fields.ts'
import type { CasePod, CasePort } from './case-types.ts'

/** A pod that a case begins with: its key and what the key leads to. */
export function readKeyedPod(key: string, value: unknown, place: Place): CasePod {
  const parts = key.split('/')
  if (parts.length !== 2) throw invalid(place, `expected the key namespace/name, found ${shown(key)}`)
  return readPod(nameAt(parts[0], place, 'namespace'), nameAt(parts[1], place, 'object'), objectAt(value, place), place)
}

/** Labels, ips and ports of a pod; also of the action createPod. */
export function readPod(namespace: string, name: string, fields: JsonObject, place: Place): CasePod {
  const labels = fields['labels'] === undefined ? new Map<string, string>() : labelsAt(fields['labels'], at(place, 'labels'))
  const addresses = fields['ips'] === undefined ? null : readAddresses(fields['ips'], at(place, 'ips'))
  const ports = fields['ports'] === undefined ? null : readPorts(fields['ports'], at(place, 'ports'))
  return Object.freeze({ namespace, name, labels, addresses, ports })
}

function readAddresses(value: unknown, place: Place): readonly Address[] {
  const list = listAt(value, place)
  if (list.length === 0 || list.length > 2) throw invalid(place, `expected one address or two, one a family, found ${list.length}`)
  const addresses = list.map((one, index) => {
    const address = typeof one === 'string' ? parseAddress(one) : null
    if (address === null) throw invalid(at(place, index), `expected an IPv4 or IPv6 address, found ${shown(one)}`)
    return address
  })
  if (new Set(addresses.map(familyOf)).size !== addresses.length) throw invalid(place, 'expected one address a family, found two of one')
  return addresses
}

function readPorts(value: unknown, place: Place): readonly CasePort[] {
  return listAt(value, place).map((one, index) => readPort(one, at(place, index)))
}

function readPort(value: unknown, place: Place): CasePort {
  const fields = objectAt(value, place)
  const said = fields['protocol'] ?? 'TCP'
  const protocol = PROTOCOLS.find((one) => one === said)
  if (protocol === undefined) throw invalid(at(place, 'protocol'), `expected TCP, UDP or SCTP, found ${shown(said)}`)
  const name = fields['name'] === undefined ? null : textAt(fields['name'], at(place, 'name'))
  return { name, protocol, port: integerAt(fields['port'], at(place, 'port'), 1, 65535) }
}

