// An API server for pods/exec alone, on loopback: what it answers to requests without a WebSocket, and what programs say over one.
//
// **Invariant:** as the API server: a request without an upgrade starts nothing, and a handshake that is refused says no reason.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Credentials } from '../../src/kube/credentials.ts'
import { Transport, USUAL_LIMITS } from '../../src/kube/transport.ts'

export interface Handshake {
  readonly url: string
  readonly protocol: string | undefined
  readonly authorization: string | undefined
}

type Plain = readonly [status: number, body: unknown]

/** A program that goes on: its messages as they come, and what becomes of its connection. */
export interface Running {
  send(...messages: readonly Buffer[]): void
  /** The connection, without a word. */
  cut(): void
  /** Resolves when the connection has ended. */
  readonly gone: Promise<void>
}

/** A message of a channel, as frames of v5.channel.k8s.io carry it. */
export const message = (channel: number, text: string): Buffer => Buffer.concat([Buffer.from([channel]), Buffer.from(text)])
export const NO_UPGRADE: Plain = [400, { kind: 'Status', message: 'you must specify at least 1 of stdin, stdout, stderr: Upgrade request required' }]

export class ExecServer {
  /** To requests without an upgrade, by method. */
  plain: Record<'GET' | 'POST', Plain> = { GET: NO_UPGRADE, POST: NO_UPGRADE }
  /** The messages of a program, by its pod and its command; null: the handshake is refused, 'hang': nothing comes. Where none tells the end (channel 3), the connection ends. */
  program: (pod: string, command: readonly string[]) => readonly Buffer[] | null | 'hang' | ((running: Running) => void) = () => []
  /** What a GET of that path and query finds, where that is not `plain.GET`. */
  found: (url: URL) => Plain | null = () => null
  readonly handshakes: Handshake[] = []
  readonly transport: Transport
  readonly #server: http.Server
  readonly #sockets: Socket[] = []

  private constructor(server: http.Server) {
    this.#server = server
    server.on('request', (request, response) => {
      const found = request.method === 'GET' ? this.found(new URL(request.url ?? '/', 'http://server')) : null
      const [status, body] = found ?? this.plain[request.method === 'POST' ? 'POST' : 'GET']
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    })
    server.on('connection', (socket) => this.#sockets.push(socket))
    server.on('upgrade', (request, socket) => this.#upgrade(request, socket as Socket))
    const access = { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, headers: { authorization: 'Bearer secret' }, tls: {}, proxy: null, shown: 'a token' }
    this.transport = new Transport({ credentials: { current: async () => access, forget: () => undefined } as unknown as Credentials, apiServers: [], limits: USUAL_LIMITS })
  }

  static async start(): Promise<ExecServer> {
    const server = http.createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new ExecServer(server)
  }

  async close(): Promise<void> {
    await this.transport.close()
    for (const socket of this.#sockets.splice(0)) socket.destroy()
    this.#server.close()
  }

  #upgrade({ url = '', headers }: http.IncomingMessage, socket: Socket): void {
    const { 'sec-websocket-key': key, 'sec-websocket-protocol': protocol, authorization } = headers
    this.handshakes.push({ url, protocol, authorization })
    const { pathname, searchParams } = new URL(url, 'http://server')
    const messages = this.program(pathname.split('/').at(-2) ?? '', searchParams.getAll('command'))
    if (messages === null) return void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`)
    if (messages === 'hang') return
    if (typeof messages === 'function') {
      const send = (...more: readonly Buffer[]): void => more.forEach((one) => socket.write(framed(one)))
      return messages({ send, cut: () => socket.destroy(), gone: once(socket, 'close').then(() => undefined) })
    }
    for (const one of messages) socket.write(framed(one))
    if (messages.at(-1)?.[0] !== 3) socket.end(Buffer.from([0x88, 0]))
  }
}

function framed(content: Buffer): Buffer {
  if (content.length < 126) return Buffer.concat([Buffer.from([0x82, content.length]), content])
  return Buffer.concat([Buffer.from([0x82, 126, content.length >> 8, content.length & 255]), content])
}
