// ctnetlink: the request that deletes one entry of UDP, and what an entry is known by.
//
// The kernel finds an entry by a tuple, and deletes it only where its id is the one that is told. Ids are made of the entry's
// place in memory and its original tuple: one that came since, of the same client and ports, may have the id of its
// predecessor. So entries are named by their reply: one that leads elsewhere has another.
// **Invariant:** a request always names family, UDP, both addresses, both ports and the id: without a tuple the kernel would
// delete everything.
import { align4, attribute, nestedAttribute, NetlinkMessageError, readU16, TYPE_MASK } from './attributes.ts'
import * as cta from './conntrack.ts'
import { AF_INET, AF_INET6 } from './libc.ts'
import { encodeMessage, NLM_F_ACK, NLM_F_REQUEST } from './messages.ts'

/** NFNL_SUBSYS_CTNETLINK << 8 with IPCTNL_MSG_CT_DELETE. */
const CT_DELETE = 0x102
const CTA_ID = 12
const CTA_ZONE = 18
const CTA_TUPLE_ZONE = 3

export const ID_LENGTH = 4

/** The reply of an entry of UDP; addresses of 4 or 16 bytes. */
export interface UdpReply {
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly sourcePort: number
  readonly destinationPort: number
}

/** `id` as the kernel told it. `acknowledged`: it answers also where it did so; where it did not, it always answers. */
export function udpDeleteRequest(sequence: number, { source, destination, sourcePort, destinationPort }: UdpReply, id: Uint8Array, acknowledged: boolean): Uint8Array<ArrayBuffer> {
  const width = source.length
  if ((width !== 4 && width !== 16) || destination.length !== width || id.length !== ID_LENGTH) {
    throw new RangeError(`conntrack deletion: addresses of ${width} and ${destination.length} bytes and an id of ${id.length}; expected 4 or 16, twice, and ${ID_LENGTH}`)
  }
  const [from, to] = width === 4 ? [cta.CTA_IP_V4_SRC, cta.CTA_IP_V4_DST] : [cta.CTA_IP_V6_SRC, cta.CTA_IP_V6_DST]
  const tuple = nestedAttribute(cta.CTA_TUPLE_REPLY, [
    nestedAttribute(cta.CTA_TUPLE_IP, [attribute(from, source), attribute(to, destination)]),
    nestedAttribute(cta.CTA_TUPLE_PROTO, [attribute(cta.CTA_PROTO_NUM, Uint8Array.of(cta.UDP)), attribute(cta.CTA_PROTO_SRC_PORT, portBytes(sourcePort)), attribute(cta.CTA_PROTO_DST_PORT, portBytes(destinationPort))]),
  ])
  const flags = acknowledged ? NLM_F_REQUEST | NLM_F_ACK : NLM_F_REQUEST
  return encodeMessage({ type: CT_DELETE, flags, sequence, port: 0 }, [Uint8Array.of(width === 4 ? AF_INET : AF_INET6, 0, 0, 0), tuple, attribute(CTA_ID, id)])
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff)
}

/**
 * Where the id of that entry stands in the datagram. Null where it is in a conntrack zone: somebody else keeps a network of
 * their own there, with addresses that may be anybody's. Throws NetlinkMessageError.
 */
export function idOf(bytes: Uint8Array, { start, stop }: Pick<cta.Entry, 'start' | 'stop'>): number | null {
  let id: number | null = null
  for (let at = start; at < stop; ) {
    const end = cta.attributeEnd(bytes, at, stop)
    const type = typeAt(bytes, at)
    if (type === CTA_ZONE || ((type === cta.CTA_TUPLE_ORIG || type === cta.CTA_TUPLE_REPLY) && hasZone(bytes, at + 4, end))) return null
    if (type === CTA_ID) {
      if (end - at - 4 !== ID_LENGTH) throw new NetlinkMessageError(`conntrack id: ${end - at - 4} bytes where ${ID_LENGTH} were expected`)
      id = at + 4
    }
    at += align4(end - at)
  }
  if (id === null) throw new NetlinkMessageError('conntrack entry: it lacks its id')
  return id
}

function hasZone(bytes: Uint8Array, start: number, stop: number): boolean {
  for (let at = start; at < stop; ) {
    if (typeAt(bytes, at) === CTA_TUPLE_ZONE) return true
    at += align4(cta.attributeEnd(bytes, at, stop) - at)
  }
  return false
}

function typeAt(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + 2, 'conntrack entry') & TYPE_MASK
}
