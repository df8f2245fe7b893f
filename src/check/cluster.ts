// The check from outside: what the API says, what policies will do, and what pods on the nodes saw, as one report.
//
// **Invariant:** the report tells of every node that was asked for, and of the cluster, whatever failed in between.
import type { Transport } from '../kube/transport.ts'
import { PicketError } from '../lib/errors.ts'
import { by } from '../lib/sorting.ts'
import { unattached } from './attached.ts'
import { readCluster, type ClusterFacts } from './cluster-facts.ts'
import { AGENT_LABELS, PICKET_NAMESPACE } from './installed.ts'
import { compile, type Compiled } from './compiled.ts'
import type { PolicyEffect } from './effects.ts'
import { imageName } from './engines.ts'
import { named, warning, type Finding, type PlacedFinding } from './finding.ts'
import { judgeCluster } from './judge-cluster.ts'
import { askNodes, type NodeAnswer } from './node-pods.ts'
import { interfacesOf } from './node-report.ts'
import { judgePolicies } from './policies.ts'
import type { DaemonSetFacts } from './raw.ts'

export interface ClusterCheckOptions {
  readonly transport: Transport
  /** Of the pods; null: that of the installed DaemonSet, else `usualImage`. */
  readonly image: string | null
  readonly usualImage: string
  /** Names of nodes; 'all' for all of them, 'none' for the API alone. */
  readonly nodes: 'all' | 'none' | readonly string[]
  readonly signal: AbortSignal
  readonly announce: (text: string) => void
}

export interface ClusterReport {
  readonly findings: readonly PlacedFinding[]
  readonly policies: readonly PolicyEffect[]
}

/** Milliseconds: more is told, as certificates and logs would suffer. */
const MOST_SKEW = 30_000
/** ApiFailure where the server cannot be asked; PicketError NoSuchNode. */
export async function checkCluster(options: ClusterCheckOptions): Promise<ClusterReport> {
  const facts = await readCluster(options.transport, options.signal)
  const compiled = compile(facts.events)
  const nodes = chosen(options.nodes, facts)
  const blind = facts.unread.some(({ what }) => ['pods', 'namespaces', 'networkpolicies'].includes(what))
  const hasNodeLocalDns = facts.daemonSets.some(({ images }) => images.some((image) => imageName(image).endsWith('k8s-dns-node-cache')))
  const policies = blind ? { findings: [], effects: [] } : judgePolicies(compiled, facts.services, hasNodeLocalDns)
  const installed = facts.agents?.daemonSet ?? null
  const asked = nodes.map((name) => ({ name, hasAgent: hasAgent(name, compiled) }))
  const image = options.image ?? installed?.images[0] ?? options.usualImage
  const answers = asked.length === 0 ? [] : await askNodes({ ...options, image, nodes: asked })
  const ofCluster = [...judgeCluster(facts), ...policies.findings].map((one) => ({ node: null, ...one }))
  const ofNodes: PlacedFinding[] = []
  for (const answer of [...answers].sort(by(({ node }) => node))) {
    const missing = installed !== null && !hasAgent(answer.node, compiled) ? [notThere(installed)] : []
    ofNodes.push(...[...(await judgeAnswer(answer, compiled, options)), ...missing].map((one) => ({ node: answer.node, ...one })))
  }
  return { findings: [...ofCluster, ...ofNodes], policies: policies.effects }
}

/** Those on which a pod can run: Linux, ready. */
function chosen(nodes: ClusterCheckOptions['nodes'], facts: ClusterFacts): readonly string[] {
  if (nodes === 'none') return []
  const usable = facts.nodes.filter(({ os, ready }) => ready && (os === '' || os === 'linux')).map(({ name }) => name)
  if (nodes === 'all') return usable
  const unknown = nodes.filter((name) => !facts.nodes.some((one) => one.name === name))
  if (unknown.length > 0 && !facts.unread.some(({ what }) => what === 'nodes')) {
    throw new PicketError('NoSuchNode', `node ${unknown.join(', ')}: expected a Node of the cluster: ${named(facts.nodes.map(({ name }) => name), 10) || 'it has none'}`)
  }
  return nodes
}

function hasAgent(node: string, { snapshot }: Compiled): boolean {
  return [...snapshot.pods.where('node+namespace', `${node}/${PICKET_NAMESPACE}`)].some((pod) => !pod.finished && Object.entries(AGENT_LABELS).every(([key, value]) => pod.labels.get(key) === value))
}

function notThere({ name }: DaemonSetFacts): Finding {
  return warning('agent', `DaemonSet ${PICKET_NAMESPACE}/${name} is there, and no pod of it is on this node`, 'see its nodeSelector and tolerations, and its events')
}

async function judgeAnswer({ node, answer }: NodeAnswer, compiled: Compiled, { transport, signal }: ClusterCheckOptions): Promise<readonly Finding[]> {
  if ('level' in answer) return [answer]
  const { report, at } = answer
  const lost = await unattached(transport, node, compiled, interfacesOf(report), signal)
  const skew = Math.abs(at - Date.parse(report.time))
  return [
    // Who is not attached tells more than how many interfaces there are.
    ...report.findings.filter(({ check, level }) => lost.length === 0 || check !== 'attachment' || level !== 'ok'),
    ...lost,
    ...(skew > MOST_SKEW ? [warning('clock', `its clock differs from this machine's by ${Math.round(skew / 1000)} s`, 'synchronise the clocks: certificates and tokens depend on them')] : []),
  ]
}
