// The oracle: raw Kubernetes objects and a packet -> what NetworkPolicy says of it, sentence by sentence.
//
// Slow and plain on purpose: it asks every question anew for every packet. The sentences in quotes are those of the
// Kubernetes documentation and of the API types; numbers are the rules of semantics.md.
// **Invariant:** takes types from src/model and nothing else from src/; a test checks its imports.
import type { Address } from '../../src/model/ip.ts'
import type { Protocol } from '../../src/model/objects.ts'
import type { Direction } from '../../src/model/policy.ts'
import type { RawCluster, RawNamespace, RawNode, RawPeer, RawPod, RawPolicy, RawPort, RawRule, RawSelector } from './manifests.ts'
import { objectsOf } from './manifests.ts'
import { cidrHolds, sameAddress } from './oracle-address.ts'

export interface OraclePacket {
  readonly source: Address
  readonly destination: Address
  /** TCP, UDP and SCTP have ports; every other IP protocol has none (rule 88). */
  readonly protocol: Protocol | 'ICMP' | 'GRE'
  /** Destination port (rule 44); null where the protocol has none. */
  readonly port: number | null
}

/** What one stage says. 'not judged': no pod of that side, or traffic that is never filtered. */
export type Stage = 'allow' | 'deny' | 'not judged'

/** The first packet of a connection, as the enforcers on the source's and on the destination's node judge it. */
export interface OracleVerdict {
  readonly egress: Stage
  readonly ingress: Stage
}

/** "... both the egress policy on the source pod and the ingress policy on the destination pod need to allow it" (rule 8). */
export function passes(verdict: OracleVerdict): boolean {
  return verdict.egress !== 'deny' && verdict.ingress !== 'deny'
}

export function judge(cluster: RawCluster, packet: OraclePacket): OracleVerdict {
  const source = ownerOf(cluster, packet.source)
  const destination = ownerOf(cluster, packet.destination)
  return {
    egress: source === null ? 'not judged' : judgeEgress(cluster, packet, source, destination),
    ingress: destination === null ? 'not judged' : judgeIngress(cluster, packet, source, destination),
  }
}

function judgeEgress(cluster: RawCluster, packet: OraclePacket, source: RawPod, destination: RawPod | null): Stage {
  // "A Pod cannot block access to itself" (rule 62).
  if (source === destination) return 'not judged'
  // "traffic to and from the node where a Pod is running is always allowed" (rule 61, our choice).
  if (isAddressOfNode(cluster, source.spec.nodeName, packet.destination)) return 'not judged'
  return anyPolicyAllows(cluster, packet, 'egress', source, destination)
}

function judgeIngress(cluster: RawCluster, packet: OraclePacket, source: RawPod | null, destination: RawPod): Stage {
  if (source === destination) return 'not judged'
  // "traffic to and from the node where a Pod is running is always allowed" (rules 58, 60: no other node is).
  if (isAddressOfNode(cluster, destination.spec.nodeName, packet.source)) return 'not judged'
  return anyPolicyAllows(cluster, packet, 'ingress', destination, source)
}

/** The pod that the address means, as far as policy knows pods. */
export function ownerOf(cluster: RawCluster, address: Address): RawPod | null {
  const claims = objectsOf(cluster, 'Pod').filter((pod) => isPeer(pod) && addressesOf(pod).some((a) => sameAddress(a, address)))
  // One address has one owner: who is not on its way out, then who came later, then the greater UID (rule 94).
  claims.sort((a, b) => Number(isTerminating(a)) - Number(isTerminating(b)) || createdAt(b) - createdAt(a) || (a.metadata.uid < b.metadata.uid ? 1 : -1))
  return claims[0] ?? null
}

/** "hostNetwork pods": neither subjects nor peers, their traffic is the node's (rule 24). A finished pod has left its addresses (rule 93). */
function isPeer(pod: RawPod): boolean {
  return pod.spec.hostNetwork !== true && pod.status.phase !== 'Succeeded' && pod.status.phase !== 'Failed'
}

export function addressesOf(pod: RawPod): readonly Address[] {
  return pod.status.podIPs?.map((entry) => entry.ip) ?? (pod.status.podIP === undefined ? [] : [pod.status.podIP])
}

function isTerminating(pod: RawPod): boolean {
  return pod.metadata.deletionTimestamp !== undefined
}

function createdAt({ metadata }: RawPod | RawNamespace): number {
  return metadata.creationTimestamp === undefined ? 0 : Date.parse(metadata.creationTimestamp)
}

function isAddressOfNode(cluster: RawCluster, name: string | undefined, address: Address): boolean {
  const node = objectsOf(cluster, 'Node').find((n: RawNode) => n.metadata.name === name)
  return node?.status.addresses.some((a) => sameAddress(a.address, address)) ?? false
}

/** `subject` is the pod that policies select, `other` the pod on the far side; null where that is no pod. */
function anyPolicyAllows(cluster: RawCluster, packet: OraclePacket, direction: Direction, subject: RawPod, other: RawPod | null): Stage {
  const policies = objectsOf(cluster, 'NetworkPolicy').filter((policy) => isolates(policy, direction) && selects(policy, subject))
  // "By default, a pod is non-isolated for ingress; all inbound connections are allowed" (rule 1; egress likewise).
  if (policies.length === 0) return 'allow'
  // "Network policies do not conflict; they are additive" (rule 7).
  return policies.some((policy) => rulesAllow(cluster, packet, direction, policy, subject, other)) ? 'allow' : 'deny'
}

function isolates(policy: RawPolicy, direction: Direction): boolean {
  const types = policy.spec.policyTypes ?? []
  // A type that cannot be read may have meant either direction.
  if (types.some((type) => type !== 'Ingress' && type !== 'Egress')) return true
  if (types.length > 0) return types.includes(direction === 'ingress' ? 'Ingress' : 'Egress')
  // "If no policyTypes are specified on a NetworkPolicy then by default Ingress will always be set and Egress will be
  // set if the NetworkPolicy has any egress rules" (rule 3).
  return direction === 'ingress' || (policy.spec.egress ?? []).length > 0
}

function selects(policy: RawPolicy, pod: RawPod): boolean {
  // "An empty podSelector selects all pods in the namespace" (rule 6). A part that cannot be read may have meant any of them (rule 25).
  return policy.metadata.namespace === pod.metadata.namespace && labelsMatch(policy.spec.podSelector, pod.metadata.labels).matches
}

function rulesAllow(cluster: RawCluster, packet: OraclePacket, direction: Direction, policy: RawPolicy, subject: RawPod, other: RawPod | null): boolean {
  // Whether the policy means this pod is not known: it opens nothing for it, since another policy may deny it (rule 25).
  if (!labelsMatch(policy.spec.podSelector, {}).readable) return false
  // "Each rule allows traffic which matches both the from and ports sections" (rule 31; `to` for egress).
  return ((direction === 'ingress' ? policy.spec.ingress : policy.spec.egress) ?? []).some((rule: RawRule) => {
    const peers = direction === 'ingress' ? rule.from : rule.to
    const far = direction === 'ingress' ? packet.source : packet.destination
    const listening = direction === 'ingress' ? subject : other
    // "If this field is empty or missing, this rule matches all sources" (rule 11; destinations likewise).
    if (peers === undefined || peers.length === 0) return portsAllow(rule.ports, packet, direction === 'egress' ? inKnownNamespace(cluster, listening) : listening)
    // "Items in this list are combined using a logical OR operation."
    return peers.some((peer) => {
      if (!peerMatches(cluster, peer, policy, far, other)) return false
      // A named port means something on pods that were selected as pods, not in a range of addresses (rule 42).
      const resolver = direction === 'egress' && peer.ipBlock !== undefined ? null : listening
      return portsAllow(rule.ports, packet, resolver)
    })
  })
}

/** Our choice: a name is looked up on pods of namespaces that are there; before that nothing is known of them. */
function inKnownNamespace(cluster: RawCluster, pod: RawPod | null): RawPod | null {
  return objectsOf(cluster, 'Namespace').some((n) => n.metadata.name === pod?.metadata.namespace) ? pod : null
}

function peerMatches(cluster: RawCluster, peer: RawPeer, policy: RawPolicy, address: Address, pod: RawPod | null): boolean {
  // "If this field is set then neither of the other fields can be."
  if (peer.ipBlock !== undefined) return peer.podSelector === undefined && peer.namespaceSelector === undefined && blockHolds(peer.ipBlock, address)
  // Selectors select pods only, never an external address, a node or the host (rule 15).
  if (pod === null || (peer.podSelector === undefined && peer.namespaceSelector === undefined)) return false
  // "If podSelector is also set, then the NetworkPolicyPeer as a whole selects the pods matching podSelector in the
  // namespaces selected by namespaceSelector. Otherwise it selects all pods in the namespaces" (rules 13, 14).
  if (!surelyMatches(peer.podSelector, pod.metadata.labels)) return false
  // "Otherwise it selects the pods matching podSelector in the policy's own namespace" (rule 12).
  if (peer.namespaceSelector === undefined) return pod.metadata.namespace === policy.metadata.namespace
  // Of two with one name the old one's deletion was not heard yet: the later one, then the greater UID, speaks (rule 100).
  const [namespace] = objectsOf(cluster, 'Namespace')
    .filter((n) => n.metadata.name === pod.metadata.namespace)
    .sort((a, b) => createdAt(b) - createdAt(a) || (a.metadata.uid < b.metadata.uid ? 1 : -1))
  if (namespace === undefined) return false
  // "the control plane sets an immutable label kubernetes.io/metadata.name on all namespaces" (rule 21).
  return surelyMatches(peer.namespaceSelector, { ...namespace.metadata.labels, 'kubernetes.io/metadata.name': namespace.metadata.name })
}

/** "except is a slice of CIDRs that should not be included within an IPBlock": of this block only (rule 46). Unreadable: nothing (rule 57). */
function blockHolds(block: NonNullable<RawPeer['ipBlock']>, address: Address): boolean {
  return cidrHolds(block.cidr, address) === true && (block.except ?? []).every((except) => cidrHolds(except, address) === false)
}

/** A peer that cannot be read matches nothing (rule 25). */
function surelyMatches(selector: RawSelector | undefined, labels: Readonly<Record<string, string>> | undefined): boolean {
  const { matches, readable } = labelsMatch(selector, labels)
  return matches && readable
}

/** "The requirements are ANDed", "an empty label selector matches all objects" (rules 18, 20); what cannot be read is left out. */
function labelsMatch(selector: RawSelector | undefined, labels: Readonly<Record<string, string>> | undefined): { readonly matches: boolean; readonly readable: boolean } {
  let matches = true
  let readable = true
  const has = (key: string): boolean => labels !== undefined && Object.hasOwn(labels, key)
  for (const [key, value] of Object.entries(selector?.matchLabels ?? {})) matches = matches && has(key) && labels?.[key] === value
  for (const { key, operator, values = [] } of selector?.matchExpressions ?? []) {
    const among = has(key) && values.includes(labels?.[key] as string)
    if (operator === 'In' && values.length > 0) matches = matches && among
    // NotIn holds for objects that lack the key, too (rules 16, 17).
    else if (operator === 'NotIn' && values.length > 0) matches = matches && !among
    else if (operator === 'Exists' && values.length === 0) matches = matches && has(key)
    else if (operator === 'DoesNotExist' && values.length === 0) matches = matches && !has(key)
    else readable = false
  }
  return { matches, readable }
}

/** `listening` is the pod that a name is looked up on; null where there is none (rules 35, 36). */
function portsAllow(ports: readonly RawPort[] | undefined, packet: OraclePacket, listening: RawPod | null): boolean {
  // "If this field is empty or missing, this rule matches all ports" (rule 28): every IP protocol, as we read it (rules 76, 88).
  if (ports === undefined || ports.length === 0) return true
  return ports.some((entry) => portAllows(entry, packet, listening))
}

function portAllows(entry: RawPort, packet: OraclePacket, listening: RawPod | null): boolean {
  // "If not specified, this field defaults to TCP" (rule 29).
  if ((entry.protocol ?? 'TCP') !== packet.protocol || packet.port === null) return false
  // "If this field is not provided, this matches all port names and numbers" (rule 30). endPort needs a port (rule 33).
  if (entry.port === undefined) return entry.endPort === undefined
  // "endPort cannot be defined if the port field is a named port" (rule 33).
  if (typeof entry.port === 'string') return entry.endPort === undefined && listening !== null && numberOf(listening, entry.port, packet.protocol) === packet.port
  if (!isPortNumber(entry.port) || (entry.endPort !== undefined && !isPortNumber(entry.endPort))) return false
  // "the range of ports from port to endPort, inclusive, should be allowed" (rule 32).
  return entry.port <= packet.port && packet.port <= (entry.endPort ?? entry.port)
}

function isPortNumber(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65535
}

/** Name and protocol must match (rule 38); the first container that has it counts (rule 40), restartable init containers last (rule 41). */
function numberOf(pod: RawPod, name: string, protocol: string): number | null {
  const sidecars = (pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always')
  for (const container of [...pod.spec.containers, ...sidecars]) {
    for (const port of container.ports ?? []) {
      if (port.name === name && (port.protocol ?? 'TCP') === protocol) return port.containerPort
    }
  }
  return null
}
