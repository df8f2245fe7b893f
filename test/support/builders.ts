// Rows of the model for tests: give the fields that matter, the rest is filled in.
//
// Labels and selectors are written short here: `{ app: 'web' }`, `'app=web, tier in (a,b), !old'`.
// **Invariant:** pure: equal arguments give equal rows, with a UID made of kind, namespace and name; and frozen, as in the product.
import { familyOf, hostCidr, parseAddress, parseCidr, type Cidr } from '../../src/model/ip.ts'
import { EVERYTHING, labelSelector, type LabelSelector, type Labels, type Requirement } from '../../src/model/labels.ts'
import type { HostInterface, Namespace, Node, Pod, Protocol } from '../../src/model/objects.ts'
import type { Peer, Policy, PolicyPort, PolicyRule } from '../../src/model/policy.ts'
import type { Endpoint, EndpointSlice, Service } from '../../src/model/service.ts'
import { podSelector, type PodSelector } from '../../src/model/selector.ts'

type LabelsLike = Labels | Readonly<Record<string, string>>

/** What a selector can be written as: text (see `selector`), or key-value pairs that must all be there. */
type SelectorLike = LabelSelector | string | Readonly<Record<string, string>>

/** A policy's rule with its parts left out: no peers means all of them, no ports means all of them. */
type RuleLike = Partial<PolicyRule>

export function labels(from: LabelsLike): Labels {
  return from instanceof Map ? from : new Map(Object.entries(from))
}

/** A pod on no node, without labels and addresses, named `pod` in namespace `default`. */
export function pod(fields: Partial<Omit<Pod, 'labels'>> & { readonly labels?: LabelsLike } = {}): Pod {
  const namespace = fields.namespace ?? 'default'
  const name = fields.name ?? 'pod'
  return Object.freeze({
    uid: `pod/${namespace}/${name}`,
    namespace,
    name,
    node: null,
    addresses: [],
    hostNetwork: false,
    finished: false,
    terminating: false,
    createdAt: 0,
    ports: [],
    sourcePrefixes: [],
    ...fields,
    labels: labels(fields.labels ?? {}),
  })
}

/** Named `default`; `kubernetes.io/metadata.name` is added to its labels. */
export function namespace(fields: Partial<Omit<Namespace, 'labels'>> & { readonly labels?: LabelsLike } = {}): Namespace {
  const name = fields.name ?? 'default'
  const all = new Map([...labels(fields.labels ?? {}), ['kubernetes.io/metadata.name', name] as const])
  return Object.freeze({ uid: `namespace/${name}`, name, createdAt: 0, ...fields, labels: all })
}

/** Named `node1`, without addresses. */
export function node(fields: Partial<Omit<Node, 'labels'>> & { readonly labels?: LabelsLike } = {}): Node {
  const name = fields.name ?? 'node1'
  return Object.freeze({ uid: `node/${name}`, name, addresses: [], podCidrs: [], egressSources: [], leaving: false, ...fields, labels: labels(fields.labels ?? {}) })
}

type PolicyFields = Partial<Omit<Policy, 'pods' | 'ingress' | 'egress'>> & {
  readonly pods?: SelectorLike
  readonly ingress?: readonly RuleLike[]
  readonly egress?: readonly RuleLike[]
}

/** Selects every pod of its namespace (`default`) and isolates the directions that have `ingress` or `egress`; ingress where neither has. */
export function policy(fields: PolicyFields = {}): Policy {
  const { pods, ingress, egress, ...rest } = fields
  const space = fields.namespace ?? 'default'
  const name = fields.name ?? 'policy'
  return Object.freeze({
    uid: `policy/${space}/${name}`,
    namespace: space,
    name,
    generation: 1,
    createdAt: 0,
    pods: pods === undefined ? EVERYTHING : selector(pods),
    isolates: { ingress: ingress !== undefined || egress === undefined, egress: egress !== undefined },
    ...rest,
    ingress: rules(ingress ?? []),
    egress: rules(egress ?? []),
  })
}

function rules(list: readonly RuleLike[]): readonly PolicyRule[] {
  return list.map((rule, index) => Object.freeze({ index, peers: 'all' as const, ports: 'all' as const, ...rule }))
}

/** A veth with index 10, without addresses and routes. */
export function hostInterface(fields: Partial<HostInterface> = {}): HostInterface {
  const index = fields.index ?? 10
  return Object.freeze({
    index,
    name: `veth${index}`,
    kind: 'veth',
    master: 0,
    addresses: [],
    hostRoutes: [],
    hasWiderRoutes: false,
    networks: [],
    behind: null,
    ...fields,
  })
}

/** `{ app: 'web' }`, or requirements as kubectl writes them, joined by commas: `app=web, tier in (a,b), x notin (c), old, !new`. */
export function selector(from: SelectorLike): LabelSelector {
  if (typeof from === 'string') {
    return labelSelector(from.trim() === '' ? [] : from.split(/,(?![^(]*\))/).map((part) => requirement(part.trim())))
  }
  if (isLabelSelector(from)) return from
  return labelSelector(Object.entries(from).map(([key, value]) => ({ key, operator: 'In', values: [value] })))
}

function isLabelSelector(from: object): from is LabelSelector {
  return 'requirements' in from && Array.isArray(from.requirements)
}

function requirement(text: string): Requirement {
  const list = /^(\S+) (in|notin) \((.*)\)$/.exec(text)
  if (list !== null) {
    const [, key = '', verb, values = ''] = list
    return { key, operator: verb === 'in' ? 'In' : 'NotIn', values: values.split(',').map((value) => value.trim()) }
  }
  const equals = text.indexOf('=')
  if (equals > 0) return { key: text.slice(0, equals), operator: 'In', values: [text.slice(equals + 1)] }
  return text.startsWith('!') ? { key: text.slice(1), operator: 'DoesNotExist', values: [] } : { key: text, operator: 'Exists', values: [] }
}

/** Pods of one namespace, by name. */
export function podsOf(namespaceName: string, pods: SelectorLike = EVERYTHING): PodSelector {
  return podSelector({ kind: 'named', name: namespaceName }, selector(pods))
}

/** Pods of the namespaces that match; of every namespace where `namespaces` is `''` or `{}`. */
export function podsIn(namespaces: SelectorLike, pods: SelectorLike = EVERYTHING): PodSelector {
  return podSelector({ kind: 'matching', selector: selector(namespaces) }, selector(pods))
}

export function podPeer(from: PodSelector): Peer {
  return { kind: 'pods', selector: from }
}

export function ipBlock(text: string, ...except: readonly string[]): Peer {
  return { kind: 'ipBlock', cidr: cidr(text), except: except.map(cidr) }
}

/** `10.0.0.0/24`, or an address for its own /32 or /128. Throws for anything else. */
export function cidr(text: string): Cidr {
  const address = parseAddress(text)
  const parsed = address === null ? parseCidr(text) : hostCidr(address)
  if (parsed === null) throw new Error(`not a CIDR: ${text}`)
  return parsed
}

/** `80`, `80-90`, `http` or `*`, of TCP where nothing else is said. */
export function port(what: string | number, protocol: Protocol = 'TCP'): PolicyPort {
  const text = String(what)
  if (text === '*') return { kind: 'protocol', protocol }
  const numbers = /^(\d+)(?:-(\d+))?$/.exec(text)
  if (numbers === null) return { kind: 'named', protocol, name: text }
  return { kind: 'range', protocol, first: Number(numbers[1]), last: Number(numbers[2] ?? numbers[1]) }
}

/** `default/web`, TCP 80, with the ClusterIPs 10.96.0.10 and fd00:96::10. */
export function service(fields: Partial<Service> = {}): Service {
  const { namespace: space = 'default', name = 'web' } = fields
  return Object.freeze({
    uid: `service/${space}/${name}`,
    namespace: space,
    name,
    createdAt: 0,
    proxied: true,
    clusterIps: ['10.96.0.10', 'fd00:96::10'],
    externalIps: [],
    loadBalancerIps: [],
    sourceRanges: null,
    ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: null }],
    internalPolicy: 'Cluster',
    externalPolicy: 'Cluster',
    affinity: null,
    healthCheckNodePort: null,
    ...fields,
  } as const)
}

/** Of `default/web`, port 8080 under the name '', one slice for the family of its endpoints. */
export function slice(endpoints: readonly (Partial<Endpoint> & { readonly address: string })[], fields: Partial<EndpointSlice> = {}): EndpointSlice {
  const { namespace: space = 'default', service: of = 'web', name = 'web-1' } = fields
  const family = endpoints[0] === undefined ? 4 : familyOf(endpoints[0].address)
  return Object.freeze({
    uid: `slice/${space}/${name}`,
    namespace: space,
    name,
    service: of,
    family,
    ports: [{ name: '', protocol: 'TCP', port: 8080 }],
    ...fields,
    endpoints: endpoints.map((one) => Object.freeze({ ready: true, serving: true, terminating: false, node: null, zoneHints: null, nodeHints: null, ...one })),
  } as const)
}
