// Who is who in a scenario: which host has which of its addresses, and what it serves there.
//
// Scenario -> hosts, each a network namespace: this node, its pods, all endpoints of other nodes in one, the clients from outside in
// another; and one that has whatever else is sent to, so that a packet that keeps its destination is answered, too.
// **Invariant:** pure; every address has one owner, and every flow a client.
import { type Address, contains, type Family, FAMILIES, familyOf, parseCidr, toBits, type Cidr } from '../model/ip.ts'
import { PROTOCOLS } from '../model/objects.ts'
import type { ServedPort } from './messages.ts'
import type { Scenario } from './service-case-types.ts'

export type HostRole = 'node' | 'pod' | 'remote' | 'outside' | 'beyond'

export interface WorldHost {
  readonly role: HostRole
  /** Unique: of a pod its `namespace/name`, else the role. */
  readonly key: string
  readonly addresses: readonly Address[]
  readonly ports: readonly ServedPort[]
}

export interface ServiceWorld {
  /** The node first, loopback addresses that flows use among its own. */
  readonly hosts: readonly WorldHost[]
  readonly owners: ReadonlyMap<Address, WorldHost>
}

/** Where this node and the host beyond it answer control probes. */
export const CONTROL_PORT = 7061
/** The control address of the host beyond; of the ranges for benchmarks, and of a private one. */
export const BEYOND: Readonly<Record<Family, Address>> = { 4: '198.18.0.254', 6: 'fd00:18::254' }

const cidrs = (...texts: readonly string[]): readonly Cidr[] => texts.map((text) => parseCidr(text) as Cidr)
/** What no host can have as its own. */
const NOBODYS = cidrs('0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/127', 'fe80::/10', 'ff00::/8')
const LOOPBACK = cidrs('127.0.0.0/8', '::1/128')

interface Draft {
  readonly role: HostRole
  readonly key: string
  readonly addresses: Address[]
  readonly ports: Map<string, ServedPort>
}

export function worldOfScenario({ env, slices, flows }: Scenario): ServiceWorld {
  const owners = new Map<Address, Draft>()
  const draft = (role: HostRole, key: string): Draft => ({ role, key, addresses: [], ports: new Map() })
  const [node, remote, outside, beyond] = [draft('node', 'node'), draft('remote', 'remote'), draft('outside', 'outside'), draft('beyond', 'beyond')]
  const pods: Draft[] = []
  const own = (address: Address, owner: () => Draft): void => {
    if (owners.has(address) || isIn(address, NOBODYS)) return
    const host = owner()
    host.addresses.push(address)
    owners.set(address, host)
  }
  const newPod = (namespace: string, name: string): Draft => {
    const pod = draft('pod', `${namespace}/${name}-${pods.length + 1}`)
    pods.push(pod)
    return pod
  }
  for (const address of env.nodeIps) own(address, () => node)
  for (const { namespace, endpoints } of slices) {
    for (const { address, node: on } of endpoints) own(address, () => (on === env.nodeName ? newPod(namespace, 'endpoint') : remote))
  }
  // Only the node itself is of use there.
  for (const address of flows.flatMap(({ source, destination }) => [source, destination]).filter(isLoopback)) {
    if (owners.has(address)) continue
    node.addresses.push(address)
    owners.set(address, node)
  }
  for (const { source } of flows) own(source, () => (isIn(source, env.podCidrs) ? newPod('clients', 'client') : outside))
  for (const family of FAMILIES) own(BEYOND[family], () => beyond)
  for (const { destination } of flows) own(destination, () => beyond)

  const serve = (address: Address, port: ServedPort): void => {
    owners.get(address)?.ports.set(`${port.protocol} ${port.port}`, { protocol: port.protocol, port: port.port })
  }
  for (const { endpoints, ports } of slices) for (const { address } of endpoints) for (const port of ports) serve(address, port)
  // Also what is not translated is answered: silence and a refusal are the node's doing then.
  for (const { destination, protocol, port } of flows) serve(destination, { protocol, port })
  for (const address of [...env.nodeIps, ...FAMILIES.map((family) => BEYOND[family])]) for (const protocol of PROTOCOLS) serve(address, { protocol, port: CONTROL_PORT })

  const hosts = [node, ...pods, remote, outside, beyond].map(({ role, key, addresses, ports }): WorldHost => ({ role, key, addresses, ports: [...ports.values()] }))
  const byKey = new Map(hosts.map((host) => [host.key, host]))
  return { hosts, owners: new Map([...owners].map(([address, { key }]) => [address, byKey.get(key) as WorldHost])) }
}

/** Who sends a flow: the owner of its source. What nobody can have as a source is the node's, and cannot be sent. */
export function clientOf({ hosts, owners }: ServiceWorld, source: Address): WorldHost {
  return owners.get(source) ?? (hosts[0] as WorldHost)
}

/** Every host has those, without being told. */
export function isLoopback(address: Address): boolean {
  return isIn(address, LOOPBACK)
}

function isIn(address: Address, networks: readonly Cidr[]): boolean {
  const bits = toBits(address)
  return networks.some((network) => network.family === familyOf(address) && contains(network, bits))
}
