// NFLOG (nfnetlink_log) on the wire: how a group is taken, and one datagram -> where the parts of each logged packet lie.
//
// Floods come this way, so nothing is made for a packet: one object with offsets into the datagram is filled again and again.
// **Invariant:** no bytes whatever make it throw or read outside of the datagram; each whole message of a packet is
// visited once, with those of its attributes that are in order.
import { align4, attribute, TYPE_MASK } from './attributes.ts'
import { encodeMessage, HEADER_LENGTH, NLM_F_ACK, NLM_F_REQUEST } from './messages.ts'

const MESSAGE_PACKET = 0x400
const MESSAGE_CONFIG = 0x401
/** struct nfgenmsg. */
const FAMILY_HEADER = 4
const ATTRIBUTE = 4

const [CFG_COMMAND, CFG_MODE, CFG_BUFFER, CFG_TIMEOUT, CFG_THRESHOLD, CFG_FLAGS] = [1, 2, 3, 4, 5, 6]
const COMMAND_BIND = 1
const COPY_PACKET = 2
/** Each packet carries the group's own sequence number, which also counts what could not be sent. */
const FLAG_SEQUENCE = 1

const [MARK, TIMESTAMP, IN_DEVICE, OUT_DEVICE, IN_PORT, OUT_PORT, PAYLOAD, PREFIX, SEQUENCE] = [2, 3, 4, 5, 6, 7, 9, 10, 12]

export interface NflogConfig {
  /** 0 to 65535. */
  readonly group: number
  /** Of each packet, in bytes. */
  readonly copyBytes: number
  /** So many packets make a datagram, or as many as came in the time below. */
  readonly threshold: number
  /** In hundredths of a second. */
  readonly timeout: number
  /** The longest datagram. */
  readonly bufferBytes: number
}

/** Takes the group for the socket that sends this, and asks for an acknowledgement. EPERM: somebody else has it, or no right to. */
export function bindRequest(sequence: number, config: NflogConfig): Uint8Array {
  const { group, copyBytes, threshold, timeout, bufferBytes } = config
  return encodeMessage({ type: MESSAGE_CONFIG, flags: NLM_F_REQUEST | NLM_F_ACK, sequence, port: 0 }, [
    Uint8Array.of(0, 0, group >>> 8, group & 0xff),
    attribute(CFG_COMMAND, Uint8Array.of(COMMAND_BIND)),
    attribute(CFG_MODE, Uint8Array.of(...big32(copyBytes), COPY_PACKET, 0)),
    attribute(CFG_BUFFER, Uint8Array.of(...big32(bufferBytes))),
    attribute(CFG_TIMEOUT, Uint8Array.of(...big32(timeout))),
    attribute(CFG_THRESHOLD, Uint8Array.of(...big32(threshold))),
    attribute(CFG_FLAGS, Uint8Array.of(0, FLAG_SEQUENCE)),
  ])
}

/** One logged packet. Offsets count from the start of the datagram; 0 where the attribute is missing. */
export interface NflogPacket {
  /** Null where it has none. */
  sequence: number | null
  mark: number
  inInterface: number
  outInterface: number
  /** Of the bridge that the interface is; 0 where it is none, or that is not known. */
  inPort: number
  outPort: number
  /** Milliseconds since 1970, with fractions; null where the kernel gave none. */
  time: number | null
  /** Without the NUL at its end. */
  prefixAt: number
  prefixLength: number
  /** From the IP header on. */
  payloadAt: number
  payloadLength: number
  /** AF_INET is 2, AF_INET6 is 10. */
  family: number
}

const EMPTY: Readonly<NflogPacket> = { sequence: null, mark: 0, inInterface: 0, outInterface: 0, inPort: 0, outPort: 0, time: null, prefixAt: 0, prefixLength: 0, payloadAt: 0, payloadLength: 0, family: 0 }

/** Visits the logged packets of a datagram, in order; the object is valid during its visit only. Returns how many there were. */
export function visitPackets(datagram: Uint8Array, visit: (packet: Readonly<NflogPacket>) => void): number {
  const packet = { ...EMPTY }
  let visited = 0
  for (let at = 0; at + HEADER_LENGTH <= datagram.length; ) {
    const length = little32(datagram, at)
    if (length < HEADER_LENGTH || length > datagram.length - at) break
    if (little16(datagram, at + 4) === MESSAGE_PACKET) {
      readPacketMessage(datagram, at + HEADER_LENGTH, at + length, packet)
      visit(packet)
      visited++
    }
    at += align4(length)
  }
  return visited
}

function readPacketMessage(bytes: Uint8Array, start: number, end: number, packet: NflogPacket): void {
  Object.assign(packet, EMPTY)
  if (end - start < FAMILY_HEADER) return
  packet.family = bytes[start] as number
  for (let at = start + FAMILY_HEADER; at + ATTRIBUTE <= end; ) {
    const length = little16(bytes, at)
    if (length < ATTRIBUTE || length > end - at) return
    readAttribute(bytes, little16(bytes, at + 2) & TYPE_MASK, at + ATTRIBUTE, length - ATTRIBUTE, packet)
    at += align4(length)
  }
}

function readAttribute(bytes: Uint8Array, type: number, at: number, length: number, packet: NflogPacket): void {
  if (type === PAYLOAD) {
    packet.payloadAt = at
    packet.payloadLength = length
  } else if (type === PREFIX) {
    packet.prefixAt = at
    packet.prefixLength = textLength(bytes, at, length)
  } else if (type === TIMESTAMP) {
    if (length === 16) packet.time = (big32At(bytes, at) * 0x1_0000_0000 + big32At(bytes, at + 4)) * 1000 + (big32At(bytes, at + 8) * 0x1_0000_0000 + big32At(bytes, at + 12)) / 1000
  } else if (length === 4) {
    if (type === MARK) packet.mark = big32At(bytes, at)
    else if (type === IN_DEVICE) packet.inInterface = big32At(bytes, at)
    else if (type === OUT_DEVICE) packet.outInterface = big32At(bytes, at)
    else if (type === IN_PORT) packet.inPort = big32At(bytes, at)
    else if (type === OUT_PORT) packet.outPort = big32At(bytes, at)
    else if (type === SEQUENCE) packet.sequence = big32At(bytes, at)
  }
}

function textLength(bytes: Uint8Array, at: number, length: number): number {
  for (let i = 0; i < length; i++) if (bytes[at + i] === 0) return i
  return length
}

function big32(value: number): readonly number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]
}

// The callers have checked the lengths.
function little16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
}

function little32(bytes: Uint8Array, at: number): number {
  return (little16(bytes, at) | (little16(bytes, at + 2) << 16)) >>> 0
}

function big32At(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
}
