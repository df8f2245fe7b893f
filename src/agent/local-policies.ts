// Policies that select a pod of this node: which generation of each the kernel holds, and how long a new one took to get there.
//
//   event (arrived) -> turn (planned) -> commit -> held: the generation is committed, after so many milliseconds
//
// Only what came as an event of a watch has an arrival: an initial list, or one after a gap, tells of edits of long ago, and how
// long those took nobody knows. **Invariant:** a latency is of the first event of its generation, by one clock, and ends when the
// kernel has acknowledged; `changes` grows with whatever a policy's status may depend on, told with a latency or not.
import { shortHash } from '../lib/hash.ts'
import { byText } from '../lib/sorting.ts'
import type { Revision, SourceEvent } from '../model/changes.ts'
import type { PolicyUid } from '../model/objects.ts'
import type { PlanDelta } from '../policy/plan.ts'
import type { Turns } from './turn.ts'

export interface Committed {
  readonly uid: PolicyUid
  readonly generation: number
  readonly latencyMs: number
}

interface Arrival {
  readonly generation: number
  readonly at: number
}

interface Waiting {
  readonly generation: number
  readonly revision: Revision
  /** Null: it did not come as an event. */
  readonly at: number | null
  /** The kernel refuses it and holds it closed. */
  readonly isRefused: boolean
}

export class LocalPolicies {
  /** Grows when another policy, or another generation of one, is in the kernel for a pod of this node. */
  changes = 0
  readonly #turns: Pick<Turns, 'plan' | 'snapshot'>
  /** Of all policies of the cluster: an event of the same generation (of a label, say) is no new one. */
  readonly #said = new Map<PolicyUid, number>()
  #arrived = new Map<PolicyUid, Arrival>()
  /** Until the next turn: a list replaced all, so that any may be another. */
  #listed = false
  /** What arrives before the first turn waits for other resources to be read: that is no latency of a policy. */
  #started = false
  readonly #local = new Map<PolicyUid, number>()
  readonly #waiting = new Map<PolicyUid, Waiting>()
  /** The last turn after which one selects no pod here any more, while the kernel does not hold it; null for none. */
  #left: Revision | null = null

  constructor(turns: Pick<Turns, 'plan' | 'snapshot'>) {
    this.#turns = turns
  }

  /** How many select a pod of this node. */
  get size(): number {
    return this.#local.size
  }

  /** UIDs of those that select a pod of this node. */
  uids(): Iterable<PolicyUid> {
    return this.#local.keys()
  }

  /** A hash of the UIDs and generations of those that the kernel has, and of `besides`. */
  hash(besides: readonly string[]): string {
    const held = [...this.#local].filter(([uid]) => this.#waiting.get(uid)?.isRefused ?? true)
    return shortHash([...held.map(([uid, generation]) => `${uid} ${generation}`), ...besides].sort(byText).join('\n'), 16)
  }

  arrived(events: readonly SourceEvent[], now: number): void {
    for (const event of events) {
      if (event.kind !== 'policy') continue
      if (event.verb === 'delete') this.#gone(event.key)
      else if (event.verb === 'replace') {
        this.#listed = true
        this.#said.clear()
        this.#arrived.clear()
        for (const [uid, decoded] of event.rows) if (decoded.kind === 'good') this.#said.set(uid, decoded.row.generation)
      } else if (event.verb === 'upsert' && event.decoded.kind === 'good') this.#note(event.key, event.decoded.row.generation, now)
    }
  }

  #gone(uid: PolicyUid): void {
    this.#said.delete(uid)
    this.#arrived.delete(uid)
  }

  #note(uid: PolicyUid, generation: number, now: number): void {
    if (this.#said.get(uid) === generation) return
    this.#said.set(uid, generation)
    this.#arrived.set(uid, { generation, at: now })
  }

  /** A turn ended. `drained`: it took in all that arrived. */
  planned(revision: Revision, { profiles }: Pick<PlanDelta, 'profiles'>, drained: boolean): void {
    if (!this.#started) this.#arrived.clear()
    this.#started = true
    const touched = new Set<PolicyUid>(this.#listed ? this.#local.keys() : [])
    for (const { before, after } of profiles.values()) for (const profile of [before, after]) for (const { uid } of profile?.policies ?? []) touched.add(uid)
    if (drained) for (const uid of this.#arrived.keys()) touched.add(uid)
    for (const uid of touched) this.#look(uid, revision)
    if (!drained) return
    this.#arrived = new Map()
    this.#listed = false
  }

  #look(uid: PolicyUid, revision: Revision): void {
    const { plan, snapshot } = this.#turns
    const generation = plan.profiles.isUsing(uid) ? snapshot?.policies.get(uid)?.generation : undefined
    if (generation === undefined) {
      if (!this.#local.delete(uid)) return
      this.#waiting.delete(uid)
      this.#left = revision
      return
    }
    if (this.#local.get(uid) === generation) return
    this.#local.set(uid, generation)
    const arrival = this.#arrived.get(uid)
    this.#waiting.set(uid, { generation, revision, at: arrival?.generation === generation ? arrival.at : null, isRefused: false })
  }

  /** The generations with a latency that the kernel holds now and did not before; one that it `refuses` is committed when it takes it. */
  held(revision: Revision, now: number, refuses: (uid: PolicyUid) => boolean): readonly Committed[] {
    const committed: Committed[] = []
    if (this.#left !== null && this.#left <= revision) {
      this.changes += 1
      this.#left = null
    }
    for (const [uid, one] of this.#waiting) {
      if (one.revision > revision) continue
      const isRefused = refuses(uid)
      if (!one.isRefused) this.changes += 1
      if (isRefused) this.#waiting.set(uid, { ...one, isRefused })
      else this.#waiting.delete(uid)
      if (!isRefused && one.at !== null) committed.push({ uid, generation: one.generation, latencyMs: Math.max(0, Math.round(now - one.at)) })
    }
    return committed
  }
}
