// What of a pod stands in a record: whether two rows say the same there, how much a row holds, and its workload.
//
// **Invariant:** pure; a change of anything else of the row is no change here.
import type { Labels } from '../model/labels.ts'
import type { Node, Pod } from '../model/objects.ts'

/** Of a row without its labels, and of one label: estimates of what a heap holds. */
const ROW_BYTES = 600
const LABEL_BYTES = 120
const HASH_LABEL = 'pod-template-hash'

export function samePod(a: Pod | null, b: Pod | null): boolean {
  if (a === b) return true
  if (a === null || b === null) return false
  return a.uid === b.uid && a.namespace === b.namespace && a.name === b.name && a.node === b.node && a.controller?.kind === b.controller?.kind && a.controller?.name === b.controller?.name && sameLabels(a.labels, b.labels)
}

function sameLabels(a: Labels, b: Labels): boolean {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [key, value] of a) if (b.get(key) !== value) return false
  return true
}

/** Bytes, about. */
export function weightOf(row: Pod | Node | null): number {
  return row === null ? 0 : ROW_BYTES + row.labels.size * LABEL_BYTES
}

/** Who made it: of a ReplicaSet that a Deployment made, the Deployment. */
export function workloadOf({ controller, labels }: Pod): { readonly kind: string; readonly name: string } | null {
  if (controller === undefined) return null
  const { kind, name } = controller
  const hash = labels.get(HASH_LABEL)
  if (kind === 'ReplicaSet' && hash && name.endsWith(`-${hash}`) && name.length > hash.length + 1) return { kind: 'Deployment', name: name.slice(0, -hash.length - 1) }
  return { kind, name }
}
