// SCTP packets as bytes: INIT with a token, INIT-ACK with an answer, ABORT; the handshake as far as a probe needs it.
//
// The prober sends INIT, the lab's servers answer, and connection tracking on the nodes between sees a proper handshake:
// verification tag 0 in INIT, the INIT's own tag in the answer, right checksums (RFC 9260, sections 3 and 8.5).
// **Invariant:** pure; whatever parsePacket returns had a valid checksum and exactly one chunk of a known type.
import { crc32c } from './crc32c.ts'

export const IPPROTO_SCTP = 132

const INIT = 1
const INIT_ACK = 2
const ABORT = 6
/** A parameter type whose highest bits are `10`: whoever does not know it skips it in silence (section 3.2.1). */
const TOKEN_PARAMETER = 0x9ce7
const STATE_COOKIE = 7
const HEADER = 12

export interface SctpPorts {
  readonly source: number
  readonly destination: number
}

export type SctpPacket =
  /** `tag`: the sender's, which the answer must carry. */
  | { readonly kind: 'init'; readonly ports: SctpPorts; readonly tag: number; readonly text: string }
  | { readonly kind: 'init-ack'; readonly ports: SctpPorts; readonly tag: number; readonly text: string }
  | { readonly kind: 'abort'; readonly ports: SctpPorts }

/** `tag`: 1 to 2^32-1. `token` rides in a parameter of the chunk. */
export function initPacket(ports: SctpPorts, tag: number, token: string): Buffer {
  return packet(ports, 0, INIT, initBody(tag, TOKEN_PARAMETER, token))
}

/** The answer to an INIT whose tag was `peerTag`; `text` rides in the state cookie. */
export function initAckPacket(ports: SctpPorts, peerTag: number, tag: number, text: string): Buffer {
  return packet(ports, peerTag, INIT_ACK, initBody(tag, STATE_COOKIE, text))
}

/** What an endpoint says to an INIT for a port that nobody serves (section 8.4, rule 3). */
export function abortPacket(ports: SctpPorts, peerTag: number): Buffer {
  return packet(ports, peerTag, ABORT, Buffer.alloc(0))
}

function initBody(tag: number, type: number, text: string): Buffer {
  const value = Buffer.from(text, 'utf8')
  const body = Buffer.alloc(16 + 4 + Math.ceil(value.length / 4) * 4)
  body.writeUInt32BE(tag, 0)
  body.writeUInt32BE(65536, 4) // receiver window
  body.writeUInt16BE(1, 8) // outbound streams
  body.writeUInt16BE(1, 10) // inbound streams
  body.writeUInt32BE(tag, 12) // initial TSN
  body.writeUInt16BE(type, 16)
  body.writeUInt16BE(4 + value.length, 18)
  value.copy(body, 20)
  return body
}

function packet(ports: SctpPorts, verificationTag: number, type: number, body: Buffer): Buffer {
  const bytes = Buffer.alloc(HEADER + 4 + body.length)
  bytes.writeUInt16BE(ports.source, 0)
  bytes.writeUInt16BE(ports.destination, 2)
  bytes.writeUInt32BE(verificationTag, 4)
  bytes.writeUInt8(type, HEADER)
  bytes.writeUInt16BE(4 + body.length, HEADER + 2)
  body.copy(bytes, HEADER + 4)
  bytes.writeUInt32LE(crc32c(bytes), 8)
  return bytes
}

/** Null for what is no SCTP packet of this file's kinds, or has a wrong checksum. `bytes` begins with the SCTP header. */
export function parsePacket(bytes: Buffer): SctpPacket | null {
  if (bytes.length < HEADER + 4 || bytes.length % 4 !== 0) return null
  const copy = Buffer.from(bytes)
  copy.writeUInt32LE(0, 8)
  if (crc32c(copy) !== bytes.readUInt32LE(8)) return null
  const ports = { source: bytes.readUInt16BE(0), destination: bytes.readUInt16BE(2) }
  const type = bytes.readUInt8(HEADER)
  if (type === ABORT) return { kind: 'abort', ports }
  if (type !== INIT && type !== INIT_ACK) return null
  const text = parameterOf(bytes.subarray(HEADER + 4), type === INIT ? TOKEN_PARAMETER : STATE_COOKIE)
  if (text === null) return null
  return { kind: type === INIT ? 'init' : 'init-ack', ports, tag: bytes.readUInt32BE(HEADER + 4), text }
}

/** The first parameter of a chunk's body is the only one that we write. */
function parameterOf(body: Buffer, type: number): string | null {
  if (body.length < 20 || body.readUInt16BE(16) !== type) return null
  const length = body.readUInt16BE(18)
  return length < 4 || 16 + length > body.length ? null : body.toString('utf8', 20, 16 + length)
}

/** What a raw IPv4 socket receives, without its IP header. */
export function withoutIpv4Header(bytes: Buffer): Buffer {
  return bytes.subarray(((bytes[0] ?? 0) & 0x0f) * 4)
}
