// Named stories: a small cluster, and what happens to it. Each one is told in every way that expanders know.
//
// **Invariant:** a story says in its title which rule of semantics.md it is about, and its last state differs from its first.
import type { RawPeer, RawPolicy, RawPort } from '../support/manifests.ts'
import type { ChangeSketch, ClusterSketch, LabelSketch, PodSketch, PolicySketch } from '../support/states.ts'

export interface Story {
  readonly title: string
  readonly start: ClusterSketch
  readonly changes: readonly ChangeSketch[]
}

function pod(namespace: string, app: string, fields: Partial<PodSketch> = {}): PodSketch {
  const ports = [{ name: 'http', port: 80, where: 'first' as const }]
  return { namespace, labels: { app }, node: 1, families: 'both', life: 'running', hostNetwork: false, age: 0, ports, ...fields }
}

function policy(namespace: string, spec: RawPolicy['spec']): PolicySketch {
  return { namespace, spec }
}

const FROM_Y: RawPeer = { podSelector: { matchLabels: { app: 'y' } } }

function ingress(peers: readonly RawPeer[], ports: readonly RawPort[] = [{ port: 80 }]): RawPolicy['spec'] {
  return { podSelector: { matchLabels: { app: 'x' } }, policyTypes: ['Ingress'], ingress: [{ from: peers, ports }] }
}

/** Pods 1 (a, x) and 2 (a, y) on node 1, 3 (b, y) and 4 (b, x) on node 2; policy 1 in a: y may reach x at port 80. */
const BASE: ClusterSketch = {
  namespaces: { a: { team: 'one' }, b: { team: 'two' }, c: null },
  pods: [pod('a', 'x'), pod('a', 'y'), pod('b', 'y', { node: 2 }), pod('b', 'x', { node: 2 })],
  policies: [policy('a', ingress([FROM_Y]))],
  nodes: 3,
}

const setPod = (slot: number, to: PodSketch | null, again = false): ChangeSketch => ({ kind: 'pod', slot, again, pod: to })
const setPolicy = (slot: number, spec: RawPolicy['spec'] | null, again = false): ChangeSketch => ({ kind: 'policy', slot, again, policy: spec === null ? null : policy('a', spec) })
const setNamespace = (name: string, labels: LabelSketch | null, again = false): ChangeSketch => ({ kind: 'namespace', name, again, labels })

const TEAM_TWO: RawPeer = { namespaceSelector: { matchLabels: { team: 'two' } } }
const BLOCK = (cidr: string, ...except: readonly string[]): RawPeer => ({ ipBlock: { cidr, except } })
/** More peers than a port may have sets: they become one union. */
const MANY: readonly RawPeer[] = Array.from({ length: 12 }, (_, i) => (i % 4 === 3 ? BLOCK(`10.1.2.${i}/31`) : { podSelector: { matchLabels: { app: i === 0 ? 'y' : `z${i}` } } }))

export const STORIES: readonly Story[] = [
  { title: 'rule 27: a peer is relabelled, and back', start: BASE, changes: [setPod(2, pod('a', 'w')), setPod(2, pod('a', 'y')), setPod(3, pod('b', 'x', { node: 2 }))] },
  { title: 'rule 27: the selected pod is relabelled', start: BASE, changes: [setPod(1, pod('a', 'w')), setPod(1, pod('a', 'x')), setPod(1, pod('a', 'y'))] },
  {
    title: 'rule 27: a namespace is relabelled',
    start: { ...BASE, policies: [policy('a', ingress([TEAM_TWO]))] },
    changes: [setNamespace('b', { team: 'one' }), setNamespace('a', { team: 'two' }), setNamespace('b', { team: 'two' })],
  },
  {
    title: 'rule 7: policies come and go, and the verdict is their union',
    start: BASE,
    changes: [setPolicy(2, ingress([TEAM_TWO])), setPolicy(3, { podSelector: {}, policyTypes: ['Ingress'] }), setPolicy(1, null), setPolicy(2, null), setPolicy(1, ingress([FROM_Y], []))],
  },
  {
    title: 'rules 1, 5: isolation begins and ends',
    start: { ...BASE, policies: [] },
    changes: [setPolicy(1, { podSelector: {}, ingress: [] }), setPolicy(1, { podSelector: {}, ingress: [{}] }), setPolicy(1, null), setPolicy(1, { egress: [{ to: [FROM_Y] }] })],
  },
  {
    title: 'rules 31, 32: ports change inside a rule',
    start: BASE,
    changes: [
      setPolicy(1, ingress([FROM_Y], [{ port: 80 }, { port: 81 }])),
      setPolicy(1, ingress([FROM_Y], [{ port: 80, endPort: 90 }])),
      setPolicy(1, ingress([FROM_Y], [{ protocol: 'UDP' }, { port: 'http' }])),
    ],
  },
  {
    title: 'rules 46-52: ipBlocks change in place',
    start: { ...BASE, policies: [policy('a', ingress([BLOCK('10.1.0.0/16')]))] },
    changes: [
      setPolicy(1, ingress([BLOCK('10.1.0.0/16', '10.1.2.0/24')])),
      setPolicy(1, ingress([BLOCK('10.1.0.0/16', '10.1.2.0/24', '10.1.2.3/32'), BLOCK('10.1.2.4/31')])),
      setPolicy(1, ingress([BLOCK('0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1'), BLOCK('fd00:1::/32')])),
    ],
  },
  { title: 'more peers than one port may have sets', start: BASE, changes: [setPolicy(1, ingress(MANY)), setPod(2, pod('a', 'z1')), setPolicy(1, ingress(MANY.slice(1))), setPolicy(1, ingress(MANY.slice(0, 3)))] },
  {
    title: 'rules 35-37: named ports, other numbers on other pods',
    start: { ...BASE, policies: [policy('a', { podSelector: {}, ingress: [{ ports: [{ port: 'http' }] }], egress: [{ to: [{ namespaceSelector: {} }], ports: [{ port: 'http' }] }] })] },
    changes: [
      setPod(1, pod('a', 'x', { ports: [{ name: 'http', port: 8080, where: 'first' }] }), true),
      setPod(4, pod('b', 'x', { node: 2, ports: [{ name: 'http', port: 81, where: 'sidecar' }] }), true),
      setPod(4, pod('b', 'x', { node: 2, ports: [] }), true),
    ],
  },
  {
    title: 'rule 94: an address has a new owner before the old one is gone',
    start: BASE,
    changes: [setPod(2, pod('a', 'y', { life: 'terminating' })), setPod(5, pod('a', 'x', { takes: 2, age: 2 })), setPod(2, null)],
  },
  { title: 'rule 97: a pod is made again under its name, with other labels', start: BASE, changes: [setPod(2, pod('a', 'w'), true), setPod(1, pod('a', 'y', { age: 1 }), true), setPod(1, pod('a', 'x', { age: 2 }), true)] },
  { title: 'rule 93: pods finish', start: BASE, changes: [setPod(2, pod('a', 'y', { life: 'succeeded' })), setPod(3, pod('b', 'y', { node: 2, life: 'failed' })), setPod(2, pod('a', 'y'), true)] },
  { title: 'rule 96: a pod that terminates stays enforced and a peer', start: BASE, changes: [setPod(1, pod('a', 'x', { life: 'terminating' })), setPod(2, pod('a', 'y', { life: 'terminating' })), setPod(2, null)] },
  {
    title: 'rule 92: addresses come late, family by family',
    start: { ...BASE, pods: [pod('a', 'x', { families: 'none' }), pod('a', 'y', { families: 'none' }), ...BASE.pods.slice(2)] },
    changes: [setPod(1, pod('a', 'x', { families: 'four' })), setPod(2, pod('a', 'y', { families: 'six' })), setPod(1, pod('a', 'x')), setPod(2, pod('a', 'y'))],
  },
  {
    title: 'rule 100: a namespace is deleted and made again with other labels',
    start: { ...BASE, policies: [policy('a', ingress([TEAM_TWO]))] },
    changes: [setNamespace('b', null), setNamespace('b', { team: 'one' }, true), setNamespace('b', { team: 'two' }, true)],
  },
  { title: 'rule 100: a policy is deleted and made again under its name', start: BASE, changes: [setPolicy(1, ingress([TEAM_TWO]), true), setPolicy(1, null), setPolicy(1, ingress([FROM_Y]), true), setPolicy(1, { podSelector: {} })] },
  { title: 'rule 98: the policy comes before its pods and namespaces', start: { ...BASE, namespaces: { a: null, b: null, c: null }, pods: [] }, changes: [setPod(1, pod('a', 'x')), setNamespace('a', {}), setPod(2, pod('a', 'y'))] },
  { title: 'a pod moves to the other node', start: BASE, changes: [setPod(2, pod('a', 'y', { node: 2 }), true), setPod(1, pod('a', 'x', { node: 2 }), true), setPod(4, pod('a', 'x'), true)] },
  { title: 'rule 24: a pod gives way to one with hostNetwork', start: BASE, changes: [setPod(2, pod('a', 'y', { hostNetwork: true }), true), setPod(1, pod('a', 'x', { hostNetwork: true }), true), setPod(1, pod('a', 'x', { age: 1 }), true)] },
]
