// What changed in the plan -> the local pods that may have lost an allowance, and whether anything may have come back.
//
// **Invariant:** a pod too many costs time, a pod too few leaves a connection open that is no longer allowed: whatever
// could take something away counts.
import type { PodUid } from '../model/objects.ts'
import type { PlanDelta, ProfileId, SetId } from './plan.ts'
import type { PolicyPlan } from './step.ts'

export interface Losses {
  readonly pods: ReadonlySet<PodUid>
  /** Nothing that is said by policies or peers changed at all. */
  readonly nothing: boolean
}

/** `plan` after the step that told `delta`. */
export function lossesOf(delta: PlanDelta, plan: PolicyPlan): Losses {
  const nothing = delta.profiles.size + delta.attachments.size + delta.members.size + delta.unions.size === 0
  const pods = new Set<PodUid>()
  if (nothing) return { pods, nothing }
  for (const [uid, { before, after }] of delta.attachments) {
    if (after !== null) pods.add(uid)
    // Who else is behind its interface, or was: several pods there lose everything.
    for (const { interface: name } of [...(before?.by ?? []), ...(after?.by ?? [])]) for (const other of plan.behind(name)) pods.add(other)
  }
  const profiles = new Set<ProfileId>(delta.profiles.keys())
  const sets = new Set<SetId>()
  for (const [id, { removed }] of delta.members) if (removed.length > 0) sets.add(id)
  for (const changes of delta.unions.values()) for (const { source, removed } of changes) if (removed.length > 0) sets.add(source)
  for (const id of plan.profiles.reading(sets)) profiles.add(id)
  if (profiles.size > 0) {
    for (const [uid, { attachment }] of plan.locals) if (profiles.has(attachment.ingress) || profiles.has(attachment.egress)) pods.add(uid)
  }
  return { pods, nothing }
}
