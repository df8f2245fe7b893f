// Requests to the API server over undici: which server, with which credentials, and an answer's bytes in small portions.
//
// Several servers are tried in turn: one that does not answer, or fails, is left for the next. Connections are renewed
// when certificates change. **Invariant:** between two portions of an answer the event loop gets a turn at least every
// TURN_BYTES; nobody who reads a body can stop the process for longer than that many bytes take.
import { setImmediate as turn } from 'node:timers/promises'
import { Agent, ProxyAgent, request, type Dispatcher } from 'undici'
import { bodyFailure, connectionFailure } from './connection-errors.ts'
import { isNoServer, OUTSIDE, type Access, type Credentials } from './credentials.ts'
import { ApiFailure } from './failures.ts'
import { statusFailure, type Purpose } from './statuses.ts'

export interface Target extends Purpose {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** Media types; JSON where it is not said. */
  readonly accept?: string
}

/** What is sent with a request that changes something; the body as JSON. */
export interface Change {
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly body: unknown
  /** JSON where it is not said. */
  readonly contentType?: string
}

export interface Answer {
  /** Throws an ApiFailure where the connection is cut or hangs, and the signal's reason once it is aborted. */
  readonly body: AsyncIterable<Buffer>
  readonly server: string
  /** The header; empty for none. */
  readonly contentType: string
}

export interface TransportOptions {
  readonly credentials: Credentials
  /** `https://HOST:PORT`, instead of the kubeconfig's; empty: that one. */
  readonly apiServers: readonly string[]
  readonly limits: TransportLimits
}

/** Milliseconds. */
export interface TransportLimits {
  readonly connect: number
  /** Until the head of an answer. */
  readonly answer: number
  /** Between two pieces of an answer. A server sends a bookmark a minute. */
  readonly quiet: number
}

export const USUAL_LIMITS: TransportLimits = { connect: 10_000, answer: 60_000, quiet: 150_000 }
/** Of who writes: a server that hangs is left for the next one while there is still time for that. */
export const WRITE_LIMITS: TransportLimits = { connect: 2_000, answer: 4_000, quiet: 4_000 }
/** What is parsed between two turns of the event loop: about 2 ms of work. */
export const TURN_BYTES = 64 * 1024
/** What is read of an answer that is an error. */
const MOST_ERROR_BYTES = 16 * 1024
/** client-go's own, since the usual 60 s can lose against what lies in between. */
const KEEP_ALIVE_MS = 30_000

export class Transport {
  readonly #options: TransportOptions
  /** Which of the servers is asked first. */
  #at = 0
  #dispatcher: { readonly key: string; readonly dispatcher: Dispatcher } | null = null

  constructor(options: TransportOptions) {
    this.#options = options
  }

  /** The answer to a GET that is 200; ApiFailure for everything else, and the signal's reason once it is aborted. */
  get(target: Target, signal: AbortSignal): Promise<Answer> {
    return this.#request(target, null, signal)
  }

  /** The answer to a change that was taken (200 to 202); fails as get(). */
  send(target: Target, change: Change, signal: AbortSignal): Promise<Answer> {
    return this.#request(target, change, signal)
  }

  async #request(target: Target, change: Change | null, signal: AbortSignal): Promise<Answer> {
    const access = await this.#options.credentials.current()
    const servers = this.#servers(access)
    const failures: ApiFailure[] = []
    // Others ask at the same time, and change who is first: each request goes around once by itself.
    const start = this.#at
    for (let i = 0; i < servers.length; i += 1) {
      const server = servers[(start + i) % servers.length] as string
      try {
        return await this.#ask(server, target, change, access, signal)
      } catch (error) {
        if (signal.aborted) throw signal.reason
        const failure = connectionFailure(error, server)
        if (!isForOthers(failure)) throw failure
        this.leave(server)
        failures.push(failure)
      }
    }
    throw together(failures)
  }

  /** ApiFailure (Credentials) where there is nothing to ask with, or nobody to ask. Asks nobody. */
  async check(): Promise<void> {
    this.#servers(await this.#options.credentials.current())
  }

  /** For what is no request: the server that is asked first, and with what. Good for now only, as credentials change. */
  async way(): Promise<{ readonly server: string; readonly headers: Readonly<Record<string, string>>; readonly dispatcher: Dispatcher }> {
    const access = await this.#options.credentials.current()
    const servers = this.#servers(access)
    return { server: servers[this.#at % servers.length] as string, headers: access.headers, dispatcher: this.#dispatcherFor(access) }
  }

  /** The server fails or misbehaves: where it is the first, the next request goes to another. */
  leave(server: string): void {
    const { apiServers } = this.#options
    if (apiServers[this.#at] === server) this.#at = (this.#at + 1) % apiServers.length
  }

  async close(): Promise<void> {
    await this.#dispatcher?.dispatcher.destroy()
    this.#dispatcher = null
  }

  #servers(access: Access): readonly string[] {
    const { apiServers } = this.#options
    if (apiServers.length > 0) return apiServers
    if (!isNoServer(access.server)) return [access.server]
    throw new ApiFailure('Credentials', `this process runs in no pod (KUBERNETES_SERVICE_HOST is not set); ${OUTSIDE}`)
  }

  async #ask(server: string, target: Target, change: Change | null, access: Access, signal: AbortSignal): Promise<Answer> {
    const { limits, credentials } = this.#options
    const query = new URLSearchParams(target.query).toString()
    const response = await request(`${server}${target.path}${query === '' ? '' : `?${query}`}`, {
      dispatcher: this.#dispatcherFor(access),
      ...(change === null ? {} : { method: change.method, body: JSON.stringify(change.body) }),
      headers: { ...access.headers, ...(change === null ? {} : { 'content-type': change.contentType ?? 'application/json' }), accept: target.accept ?? 'application/json', 'user-agent': 'picket' },
      headersTimeout: limits.answer,
      bodyTimeout: limits.quiet,
      signal,
    })
    // What is read in vain must not become an unhandled error.
    response.body.on('error', () => {})
    if (response.statusCode >= 200 && response.statusCode <= 202) {
      const contentType = response.headers['content-type']
      return { server, contentType: typeof contentType === 'string' ? contentType : '', body: portions(response.body, server, limits.quiet, signal) }
    }
    const head = await firstPart(response.body)
    if (response.statusCode === 401) credentials.forget()
    const retryAfter = response.headers['retry-after']
    throw statusFailure(response.statusCode, head, server, target, access.shown, typeof retryAfter === 'string' ? retryAfter : undefined)
  }

  /** The one in use, or one anew where what it is made of has changed; the old one ends with its last answer. */
  #dispatcherFor({ tls, proxy }: Access): Dispatcher {
    const key = JSON.stringify([tls, proxy])
    if (this.#dispatcher?.key === key) return this.#dispatcher.dispatcher
    void this.#dispatcher?.dispatcher.close()
    const connect = { ...tls, timeout: this.#options.limits.connect, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS, allowH2: false }
    const dispatcher = proxy === null ? new Agent({ connect, allowH2: false }) : new ProxyAgent({ uri: proxy, requestTls: connect, allowH2: false })
    this.#dispatcher = { key, dispatcher }
    return dispatcher
  }
}

/** Whether another server may do better. */
function isForOthers({ code }: ApiFailure): boolean {
  return code === 'Unreachable' || code === 'CertificateNotTrusted' || code === 'TlsFailed' || code === 'ServerError' || code === 'UnknownServer'
}

/** One failure for all servers: its code is the first that is more than silence. */
function together(failures: readonly ApiFailure[]): ApiFailure {
  const first = failures.find(({ code }) => code !== 'Unreachable') ?? failures[0]
  if (first === undefined || failures.length === 1) return first ?? new ApiFailure('Unreachable', 'no API server is named')
  return new ApiFailure(first.code, failures.map(({ message }) => message).join('; '), first.retryAfterMs)
}

async function* portions(body: AsyncIterable<Buffer>, server: string, quietMs: number, signal: AbortSignal): AsyncGenerator<Buffer, void> {
  let sinceTurn = 0
  try {
    for await (const chunk of body) {
      for (let start = 0; start < chunk.length; start += TURN_BYTES) {
        const portion = chunk.subarray(start, start + TURN_BYTES)
        yield portion
        sinceTurn += portion.length
        if (sinceTurn < TURN_BYTES) continue
        sinceTurn = 0
        await turn()
      }
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw bodyFailure(error, server, quietMs)
  }
}

async function firstPart(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of body) {
      parts.push(chunk)
      length += chunk.length
      if (length >= MOST_ERROR_BYTES) break
    }
  } catch {
    // The status says enough.
  }
  return Buffer.concat(parts).subarray(0, MOST_ERROR_BYTES)
}
