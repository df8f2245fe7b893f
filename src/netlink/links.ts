// rtnetlink about single links: a pair of veths made and taken away, routes and neighbours on them, and what they counted.
//
// **Invariant:** every request names what it is about and asks for an acknowledgement; none of them lists.
import { attribute, attributeText, attributeU32, need, nestedAttribute, readAttributes, readI32, readU32, textAttribute, u32Attribute } from './attributes.ts'
import { encodeMessage, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, type NetlinkMessage } from './messages.ts'

const RTM_NEWLINK = 16
const RTM_DELLINK = 17
const RTM_GETLINK = 18
const RTM_SETLINK = 19
const RTM_NEWROUTE = 24
const RTM_GETROUTE = 26
const RTM_NEWNEIGH = 28
const RTM_NEWNETCONF = 80
const RTM_GETNETCONF = 82

const FAMILY = { 4: 2, 6: 10 } as const
const IFF_UP = 0x1
const IFF_NOARP = 0x80
const IFF_MULTICAST = 0x1000
const IFLA = { ADDRESS: 1, IFNAME: 3, MTU: 4, LINK: 5, MASTER: 10, LINKINFO: 18, IFALIAS: 20, STATS64: 23, AF_SPEC: 26, LINK_NETNSID: 37 } as const
const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2
const VETH_INFO_PEER = 1
const IFLA_INET6_ADDR_GEN_MODE = 8
/** Too small for IPv6, which then leaves an interface out (RFC 8200 asks for 1280); and what veths have by default. */
const WITHOUT_IPV6 = 1_000
const DEFAULT_MTU = 1_500
/** IN6_ADDR_GEN_MODE_NONE */
const NO_ADDRESSES = 1
const RTA = { DST: 1, SRC: 2, IIF: 3, OIF: 4, PRIORITY: 6 } as const
const RT_TABLE_MAIN = 254
/** Routing daemons take such routes for an interface's own, and pass them on to nobody. */
const RTPROT_KERNEL = 2
const RT_SCOPE_LINK = 253
const RTN_UNICAST = 1
const NDA_DST = 1
const NDA_LLADDR = 2
const NUD_PERMANENT = 0x80
const NETCONFA_IFINDEX = 1
const NETCONFA_FORWARDING = 2
const NETCONFA_IFINDEX_ALL = -1

export interface LinkState {
  readonly index: number
  readonly kind: string
  readonly mac: Uint8Array
  readonly up: boolean
  /** It sends by itself neither ARP and neighbour discovery nor to groups. */
  readonly quiet: boolean
  readonly master: number
  /** Index of a veth's other end where that is in the same namespace; 0 elsewhere. */
  readonly peer: number
  readonly received: { readonly packets: number; readonly bytes: number }
  readonly sent: { readonly packets: number; readonly bytes: number }
}

interface VethEnd {
  readonly name: string
  readonly mac: Uint8Array
}

type Request = Uint8Array<ArrayBuffer>

function request(type: number, flags: number, sequence: number, parts: readonly Uint8Array[]): Request {
  return encodeMessage({ type, flags: NLM_F_REQUEST | NLM_F_ACK | flags, sequence, port: 0 }, parts)
}

/** struct ifinfomsg. */
function linkHead(index: number, flags = 0, change = 0): Uint8Array {
  const head = new Uint8Array(16)
  const view = new DataView(head.buffer)
  view.setInt32(4, index, true)
  view.setUint32(8, flags, true)
  view.setUint32(12, change, true)
  return head
}

/** The link of that name, with what it counted. */
export function linkRequest(name: string, sequence: number): Request {
  return request(RTM_GETLINK, 0, sequence, [linkHead(0), textAttribute(IFLA.IFNAME, name)])
}

/** Throws NetlinkMessageError; null where the message is no link. */
export function decodeLinkState({ type, payload }: NetlinkMessage): LinkState | null {
  if (type !== RTM_NEWLINK) return null
  const what = 'RTM_NEWLINK'
  need(payload, 16, what)
  const attributes = readAttributes(payload, 16, what)
  const info = attributes.get(IFLA.LINKINFO)
  const flags = readU32(payload, 8, what)
  const stats = attributes.get(IFLA.STATS64) ?? new Uint8Array(0)
  need(stats, 32, 'IFLA_STATS64')
  const view = new DataView(stats.buffer, stats.byteOffset)
  const counted = (at: number): LinkState['sent'] => ({ packets: Number(view.getBigUint64(at, true)), bytes: Number(view.getBigUint64(at + 16, true)) })
  return {
    index: readI32(payload, 4, what),
    kind: (info && attributeText(readAttributes(info, 0, `${what} IFLA_LINKINFO`), IFLA_INFO_KIND)) ?? '',
    mac: attributes.get(IFLA.ADDRESS) ?? new Uint8Array(0),
    up: (flags & IFF_UP) !== 0,
    quiet: (flags & (IFF_NOARP | IFF_MULTICAST)) === IFF_NOARP,
    master: attributeU32(attributes, IFLA.MASTER, what) ?? 0,
    peer: attributes.has(IFLA.LINK_NETNSID) ? 0 : (attributeU32(attributes, IFLA.LINK, what) ?? 0),
    received: counted(0),
    sent: counted(8),
  }
}

/**
 * Down, quiet, and without IPv6: a new interface is of groups (IFF_MULTICAST) for a moment, in which IPv6 on a router would join
 * one, and tell so when the interface comes up. EEXIST where a name is taken.
 */
export function vethRequest(one: VethEnd, other: VethEnd, sequence: number): Request {
  const head = linkHead(0, IFF_NOARP, IFF_NOARP | IFF_MULTICAST)
  const named = ({ name, mac }: VethEnd): readonly Uint8Array[] => [textAttribute(IFLA.IFNAME, name), attribute(IFLA.ADDRESS, mac), u32Attribute(IFLA.MTU, WITHOUT_IPV6)]
  const peer = nestedAttribute(VETH_INFO_PEER, [head, ...named(other)])
  const info = nestedAttribute(IFLA.LINKINFO, [textAttribute(IFLA_INFO_KIND, 'veth'), nestedAttribute(IFLA_INFO_DATA, [peer])])
  return request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sequence, [head, ...named(one), info])
}

/** IPv6 begins on it, too. */
export function fullSizeRequest(index: number, sequence: number): Request {
  return request(RTM_SETLINK, 0, sequence, [linkHead(index), u32Attribute(IFLA.MTU, DEFAULT_MTU)])
}

/** No address of IPv6 is made for it when it comes up. */
export function noAddressesRequest(index: number, sequence: number): Request {
  const spec = nestedAttribute(IFLA.AF_SPEC, [nestedAttribute(FAMILY[6], [attribute(IFLA_INET6_ADDR_GEN_MODE, Uint8Array.of(NO_ADDRESSES))])])
  return request(RTM_SETLINK, 0, sequence, [linkHead(index), spec])
}

/** `alias` is for people. */
export function upRequest(index: number, alias: string, sequence: number): Request {
  return request(RTM_SETLINK, 0, sequence, [linkHead(index, IFF_UP, IFF_UP), attribute(IFLA.IFALIAS, Buffer.from(alias))])
}

/** With a veth its other end goes, too. */
export function deleteLinkRequest(index: number, sequence: number): Request {
  return request(RTM_DELLINK, 0, sequence, [linkHead(index)])
}

/** struct rtmsg. */
function routeHead(family: 4 | 6, destination: number, source: number, scope = 0): Uint8Array {
  return Uint8Array.of(FAMILY[family], destination, source, 0, RT_TABLE_MAIN, RTPROT_KERNEL, scope, RTN_UNICAST, 0, 0, 0, 0)
}

/** To one address, on the link. EEXIST where there is one to it with that metric. */
export function hostRouteRequest(address: Uint8Array, index: number, metric: number, sequence: number): Request {
  const family = address.length === 4 ? 4 : 6
  const head = routeHead(family, address.length * 8, 0, family === 4 ? RT_SCOPE_LINK : 0)
  return request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sequence, [head, attribute(RTA.DST, address), u32Attribute(RTA.OIF, index), ...(metric === 0 ? [] : [u32Attribute(RTA.PRIORITY, metric)])])
}

/** Where would a packet go that comes in by `index`? Refused where it would not be forwarded: EXDEV by rp_filter. */
export function wayRequest(source: Uint8Array, destination: Uint8Array, index: number, sequence: number): Request {
  const width = destination.length * 8
  const head = routeHead(destination.length === 4 ? 4 : 6, width, width)
  head.fill(0, 4, 8)
  return request(RTM_GETROUTE, 0, sequence, [head, attribute(RTA.DST, destination), attribute(RTA.SRC, source), u32Attribute(RTA.IIF, index)])
}

/** The interface of the answer; 0 where it leads nowhere. */
export function wayOut(messages: readonly NetlinkMessage[]): number {
  for (const { type, payload } of messages) if (type === RTM_NEWROUTE) return attributeU32(readAttributes(payload, 12, 'RTM_NEWROUTE'), RTA.OIF, 'RTM_NEWROUTE') ?? 0
  return 0
}

/** Who has that address on that link, for good. */
export function neighbourRequest(address: Uint8Array, index: number, mac: Uint8Array, sequence: number): Request {
  const head = new Uint8Array(12)
  const view = new DataView(head.buffer)
  head[0] = FAMILY[address.length === 4 ? 4 : 6]
  view.setInt32(4, index, true)
  view.setUint16(8, NUD_PERMANENT, true)
  return request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sequence, [head, attribute(NDA_DST, address), attribute(NDA_LLADDR, mac)])
}

/** What is set for forwarding: of IPv4 by interface, of IPv6 for all. */
export function forwardingRequest(family: 4 | 6, index: number, sequence: number): Request {
  const of = new Uint8Array(4)
  new DataView(of.buffer).setInt32(0, family === 4 ? index : NETCONFA_IFINDEX_ALL, true)
  return request(RTM_GETNETCONF, 0, sequence, [Uint8Array.of(FAMILY[family]), attribute(NETCONFA_IFINDEX, of)])
}

/** Null where the kernel did not say. */
export function isForwarding(messages: readonly NetlinkMessage[]): boolean | null {
  for (const { type, payload } of messages) {
    if (type !== RTM_NEWNETCONF) continue
    const value = attributeU32(readAttributes(payload, 4, 'RTM_NEWNETCONF'), NETCONFA_FORWARDING, 'RTM_NEWNETCONF')
    return value === null ? null : value !== 0
  }
  return null
}
