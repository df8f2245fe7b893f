// One policy's state -> the status of its PolicyEnforcement, and whether one status says more than another besides counts.
//
// **Invariant:** every text and list is within the bounds of the schema.
import { LISTED_NODES, type DirectionPeers, type FailedNode, type PolicyEnforcementStatus, type PolicyWarning } from '../crd/policy-enforcement.ts'
import { MESSAGE_LENGTH, type Condition } from '../crd/shared.ts'
import { clipped } from '../lib/clipped.ts'
import { by, byText } from '../lib/sorting.ts'
import type { Pod, PodUid } from '../model/objects.ts'
import type { Policy } from '../model/policy.ts'
import { programmedMessage } from './conditions.ts'
import type { PolicyVersion } from './first-seen.ts'
import type { DirectionParts, PolicyParts } from './parts.ts'
import type { Places } from './places.ts'
import type { WatchedSelectors } from './watched.ts'

export interface Summarized {
  readonly policy: Policy
  readonly version: PolicyVersion
  readonly parts: PolicyParts
  readonly places: Places
  readonly conditions: readonly Condition[]
  readonly warnings: readonly PolicyWarning[]
}

export function statusOf({ policy, version, parts, places, conditions, warnings }: Summarized, watched: WatchedSelectors): PolicyEnforcementStatus {
  const time = places.timeToEnforce()
  const failed = places.in('failed').flatMap(([name, { failure }]) => (failure === null ? [] : [{ name, reason: failure.reason, message: clipped(failure.message, MESSAGE_LENGTH), since: failure.since }]))
  const { nodes } = places
  return {
    policyGeneration: version.generation,
    policyRef: { name: policy.name, uid: policy.uid, resourceVersion: version.resourceVersion },
    conditions: conditions.map((one) => (one.type === 'Programmed' ? { ...one, message: programmedMessage(places) } : one)),
    nodes,
    failedNodes: failed.slice(0, LISTED_NODES),
    moreFailedNodes: Math.max(0, failed.length - LISTED_NODES),
    selectedPods: watched.members(parts.selected.id).size,
    isolates: [...(policy.isolates.ingress ? (['Ingress'] as const) : []), ...(policy.isolates.egress ? (['Egress'] as const) : [])],
    peers: { ingress: peersOf(parts.ingress, watched), egress: peersOf(parts.egress, watched) },
    ...(time === null ? {} : { timeToEnforce: time }),
    warnings,
    summary: {
      nodes: `${nodes.programmed}/${nodes.desired}`,
      timeToEnforce: time === null ? '<unknown>' : time.nodes === 1 ? `${time.maxMs}ms` : `${time.p50Ms}ms (max ${time.maxMs}ms)`,
      warnings: warnings.length === 0 ? '<none>' : warnings.map(({ type }) => type).join(','),
    },
  }
}

function peersOf({ everyone, peers, blocks }: DirectionParts, watched: WatchedSelectors): DirectionPeers {
  return { everyone, pods: distinctPods(peers, watched), ipBlocks: blocks.length }
}

/** The largest selector is not walked through: with one selector, by far the commonest, there is nothing to count. */
function distinctPods(peers: DirectionParts['peers'], watched: WatchedSelectors): number {
  const sets = [...new Set(peers.map(({ selector }) => selector.id))].map((id) => watched.members(id)).sort((a, b) => b.size - a.size)
  return sets.reduce((sum, members, index) => sum + (index === 0 ? members.size : countUnless(members, sets.slice(0, index))), 0)
}

function countUnless(members: ReadonlyMap<PodUid, Pod>, counted: readonly ReadonlyMap<PodUid, Pod>[]): number {
  let count = 0
  for (const uid of members.keys()) if (!counted.some((one) => one.has(uid))) count += 1
  return count
}

/**
 * What a write would tell: a transition (another generation, condition, warning, or node that fails), only other numbers and
 * texts (counts), or nothing. `written` null: there is no object yet.
 */
export function newsOf(written: PolicyEnforcementStatus | null, wanted: PolicyEnforcementStatus): 'transition' | 'counts' | 'nothing' {
  if (written === null || transitionOf(written) !== transitionOf(wanted)) return 'transition'
  return countsOf(written) === countsOf(wanted) ? 'nothing' : 'counts'
}

/** A fingerprint of all that somebody may wait for. */
export function transitionOf(status: PolicyEnforcementStatus): string {
  const conditions = status.conditions.map(({ type, status: value, reason, lastTransitionTime }) => [type, value, reason, lastTransitionTime])
  const failed = status.failedNodes.map(({ name, reason }: FailedNode) => [name, reason])
  return JSON.stringify([status.policyRef.uid, status.policyGeneration, conditions.sort(by(String)), failed, status.isolates, status.warnings.map(({ type }) => type).sort(byText)])
}

/** A fingerprint of everything. Fields, and items that are told apart by their type, in any order: what comes back from the API server has its own. */
export function countsOf(status: PolicyEnforcementStatus): string {
  return JSON.stringify(ordered(status))
}

function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered).sort(by(typeOf))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).sort(by(([key]) => key)).map(([key, one]) => [key, ordered(one)]))
}

function typeOf(item: unknown): string {
  return typeof item === 'object' && item !== null && 'type' in item ? String(item.type) : ''
}
