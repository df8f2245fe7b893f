// A small HTTP server on a HOST:PORT of the settings: GET of a few paths, nothing else, whoever asks.
//
// Probes and Prometheus ask it. What is said comes from callbacks. **Invariant:** whoever is slow, asks much or asks wrong costs
// a bounded number of connections for a bounded time, and an answer that fails ends nothing but itself.
import http from 'node:http'
import { messageOf, PicketError } from '../lib/errors.ts'

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
  /** Besides those of every answer. */
  readonly headers?: Readonly<Record<string, string>>
}

/** By path; `*`: every other one. */
export type Routes = Readonly<Record<string, () => Answer | Promise<Answer>>>

export interface Listener {
  close(): Promise<void>
}

/** Of one connection, for the whole of a request. */
const LONGEST_REQUEST_MS = 10_000
const MOST_CONNECTIONS = 64
export const EVERY_HOST = '::'
const EVERY_HOST_OF_IPV4 = '0.0.0.0'
const NO_IPV6: ReadonlySet<string> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL'])

/** `setting` is the name of the one that says `address`, HOST:PORT. Throws a PicketError (AddressInUse, AddressFailed) that names both. */
export async function listen(setting: string, address: string, routes: Routes): Promise<Listener> {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? []
  return await listenAt(host, Number(port), routes).catch((error: unknown) => {
    throw failure(setting, address, error)
  })
}

/** `::` is every address of both families, of IPv4 where the kernel has no other. Rejects with the system's error. */
export async function listenAt(host: string, port: number, routes: Routes): Promise<Listener> {
  try {
    return await listenOn(host, port, routes)
  } catch (error) {
    if (host !== EVERY_HOST || !NO_IPV6.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    return await listenOn(EVERY_HOST_OF_IPV4, port, routes)
  }
}

async function listenOn(host: string, port: number, routes: Routes): Promise<Listener> {
  const server = http.createServer({ headersTimeout: LONGEST_REQUEST_MS, requestTimeout: LONGEST_REQUEST_MS, connectionsCheckingInterval: 5_000 }, (request, response) => {
    void answer(request, routes).then((one) => send(request, response, one))
  })
  server.maxConnections = MOST_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
  server.on('error', () => undefined)
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** JSON, as the agent's socket has it. */
export function json(status: number, body: unknown): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(body)}\n` }
}

function failure(setting: string, address: string, error: unknown): PicketError {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') return new PicketError('AddressInUse', `${setting} ${address}: another program listens there (another agent?); expected a free port: stop it, or set another ${setting}`)
  if (code === 'EADDRNOTAVAIL') return new PicketError('AddressFailed', `${setting} ${address}: expected an address of this machine; set another ${setting}`)
  return new PicketError('AddressFailed', `${setting} ${address}: ${messageOf(error)}; set another ${setting}`)
}

async function answer(request: http.IncomingMessage, routes: Routes): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return json(405, { error: `method ${request.method ?? ''}: expected GET` })
  const path = (request.url ?? '/').split('?', 1)[0] as string
  const route = Object.hasOwn(routes, path) ? routes[path] : routes['*']
  if (route === undefined) return json(404, { error: `path ${path}: expected ${Object.keys(routes).join(' or ')}` })
  try {
    return await route()
  } catch (error) {
    return json(500, { error: messageOf(error) })
  }
}

function send(request: http.IncomingMessage, response: http.ServerResponse, { status, type, body, headers }: Answer): void {
  if (response.destroyed) return
  response.writeHead(status, { ...headers, 'content-type': type, 'content-length': Buffer.byteLength(body) })
  response.end(request.method === 'HEAD' ? undefined : body)
}
