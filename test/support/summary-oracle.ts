// What a policy's status should say, worked out anew from lists of everything: the second opinion on src/summary/.
//
// Its own matching of labels and its own arithmetic of addresses; types come from src/, code does not.
// **Invariant:** knows no steps and remembers nothing: a function of the cluster as it is.
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import type { LabelSelector, Labels } from '../../src/model/labels.ts'
import type { Namespace, Node, Pod } from '../../src/model/objects.ts'
import type { Policy, PolicyPort, PolicyRule } from '../../src/model/policy.ts'
import type { PodSelector } from '../../src/model/selector.ts'
import type { Service } from '../../src/model/service.ts'
import type { DnsService } from '../../src/summary/dns.ts'
import { cidrHolds } from './oracle-address.ts'

export interface OracleCluster {
  readonly pods: readonly Pod[]
  readonly namespaces: readonly Namespace[]
  readonly nodes: readonly Node[]
  readonly services: readonly Service[]
  readonly policies: readonly Policy[]
  readonly dns: readonly DnsService[]
  /** By the name of the NodeEnforcement. */
  readonly reports: ReadonlyMap<string, { readonly owner: string | null; readonly status: NodeEnforcementStatus }>
  readonly alive: ReadonlySet<string>
  /** By UID of the policy. */
  readonly firstSeen: ReadonlyMap<string, { readonly generation: number; readonly resourceVersion: bigint }>
}

export interface Expected {
  readonly nodes: Readonly<Record<'desired' | 'programmed' | 'pending' | 'failed' | 'stale', number>>
  readonly failed: readonly string[]
  readonly programmed: string
  readonly selectedPods: number
  readonly peers: { readonly ingress: number; readonly egress: number }
  readonly warnings: readonly string[]
}

export function expectedOf(policy: Policy, cluster: OracleCluster): Expected {
  const selected = cluster.pods.filter((pod) => isOnPodNetwork(pod) && pod.namespace === policy.namespace && matches(policy.pods, pod.labels))
  const names = [...new Set(selected.flatMap((pod) => pod.node ?? []))].sort()
  const states = names.map((name) => [name, stateOf(name, policy, cluster)] as const)
  const count = (state: string): number => states.filter(([, one]) => one === state).length
  const nodes = { desired: names.length, programmed: count('programmed'), pending: count('pending'), failed: count('failed'), stale: count('stale') }
  const programmed = nodes.failed > 0 ? 'False/NodeFailures' : nodes.pending > 0 ? 'False/Reconciling' : nodes.stale > 0 ? 'Unknown/NoReport' : 'True/Programmed'
  const peersOf = (rules: readonly PolicyRule[]): number => new Set(selectorsOf(rules).flatMap((selector) => members(selector, cluster).map(({ uid }) => uid))).size
  return {
    nodes,
    failed: states.flatMap(([name, state]) => (state === 'failed' ? [name] : [])),
    programmed,
    selectedPods: selected.length,
    peers: { ingress: peersOf(policy.ingress), egress: peersOf(policy.egress) },
    warnings: warnings(policy, selected, cluster).sort(),
  }
}

function stateOf(name: string, policy: Policy, cluster: OracleCluster): string {
  const report = cluster.reports.get(name)
  const isOwned = cluster.nodes.some((node) => node.name === name && node.uid === report?.owner)
  if (report === undefined || !isOwned || !cluster.alive.has(name)) return 'stale'
  const { failures = [], failuresTotal = 0, observedResourceVersions = {}, committed = [] } = report.status
  const isMeant = failures.some(({ ref }) => ref.kind === 'NetworkPolicy' && (ref.uid === undefined ? ref.namespace === policy.namespace && ref.name === policy.name : ref.uid === policy.uid))
  if (isMeant) return 'failed'
  if (failuresTotal > failures.length) return 'pending'
  const first = cluster.firstSeen.get(policy.uid)
  const observed = observedResourceVersions['networkpolicies']
  if (first === undefined) return 'pending'
  if (committed.some(({ uid, generation }) => uid === policy.uid && generation === first.generation)) return 'programmed'
  return observed !== undefined && first.resourceVersion <= BigInt(observed) ? 'programmed' : 'pending'
}

function warnings(policy: Policy, selected: readonly Pod[], cluster: OracleCluster): string[] {
  const { pods, services, nodes } = cluster
  const rules = [...policy.ingress, ...policy.egress]
  const blocks = rules.flatMap(({ peers }) => (peers === 'all' ? [] : peers.flatMap((peer) => (peer.kind === 'ipBlock' ? [peer] : []))))
  const serviceAddresses = services.flatMap(({ clusterIps }) => clusterIps)
  const others = [...pods, ...nodes].flatMap(({ addresses }) => addresses)
  const isSurprising = ({ cidr, except }: (typeof blocks)[number]): boolean => {
    const holds = (address: string): boolean => cidrHolds(cidr.text, address) === true && !except.some((one) => cidrHolds(one.text, address) === true)
    return serviceAddresses.some(holds) && !others.some(holds)
  }
  const onNodes = pods.some((pod) => pod.hostNetwork && !pod.finished && pod.namespace === policy.namespace && matches(policy.pods, pod.labels))
  return [
    ...(selected.length === 0 ? ['SelectsNoPods'] : []),
    ...(policy.isolates.egress && isDnsBlocked(selected, cluster) ? ['DNSEgressBlocked'] : []),
    ...(hasUnknownPort(policy, selected, cluster) ? ['NamedPortUnresolved'] : []),
    ...(blocks.some(isSurprising) ? ['ServiceAddressInIPBlock'] : []),
    ...(onNodes ? ['HostNetworkPodSelected'] : []),
    ...(selectorsOf(rules).some((selector) => members(selector, cluster).length === 0) ? ['EmptyPeer'] : []),
  ]
}

function hasUnknownPort(policy: Policy, selected: readonly Pod[], cluster: OracleCluster): boolean {
  const isUnknown = (port: PolicyPort, concerned: readonly Pod[], isOfPods: boolean): boolean =>
    port.kind === 'named' && (concerned.length > 0 || !isOfPods) && !concerned.some((pod) => pod.ports.some(({ name, protocol }) => name === port.name && protocol === port.protocol))
  const ingress = policy.ingress.some(({ ports }) => ports !== 'all' && ports.some((port) => isUnknown(port, selected, true)))
  const egress = policy.egress.some((rule) => {
    const selectors = selectorsOf([rule])
    const concerned = rule.peers === 'all' ? cluster.pods.filter((pod) => isOnPodNetwork(pod) && cluster.namespaces.some(({ name }) => name === pod.namespace)) : selectors.flatMap((selector) => members(selector, cluster))
    return rule.ports !== 'all' && rule.ports.some((port) => isUnknown(port, concerned, rule.peers === 'all' || selectors.length > 0))
  })
  return ingress || egress
}

/** Whether one of the pods may not ask any DNS pod. */
function isDnsBlocked(selected: readonly Pod[], cluster: OracleCluster): boolean {
  const ends = cluster.dns.flatMap(({ namespace, selector, targets }) => {
    const behind = cluster.pods.filter((pod) => !pod.finished && pod.namespace === namespace && [...selector].every(([key, value]) => pod.labels.get(key) === value))
    return behind.map((pod) => ({ pod, ports: targets.flatMap(({ protocol, port }) => pod.ports.filter((one) => one.name === port && one.protocol === protocol).map((one) => ({ protocol, number: one.port })).concat(typeof port === 'number' ? [{ protocol, number: port }] : [])) }))
  })
  if (ends.length === 0) return false
  const isWay = (rule: PolicyRule, end: (typeof ends)[number]): boolean => {
    const isPeer = rule.peers === 'all' || rule.peers.some((peer) => (peer.kind === 'pods' ? members(peer.selector, cluster).includes(end.pod) : end.pod.addresses.some((address) => cidrHolds(peer.cidr.text, address) === true && !peer.except.some((one) => cidrHolds(one.text, address) === true))))
    return isPeer && end.ports.some(({ protocol, number }) => rule.ports === 'all' || rule.ports.some((port) => port.protocol === protocol && isNumber(port, end.pod, number)))
  }
  return selected.some((pod) => {
    if (ends.some((end) => end.pod === pod)) return false
    const isolating = cluster.policies.filter((one) => one.isolates.egress && one.namespace === pod.namespace && matches(one.pods, pod.labels))
    return !isolating.some((one) => one.egress.some((rule) => ends.some((end) => isWay(rule, end))))
  })
}

function isNumber(port: PolicyPort, pod: Pod, number: number): boolean {
  if (port.kind === 'protocol') return true
  if (port.kind === 'range') return number >= port.first && number <= port.last
  return pod.ports.find(({ name, protocol }) => name === port.name && protocol === port.protocol)?.port === number
}

function selectorsOf(rules: readonly PolicyRule[]): readonly PodSelector[] {
  return rules.flatMap(({ peers }) => (peers === 'all' ? [] : peers.flatMap((peer) => (peer.kind === 'pods' ? [peer.selector] : []))))
}

function members({ namespaces, pods }: PodSelector, cluster: OracleCluster): readonly Pod[] {
  return cluster.pods.filter((pod) => {
    if (!isOnPodNetwork(pod) || !matches(pods, pod.labels)) return false
    if (namespaces.kind === 'named') return pod.namespace === namespaces.name
    const found = cluster.namespaces.find(({ name }) => name === pod.namespace)
    return found !== undefined && matches(namespaces.selector, found.labels)
  })
}

function isOnPodNetwork(pod: Pod): boolean {
  return !pod.hostNetwork && !pod.finished
}

function matches({ requirements }: LabelSelector, labels: Labels): boolean {
  for (const { key, operator, values } of requirements) {
    const isThere = labels.has(key)
    const isAmong = isThere && values.includes(labels.get(key) as string)
    if (operator === 'In' && !isAmong) return false
    if (operator === 'NotIn' && isAmong) return false
    if (operator === 'Exists' && !isThere) return false
    if (operator === 'DoesNotExist' && isThere) return false
  }
  return true
}
