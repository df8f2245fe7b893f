// Local pods and the node's interfaces: which interface leads to which pod, and which interfaces nobody knows.
//
// An interface is a pod's if it is of a pod's kind, belongs to no bridge, holds no address of the Node and carries no
// route but host routes; it is that pod's whose address it has a host route to. A pod without one is found by its address
// where a bridge of the node leads there: through a route or network of the bridge, or the port behind which it is.
// **Invariant:** an uplink, a tunnel or a bridge is never taken for a pod's interface, known or unknown.
import { contains, familyOf, toBits, type Address } from '../model/ip.ts'
import type { HostInterface, Pod } from '../model/objects.ts'
import type { InterfaceTable, WorkCount } from '../store/snapshot.ts'
import type { BridgePort, HostKey, PortBehind } from './plan.ts'

export interface PodInterfaces {
  /** Addresses of this node's Node object. */
  readonly nodeAddresses: ReadonlySet<Address>
  /** Names (`cali*`) that are a pod's besides interfaces of kind veth. */
  readonly patterns: readonly string[]
  readonly podAttachment: PodAttachment
  /** The node's bridges. */
  readonly bridges: ReadonlyMap<number, HostInterface>
}

/** What leads to a pod: `auto` is by interface where one has a host route to it, else by address where a bridge leads there. */
export type PodAttachment = 'auto' | 'interface' | 'address'

/** `*` at the end of a pattern stands for any rest. */
export function nameMatches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

/** Of a kind that pods have: a veth, or a name that the config says. */
export function isPodKind(link: HostInterface, patterns: readonly string[]): boolean {
  return link.kind === 'veth' || patterns.some((p) => nameMatches(p, link.name))
}

/**
 * nft reads `*` as a wildcard, and quotes, backslashes and control characters cannot be written; U+FFFD stands for bytes
 * that are no UTF-8. Nothing is opened on such an interface: it stays unknown.
 */
export function isWritable(name: string): boolean {
  return /^[^"*\\\s\u0000-\u001f\u007f\ufffd]{1,15}$/.test(name)
}

/** What an unknown pod's interface looks like. With `wide`, routes behind it are no objection (pods with source prefixes). */
export function looksLikePod(link: HostInterface, rules: PodInterfaces, wide = false): boolean {
  if (!isPodKind(link, rules.patterns) || link.master !== 0) return false
  if (link.hasWiderRoutes && !wide) return false
  return !link.addresses.some((address) => rules.nodeAddresses.has(address))
}

export interface Found {
  readonly by: readonly HostKey[]
  /** Indexes of the interfaces that are its own from now on. */
  readonly links: ReadonlySet<number>
  /** Addresses of the pod that neither an interface of a pod's kind nor a bridge leads to. */
  readonly missing: readonly Address[]
}

/**
 * Where the pod's addresses lead. Two interfaces with a route to one address both count: both carry its packets. A pod that is
 * terminating gets none that it did not have before (`had`): what is behind a new one is its address's next owner (decisions/0011).
 */
export function findInterfaces(pod: Pod, had: ReadonlySet<number>, interfaces: InterfaceTable, rules: PodInterfaces, work: WorkCount): Found {
  const by: HostKey[] = []
  const links = new Set<number>()
  const keeps = pod.terminating && had.size > 0
  const missing: Address[] = []
  for (const address of pod.quarantined ?? pod.addresses) {
    const routes = rules.podAttachment === 'address' ? [] : withHostRoute(pod, address, interfaces, rules, work)
    const own = keeps ? routes.filter(({ index }) => had.has(index)) : routes
    for (const { index } of own) links.add(index)
    const found: HostKey[] = own.map(({ name }) => Object.freeze({ via: 'interface', interface: name, address }))
    if (found.length === 0 && rules.podAttachment !== 'interface') {
      const port = portOf(address, interfaces, rules, work)
      if (port !== null || rules.podAttachment === 'address' || isOnBridge(address, interfaces, rules, work)) found.push(Object.freeze({ via: 'address', address, port }))
    }
    by.push(...found)
    if (found.length === 0) missing.push(address)
  }
  // Of one that was never seen in good order nothing is known: another's interface may be what led to its address first.
  const left = pod.terminating || links.size === 0 ? had : links
  // By interface, a pod in quarantine is an unknown one; by address it must be known to be closed.
  return pod.quarantined === undefined ? { by, links: left, missing } : { by: by.filter((key) => key.via === 'address'), links: left, missing: [] }
}

function withHostRoute(pod: Pod, address: Address, interfaces: InterfaceTable, rules: PodInterfaces, work: WorkCount): HostInterface[] {
  const found: HostInterface[] = []
  for (const link of interfaces.where('hostRoute', address)) {
    work.rows++
    if (isWritable(link.name) && looksLikePod(link, rules, pod.sourcePrefixes.length > 0)) found.push(link)
  }
  return found
}

/** The port behind which the address is, and its bridge. */
function portOf(address: Address, interfaces: InterfaceTable, rules: PodInterfaces, work: WorkCount): BridgePort | null {
  for (const link of interfaces.where('behind', address)) {
    work.rows++
    const port = portBehind(link, rules.bridges)
    if (port !== null) return Object.freeze({ index: port.index, name: port.name, mac: port.mac, bridge: port.bridge })
  }
  return null
}

/** Null where the link is no port of a bridge of this node, or nothing is known to be behind it. */
export function portBehind({ index, name, master, behind }: HostInterface, bridges: ReadonlyMap<number, HostInterface>): PortBehind | null {
  const bridge = bridges.get(master)?.name
  if (behind === null || bridge === undefined || !isWritable(bridge) || !isWritable(name)) return null
  return Object.freeze({ index, name, mac: behind.mac, bridge, addresses: behind.addresses })
}

function isOnBridge(address: Address, interfaces: InterfaceTable, rules: PodInterfaces, work: WorkCount): boolean {
  for (const link of interfaces.where('hostRoute', address)) if (rules.bridges.has(link.index)) return true
  const family = familyOf(address)
  const bits = toBits(address)
  return [...rules.bridges.values()].some(({ networks }) => {
    work.rows++
    return networks.some((network) => network.family === family && contains(network, bits))
  })
}
