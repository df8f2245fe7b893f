// Datagrams as nfnetlink_log makes them, from packets of any bytes.
//
// **Invariant:** attributes stand in the kernel's order and byte order; several messages end with NLMSG_DONE.
import { attribute, joined } from '../../src/netlink/attributes.ts'
import { encodeMessage, NLM_F_MULTI, NLMSG_DONE } from '../../src/netlink/messages.ts'

export interface Logged {
  readonly packet: Uint8Array
  readonly prefix?: string
  readonly sequence?: number
  readonly mark?: number
  readonly in?: number
  readonly out?: number
  /** Ports of a bridge. */
  readonly inPort?: number
  readonly outPort?: number
  /** Microseconds since 1970. */
  readonly time?: bigint
}

const PACKET = 0x400

export function loggedMessage({ packet, prefix = 'picket/x', sequence, mark = 0, in: inInterface = 0, out = 0, inPort = 0, outPort = 0, time }: Logged): Uint8Array {
  const family = (packet[0] ?? 0) >> 4 === 6 ? 10 : 2
  const parts = [Uint8Array.of(family, 0, 0, 61), attribute(1, Uint8Array.of(family === 10 ? 0x86 : 8, family === 10 ? 0xdd : 0, 2, 0)), attribute(10, Buffer.from(`${prefix}\0`))]
  if (inInterface !== 0) parts.push(attribute(4, big(inInterface)))
  if (out !== 0) parts.push(attribute(5, big(out)))
  if (inPort !== 0) parts.push(attribute(6, big(inPort)))
  if (outPort !== 0) parts.push(attribute(7, big(outPort)))
  if (mark !== 0) parts.push(attribute(2, big(mark)))
  if (time !== undefined) {
    const stamp = Buffer.alloc(16)
    stamp.writeBigUInt64BE(time / 1_000_000n, 0)
    stamp.writeBigUInt64BE(time % 1_000_000n, 8)
    parts.push(attribute(3, stamp))
  }
  if (sequence !== undefined) parts.push(attribute(12, big(sequence)))
  parts.push(attribute(9, packet))
  return encodeMessage({ type: PACKET, flags: NLM_F_MULTI, sequence: 0, port: 0 }, parts)
}

export function loggedDatagram(logged: readonly Logged[]): Uint8Array {
  const done = encodeMessage({ type: NLMSG_DONE, flags: NLM_F_MULTI, sequence: 0, port: 0 }, [new Uint8Array(4)])
  return joined([...logged.map(loggedMessage), ...(logged.length > 1 ? [done] : [])])
}

function big(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}
