// Deletes every entry of conntrack in the network namespace that it runs in, as `conntrack -F` does.
//
// **Invariant:** it ends with status 0 only where the kernel acknowledged it.
import { controlOf, decodeMessages, encodeMessage, NLM_F_ACK, NLM_F_REQUEST } from '../../src/netlink/messages.ts'
import { NetlinkSocket } from '../../src/netlink/socket.ts'

const CT_DELETE = 0x102
const socket = new NetlinkSocket({ protocol: 12, groups: 0, receiveBufferBytes: 65_536, timeoutMs: 5_000 })
socket.send(encodeMessage({ type: CT_DELETE, flags: NLM_F_REQUEST | NLM_F_ACK, sequence: 1, port: 0 }, [new Uint8Array(4)]))
const received = socket.receive(true)
const control = received.kind === 'datagram' ? decodeMessages(received.bytes).map(controlOf)[0] : null
if (control?.kind !== 'acknowledged') throw new Error(`not flushed: ${JSON.stringify(control)}`)
socket.close()
