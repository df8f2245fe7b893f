// The test cluster's API as plain HTTP over the socket that `kubectl proxy` serves: fast, and without credentials.
//
// **Invariant:** an answer that is no success is an error with the server's own words, unless the caller asked for it.
import http from 'node:http'
import { PicketError } from '../../src/lib/errors.ts'
import { FILES } from './layout.ts'

export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly generation?: number
    readonly labels?: Readonly<Record<string, string>>
    readonly [field: string]: unknown
  }
  readonly [field: string]: unknown
}

export interface ApiAnswer {
  readonly status: number
  readonly body: unknown
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 })
const PLURALS: Readonly<Record<string, string>> = { NetworkPolicy: 'networkpolicies', Ingress: 'ingresses' }

/** `/api/v1/namespaces/shop/pods`, or of one object with its name behind. */
export function pathOf(apiVersion: string, kind: string, namespace: string | null, name: string | null = null): string {
  const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`
  const parts = [apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`, ...(namespace === null ? [] : ['namespaces', namespace]), plural, ...(name === null ? [] : [name])]
  return parts.join('/')
}

/** As the cluster's admin, unless `token` is somebody else's: kubectl's proxy passes it on. */
export function ask(method: string, path: string, body: unknown = null, contentType = 'application/json', token: string | null = null): Promise<ApiAnswer> {
  return new Promise((resolve, reject) => {
    const text = body === null ? null : JSON.stringify(body)
    const headers = {
      ...(text === null ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }),
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    }
    const request = http.request({ socketPath: FILES.apiSocket, agent, method, path, headers, timeout: 30_000 }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const content = Buffer.concat(chunks).toString()
        try {
          resolve({ status: response.statusCode ?? 0, body: response.headers['content-type']?.startsWith('application/json') === true ? (JSON.parse(content) as unknown) : content })
        } catch (error) {
          reject(error as Error)
        }
      })
    })
    request.on('timeout', () => request.destroy(new Error('no answer for 30 s')))
    request.on('error', (error) => reject(new PicketError('ApiFailed', `${method} ${path}: ${error.message}`)))
    request.end(text ?? undefined)
  })
}

async function must(method: string, path: string, body: unknown = null, contentType?: string): Promise<KubeObject> {
  const answer = await ask(method, path, body, contentType)
  if (answer.status >= 300) throw new PicketError('ApiFailed', `${method} ${path}: ${answer.status}: ${(answer.body as { readonly message?: string }).message ?? String(answer.body)}`)
  return answer.body as KubeObject
}

function place({ apiVersion, kind, metadata }: KubeObject, named: boolean): string {
  return pathOf(apiVersion, kind, metadata.namespace ?? null, named ? metadata.name : null)
}

export const api = {
  create: (object: KubeObject): Promise<KubeObject> => must('POST', place(object, false), object),
  /** Whole object, whatever version is there. */
  async replace(object: KubeObject): Promise<KubeObject> {
    const { metadata } = await must('GET', place(object, true))
    return must('PUT', place(object, true), { ...object, metadata: { ...object.metadata, resourceVersion: metadata.resourceVersion } })
  },
  /** Merge patch. */
  patch: (apiVersion: string, kind: string, namespace: string | null, name: string, patch: unknown, subresource = ''): Promise<KubeObject> =>
    must('PATCH', `${pathOf(apiVersion, kind, namespace, name)}${subresource}`, patch, 'application/merge-patch+json'),
  get: (apiVersion: string, kind: string, namespace: string | null, name: string): Promise<KubeObject> => must('GET', pathOf(apiVersion, kind, namespace, name)),
  async find(apiVersion: string, kind: string, namespace: string | null, name: string): Promise<KubeObject | null> {
    const answer = await ask('GET', pathOf(apiVersion, kind, namespace, name))
    return answer.status === 404 ? null : (answer.body as KubeObject)
  },
  async list(apiVersion: string, kind: string, namespace: string | null, query = ''): Promise<readonly KubeObject[]> {
    return ((await must('GET', `${pathOf(apiVersion, kind, namespace)}${query}`)) as unknown as { readonly items: readonly KubeObject[] }).items
  },
  /** Nothing where it is not there. `grace` in seconds. */
  async remove(apiVersion: string, kind: string, namespace: string | null, name: string, grace: number | null = null): Promise<void> {
    const answer = await ask('DELETE', `${pathOf(apiVersion, kind, namespace, name)}${grace === null ? '' : `?gracePeriodSeconds=${grace}`}`)
    if (answer.status >= 300 && answer.status !== 404) throw new PicketError('ApiFailed', `DELETE ${kind} ${name}: ${answer.status}`)
  },
}
