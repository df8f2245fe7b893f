// What is read from the API server: one line for each resource.
//
// The path says where it is listed and watched, in all namespaces; the kind says which decoder reads its objects.
// The operator has lines of its own (operator/resources.ts). **Invariant:** every kind here is one that decode/ reads, and the role in
// deploy/ allows list and watch on each line.
import { objectKindOf, type ObjectKind } from '../decode/decode.ts'
import type { Decoded } from '../model/changes.ts'
import type { Uid } from '../model/objects.ts'
import { POD_MESSAGE, type MessageKind } from './messages.ts'
import { SERVICE_MESSAGE, SLICE_MESSAGE } from './service-messages.ts'

export interface Resource<Rows extends string = string> {
  /** As in the objects: `Pod`. */
  readonly kind: string
  /** The rows' kind, as events name it: `pod`. */
  readonly rows: Rows
  /** How an object becomes a row, where decode/ does not say it. Must not throw. */
  readonly read?: (object: unknown, uid: Uid) => Decoded<unknown>
  /** As roles name it: `pods`. */
  readonly plural: string
  /** As roles name it; empty for the core group. */
  readonly group: string
  /** `/api/v1/pods` */
  readonly path: string
  /** Of lists and watches: which of them are meant. */
  readonly query?: Readonly<Record<string, string>>
  /** By which metrics and the status tell it from another one of the same plural. */
  readonly title?: string
  /** How its protobuf is read; null: as JSON, which does for kinds of which there are few. */
  readonly message: MessageKind | null
}

function resource(kind: string, plural: string, group: string, version: string, message: MessageKind | null = null): Resource<ObjectKind> {
  const rows = objectKindOf(kind)
  if (rows === null) throw new TypeError(`${kind} is not decoded`)
  const path = group === '' ? `/api/${version}/${plural}` : `/apis/${group}/${version}/${plural}`
  return Object.freeze({ kind, rows, plural, group, path, message })
}

export const RESOURCES: readonly Resource<ObjectKind>[] = [
  resource('Namespace', 'namespaces', '', 'v1'),
  resource('Node', 'nodes', '', 'v1'),
  resource('Pod', 'pods', '', 'v1', POD_MESSAGE),
  resource('NetworkPolicy', 'networkpolicies', 'networking.k8s.io', 'v1'),
  resource('Service', 'services', '', 'v1', SERVICE_MESSAGE),
  resource('EndpointSlice', 'endpointslices', 'discovery.k8s.io', 'v1', SLICE_MESSAGE),
]

/** The line of that plural. */
export function usualResource(plural: string): Resource<ObjectKind> {
  const found = RESOURCES.find((one) => one.plural === plural)
  if (found === undefined) throw new TypeError(`${plural} is not read by agents`)
  return found
}

/** What `read` gives where it says itself what cannot be read. */
export function goodRow<Row>(row: Row): Decoded<Row> {
  return { kind: 'good', row, problems: [] }
}
