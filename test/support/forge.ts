// Sends whole IP packets from the network namespace that it is started in: a program of its own.
//
//   echo '[["10.0.0.1", "hex of the packet"], ["dev:2", "hex of the frame"]]' | nsenter --net=PATH node test/support/forge.ts
//
// `dev:2`: a whole Ethernet frame, out of the interface of that index.
// **Invariant:** the packets leave byte for byte as given (the kernel rewrites an IPv4 header's checksum only).
import { readFileSync } from 'node:fs'
import { AF_INET, AF_INET6, SOCK_RAW, close, sendto, socket } from '../../src/netlink/libc.ts'
import { addressBytes } from '../kernel/packet-bytes.ts'

const AF_PACKET = 17
/** The header is the caller's. */
const IPPROTO_RAW = 255
const sockets = new Map<number, number>()

for (const [destination, hex] of JSON.parse(readFileSync(0, 'utf8')) as readonly (readonly [string, string])[]) {
  const family = destination.startsWith('dev:') ? AF_PACKET : destination.includes(':') ? AF_INET6 : AF_INET
  const fd = sockets.get(family) ?? socket(family, SOCK_RAW, family === AF_PACKET ? 0 : IPPROTO_RAW)
  sockets.set(family, fd)
  const address = Buffer.alloc(family === AF_INET ? 16 : 28)
  address.writeUInt16LE(family, 0)
  if (family === AF_PACKET) address.writeInt32LE(Number(destination.slice(4)), 4)
  else addressBytes(destination).copy(address, family === AF_INET6 ? 8 : 4)
  sendto(fd, Buffer.from(hex, 'hex'), address)
}
for (const fd of sockets.values()) close(fd)
