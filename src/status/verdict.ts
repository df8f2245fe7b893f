// Whether one policy, as the API has it now, is told to be enforced; if not, why.
//
// Both ways of `picket status` go by it: what it shows, and what --wait waits for.
// **Invariant:** enforced is only what a status of this policy's UID says, of a generation that is not older; whatever is missing or of
// another policy of the name is told as that.
import type { Condition } from '../crd/shared.ts'
import { conditionOf, type PolicyFacts, type ToldFacts } from './facts.ts'

/** The worst first. */
export const POLICY_STATES = ['failed', 'invalid', 'untold', 'unknown', 'reconciling', 'programmed'] as const
export type PolicyState = (typeof POLICY_STATES)[number]

export interface Verdict {
  readonly state: PolicyState
  /** The condition's, or `NotTold`, `OldGeneration`, `OtherPolicy`. */
  readonly reason: string
  readonly message: string
  /** RFC 3339; null where nobody said anything yet. */
  readonly since: string | null
}

export function judgePolicy({ uid, generation }: PolicyFacts, told: ToldFacts | null): Verdict {
  if (told === null || told.status === null) return untold('NotTold', told === null ? 'no PolicyEnforcement speaks of it yet' : 'its PolicyEnforcement says nothing yet')
  if (told.policyUid !== uid) return untold('OtherPolicy', 'its PolicyEnforcement speaks of a policy of this name that was deleted')
  const { status } = told
  if (status.policyGeneration < generation) return untold('OldGeneration', `its PolicyEnforcement speaks of generation ${status.policyGeneration}, and the policy is at ${generation}`)
  const [accepted, programmed] = [conditionOf(status, 'Accepted'), conditionOf(status, 'Programmed')]
  if (accepted === null || programmed === null) return untold('NotTold', 'its PolicyEnforcement has no condition Accepted or Programmed')
  if (programmed.reason === 'NodeFailures') return said('failed', programmed)
  if (accepted.status !== 'True') return said('invalid', accepted)
  if (programmed.status === 'True') return said('programmed', programmed)
  return said(programmed.status === 'Unknown' ? 'unknown' : 'reconciling', programmed)
}

function said(state: PolicyState, { reason, message, lastTransitionTime }: Condition): Verdict {
  return { state, reason, message, since: lastTransitionTime }
}

function untold(reason: string, message: string): Verdict {
  return { state: 'untold', reason, message, since: null }
}
