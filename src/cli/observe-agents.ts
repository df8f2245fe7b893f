// Which agents `picket observe` asks from outside: those of the nodes that host the pods in question, or all of them.
//
// **Invariant:** it only lists pods, and no more of them than the question is about; whom it cannot ask, or does not, it says.
import { AGENT_LABELS, PICKET_NAMESPACE } from '../check/installed.ts'
import type { Filter } from '../flows/filter.ts'
import { isMeant, isNamed, parseName, parseObject, type NamePattern, type ObjectPattern } from '../flows/name-pattern.ts'
import { eachItem } from '../kube/list.ts'
import type { Transport } from '../kube/transport.ts'
import { PicketError } from '../lib/errors.ts'
import { byText } from '../lib/sorting.ts'

export interface AgentPod {
  readonly node: string
  readonly pod: string
  readonly uid: string
}

export interface Targets {
  readonly agents: readonly AgentPod[]
  /** Nodes that are concerned and have no agent. */
  readonly without: readonly string[]
  /** What the choice leaves out; null for nothing. */
  readonly note: string | null
  /** All are asked since nobody knows where the pods in question are. */
  readonly isEverybody: boolean
}

interface PodItem {
  readonly metadata?: { readonly namespace?: unknown; readonly name?: unknown; readonly uid?: unknown; readonly creationTimestamp?: unknown; readonly deletionTimestamp?: unknown }
  readonly spec?: { readonly nodeName?: unknown }
  readonly status?: { readonly phase?: unknown }
}

const ENDS = ['pod', 'from-pod', 'to-pod'] as const
const SELECTOR = Object.entries(AGENT_LABELS).map(([key, value]) => `${key}=${value}`).join(',')

/** Throws ApiFailure, which names the right that is missing; NoAgents where none runs. */
export async function targetsOf(filter: Filter, transport: Transport, signal: AbortSignal): Promise<Targets> {
  const all = await agentPods(transport, signal)
  if (all.length === 0) throw new PicketError('NoAgents', `no agent runs in this cluster: expected pods of DaemonSet picket-agent in ${PICKET_NAMESPACE}; is Picket installed, and is this the cluster that you mean?`)
  const agents = all.filter(({ node }) => !filter.unwanted.some(({ name, values }) => name === 'node' && values.some((value) => isNode(value, node))))
  const named = filter.wanted.find(({ name }) => name === 'node')
  if (named !== undefined) {
    const meant = agents.filter(({ node }) => named.values.some((value) => isNode(value, node)))
    const without = named.values.filter((value) => !all.some(({ node }) => isNode(value, node)))
    return { agents: meant, without, note: null, isEverybody: false }
  }
  const patterns = patternsOf(filter)
  if (patterns.length === 0) return { agents, without: [], note: null, isEverybody: false }
  const hosts = await hostsOf(patterns, transport, signal)
  const names = filter.wanted.filter(({ name }) => (ENDS as readonly string[]).includes(name)).flatMap(({ values }) => values).join(', ')
  if (hosts.size === 0) return { agents, without: [], note: `no pod ${names} runs now: the agents of all nodes are asked`, isEverybody: true }
  const meant = agents.filter(({ node }) => hosts.has(node))
  const without = [...hosts].filter((node) => !all.some((agent) => agent.node === node))
  const hasBothEnds = ['from-pod', 'to-pod'].every((end) => filter.wanted.some(({ name }) => name === end))
  const note = hasBothEnds || meant.length === agents.length ? null : `asked are the nodes that host ${names} (${[...hosts].toSorted(byText).join(', ')}); what the node of the other end drops is told there: name that pod, too, or ask every node with --node '*'`
  return { agents: meant, without, note, isEverybody: false }
}

function isNode(value: string, node: string): boolean {
  const pattern = parseName(value)
  return pattern !== null && isNamed(pattern, node)
}

function patternsOf({ wanted }: Filter): readonly ObjectPattern[] {
  const namespaces = wanted.filter(({ name }) => name === 'namespace').flatMap(({ values }) => values).map(parseName).filter((one) => one !== null)
  return wanted.filter(({ name }) => (ENDS as readonly string[]).includes(name)).flatMap(({ values }) => values).map((value) => parseObject(value, namespaces)).filter((one) => one !== null)
}

/** One a node: the newest that has not ended. */
async function agentPods(transport: Transport, signal: AbortSignal): Promise<readonly AgentPod[]> {
  const newest = new Map<string, AgentPod & { readonly rank: string }>()
  await eachPod(transport, { namespace: PICKET_NAMESPACE, query: { labelSelector: SELECTOR } }, signal, ({ metadata, spec, status }) => {
    const { name, uid, creationTimestamp, deletionTimestamp } = metadata ?? {}
    const node = spec?.nodeName
    if (typeof name !== 'string' || typeof uid !== 'string' || typeof node !== 'string' || status?.phase === 'Succeeded' || status?.phase === 'Failed') return
    // One that is going answers until its successor runs.
    const rank = `${status?.phase === 'Running' ? 1 : 0} ${deletionTimestamp === undefined ? 1 : 0} ${String(creationTimestamp)}`
    const before = newest.get(node)
    if (before === undefined || before.rank < rank) newest.set(node, { node, pod: name, uid, rank })
  })
  return [...newest.values()].map(({ node, pod, uid }) => ({ node, pod, uid })).toSorted((a, b) => byText(a.node, b.node))
}

async function hostsOf(patterns: readonly ObjectPattern[], transport: Transport, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const hosts = new Set<string>()
  const scopes = new Map(patterns.flatMap((pattern) => scopesOf(pattern)).map((scope) => [JSON.stringify(scope), scope]))
  await Promise.all([...scopes.values()].map((scope) => eachPod(transport, scope, signal, ({ metadata, spec, status }) => {
    const { namespace, name } = metadata ?? {}
    if (typeof namespace !== 'string' || typeof name !== 'string' || typeof spec?.nodeName !== 'string') return
    if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return
    if (patterns.some((pattern) => isMeant(pattern, namespace, name))) hosts.add(spec.nodeName)
  })))
  return hosts
}

interface Scope {
  /** Null: all. */
  readonly namespace: string | null
  readonly query: Readonly<Record<string, string>>
}

/** As narrow as the pattern is. */
function scopesOf({ namespaces, name }: ObjectPattern): readonly Scope[] {
  const query: Readonly<Record<string, string>> = name.isPrefix ? {} : { fieldSelector: `metadata.name=${name.text}` }
  const isExact = (one: NamePattern): boolean => !one.isPrefix
  return namespaces.length > 0 && namespaces.every(isExact) ? namespaces.map(({ text }) => ({ namespace: text, query })) : [{ namespace: null, query }]
}

async function eachPod(transport: Transport, { namespace, query }: Scope, signal: AbortSignal, take: (pod: PodItem) => void): Promise<void> {
  const path = namespace === null ? '/api/v1/pods' : `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`
  await eachItem(transport, { plural: 'pods', group: '', path, query, message: null }, signal, () => (item) => {
    if (typeof item === 'object' && item !== null) take(item as PodItem)
  })
}
