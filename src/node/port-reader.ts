// Asks the kernel what is behind a bridge's port: MAC and addresses of the pod's end, read in the pod's own namespace.
//
// Each question is about one interface and is answered at once, so they are asked without a thread.
// **Invariant:** nothing that a pod sends has a part in the answer, and a question that cannot be answered throws nothing.
import { messageOf } from '../lib/errors.ts'
import { endAddressesRequest, endLinkRequest, hairpinRequest } from '../netlink/bridge.ts'
import { controlOf, decodeMessages } from '../netlink/messages.ts'
import { decodeRouteEvent, NETLINK_ROUTE, type RouteEvent } from '../netlink/route.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Address } from '../model/ip.ts'
import { addressOf, hexOf, isLinkLocalOrMulticast } from './addresses.ts'

export interface EndOfPort {
  readonly mac: string
  readonly addresses: readonly Address[]
}

export interface PortReader {
  /** Of the interface `index` in the namespace with the id `netns`; null where it cannot be read. */
  read(netns: number, index: number): EndOfPort | null
  /** Null, or why it could not be set. */
  setHairpin(port: number): string | null
  close(): void
}

/** The kernel answers in microseconds, and waits where another holds the lock of rtnetlink. */
const TIMEOUT_MS = 200

export class NetlinkPortReader implements PortReader {
  #socket: NetlinkSocket | null = null
  #sequence = 0

  read(netns: number, index: number): EndOfPort | null {
    try {
      const link = this.#ask((sequence) => endLinkRequest(netns, index, sequence)).find((event) => event.kind === 'link')
      if (link === undefined || link.link.mac.length !== 6) return null
      const events = ([4, 6] as const).flatMap((family) => this.#ask((sequence) => endAddressesRequest(netns, index, family, sequence)))
      const addresses = events.flatMap((event) => {
        if (event.kind !== 'address' || event.address.index !== index) return []
        const { address } = event.address
        return isLinkLocalOrMulticast(address, address.length * 8) ? [] : [addressOf(address)]
      })
      return { mac: macText(link.link.mac), addresses: [...new Set(addresses)].sort() }
    } catch {
      return null
    }
  }

  setHairpin(port: number): string | null {
    try {
      this.#ask((sequence) => hairpinRequest(port, sequence))
      return null
    } catch (error) {
      return messageOf(error)
    }
  }

  close(): void {
    this.#socket?.close()
    this.#socket = null
  }

  /** Throws where the kernel refuses, or does not answer; the next question then has a socket of its own. */
  #ask(request: (sequence: number) => Uint8Array): RouteEvent[] {
    this.#socket ??= new NetlinkSocket({ protocol: NETLINK_ROUTE, groups: 0, receiveBufferBytes: 256 * 1024, timeoutMs: TIMEOUT_MS })
    const sequence = (this.#sequence = (this.#sequence + 1) >>> 0)
    this.#socket.send(request(sequence))
    const events: RouteEvent[] = []
    for (;;) {
      const received = this.#socket.receive(true)
      if (received.kind !== 'datagram') {
        this.close()
        throw new Error('the kernel did not answer')
      }
      for (const message of decodeMessages(received.bytes)) {
        if (message.sequence !== sequence) continue
        const control = controlOf(message)
        if (control?.kind === 'failed') throw new Error([control.code, control.text].filter((text) => text !== '').join(': '))
        if (control?.kind === 'done' || control?.kind === 'acknowledged') return events
        const event = control === null ? decodeRouteEvent({ ...message, payload: message.payload.slice() }) : null
        if (event !== null) events.push(event)
      }
    }
  }
}

function macText(mac: Uint8Array): string {
  return (hexOf(mac).match(/../g) ?? []).join(':')
}
