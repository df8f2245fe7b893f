// Sends whole IP packets from the network namespace that it is started in: a program of its own.
//
//   nsenter --net=PATH node test/support/forge.ts '[["10.0.0.1", "hex of the packet"]]'
//
// **Invariant:** the packets leave byte for byte as given (the kernel rewrites an IPv4 header's checksum only).
import { AF_INET, AF_INET6, SOCK_RAW, close, sendto, socket } from '../../src/netlink/libc.ts'
import { addressBytes } from '../kernel/packet-bytes.ts'

/** The header is the caller's. */
const IPPROTO_RAW = 255

for (const [destination, hex] of JSON.parse(process.argv[2] ?? '[]') as readonly (readonly [string, string])[]) {
  const six = destination.includes(':')
  const fd = socket(six ? AF_INET6 : AF_INET, SOCK_RAW, IPPROTO_RAW)
  const address = Buffer.alloc(six ? 28 : 16)
  address.writeUInt16LE(six ? AF_INET6 : AF_INET, 0)
  addressBytes(destination).copy(address, six ? 8 : 4)
  sendto(fd, Buffer.from(hex, 'hex'), address)
  close(fd)
}
