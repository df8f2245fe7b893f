// The objects of a scenario, as its node's agent reads them: Services and slices as written, and the nodes and pods behind them.
//
// (Scenario, world) -> files, one object each; and the flags of the agent. **Invariant:** every endpoint in the pods' range has a Pod,
// and every client there.
import { contains, familyOf, toBits, type Address } from '../model/ip.ts'
import { labUid, namespaceText, nodeText, podText, text } from './kube-objects.ts'
import type { Scenario } from './service-case-types.ts'
import type { ServiceWorld } from './service-world.ts'

/** Where pods of the scenario run whose slice does not say where. */
const SOME_NODE = 'another-node'

/** Path within the agent's folder -> text. */
export function scenarioFiles({ env, services, slices }: Scenario, { hosts, owners }: ServiceWorld, createdAt: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  let serial = 0
  const add = (kind: string, make: (uid: string) => string): void => {
    serial += 1
    files.set(`${kind}/${serial}.json`, make(labUid(serial)))
  }
  const nodeOf = new Map<Address, string>()
  for (const { endpoints } of slices) for (const { address, node } of endpoints) if (!nodeOf.has(address)) nodeOf.set(address, node ?? SOME_NODE)
  const pods = hosts.filter(({ role }) => role === 'pod').map(({ key, addresses, ports }) => ({ key, addresses, ports, node: env.nodeName }))
  const remote = hosts.find(({ role }) => role === 'remote')
  const inRange = (address: Address): boolean => env.podCidrs.some((cidr) => cidr.family === familyOf(address) && contains(cidr, toBits(address)))
  const far = (remote?.addresses ?? []).filter(inRange).map((address, index) => ({ key: `elsewhere/endpoint-${index + 1}`, addresses: [address], ports: remote?.ports ?? [], node: nodeOf.get(address) ?? SOME_NODE }))

  add('nodes', (uid) => nodeText(env.nodeName, uid, env.nodeIps, env.podCidrs, createdAt, env.zone))
  for (const name of new Set(far.map(({ node }) => node))) if (name !== env.nodeName) add('nodes', (uid) => nodeText(name, uid, [], [], createdAt))
  const namespaces = new Set([...services, ...slices].map(({ namespace }) => namespace).concat([...pods, ...far].map(({ key }) => key.split('/')[0] as string)))
  for (const name of namespaces) add('namespaces', (uid) => namespaceText(name, uid, new Map([['kubernetes.io/metadata.name', name]]), createdAt))
  for (const { key, addresses, ports, node } of [...pods, ...far]) {
    const [namespace, name] = key.split('/') as [string, string]
    const served = ports.map(({ protocol, port }) => ({ name: null, protocol, port }))
    add('pods', (uid) => podText({ uid, namespace, name, labels: new Map(), node, addresses: addresses.filter((one) => owners.has(one)), ports: served, createdAt }))
  }
  for (const { object } of [...services, ...slices]) {
    add('services', (uid) => text({ ...object, metadata: { uid, creationTimestamp: createdAt, ...(object['metadata'] as object) } }))
  }
  return files
}

/** What the agent is told beside its folder. */
export function scenarioFlags({ env }: Scenario): readonly string[] {
  return [
    ...['--service-proxy', 'picket'],
    ...(env.nodePortAddresses === null ? [] : ['--node-port-addresses', env.nodePortAddresses.join(',')]),
    ...(env.serviceCidrs.length === 0 ? [] : ['--service-cidrs', env.serviceCidrs.map((cidr) => cidr.text).join(',')]),
    ...(env.masqueradeAll ? ['--masquerade-all', 'true'] : []),
  ]
}
