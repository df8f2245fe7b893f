// What the API server says of the cluster: all that policies depend on, and what else runs that has to do with packets.
//
// Each kind is read once, in pages. **Invariant:** one kind that cannot be read is told and holds up no other; nothing is
// changed; where the server cannot be asked at all, that is an error at once.
import { ApiFailure } from '../kube/failures.ts'
import { eachItem, type Listed } from '../kube/list.ts'
import { getObject } from '../kube/objects.ts'
import { RESOURCES } from '../kube/resources.ts'
import { rowOf, type Rows } from '../kube/rows.ts'
import { Server } from '../kube/server.ts'
import type { Transport } from '../kube/transport.ts'
import type { ObjectKind } from '../decode/decode.ts'
import type { Problem } from '../lib/problem.ts'
import type { SourceEvent } from '../model/changes.ts'
import { parse } from 'yaml'
import { agentSettings, type AgentSettings } from './agent-settings.ts'
import { AGENT_CONFIG_MAP, AGENT_LABELS, PICKET_NAMESPACE } from './installed.ts'
import { daemonSetOf, nodeOf, serviceOf, type DaemonSetFacts, type NodeSummary, type ServiceFacts } from './raw.ts'

export interface ClusterFacts {
  /** `v1.37.2`; null where it does not say. */
  readonly version: string | null
  readonly versionProblem: Problem | null
  /** Namespaces, nodes, pods, policies: as a source says them. */
  readonly events: readonly SourceEvent[]
  readonly nodes: readonly NodeSummary[]
  readonly services: readonly ServiceFacts[]
  readonly daemonSets: readonly DaemonSetFacts[]
  /** Mode in its ConfigMap (empty: its default); null where there is no such ConfigMap. */
  readonly kubeProxyMode: string | null
  /** Null where no DaemonSet of Picket's is seen. */
  readonly agents: { readonly daemonSet: DaemonSetFacts; readonly settings: AgentSettings } | null
  /** What could not be read: what it is needed for, and why. */
  readonly unread: readonly { readonly what: string; readonly reason: string; readonly needed: boolean }[]
}

const SERVICES: Listed = { plural: 'services', group: '', path: '/api/v1/services' }
const DAEMON_SETS: Listed = { plural: 'daemonsets', group: 'apps', path: '/apis/apps/v1/daemonsets' }
const KUBE_PROXY = { plural: 'configmaps', group: '', path: '/api/v1/namespaces/kube-system/configmaps/kube-proxy' }
/** Failures that asking for something else would not mend. */
const OF_THE_SERVER: readonly string[] = ['Unreachable', 'CertificateNotTrusted', 'TlsFailed', 'Credentials', 'CredentialsRefused']

/** ApiFailure where the server cannot be asked at all. */
export async function readCluster(transport: Transport, signal: AbortSignal): Promise<ClusterFacts> {
  const server = new Server(transport, () => undefined)
  await server.wantsWatchList(signal)
  const unread: ClusterFacts['unread'][number][] = []
  const trying = async (what: string, needed: boolean, read: () => Promise<unknown>): Promise<void> => {
    try {
      await read()
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (!(error instanceof ApiFailure) || OF_THE_SERVER.includes(error.code)) throw error
      unread.push({ what, needed, reason: error.message })
    }
  }
  const events: SourceEvent[] = []
  let nodes: NodeSummary[] = []
  for (const resource of RESOURCES) {
    await trying(resource.plural, true, async () => {
      let rows: Rows = new Map()
      await eachItem(transport, resource, signal, () => {
        rows = new Map()
        if (resource.rows === 'node') nodes = []
        return (item) => {
          const { key, decoded } = rowOf(item, resource)
          rows.set(key, decoded as never)
          if (resource.rows === 'node') nodes.push(nodeOf(item))
        }
      })
      events.push(replaceOf(resource.rows, rows))
    })
  }
  let services: ServiceFacts[] = []
  await trying('services', false, () => eachItem(transport, SERVICES, signal, () => {
    services = []
    return (item) => void services.push(serviceOf(item))
  }))
  let daemonSets: DaemonSetFacts[] = []
  await trying('daemonsets', false, () => eachItem(transport, DAEMON_SETS, signal, () => {
    daemonSets = []
    return (item) => void daemonSets.push(daemonSetOf(item))
  }))
  let kubeProxyMode: string | null = null
  await trying('configmaps', false, async () => {
    kubeProxyMode = modeIn(await getObject(transport, KUBE_PROXY, signal))
  })
  const daemonSet = daemonSets.find(isOurs)
  let configMap: unknown = null
  if (daemonSet !== undefined) {
    await trying(`configmaps of ${PICKET_NAMESPACE}`, false, async () => {
      configMap = await getObject(transport, AGENT_CONFIG_MAP, signal)
    })
  }
  const agents = daemonSet === undefined ? null : { daemonSet, settings: agentSettings(daemonSet.args, configMap) }
  return { version: server.version, versionProblem: server.problem, events, nodes, services, daemonSets, kubeProxyMode, agents, unread }
}

function isOurs({ namespace, labels, images }: DaemonSetFacts): boolean {
  return namespace === PICKET_NAMESPACE && images.length > 0 && Object.entries(AGENT_LABELS).every(([key, value]) => labels[key] === value)
}

function replaceOf(kind: ObjectKind, rows: Rows): SourceEvent {
  return { verb: 'replace', kind, rows } as SourceEvent
}

/** `mode` in `config.conf`, as kubeadm and others write it. */
export function modeIn(configMap: unknown): string | null {
  const { data } = (configMap ?? {}) as { readonly data?: Readonly<Record<string, unknown>> }
  const text = data?.['config.conf'] ?? data?.['config']
  if (typeof text !== 'string') return null
  try {
    const { mode } = (parse(text) ?? {}) as { readonly mode?: unknown }
    return typeof mode === 'string' ? mode : ''
  } catch {
    return null
  }
}
