// A UDP socket that sends as an address which the node does not have, out of one interface: what a pod's would look like.
//
// IP_TRANSPARENT asks for NET_ADMIN, a packet socket would ask for NET_RAW. Packets live for one hop, so that none of them goes in a
// circle whatever routes say. **Invariant:** nothing that it sends leaves by another interface than the one that it is bound to.
import type { Family } from '../model/ip.ts'
import * as libc from '../netlink/libc.ts'

const SO_BINDTODEVICE = 25
/** Level, transparent, hop limit. */
const OPTIONS = { 4: [0, 19, 2], 6: [41, 75, 16] } as const
/** The node takes one in forwarding. */
const HOPS = 2

export class Sender {
  readonly #family: Family
  readonly #fd: number

  /** `source` has 4 or 16 bytes. Throws SyscallError. */
  constructor(family: Family, link: string, source: Uint8Array) {
    this.#family = family
    const [level, transparent, hops] = OPTIONS[family]
    this.#fd = libc.socket(family === 4 ? libc.AF_INET : libc.AF_INET6, libc.SOCK_DGRAM, 0)
    try {
      libc.setsockopt(this.#fd, level, transparent, int(1))
      libc.setsockopt(this.#fd, level, hops, int(HOPS))
      libc.setsockopt(this.#fd, libc.SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${link}\0`))
      libc.bind(this.#fd, sockaddr(family, source, 0))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Throws SyscallError: EPERM where a firewall drops what the node itself sends. */
  send(payload: Uint8Array, destination: Uint8Array, port: number): void {
    libc.sendto(this.#fd, payload, sockaddr(this.#family, destination, port), libc.MSG_DONTWAIT)
  }

  close(): void {
    libc.close(this.#fd)
  }
}

function sockaddr(family: Family, address: Uint8Array, port: number): Uint8Array {
  const bytes = new Uint8Array(family === 4 ? 16 : 28)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, family === 4 ? libc.AF_INET : libc.AF_INET6, true)
  view.setUint16(2, port)
  bytes.set(address, family === 4 ? 4 : 8)
  return bytes
}

function int(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, value, true)
  return bytes
}
