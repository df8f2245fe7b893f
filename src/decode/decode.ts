// A raw object of any kind that is read -> its row, ready to be said to the inbox.
//
// Both sources (a folder of manifests, the API) come through here. **Invariant:** the table below is the only place that
// pairs a Kubernetes kind with ours.
import type { Decoded, Kind, RowOf } from '../model/changes.ts'
import type { Uid } from '../model/objects.ts'
import { decodeNamespace } from './namespace.ts'
import { decodeEndpointSlice } from './endpoint-slice.ts'
import { decodePolicy } from './network-policy.ts'
import { decodeNode } from './node.ts'
import { decodePod } from './pod.ts'
import { decodeService } from './service.ts'

/** The kinds that come as objects; interfaces come from the kernel. */
export type ObjectKind = Exclude<Kind, 'interface'>
export type DecodedObject = { [K in ObjectKind]: { readonly kind: K; readonly decoded: Decoded<RowOf[K]> } }[ObjectKind]

const KINDS: ReadonlyMap<string, ObjectKind> = new Map([
  ['Pod', 'pod'],
  ['Namespace', 'namespace'],
  ['Node', 'node'],
  ['NetworkPolicy', 'policy'],
  ['Service', 'service'],
  ['EndpointSlice', 'slice'],
])

/** Ours of a Kubernetes kind (`Pod`): for deletions, too. Null for kinds that are not decoded. */
export function objectKindOf(kind: string): ObjectKind | null {
  return KINDS.get(kind) ?? null
}

/** Null for a kind that is not decoded. `source` goes into problems. Never throws. */
export function decodeObject(kind: string, raw: unknown, uid: Uid, source?: string): DecodedObject | null {
  switch (objectKindOf(kind)) {
    case 'pod':
      return { kind: 'pod', decoded: decodePod(raw, uid, source) }
    case 'namespace':
      return { kind: 'namespace', decoded: decodeNamespace(raw, uid, source) }
    case 'node':
      return { kind: 'node', decoded: decodeNode(raw, uid, source) }
    case 'policy':
      return { kind: 'policy', decoded: decodePolicy(raw, uid, source) }
    case 'service':
      return { kind: 'service', decoded: decodeService(raw, uid, source) }
    case 'slice':
      return { kind: 'slice', decoded: decodeEndpointSlice(raw, uid, source) }
    case null:
      return null
  }
}
