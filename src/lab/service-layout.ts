// The network of a scenario as iproute2 lines: this node with exactly its addresses, and every way of the others through it.
//
// One underlay as in layout.ts, but nobody has an address there beside its own: gateways are neighbour entries. Whoever is not a
// pod of the node sends everything to the node, so that an answer to a translated packet comes back the way it went.
// **Invariant:** pure; a packet from any host to an address of any other passes the node, but for those of one host among each other.
import { type Address, bitsOf, familyOf } from '../model/ip.ts'
import type { IpLine } from './ip-batch.ts'
import { HOST_SYSCTLS, hostRoute, NODE_SYSCTLS, run, UPLINK, underlayMac, upLines } from './layout.ts'
import { BRIDGE_SYSCTLS, POD_BRIDGE } from './layout-bridge.ts'
import { type HostRole, isLoopback, type WorldHost } from './service-world.ts'

/** On the underlay; pods are none of it. */
export const POSITIONS: Readonly<Record<Exclude<HostRole, 'pod'>, number>> = { node: 11, remote: 12, outside: 200, beyond: 201 }
export type UnderlayRole = keyof typeof POSITIONS
export const UNDERLAY_ROLES = Object.keys(POSITIONS) as readonly UnderlayRole[]

function gateway(role: UnderlayRole, family: 4 | 6): Address {
  return family === 4 ? `169.254.61.${POSITIONS[role]}` : `fe80::61:${POSITIONS[role]}`
}

/** A default route, or one to an address. */
function via(to: Address | 'default', role: UnderlayRole, family: 4 | 6): IpLine {
  const target = to === 'default' ? (family === 4 ? 'default' : '::/0') : hostRoute(to)
  return run(`route replace ${target} via ${gateway(role, family)} dev ${UPLINK}${family === 4 ? ' onlink' : ''}`)
}

/** In the namespace of a host of the underlay, once it has its uplink. `others`: of the underlay, for the node's routes. */
export function scenarioHostLines(role: UnderlayRole, addresses: readonly Address[], others: readonly WorldHost[]): readonly IpLine[] {
  const neighbours = UNDERLAY_ROLES.filter((other) => other !== role).flatMap((other) =>
    ([4, 6] as const).map((family) => run(`neighbor replace ${gateway(other, family)} lladdr ${underlayMac(POSITIONS[other])} dev ${UPLINK} nud permanent`)))
  return [
    run('link set dev lo up'),
    ...upLines(UPLINK),
    ...addresses.filter((address) => !isLoopback(address)).map((address) => run(`address add ${address}/${bitsOf(familyOf(address))} dev ${UPLINK}${familyOf(address) === 6 ? ' nodad' : ''}`)),
    run(`address add ${gateway(role, 6)}/64 dev ${UPLINK} nodad`),
    ...neighbours,
    ...(role === 'node' ? nodeRoutes(others) : ([4, 6] as const).map((family) => via('default', 'node', family))),
  ]
}

/** To the endpoints of other nodes, and to the clients; everything else goes beyond. */
function nodeRoutes(others: readonly WorldHost[]): readonly IpLine[] {
  const routes = others.flatMap(({ role, addresses }) => (role === 'remote' || role === 'outside' ? addresses.map((address) => via(address, role, familyOf(address))) : []))
  return [...([4, 6] as const).map((family) => via('default', 'beyond', family)), ...routes]
}

/**
 * What enters and leaves by one uplink would be answered with redirects, after which clients passed the node by: IPv4 does not
 * send them, IPv6 does not follow them.
 */
export const SCENARIO_SYSCTLS: Readonly<Record<HostRole, readonly (readonly [string, string])[]>> = {
  node: [...NODE_SYSCTLS, ...['all', 'default', UPLINK].map((link) => [`net/ipv4/conf/${link}/send_redirects`, '0'] as const)],
  pod: [...HOST_SYSCTLS, ['net/ipv6/conf/eth0/accept_redirects', '0']],
  remote: [...HOST_SYSCTLS, [`net/ipv6/conf/${UPLINK}/accept_redirects`, '0']],
  outside: [...HOST_SYSCTLS, [`net/ipv6/conf/${UPLINK}/accept_redirects`, '0']],
  beyond: [...HOST_SYSCTLS, [`net/ipv6/conf/${UPLINK}/accept_redirects`, '0']],
}

/** Of a node whose pods are on its bridge, beside its own. */
export const SCENARIO_BRIDGE_SYSCTLS: readonly (readonly [string, string])[] = [...BRIDGE_SYSCTLS, [`net/ipv4/conf/${POD_BRIDGE}/send_redirects`, '0']]
