// A syslog server on loopback: reads frames by their lengths, or behaves as one should not.
//
// **Invariant:** frames are read by other code than what makes them, and what is no frame is kept as a fault.
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import type { Certificate } from './certificates.ts'

export interface Received {
  /** What stands before the record: `<133>1 TIME HOST APP PID MSGID -`. */
  readonly header: string
  /** The record. */
  readonly line: string
}

export class SyslogServer {
  readonly received: Received[] = []
  readonly faults: string[] = []
  readonly connections = new Set<net.Socket>()
  accepted = 0
  readonly #server: net.Server
  readonly #onConnection: ((socket: net.Socket) => void) | null

  private constructor(server: net.Server, onConnection: ((socket: net.Socket) => void) | null) {
    this.#server = server
    this.#onConnection = onConnection
  }

  /** `onConnection`: in place of reading frames. */
  static async listen({ host = '127.0.0.1', port = 0, secret = null, onConnection = null }: {
    readonly host?: string
    readonly port?: number
    readonly secret?: Certificate | null
    readonly onConnection?: ((socket: net.Socket) => void) | null
  } = {}): Promise<SyslogServer> {
    const server = secret === null ? net.createServer() : tls.createServer({ cert: secret.cert, key: secret.key })
    const one = new SyslogServer(server, onConnection)
    server.on(secret === null ? 'connection' : 'secureConnection', (socket: net.Socket) => one.#accept(socket))
    server.on('tlsClientError', () => undefined)
    server.listen(port, host)
    await once(server, 'listening')
    return one
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get lines(): readonly string[] {
    return this.received.map(({ line }) => line)
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.connections) socket.destroy()
    await closed
  }

  #accept(socket: net.Socket): void {
    this.accepted += 1
    this.connections.add(socket)
    socket.on('close', () => this.connections.delete(socket))
    socket.on('error', () => undefined)
    if (this.#onConnection !== null) return this.#onConnection(socket)
    let rest = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      for (;;) {
        const space = rest.indexOf(' ')
        if (space === -1) return
        const digits = rest.subarray(0, space).toString()
        if (!/^[1-9]\d{0,4}$/.test(digits)) return void this.faults.push(`length ${digits}`)
        if (rest.length < space + 1 + Number(digits)) return
        const message = rest.subarray(space + 1, space + 1 + Number(digits)).toString()
        rest = rest.subarray(space + 1 + Number(digits))
        const [, header, line] = /^((?:\S+ ){6}-) (.*)$/s.exec(message) ?? []
        if (header === undefined || line === undefined) this.faults.push(message)
        else this.received.push({ header, line })
      }
    })
  }
}
