// Puts made-up connections into conntrack, by netlink: `node fill-conntrack.ts COUNT TO PORT FROM-PREFIX`, in the namespace
// that it runs in. UDP, from FROM-PREFIX.x.y and rising ports to TO:PORT, assured, for an hour.
//
// **Invariant:** it ends with status 0 only where the kernel took every one of them.
import { attribute, nestedAttribute } from '../../src/netlink/attributes.ts'
import { controlOf, decodeMessages, encodeMessage, NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST } from '../../src/netlink/messages.ts'
import { NetlinkSocket } from '../../src/netlink/socket.ts'

const CT_NEW = 0x100
const AF_INET = 2
const STATUS_ASSURED_SEEN_REPLY = 14
const BATCH = 100

function big32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
}

function tuple(type: number, from: Uint8Array, to: Uint8Array, sourcePort: number, destinationPort: number): Uint8Array {
  const port = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 255)
  return nestedAttribute(type, [
    nestedAttribute(1, [attribute(1, from), attribute(2, to)]),
    nestedAttribute(2, [attribute(1, Uint8Array.of(17)), attribute(2, port(sourcePort)), attribute(3, port(destinationPort))]),
  ])
}

function entry(number: number, to: Uint8Array, port: number, prefix: readonly number[]): Uint8Array<ArrayBuffer> {
  const from = Uint8Array.of(prefix[0] as number, prefix[1] as number, (number >> 8) & 255, number & 255)
  const sourcePort = 1024 + (number % 60_000)
  return encodeMessage({ type: CT_NEW, flags: NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, sequence: number + 1, port: 0 }, [
    Uint8Array.of(AF_INET, 0, 0, 0),
    tuple(1, from, to, sourcePort, port),
    tuple(2, to, from, port, sourcePort),
    attribute(3, big32(STATUS_ASSURED_SEEN_REPLY)),
    attribute(7, big32(3600)),
  ])
}

const [count = '0', to = '', port = '0', prefix = ''] = process.argv.slice(2)
const bytesOf = (text: string): number[] => text.split('.').map(Number)
const socket = new NetlinkSocket({ protocol: 12, groups: 0, receiveBufferBytes: 4 * 1024 * 1024, timeoutMs: 1000 })
for (let made = 0; made < Number(count); ) {
  const batch = Array.from({ length: Math.min(BATCH, Number(count) - made) }, (_, i) => entry(made + i, Uint8Array.from(bytesOf(to)), Number(port), bytesOf(prefix)))
  socket.send(Buffer.concat(batch))
  for (let acknowledged = 0; acknowledged < batch.length; ) {
    const received = socket.receive(true)
    if (received.kind !== 'datagram') throw new Error(`no acknowledgement: ${received.kind}`)
    for (const message of decodeMessages(received.bytes)) {
      const control = controlOf(message)
      if (control?.kind !== 'acknowledged') throw new Error(`refused: ${JSON.stringify(control)}`)
      acknowledged++
    }
  }
  made += batch.length
}
socket.close()
