// The node's status with its own way to the API server: opened where the objects come from there, and the settings want it.
//
// **Invariant:** nothing of the Kubernetes client is loaded for a folder of manifests, of which there is nobody to tell.
import type { Kernel } from '../kernel/kernel.ts'
import type { AgentConfig } from '../settings.ts'
import type { Closable, PlanFollower } from './follower.ts'
import type { Measures } from './measures.ts'
import type { NodeEnforcementParts } from './node-enforcement.ts'

const FIELD_MANAGER = 'picket-agent'

export interface NodeStatusOptions extends Pick<NodeEnforcementParts, 'clock' | 'turns' | 'problems' | 'committer' | 'cluster' | 'canary' | 'audit' | 'missing'> {
  readonly config: AgentConfig
  readonly kernel: Kernel
  readonly measures: Measures
}

export interface NodeStatus {
  readonly followers: readonly PlanFollower[]
  /** To be closed in reverse. */
  readonly closables: readonly Closable[]
}

export async function openNodeStatus(options: NodeStatusOptions): Promise<NodeStatus> {
  const { config: { source, nodeName, nodeStatus }, clock, kernel, measures } = options
  if (source.kind === 'manifests' || !nodeStatus) return { followers: [], closables: [] }
  const [{ transportFor }, { WRITE_LIMITS }, { ObjectWriter }, { NodeObject }, { NodeEnforcement }] = await Promise.all([
    import('../kube/source.ts'),
    import('../kube/transport.ts'),
    import('../kube/object-writer.ts'),
    import('../report/node-object.ts'),
    import('./node-enforcement.ts'),
  ])
  const transport = transportFor(source, clock, WRITE_LIMITS)
  const object = new NodeObject(new ObjectWriter({ transport, clock, fieldManager: FIELD_MANAGER }))
  const node = new NodeEnforcement({ ...options, nodeName, object, onWrite: (result) => measures.statusWritten(result), nftables: kernel.description, random: Math.random })
  return { followers: [node], closables: [transport, node] }
}
