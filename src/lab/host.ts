// One host inside a worker: its namespace's settings, its servers, and the raw sockets that its servers and prober share.
//
// **Invariant:** whatever makes sockets (open, serve) is called with the thread in the host's namespace; nothing else
// depends on where the thread is. close() leaves no socket open, so that the namespace can go.
import type dgram from 'node:dgram'
import { writeFileSync } from 'node:fs'
import { type Address, type Family, familyOf } from '../model/ip.ts'
import { type IcmpError, IPPROTO_ICMP, IPPROTO_ICMPV6, parseIcmpError } from './icmp.ts'
import type { HostSpec, ServedPort } from './messages.ts'
import { IPPROTO_SCTP, parsePacket, type SctpPacket, withoutIpv4Header } from './sctp.ts'
import { Servers } from './servers.ts'
import { rawSocket } from './sockets.ts'

export interface HostListener {
  /** An INIT-ACK or ABORT came from `source`. */
  onSctpAnswer(packet: SctpPacket, source: Address): void
  onIcmpError(error: IcmpError): void
}

export class LabHost {
  readonly spec: HostSpec
  readonly #servers: Servers
  readonly #sctp = new Map<Address, dgram.Socket>()
  readonly #icmp: dgram.Socket[] = []
  readonly #listeners = new Set<HostListener>()
  #nextSctpPort = 1024 + Math.floor(Math.random() * 60_000)

  constructor(spec: HostSpec) {
    this.spec = spec
    this.#servers = new Servers(spec.identity, spec.addresses)
  }

  /** In the host's namespace. Throws where a setting cannot be written or an address is not there. */
  open(): void {
    for (const [name, value] of this.spec.sysctls) writeFileSync(`/proc/sys/${name}`, value)
    for (const address of this.spec.addresses) {
      this.#sctp.set(address, this.#openSctp(address))
      this.#icmp.push(this.#openIcmp(familyOf(address), address))
    }
    this.serve(this.spec.ports)
  }

  /** In the host's namespace. */
  serve(ports: readonly ServedPort[]): void {
    this.#servers.serve(ports)
  }

  close(): void {
    this.#servers.close()
    for (const socket of [...this.#sctp.values(), ...this.#icmp]) socket.close()
    this.#sctp.clear()
    this.#icmp.length = 0
  }

  /** The first address of a family, which the host sends from; null where it has none. */
  addressOf(family: Family): Address | null {
    return this.spec.addresses.find((address) => familyOf(address) === family) ?? null
  }

  /** For sending SCTP from an address; null where the host has no such address. */
  sctpSocket(source: Address | null): dgram.Socket | null {
    return this.#sctp.get(source ?? '') ?? null
  }

  /** Each call another one, 1024 to 65535, so that connection tracking sees a new association for each probe. */
  nextSctpPort(): number {
    const port = this.#nextSctpPort
    this.#nextSctpPort = port === 65535 ? 1024 : port + 1
    return port
  }

  listen(listener: HostListener): void {
    this.#listeners.add(listener)
  }

  unlisten(listener: HostListener): void {
    this.#listeners.delete(listener)
  }

  #openSctp(address: Address): dgram.Socket {
    const socket = rawSocket(address, IPPROTO_SCTP)
    socket.on('error', () => undefined)
    socket.on('message', (bytes, from) => {
      const packet = parsePacket(familyOf(address) === 4 ? withoutIpv4Header(bytes) : bytes)
      if (packet === null) return
      if (packet.kind === 'init') this.#servers.answerInit(socket, address, packet, from.address)
      else for (const listener of this.#listeners) listener.onSctpAnswer(packet, from.address)
    })
    return socket
  }

  #openIcmp(family: Family, address: Address): dgram.Socket {
    const socket = rawSocket(address, family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)
    socket.on('error', () => undefined)
    socket.on('message', (bytes) => {
      const error = this.#listeners.size === 0 ? null : parseIcmpError(family, bytes)
      if (error !== null) for (const listener of this.#listeners) listener.onIcmpError(error)
    })
    return socket
  }
}
