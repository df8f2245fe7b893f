// An API server for tests: a real server on loopback that speaks list, watch, WatchList, pages, single objects (api-objects.ts) and errors in the API's bytes, of pods in protobuf, too.
//
// It holds objects with a history, as etcd does, and misbehaves in every way that a test asks for.
// **Invariant:** a watch from a version is told each later change once and in order, until the test cuts, stalls or garbles it.
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { answerObject } from './api-objects.ts'
import { viewOf, type View } from './api-views.ts'
import { encodeMessage, eventFrame, frame, listMessage, PROTOBUF, wrapped } from './protobuf.ts'

export interface ApiObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid: string; readonly resourceVersion?: string; readonly [more: string]: unknown }
  readonly [more: string]: unknown
}

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly authorization: string | undefined
  /** The name in the client's certificate. */
  readonly client: string | undefined
  readonly accept: string
  readonly contentType: string
  /** What was sent; empty with GET. */
  readonly body: string
}

interface Change {
  readonly revision: number
  readonly path: string
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: ApiObject
}

interface Watcher {
  readonly view: View
  readonly response: http.ServerResponse
  readonly protobuf: boolean
  stalled: boolean
}

/** What a test may change at any time. */
export interface Behaviour {
  version: string
  watchList: boolean
  /** Whether it knows protobuf; a server or a proxy that does not answers in JSON. */
  protobuf: boolean
  /** A server that gives the whole list whatever `limit` says. */
  ignoresLimit: boolean
  /** Sizes of the pieces in which an answer is sent; null: as it comes. */
  pieces: (() => number) | null
  /** An answer in place of the usual one; null: the usual one. */
  instead: (asked: Asked) => { readonly status: number; readonly body: string; readonly headers?: Readonly<Record<string, string>> } | 'hang' | 'destroy' | null
  /** Told of each watch as soon as it is open. */
  onWatch: (asked: Asked) => void
  /** Of the bytes of an answer, before they are cut into pieces. */
  garble: (bytes: Buffer) => Buffer
}

export class ApiServer {
  readonly asked: Asked[] = []
  readonly behaviour: Behaviour = {
    version: 'v1.37.2',
    watchList: true,
    protobuf: true,
    ignoresLimit: false,
    pieces: null,
    instead: () => null,
    onWatch: () => {},
    garble: (bytes) => bytes,
  }
  readonly #server: http.Server | https.Server
  readonly #secure: boolean
  readonly #sockets = new Set<Socket>()
  readonly #objects = new Map<string, Map<string, ApiObject>>()
  readonly #pages = new Map<string, { readonly objects: readonly ApiObject[]; readonly revision: number }>()
  #history: Change[] = []
  #watchers: Watcher[] = []
  #revision = 100
  #compacted = 0

  private constructor(tls: https.ServerOptions | null) {
    const handle = (request: http.IncomingMessage, response: http.ServerResponse): void => this.#handle(request, response)
    this.#secure = tls !== null
    this.#server = tls === null ? http.createServer(handle) : https.createServer(tls, handle)
    this.#server.on(tls === null ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {})
    })
  }

  static async start(tls: https.ServerOptions | null = null, port = 0): Promise<ApiServer> {
    const server = new ApiServer(tls)
    await new Promise<void>((resolve) => server.#server.listen(port, '127.0.0.1', resolve))
    return server
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `${this.#secure ? 'https' : 'http'}://127.0.0.1:${this.port}`
  }

  get revision(): number {
    return this.#revision
  }

  /** Watches that are open. */
  get watches(): number {
    return this.#watchers.length
  }

  list(path: string): readonly ApiObject[] {
    return [...(this.#objects.get(path)?.values() ?? [])]
  }

  /** Creates or changes the object; it is known by its namespace and name. */
  put(path: string, object: ApiObject): void {
    const objects = this.#objects.get(path) ?? new Map<string, ApiObject>()
    this.#objects.set(path, objects)
    const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`
    const before = objects.get(key)
    if (before !== undefined && before.metadata.uid !== object.metadata.uid) this.remove(path, key)
    const type = before === undefined || before.metadata.uid !== object.metadata.uid ? 'ADDED' : 'MODIFIED'
    objects.set(key, this.#change(path, type, object))
  }

  /** `key`: `namespace/name`. */
  remove(path: string, key: string): void {
    const object = this.#objects.get(path)?.get(key)
    if (object === undefined) return
    this.#objects.get(path)?.delete(key)
    this.#change(path, 'DELETED', object)
  }

  /** Forgets the history: a watch from before is answered with 410, pages expire. */
  compact(): void {
    this.#compacted = this.#revision
    this.#history = []
    this.#pages.clear()
  }

  bookmark(): void {
    for (const watcher of this.#watchers) if (!watcher.stalled) this.#tell(watcher, 'BOOKMARK', bookmarkOf(this.#revision))
  }

  /** A line, whatever it is, into every open watch; into one in protobuf as the frame that it would be there. */
  inject(line: string): void {
    for (const { response, protobuf } of this.#watchers) response.write(protobuf ? frameLike(line) : line)
  }

  /** Ends every open watch in good order, as a server does when its time is over. */
  endWatches(): void {
    for (const { response } of this.#watchers.splice(0)) response.end()
  }

  /** Nothing more is sent into what is open. */
  stall(): void {
    for (const watcher of this.#watchers) watcher.stalled = true
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** An event whose version goes back, as after etcd was restored. */
  goBack(to: number): void {
    this.#revision = to
    this.#history = []
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #change(path: string, type: Change['type'], object: ApiObject): ApiObject {
    this.#revision += 1
    const revision = this.#revision
    const stamped = { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } }
    this.#history.push({ revision, path, type, object: stamped })
    for (const watcher of this.#watchers) {
      if (watcher.view.paths.includes(path) && watcher.view.has(stamped) && !watcher.stalled) this.#tell(watcher, type, stamped)
    }
    return stamped
  }

  #handle(request: http.IncomingMessage, response: http.ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://server')
    const query = Object.fromEntries(url.searchParams)
    const client = (request.socket as Partial<TLSSocket>).getPeerCertificate?.().subject?.CN
    const { method = 'GET', headers: { authorization, accept = '', 'content-type': contentType = '' } } = request
    const asked = { method, path: url.pathname, query, authorization, client: typeof client === 'string' ? client : undefined, accept, contentType, body: '' }
    if (method === 'GET') return this.#answerTo(asked, request, response)
    request.setEncoding('utf8').on('data', (text: string) => (asked.body += text)).on('end', () => this.#answerTo(asked, request, response))
  }

  #answerTo(asked: Asked, request: http.IncomingMessage, response: http.ServerResponse): void {
    const { query } = asked
    this.asked.push(asked)
    const instead = this.behaviour.instead(asked)
    if (instead === 'hang') return
    if (instead === 'destroy') return void request.socket.destroy()
    if (instead !== null) return void response.writeHead(instead.status, instead.headers).end(instead.body)
    if (asked.path === '/version') return this.#answer(response, { gitVersion: this.behaviour.version })
    if (query['watch'] === 'true') return this.#watch(asked, response)
    const said = answerObject(this, asked)
    if (said === null) return this.#list(asked, response)
    response.writeHead(said.status, { 'content-type': 'application/json' }).end(JSON.stringify(said.body))
  }

  #list(asked: Asked, response: http.ServerResponse): void {
    const { path, query } = asked
    const token = query['continue']
    const view = viewOf(path, query)
    const page = token === undefined ? { objects: view.paths.flatMap((one) => this.list(one)).filter(view.has), revision: this.#revision } : this.#pages.get(token)
    if (page === undefined) return this.#fail(asked, response, 410, 'Expired', 'The provided continue parameter is too old')
    const limit = query['limit'] === undefined || this.behaviour.ignoresLimit ? page.objects.length : Number(query['limit'])
    const rest = page.objects.slice(limit)
    const next = rest.length === 0 ? '' : `page-${this.asked.length}`
    if (next !== '') this.#pages.set(next, { objects: rest, revision: page.revision })
    const metadata = { resourceVersion: String(page.revision), ...(next === '' ? {} : { continue: next }) }
    const items = page.objects.slice(0, limit)
    if (this.#speaksProtobuf(asked)) this.#answer(response, listMessage('Pod', metadata, items), PROTOBUF)
    else this.#answer(response, { kind: 'List', apiVersion: 'v1', metadata, items })
  }

  #watch(asked: Asked, response: http.ServerResponse): void {
    const { path, query } = asked
    const initial = query['sendInitialEvents'] === 'true'
    if (initial && !this.behaviour.watchList) {
      const message = 'sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled'
      return this.#fail(asked, response, 422, 'Invalid', message)
    }
    const from = Number(query['resourceVersion'] ?? this.#revision)
    if (from < this.#compacted) return this.#fail(asked, response, 410, 'Expired', 'too old resource version')
    const view = viewOf(path, query)
    const watcher = { view, response, protobuf: this.#speaksProtobuf(asked), stalled: false }
    response.writeHead(200, { 'content-type': watcher.protobuf ? `${PROTOBUF};stream=watch` : 'application/json' }).flushHeaders()
    if (initial) {
      for (const object of view.paths.flatMap((one) => this.list(one)).filter(view.has)) this.#tell(watcher, 'ADDED', object)
      this.#tell(watcher, 'BOOKMARK', bookmarkOf(this.#revision, true))
    }
    for (const change of this.#history) if (view.paths.includes(change.path) && view.has(change.object) && change.revision > from) this.#tell(watcher, change.type, change.object)
    this.#watchers.push(watcher)
    response.on('close', () => {
      this.#watchers = this.#watchers.filter((one) => one !== watcher)
    })
    this.behaviour.onWatch(asked)
  }

  #fail(asked: Asked, response: http.ServerResponse, code: number, reason: string, message: string): void {
    const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }
    if (this.#speaksProtobuf(asked)) response.writeHead(code, { 'content-type': PROTOBUF }).end(wrapped('Status', encodeMessage('Status', status)))
    else response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(status))
  }

  #answer(response: http.ServerResponse, body: unknown, contentType = 'application/json'): void {
    response.writeHead(200, { 'content-type': contentType })
    this.#send(response, Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)))
    response.end()
  }

  #speaksProtobuf({ path, accept }: Asked): boolean {
    return this.behaviour.protobuf && path === '/api/v1/pods' && accept.startsWith(PROTOBUF)
  }

  #tell({ response, protobuf }: Watcher, type: string, object: object): void {
    this.#send(response, protobuf ? eventFrame(type, 'Pod', object) : Buffer.from(lineOf(type, object)))
  }

  #send(response: http.ServerResponse, whole: Buffer): void {
    const bytes = this.behaviour.garble(whole)
    for (let start = 0; start < bytes.length; ) {
      const end = start + (this.behaviour.pieces?.() ?? bytes.length)
      response.write(bytes.subarray(start, end))
      start = end
    }
  }
}

function lineOf(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`
}

/** Of a line that is an event, its frame; of another one, a frame with its bytes; of half a line, half a frame. */
function frameLike(text: string): Buffer {
  const bytes = Buffer.from(text)
  if (!text.endsWith('\n')) return text.startsWith('{') ? frame(Buffer.concat([bytes, Buffer.alloc(100)])).subarray(0, -100) : bytes
  try {
    const { type, object } = JSON.parse(text) as { readonly type: string; readonly object: { readonly kind: string } }
    return eventFrame(type, object.kind, object)
  } catch {
    return frame(bytes)
  }
}

function bookmarkOf(revision: number, end = false): object {
  const annotations = end ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}
  return { kind: 'Pod', metadata: { resourceVersion: String(revision), creationTimestamp: null, ...annotations } }
}
