// Puts made-up connections into conntrack, by netlink: `node fill-conntrack.ts COUNT TO PORT FROM-PREFIX [BY [PROTOCOL]]`, in the
// namespace that it runs in. From FROM-PREFIX.x.y (fd00:2 of IPv6: FROM-PREFIX::x:y) and rising ports to TO:PORT, where BY answers
// at 5300 in place of TO, as behind DNAT; of UDP (17), TCP (6) or SCTP (132); assured, for an hour.
//
// **Invariant:** it ends with status 0 only where the kernel took every one of them.
import { attribute, nestedAttribute } from '../../src/netlink/attributes.ts'
import { controlOf, decodeMessages, encodeMessage, NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST } from '../../src/netlink/messages.ts'
import { NetlinkSocket } from '../../src/netlink/socket.ts'
import { addressBytes } from '../kernel/packet-bytes.ts'

const CT_NEW = 0x100
const [AF_INET, AF_INET6] = [2, 10]
const STATUS_ASSURED_SEEN_REPLY = 14
const BATCH = 100
const BEHIND_DNAT = 5300
const [TCP, UDP] = [6, 17]
/** CTA_PROTOINFO_TCP_STATE: established; others need no more than their ports. */
const TCP_STATE = nestedAttribute(4, [nestedAttribute(1, [attribute(1, Uint8Array.of(3))])])

function big32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
}

type End = readonly [address: Uint8Array, port: number]

function tuple(type: number, [from, sourcePort]: End, [to, destinationPort]: End): Uint8Array {
  const port = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 255)
  const first = from.length === 4 ? 1 : 3
  return nestedAttribute(type, [
    nestedAttribute(1, [attribute(first, from), attribute(first + 1, to)]),
    nestedAttribute(2, [attribute(1, Uint8Array.of(protocol)), attribute(2, port(sourcePort)), attribute(3, port(destinationPort))]),
  ])
}

function entry(number: number): Uint8Array<ArrayBuffer> {
  const [high, low] = [(number >> 8) & 255, number & 255]
  const from = addressBytes(prefix.includes(':') ? `${prefix}::${high.toString(16)}:${low.toString(16)}` : `${prefix}.${high}.${low}`)
  const client: End = [from, 1024 + (number % 60_000)]
  return encodeMessage({ type: CT_NEW, flags: NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, sequence: number + 1, port: 0 }, [
    Uint8Array.of(from.length === 4 ? AF_INET : AF_INET6, 0, 0, 0),
    tuple(1, client, called),
    tuple(2, answers, client),
    attribute(3, big32(STATUS_ASSURED_SEEN_REPLY)),
    attribute(7, big32(3600)),
    ...(protocol === TCP ? [TCP_STATE] : []),
  ])
}

const [count = '0', to = '', port = '0', prefix = '', by = '', number = String(UDP)] = process.argv.slice(2)
const protocol = Number(number)
const called: End = [addressBytes(to), Number(port)]
const answers: End = by === '' ? called : [addressBytes(by), BEHIND_DNAT]
const socket = new NetlinkSocket({ protocol: 12, groups: 0, receiveBufferBytes: 4 * 1024 * 1024, timeoutMs: 1000 })
for (let made = 0; made < Number(count); ) {
  const batch = Array.from({ length: Math.min(BATCH, Number(count) - made) }, (_, i) => entry(made + i))
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
