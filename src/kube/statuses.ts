// An answer that is not 200, or an ERROR event of a watch -> an ApiFailure in clear words.
//
// **Invariant:** 403 names the verb and the resource that are missing in the role, whatever the server said.
import { said, ApiFailure, type FailureCode } from './failures.ts'
import { MAGIC, statusIn, type StatusObject } from './messages.ts'
import type { Resource } from './resources.ts'

/** As roles name a resource. */
export type RoleResource = Pick<Resource, 'plural' | 'group'>

/** What was asked for; `resource` is null for questions about the server itself. */
export interface Purpose {
  readonly verb: 'list' | 'watch' | 'get' | 'create' | 'update' | 'patch' | 'delete'
  readonly resource: RoleResource | null
  /** Of one object: `shop/web`, or the name alone where it has no namespace. */
  readonly object?: string
}

const LONGEST_PAUSE_MS = 60_000

/** `body`: the first part of it, a Status in either encoding or whatever a proxy says. `credentials`: what was sent, in words. */
export function statusFailure(status: number, body: Buffer, server: string, purpose: Purpose, credentials: string, retryAfter?: string): ApiFailure {
  const answered = statusOf(body)
  const message = messageOf(answered)
  const what = purpose.resource === null ? 'the version' : whatOf(purpose.resource, purpose.object)
  const to = `${purpose.verb} ${what}`
  const words = message === '' ? '' : ` (it says: ${message})`
  switch (status) {
    case 401:
      return new ApiFailure('CredentialsRefused', `${server} refuses the credentials (401), which are ${credentials}; expected ones that are valid`)
    case 403:
      if (isGoing(answered)) return new ApiFailure('NotFound', `${server} does not ${to}: the namespace is being deleted (403)${words}`)
      return new ApiFailure('PermissionMissing', forbidden(server, purpose, words))
    case 404:
      if (isMissing(answered)) return new ApiFailure('NotFound', `${server} cannot ${to}: it is not there (404)${words}`)
      return new ApiFailure('UnknownServer', `${server} knows no such path (404) to ${to}; expected a Kubernetes API server, 1.32 or later${words}`)
    case 409:
      if (answered.reason === 'AlreadyExists') return new ApiFailure('AlreadyExists', `${server} does not ${to}: there is one already (409)`)
      return new ApiFailure('Conflict', `${server} does not ${to}: it is no longer what this was computed from (409)${words}`)
    case 410:
      return new ApiFailure('Gone', `${server} no longer has the history to ${to} from where we are (410)`)
    case 400:
    case 422:
      return new ApiFailure('RequestRefused', `${server} refuses the request to ${to} (${status})${words}`)
    case 429:
      return new ApiFailure('Overloaded', `${server} asks to come again later (429)${words}`, retryAfterMs(retryAfter))
    default:
      return new ApiFailure('ServerError', `${server} fails to ${to} (${status})${words}`, retryAfterMs(retryAfter))
  }
}

/** Of an ERROR event's object. */
export function eventFailure(object: unknown, resource: Resource): ApiFailure {
  const status = typeof object === 'object' && object !== null ? (object as StatusObject) : {}
  const message = typeof status.message === 'string' ? said(status.message) : ''
  const gone = status.code === 410 || status.reason === 'Expired' || status.reason === 'Gone'
  if (gone) return new ApiFailure('Gone', `the API server no longer has the history to watch ${resource.plural} from where we are (410)`)
  const code: FailureCode = status.code === 429 ? 'Overloaded' : 'ServerError'
  const number = typeof status.code === 'number' ? ` (${status.code})` : ''
  return new ApiFailure(code, `the API server ended the watch of ${resource.plural}${number}${message === '' ? '' : `: ${message}`}`)
}

function forbidden(server: string, { verb, resource }: Purpose, words: string): string {
  if (resource === null) return `${server} does not let us ask for its version (403)${words}`
  const group = resource.group === '' ? 'the core group' : `the group ${resource.group}`
  const where = verb === 'list' || verb === 'watch' ? ', in all namespaces' : ''
  return `the role lacks the verb "${verb}" on the resource "${resource.plural}" of ${group}${where} (403)${words}`
}

/** Of the object, or of its namespace; a path that the server does not know has no name in its details. */
function isMissing({ reason, details }: StatusObject): boolean {
  const { name } = (details ?? {}) as { readonly name?: unknown }
  return reason === 'NotFound' && typeof name === 'string' && name !== ''
}

/** "... is forbidden: unable to create new content in namespace ... because it is being terminated" */
function isGoing({ details }: StatusObject): boolean {
  const { causes } = (details ?? {}) as { readonly causes?: unknown }
  return Array.isArray(causes) && causes.some((cause: unknown) => (cause as { readonly reason?: unknown } | null)?.reason === 'NamespaceTerminating')
}

function whatOf({ plural }: RoleResource, object: string | undefined): string {
  return object === undefined ? plural : `${plural} ${object}`
}

function messageOf({ message }: StatusObject): string {
  return typeof message === 'string' ? said(message) : ''
}

function statusOf(body: Buffer): StatusObject {
  return body.subarray(0, MAGIC.length).equals(MAGIC) ? (statusIn(body) ?? {}) : jsonStatusIn(body)
}

function jsonStatusIn(body: Buffer): StatusObject {
  const text = body.toString('utf8')
  try {
    const status: unknown = JSON.parse(text)
    return typeof status === 'object' && status !== null ? status : {}
  } catch {
    return { message: text }
  }
}

function retryAfterMs(header: string | undefined): number | null {
  if (header === undefined || !/^\d{1,6}$/.test(header)) return null
  return Math.min(Number(header) * 1000, LONGEST_PAUSE_MS)
}
