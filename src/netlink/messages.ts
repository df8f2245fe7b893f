// Netlink messages (struct nlmsghdr): one datagram -> its messages, an answer's end -> what it says, a request -> bytes.
//
// Every family (rtnetlink, nfnetlink) speaks these headers; what their payloads mean is said by files of their own.
// **Invariant:** reading ends with messages or a NetlinkMessageError; a datagram gives at most one message per 16 bytes.
import os from 'node:os'
import { align4, attributeText, attributeU32, joined, need, NetlinkMessageError, readAttributes, readI32, readU16, readU32 } from './attributes.ts'

export const NLM_F_REQUEST = 0x1
export const NLM_F_MULTI = 0x2
export const NLM_F_ACK = 0x4
/** What a dump told is not of one moment: the objects changed while it ran, and some may be missing. */
export const NLM_F_DUMP_INTR = 0x10
export const NLM_F_DUMP = 0x300
/** Of messages that say something new (RTM_NEW...). */
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLM_F_APPEND = 0x800

export const NLMSG_NOOP = 1
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3
export const NLMSG_OVERRUN = 4

/** Of NLMSG_ERROR: the request came back without its payload, and attributes follow. */
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200
const NLMSGERR_ATTR_MSG = 1
const NLMSGERR_ATTR_OFFS = 2

export const HEADER_LENGTH = 16

export interface NetlinkMessage {
  readonly type: number
  readonly flags: number
  /** The request's number, in answers; of another process or 0 in notifications. */
  readonly sequence: number
  /** Port id of the socket whose request caused it; 0 where the kernel did. */
  readonly port: number
  readonly payload: Uint8Array
}

/** How an exchange ends, or goes wrong. */
export type Control =
  | { readonly kind: 'acknowledged' }
  | { readonly kind: 'done' }
  | {
      readonly kind: 'failed'
      /** `ENODEV`, or `errno 524` where the number has no name. */
      readonly code: string
      /** What the kernel says (extended acknowledgement); empty where it says nothing. */
      readonly text: string
      /** Offset in the request of the attribute at fault; null where it is not told. */
      readonly offset: number | null
    }
  | { readonly kind: 'overrun' }
  | { readonly kind: 'nothing' }

/** Splits a datagram. Throws NetlinkMessageError where a length is impossible; nothing of such a datagram counts. */
export function decodeMessages(datagram: Uint8Array): NetlinkMessage[] {
  return [...messagesIn(datagram)]
}

/** One after another, without those that `isWanted` turns down by their header: that one is asked when all before are through. */
export function* messagesIn(datagram: Uint8Array, isWanted?: (type: number, port: number) => boolean): Generator<NetlinkMessage, void> {
  for (let offset = 0; offset < datagram.length; ) {
    const left = datagram.length - offset
    if (left < HEADER_LENGTH) throw new NetlinkMessageError(`datagram: ${left} bytes are left over where a header has ${HEADER_LENGTH}`)
    const length = readU32(datagram, offset, 'header')
    if (length < HEADER_LENGTH || length > left) {
      throw new NetlinkMessageError(`header: the message says ${length} bytes where ${HEADER_LENGTH} to ${left} are possible`)
    }
    const type = readU16(datagram, offset + 4, 'header')
    const port = readU32(datagram, offset + 12, 'header')
    if (isWanted === undefined || isWanted(type, port)) {
      const payload = datagram.subarray(offset + HEADER_LENGTH, offset + length)
      yield { type, flags: readU16(datagram, offset + 6, 'header'), sequence: readU32(datagram, offset + 8, 'header'), port, payload }
    }
    offset += align4(length)
  }
}

/** What a message of the protocol itself says (types below 16); null for a message of the family. */
export function controlOf(message: NetlinkMessage): Control | null {
  switch (message.type) {
    case NLMSG_NOOP:
      return { kind: 'nothing' }
    case NLMSG_OVERRUN:
      return { kind: 'overrun' }
    case NLMSG_ERROR:
      return errorOf(message)
    case NLMSG_DONE:
      return doneOf(message)
    default:
      return message.type < 16 ? { kind: 'nothing' } : null
  }
}

function errorOf(message: NetlinkMessage): Control {
  const { payload, flags } = message
  need(payload, 4 + HEADER_LENGTH, 'NLMSG_ERROR')
  const errno = -readI32(payload, 0, 'NLMSG_ERROR')
  if (errno === 0) return { kind: 'acknowledged' }
  if ((flags & NLM_F_ACK_TLVS) === 0) return failure(errno, payload, payload.length)
  // The request's own length says how much of it is in front of the attributes.
  const request = (flags & NLM_F_CAPPED) === 0 ? readU32(payload, 4, 'NLMSG_ERROR') : HEADER_LENGTH
  if (request < HEADER_LENGTH || request > payload.length - 4) {
    throw new NetlinkMessageError(`NLMSG_ERROR: the request says ${request} bytes where ${HEADER_LENGTH} to ${payload.length - 4} are possible`)
  }
  return failure(errno, payload, 4 + align4(request))
}

/** Kernels before 5.0 may end a dump without a status. */
function doneOf(message: NetlinkMessage): Control {
  const { payload, flags } = message
  const errno = payload.length === 0 ? 0 : -readI32(payload, 0, 'NLMSG_DONE')
  if (errno <= 0) return { kind: 'done' }
  return failure(errno, payload, (flags & NLM_F_ACK_TLVS) === 0 ? payload.length : 4)
}

function failure(errno: number, payload: Uint8Array, attributesAt: number): Control {
  const attributes = readAttributes(payload, Math.min(attributesAt, payload.length), 'extended acknowledgement')
  const code = Object.entries(os.constants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`
  return {
    kind: 'failed',
    code,
    text: attributeText(attributes, NLMSGERR_ATTR_MSG) ?? '',
    offset: attributeU32(attributes, NLMSGERR_ATTR_OFFS, 'extended acknowledgement'),
  }
}

/** A message with its header and padding. `parts` are the family's header and the attributes, in order. */
export function encodeMessage(header: Omit<NetlinkMessage, 'payload'>, parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const payload = joined(parts)
  const bytes = new Uint8Array(HEADER_LENGTH + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, true)
  view.setUint16(4, header.type, true)
  view.setUint16(6, header.flags, true)
  view.setUint32(8, header.sequence, true)
  view.setUint32(12, header.port, true)
  bytes.set(payload, HEADER_LENGTH)
  return bytes
}
