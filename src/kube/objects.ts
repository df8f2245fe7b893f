// Single objects of the API server: asked for, made and deleted by name, for whoever looks at a cluster once.
//
// Lists are list.ts's, what goes on is the reflector's.
// **Invariant:** an object that is not there is null and never an error; everything else that fails is an ApiFailure.
import { ApiFailure } from './failures.ts'
import { parseJson } from './rows.ts'
import type { RoleResource } from './statuses.ts'
import type { Answer, Transport } from './transport.ts'

/** One object, or the collection that it is to be made in. */
export interface ObjectPath extends RoleResource {
  readonly path: string
}

const MOST_BYTES = 4 * 1024 * 1024

/** Null where there is none (404). */
export async function getObject(transport: Transport, { path, ...resource }: ObjectPath, signal: AbortSignal): Promise<unknown> {
  const text = await absent(async () => textOf(await transport.get({ verb: 'get', resource, path, query: {} }, signal)))
  return text === null ? null : parseJson(text, `an object of ${resource.plural}`)
}

/** As text, such as the log of a pod; null where there is none. ApiFailure where it is longer than 4 MB. */
export async function getText(transport: Transport, { path, ...resource }: ObjectPath, signal: AbortSignal): Promise<string | null> {
  const text = await absent(async () => textOf(await transport.get({ verb: 'get', resource, path, query: {} }, signal)))
  return text === null ? null : text.toString('utf8')
}

/** The object as the server keeps it. */
export async function createObject(transport: Transport, { path, ...resource }: ObjectPath, body: unknown, signal: AbortSignal): Promise<unknown> {
  const answer = await transport.send({ verb: 'create', resource, path, query: {} }, { method: 'POST', body }, signal)
  return parseJson(await textOf(answer), `an object of ${resource.plural}`)
}

/** At once, whatever the object's own grace period; no error where there is none. */
export async function deleteObject(transport: Transport, { path, ...resource }: ObjectPath, signal: AbortSignal): Promise<void> {
  const body = { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0, propagationPolicy: 'Background' }
  await absent(async () => textOf(await transport.send({ verb: 'delete', resource, path, query: {} }, { method: 'DELETE', body }, signal)))
}

async function absent<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask()
  } catch (error) {
    // Of an API server, which the caller has asked for its version, 404 says that the object is not there.
    if (error instanceof ApiFailure && (error.code === 'UnknownServer' || error.code === 'NotFound')) return null
    throw error
  }
}

/** The bytes of one object. ApiFailure where it is longer than 4 MB. */
export async function textOf({ body, server }: Answer): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of body) {
    parts.push(part)
    length += part.length
    if (length > MOST_BYTES) throw new ApiFailure('TooLarge', `${server} sent more than ${MOST_BYTES / 1024 / 1024} MB in place of one object`)
  }
  return Buffer.concat(parts)
}
