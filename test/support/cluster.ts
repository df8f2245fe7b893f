// Clusters of any size for tests of work and memory: namespaces of 50 pods, 110 pods a node, five labels a pod, policies and selectors to match.
//
// **Invariant:** a pod's neighbourhood (its namespace, node, labels and selectors) is the same in a cluster of any size.
import type { Decoded, SourceEvent } from '../../src/model/changes.ts'
import type { Namespace, Node, Pod } from '../../src/model/objects.ts'
import type { Policy } from '../../src/model/policy.ts'
import type { PodSelector } from '../../src/model/selector.ts'
import { labels, namespace, node, pod, podPeer, podsIn, podsOf, policy } from './builders.ts'

export interface Cluster {
  readonly namespaces: readonly Namespace[]
  readonly nodes: readonly Node[]
  readonly pods: readonly Pod[]
  /** Five a namespace; each allows ingress from one of `selectors`. */
  readonly policies: readonly Policy[]
  /** Five a namespace, four of which look into it by name and one into the namespaces of its team. */
  readonly selectors: readonly PodSelector[]
}

const PODS_A_NAMESPACE = 50
const PODS_A_NODE = 110

/** `pods`: how many, at most 65,536 (one IPv4 /16, one IPv6 /112). */
export function cluster(pods: number): Cluster {
  const spaces = Array.from({ length: Math.ceil(pods / PODS_A_NAMESPACE) }, (_, i) => i)
  const selectors = spaces.flatMap((i) => [
    ...[0, 1, 2, 3].map((app) => podsOf(`ns${i}`, `app=app${app}, env=prod`)),
    podsIn(`team=team${i >> 2}`, 'app=app4'),
  ])
  return {
    selectors,
    namespaces: spaces.map((i) => namespace({ name: `ns${i}`, labels: { team: `team${i >> 2}` } })),
    nodes: Array.from({ length: Math.ceil(pods / PODS_A_NODE) }, (_, i) => node({ name: `node${i}`, addresses: [`172.16.${i >> 8}.${i & 255}`] })),
    pods: Array.from({ length: pods }, (_, i) => clusterPod(i)),
    policies: selectors.map((from, i) =>
      policy({ namespace: `ns${Math.floor(i / 5)}`, name: `policy${i % 5}`, pods: { app: `app${i % 5}` }, ingress: [{ peers: [podPeer(from)] }] }),
    ),
  }
}

function clusterPod(i: number): Pod {
  const app = `app${i % 5}`
  return pod({
    namespace: `ns${Math.floor(i / PODS_A_NAMESPACE)}`,
    name: `${app}-${i}`,
    node: `node${Math.floor(i / PODS_A_NODE)}`,
    addresses: [`10.1.${i >> 8}.${i & 255}`, `fd00::${(i + 1).toString(16)}`],
    labels: labels({ app, env: 'prod', tier: i % 2 === 0 ? 'front' : 'back', 'pod-template-hash': `hash${Math.floor(i / 10)}`, pod: `${app}-${i}` }),
  })
}

export function good<Row>(row: Row): Decoded<Row> {
  return { kind: 'good', row, problems: [] }
}

/** What sources say of the cluster when they start: a whole list of each kind. */
export function listsOf({ namespaces, nodes, pods, policies }: Cluster): readonly SourceEvent[] {
  return [
    { verb: 'replace', kind: 'namespace', rows: new Map(namespaces.map((row) => [row.uid, good(row)])) },
    { verb: 'replace', kind: 'node', rows: new Map(nodes.map((row) => [row.uid, good(row)])) },
    { verb: 'replace', kind: 'pod', rows: new Map(pods.map((row) => [row.uid, good(row)])) },
    { verb: 'replace', kind: 'policy', rows: new Map(policies.map((row) => [row.uid, good(row)])) },
    { verb: 'replace', kind: 'interface', rows: new Map() },
  ]
}
