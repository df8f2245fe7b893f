// Sockets of the calling thread's network namespace, handed to Node's event loop: UDP, raw, and listening TCP.
//
// Node makes its sockets some time after it is asked to; these exist, bound, when the function returns, so that one
// thread can make sockets in many namespaces. **Invariant:** each function either returns a socket or leaves none open.
import dgram from 'node:dgram'
import { type Address, bitsOf, type Family, familyOf, toBits } from '../model/ip.ts'
import * as libc from '../netlink/libc.ts'

const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0o4000
const SO_REUSEADDR = 2
const IPPROTO_IPV6 = 41
const IPV6_V6ONLY = 26
const ONE = Uint8Array.of(1, 0, 0, 0)
/** Bytes. A burst of small packets counts about 1 KB each; the system's default of 208 KB holds 200. */
const RECEIVE_BUFFER = Uint8Array.of(0, 0, 64, 0)

export const ANY: Readonly<Record<Family, Address>> = { 4: '0.0.0.0', 6: '::' }

/** A struct sockaddr_in or sockaddr_in6. */
export function sockaddr(address: Address, port: number): Uint8Array {
  const family = familyOf(address)
  const bytes = Buffer.alloc(family === 4 ? 16 : 28)
  bytes.writeUInt16LE(family === 4 ? libc.AF_INET : libc.AF_INET6, 0)
  bytes.writeUInt16BE(port, 2)
  const hex = toBits(address).toString(16).padStart(bitsOf(family) / 4, '0')
  Buffer.from(hex, 'hex').copy(bytes, family === 4 ? 4 : 8)
  return bytes
}

function boundSocket(address: Address, port: number, type: number, protocol: number): number {
  const domain = familyOf(address) === 4 ? libc.AF_INET : libc.AF_INET6
  const fd = libc.socket(domain, type | SOCK_NONBLOCK, protocol)
  try {
    if (type === SOCK_STREAM) libc.setsockopt(fd, libc.SOL_SOCKET, SO_REUSEADDR, ONE)
    else libc.setsockopt(fd, libc.SOL_SOCKET, libc.SO_RCVBUFFORCE, RECEIVE_BUFFER)
    if (domain === libc.AF_INET6 && type !== libc.SOCK_RAW) libc.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, ONE)
    libc.bind(fd, sockaddr(address, port))
    return fd
  } catch (error) {
    libc.close(fd)
    throw error
  }
}

/** A TCP socket that is bound, for `net.Server.listen({ fd })`. Throws a SyscallError (EADDRINUSE). */
export function tcpListener(address: Address, port: number): number {
  return boundSocket(address, port, SOCK_STREAM, 0)
}

/** A UDP socket; `port` 0 lets the kernel choose. Throws a SyscallError (EADDRINUSE). */
export function udpSocket(address: Address, port: number): dgram.Socket {
  return datagramSocket(familyOf(address), boundSocket(address, port, libc.SOCK_DGRAM, 0))
}

/** The ports that the kernel chooses from, too. */
const CLIENT_PORTS = { first: 32_768, last: 60_999 }
let nextClientPort = CLIENT_PORTS.first + Math.floor(Math.random() * (CLIENT_PORTS.last - CLIENT_PORTS.first))

/**
 * A UDP socket of an address (ANY too) on a port that this thread has not used for 28,000 sockets, whatever the namespace:
 * connection tracking remembers a port for minutes, and a pod may be made again with the same address. Throws a
 * SyscallError (EADDRNOTAVAIL).
 */
export function freshUdpSocket(address: Address): { readonly socket: dgram.Socket; readonly port: number } {
  for (;;) {
    const port = nextClientPort
    nextClientPort = port === CLIENT_PORTS.last ? CLIENT_PORTS.first : port + 1
    try {
      return { socket: udpSocket(address, port), port }
    } catch (error) {
      if ((error as libc.SyscallError).code !== 'EADDRINUSE') throw error
    }
  }
}

/**
 * A raw socket of an IP protocol as a datagram socket. Its messages begin with the IP header for IPv4, and without for
 * IPv6; send to port `protocol` (IPv6 refuses another one but 0, which Node refuses).
 */
export function rawSocket(address: Address, protocol: number): dgram.Socket {
  const raw = boundSocket(address, 0, libc.SOCK_RAW, protocol)
  // Node takes descriptors of UDP sockets only. It gets one, and before its event loop has looked at it, the raw socket takes its number.
  const fd = boundSocket(ANY[familyOf(address)], 0, libc.SOCK_DGRAM, 0)
  const socket = datagramSocket(familyOf(address), fd)
  libc.dup2(raw, fd)
  libc.close(raw)
  return socket
}

function datagramSocket(family: Family, fd: number): dgram.Socket {
  // Addresses are always literal here: without a look-up, send() sends at once.
  const lookup = (host: string, _: unknown, done: (error: null, address: string, family: number) => void): void => done(null, host, family)
  const socket = dgram.createSocket({ type: family === 4 ? 'udp4' : 'udp6', lookup } as dgram.SocketOptions)
  socket.bind({ fd })
  return socket
}
