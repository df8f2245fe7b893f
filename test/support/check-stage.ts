// A cluster for `picket check`: the tests' API server, with namespaces and pods that can be made, and kubelets that run them.
//
// What a pod's container does is the test's: it may answer, wait, or fail to start.
// **Invariant:** `left` names all that was made through the API and is still there.
import { ApiServer, type ApiObject, type Asked } from './api-server.ts'

export interface MadePod {
  readonly namespace: string
  readonly name: string
  readonly node: string
  readonly spec: Readonly<Record<string, unknown>>
}

/** What became of the container: it ended with that log, or it waits for a reason. */
export type PodFate = { readonly log: string; readonly status: number } | { readonly waiting: string; readonly message: string }

interface Held {
  readonly pod: MadePod
  fate: PodFate | null
}

const NODES = '/api/v1/nodes'
const NAMESPACE = /^\/api\/v1\/namespaces\/([^/]+)$/
const POD = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)(\/log)?$/
const PODS = /^\/api\/v1\/namespaces\/([^/]+)\/pods$/

export class CheckStage {
  readonly server: ApiServer
  /** Every pod that was made. */
  readonly made: MadePod[] = []
  /** What its container does; null: nothing yet, it goes on being created. */
  run: (pod: MadePod) => Promise<PodFate | null> = async () => null
  /** As the server's `instead`, asked first. */
  instead: (asked: Asked) => { readonly status: number; readonly body: string } | null = () => null
  readonly #pods = new Map<string, Held>()
  readonly #namespaces = new Set<string>()
  /** Most pods at the same time. */
  most = 0

  private constructor(server: ApiServer) {
    this.server = server
    server.behaviour.instead = (asked) => this.instead(asked) ?? this.#answer(asked)
  }

  static async start(): Promise<CheckStage> {
    return new CheckStage(await ApiServer.start())
  }

  get left(): readonly string[] {
    return [...this.#namespaces, ...this.#pods.keys()]
  }

  /** Whoever runs the cluster removes what is left. */
  forget(): void {
    this.#pods.clear()
    this.#namespaces.clear()
  }

  close(): Promise<void> {
    return this.server.close()
  }

  node(name: string, { ready = true, os = 'linux' }: { readonly ready?: boolean; readonly os?: string } = {}): void {
    const status = { addresses: [{ type: 'InternalIP', address: `198.51.100.${this.server.list(NODES).length + 1}` }], nodeInfo: { operatingSystem: os }, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] }
    this.put(NODES, '', name, { status })
  }

  /** `path`: of the list. */
  put(path: string, namespace: string, name: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const { metadata = {}, ...rest } = fields as { readonly metadata?: object }
    const object = { ...rest, metadata: { ...(namespace === '' ? {} : { namespace }), name, uid: `${path}/${namespace}/${name}`, ...metadata } }
    this.server.put(path, object as ApiObject)
  }

  #answer(asked: Asked): { readonly status: number; readonly body: string } | null {
    const { method, path } = asked
    const [, ofNamespace] = NAMESPACE.exec(path) ?? []
    if (ofNamespace !== undefined && method === 'GET') return answer(this.#has(ofNamespace) ? { metadata: { name: ofNamespace } } : null)
    if (ofNamespace !== undefined && method === 'DELETE') return this.#removeNamespace(ofNamespace)
    if (method === 'POST' && path === '/api/v1/namespaces') {
      const { metadata } = JSON.parse(asked.body) as { metadata: { name: string } }
      this.#namespaces.add(metadata.name)
      return answer({ metadata }, 201)
    }
    const [, inNamespace] = PODS.exec(path) ?? []
    if (inNamespace !== undefined && method === 'POST') return this.#make(inNamespace, asked.body)
    const [, namespace, name, log] = POD.exec(path) ?? []
    if (namespace === undefined) return path.includes('/configmaps/') && this.server.list(path).length === 0 ? answer(null) : null
    const held = this.#pods.get(`${namespace}/${name}`)
    if (method === 'DELETE') this.#pods.delete(`${namespace}/${name}`)
    if (held === undefined) return answer(this.server.list('/api/v1/pods').find(({ metadata }) => metadata.namespace === namespace && metadata.name === name) ?? null)
    if (log === undefined) return answer({ metadata: { namespace, name }, status: statusOf(held.fate) })
    return held.fate !== null && 'log' in held.fate ? { status: 200, body: held.fate.log } : answer(null)
  }

  #has(namespace: string): boolean {
    return this.#namespaces.has(namespace) || this.server.list('/api/v1/namespaces').some(({ metadata }) => metadata.name === namespace)
  }

  #removeNamespace(name: string): { readonly status: number; readonly body: string } {
    if (!this.#namespaces.delete(name)) return answer(null)
    for (const key of this.#pods.keys()) if (key.startsWith(`${name}/`)) this.#pods.delete(key)
    return answer({})
  }

  #make(namespace: string, body: string): { readonly status: number; readonly body: string } {
    const { metadata, spec } = JSON.parse(body) as { metadata: { name: string }; spec: { nodeName: string } }
    if (!this.#has(namespace)) return answer(null)
    const pod: MadePod = { namespace, name: metadata.name, node: spec.nodeName, spec }
    const held: Held = { pod, fate: null }
    this.made.push(pod)
    this.#pods.set(`${namespace}/${metadata.name}`, held)
    this.most = Math.max(this.most, this.#pods.size)
    void this.run(pod).then((fate) => {
      held.fate = fate
    })
    return answer({ metadata, spec }, 201)
  }
}

function answer(object: unknown, status = 200): { readonly status: number; readonly body: string } {
  if (object !== null) return { status, body: JSON.stringify(object) }
  return { status: 404, body: JSON.stringify({ kind: 'Status', status: 'Failure', code: 404, reason: 'NotFound', message: 'not found' }) }
}

function statusOf(fate: PodFate | null): unknown {
  const state = (one: unknown): unknown => [{ name: 'check', state: one }]
  if (fate === null) return { phase: 'Pending', containerStatuses: state({ waiting: { reason: 'ContainerCreating' } }) }
  if ('waiting' in fate) return { phase: 'Pending', containerStatuses: state({ waiting: { reason: fate.waiting, message: fate.message } }) }
  const { status } = fate
  return { phase: status === 0 ? 'Succeeded' : 'Failed', containerStatuses: state({ terminated: { exitCode: status, reason: status === 0 ? 'Completed' : 'Error' } }) }
}
