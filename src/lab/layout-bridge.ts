// How pods are attached to a node's bridge, as the `bridge` CNI plugin does it, as iproute2 lines.
//
// Each node has a bridge `cni0` that holds the pods' gateway addresses, and each pod's host side is a port of it. Pods may
// have any addresses, so there is no subnet: a pod has a route on the link to each other pod of its node, and reaches
// everything else by way of the gateway. ARP and neighbour discovery are real: nothing here makes a permanent neighbour.
// **Invariant:** pure; what other hosts of the underlay hold about a pod is the same as in layout.ts.
import { type Address, familyOf } from '../model/ip.ts'
import type { IpLine } from './ip-batch.ts'
import { type Attachment, fromOwn, hostRoute, numberBytes, podAddressLines, POD_GATEWAY_V4, POD_GATEWAY_V6, podMac, run, type UnderlayHost, upLines } from './layout.ts'

export const POD_BRIDGE = 'cni0'

/** In a node's namespace. The IPv4 gateway address has the scope of the link: the node never speaks from it by itself. */
export function podBridgeLines(node: UnderlayHost): readonly IpLine[] {
  const mac = `02:62:00:00:00:${node.position.toString(16).padStart(2, '0')}`
  return [
    run(`link add ${POD_BRIDGE} address ${mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`),
    ...upLines(POD_BRIDGE),
    run(`address add ${POD_GATEWAY_V4}/32 dev ${POD_BRIDGE} scope link`),
    run(`address add ${POD_GATEWAY_V6}/64 dev ${POD_BRIDGE} nodad`),
  ]
}

/** Makes the pod's veth; run anywhere. */
export function portVethLines(pod: Attachment): readonly IpLine[] {
  return [run(`link add ${pod.veth} address 02:71:${numberBytes(pod)} netns ${pod.node.netns} type veth peer name eth0 address ${podMac(pod)} netns ${pod.netns}`)]
}

/** In the pod's namespace. */
export function bridgedPodLines(pod: Attachment): readonly IpLine[] {
  const v4 = firstOf(pod, 4)
  const v6 = firstOf(pod, 6)
  return [
    ...podAddressLines(pod),
    ...(v4 === undefined ? [] : [run(`route add ${POD_GATEWAY_V4} dev eth0 scope link`), run(`route add default via ${POD_GATEWAY_V4} dev eth0 src ${v4}`)]),
    ...(v6 === undefined ? [] : [run(`route add ::/0 via ${POD_GATEWAY_V6} dev eth0 src ${v6}`)]),
  ]
}

/**
 * In the namespace of the pod's node. Who had an address before may have had another MAC address. (Flushed, as elsewhere:
 * `neighbor delete` ends the whole batch where there is none.)
 */
export function bridgedAttachLines(pod: Attachment): readonly IpLine[] {
  return [
    run(`link set dev ${pod.veth} addrgenmode none master ${POD_BRIDGE}`),
    run(`link set dev ${pod.veth} up`),
    ...pod.addresses.flatMap((address) => [
      run(`neighbor flush to ${address} dev ${POD_BRIDGE}`),
      run(`route replace ${hostRoute(address)} dev ${POD_BRIDGE}${familyOf(address) === 4 ? ' scope link' : ''}${fromOwn(pod.node, familyOf(address))}`),
    ]),
  ]
}

/** In the namespace of the pod's node: for those of a removed pod's addresses that nobody else took over. */
export function bridgedForgetLines(addresses: readonly Address[]): readonly IpLine[] {
  return addresses.flatMap((address) => [run(`route delete ${hostRoute(address)} dev ${POD_BRIDGE}`, true), run(`neighbor flush to ${address} dev ${POD_BRIDGE}`)])
}

/** In the namespace of `pod`: that `addresses`, of another pod of its node, are on the link. */
export function peerLines(pod: Attachment, addresses: readonly Address[]): readonly IpLine[] {
  return addresses.flatMap((address) => {
    const own = firstOf(pod, familyOf(address))
    if (own === undefined) return []
    return [
      run(`neighbor flush to ${address} dev eth0`),
      run(`route replace ${hostRoute(address)} dev eth0${familyOf(address) === 4 ? ' scope link' : ''} src ${own}`),
    ]
  })
}

/** In the namespace of a pod: addresses that are on its link no more. */
export function forgetPeerLines(addresses: readonly Address[]): readonly IpLine[] {
  return addresses.flatMap((address) => [run(`route delete ${hostRoute(address)} dev eth0`, true), run(`neighbor flush to ${address} dev eth0`)])
}

/** What a node needs beside NODE_SYSCTLS: frames that the bridge forwards pass the hooks of IP, as kube-proxy wants it. */
export const BRIDGE_SYSCTLS: readonly (readonly [string, string])[] = [
  ['net/bridge/bridge-nf-call-iptables', '1'],
  ['net/bridge/bridge-nf-call-ip6tables', '1'],
  [`net/ipv4/conf/${POD_BRIDGE}/rp_filter`, '0'],
]

function firstOf(pod: Attachment, family: 4 | 6): Address | undefined {
  return pod.addresses.find((address) => familyOf(address) === family)
}
