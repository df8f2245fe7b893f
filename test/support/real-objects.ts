// Kubernetes objects for tests on real packets, written short: a pod with its place in the network, a policy by its spec.
//
// **Invariant:** pure: equal arguments give equal objects, and an object's UID is made of kind, namespace and name unless
// a test gives another.
import { shortHash } from '../../src/lib/hash.ts'
import type { Protocol } from '../../src/model/objects.ts'
import type { RawPolicy, RawRule } from './manifests.ts'

export interface PlainObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid?: string; readonly [more: string]: unknown }
  readonly [more: string]: unknown
}

export interface RealPort {
  readonly protocol: Protocol
  readonly port: number
  /** As the container declares it; a port without a name is served and not declared. */
  readonly name?: string
}

/** A pod that runs in the testbed. */
export interface RealPod {
  /** `namespace/name`. */
  readonly key: string
  readonly node: string
  readonly addresses: readonly string[]
  readonly ports: readonly RealPort[]
  readonly labels: Readonly<Record<string, string>> | null
  readonly uid: string
}

export const EVERY_PROTOCOL: readonly Protocol[] = ['TCP', 'UDP', 'SCTP']
/** 8080 and 9090 over each protocol. */
export const USUAL_PORTS: readonly RealPort[] = EVERY_PROTOCOL.flatMap((protocol) => [8080, 9090].map((port) => ({ protocol, port })))

/** The `number`-th address of each family: 10.88.0.7 and fd00:88::7. */
export function addressesOf(number: number): readonly [string, string] {
  return [`10.88.${number >> 8}.${number & 255}`, `fd00:88::${number.toString(16)}`]
}

export function realPod(key: string, node: string, number: number, labels: RealPod['labels'] = null, more: Partial<RealPod> = {}): RealPod {
  return { key, node, addresses: addressesOf(number), ports: USUAL_PORTS, labels, uid: uidOf('pod', key), ...more }
}

/** At most 128 characters, as a UID may have. */
function uidOf(kind: string, key: string): string {
  return key.length <= 100 ? `${kind}:${key}` : `${kind}:${shortHash(key, 16)}`
}

/** `name` and `namespace` of a key. */
export function named(key: string): { readonly namespace: string; readonly name: string } {
  const [namespace = '', name = ''] = key.split('/')
  return { namespace, name }
}

export interface PodChanges {
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: Readonly<Record<string, unknown>>
}

/** What the API would hold of it; `changes` are laid over its metadata, spec and status. */
export function podObject(pod: RealPod, changes: PodChanges = {}): PlainObject {
  const declared = pod.ports.filter((one) => one.name !== undefined)
  const ports = declared.map(({ name, protocol, port }) => ({ name, protocol, containerPort: port }))
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...named(pod.key), uid: pod.uid, ...(pod.labels === null ? {} : { labels: pod.labels }), ...changes.metadata },
    spec: { nodeName: pod.node, containers: [{ name: 'server', image: 'server', ports }], ...changes.spec },
    status: { phase: 'Running', podIP: pod.addresses[0], podIPs: pod.addresses.map((ip) => ({ ip })), ...changes.status },
  }
}

/** With the label that the API server gives each namespace. */
export function namespaceObject(name: string, labels: Readonly<Record<string, string>> = {}, uid = `namespace:${name}`): PlainObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, uid, labels: { 'kubernetes.io/metadata.name': name, ...labels } } }
}

export function nodeObject(name: string, addresses: readonly string[], podCidrs: readonly string[] = []): PlainObject {
  const status = { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) }
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, uid: `node:${name}` }, spec: { podCIDRs: podCidrs }, status }
}

type Spec = RawPolicy['spec']

/** Of `key` (`namespace/name`). */
export function policyObject(key: string, spec: Spec): RawPolicy & PlainObject {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { ...named(key), uid: uidOf('policy', key) }, spec } as RawPolicy & PlainObject
}

/** Isolates the ingress of the pods with these labels (of all where there are none) of `key`'s namespace. */
export function ingress(key: string, labels: Readonly<Record<string, string>>, ...rules: readonly RawRule[]): PlainObject {
  return policyObject(key, { podSelector: { matchLabels: labels }, policyTypes: ['Ingress'], ingress: rules })
}

/** Isolates the egress of the pods with these labels of `key`'s namespace. */
export function egress(key: string, labels: Readonly<Record<string, string>>, ...rules: readonly RawRule[]): PlainObject {
  return policyObject(key, { podSelector: { matchLabels: labels }, policyTypes: ['Egress'], egress: rules })
}

/** Neither in nor out, for every pod of the namespace. */
export function denyAll(namespace: string): PlainObject {
  return policyObject(`${namespace}/deny-all`, { podSelector: {}, policyTypes: ['Ingress', 'Egress'] })
}
