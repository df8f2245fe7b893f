// A collector of OpenTelemetry's logs on loopback: reads requests as OTLP in JSON has them, or behaves as one should not.
//
// **Invariant:** what it received is read with none of OpenTelemetry's packages, and what is no such request is kept as a fault.
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Certificate } from './certificates.ts'

export interface ReceivedLog {
  readonly resource: Readonly<Record<string, unknown>>
  readonly attributes: Readonly<Record<string, unknown>>
  readonly body: string
  /** As it stands in the request. */
  readonly raw: Readonly<Record<string, unknown>>
}

export type Answering = (response: http.ServerResponse, logs: readonly ReceivedLog[], request: http.IncomingMessage) => void

interface KeyValue {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

export class OtlpServer {
  /** Of requests that were answered 200 by accept(). */
  readonly accepted: ReceivedLog[] = []
  readonly requests: (readonly ReceivedLog[])[] = []
  readonly headers: http.IncomingHttpHeaders[] = []
  readonly faults: string[] = []
  readonly sockets = new Set<Socket>()
  /** In place of accept(). */
  answer: Answering | null
  readonly #server: http.Server
  readonly #path: string
  readonly #url: string

  private constructor(server: http.Server, answer: Answering | null, path: string, host: string, isTls: boolean) {
    this.#server = server
    this.#path = path
    this.answer = answer
    this.#url = `${isTls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}`
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket)
      socket.on('close', () => this.sockets.delete(socket))
      socket.on('error', () => undefined)
    })
    server.on('tlsClientError', () => undefined)
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => void this.#handle(request, response).catch((error: unknown) => this.faults.push(String(error))))
  }

  static async listen({ host = '127.0.0.1', port = 0, secret = null, answer = null, path = '/v1/logs' }: {
    readonly host?: string
    readonly port?: number
    readonly secret?: Certificate | null
    readonly answer?: Answering | null
    readonly path?: string
  } = {}): Promise<OtlpServer> {
    const server = secret === null ? http.createServer() : https.createServer({ cert: secret.cert, key: secret.key })
    const one = new OtlpServer(server, answer, path, host, secret !== null)
    server.listen(port, host)
    await once(server, 'listening')
    return one
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `${this.#url}:${this.port}${this.#path}`
  }

  get bodies(): readonly string[] {
    return this.accepted.map(({ body }) => body)
  }

  accept(response: http.ServerResponse, logs: readonly ReceivedLog[]): void {
    this.accepted.push(...logs)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.sockets) socket.destroy()
    await closed
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    response.on('error', () => undefined)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    if (request.method !== 'POST' || request.url !== this.#path) this.faults.push(`${request.method} ${request.url}`)
    const { resourceLogs } = JSON.parse(Buffer.concat(chunks).toString()) as { readonly resourceLogs: readonly { readonly resource: { readonly attributes: readonly KeyValue[] }; readonly scopeLogs: readonly { readonly logRecords: readonly Readonly<Record<string, unknown>>[] }[] }[] }
    const logs = resourceLogs.flatMap(({ resource, scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords.map((raw) => ({
      resource: plain(resource.attributes),
      attributes: plain(raw['attributes'] as readonly KeyValue[]),
      body: (raw['body'] as { readonly stringValue: string }).stringValue,
      raw,
    }))))
    this.requests.push(logs)
    this.headers.push(request.headers)
    if (this.answer === null) this.accept(response, logs)
    else this.answer(response, logs, request)
  }
}

function plain(attributes: readonly KeyValue[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value['stringValue'] ?? value['intValue']]))
}
