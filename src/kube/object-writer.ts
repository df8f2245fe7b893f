// Objects of the API server for who owns a part of them: read, made, replaced, applied and deleted by name, each within its time.
//
// Whoever only looks takes objects.ts. A request that fails may still have been carried out (its answer was lost, and another
// server was asked): callers read again and go on from what is there.
// **Invariant:** nothing is replaced but the version that the body carries, and nothing is deleted but the UID that is named;
// what somebody else wrote meanwhile is a Conflict, never lost.
import type { Clock } from '../lib/clock.ts'
import { show } from '../lib/show.ts'
import { ApiFailure } from './failures.ts'
import { textOf } from './objects.ts'
import { parseJson } from './rows.ts'
import type { Purpose, RoleResource } from './statuses.ts'
import type { Answer, Change, Target, Transport } from './transport.ts'

export interface ObjectKind extends RoleResource {
  /** `Lease` */
  readonly kind: string
  /** `v1` */
  readonly version: string
  readonly namespaced: boolean
}

export interface Metadata {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly [more: string]: unknown
}

/** What is written; apiVersion and kind are put in. */
export interface ObjectBody {
  readonly metadata: Metadata
  readonly [more: string]: unknown
}

/** As the server keeps it. */
export interface StoredObject extends ObjectBody {
  readonly metadata: Metadata & { readonly uid: string; readonly resourceVersion: string }
}

export type ObjectName = Pick<Metadata, 'name' | 'namespace'>

export interface ApplyOptions {
  /** Fields that others own are taken over; otherwise they are a Conflict. */
  readonly force: boolean
  /** The status and nothing else; the object has to be there. */
  readonly status?: boolean
}

export interface DeletePreconditions {
  readonly uid: string
  readonly resourceVersion?: string
}

export interface ObjectWriterOptions {
  readonly transport: Pick<Transport, 'get' | 'send'>
  readonly clock: Clock
  /** Who the fields belong to: at most 128 characters. */
  readonly fieldManager: string
  /** Of one request, whichever servers are asked. Usual: 10 s. */
  readonly timeoutMs?: number
}

const USUAL_TIMEOUT_MS = 10_000
const APPLY = 'application/apply-patch+yaml'

interface Request {
  readonly verb: Purpose['verb']
  readonly kind: ObjectKind
  readonly name: ObjectName
  readonly sub?: 'status' | undefined
  readonly query?: Readonly<Record<string, string>>
  readonly change: Change | null
  readonly signal: AbortSignal | undefined
}

export class ObjectWriter {
  readonly #options: ObjectWriterOptions

  constructor(options: ObjectWriterOptions) {
    this.#options = options
  }

  /** Null where there is none. ApiFailure as of all of these, and the signal's reason once it is aborted. */
  async get(kind: ObjectKind, name: ObjectName, signal?: AbortSignal): Promise<StoredObject | null> {
    try {
      return await this.#object({ verb: 'get', kind, name, change: null, signal })
    } catch (error) {
      if (error instanceof ApiFailure && error.code === 'NotFound') return null
      throw error
    }
  }

  /** AlreadyExists where there is one. */
  create(kind: ObjectKind, body: ObjectBody, signal?: AbortSignal): Promise<StoredObject> {
    return this.#object({ verb: 'create', kind, name: body.metadata, query: this.#manager, change: { method: 'POST', body: typed(kind, body) }, signal })
  }

  /** The whole object, or its whole status; Conflict where it is no longer at the body's version, NotFound where it is gone. */
  async replace(kind: ObjectKind, body: ObjectBody, options: { readonly status?: boolean } = {}, signal?: AbortSignal): Promise<StoredObject> {
    if (!body.metadata.resourceVersion) throw new ApiFailure('Internal', `${kind.kind} ${nameOf(body.metadata)} was to be replaced without the version that this was computed from`)
    return this.#object({ verb: 'update', kind, name: body.metadata, sub: subOf(options), query: this.#manager, change: { method: 'PUT', body: typed(kind, body) }, signal })
  }

  /**
   * Server-side apply: the fields of the body become ours, those that were ours and are not in it go. With a version in the body
   * it is a Conflict where the object is no longer at it; a UID alone guards no status. Without, the object is made where there is none.
   */
  apply(kind: ObjectKind, body: ObjectBody, { force, ...options }: ApplyOptions, signal?: AbortSignal): Promise<StoredObject> {
    const query = { ...this.#manager, force: String(force) }
    return this.#object({ verb: 'patch', kind, name: body.metadata, sub: subOf(options), query, change: { method: 'PATCH', body: typed(kind, body), contentType: APPLY }, signal })
  }

  /** False where there is none. Conflict where it is another object, or another version where one is named. */
  async delete(kind: ObjectKind, name: ObjectName, preconditions: DeletePreconditions, signal?: AbortSignal): Promise<boolean> {
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', preconditions, propagationPolicy: 'Background' }
    try {
      await this.#request({ verb: 'delete', kind, name, change: { method: 'DELETE', body }, signal })
      return true
    } catch (error) {
      if (error instanceof ApiFailure && error.code === 'NotFound') return false
      throw error
    }
  }

  get #manager(): Readonly<Record<string, string>> {
    return { fieldManager: this.#options.fieldManager }
  }

  async #object(request: Request): Promise<StoredObject> {
    const object = parseJson(await this.#request(request), `${request.kind.kind} ${nameOf(request.name)}`)
    if (isStored(object)) return object
    throw new ApiFailure('Garbage', `${show(object)} was sent in place of ${request.kind.kind} ${nameOf(request.name)}`)
  }

  /** The bytes of the answer, within the time. */
  async #request({ verb, kind, name, sub, query = {}, change, signal }: Request): Promise<Buffer> {
    const { transport, clock, timeoutMs = USUAL_TIMEOUT_MS } = this.#options
    const resource = { plural: sub === undefined ? kind.plural : `${kind.plural}/${sub}`, group: kind.group }
    const target: Target = { verb, resource, object: nameOf(name), path: pathOf(kind, name, verb, sub), query }
    const overdue = new AbortController()
    const late = new ApiFailure('Hung', `no API server has answered to ${verb} ${resource.plural} ${nameOf(name)} for ${timeoutMs / 1000} s`)
    const cancel = clock.after(timeoutMs, () => overdue.abort(late))
    const ended = signal === undefined ? overdue.signal : AbortSignal.any([signal, overdue.signal])
    try {
      return await textOf(await this.#send(transport, target, change, ended))
    } finally {
      cancel()
    }
  }

  #send(transport: ObjectWriterOptions['transport'], target: Target, change: Change | null, signal: AbortSignal): Promise<Answer> {
    return change === null ? transport.get(target, signal) : transport.send(target, change, signal)
  }
}

function typed({ kind, group, version }: ObjectKind, body: ObjectBody): ObjectBody {
  return { apiVersion: group === '' ? version : `${group}/${version}`, kind, ...body }
}

function subOf({ status }: { readonly status?: boolean }): 'status' | undefined {
  return status === true ? 'status' : undefined
}

function nameOf({ namespace, name }: ObjectName): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

function pathOf({ group, version, plural, namespaced }: ObjectKind, { namespace, name }: ObjectName, verb: Purpose['verb'], sub: string | undefined): string {
  if (namespaced !== (namespace !== undefined)) throw new ApiFailure('Internal', `${plural} ${name} was named ${namespaced ? 'without' : 'with'} a namespace`)
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const collection = `${root}${namespace === undefined ? '' : `/namespaces/${segment(namespace)}`}/${plural}`
  if (verb === 'create') return collection
  return `${collection}/${segment(name)}${sub === undefined ? '' : `/${sub}`}`
}

/** A name that would lead elsewhere is none: names of objects hold no slash, and are neither `.` nor `..`. */
function segment(name: string): string {
  if (name === '' || name === '.' || name === '..' || /[/%]/.test(name)) throw new ApiFailure('Internal', `${show(name)} is no name of an object`)
  return encodeURIComponent(name)
}

function isStored(object: unknown): object is StoredObject {
  const { metadata } = (object ?? {}) as { readonly metadata?: Partial<Metadata> | null }
  return typeof metadata?.name === 'string' && typeof metadata.uid === 'string' && typeof metadata.resourceVersion === 'string' && metadata.resourceVersion !== ''
}
