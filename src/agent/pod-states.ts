// What each pod of this node is, as the kernel holds it: isolated by a policy, open, or pending (not programmed yet).
//
// **Invariant:** a change costs what it touches; what a commit has not acknowledged is not counted as done.
import type { Changes, Revision } from '../model/changes.ts'
import type { PodUid } from '../model/objects.ts'
import type { Attachment } from '../policy/plan.ts'

type PodState = 'isolated' | 'open' | 'pending'

export interface PodCounts {
  readonly isolated: number
  readonly open: number
  readonly pending: number
}

export class PodStates {
  readonly #held = new Map<PodUid, PodState>()
  /** The state that a revision brings; null: the pod is gone. */
  readonly #waiting = new Map<PodUid, { readonly revision: Revision; readonly state: PodState | null }>()

  planned(revision: Revision, attachments: Changes<PodUid, Attachment>): void {
    for (const [uid, { after }] of attachments) this.#waiting.set(uid, { revision, state: after === null ? null : stateOf(after) })
  }

  held(revision: Revision): void {
    for (const [uid, { revision: since, state }] of this.#waiting) {
      if (since > revision) continue
      this.#waiting.delete(uid)
      if (state === null) this.#held.delete(uid)
      else this.#held.set(uid, state)
    }
  }

  /** Visits the pods of this node. `stuck`: the kernel does not take what is wanted, so that pods that wait for it are pending. */
  counts(stuck: boolean): PodCounts {
    const counts = { isolated: 0, open: 0, pending: 0 }
    const isWaiting = (uid: PodUid): boolean => stuck && (this.#waiting.get(uid)?.state ?? null) !== null
    for (const [uid, state] of this.#held) if (!isWaiting(uid)) counts[state] += 1
    if (stuck) for (const { state } of this.#waiting.values()) if (state !== null) counts.pending += 1
    return counts
  }
}

function stateOf({ by, ingress, egress }: Attachment): PodState {
  if (by.length === 0) return 'pending'
  return ingress === 'open' && egress === 'open' ? 'open' : 'isolated'
}
