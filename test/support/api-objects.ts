// Single objects of the test's API server, as a real one treats them: made, replaced, applied and deleted by name, with versions and owners of fields.
//
// It stands on whatever holds objects by the path of their list: ApiServer, or a Map where no server is needed.
// **Invariant:** a write that changes nothing leaves the version; one whose version is not the object's is refused with 409.
import { isDeepStrictEqual } from 'node:util'
import type { ApiObject } from './api-server.ts'
import { applied, withFields, type Json } from './field-owners.ts'

/** What is kept; `path` is that of the list in all namespaces. */
export interface Shelf {
  list(path: string): readonly ApiObject[]
  put(path: string, object: ApiObject): void
  remove(path: string, key: string): void
}

export interface Sent {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly body: string
}

export interface Said {
  readonly status: number
  readonly body: unknown
}

interface Place {
  readonly list: string
  readonly namespace: string | undefined
  readonly plural: string
  readonly name: string | undefined
  readonly status: boolean
}

type Written = ApiObject & { readonly [more: string]: unknown }

let made = 0

/** Null where the path is that of a list, or of no object: somebody else's to answer. */
export function answerObject(shelf: Shelf, { method, path, query, body }: Sent): Said | null {
  const place = placeOf(path)
  if (place === null || (method === 'GET' && place.name === undefined)) return null
  const sent = body === '' ? {} : (JSON.parse(body) as Partial<Written>)
  const name = place.name ?? sent.metadata?.name ?? ''
  const before = shelf.list(place.list).find(({ metadata }) => metadata.name === name && metadata.namespace === place.namespace) as Written | undefined
  switch (method) {
    case 'GET':
      return before === undefined ? notFound(place, name) : { status: 200, body: before }
    case 'POST':
      return create(shelf, place, before, sent as Written)
    case 'PUT':
      return replace(shelf, place, before, sent as Written)
    case 'PATCH':
      return apply(shelf, place, before, sent as Written, query)
    default:
      return remove(shelf, place, name, before, sent)
  }
}

function placeOf(path: string): Place | null {
  const [, root, namespace, plural, name, sub] = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/(status))?$/.exec(path) ?? []
  if (root === undefined || plural === undefined) return null
  return { list: `${root}/${plural}`, namespace, plural, name: name === undefined ? undefined : decodeURIComponent(name), status: sub !== undefined }
}

function create(shelf: Shelf, place: Place, before: Written | undefined, sent: Written): Said {
  if (before !== undefined) return failure(409, 'AlreadyExists', place, sent.metadata.name, `${place.plural} "${sent.metadata.name}" already exists`)
  if (sent.metadata.resourceVersion) return failure(500, '', place, sent.metadata.name, 'resourceVersion should not be set on objects to be created')
  return made_(shelf, place, withoutStatus(place, sent), 201)
}

function made_(shelf: Shelf, place: Place, sent: Written, status: number): Said {
  made += 1
  return stored(shelf, place, { ...sent, metadata: { ...sent.metadata, uid: `made-${made}`, generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' } }, status)
}

function replace(shelf: Shelf, place: Place, before: Written | undefined, sent: Written): Said {
  const { name, uid, resourceVersion } = sent.metadata
  // "AllowCreateOnUpdate is true for Lease", and the UID, which is a precondition, is not that of nothing.
  if (before === undefined) return place.plural === 'leases' && uid ? conflict(place, name) : notFound(place, name)
  if (!resourceVersion) return failure(422, 'Invalid', place, name, 'metadata.resourceVersion: Invalid value: 0: must be specified for an update')
  if (isOther(before, uid, resourceVersion)) return conflict(place, name)
  return kept(shelf, place, before, { ...sent, metadata: { ...before.metadata, ...sent.metadata } })
}

function apply(shelf: Shelf, place: Place, before: Written | undefined, sent: Written, query: Sent['query']): Said {
  const { name, uid, resourceVersion } = sent.metadata
  const manager = query['fieldManager']
  if (manager === undefined) return failure(400, 'BadRequest', place, name, 'fieldManager is required for apply patch')
  const none = { metadata: { name, namespace: place.namespace, uid: '' } } as Written
  if (before === undefined && place.status) return notFound(place, name)
  if (before === undefined && (uid || resourceVersion)) return conflict(place, name)
  if (before !== undefined && isOther(before, undefined, resourceVersion)) return conflict(place, name)
  // A status is written with the stored object's own metadata: the UID that was sent is not looked at.
  if (before !== undefined && !place.status && isOther(before, uid, undefined)) return failure(422, 'Invalid', place, name, `metadata.uid: Invalid value: "${uid}": field is immutable`)
  const { metadata: { uid: _uid, resourceVersion: _version, ...metadata }, ...rest } = withoutStatus(place, sent)
  const fields = { ...(place.status ? { status: rest['status'] } : rest), ...(place.status ? {} : { metadata }) }
  const { object, conflicts } = applied((before ?? none) as Json, fields as Json, `${manager}${place.status ? '/status' : ''}`, query['force'] === 'true')
  if (conflicts.length > 0) return failure(409, 'Conflict', place, name, `Apply failed with ${conflicts.length} conflict: ${conflicts.join(', ')}`)
  return before === undefined ? made_(shelf, place, object as unknown as Written, 201) : kept(shelf, place, before, object as unknown as Written)
}

function remove(shelf: Shelf, place: Place, name: string, before: Written | undefined, sent: { readonly [more: string]: unknown }): Said {
  if (before === undefined) return notFound(place, name)
  const { uid, resourceVersion } = (sent['preconditions'] ?? {}) as { readonly uid?: string; readonly resourceVersion?: string }
  if (isOther(before, uid, resourceVersion)) return conflict(place, name)
  shelf.remove(place.list, `${before.metadata.namespace ?? ''}/${name}`)
  return { status: 200, body: { kind: 'Status', apiVersion: 'v1', status: 'Success' } }
}

/** Of a write through /status everything else is left, and the other way round; a write that changes nothing is none. */
function kept(shelf: Shelf, place: Place, before: Written, wanted: Written): Said {
  const { status, ...rest } = wanted
  const { status: statusBefore, ...restBefore } = before
  const after = place.status ? { ...restBefore, status, ...withFields(wanted as Json) } : hasStatus(place) ? { ...rest, status: statusBefore } : wanted
  const stamped = { ...after, metadata: { ...(after as Written).metadata, uid: before.metadata.uid, resourceVersion: before.metadata.resourceVersion } } as Written
  if (isDeepStrictEqual(plain(stamped), plain(before))) return { status: 200, body: before }
  return stored(shelf, place, stamped, 200)
}

function stored(shelf: Shelf, place: Place, object: Written, status: number): Said {
  shelf.put(place.list, object)
  const body = shelf.list(place.list).find(({ metadata }) => metadata.name === object.metadata.name && metadata.namespace === object.metadata.namespace)
  return { status, body }
}

function plain(object: unknown): unknown {
  return JSON.parse(JSON.stringify(object))
}

/** Our own kinds have the sub-resource; Leases have no status. */
function hasStatus({ list }: Place): boolean {
  return list.includes('picket.dev')
}

function withoutStatus(place: Place, sent: Written): Written {
  if (!hasStatus(place) || place.status) return sent
  const { status: _status, ...rest } = sent
  return rest
}

function isOther({ metadata }: Written, uid: string | undefined, version: string | undefined): boolean {
  return (uid !== undefined && uid !== '' && uid !== metadata.uid) || (version !== undefined && version !== '' && version !== metadata.resourceVersion)
}

function notFound(place: Place, name: string): Said {
  return failure(404, 'NotFound', place, name, `${place.plural} "${name}" not found`)
}

function conflict(place: Place, name: string): Said {
  return failure(409, 'Conflict', place, name, `Operation cannot be fulfilled on ${place.plural} "${name}": the object has been modified; please apply your changes to the latest version and try again`)
}

function failure(code: number, reason: string, { plural }: Place, name: string, message: string): Said {
  return { status: code, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code, details: { name, kind: plural } } }
}
