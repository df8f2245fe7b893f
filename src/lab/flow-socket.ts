// What a flow runs over: one TCP connection or one UDP socket to one server; texts go out, lines come in.
//
// **Invariant:** whoever made it hears of its end once: as `broken`, unless close() came first.
import type dgram from 'node:dgram'
import net from 'node:net'
import { familyOf } from '../model/ip.ts'
import type { FlowSpec } from './messages.ts'
import { ANY, freshUdpSocket } from './sockets.ts'

export interface FlowSocketOptions {
  readonly onOpen: () => void
  readonly onLine: (line: string) => void
  readonly onBroken?: () => void
}

const BEGIN_TIMEOUT = 3000

export class FlowSocket {
  /** Why it ended by itself; null while it did not. */
  broken: string | null = null
  readonly #spec: FlowSpec
  readonly #options: FlowSocketOptions
  readonly #socket: net.Socket | dgram.Socket
  readonly #begun = Promise.withResolvers<void>()
  #closed = false

  /** In the namespace of the host that asks. */
  constructor(spec: FlowSpec, options: FlowSocketOptions) {
    this.#spec = spec
    this.#options = options
    this.#socket = spec.protocol === 'TCP' ? this.#connect() : this.#open()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Resolves when begin() is called. Rejects with an error that says why, and closes, where that takes 3 seconds; `what` is missing then. */
  async begun(what: string): Promise<void> {
    const timeout = setTimeout(() => this.#begun.reject(new Error(`no ${what} within 3 seconds`)), BEGIN_TIMEOUT)
    try {
      await this.#begun.promise
    } catch (error) {
      this.close()
      throw error
    } finally {
      clearTimeout(timeout)
    }
  }

  begin(): void {
    this.#begun.resolve()
  }

  /** One line over TCP, one datagram over UDP. */
  send(text: string): void {
    if (this.#socket instanceof net.Socket) this.#socket.write(`${text}\n`)
    else this.#socket.send(text, this.#spec.port, this.#spec.address, () => undefined)
  }

  break(why: string): void {
    this.#begun.reject(new Error(why))
    if (this.#closed) return
    this.broken ??= why
    this.#options.onBroken?.()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (!(this.#socket instanceof net.Socket)) this.#socket.close()
    else if (this.#socket.connecting) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
  }

  #connect(): net.Socket {
    const { address, port } = this.#spec
    const socket = net.connect({ host: address, port, family: familyOf(address), noDelay: true })
    let rest = ''
    socket.on('connect', () => this.#options.onOpen())
    socket.on('data', (bytes) => {
      const lines = (rest + bytes.toString('latin1')).split('\n')
      rest = lines.pop() as string
      for (const line of lines) this.#options.onLine(line)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => this.break(error.code ?? error.message))
    socket.on('close', () => this.break('closed by the other side'))
    return socket
  }

  #open(): dgram.Socket {
    const { address, port } = this.#spec
    const { socket } = freshUdpSocket(ANY[familyOf(address)])
    socket.on('error', () => undefined)
    socket.on('message', (bytes, from) => {
      if (from.address === address && from.port === port) this.#options.onLine(bytes.toString('latin1'))
    })
    queueMicrotask(() => {
      if (!this.#closed) this.#options.onOpen()
    })
    return socket
  }
}
