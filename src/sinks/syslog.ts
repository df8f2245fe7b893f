// Records to a syslog server over TCP or TLS (RFC 5424, 5425, 6587).
//
// Syslog acknowledges nothing: what the kernel has taken counts as written, and a connection that breaks takes what is on its way with it.
// What could not be handed over is sent again whole on the next connection. **Invariant:** over TLS nothing is sent to a server whose
// certificate does not hold for its name.
import fs from 'node:fs/promises'
import net from 'node:net'
import tls from 'node:tls'
import { messageOf } from '../lib/errors.ts'
import type { QueuedLine } from './queue.ts'
import { QueuedSink, type SinkOptions, type Way } from './queued-sink.ts'
import type { SinkEvents } from './sink.ts'
import { frameOf } from './syslog-frame.ts'

export interface SyslogOptions {
  readonly name: string
  readonly tls: boolean
  /** IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** Path; read for each connection, since authorities change. */
  readonly ca: string | null
  /** Milliseconds, for a connection, and for what is written to be taken. */
  readonly patience?: number
}

const CHUNK = 64 * 1024
const PATIENCE_MS = 5000
/** A syslog server says nothing; what it says all the same is read, so that it can go on, up to this. Bytes. */
const MOST_SAID = 64 * 1024
const KEEP_ALIVE_MS = 30_000

export function openSyslog(syslog: SyslogOptions, events: SinkEvents, options: SinkOptions = {}): QueuedSink {
  return new QueuedSink(syslog.name, new SyslogWay(syslog), events, options)
}

class SyslogWay implements Way {
  readonly chunk = CHUNK
  readonly #options: SyslogOptions
  readonly #patience: number
  #socket: net.Socket | null = null
  #isWriting = false
  #isClosed = false

  constructor(options: SyslogOptions) {
    this.#options = options
    this.#patience = options.patience ?? PATIENCE_MS
  }

  async write(lines: readonly QueuedLine[]): Promise<number> {
    this.#isWriting = true
    try {
      this.#socket ??= await this.#connect()
      const text = lines.map(({ line }) => frameOf(line, process.pid)).join('')
      await this.#send(this.#socket, text)
      return lines.length
    } finally {
      this.#isWriting = false
    }
  }

  close(): Promise<void> {
    this.#isClosed = true
    const socket = this.#socket
    // What was handed over still goes out; what hangs does not.
    if (this.#isWriting) socket?.destroy()
    else if (socket !== null) {
      socket.destroySoon()
      setTimeout(() => socket.destroy(), this.#patience).unref()
    }
    return Promise.resolve()
  }

  async #connect(): Promise<net.Socket> {
    const { host, port, tls: isTls, ca } = this.#options
    const authorities = ca === null ? undefined : await fs.readFile(ca).catch((error: unknown) => {
      throw new Error(`ca: ${messageOf(error)}; expected a readable file in PEM`)
    })
    const socket = isTls
      ? tls.connect({ host, port, ...(authorities === undefined ? {} : { ca: authorities }), ...(net.isIP(host) === 0 ? { servername: host } : {}) })
      : net.connect({ host, port })
    this.#socket = socket
    let said = 0
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS)
    socket.on('data', (chunk: Buffer) => {
      said += chunk.length
      if (said > MOST_SAID) socket.destroy(new Error(`it sends more than ${MOST_SAID} bytes, expected a syslog server, which sends nothing`))
    })
    // What comes while nothing is written is told by the next write.
    socket.on('error', () => undefined)
    // It wants no more, and tells nobody what it has read.
    socket.on('end', () => socket.destroy())
    socket.once('close', () => {
      if (this.#socket === socket) this.#socket = null
    })
    await this.#settled(socket, 'no connection', (done) => socket.once(isTls ? 'secureConnect' : 'connect', () => done()))
    if (this.#isClosed) {
      socket.destroy()
      throw new Error('it is closed')
    }
    return socket
  }

  #send(socket: net.Socket, text: string): Promise<void> {
    return this.#settled(socket, 'nothing was taken', (done) => socket.write(text, (error) => done(error ?? undefined)))
  }

  /** Until `start` calls back, the connection ends, or patience does. */
  #settled(socket: net.Socket, what: string, start: (done: (error?: Error) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: Error): void => {
        clearTimeout(timer)
        socket.off('error', done)
        socket.off('close', onClose)
        if (error === undefined) return resolve()
        socket.destroy()
        if (this.#socket === socket) this.#socket = null
        reject(error)
      }
      const onClose = (): void => done(new Error('the server closed the connection'))
      const timer = setTimeout(() => done(new Error(`${what} within ${this.#patience / 1000} s`)), this.#patience)
      socket.on('error', done)
      socket.on('close', onClose)
      start(done)
    })
  }
}
