// Reads the scenarios of a file of Service cases (test/cases/services.json is one): a node, Services, and flows through them.
//
// JSON -> Scenario[]; nothing runs before the whole file was read. What Services and slices say is not looked at any further than
// the lab needs it: what is wrong there is the agent's to report. **Invariant:** every flow has a client, a destination and a
// port that packets can have, and the node has an address of each family that its flows are of.
import { type Address, familyOf, parseCidr } from '../model/ip.ts'
import { at, integerAt, invalid, isObject, listAt, nameAt, objectAt, shown, textAt, type JsonObject, type Place } from './case-fields.ts'
import { addressAt, bySocket, cidrAt, flagAt, manyAt, oneOrManyAt, protocolAt, socketAt } from './service-fields.ts'
import type { Fate, Flow, Scenario, ScenarioEnv } from './service-case-types.ts'
import { readService, readSlice } from './service-short-form.ts'

/** Also part of the path of a socket, which has at most 107 bytes. */
const LONGEST_NODE_NAME = 63

/** Throws a PicketError that names the place. */
export function readScenarios(value: unknown, place: Place): readonly Scenario[] {
  return listAt(value, place).map((one, number) => readScenario(one, number, at(place, number)))
}

function readScenario(value: unknown, number: number, place: Place): Scenario {
  const fields = objectAt(value, place)
  const env = readEnv(objectAt(fields['env'], at(place, 'env')), at(place, 'env'))
  const services = manyAt(fields['services'], at(place, 'services'), readService)
  const slices = manyAt(fields['slices'], at(place, 'slices'), readSlice)
  const seen = new Set<string>()
  for (const [index, { namespace, name }] of services.entries()) {
    if (seen.has(`${namespace}/${name}`)) throw invalid(at(at(place, 'services'), index), `expected one Service of each name, found ${namespace}/${name} again`)
    seen.add(`${namespace}/${name}`)
  }
  const flows = manyAt(fields['flows'], at(place, 'flows'), readFlow)
  for (const [index, { source, destination }] of flows.entries()) {
    const here = at(at(place, 'flows'), index)
    const family = familyOf(destination)
    if (familyOf(source) !== family) throw invalid(here, `expected a source and a destination of one family, found ${source} and ${destination}`)
    if (!env.nodeIps.some((one) => familyOf(one) === family)) throw invalid(here, `expected a family that the node has an address of (env.nodeIPs), found ${destination}`)
  }
  return Object.freeze({ number, title: titleOf(fields), env, services, slices, flows })
}

export function titleOf(fields: JsonObject): string {
  const title = fields['title'] ?? fields['name']
  return typeof title === 'string' ? title : ''
}

function readEnv(fields: JsonObject, place: Place): ScenarioEnv {
  const nodeName = fields['nodeName'] === undefined ? 'this-node' : nameAt(fields['nodeName'], at(place, 'nodeName'), 'object')
  if (nodeName.length > LONGEST_NODE_NAME) throw invalid(at(place, 'nodeName'), `expected at most ${LONGEST_NODE_NAME} characters, found ${nodeName.length}`)
  const { nodeIP, nodeIPs, podCIDR, podCIDRs, serviceCIDR, serviceCIDRs, nodePortAddresses, zone } = fields
  const nodeIps = [...oneOrManyAt(nodeIP, at(place, 'nodeIP'), addressAt), ...oneOrManyAt(nodeIPs, at(place, 'nodeIPs'), addressAt)]
  if (nodeIps.length === 0) throw invalid(at(place, 'nodeIPs'), "expected the node's addresses, found none")
  return {
    nodeName,
    zone: typeof zone === 'string' && zone !== '' ? zone : null,
    nodeIps: [...new Set(nodeIps)],
    nodePortAddresses: nodePortAddresses === undefined || nodePortAddresses === null ? null : oneOrManyAt(nodePortAddresses, at(place, 'nodePortAddresses'), readNetwork),
    podCidrs: [...oneOrManyAt(podCIDR, at(place, 'podCIDR'), cidrAt), ...oneOrManyAt(podCIDRs, at(place, 'podCIDRs'), cidrAt)],
    serviceCidrs: [...oneOrManyAt(serviceCIDR, at(place, 'serviceCIDR'), cidrAt), ...oneOrManyAt(serviceCIDRs, at(place, 'serviceCIDRs'), cidrAt)],
    masqueradeAll: flagAt(fields['masqueradeAll'], at(place, 'masqueradeAll'), false),
  }
}

/** As the setting nodePortAddresses takes it. */
function readNetwork(value: unknown, place: Place): string {
  const text = textAt(value, place)
  if (text !== 'primary' && parseCidr(text) === null) throw invalid(place, `expected primary or a CIDR, found ${shown(value)}`)
  return text
}

function readFlow(value: unknown, place: Place): Flow {
  const fields = objectAt(value, place)
  const source: Address = addressAt(fields['sourceIP'], at(place, 'sourceIP'))
  const destination: Address = addressAt(fields['destIP'], at(place, 'destIP'))
  return Object.freeze({
    name: typeof fields['name'] === 'string' ? fields['name'] : '',
    source,
    protocol: protocolAt(fields['protocol'], at(place, 'protocol')),
    destination,
    port: integerAt(fields['destPort'], at(place, 'destPort'), 1, 65535),
    fate: fields['output'] === undefined || fields['output'] === null ? null : readFate(fields['output'], at(place, 'output')),
    masquerade: flagAt(fields['masq'], at(place, 'masq'), null),
  })
}

function readFate(value: unknown, place: Place): Fate {
  if (value === 'REJECT' || value === 'DROP' || value === '') return value
  if (!Array.isArray(value)) throw invalid(place, `expected a list of endpoints, "REJECT", "DROP" or "", found ${shown(isObject(value) ? value : (value as unknown))}`)
  return [...new Set(manyAt(value, place, socketAt))].sort(bySocket)
}
