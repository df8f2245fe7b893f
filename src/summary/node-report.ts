// What one node says of itself (its NodeEnforcement), and what follows from it for one policy with pods there.
//
// **Invariant:** a node is programmed for a policy by its own word only; whatever is missing, unlisted or cannot be compared makes it
// pending, and silence makes it stale.
import type { NodeEnforcementStatus, NodeFailure, PolicyCommit } from '../crd/node-enforcement.ts'
import type { Condition } from '../crd/shared.ts'
import { compareVersions } from '../lib/versions.ts'
import type { PolicyUid, Uid } from '../model/objects.ts'
import type { PolicyVersion } from './first-seen.ts'

export type NodeState = 'programmed' | 'pending' | 'failed' | 'stale'
export const NODE_STATES: readonly NodeState[] = ['programmed', 'pending', 'failed', 'stale']

export interface NodeReport {
  /** Name of the object, and of the Node. */
  readonly node: string
  /** UID of the Node that owns it; null where it says none. */
  readonly owner: Uid | null
  /** resourceVersion of NetworkPolicies that the last committed revision covers; null where it does not say. */
  readonly observed: string | null
  /** Of NetworkPolicies: by UID where it is told, else by namespace/name. */
  readonly failures: ReadonlyMap<string, NodeFailure>
  /** Every failure is in the list. */
  readonly isWhole: boolean
  readonly committed: ReadonlyMap<PolicyUid, readonly PolicyCommit[]>
  /** The operator's own condition, as it stands there. */
  readonly reporting: Condition | null
  /** All of them, as they stand there. */
  readonly conditions: readonly Condition[]
}

export interface NodeVerdict {
  readonly state: NodeState
  /** Of a failed one only. */
  readonly failure: NodeFailure | null
}

export interface NamedPolicy {
  readonly uid: PolicyUid
  readonly namespace: string
  readonly name: string
}

export function reportOf(node: string, owner: Uid | null, status: NodeEnforcementStatus): NodeReport {
  const listed = status.failures ?? []
  const failures = new Map<string, NodeFailure>()
  for (const failure of listed) {
    const { kind, namespace, name, uid } = failure.ref
    const key = uid ?? `${namespace}/${name}`
    if (kind === 'NetworkPolicy' && !failures.has(key)) failures.set(key, failure)
  }
  const committed = new Map<PolicyUid, PolicyCommit[]>()
  for (const one of status.committed ?? []) {
    const before = committed.get(one.uid)
    if (before === undefined) committed.set(one.uid, [one])
    else before.push(one)
  }
  return Object.freeze({
    node,
    owner,
    observed: status.observedResourceVersions?.['networkpolicies'] ?? null,
    failures,
    isWhole: (status.failuresTotal ?? 0) <= listed.length,
    committed,
    reporting: status.conditions?.find(({ type }) => type === 'Reporting') ?? null,
    conditions: status.conditions ?? [],
  })
}

/** "Each node with a selected pod is exactly one of programmed, pending, failed, stale (no NodeEnforcement: stale)." */
export function judgeNode(policy: NamedPolicy, version: PolicyVersion, report: NodeReport | null, isAlive: boolean): NodeVerdict {
  if (report === null || !isAlive) return STALE
  const failure = report.failures.get(policy.uid) ?? report.failures.get(`${policy.namespace}/${policy.name}`)
  if (failure !== undefined) return { state: 'failed', failure }
  // "While it exceeds the list, every unlisted policy with pods there counts as pending."
  if (!report.isWhole) return PENDING
  return hasObserved(report, version) || latencyOf(report, version) !== null ? PROGRAMMED : PENDING
}

/** "... when the resourceVersion at which its generation was first seen is not newer than the node's observed one" */
function hasObserved({ observed }: NodeReport, { resourceVersion }: PolicyVersion): boolean {
  const order = observed === null ? null : compareVersions(resourceVersion, observed)
  return order !== null && order <= 0
}

/**
 * Milliseconds that this generation took there, its first commit; null where the node does not tell it. Who tells it has it in its
 * kernel, even where the operator saw the generation late, under a version that this node has no cause to write again for.
 */
export function latencyOf(report: NodeReport, { uid, generation }: PolicyVersion): number | null {
  return report.committed.get(uid)?.find((one) => one.generation === generation)?.latencyMs ?? null
}

const STALE: NodeVerdict = Object.freeze({ state: 'stale', failure: null })
const PENDING: NodeVerdict = Object.freeze({ state: 'pending', failure: null })
const PROGRAMMED: NodeVerdict = Object.freeze({ state: 'programmed', failure: null })
