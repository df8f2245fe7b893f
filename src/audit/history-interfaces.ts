// Which local pod is behind an interface of its own, by the interface's index.
//
// The kernel gives an index once, and what is behind an interface stays there until it goes: so its first pod keeps it. Links, routes
// and the API come in any order, so that a second pod may seem to follow. It counts for nothing while the first is still there, or the
// second has a newer interface: then this one is left over. Where the first had an older one, this was never its own. Else it is
// either one's, until that has settled.
// **Invariant:** an interface that several pods share is nobody's, and who has an address now is not asked.
import type { HostInterface, Pod, PodUid } from '../model/objects.ts'
import type { PlanDelta } from '../policy/plan.ts'
import type { Snapshot, SnapshotDelta } from '../store/snapshot.ts'
import type { Moment, Moments, Span } from './moments.ts'
import { samePod, weightOf } from './pod-words.ts'
import { Timeline } from './timeline.ts'

/** By then, links that are left over have gone, and the kernel has told of it. */
const SETTLE_MS = 10_000

export class InterfaceOwners {
  readonly #moments: Moments
  readonly #past: Timeline<number, Pod | null>
  /** Null: several pods'. */
  readonly #owners = new Map<number, Pod | null>()
  readonly #indexes = new Map<PodUid, Set<number>>()
  /** Whose link is no longer there, until when they are remembered. */
  readonly #gone = new Map<number, Moment>()
  /** Links that look like a pod's: of a pod's kind, on no bridge, with host routes at most. */
  readonly #unknown = new Set<number>()
  /** Of pods of this node, by the interface's name. */
  readonly #byName = new Map<string, Set<PodUid>>()

  constructor(moments: Moments) {
    this.#moments = moments
    this.#past = new Timeline(moments)
  }

  planned(moment: Moment | null, snapshot: Snapshot, { attachments }: Pick<PlanDelta, 'attachments'>, { pods, interfaces }: Pick<SnapshotDelta, 'pods' | 'interfaces'>): void {
    const names = new Set<string>()
    for (const [uid, { before, after }] of attachments) {
      const had = namesOf(before)
      const has = namesOf(after)
      for (const name of had) if (!has.has(name)) this.#unlink(name, uid)
      for (const name of has) this.#link(name, uid)
      for (const name of [...had, ...has]) names.add(name)
    }
    for (const { before, after } of interfaces.values()) for (const row of [before, after]) if (row !== null && this.#byName.has(row.name)) names.add(row.name)
    for (const name of names) for (const { index } of snapshot.interfaces.where('name', name)) this.#settle(index, name, snapshot, moment)
    for (const [uid, { after }] of pods) {
      for (const index of after === null ? [] : (this.#indexes.get(uid) ?? [])) this.#set(index, after, moment)
    }
    for (const [key, { before, after }] of interfaces) {
      if (after === null) this.#vanished(Number(key), before, moment)
      else if (isPodLike(after)) this.#unknown.add(after.index)
      else this.#unknown.delete(after.index)
    }
  }

  /** The pods that may have been behind it, and null where it was shared; empty where it is no pod's own. */
  between(index: number, span: Span): readonly (Pod | null)[] {
    const owner = this.#owners.get(index)
    if (owner === undefined) return []
    const contested = this.#past.all(index).filter(({ value, moment }) => value !== null && value.uid !== owner?.uid && moment.until + SETTLE_MS >= span.first)
    return [...new Set([...contested.map(({ value }) => value), ...(contested.length > 0 ? [owner] : []), ...this.#past.between(index, owner, span)])]
  }

  /** Whether it is one that no turn has seen, or looks like a pod's, and nobody knows whose: an address says nothing there. */
  isSomebodys(index: number, snapshot: Snapshot): boolean {
    return !this.#owners.has(index) && (this.#unknown.has(index) || (snapshot.interfaces.get(String(index)) === undefined && !this.#gone.has(index)))
  }

  #settle(index: number, name: string, snapshot: Snapshot, moment: Moment | null): void {
    const [uid, ...others] = this.#byName.get(name) ?? []
    if (uid === undefined) return
    if (others.length > 0) return this.#set(index, null, moment)
    const pod = snapshot.pods.get(uid)
    if (pod === undefined) return
    const owner = this.#gone.delete(index) ? undefined : this.#owners.get(index)
    // A link that is new for a pod that ends may be its heir's, of which the API says nothing yet (decisions/0011).
    if (owner === undefined && pod.terminating) return
    if (owner === undefined || owner === null || owner.uid === uid) return this.#set(index, pod, moment)
    if (snapshot.pods.get(owner.uid) !== undefined || this.#hasNewer(uid, index, snapshot)) return
    const wasNeverIts = Math.min(...(this.#indexes.get(owner.uid) ?? [])) < index
    this.#set(index, pod, wasNeverIts ? null : moment)
  }

  #hasNewer(uid: PodUid, index: number, snapshot: Snapshot): boolean {
    for (const [name, uids] of this.#byName) {
      if (!uids.has(uid)) continue
      for (const link of snapshot.interfaces.where('name', name)) if (link.index > index) return true
    }
    return false
  }

  #set(index: number, pod: Pod | null, moment: Moment | null): void {
    const before = this.#owners.get(index)
    if (before !== undefined && moment !== null && !samePod(before, pod)) this.#past.note(index, before, moment, weightOf(before))
    if (before !== undefined && before !== null && before.uid !== pod?.uid) this.#leave(index, before.uid)
    this.#owners.set(index, pod)
    if (pod === null) return
    const indexes = this.#indexes.get(pod.uid)
    if (indexes === undefined) this.#indexes.set(pod.uid, new Set([index]))
    else indexes.add(index)
  }

  #leave(index: number, uid: PodUid): void {
    const indexes = this.#indexes.get(uid)
    indexes?.delete(index)
    if (indexes?.size === 0) this.#indexes.delete(uid)
  }

  /** Its packets are still to be told of. */
  #vanished(index: number, before: HostInterface | null, moment: Moment | null): void {
    if (before === null && !this.#owners.has(index)) return
    if (moment === null) return this.#forget(index)
    this.#gone.set(index, moment)
    this.#moments.note(moment, weightOf(this.#owners.get(index) ?? null), () => {
      if (this.#gone.get(index) === moment) this.#forget(index)
    })
  }

  #forget(index: number): void {
    const owner = this.#owners.get(index)
    if (owner) this.#leave(index, owner.uid)
    this.#owners.delete(index)
    this.#unknown.delete(index)
    this.#gone.delete(index)
  }

  #link(name: string, uid: PodUid): void {
    const uids = this.#byName.get(name)
    if (uids === undefined) this.#byName.set(name, new Set([uid]))
    else uids.add(uid)
  }

  #unlink(name: string, uid: PodUid): void {
    const uids = this.#byName.get(name)
    uids?.delete(uid)
    if (uids?.size === 0) this.#byName.delete(name)
  }
}

function isPodLike({ kind, master, hasWiderRoutes }: HostInterface): boolean {
  return kind === 'veth' && master === 0 && !hasWiderRoutes
}

function namesOf(attachment: PlanDelta['attachments'] extends ReadonlyMap<string, { readonly after: infer A }> ? A : never): ReadonlySet<string> {
  // Of a pod on a bridge, packets are logged with the bridge's port.
  return new Set((attachment?.by ?? []).flatMap((key) => (key.via === 'interface' ? [key.interface] : key.port === null ? [] : [key.port.name])))
}
