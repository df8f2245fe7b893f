// The publisher's writes as requests: an object is made without its status, which is then applied; it is deleted by UID and version.
//
// A server drops the status of an object that is made. Ownership of fields comes from the apply alone, so that what a later status
// leaves out goes. **Invariant:** a request carries the UID and the version that its content was computed from: a former leader's
// late write is a Conflict, and its late creation an AlreadyExists.
import type { ObjectBody, ObjectKind, ObjectName, ObjectWriter, Metadata } from '../kube/object-writer.ts'
import { nameIn } from '../lib/names.ts'
import type { Version } from './desired.ts'
import type { Write } from './publisher.ts'

export interface StatusBody {
  /** Labels and owner references, for when it is made. */
  readonly metadata: Omit<Metadata, 'name' | 'namespace' | 'uid' | 'resourceVersion'>
  readonly status: object
}

/** `key`s are `namespace/name`, or names where the kind has no namespaces. */
export function statusWrites(writer: Pick<ObjectWriter, 'create' | 'apply' | 'delete'>, kind: ObjectKind): (write: Write<StatusBody>, signal: AbortSignal) => Promise<Version | null> {
  return async ({ key, action, body, from }, signal) => {
    const name: ObjectName = kind.namespaced ? nameIn(key) : { name: key }
    if (action === 'delete') {
      if (from !== null) await writer.delete(kind, name, from, signal)
      return null
    }
    if (body === null) throw new TypeError(`${kind.kind} ${key} is to be written without a body`)
    const { metadata } =
      action === 'create'
        ? await writer.create(kind, { metadata: { ...body.metadata, ...name } }, signal)
        : await writer.apply(kind, applied(name, from, body), { force: true, status: true }, signal)
    return { uid: metadata.uid, resourceVersion: metadata.resourceVersion }
  }
}

function applied(name: ObjectName, from: Version | null, { status }: StatusBody): ObjectBody {
  return { metadata: { ...name, ...from }, status }
}
