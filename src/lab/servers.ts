// The servers of one host: TCP and UDP that echo a line with the host's identity, or stream such lines; its replies to SCTP's INIT.
//
// **Invariant:** every socket is bound to one address of the host, so that the answer comes from the address that was
// asked; close() leaves none open, and no connection either.
import type dgram from 'node:dgram'
import net from 'node:net'
import type { Address } from '../model/ip.ts'
import type { ServedPort } from './messages.ts'
import { abortPacket, initAckPacket, IPPROTO_SCTP, type SctpPacket } from './sctp.ts'
import { tcpListener, udpSocket } from './sockets.ts'
import { httpResponse, type Identity, isHttpRequest, MAX_TOKEN, parseStreamRequest, replyText, socketText, type StreamRequest } from './wire.ts'

/** A connection on which nothing comes for this long is dropped: its client may be cut off. Milliseconds. */
const IDLE = 60_000
/** A stream of datagrams ends after this: its client may be gone, or cut off. Milliseconds. */
const LONGEST_STREAM = 15_000
/** What a client that takes nothing may leave waiting here. Bytes. */
const MOST_WAITING = 1_000_000

export class Servers {
  readonly #identity: Identity
  readonly #addresses: readonly Address[]
  readonly #listeners = new Map<string, net.Server | dgram.Socket>()
  readonly #connections = new Set<net.Socket>()
  readonly #sctpPorts = new Set<number>()
  readonly #streams = new Set<NodeJS.Timeout>()
  #nextTag = 1

  constructor(identity: Identity, addresses: readonly Address[]) {
    this.#identity = identity
    this.#addresses = addresses
  }

  /** Begins to serve, in the calling thread's namespace; ports that are served already stay. Throws a SyscallError (EADDRINUSE). */
  serve(ports: readonly ServedPort[]): void {
    for (const { protocol, port } of ports) {
      if (protocol === 'SCTP') {
        this.#sctpPorts.add(port)
        continue
      }
      for (const address of this.#addresses) {
        const key = `${protocol} ${address} ${port}`
        if (!this.#listeners.has(key)) this.#listeners.set(key, protocol === 'TCP' ? this.#serveTcp(address, port) : this.#serveUdp(address, port))
      }
    }
  }

  close(): void {
    for (const listener of this.#listeners.values()) listener.close()
    for (const connection of this.#connections) connection.resetAndDestroy()
    for (const stream of this.#streams) clearInterval(stream)
    this.#listeners.clear()
    this.#sctpPorts.clear()
  }

  #serveTcp(address: Address, port: number): net.Server {
    const server = net.createServer({ noDelay: true }, (socket) => this.#serveConnection(socket, socketText(address, port)))
    server.on('error', () => server.close())
    server.listen({ fd: tcpListener(address, port) })
    return server
  }

  #serveConnection(socket: net.Socket, local: string): void {
    const source = socket.remoteAddress ?? '-'
    let rest = ''
    let http: string | null = null
    this.#connections.add(socket)
    socket.on('close', () => this.#connections.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.setTimeout(IDLE, () => socket.destroy())
    socket.on('data', (bytes) => {
      const lines = (rest + bytes.toString('latin1')).split('\n')
      rest = lines.pop() as string
      if (rest.length > 65536) socket.destroy()
      for (const raw of lines) {
        const line = raw.trim()
        if (http === null && isHttpRequest(line)) http = line
        else if (http === null) this.#answerLine(socket, line, source, local)
        else if (line === '') socket.end(httpResponse(http, this.#identity, local, source))
      }
    })
  }

  #answerLine(socket: net.Socket, line: string, source: Address, local: string): void {
    if (line.length === 0 || line.length > MAX_TOKEN || !socket.writable) return
    const write = (token: string): void => void socket.write(`${replyText(token, this.#identity, source, local)}\n`)
    const asked = parseStreamRequest(line)
    if (asked === null) return write(line)
    const end = this.#stream(asked, IDLE, (token) => {
      // Nobody reads: numbers wait with it.
      if (socket.writableLength > MOST_WAITING) return false
      write(token)
      return true
    })
    socket.on('close', end)
  }

  /** Sends PREFIX0, PREFIX1, ... at the rate that the request asks for, for `longest` ms or until the result is called; `send` says whether it did. */
  #stream({ prefix, perSecond }: StreamRequest, longest: number, send: (token: string) => boolean): () => void {
    const start = performance.now()
    let sent = 0
    const end = (): void => {
      clearInterval(timer)
      this.#streams.delete(timer)
    }
    const timer = setInterval(() => {
      const elapsed = performance.now() - start
      if (elapsed > longest) return end()
      const due = Math.floor((elapsed / 1000) * perSecond) + 1
      while (sent < due && send(`${prefix}${sent}`)) sent++
    }, Math.max(1, Math.floor(1000 / perSecond)))
    this.#streams.add(timer)
    return end
  }

  #serveUdp(address: Address, port: number): dgram.Socket {
    const socket = udpSocket(address, port)
    socket.on('error', () => undefined)
    socket.on('message', (bytes, from) => {
      const token = bytes.toString('latin1').trim()
      if (token.length === 0 || token.length > MAX_TOKEN) return
      const send = (text: string): void => socket.send(`${replyText(text, this.#identity, from.address, socketText(address, port))}\n`, from.port, from.address, () => undefined)
      const asked = parseStreamRequest(token)
      if (asked === null) return send(token)
      this.#stream(asked, LONGEST_STREAM, (text) => {
        send(text)
        return true
      })
    })
    return socket
  }

  /** Answers an INIT that came to `socket`, which is bound to `address`, from `source`: INIT-ACK where the port is served, ABORT where not. */
  answerInit(socket: dgram.Socket, address: Address, packet: SctpPacket & { readonly kind: 'init' }, source: Address): void {
    const ports = { source: packet.ports.destination, destination: packet.ports.source }
    const answer = this.#sctpPorts.has(ports.source)
      ? initAckPacket(ports, packet.tag, this.#nextTag++, replyText(packet.text, this.#identity, source, socketText(address, ports.source)))
      : abortPacket(ports, packet.tag)
    socket.send(answer, IPPROTO_SCTP, source, () => undefined)
  }
}
