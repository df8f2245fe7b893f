// Holds what an NFQUEUE rule of its network namespace gives it, and then lets all of it go at once: a program of its own.
//
//   nsenter --net=PATH node test/support/hold-packets.ts QUEUE COUNT
//
// It says "ready" when it is bound, and "held N" when all are gone: COUNT of them, or what came until none did for two seconds.
// **Invariant:** every packet that it got leaves in the order in which it came, whole.
import { attribute, readAttributes } from '../../src/netlink/attributes.ts'
import { controlOf, decodeMessages, encodeMessage, NLM_F_ACK, NLM_F_REQUEST } from '../../src/netlink/messages.ts'
import { NetlinkSocket } from '../../src/netlink/socket.ts'

const NETLINK_NETFILTER = 12
/** NFNL_SUBSYS_QUEUE << 8, with NFQNL_MSG_*. */
const [PACKET, VERDICT, CONFIG] = [0x300, 0x301, 0x302]
const [CFG_CMD, CFG_PARAMS, PACKET_HDR, VERDICT_HDR] = [1, 2, 1, 2]
const BIND = 1
const COPY_META = 1
const ACCEPT = 1

const [queue = 0, wanted = 0] = process.argv.slice(2).map(Number)
const socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, groups: 0, receiveBufferBytes: 1 << 20, timeoutMs: 2_000 })

function send(type: number, part: Uint8Array, flags = 0): void {
  socket.send(encodeMessage({ type, flags: NLM_F_REQUEST | flags, sequence: 1, port: 0 }, [Uint8Array.of(0, 0, queue >> 8, queue & 255), part]))
}

function configure(part: Uint8Array): void {
  send(CONFIG, part, NLM_F_ACK)
  const answer = socket.receive(true)
  const [message] = answer.kind === 'datagram' ? decodeMessages(answer.bytes) : []
  const control = message === undefined ? null : controlOf(message)
  if (control?.kind !== 'acknowledged') throw new Error(`queue ${queue}: ${JSON.stringify(control)}`)
}

configure(attribute(CFG_CMD, Uint8Array.of(BIND, 0, 0, 0)))
configure(attribute(CFG_PARAMS, Uint8Array.of(0, 0, 0, 0, COPY_META)))
process.stdout.write('ready\n')

/** In network order, as they came. */
const held: Uint8Array[] = []
for (let came = true; came && held.length < wanted; ) {
  const received = socket.receive(true)
  came = received.kind === 'datagram'
  if (received.kind !== 'datagram') continue
  for (const { type, payload } of decodeMessages(received.bytes)) {
    const header = type === PACKET ? readAttributes(payload, 4, 'packet').get(PACKET_HDR) : undefined
    if (header !== undefined) held.push(header.slice(0, 4))
  }
}
for (const id of held) send(VERDICT, attribute(VERDICT_HDR, Uint8Array.of(0, 0, 0, ACCEPT, ...id)))
process.stdout.write(`held ${held.length}\n`)
socket.close()
