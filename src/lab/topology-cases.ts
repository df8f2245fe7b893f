// Reads the topology cases of a file of Service cases: endpoints with conditions and hints, and which of them a node uses.
//
// JSON -> TopologyCase[]; asked of the compiler by cli/. **Invariant:** what an endpoint leaves out is what the API takes for it: ready, serving,
// not terminating, no hints.
import { at, invalid, listAt, objectAt, textAt, type JsonObject, type Place } from './case-fields.ts'
import { flagAt, manyAt } from './service-fields.ts'
import type { TopologyAnswer, TopologyCase, TopologyEndpoint } from './service-case-types.ts'
import { titleOf } from './service-cases.ts'

/** Where endpoints are that are not said to be local. */
const ELSEWHERE = 'elsewhere'

/** Throws a PicketError that names the place. */
export function readTopology(value: unknown, place: Place): readonly TopologyCase[] {
  return listAt(value, place).map((one, number) => readCase(one, number, at(place, number)))
}

function readCase(value: unknown, number: number, place: Place): TopologyCase {
  const fields = objectAt(value, place)
  const service = fields['service'] === undefined ? {} : objectAt(fields['service'], at(place, 'service'))
  const policy = (name: string): 'Cluster' | 'Local' => (flagAt(service[name], at(at(place, 'service'), name), false) ? 'Local' : 'Cluster')
  const nodeName = fields['node'] ?? fields['nodeName']
  const node = typeof nodeName === 'string' && nodeName !== '' ? nodeName : 'this-node'
  return Object.freeze({
    number,
    title: titleOf(fields),
    node,
    zone: typeof fields['zone'] === 'string' && fields['zone'] !== '' ? fields['zone'] : null,
    internal: policy('itpL'),
    external: policy('etpL'),
    isExternal: flagAt(service['ext'], at(at(place, 'service'), 'ext'), false),
    endpoints: manyAt(fields['endpoints'], at(place, 'endpoints'), (one, here) => readEndpoint(objectAt(one, here), node, here)),
    expect: readExpected(fields, place),
  })
}

function readEndpoint(fields: JsonObject, here: string, place: Place): TopologyEndpoint {
  const { node, nodeName = node } = fields
  const local = flagAt(fields['local'], at(place, 'local'), null)
  const ready = flagAt(fields['ready'], at(place, 'ready'), true)
  return {
    text: textAt(fields['ep'], at(place, 'ep')),
    node: local === null && typeof nodeName === 'string' ? nodeName : local === true ? here : ELSEWHERE,
    ready,
    serving: flagAt(fields['serving'], at(place, 'serving'), true),
    terminating: flagAt(fields['terminating'], at(place, 'terminating'), false),
    zoneHints: namesAt(fields['zoneHints'], at(place, 'zoneHints')),
    nodeHints: namesAt(fields['nodeHints'], at(place, 'nodeHints')),
  }
}

function namesAt(value: unknown, place: Place): readonly string[] | null {
  return value === undefined || value === null ? null : manyAt(value, place, textAt)
}

function readExpected(fields: JsonObject, place: Place): Partial<TopologyAnswer> {
  const { cluster, local, all, hasAny } = fields
  if (all === null) throw invalid(at(place, 'all'), 'expected a list of endpoints, found null')
  return {
    ...(cluster === undefined ? {} : { cluster: namesAt(cluster, at(place, 'cluster')) }),
    ...(local === undefined ? {} : { local: namesAt(local, at(place, 'local')) }),
    ...(all === undefined ? {} : { all: namesAt(all, at(place, 'all')) ?? [] }),
    ...(hasAny === undefined ? {} : { hasAny: flagAt(hasAny, at(place, 'hasAny'), false) }),
  }
}
