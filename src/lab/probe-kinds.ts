// One round of probes of one host and one protocol: sends, sends again, and says what became of each.
//
// TCP connects (a fresh connection each), UDP sends from a socket of the round's own (of the probe's own, where that says
// from which address), SCTP sends INIT from a port of the probe's own; every request carries a token.
// **Invariant:** a probe is settled as answered only by its own token, from the address and port that were asked; stop()
// leaves nothing behind that could meet a later round (no TIME_WAIT).
import type dgram from 'node:dgram'
import net from 'node:net'
import { messageOf } from '../lib/errors.ts'
import { type Address, FAMILIES, type Family, familyOf } from '../model/ip.ts'
import type { HostListener, LabHost } from './host.ts'
import type { IcmpError } from './icmp.ts'
import type { Probe, ProbeOutcome } from './messages.ts'
import { initPacket, IPPROTO_SCTP, type SctpPacket } from './sctp.ts'
import { ANY, freshUdpSocket } from './sockets.ts'
import { parseReply, type Reply } from './wire.ts'

const IPPROTO_TCP = 6
const IPPROTO_UDP = 17

/** What a kind of probe needs from the round: its tokens, and where outcomes go. */
export interface RoundContext {
  readonly host: LabHost
  readonly probes: readonly Probe[]
  token(index: number): string
  /** The probe's index, where `token` is one of this round. */
  indexOf(token: string): number | undefined
  isPending(index: number): boolean
  /** Only the first outcome of a probe counts. */
  settle(index: number, outcome: ProbeOutcome): void
  answered(index: number, reply: Reply): void
}

/** `send` is called with the thread in the host's namespace, first and whenever it is time to send again. */
export interface ProbeKind {
  send(indexes: readonly number[]): void
  stop(): void
}

/** A drop on the way out (EPERM) or a full queue is silence; whatever else the kernel refuses to send is a failure. */
function settleSendError(context: RoundContext, index: number, error: Error | null): void {
  const code = (error as NodeJS.ErrnoException | null)?.code
  if (error === null || code === 'EPERM' || code === 'ENOBUFS' || code === 'EAGAIN') return
  context.settle(index, { kind: 'failed', message: code ?? error.message })
}

export class TcpProbes implements ProbeKind, HostListener {
  readonly #context: RoundContext
  /** Open connection -> probe. */
  readonly #sockets = new Map<net.Socket, number>()
  readonly #tries = new Map<number, number>()
  #stopped = false

  constructor(context: RoundContext) {
    this.#context = context
    context.host.listen(this)
  }

  /** The kernel sends a SYN again after a second, which is too late for most deadlines: a second connection stands in for that, once. */
  send(indexes: readonly number[]): void {
    for (const index of indexes) {
      const tries = this.#tries.get(index) ?? 0
      this.#tries.set(index, tries + 1)
      if (tries === 0 || tries === 2) this.#connect(index)
    }
  }

  #connect(index: number): void {
    const { address, port, source } = this.#context.probes[index] as Probe
    const from = source === undefined ? {} : { localAddress: source }
    const socket = net.connect({ host: address, port, family: familyOf(address), noDelay: true, ...from })
    let text = ''
    this.#sockets.set(socket, index)
    socket.on('connect', () => socket.write(`${this.#context.token(index)}\n`))
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      if (!text.includes('\n')) return
      const reply = parseReply(text)
      if (reply !== null && reply.token === this.#context.token(index)) this.#context.answered(index, reply)
      else this.#context.settle(index, { kind: 'rejected', message: 'another answer than the lab\'s' })
      socket.resetAndDestroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#context.settle(index, { kind: 'rejected', message: error.code ?? error.message })
    })
    socket.on('close', () => {
      this.#sockets.delete(socket)
      if (!this.#stopped) this.#context.settle(index, { kind: 'rejected', message: 'closed without an answer' })
    })
  }

  onSctpAnswer(): void {}

  /** The kernel drops an ICMP error that comes back while connect() is still at work, as it does over veth: read it here. */
  onIcmpError(error: IcmpError): void {
    if (error.protocol !== IPPROTO_TCP) return
    for (const [socket, index] of this.#sockets) {
      const { address, port } = this.#context.probes[index] as Probe
      if (address !== error.destination || port !== error.destinationPort || socket.localPort !== error.sourcePort) continue
      this.#context.settle(index, { kind: 'rejected', message: error.message })
    }
  }

  stop(): void {
    this.#stopped = true
    this.#context.host.unlisten(this)
    for (const socket of this.#sockets.keys()) {
      if (socket.connecting) socket.destroy()
      else socket.resetAndDestroy()
    }
  }
}

export class UdpProbes implements ProbeKind, HostListener {
  readonly #context: RoundContext
  /** By family, for probes from any address: all of a round share one. */
  readonly #shared = new Map<Family, dgram.Socket>()
  /** Of probes that say where from. */
  readonly #own = new Map<number, dgram.Socket>()
  /** Source port -> the one probe that it is for; null for those of a shared socket. */
  readonly #byPort = new Map<number, number | null>()

  constructor(context: RoundContext) {
    this.#context = context
    context.host.listen(this)
  }

  send(indexes: readonly number[]): void {
    for (const index of indexes) {
      const { address, port } = this.#context.probes[index] as Probe
      this.#socketOf(index)?.send(this.#context.token(index), port, address, (error) => settleSendError(this.#context, index, error))
    }
  }

  /** Null where there can be none: the probe has failed then. */
  #socketOf(index: number): dgram.Socket | null {
    const { address, source } = this.#context.probes[index] as Probe
    const family = familyOf(address)
    const known = source === undefined ? this.#shared.get(family) : this.#own.get(index)
    if (known !== undefined) return known
    try {
      const { socket, port } = freshUdpSocket(source ?? ANY[family])
      if (source === undefined) this.#shared.set(family, socket)
      else this.#own.set(index, socket)
      this.#byPort.set(port, source === undefined ? null : index)
      this.#listenTo(socket)
      return socket
    } catch (error) {
      this.#context.settle(index, { kind: 'failed', message: messageOf(error) })
      return null
    }
  }

  #listenTo(socket: dgram.Socket): void {
    socket.on('error', () => undefined)
    socket.on('message', (bytes, from) => {
      const reply = parseReply(bytes.toString('latin1'))
      const index = reply === null ? undefined : this.#context.indexOf(reply.token)
      if (reply === null || index === undefined) return
      const probe = this.#context.probes[index] as Probe
      if (from.address === probe.address && from.port === probe.port) this.#context.answered(index, reply)
    })
  }

  onSctpAnswer(): void {}

  onIcmpError(error: IcmpError): void {
    const only = error.protocol === IPPROTO_UDP ? this.#byPort.get(error.sourcePort) : undefined
    if (only === undefined) return
    this.#context.probes.forEach((probe, index) => {
      if (probe.protocol !== 'UDP' || probe.address !== error.destination || probe.port !== error.destinationPort) return
      if (only === null ? probe.source === undefined : only === index) this.#context.settle(index, { kind: 'rejected', message: error.message })
    })
  }

  stop(): void {
    this.#context.host.unlisten(this)
    for (const socket of [...this.#shared.values(), ...this.#own.values()]) socket.close()
  }
}

export class SctpProbes implements ProbeKind, HostListener {
  readonly #context: RoundContext
  /** Source port -> probe. */
  readonly #byPort = new Map<number, number>()
  readonly #ports = new Map<number, number>()

  constructor(context: RoundContext) {
    this.#context = context
    context.host.listen(this)
  }

  send(indexes: readonly number[]): void {
    for (const index of indexes) {
      const { address, port, source } = this.#context.probes[index] as Probe
      const socket = this.#context.host.sctpSocket(source ?? this.#context.host.addressOf(familyOf(address)))
      const from = this.#portOf(index)
      // Sent again, it is the same packet: connection tracking takes it for a retransmission.
      const packet = initPacket({ source: from, destination: port }, 0x10000 + from, this.#context.token(index))
      socket?.send(packet, IPPROTO_SCTP, address, (error) => settleSendError(this.#context, index, error))
    }
  }

  #portOf(index: number): number {
    const known = this.#ports.get(index)
    if (known !== undefined) return known
    const port = this.#context.host.nextSctpPort()
    this.#ports.set(index, port)
    this.#byPort.set(port, index)
    return port
  }

  onSctpAnswer(packet: SctpPacket, source: Address): void {
    const index = this.#byPort.get(packet.ports.destination)
    const probe = index === undefined ? undefined : this.#context.probes[index]
    if (index === undefined || probe === undefined || probe.address !== source || probe.port !== packet.ports.source) return
    if (packet.kind === 'abort') return this.#context.settle(index, { kind: 'rejected', message: 'SCTP ABORT' })
    const reply = packet.kind === 'init-ack' ? parseReply(packet.text) : null
    if (reply !== null && this.#context.indexOf(reply.token) === index) this.#context.answered(index, reply)
  }

  onIcmpError(error: IcmpError): void {
    const index = error.protocol === IPPROTO_SCTP ? this.#byPort.get(error.sourcePort) : undefined
    if (index !== undefined) this.#context.settle(index, { kind: 'rejected', message: error.message })
  }

  stop(): void {
    this.#context.host.unlisten(this)
  }
}

/** Whether the host can send to `address` at all. */
export function canReach(host: LabHost, address: Address): boolean {
  return FAMILIES.some((family) => family === familyOf(address) && host.addressOf(family) !== null)
}
