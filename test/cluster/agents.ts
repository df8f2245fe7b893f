// The agents of the test cluster, asked over their own sockets: what they hold, and until when they have followed.
//
// **Invariant:** "settled" means that the kernel of each node holds what the API server said up to the versions asked for.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { getOver } from '../../src/lab/agent-status.ts'
import { api, type KubeObject } from './api.ts'
import type { NodePlace } from './layout.ts'
import { pidOf, statusOf } from './pods.ts'
import { until } from './processes.ts'

export interface AgentStatus {
  readonly ready: boolean
  readonly enforced: boolean
  readonly settled: boolean
  readonly waitingFor?: string
  readonly revision: number
  readonly cluster: { readonly resources: readonly { readonly resource: string; readonly synced: boolean; readonly resourceVersion: string | null; readonly lastError: string | null }[] }
  readonly counts: Readonly<Record<string, number>>
  readonly problems: readonly { readonly code: string; readonly message: string }[]
  readonly canary?: { readonly result: string; readonly message: string }
}

/** Query for the agents' pods in picket-system. */
export const AGENT_PODS = 'labelSelector=app.kubernetes.io/name%3Dpicket,app.kubernetes.io/component%3Dagent'

/** Path, from outside of the node's mounts, of what is below its own /run. */
export function runPath(node: NodePlace, file: string): string {
  const holder = readFileSync(path.join(node.folder, 'holder'), 'utf8')
  return path.join('/proc', holder, 'root/run', file)
}

/** Null where no agent answers. */
export async function agentStatus(node: NodePlace): Promise<AgentStatus | null> {
  try {
    const answer = await getOver(runPath(node, 'picket/agent.sock'), '/status', 5000)
    return answer.status === 200 ? (JSON.parse(answer.body) as AgentStatus) : null
  } catch {
    return null
  }
}

/** Waits until every node's kernel holds the API server's state at these versions, by resource (`pods`). */
export async function settled(nodes: readonly NodePlace[], versions: Readonly<Record<string, string | undefined>> = {}, timeout = 30_000): Promise<void> {
  for (const node of nodes) {
    let last: AgentStatus | null = null
    await until(`the agent of ${node.name} has followed to ${JSON.stringify(versions)}`, timeout, async () => {
      const status = await agentStatus(node)
      last = status
      if (status === null || !status.ready || !status.settled) return null
      const at = new Map(status.cluster.resources.map((one) => [one.resource, one.resourceVersion]))
      const reached = Object.entries(versions).every(([resource, version]) => version === undefined || BigInt(at.get(resource) ?? '0') >= BigInt(version))
      return reached ? true : null
    }, () => JSON.stringify(last)?.slice(0, 800) ?? '')
  }
}

/** The first word of each node's canary is that the table does what it should, in both families, with nothing to add. */
export async function proven(nodes: readonly NodePlace[]): Promise<void> {
  for (const node of nodes) {
    const canary = await until(`a word of the canary of ${node.name}`, 15_000, async () => {
      const said = (await agentStatus(node))?.canary
      return said === undefined || said.result === 'pending' ? null : said
    })
    assert.deepEqual([canary.result, canary.message], ['ok', ''], node.name)
  }
}

/** The pod of the node's agent, which runs; AssertionError where none does. */
export async function agentPod(node: NodePlace): Promise<KubeObject> {
  const found = await api.list('v1', 'Pod', 'picket-system', `?${AGENT_PODS}&fieldSelector=spec.nodeName%3D${node.name}`)
  const living = found.filter((pod) => pod.metadata['deletionTimestamp'] === undefined && statusOf(pod).containerStatuses?.[0]?.state?.running !== undefined)
  assert.ok(living[0] !== undefined, `${node.name} has no running agent`)
  return living[0]
}

/** Waits until another process than `pid` is the node's agent, and ready. */
export async function untilOtherAgent(node: NodePlace, pid: number): Promise<void> {
  await until(`another agent is ready on ${node.name}`, 60_000, async () => {
    try {
      if (pidOf(await agentPod(node)) === pid) return null
    } catch {
      return null
    }
    return (await agentStatus(node))?.ready === true ? true : null
  })
}
