// The lab's network as iproute2 lines: an underlay with a bridge, nodes and an outside host on it, pods behind their nodes.
//
// Pods are attached as Calico and the ptp plugin do it (layout-bridge.ts: to a bridge): a veth per pod, host addresses and host routes, a gateway
// (169.254.1.1, and a link-local one) that exists only as a neighbour entry. Neighbours are static wherever they are
// known, and duplicate address detection is off, so that the first packet arrives at once.
// **Invariant:** pure; no line names anything of the machine's own network.
import { shortHash } from '../lib/hash.ts'
import { type Address, bitsOf, type Family, familyOf } from '../model/ip.ts'
import type { IpLine } from './ip-batch.ts'

/** The underlay's ranges. Pods may have any address but these, and 169.254.1.1. */
export const UNDERLAY_V4 = '192.168.61'
export const UNDERLAY_V6 = 'fd00:61:'
const FIRST_NODE = 10
export const MAX_NODES = 180
/** The outside host's place in the underlay. */
export const OUTSIDE = 200

export const POD_GATEWAY_V4 = '169.254.1.1'
export const POD_GATEWAY_V6 = 'fe80::ecee:eeff:feee:eeee'
const POD_GATEWAY_MAC = 'ee:ee:ee:ee:ee:ee'

export const BRIDGE = 'br0'
export const UPLINK = 'uplink'

/** A node or the outside host: where it sits on the underlay. */
export interface UnderlayHost {
  /** 1 to 255. */
  readonly position: number
  readonly netns: string
  /** Its own addresses; those of its position unless told. */
  readonly addresses?: readonly Address[]
}

/** `index` 1 to MAX_NODES. */
export function nodePosition(index: number): number {
  return FIRST_NODE + index
}

/** [IPv4, IPv6]. The IPv6 address shows the same decimal digits: fd00:61::11 beside 192.168.61.11. */
export function underlayAddresses(position: number): readonly [Address, Address] {
  return [`${UNDERLAY_V4}.${position}`, `${UNDERLAY_V6}:${position}`]
}

export function underlayMac(position: number): string {
  return `02:61:00:00:00:${position.toString(16).padStart(2, '0')}`
}

export const run = (text: string, mayFail = false): IpLine => ({ kind: 'run', text, mayFail })

/**
 * Up, without a link-local address of the kernel's making. Two lines: in one, the kernel sets the link up first, and where
 * the other end is up already, makes the address (which is the gateway's own for a pod's veth: `address already assigned`).
 */
export function upLines(link: string): readonly IpLine[] {
  return [run(`link set dev ${link} addrgenmode none`), run(`link set dev ${link} up`)]
}

export function underlayLines(): readonly IpLine[] {
  return [run('link set dev lo up'), run(`link add ${BRIDGE} type bridge stp_state 0 mcast_snooping 0`), run(`link set dev ${BRIDGE} addrgenmode none up`)]
}

/** The host's port on the bridge. */
export function portName(host: UnderlayHost): string {
  return `port-${host.position}`
}

/** Makes the host's uplink; run anywhere. */
export function uplinkLines(host: UnderlayHost, underlay: string): readonly IpLine[] {
  const mac = underlayMac(host.position)
  return [run(`link add ${UPLINK} address ${mac} netns ${host.netns} type veth peer name ${portName(host)} netns ${underlay}`)]
}

/** In the underlay. */
export function portLines(host: UnderlayHost): readonly IpLine[] {
  return [run(`link set dev ${portName(host)} addrgenmode none master ${BRIDGE} up`)]
}

/** In the namespace of a node or of the outside host. `more`: further addresses of its own. */
export function hostLines(host: UnderlayHost, more: readonly Address[]): readonly IpLine[] {
  const [v4, v6] = underlayAddresses(host.position)
  const lines = [
    run('link set dev lo up'),
    ...upLines(UPLINK),
    run(`address add ${v4}/24 dev ${UPLINK}`),
    run(`address add ${v6}/64 dev ${UPLINK} nodad`),
    run(`address add fe80::61:${host.position}/64 dev ${UPLINK} nodad`),
    ...more.map((address) => run(`address add ${address}/${bitsOf(familyOf(address))} dev ${UPLINK}${familyOf(address) === 6 ? ' nodad' : ''}`)),
  ]
  if (host.position === OUTSIDE) return lines
  const [outsideV4, outsideV6] = underlayAddresses(OUTSIDE)
  return [...lines, run(`route add default via ${outsideV4} dev ${UPLINK}`), run(`route add ::/0 via ${outsideV6} dev ${UPLINK}`)]
}

/** In a host's namespace: where another host of the underlay is. */
export function neighbourLines(other: UnderlayHost): readonly IpLine[] {
  const mac = underlayMac(other.position)
  return underlayAddresses(other.position).map((address) => run(`neighbor replace ${address} lladdr ${mac} dev ${UPLINK} nud permanent`))
}

/** A pod's place in the network. */
export interface Attachment {
  readonly netns: string
  /** Unique among the pods that live, 1 to 2^32-1. */
  readonly number: number
  /** Name of the host side. */
  readonly veth: string
  readonly addresses: readonly Address[]
  readonly node: UnderlayHost
}

/** Stable for a pod's key, as with Calico. */
export function vethName(key: string): string {
  return `veth${shortHash(key, 8).toLowerCase()}`
}

/** The pod's number as the last four bytes of a MAC address. */
export function numberBytes(pod: Attachment): string {
  return [24, 16, 8, 0].map((shift) => ((pod.number >>> shift) & 255).toString(16).padStart(2, '0')).join(':')
}

export function podMac(pod: Attachment): string {
  return `02:70:${numberBytes(pod)}`
}

/** Makes the pod's veth; run anywhere. */
export function vethLines(pod: Attachment): readonly IpLine[] {
  return [run(`link add ${pod.veth} address ${POD_GATEWAY_MAC} netns ${pod.node.netns} type veth peer name eth0 address ${podMac(pod)} netns ${pod.netns}`)]
}

/** In the pod's namespace: its links up, and its addresses. */
export function podAddressLines(pod: Attachment): readonly IpLine[] {
  return [
    run('link set dev lo up'),
    ...upLines('eth0'),
    run(`address add fe80::70:${(pod.number >>> 16).toString(16)}:${(pod.number & 0xffff).toString(16)}/64 dev eth0 nodad`),
    ...pod.addresses.map((address) => run(`address add ${address}/${bitsOf(familyOf(address))} dev eth0${familyOf(address) === 6 ? ' nodad' : ''}`)),
  ]
}

/** In the pod's namespace. */
export function podLines(pod: Attachment): readonly IpLine[] {
  const lines = [...podAddressLines(pod)]
  const firstOf = (family: 4 | 6): Address | undefined => pod.addresses.find((address) => familyOf(address) === family)
  const v4 = firstOf(4)
  const v6 = firstOf(6)
  if (v4 !== undefined) {
    lines.push(run(`route add ${POD_GATEWAY_V4} dev eth0 scope link`), run(`route add default via ${POD_GATEWAY_V4} dev eth0 src ${v4}`))
    lines.push(run(`neighbor replace ${POD_GATEWAY_V4} lladdr ${POD_GATEWAY_MAC} dev eth0 nud permanent`))
  }
  if (v6 !== undefined) {
    lines.push(run(`neighbor replace ${POD_GATEWAY_V6} lladdr ${POD_GATEWAY_MAC} dev eth0 nud permanent`))
    lines.push(run(`route add ::/0 via ${POD_GATEWAY_V6} dev eth0 src ${v6}`))
  }
  return lines
}

/** Of a route in the namespace of a node: that it speaks from its own address. */
export function fromOwn(node: UnderlayHost, family: Family): string {
  const source = (node.addresses ?? underlayAddresses(node.position)).find((address) => familyOf(address) === family)
  return source === undefined ? '' : ` src ${source}`
}

/** In the namespace of the pod's node. */
export function attachLines(pod: Attachment): readonly IpLine[] {
  return [
    ...upLines(pod.veth),
    run(`address add ${POD_GATEWAY_V6}/64 dev ${pod.veth} nodad`),
    ...pod.addresses.flatMap((address) => [
      run(`neighbor replace ${address} lladdr ${podMac(pod)} dev ${pod.veth} nud permanent`),
      run(`route replace ${hostRoute(address)} dev ${pod.veth}${familyOf(address) === 4 ? ' scope link' : ''}${fromOwn(pod.node, familyOf(address))}`),
    ]),
  ]
}

/** In the namespace of another node, or of the outside host. */
export function remoteLines(pod: Attachment): readonly IpLine[] {
  return viaNodeLines(pod.node, pod.addresses)
}

/** In the namespace of another node, or of the outside host: that addresses are behind a node. */
export function viaNodeLines(node: UnderlayHost, addresses: readonly Address[]): readonly IpLine[] {
  const [nodeV4, nodeV6] = underlayAddresses(node.position)
  return addresses.map((address) => run(`route replace ${hostRoute(address)} via ${familyOf(address) === 4 ? nodeV4 : nodeV6} dev ${UPLINK}`))
}

/** In the namespace of another node, or of the outside host: for those of a removed pod's addresses that nobody else took over. */
export function forgetLines(addresses: readonly Address[]): readonly IpLine[] {
  return addresses.map((address) => run(`route delete ${hostRoute(address)} dev ${UPLINK}`, true))
}

export function hostRoute(address: Address): string {
  return `${address}/${bitsOf(familyOf(address))}`
}

const QUIET: readonly (readonly [string, string])[] = [
  ['net/ipv4/conf/all/rp_filter', '0'],
  ['net/ipv4/conf/default/rp_filter', '0'],
  ['net/ipv6/conf/all/accept_dad', '0'],
  ['net/ipv6/conf/default/accept_dad', '0'],
  ['net/ipv6/conf/all/accept_ra', '0'],
  ['net/ipv6/conf/default/accept_ra', '0'],
  // No kind of ICMP error is limited (255 is none): a reject rule, or a closed port, answers every one of a hundred probes.
  ['net/ipv4/icmp_ratemask', '0'],
  ['net/ipv6/icmp/ratemask', '255'],
]

/** For pods and the outside host: hosts that route nothing. */
export const HOST_SYSCTLS = QUIET

/** A router. */
export const NODE_SYSCTLS: readonly (readonly [string, string])[] = [
  ...QUIET,
  ['net/ipv4/ip_forward', '1'],
  ['net/ipv6/conf/all/forwarding', '1'],
  ['net/ipv6/conf/default/forwarding', '1'],
  ['net/ipv4/conf/uplink/rp_filter', '0'],
]
