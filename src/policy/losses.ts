// What changed in the plan -> the local pods that may have lost an allowance.
//
// **Invariant:** a pod too many costs time, a pod too few leaves a connection open that is no longer allowed: whatever
// could take something away counts. A pod that is open in both directions has lost nothing.
import type { PodUid } from '../model/objects.ts'
import { DIRECTIONS } from '../model/policy.ts'
import { bridgesOf, interfacesOf, type Attachment, type PlanDelta, type ProfileId, type SetId } from './plan.ts'
import type { PolicyPlan } from './step.ts'

export interface Losses {
  readonly pods: ReadonlySet<PodUid>
  /** Nothing that is said by policies or peers changed at all: nothing came back either. */
  readonly nothing: boolean
}

/** `plan` after the step that told `delta`. */
export function lossesOf(delta: PlanDelta, plan: PolicyPlan): Losses {
  const nothing = delta.profiles.size + delta.attachments.size + delta.members.size + delta.unions.size === 0
  const pods = new Set<PodUid>()
  if (nothing) return { pods, nothing }
  for (const [uid, { before, after }] of delta.attachments) {
    const moved = ledBy(before) !== ledBy(after) || after?.closed === true
    for (const direction of DIRECTIONS) {
      if (after !== null && (after[direction] !== 'open' || after.closed) && (moved || after[direction] !== before?.[direction])) pods.add(uid)
    }
    // Several pods behind one interface lose everything, also those that were there before.
    // So may several pods of a bridge with one source prefix.
    for (const other of after === null ? [] : twinsOf(after, plan)) pods.add(other)
    for (const name of interfacesOf(after ?? undefined)) if (plan.behind(name).size > 1) for (const other of plan.behind(name)) pods.add(other)
  }
  const profiles = changedProfiles(delta, plan)
  if (profiles.size === 0) return { pods, nothing }
  for (const [uid, { attachment }] of plan.locals) {
    if (DIRECTIONS.some((direction) => profiles.has(attachment[direction]))) pods.add(uid)
  }
  return { pods, nothing }
}

function ledBy(attachment: Attachment | null): string {
  return JSON.stringify([attachment?.by, attachment?.sourcePrefixes.map((prefix) => prefix.text)])
}

function twinsOf(pod: Attachment, plan: PolicyPlan): readonly PodUid[] {
  const bridges = pod.sourcePrefixes.length === 0 ? [] : bridgesOf(pod)
  if (bridges.length === 0) return []
  return [...plan.locals].flatMap(([uid, { attachment }]) => {
    const isTwin = uid !== pod.pod && bridgesOf(attachment).some((name) => bridges.includes(name)) && attachment.sourcePrefixes.some(({ text }) => pod.sourcePrefixes.some((prefix) => prefix.text === text))
    return isTwin ? [uid] : []
  })
}

/** Those that say something else now, and those that read a set from which a member went. */
function changedProfiles(delta: PlanDelta, plan: PolicyPlan): ReadonlySet<ProfileId> {
  const profiles = new Set<ProfileId>()
  for (const [id, { before, after }] of delta.profiles) if (before !== null && after !== null) profiles.add(id)
  const sets = new Set<SetId>()
  for (const [id, { removed }] of delta.members) if (removed.length > 0) sets.add(id)
  for (const changes of delta.unions.values()) for (const { source, removed } of changes) if (removed.length > 0) sets.add(source)
  for (const id of plan.profiles.reading(sets)) profiles.add(id)
  return profiles
}
