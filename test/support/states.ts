// Sketches of clusters -> raw objects, and a story of changes -> the cluster after each of them.
//
// A sketch says only what matters (which pod slot, which labels, which life); names, UIDs and addresses follow from it by
// an address plan. **Invariant:** pure: equal sketches give equal objects; a slot that is filled anew gets another UID.
//
// Address plan: pod in slot s of node n: 10.1.n.s and fd00:1:n::s; node n: 192.168.1.n and fd00:192::n (n, s from 1);
// outside: 192.0.2.7, 192.0.2.130, 2001:db8::7.
import { isDeepStrictEqual } from 'node:util'
import type { RawContainer, RawCluster, RawNamespace, RawNode, RawObject, RawPod, RawPolicy } from './manifests.ts'

export type LabelSketch = Readonly<Record<string, string>>

export interface PortSketch {
  readonly name: string
  readonly port: number
  readonly protocol?: 'TCP' | 'UDP' | 'SCTP'
  /** A second container comes after the first; an init container that is no sidecar does not count. */
  readonly where: 'first' | 'second' | 'sidecar' | 'init'
}

export interface PodSketch {
  readonly namespace: string
  readonly labels?: LabelSketch
  /** From 1. */
  readonly node: number
  readonly families: 'both' | 'four' | 'six' | 'none'
  readonly life: 'running' | 'pending' | 'terminating' | 'succeeded' | 'failed'
  readonly hostNetwork: boolean
  /** Seconds after the epoch of the test: who of two pods with one address was made later. */
  readonly age: number
  /** Slot whose address it has instead of its own: the address was given out again. */
  readonly takes?: number
  readonly ports: readonly PortSketch[]
}

export interface PolicySketch {
  readonly namespace: string
  readonly spec: RawPolicy['spec']
  readonly annotations?: Readonly<Record<string, string>>
}

/** Null is an empty slot. Every slot has a number of its own, from 1. */
export interface ClusterSketch {
  readonly namespaces: Readonly<Record<string, LabelSketch | null>>
  readonly pods: readonly (PodSketch | null)[]
  readonly policies: readonly (PolicySketch | null)[]
  readonly nodes: number
}

/** One change: a slot gets another content, or none. `again` makes it a new object of the same name even where an edit would do. */
export type ChangeSketch =
  | { readonly kind: 'pod'; readonly slot: number; readonly again: boolean; readonly pod: PodSketch | null }
  | { readonly kind: 'policy'; readonly slot: number; readonly again: boolean; readonly policy: PolicySketch | null }
  | { readonly kind: 'namespace'; readonly name: string; readonly again: boolean; readonly labels: LabelSketch | null }

export const OUTSIDE = ['192.0.2.7', '192.0.2.130', '2001:db8::7'] as const

export function nodeName(node: number): string {
  return `n${node}`
}

export function nodeAddresses(node: number): readonly [string, string] {
  return [`192.168.1.${node}`, `fd00:192::${node}`]
}

/** How often each slot was filled anew: part of the UID. */
type Incarnations = ReadonlyMap<string, number>

/** The cluster at the start, and after each change. */
export function statesOf(start: ClusterSketch, changes: readonly ChangeSketch[]): readonly RawCluster[] {
  let sketch = start
  const incarnations = new Map<string, number>()
  const states = [materialise(sketch, incarnations)]
  for (const change of changes) {
    const key = change.kind === 'namespace' ? `namespace/${change.name}` : `${change.kind}/${change.slot}`
    if (change.again || isAnother(sketch, change)) incarnations.set(key, (incarnations.get(key) ?? 0) + 1)
    sketch = changed(sketch, change)
    states.push(materialise(sketch, incarnations))
  }
  return states
}

/** Whether the change makes a new object: the slot was empty, or a field changes that the API server never lets change. */
function isAnother(sketch: ClusterSketch, change: ChangeSketch): boolean {
  if (change.kind === 'namespace') return (sketch.namespaces[change.name] ?? null) === null
  if (change.kind === 'policy') return sketch.policies[change.slot - 1]?.namespace !== change.policy?.namespace
  const before = sketch.pods[change.slot - 1] ?? null
  const { pod } = change
  if (before === null || pod === null) return before !== pod
  return (['namespace', 'node', 'hostNetwork', 'age'] as const).some((field) => before[field] !== pod[field])
}

function changed(sketch: ClusterSketch, change: ChangeSketch): ClusterSketch {
  switch (change.kind) {
    case 'pod':
      return { ...sketch, pods: filled(sketch.pods, change.slot, change.pod) }
    case 'policy':
      return { ...sketch, policies: filled(sketch.policies, change.slot, change.policy) }
    case 'namespace':
      return { ...sketch, namespaces: { ...sketch.namespaces, [change.name]: change.labels } }
  }
}

function filled<T>(slots: readonly (T | null)[], slot: number, content: T | null): readonly (T | null)[] {
  return Array.from({ length: Math.max(slots.length, slot) }, (_, i) => (i === slot - 1 ? content : (slots[i] ?? null)))
}

export function materialise(sketch: ClusterSketch, incarnations: Incarnations = new Map()): RawCluster {
  const objects: RawObject[] = []
  const uid = (key: string): string => `${key.replace('/', '-')}-${incarnations.get(key) ?? 0}`
  for (let node = 1; node <= sketch.nodes; node++) objects.push(nodeObject(node))
  for (const [name, labels] of Object.entries(sketch.namespaces)) {
    if (labels !== null) objects.push(namespaceObject(name, labels, uid(`namespace/${name}`)))
  }
  for (const [i, pod] of sketch.pods.entries()) {
    if (pod !== null) objects.push(podObject(pod, i + 1, uid(`pod/${i + 1}`), sketch))
  }
  for (const [i, policy] of sketch.policies.entries()) {
    if (policy !== null) objects.push(policyObject(policy, i + 1, uid(`policy/${i + 1}`)))
  }
  return new Map(objects.map((object) => [object.metadata.uid, object]))
}

function nodeObject(node: number): RawNode {
  const addresses = nodeAddresses(node).map((address) => ({ type: 'InternalIP', address }))
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: nodeName(node), uid: `node-${node}` },
    spec: { podCIDRs: [`10.1.${node}.0/24`, `fd00:1:${node}::/64`] },
    status: { addresses: [...addresses, { type: 'Hostname', address: nodeName(node) }] },
  }
}

function namespaceObject(name: string, labels: LabelSketch, uid: string): RawNamespace {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, uid, labels: { ...labels, 'kubernetes.io/metadata.name': name } } }
}

function policyObject(policy: PolicySketch, slot: number, uid: string): RawPolicy {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: `policy-${slot}`, namespace: policy.namespace, uid, generation: 1, ...(policy.annotations === undefined ? {} : { annotations: policy.annotations }) }, spec: policy.spec }
}

const PHASE: Readonly<Record<PodSketch['life'], string>> = { running: 'Running', pending: 'Pending', terminating: 'Running', succeeded: 'Succeeded', failed: 'Failed' }

function podObject(pod: PodSketch, slot: number, uid: string, sketch: ClusterSketch): RawPod {
  const ips = podAddresses(pod, slot, sketch).map((ip) => ({ ip }))
  const container = (name: string, where: PortSketch['where'], restartPolicy?: string): RawContainer => ({
    name,
    ...(restartPolicy === undefined ? {} : { restartPolicy }),
    ports: pod.ports.filter((p) => p.where === where).map((p) => ({ name: p.name, containerPort: p.port, ...(p.protocol === undefined ? {} : { protocol: p.protocol }) })),
  })
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `pod-${slot}`,
      namespace: pod.namespace,
      uid,
      ...(pod.labels === undefined ? {} : { labels: pod.labels }),
      creationTimestamp: `2026-01-01T00:00:0${pod.age % 10}Z`,
      ...(pod.life === 'terminating' ? { deletionTimestamp: '2026-01-01T01:00:00Z' } : {}),
    },
    spec: {
      nodeName: nodeName(pod.node),
      ...(pod.hostNetwork ? { hostNetwork: true } : {}),
      containers: [container('main', 'first'), container('second', 'second')],
      initContainers: [container('init', 'init'), container('sidecar', 'sidecar', 'Always')],
    },
    status: { phase: PHASE[pod.life], ...(ips[0] === undefined ? {} : { podIP: ips[0].ip, podIPs: ips }) },
  }
}

function podAddresses(pod: PodSketch, slot: number, sketch: ClusterSketch): readonly string[] {
  if (pod.hostNetwork) return nodeAddresses(pod.node)
  const from = pod.takes === undefined ? null : (sketch.pods[pod.takes - 1] ?? null)
  const node = from?.node ?? pod.node
  const place = from === null ? slot : (pod.takes as number)
  const [four, six] = [`10.1.${node}.${place}`, `fd00:1:${node}::${place}`]
  return { both: [four, six], four: [four], six: [six], none: [] }[pod.families]
}

export type RawEvent = { readonly verb: 'upsert'; readonly object: RawObject } | { readonly verb: 'delete'; readonly kind: RawObject['kind']; readonly uid: string }

/** What leads from one state to the next: deletions first, then whatever differs. */
export function eventsBetween(before: RawCluster, after: RawCluster): readonly RawEvent[] {
  const events: RawEvent[] = []
  for (const object of before.values()) {
    if (!after.has(object.metadata.uid)) events.push({ verb: 'delete', kind: object.kind, uid: object.metadata.uid })
  }
  for (const object of after.values()) {
    if (!isDeepStrictEqual(before.get(object.metadata.uid), object)) events.push({ verb: 'upsert', object })
  }
  return events
}

/** The state after one more event. */
export function afterEvent(cluster: RawCluster, event: RawEvent): RawCluster {
  const next = new Map(cluster)
  if (event.verb === 'delete') next.delete(event.uid)
  else next.set(event.object.metadata.uid, event.object)
  return next
}
