// A proxy between the reflector and the real API server, on loopback with TLS, that does to watches what networks do.
//
// Requests go on over the socket of `kubectl proxy`. **Invariant:** an undisturbed byte is passed on as it came.
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { certificate } from '../support/certificates.ts'
import { FILES } from './layout.ts'

/** What happens to the bytes of watches that are open now. */
export type Disturbance = 'cut' | 'stall' | 'garble'

export class Disturber {
  readonly url: string
  /** PEM of the authority that signed its certificate. */
  readonly authority: string
  readonly #server: https.Server
  readonly #watches = new Set<{ readonly response: http.ServerResponse; stalled: boolean; garbled: boolean }>()
  watchesSeen = 0

  private constructor(server: https.Server, authority: string) {
    this.#server = server
    this.authority = authority
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => this.#pass(request, response))
  }

  static async start(): Promise<Disturber> {
    const authority = certificate('authority')
    const { cert, key } = certificate('server', { issuer: authority, addresses: ['127.0.0.1'] })
    const server = https.createServer({ cert, key })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new Disturber(server, authority.cert)
  }

  /** To every watch that is open; later ones are left alone. How many that were. */
  disturb(how: Disturbance): number {
    for (const watch of this.#watches) {
      if (how === 'cut') watch.response.destroy()
      else if (how === 'stall') watch.stalled = true
      else watch.garbled = true
    }
    return this.#watches.size
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #pass(request: http.IncomingMessage, response: http.ServerResponse): void {
    const upstream = http.request({ socketPath: FILES.apiSocket, method: request.method, path: request.url, headers: { accept: request.headers.accept ?? '*/*' }, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, { 'content-type': answer.headers['content-type'] ?? 'application/json' })
      const isWatch = /[?&]watch=(1|true)/.test(request.url ?? '')
      const watch = { response, stalled: false, garbled: false }
      if (isWatch) {
        this.watchesSeen++
        this.#watches.add(watch)
      }
      answer.on('data', (chunk: Buffer) => {
        if (watch.stalled) return
        response.write(watch.garbled ? garbled(chunk) : chunk)
      })
      answer.on('end', () => response.end())
      answer.on('error', () => response.destroy())
      response.on('close', () => {
        this.#watches.delete(watch)
        upstream.destroy()
      })
    })
    upstream.on('error', () => response.destroy())
    request.pipe(upstream)
  }
}

/** Some bytes in the middle are others. */
function garbled(chunk: Buffer): Buffer {
  const copy = Buffer.from(chunk)
  for (let at = Math.floor(copy.length / 3); at < Math.floor(copy.length / 2); at++) copy[at] = (copy[at] as number) ^ 0x5a
  return copy
}
