// Policies that are gone from a namespace with pods here: the kernel has let go of them, whether they selected one of these pods or not.
//
// Nobody can ask a node about an object that is no more. Whoever waits until a deletion is in every kernel (`picket status --wait`)
// knows of the object its namespace, and so which nodes have to say that they have observed its end: those that write because of it.
// **Invariant:** it is told only when the kernel holds a revision without the policy.
import type { Revision, SourceEvent } from '../model/changes.ts'
import type { PolicyUid } from '../model/objects.ts'
import type { PodTable } from '../store/snapshot.ts'

export class GonePolicies {
  readonly #pods: Pick<PodTable, 'where'>
  readonly #node: string
  readonly #onGone: () => void
  /** Of all policies of the cluster; null: it cannot be read. */
  readonly #namespaces = new Map<PolicyUid, string | null>()
  /** Until a turn has taken in all that arrived. */
  #gone = new Set<string | null>()
  /** Turns whose revision the kernel does not hold yet. */
  #leaving: readonly Revision[] = []
  #held: Revision = 0

  /** `pods`: as of the last turn. `onGone`: the end of such policies is in the kernel. */
  constructor(pods: Pick<PodTable, 'where'>, node: string, onGone: () => void) {
    this.#pods = pods
    this.#node = node
    this.#onGone = onGone
  }

  arrived(events: readonly SourceEvent[]): void {
    for (const event of events) {
      if (event.kind !== 'policy') continue
      if (event.verb === 'delete') this.#drop(event.key)
      else if (event.verb === 'upsert') this.#keep(event.key, event.decoded)
      else if (event.verb === 'replace') {
        for (const uid of this.#namespaces.keys()) if (!event.rows.has(uid)) this.#drop(uid)
        for (const [uid, decoded] of event.rows) this.#keep(uid, decoded)
      }
    }
  }

  /** UIDs of the policies of namespaces with pods here: of those that select none of them, too. Visits every policy of the cluster. */
  here(): readonly PolicyUid[] {
    const known = new Map<string, boolean>()
    const isHere = (namespace: string): boolean => {
      const is = known.get(namespace) ?? this.#hasPods(namespace)
      known.set(namespace, is)
      return is
    }
    return [...this.#namespaces].flatMap(([uid, namespace]) => (namespace === null || isHere(namespace) ? [uid] : []))
  }

  #hasPods(namespace: string): boolean {
    for (const _ of this.#pods.where('node+namespace', `${this.#node}/${namespace}`)) return true
    return false
  }

  #keep(uid: PolicyUid, decoded: { readonly kind: string; readonly row?: { readonly namespace: string } }): void {
    this.#namespaces.set(uid, decoded.row?.namespace ?? this.#namespaces.get(uid) ?? null)
  }

  #drop(uid: PolicyUid): void {
    this.#gone.add(this.#namespaces.get(uid) ?? null)
    this.#namespaces.delete(uid)
  }

  /** A turn ended. `drained`: it took in all that arrived. */
  planned(revision: Revision, drained: boolean): void {
    if (!drained || this.#gone.size === 0) return
    const isHere = [...this.#gone].some((namespace) => namespace === null || this.#hasPods(namespace))
    this.#gone = new Set()
    if (!isHere) return
    // A turn that changed nothing has the revision of the one before.
    if (revision <= this.#held) this.#onGone()
    else this.#leaving = [...this.#leaving, revision]
  }

  held(revision: Revision): void {
    this.#held = revision
    const waiting = this.#leaving.filter((one) => one > revision)
    const isGone = waiting.length < this.#leaving.length
    this.#leaving = waiting
    if (isGone) this.#onGone()
  }
}
