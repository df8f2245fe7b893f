// Reads one action of a case: what somebody does to the cluster between two rounds of probes.
//
// A JSON object with one key, the action's name -> Action. Objects that an action names are checked by case-world.ts,
// and what a policy says is passed on as it is. **Invariant:** an Action has everything that its place in a case needs.
import { at, invalid, labelsAt, nameAt, objectAt, shown, textAt, type JsonObject, type Place } from './case-fields.ts'
import { readPod } from './case-pods.ts'
import type { Action } from './case-types.ts'

const KINDS = [
  'createPolicy', 'updatePolicy', 'deletePolicy', 'createPod', 'deletePod', 'setPodLabels',
  'createNamespace', 'deleteNamespace', 'setNamespaceLabels', 'addNamespaceLabels',
] as const

/** Throws a PicketError that names the place. */
export function readAction(value: unknown, place: Place): Action {
  const keys = Object.keys(objectAt(value, place))
  const kind = KINDS.find((one) => one === keys[0])
  if (keys.length !== 1 || kind === undefined) {
    throw invalid(place, `expected one action of ${KINDS.join(', ')}; found ${keys.length === 0 ? 'none' : keys.map(shown).join(', ')}`)
  }
  const here = at(place, kind)
  const fields = objectAt((value as JsonObject)[kind], here)
  switch (kind) {
    case 'createPolicy':
    case 'updatePolicy':
      return { kind, ...policyName(fields, here), manifest: fields }
    case 'deletePolicy':
      return { kind, namespace: namespaceOf(fields, here), name: nameAt(fields['name'], at(here, 'name'), 'object') }
    case 'createPod':
      return { kind, pod: readPod(namespaceOf(fields, here), podOf(fields, here), fields, here) }
    case 'deletePod':
      return { kind, namespace: namespaceOf(fields, here), name: podOf(fields, here) }
    case 'setPodLabels':
      return { kind, namespace: namespaceOf(fields, here), name: podOf(fields, here), labels: labelsAt(fields['labels'], at(here, 'labels')) }
    case 'createNamespace':
      return { kind, namespace: namespaceOf(fields, here), labels: labelsAt(fields['labels'] ?? {}, at(here, 'labels')) }
    case 'setNamespaceLabels':
    case 'addNamespaceLabels':
      return { kind, namespace: namespaceOf(fields, here), labels: labelsAt(fields['labels'], at(here, 'labels')) }
    case 'deleteNamespace':
      return { kind, namespace: namespaceOf(fields, here) }
  }
}

function namespaceOf(fields: JsonObject, place: Place): string {
  return nameAt(fields['namespace'], at(place, 'namespace'), 'namespace')
}

function podOf(fields: JsonObject, place: Place): string {
  return nameAt(fields['pod'], at(place, 'pod'), 'object')
}

/** The only parts of a policy that must be readable: without them nobody could say which object it is. */
function policyName(fields: JsonObject, place: Place): { readonly namespace: string; readonly name: string } {
  if (fields['kind'] !== undefined && fields['kind'] !== 'NetworkPolicy') {
    throw invalid(at(place, 'kind'), `expected NetworkPolicy, found ${shown(fields['kind'])}`)
  }
  const here = at(place, 'metadata')
  const metadata = objectAt(fields['metadata'], here)
  const namespace = metadata['namespace'] === undefined ? 'default' : nameAt(metadata['namespace'], at(here, 'namespace'), 'namespace')
  return { namespace, name: textAt(metadata['name'], at(here, 'name')) }
}
