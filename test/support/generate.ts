// Arbitrary small, nasty clusters and stories of changes, for fast-check.
//
// Few names and few values on purpose, so that selectors hit, ports coincide and addresses are used again.
// **Invariant:** everything is built of fast-check's own parts, without chain, so that a counterexample shrinks to a small
// one; what is generated is what an API server would accept.
import fc from 'fast-check'
import type { RawPeer, RawPolicy, RawPort, RawRule, RawSelector } from './manifests.ts'
import { bitString, cidrHolds } from './oracle-address.ts'
import type { ChangeSketch, ClusterSketch, LabelSketch, PodSketch, PolicySketch, PortSketch } from './states.ts'

export const NAMESPACES = ['a', 'b', 'c'] as const

/** `constructor` is a legal label key, and a member of every object in JavaScript. */
const KEYS = ['app', 'tier', 'constructor'] as const
const VALUES = ['x', 'y', ''] as const
export const PORT_NUMBERS = [80, 8080, 53, 7000, 7005, 1, 65535] as const
const PORT_NAMES = ['http', 'dns'] as const
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const

const key = fc.oneof({ weight: 5, arbitrary: fc.constant(KEYS[0]) }, { weight: 4, arbitrary: fc.constant(KEYS[1]) }, { weight: 1, arbitrary: fc.constant(KEYS[2]) })
const value = fc.constantFrom(...VALUES)
const namespace = fc.constantFrom(...NAMESPACES)
const protocol = fc.option(fc.constantFrom(...PROTOCOLS), { nil: undefined })

/** Mostly one and the same name: what is hard is one name with several numbers and protocols (rules 36-40). */
const portName = fc.oneof({ weight: 3, arbitrary: fc.constant(PORT_NAMES[0]) }, { weight: 1, arbitrary: fc.constant(PORT_NAMES[1]) })

/** fast-check gives undefined for an absent field, JSON has no such thing. */
function compact<T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, field]) => field !== undefined)) as T
}

export const labels: fc.Arbitrary<LabelSketch> = fc.array(fc.tuple(key, value), { maxLength: 2 }).map((pairs) => Object.fromEntries(pairs))

const portSketch: fc.Arbitrary<PortSketch> = fc
  .record({ name: portName, port: fc.constantFrom(...PORT_NUMBERS), protocol, where: fc.constantFrom('first', 'second', 'sidecar', 'init') })
  .map((fields) => compact<PortSketch>(fields))

/** What is first in a list is what a counterexample shrinks to. */
export const podSketch: fc.Arbitrary<PodSketch> = fc
  .record({
    namespace,
    labels: fc.option(labels, { nil: undefined, freq: 8 }),
    node: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 2, arbitrary: fc.constant(2) }),
    families: fc.oneof({ weight: 7, arbitrary: fc.constant('both' as const) }, { weight: 3, arbitrary: fc.constantFrom('four', 'six', 'none') }),
    life: fc.oneof({ weight: 8, arbitrary: fc.constant('running' as const) }, { weight: 3, arbitrary: fc.constantFrom('pending', 'terminating', 'succeeded', 'failed') }),
    hostNetwork: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    age: fc.nat({ max: 2 }),
    takes: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined, freq: 2 }),
    ports: fc.array(portSketch, { maxLength: 3 }),
  })
  .map((fields) => compact<PodSketch>({ ...fields, takes: fields.age === 2 ? fields.takes : undefined }))

const expression = fc.oneof(
  fc.record({ key, operator: fc.constantFrom('In', 'NotIn'), values: fc.uniqueArray(value, { minLength: 1, maxLength: 2 }) }),
  fc.record({ key, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
)

const selector: fc.Arbitrary<RawSelector> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: fc.tuple(key, value).map(([k, v]) => ({ matchLabels: { [k]: v } })) },
  { weight: 3, arbitrary: fc.array(expression, { minLength: 1, maxLength: 2 }).map((matchExpressions) => ({ matchExpressions })) },
  { weight: 1, arbitrary: fc.record({ matchLabels: labels, matchExpressions: fc.array(expression, { maxLength: 1 }) }) },
)

const namespaceSelector: fc.Arbitrary<RawSelector> = fc.oneof(
  { weight: 3, arbitrary: selector },
  { weight: 1, arbitrary: namespace.map((name) => ({ matchLabels: { 'kubernetes.io/metadata.name': name } })) },
  { weight: 1, arbitrary: namespace.map((name) => ({ matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [name] }] })) },
)

/** Around the address plan: whole families, halves, pods, single addresses, nodes, outside; with host bits set. */
const CIDRS = [
  '0.0.0.0/0', '::/0', '10.1.0.0/16', '10.1.1.0/24', '10.1.1.2/31', '10.1.1.3/30', '10.1.1.1/32', '10.1.2.9/24', '192.0.2.0/24', '192.0.2.7/25', '192.0.2.128/25',
  '192.168.1.0/24', '192.168.1.2/32', '0.0.0.0/1', '128.0.0.0/1', '10.0.0.0/8', '10.1.1.255/24', 'fd00:1::/32', 'fd00:1:1::/64', 'fd00:1:1::1/128', 'fd00:1:1::3/126',
  'fd00:1:2::/64', '2001:db8::/32', '2001:db8::7/127', '::/1', '8000::/1', 'fd00:192::/64', '255.255.255.255/32', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128',
] as const

/** "except must be a strict subset of cidr": the API server's rule. */
function isInside(cidr: string, except: string): boolean {
  const [address, length] = except.split('/') as [string, string]
  return cidrHolds(cidr, address) === true && Number(length) > Number(cidr.split('/')[1]) && bitString(address) !== null
}

const ipBlock = fc
  .record({ cidr: fc.constantFrom(...CIDRS), except: fc.option(fc.shuffledSubarray([...CIDRS, ...CIDRS.slice(3, 9)], { maxLength: 12 }), { nil: undefined }) })
  .map(({ cidr, except }) => compact<NonNullable<RawPeer['ipBlock']>>({ cidr, except: except?.filter((e) => isInside(cidr, e)) }))

const peer: fc.Arbitrary<RawPeer> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ podSelector: selector }) },
  { weight: 2, arbitrary: fc.record({ namespaceSelector }) },
  { weight: 3, arbitrary: fc.record({ podSelector: selector, namespaceSelector }) },
  { weight: 3, arbitrary: fc.record({ ipBlock }) },
)

const port: fc.Arbitrary<RawPort> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ protocol, port: fc.constantFrom(...PORT_NUMBERS) }).map((p) => compact<RawPort>(p)) },
  {
    weight: 2,
    arbitrary: fc
      .record({ protocol, port: fc.constantFrom(...PORT_NUMBERS), more: fc.constantFrom(0, 1, 10, 70000) })
      .map((p) => compact<RawPort>({ protocol: p.protocol, port: p.port, endPort: Math.min(p.port + p.more, 65535) })),
  },
  { weight: 4, arbitrary: fc.record({ protocol, port: fc.oneof({ weight: 6, arbitrary: portName }, { weight: 1, arbitrary: fc.constant('nope') }) }).map((p) => compact<RawPort>(p)) },
  { weight: 1, arbitrary: fc.record({ protocol }).map((p) => compact<RawPort>(p)) },
)

function list<T>(of: fc.Arbitrary<T>, maxLength: number): fc.Arbitrary<readonly T[] | undefined> {
  return fc.option(fc.array(of, { maxLength }), { nil: undefined, freq: 4 })
}

const ingressRule = fc.record({ from: list(peer, 3), ports: list(port, 3) }).map((rule) => compact<RawRule>(rule))
const egressRule = fc.record({ to: list(peer, 3), ports: list(port, 3) }).map((rule) => compact<RawRule>(rule))

/** What no API server lets in, and a folder of manifests may hold all the same. */
const BAD_PEERS: readonly RawPeer[] = [
  {},
  { ipBlock: { cidr: '10.1.0.0/33' } },
  { ipBlock: { cidr: '10.1.0.0' } },
  { ipBlock: { cidr: '010.1.0.0/16' } },
  { ipBlock: { cidr: '0.0.0.0/0', except: ['10.1.1.0/24', 'ten'] } },
  { ipBlock: { cidr: '10.1.0.0/16', except: ['0.0.0.0/0'] } },
  { ipBlock: { cidr: '10.1.0.0/16', except: ['10.1.0.0/16', 'fd00::/8'] } },
  { ipBlock: { cidr: '0.0.0.0/0', except: ['::/1'] } },
  { ipBlock: { cidr: '0.0.0.0/0' }, podSelector: {} },
  { podSelector: { matchExpressions: [{ key: 'app', operator: 'Equals', values: ['x'] }] } },
  { podSelector: { matchExpressions: [{ key: 'app', operator: 'In' }] } },
  { namespaceSelector: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: [] }] }, podSelector: {} },
  { namespaceSelector: {}, podSelector: { matchExpressions: [{ key: 'app', operator: 'Exists', values: ['x'] }] } },
]
const BAD_PORTS: readonly RawPort[] = [
  { port: 0 },
  { port: 80, endPort: 79 },
  { port: 80, endPort: 70000 },
  { port: 'http', endPort: 90 },
  { endPort: 90 },
  { protocol: 'ICMP' },
  { protocol: 'tcp', port: 80 },
  { port: '80' },
  { port: 65536 },
]

const spec: fc.Arbitrary<RawPolicy['spec']> = fc
  .record({
    podSelector: fc.option(selector, { nil: undefined, freq: 8 }),
    policyTypes: fc.option(fc.subarray(['Ingress', 'Egress']), { nil: undefined }),
    ingress: list(ingressRule, 3),
    egress: list(egressRule, 3),
  })
  .map((fields) => compact<RawPolicy['spec']>(fields))

export const policySketch: fc.Arbitrary<PolicySketch> = fc.record({ namespace, spec })

function damaged(rule: RawRule, side: 'from' | 'to', at: number): RawRule {
  const peers = [...(rule[side] ?? []), BAD_PEERS[at % BAD_PEERS.length] as RawPeer]
  const ports = [...(rule.ports ?? []), BAD_PORTS[at % BAD_PORTS.length] as RawPort]
  return at % 3 === 0 ? { ...rule, ports } : at % 3 === 1 ? { ...rule, [side]: peers } : { ...rule, [side]: peers, ports }
}

/** Policies of which one part of a rule cannot be read. */
export const damagedPolicySketch: fc.Arbitrary<PolicySketch> = fc.tuple(policySketch, fc.nat({ max: 1000 })).map(([policy, at]) => {
  const { ingress, egress } = policy.spec
  return {
    ...policy,
    spec: {
      ...policy.spec,
      ...(ingress === undefined ? {} : { ingress: ingress.map((rule, i) => damaged(rule, 'from', at + i)) }),
      ...(egress === undefined ? {} : { egress: egress.map((rule, i) => damaged(rule, 'to', at + 2 * i)) }),
      ...(at % 10 === 0 ? { policyTypes: ['Ingres'] } : {}),
      ...(at % 7 === 0 ? { podSelector: { ...policy.spec.podSelector, matchExpressions: [{ key: 'tier', operator: 'Equals', values: ['x'] }] } } : {}),
    },
  }
})

export function clusterWith(policy: fc.Arbitrary<PolicySketch>): fc.Arbitrary<ClusterSketch> {
  return fc.record({
    namespaces: fc.record({ a: labels, b: labels, c: fc.option(labels, { nil: null, freq: 6 }) }),
    pods: fc.array(podSketch, { minLength: 1, maxLength: 7 }),
    policies: fc.array(policy, { minLength: 1, maxLength: 4 }),
    nodes: fc.constant(3),
  })
}

export const clusterSketch: fc.Arbitrary<ClusterSketch> = clusterWith(policySketch)

/** `again` is the rarer case: an edit keeps the UID. */
const again = fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) })
const gone = { nil: null, freq: 5 } as const

export const changeSketch: fc.Arbitrary<ChangeSketch> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('pod' as const), slot: fc.integer({ min: 1, max: 8 }), again, pod: fc.option(podSketch, gone) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('policy' as const), slot: fc.integer({ min: 1, max: 4 }), again, policy: fc.option(policySketch, gone) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('namespace' as const), name: namespace, again, labels: fc.option(labels, gone) }) },
)
