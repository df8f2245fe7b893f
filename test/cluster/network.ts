// The cluster's network namespaces: one for the control plane with the bridge that joins all, one a node, one outside host.
//
// **Invariant:** nothing here has a way to the machine's own network: the namespaces are joined to each other only.
import { CONTROL, CONTROL_ADDRESSES, OUTSIDE, OUTSIDE_ADDRESSES, REST, netnsPath, type Addresses, type NodePlace } from './layout.ts'
import { mustRun } from './processes.ts'

const BRIDGE = 'fabric'
const FORWARDING = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']
/** Addresses are used at once: without this an IPv6 one waits for duplicates to answer. */
const NO_DAD = ['net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0']

/** `ip` with several lines at once. */
async function ip(netns: string, lines: readonly string[]): Promise<void> {
  await mustRun({ netns }, ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` })
}

async function setSysctls(netns: string, settings: readonly string[]): Promise<void> {
  await mustRun({ netns }, ['sysctl', '-q', '-w', ...settings])
}

export async function makeNetwork(nodes: readonly NodePlace[]): Promise<void> {
  for (const netns of [CONTROL, OUTSIDE, REST, ...nodes.map((node) => node.netns)]) {
    await mustRun(null, ['ip', 'netns', 'add', netns])
    await setSysctls(netns, NO_DAD)
    await ip(netns, ['link set lo up'])
  }
  await ip(CONTROL, [
    `link add ${BRIDGE} type bridge`,
    `link set ${BRIDGE} up`,
    `addr add ${CONTROL_ADDRESSES[4]}/24 dev ${BRIDGE}`,
    `addr add ${CONTROL_ADDRESSES[6]}/64 dev ${BRIDGE} nodad`,
  ])
  await join(OUTSIDE, 'outside', OUTSIDE_ADDRESSES)
  for (const node of nodes) {
    await join(node.netns, node.name, node.addresses)
    await setSysctls(node.netns, FORWARDING)
    // A connection to a Service's address has to have a way before it is translated. This one ends at the control plane, which forwards nothing.
    await ip(node.netns, [`route add default via ${CONTROL_ADDRESSES[4]}`, `route add default via ${CONTROL_ADDRESSES[6]}`])
  }
}

async function join(netns: string, port: string, addresses: Addresses): Promise<void> {
  await ip(CONTROL, [`link add ${port} type veth peer name eth0 netns ${netnsPath(netns)}`, `link set ${port} master ${BRIDGE} up`])
  await ip(netns, ['link set eth0 up', `addr add ${addresses[4]}/24 dev eth0`, `addr add ${addresses[6]}/64 dev eth0 nodad`])
}

/** What a cloud's routes do: everybody reaches the node's pods through it. */
export async function routePods(to: NodePlace, cidrs: readonly string[], nodes: readonly NodePlace[]): Promise<void> {
  const lines = cidrs.map((cidr) => `route replace ${cidr} via ${to.addresses[cidr.includes(':') ? 6 : 4]}`)
  for (const netns of [CONTROL, OUTSIDE, ...nodes.filter((node) => node !== to).map((node) => node.netns)]) await ip(netns, lines)
}
