// ctnetlink: the request for every connection that conntrack knows, and its answers, read where they lie in the datagram.
//
// A dump of 100,000 entries is 30 MB; values and maps made of each would take longer than the kernel needs. So reading
// gives places in the datagram, one entry after another, with all bounds checked as in attributes.ts.
// **Invariant:** what is visited is complete and of one family; whatever cannot be read is a NetlinkMessageError.
// Ports are big-endian in these attributes, as on the wire.
import { align4, attribute, need, nestedAttribute, NetlinkMessageError, readU16, readU32, TYPE_MASK, u32Attribute } from './attributes.ts'
import { AF_INET, AF_INET6 } from './libc.ts'
import { controlOf, encodeMessage, HEADER_LENGTH, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, type Control } from './messages.ts'

export const NETLINK_NETFILTER = 12
/** NFNL_SUBSYS_CTNETLINK << 8 with IPCTNL_MSG_CT_NEW (0, what answers are) and IPCTNL_MSG_CT_GET (1). */
const CT_NEW = 0x100
const CT_GET = 0x101
/** struct nfgenmsg: family, version, resource id. */
const NFGENMSG_LENGTH = 4

export const CTA_TUPLE_ORIG = 1
export const CTA_TUPLE_REPLY = 2
const CTA_PROTOINFO = 4
const CTA_PROTOINFO_TCP = 1
const CTA_PROTOINFO_TCP_FLAGS_ORIGINAL = 4
const CTA_PROTOINFO_TCP_FLAGS_REPLY = 5
/** IP_CT_TCP_FLAG_BE_LIBERAL: conntrack does not hold the window against what it took up in the middle. */
const TCP_LIBERAL = 0x08
export const TCP = 6
export const UDP = 17
/** Linux 5.8; older ones pass over it and send everything, so whoever asks looks again. */
const CTA_FILTER = 25
const CTA_FILTER_ORIG_FLAGS = 1
const CTA_FILTER_REPLY_FLAGS = 2
const FILTER_BY_SOURCE = 1 << 0
const FILTER_BY_PROTOCOL = 1 << 3
export const CTA_TUPLE_IP = 1
export const CTA_TUPLE_PROTO = 2
export const CTA_IP_V4_SRC = 1
export const CTA_IP_V4_DST = 2
export const CTA_IP_V6_SRC = 3
export const CTA_IP_V6_DST = 4
export const CTA_PROTO_NUM = 1
export const CTA_PROTO_SRC_PORT = 2
export const CTA_PROTO_DST_PORT = 3

/** One direction of an entry. Addresses are offsets in the datagram, of 4 or 16 bytes as the family says. */
export interface Tuple {
  family: 4 | 6
  protocol: number
  source: number
  destination: number
  /** 0 in protocols without ports. */
  sourcePort: number
  destinationPort: number
}

/** The original direction as its client sent it, and the reply as its server sends it: that one's source is what DNAT made. */
export interface Entry {
  readonly original: Tuple
  readonly reply: Tuple
  /**
   * Of a TCP connection that conntrack took up in the middle, after it had lost it (nf_conntrack_tcp_loose): who opened it
   * is not known then, and the original direction is that of the first packet that came by.
   */
  pickedUp: boolean
  /** Where its attributes begin and end in the datagram. */
  start: number
  stop: number
}

export interface DumpPart {
  /** How the dump ended; null while more is to come. */
  readonly end: Control | null
  /** The kernel says that the table changed while it was read. */
  readonly interrupted: boolean
}

/**
 * What to dump: everything, one family, one protocol of a family, or the IPv4 entries whose one direction comes from `source`
 * (4 bytes). The kernel filters by IPv6 addresses too, but the wrong way round (Linux 5.8 to 6.18: ctnetlink_filter_match_tuple).
 */
export type DumpScope =
  | { readonly kind: 'all' }
  | { readonly kind: 'family'; readonly family: 4 | 6 }
  | { readonly kind: 'protocol'; readonly family: 4 | 6; readonly protocol: number }
  | { readonly kind: 'source'; readonly direction: 'original' | 'reply'; readonly source: Uint8Array }

export function conntrackDumpRequest(sequence: number, scope: DumpScope): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(NFGENMSG_LENGTH)
  const message = (...attributes: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
    encodeMessage({ type: CT_GET, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence, port: 0 }, [header, ...attributes])
  switch (scope.kind) {
    case 'all':
      return message()
    case 'family':
      header[0] = scope.family === 4 ? AF_INET : AF_INET6
      return message()
    case 'protocol': {
      header[0] = scope.family === 4 ? AF_INET : AF_INET6
      const tuple = nestedAttribute(CTA_TUPLE_PROTO, [attribute(CTA_PROTO_NUM, Uint8Array.of(scope.protocol))])
      return message(nestedAttribute(CTA_TUPLE_ORIG, [tuple]), nestedAttribute(CTA_FILTER, [u32Attribute(CTA_FILTER_ORIG_FLAGS, FILTER_BY_PROTOCOL)]))
    }
    case 'source': {
      header[0] = AF_INET
      const [tuple, flags] = scope.direction === 'original' ? [CTA_TUPLE_ORIG, CTA_FILTER_ORIG_FLAGS] : [CTA_TUPLE_REPLY, CTA_FILTER_REPLY_FLAGS]
      const address = nestedAttribute(CTA_TUPLE_IP, [attribute(CTA_IP_V4_SRC, scope.source)])
      return message(nestedAttribute(tuple, [address]), nestedAttribute(CTA_FILTER, [u32Attribute(flags, FILTER_BY_SOURCE)]))
    }
  }
}

/**
 * Visits the entries of one datagram of the dump `sequence` of the socket `port`; other messages are passed over. The
 * entry is the same object each time and valid during the visit. Throws NetlinkMessageError.
 */
export function visitEntries(datagram: Uint8Array, sequence: number, port: number, visit: (entry: Entry) => void): DumpPart {
  let end: Control | null = null
  let interrupted = false
  for (let offset = 0; offset < datagram.length; ) {
    const left = datagram.length - offset
    if (left < HEADER_LENGTH) throw new NetlinkMessageError(`datagram: ${left} bytes are left over where a header has ${HEADER_LENGTH}`)
    const length = readU32(datagram, offset, 'header')
    if (length < HEADER_LENGTH || length > left) {
      throw new NetlinkMessageError(`header: the message says ${length} bytes where ${HEADER_LENGTH} to ${left} are possible`)
    }
    if (readU32(datagram, offset + 8, 'header') === sequence && readU32(datagram, offset + 12, 'header') === port) {
      const type = readU16(datagram, offset + 4, 'header')
      const flags = readU16(datagram, offset + 6, 'header')
      if ((flags & NLM_F_DUMP_INTR) !== 0) interrupted = true
      if (type === CT_NEW) {
        readEntry(datagram, offset + HEADER_LENGTH, offset + length)
        visit(ENTRY)
      } else {
        const control = controlOf({ type, flags, sequence, port, payload: datagram.subarray(offset + HEADER_LENGTH, offset + length) })
        if (control !== null && control.kind !== 'nothing') end = control
      }
    }
    offset += align4(length)
  }
  return { end, interrupted }
}

function emptyTuple(): Tuple {
  return { family: 4, protocol: 0, source: 0, destination: 0, sourcePort: 0, destinationPort: 0 }
}

/** Filled anew for each entry: nothing is allocated for one. */
const ENTRY: Entry = { original: emptyTuple(), reply: emptyTuple(), pickedUp: false, start: 0, stop: 0 }

function readEntry(bytes: Uint8Array, start: number, stop: number): void {
  if (stop - start < NFGENMSG_LENGTH) throw new NetlinkMessageError(`conntrack entry: ${stop - start} bytes where at least ${NFGENMSG_LENGTH} were expected`)
  let found = 0
  ENTRY.pickedUp = false
  ENTRY.start = start + NFGENMSG_LENGTH
  ENTRY.stop = stop
  // The tuples come first; only TCP has something to say behind them.
  for (let at = ENTRY.start; at < stop && (found < 3 || ENTRY.original.protocol === TCP); ) {
    const end = attributeEnd(bytes, at, stop)
    const type = readU16(bytes, at + 2, 'conntrack entry') & TYPE_MASK
    if (type === CTA_TUPLE_ORIG) {
      readTuple(bytes, at + 4, end, ENTRY.original)
      found |= 1
    } else if (type === CTA_TUPLE_REPLY) {
      readTuple(bytes, at + 4, end, ENTRY.reply)
      found |= 2
    } else if (type === CTA_PROTOINFO && ENTRY.original.protocol === TCP) {
      ENTRY.pickedUp = isLiberal(bytes, at + 4, end)
      break
    }
    at = start + align4(end - start)
  }
  if (found < 3) throw new NetlinkMessageError('conntrack entry: it lacks a direction')
  const { original, reply } = ENTRY
  if (original.family !== reply.family || original.protocol !== reply.protocol) {
    throw new NetlinkMessageError('conntrack entry: its directions are of different families or protocols')
  }
}

/** Whether both directions are. */
function isLiberal(bytes: Uint8Array, start: number, stop: number): boolean {
  let liberal = 0
  for (let at = start; at < stop; ) {
    const end = attributeEnd(bytes, at, stop)
    if ((readU16(bytes, at + 2, 'conntrack state') & TYPE_MASK) === CTA_PROTOINFO_TCP) {
      for (let inner = at + 4; inner < end; ) {
        const innerEnd = attributeEnd(bytes, inner, end)
        const type = readU16(bytes, inner + 2, 'conntrack state') & TYPE_MASK
        if (type === CTA_PROTOINFO_TCP_FLAGS_ORIGINAL || type === CTA_PROTOINFO_TCP_FLAGS_REPLY) {
          need(bytes.subarray(inner + 4, innerEnd), 1, 'conntrack state')
          if (((bytes[inner + 4] as number) & TCP_LIBERAL) !== 0) liberal++
        }
        inner += align4(innerEnd - inner)
      }
    }
    at += align4(end - at)
  }
  return liberal === 2
}

/** Where the attribute at `at` ends, its padding left out. */
export function attributeEnd(bytes: Uint8Array, at: number, stop: number): number {
  const length = stop - at < 4 ? 0 : readU16(bytes, at, 'conntrack attribute')
  if (length < 4 || length > stop - at) throw new NetlinkMessageError(`conntrack attribute: ${length} bytes where 4 to ${stop - at} are possible`)
  return at + length
}

function readTuple(bytes: Uint8Array, start: number, stop: number, tuple: Tuple): void {
  tuple.sourcePort = 0
  tuple.destinationPort = 0
  tuple.protocol = -1
  tuple.source = -1
  tuple.destination = -1
  for (let at = start; at < stop; ) {
    const end = attributeEnd(bytes, at, stop)
    const type = readU16(bytes, at + 2, 'conntrack tuple') & TYPE_MASK
    if (type === CTA_TUPLE_IP) readAddresses(bytes, at + 4, end, tuple)
    else if (type === CTA_TUPLE_PROTO) readProtocol(bytes, at + 4, end, tuple)
    at = start + align4(end - start)
  }
  if (tuple.source < 0 || tuple.destination < 0 || tuple.protocol < 0) throw new NetlinkMessageError('conntrack tuple: it lacks an address or the protocol')
}

function readAddresses(bytes: Uint8Array, start: number, stop: number, tuple: Tuple): void {
  for (let at = start; at < stop; ) {
    const end = attributeEnd(bytes, at, stop)
    const type = readU16(bytes, at + 2, 'conntrack address') & TYPE_MASK
    if (type >= CTA_IP_V4_SRC && type <= CTA_IP_V6_DST) {
      const family = type <= CTA_IP_V4_DST ? 4 : 6
      const width = family === 4 ? 4 : 16
      if (end - at - 4 !== width) throw new NetlinkMessageError(`conntrack address: ${end - at - 4} bytes where ${width} were expected`)
      tuple.family = family
      if (type === CTA_IP_V4_SRC || type === CTA_IP_V6_SRC) tuple.source = at + 4
      else tuple.destination = at + 4
    }
    at = start + align4(end - start)
  }
}

function readProtocol(bytes: Uint8Array, start: number, stop: number, tuple: Tuple): void {
  for (let at = start; at < stop; ) {
    const end = attributeEnd(bytes, at, stop)
    const type = readU16(bytes, at + 2, 'conntrack protocol') & TYPE_MASK
    if (type === CTA_PROTO_NUM) {
      need(bytes.subarray(at + 4, end), 1, 'conntrack protocol')
      tuple.protocol = bytes[at + 4] as number
    } else if (type === CTA_PROTO_SRC_PORT) tuple.sourcePort = portAt(bytes, at + 4, end)
    else if (type === CTA_PROTO_DST_PORT) tuple.destinationPort = portAt(bytes, at + 4, end)
    at = start + align4(end - start)
  }
}

function portAt(bytes: Uint8Array, at: number, end: number): number {
  if (end - at !== 2) throw new NetlinkMessageError(`conntrack port: ${end - at} bytes where 2 were expected`)
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}
