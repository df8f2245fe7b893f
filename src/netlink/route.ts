// rtnetlink: requests for dumps of links, addresses and routes, and RTM_NEW/DEL messages -> typed values.
//
// Sits on messages.ts; node/ folds the values into interfaces. Addresses stay bytes: their text is the model's affair.
// **Invariant:** an address has 4 or 16 bytes, of the family that is told beside it, and a prefix that fits it.
import type { Attributes } from './attributes.ts'
import { attributeText, attributeU32, need, NetlinkMessageError, readAttributes, readI32, readU16, readU32, u32Attribute } from './attributes.ts'
import type { NetlinkMessage } from './messages.ts'
import { encodeMessage, NLM_F_APPEND, NLM_F_DUMP, NLM_F_MULTI, NLM_F_REPLACE, NLM_F_REQUEST } from './messages.ts'

export const NETLINK_ROUTE = 0
/** RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE, and RTNLGRP_NEXTHOP (32). */
export const ROUTE_GROUPS = (0x1 | 0x10 | 0x40 | 0x100 | 0x400 | 0x80000000) >>> 0

const RTM = { 16: 'RTM_NEWLINK', 17: 'RTM_DELLINK', 20: 'RTM_NEWADDR', 21: 'RTM_DELADDR', 24: 'RTM_NEWROUTE', 25: 'RTM_DELROUTE' } as const
const RTM_NEWNEXTHOP = 104
const RTM_DELNEXTHOP = 105
const AF_UNSPEC = 0
const AF_INET = 2
const AF_INET6 = 10

const IFF_UP = 0x1
const IFLA = { ADDRESS: 1, IFNAME: 3, LINK: 5, MASTER: 10, LINKINFO: 18, EXT_MASK: 29, LINK_NETNSID: 37 } as const
const IFLA_INFO_KIND = 1
const RTEXT_FILTER_SKIP_STATS = 8
const IFA = { ADDRESS: 1, LOCAL: 2 } as const
const RTA = { DST: 1, SRC: 2, OIF: 4, GATEWAY: 5, PRIORITY: 6, PREFSRC: 7, MULTIPATH: 9, TABLE: 15, VIA: 18, NH_ID: 30 } as const
const RTM_F_CLONED = 0x200
const RTNH_F_DEAD = 1

export const RTN_UNICAST = 1
export const RT_TABLE_LOCAL = 255
export const RT_SCOPE_HOST = 254

export interface Link {
  readonly index: number
  readonly name: string
  /** `veth`, `bridge`, ...; empty for hardware and for the loopback. */
  readonly kind: string
  /** Index of the bridge, bond or VRF that it belongs to; 0 for none. */
  readonly master: number
  /** Administratively up (IFF_UP), whatever its carrier. */
  readonly up: boolean
  /** Hardware address, 6 bytes for Ethernet; empty for none. */
  readonly mac: Uint8Array
  /** Of a veth whose other end is in another network namespace: that one's id here, and the index in it. */
  readonly end: { readonly netns: number; readonly index: number } | null
}

export interface InterfaceAddress {
  readonly family: 4 | 6
  readonly index: number
  /** The interface's own end. */
  readonly address: Uint8Array
  /** The other end of a point-to-point address; the same as `address` elsewhere. */
  readonly peer: Uint8Array
  readonly prefix: number
  /** RT_SCOPE_*: 0 universe, 253 link, 254 host. */
  readonly scope: number
}

export interface Nexthop {
  /** Index of the interface; 0 where there is none (blackhole, or a nexthop object that is not spelled out). */
  readonly oif: number
  /** RTA_GATEWAY, or RTA_VIA with its family in front; null for a destination on the link. */
  readonly gateway: Uint8Array | null
  /** Its interface is down: kept by the kernel for a route that has other hops. */
  readonly dead: boolean
}

export interface Route {
  readonly family: 4 | 6
  /** 4 or 16 bytes; zeros for the default route. */
  readonly destination: Uint8Array
  readonly prefix: number
  /** IPv6 source-specific routes: RTA_SRC in hexadecimal with its length; empty for all others. */
  readonly source: string
  readonly tos: number
  readonly table: number
  readonly protocol: number
  readonly scope: number
  /** RTN_*: 1 unicast, 2 local, 5 multicast, 6 blackhole, ... */
  readonly type: number
  /** The metric. */
  readonly priority: number
  /** The source address that it prefers; null for none. */
  readonly preferredSource: Uint8Array | null
  /** The nexthop object that it refers to; 0 for none. */
  readonly nexthopId: number
  /** One, or several for a multipath route. */
  readonly nexthops: readonly Nexthop[]
}

export type RouteEvent =
  | { readonly kind: 'link'; readonly verb: 'new' | 'delete'; readonly link: Link }
  | { readonly kind: 'address'; readonly verb: 'new' | 'delete'; readonly address: InterfaceAddress }
  /** `how`: in place of the first route with the same key, behind those (also in dumps, which keep the order), or in front. */
  | { readonly kind: 'route'; readonly verb: 'new' | 'delete'; readonly how: 'replace' | 'append' | 'prepend'; readonly route: Route }
  /** A nexthop object changed: routes that refer to it may have changed without a word. */
  | { readonly kind: 'nexthop' }

export type DumpName = 'links' | 'IPv4 addresses' | 'IPv6 addresses' | 'IPv4 routes' | 'IPv6 routes'
/** In an order in which each refers only to what came before. */
export const DUMPS: readonly DumpName[] = ['links', 'IPv4 addresses', 'IPv6 addresses', 'IPv4 routes', 'IPv6 routes']

/** The family's header at its full length, as strict checking wants it (ifinfomsg 16, ifaddrmsg 8, rtmsg 12). */
export function dumpRequest(name: DumpName, sequence: number): Uint8Array<ArrayBuffer> {
  const [type, length] = name === 'links' ? [18, 16] : name.endsWith('addresses') ? [22, 8] : [26, 12]
  const body = new Uint8Array(length)
  body[0] = name === 'links' ? AF_UNSPEC : name.startsWith('IPv4') ? AF_INET : AF_INET6
  const attributes = name === 'links' ? [u32Attribute(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS)] : []
  return encodeMessage({ type, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence, port: 0 }, [body, ...attributes])
}

/** Null for what does not concern links, addresses and IP routes. Throws NetlinkMessageError for a message that cannot be read. */
export function decodeRouteEvent(message: NetlinkMessage): RouteEvent | null {
  if (message.type === RTM_NEWNEXTHOP || message.type === RTM_DELNEXTHOP) return { kind: 'nexthop' }
  const what = (RTM as Readonly<Record<number, string>>)[message.type]
  if (what === undefined) return null
  const verb = what.startsWith('RTM_NEW') ? 'new' : 'delete'
  if (what.endsWith('LINK')) {
    const link = decodeLink(message.payload, what)
    return link && { kind: 'link', verb, link }
  }
  if (what.endsWith('ADDR')) {
    const address = decodeAddress(message.payload, what)
    return address && { kind: 'address', verb, address }
  }
  const route = decodeRoute(message.payload, what)
  return route && { kind: 'route', verb, how: placeOf(message.flags), route }
}

function placeOf(flags: number): 'replace' | 'append' | 'prepend' {
  if ((flags & NLM_F_MULTI) !== 0 || (flags & NLM_F_APPEND) !== 0) return 'append'
  return (flags & NLM_F_REPLACE) !== 0 ? 'replace' : 'prepend'
}

/** Messages of AF_BRIDGE on the same group are about ports: their RTM_DELLINK means "left the bridge", not "is gone". */
function decodeLink(payload: Uint8Array, what: string): Link | null {
  need(payload, 16, what)
  if (payload[0] !== AF_UNSPEC) return null
  const attributes = readAttributes(payload, 16, what)
  const info = attributes.get(IFLA.LINKINFO)
  return {
    index: indexOf(readI32(payload, 4, what), what),
    name: attributeText(attributes, IFLA.IFNAME) ?? '',
    kind: (info && attributeText(readAttributes(info, 0, `${what} IFLA_LINKINFO`), IFLA_INFO_KIND)) ?? '',
    master: attributeU32(attributes, IFLA.MASTER, what) ?? 0,
    up: (readU32(payload, 8, what) & IFF_UP) !== 0,
    mac: attributes.get(IFLA.ADDRESS) ?? new Uint8Array(0),
    end: endOf(attributes, what),
  }
}

function endOf(attributes: Attributes, what: string): Link['end'] {
  const netns = attributes.get(IFLA.LINK_NETNSID)
  const index = attributeU32(attributes, IFLA.LINK, what)
  return netns === undefined || index === null || index === 0 ? null : { netns: readI32(netns, 0, what), index }
}

function decodeAddress(payload: Uint8Array, what: string): InterfaceAddress | null {
  need(payload, 8, what)
  const family = familyOf(payload)
  if (family === null) return null
  const attributes = readAttributes(payload, 8, what)
  const peer = addressIn(attributes, IFA.ADDRESS, family, what)
  const address = addressIn(attributes, IFA.LOCAL, family, what) ?? peer
  if (address === null) throw new NetlinkMessageError(`${what}: neither IFA_LOCAL nor IFA_ADDRESS is there`)
  const index = indexOf(readI32(payload, 4, what), what)
  return { family, index, address, peer: peer ?? address, prefix: prefixOf(payload[1] as number, family, what), scope: payload[3] as number }
}

function decodeRoute(payload: Uint8Array, what: string): Route | null {
  need(payload, 12, what)
  const family = familyOf(payload)
  // Cloned ones are cached exceptions of a route (path MTU), not routes.
  if (family === null || (readU32(payload, 8, what) & RTM_F_CLONED) !== 0) return null
  const attributes = readAttributes(payload, 12, what)
  const source = attributes.get(RTA.SRC)
  return {
    family,
    destination: addressIn(attributes, RTA.DST, family, what) ?? new Uint8Array(family === 4 ? 4 : 16),
    prefix: prefixOf(payload[1] as number, family, what),
    source: source === undefined ? '' : `${Buffer.from(source).toString('hex')}/${payload[2]}`,
    tos: payload[3] as number,
    table: attributeU32(attributes, RTA.TABLE, what) ?? (payload[4] as number),
    protocol: payload[5] as number,
    scope: payload[6] as number,
    type: payload[7] as number,
    priority: attributeU32(attributes, RTA.PRIORITY, what) ?? 0,
    preferredSource: addressIn(attributes, RTA.PREFSRC, family, what),
    nexthopId: attributeU32(attributes, RTA.NH_ID, what) ?? 0,
    nexthops: nexthopsOf(attributes, readU32(payload, 8, what), what),
  }
}

function nexthopsOf(attributes: Attributes, flags: number, what: string): readonly Nexthop[] {
  const multipath = attributes.get(RTA.MULTIPATH)
  if (multipath === undefined) return [nexthop(attributes, attributeU32(attributes, RTA.OIF, what) ?? 0, flags)]
  const hops: Nexthop[] = []
  let offset = 0
  while (offset < multipath.length) {
    const left = multipath.length - offset
    const length = left < 8 ? left : readU16(multipath, offset, what)
    if (length < 8 || length > left) throw new NetlinkMessageError(`${what} RTA_MULTIPATH: a hop of ${length} bytes where 8 to ${left} are possible`)
    const hop = multipath.subarray(offset, offset + length)
    hops.push(nexthop(readAttributes(hop, 8, `${what} RTA_MULTIPATH`), readI32(hop, 4, what), hop[2] as number))
    offset += (length + 3) & ~3
  }
  return hops
}

function nexthop(attributes: Attributes, oif: number, flags: number): Nexthop {
  return { oif, gateway: attributes.get(RTA.GATEWAY) ?? attributes.get(RTA.VIA) ?? null, dead: (flags & RTNH_F_DEAD) !== 0 }
}

function familyOf(payload: Uint8Array): 4 | 6 | null {
  return payload[0] === AF_INET ? 4 : payload[0] === AF_INET6 ? 6 : null
}

function indexOf(index: number, what: string): number {
  if (index <= 0) throw new NetlinkMessageError(`${what}: interface index ${index} where a positive one was expected`)
  return index
}

function prefixOf(prefix: number, family: 4 | 6, what: string): number {
  const width = family === 4 ? 32 : 128
  if (prefix > width) throw new NetlinkMessageError(`${what}: prefix length ${prefix} where 0 to ${width} are possible`)
  return prefix
}

/** Its bytes; null where it is absent. */
function addressIn(attributes: Attributes, type: number, family: 4 | 6, what: string): Uint8Array | null {
  const bytes = attributes.get(type)
  if (bytes === undefined) return null
  const expected = family === 4 ? 4 : 16
  if (bytes.length !== expected) throw new NetlinkMessageError(`${what}: attribute ${type} is an address of ${bytes.length} bytes where ${expected} were expected`)
  return bytes
}
