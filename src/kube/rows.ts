// One object's bytes -> its key and its decoded row. The raw object lives no longer than this.
//
// **Invariant:** an object that cannot be decoded, or lacks a UID, is a bad or marked row and never a reason to drop it:
// what is not said would count as deleted, and a policy that is not there opens.
import { decodeObject } from '../decode/decode.ts'
import type { Problem } from '../lib/problem.ts'
import { printable, show } from '../lib/show.ts'
import type { Decoded } from '../model/changes.ts'
import type { Uid } from '../model/objects.ts'
import { ApiFailure, said } from './failures.ts'
import { withoutManagedFields } from './managed-fields.ts'
import type { Resource } from './resources.ts'

/** The largest object that is read: etcd takes 1.5 MB, which JSON makes larger; parsing this much stops the process for some 50 ms. */
export const MOST_OBJECT_BYTES = 8 * 1024 * 1024
/** As the API server limits the UIDs that it is given. */
const LONGEST_UID = 128

export interface KeyedRow {
  readonly key: Uid
  readonly decoded: Decoded<unknown>
}

/** Of all rows of a resource; the kind of the resource says which type they are of. */
export type Rows = Map<Uid, Decoded<unknown>>

/** As SourceEvent, of any resource's rows; `kind` is that of its line. */
export type RowEvent =
  | { readonly verb: 'upsert'; readonly kind: string; readonly key: Uid; readonly decoded: Decoded<unknown> }
  | { readonly verb: 'delete'; readonly kind: string; readonly key: Uid }
  | { readonly verb: 'replace'; readonly kind: string; readonly rows: ReadonlyMap<Uid, Decoded<unknown>> }
  | { readonly verb: 'synced'; readonly kind: string }

/** Without managed fields. ApiFailure (Garbage) where the bytes are no JSON; `what` names them. */
export function parseJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(withoutManagedFields(bytes))
  } catch (error) {
    const begins = printable(bytes.toString('utf8', 0, 64), 48)
    throw new ApiFailure('Garbage', `${what} cannot be read as JSON (${said((error as Error).message)}); it begins with "${begins}"`)
  }
}

/** ApiFailure (Garbage) where `object` is no object at all. */
export function rowOf(object: unknown, resource: Resource): KeyedRow {
  const uid = uidOf(object, resource)
  const key = uid ?? madeKey(object, resource)
  const decoded = resource.read === undefined ? decodeObject(resource.kind, object, key)?.decoded : resource.read(object, key)
  if (decoded === undefined) throw new ApiFailure('Internal', `${resource.kind} is not decoded`)
  return { key, decoded: uid === null ? marked(decoded, key) : decoded }
}

/** The key alone, for an object that is gone. */
export function keyOf(object: unknown, resource: Resource): Uid {
  return uidOf(object, resource) ?? madeKey(object, resource)
}

interface Metadata {
  readonly uid?: unknown
  readonly namespace?: unknown
  readonly name?: unknown
  readonly resourceVersion?: unknown
}

function metadataOf(object: unknown): Metadata {
  const metadata = typeof object === 'object' && object !== null ? (object as { readonly metadata?: unknown }).metadata : undefined
  return typeof metadata === 'object' && metadata !== null ? metadata : {}
}

function uidOf(object: unknown, resource: Resource): Uid | null {
  if (typeof object !== 'object' || object === null) throw new ApiFailure('Garbage', `${show(object)} was sent in place of a ${resource.kind}`)
  const { uid } = metadataOf(object)
  return typeof uid === 'string' && uid !== '' && uid.length <= LONGEST_UID ? uid : null
}

function madeKey(object: unknown, resource: Resource): Uid {
  const { namespace, name } = metadataOf(object)
  const text = (value: unknown): string => (typeof value === 'string' ? printable(value, 253) : '')
  return `api:${resource.kind}/${text(namespace)}/${text(name)}`
}

function marked(decoded: Decoded<unknown>, key: Uid): Decoded<unknown> {
  const message = `found no UID of 1 to ${LONGEST_UID} characters, which every object of the API has; it is known by its name`
  const problem: Problem = { code: 'InvalidField', severity: 'error', object: key.slice('api:'.length), field: 'metadata.uid', message }
  return Object.freeze({ ...decoded, problems: Object.freeze([...decoded.problems, problem]) })
}

/** `metadata.resourceVersion` of an object, a bookmark or a list; null where there is none. */
export function versionOf(object: unknown): string | null {
  const { resourceVersion } = metadataOf(object)
  return typeof resourceVersion === 'string' && resourceVersion !== '' && resourceVersion.length <= 64 ? resourceVersion : null
}
