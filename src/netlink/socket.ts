// A netlink socket: sends requests, receives datagrams, joins groups. Blocking, so it lives in a worker.
//
// Whoever holds one reads in a loop that looks after each timeout whether it should stop: a receive that cannot end
// would keep its thread from ending too.
// **Invariant:** only what the kernel itself sent is received; a receive returns within the timeout and says so
// whenever something was lost.
import * as libc from './libc.ts'

const SOCKADDR_LENGTH = 12
const NETLINK_NO_ENOBUFS = 5
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12
/** The kernel fills datagrams of a dump up to 32 KB; a single message is smaller, save links with very many functions. */
const BUFFER_LENGTH = 256 * 1024

export interface NetlinkSocketOptions {
  /** NETLINK_ROUTE is 0, NETLINK_NETFILTER 12. */
  readonly protocol: number
  /** Bit mask of the groups 1 to 32 to join; 0 for none. */
  readonly groups: number
  /** Bytes of undelivered messages that the kernel keeps before it drops (it doubles the number itself). */
  readonly receiveBufferBytes: number
  /** The longest datagram that can be sent (as above); without it some 200 KB. */
  readonly sendBufferBytes?: number
  /**
   * What a full receive buffer loses is not told: for messages that are numbered. It is less, too: otherwise the kernel drops all that
   * comes until everything is read.
   */
  readonly quietLosses?: boolean
  /** How long a receive waits, in milliseconds; 1 or more. */
  readonly timeoutMs: number
}

export type Received =
  /** `bytes` is valid until the next receive. */
  | { readonly kind: 'datagram'; readonly bytes: Uint8Array }
  | { readonly kind: 'nothing' }
  /** Messages were lost (ENOBUFS), or one was longer than the buffer: what was folded so far is no longer to be trusted. */
  | { readonly kind: 'lost'; readonly reason: string }

export class NetlinkSocket {
  /** This socket's own port id: answers to its requests carry it. */
  readonly port: number
  readonly #fd: number
  readonly #buffer = new Uint8Array(BUFFER_LENGTH)
  readonly #sender = new Uint8Array(SOCKADDR_LENGTH)
  #closed = false

  /** In the calling thread's network namespace. Throws SyscallError; nothing stays open then. */
  constructor(options: NetlinkSocketOptions) {
    this.#fd = libc.socket(libc.AF_NETLINK, libc.SOCK_RAW, options.protocol)
    try {
      this.setReceiveBuffer(options.receiveBufferBytes)
      if (options.sendBufferBytes !== undefined) this.#setBuffer(libc.SO_SNDBUFFORCE, libc.SO_SNDBUF, options.sendBufferBytes)
      libc.setsockopt(this.#fd, libc.SOL_SOCKET, libc.SO_RCVTIMEO, libc.timeval(options.timeoutMs))
      if (options.quietLosses === true) this.#tryOption(NETLINK_NO_ENOBUFS)
      for (const name of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) this.#tryOption(name)
      libc.bind(this.#fd, sockaddr(options.groups))
      const own = new Uint8Array(SOCKADDR_LENGTH)
      libc.getsockname(this.#fd, own)
      this.port = portIn(own)
    } catch (error) {
      libc.close(this.#fd)
      throw error
    }
  }

  /** Beyond rmem_max where CAP_NET_ADMIN of the first user namespace allows it, up to rmem_max elsewhere. */
  setReceiveBuffer(bytes: number): void {
    this.#setBuffer(libc.SO_RCVBUFFORCE, libc.SO_RCVBUF, bytes)
  }

  #setBuffer(forced: number, plain: number, bytes: number): void {
    try {
      libc.setsockopt(this.#fd, libc.SOL_SOCKET, forced, int(bytes))
    } catch {
      libc.setsockopt(this.#fd, libc.SOL_SOCKET, plain, int(bytes))
    }
  }

  /** To the kernel. */
  send(request: Uint8Array): void {
    libc.sendto(this.#fd, request, sockaddr(0))
  }

  /** Waits for the next datagram at most the socket's timeout; not at all with `wait` false. Throws SyscallError. */
  receive(wait: boolean): Received {
    let length: number | null
    try {
      // MSG_TRUNC makes the kernel say how long the datagram was, even where the buffer is shorter.
      length = libc.recvfrom(this.#fd, this.#buffer, this.#sender, libc.MSG_TRUNC | (wait ? 0 : libc.MSG_DONTWAIT))
    } catch (error) {
      if (error instanceof libc.SyscallError && error.code === 'ENOBUFS') return { kind: 'lost', reason: 'the receive buffer was full' }
      throw error
    }
    if (length === null) return { kind: 'nothing' }
    // Another privileged process may send to our port id too; the kernel's own port id is 0.
    if (portIn(this.#sender) !== 0) return { kind: 'datagram', bytes: this.#buffer.subarray(0, 0) }
    if (length > this.#buffer.length) return { kind: 'lost', reason: `a datagram of ${length} bytes is longer than the buffer` }
    return { kind: 'datagram', bytes: this.#buffer.subarray(0, length) }
  }

  /** Of the process: another thread may close it where this one is gone without having done so. */
  get descriptor(): number {
    return this.#fd
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    libc.close(this.#fd)
  }

  /** Older kernels lack some of them, and all of them only make answers clearer. */
  #tryOption(name: number): void {
    try {
      libc.setsockopt(this.#fd, libc.SOL_NETLINK, name, int(1))
    } catch {
      // Without it, answers are read all the same.
    }
  }
}

/** struct sockaddr_nl; port id 0 means the kernel, and in a bind "choose one". */
function sockaddr(groups: number): Uint8Array {
  const bytes = new Uint8Array(SOCKADDR_LENGTH)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, libc.AF_NETLINK, true)
  view.setUint32(8, groups, true)
  return bytes
}

function portIn(address: Uint8Array): number {
  return new DataView(address.buffer, address.byteOffset).getUint32(4, true)
}

function int(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, value, true)
  return bytes
}
