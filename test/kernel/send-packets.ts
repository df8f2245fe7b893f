// Sends hand-made packets from the network namespace that it is started in: a program of its own, for tests of the kernel.
//
//   ip netns exec NAME node test/kernel/send-packets.ts '[{"destination": "10.0.0.1", "protocol": 17, "payload": "hex"}]'
//
// **Invariant:** what is behind the IP header is the caller's, byte for byte; the kernel writes the IP header only.
import { AF_INET, AF_INET6, SOCK_RAW, close, sendto, socket } from '../../src/netlink/libc.ts'
import { addressBytes } from './packet-bytes.ts'

export interface RawPacket {
  readonly destination: string
  readonly protocol: number
  /** Hex. */
  readonly payload: string
}

function send(packet: RawPacket): void {
  const six = packet.destination.includes(':')
  const fd = socket(six ? AF_INET6 : AF_INET, SOCK_RAW, packet.protocol)
  const address = Buffer.alloc(six ? 28 : 16)
  address.writeUInt16LE(six ? AF_INET6 : AF_INET, 0)
  addressBytes(packet.destination).copy(address, six ? 8 : 4)
  sendto(fd, Buffer.from(packet.payload, 'hex'), address)
  close(fd)
}

for (const packet of JSON.parse(process.argv[2] ?? '[]') as readonly RawPacket[]) send(packet)
