// The incremental selector index: pods and namespaces in, members of each acquired selector and what changed of them out.
//
// The store applies a turn's changes and takes the delta; then the steps acquire, release and read members.
// A pod visits the selectors of its namespace's scopes that are anchored at one of its labels; a selector that is acquired
// visits the pods that have its rarest equality. **Invariant:** members(id) at acquire, plus every delta since, is members(id) now.
import type { Change, Changes } from '../model/changes.ts'
import { selectorMatches } from '../model/labels.ts'
import type { Namespace, Pod, PodUid, Uid } from '../model/objects.ts'
import { isPeer } from '../model/policy.ts'
import type { PodSelector, SelectorId } from '../model/selector.ts'
import type { SelectorIndex } from './index.ts'
import { LabeledRows } from './labeled-rows.ts'
import { NamespaceScopes, type Scope } from './namespace-scopes.ts'

interface Entry {
  readonly selector: PodSelector
  readonly scope: Scope<Entry>
  readonly members: Map<PodUid, Pod>
  /** What changed since the last takeDelta, netted. */
  pending: Map<PodUid, Change<Pod>>
  users: number
}

export class PodSelectorIndex implements SelectorIndex {
  readonly #entries = new Map<SelectorId, Entry>()
  /** Peers only, by namespace. */
  readonly #pods = new Map<string, LabeledRows<Pod>>()
  readonly #visit = (): void => {
    this.#rowsVisited += 1
  }
  readonly #scopes = new NamespaceScopes<Entry>(this.#visit)
  readonly #dirty = new Set<Entry>()
  #rowsVisited = 0

  /** Pods, namespaces, scopes and selectors that were looked at since the start. For tests that bound the work. */
  get rowsVisited(): number {
    return this.#rowsVisited
  }

  acquire(selector: PodSelector): SelectorId {
    const known = this.#entries.get(selector.id)
    if (known !== undefined) {
      known.users += 1
      return selector.id
    }
    const scope = this.#scopes.open(selector.namespaces)
    const entry: Entry = { selector, scope, members: new Map(), pending: new Map(), users: 1 }
    this.#entries.set(selector.id, entry)
    scope.items.add(entry, selector.pods)
    for (const name of scope.names) {
      for (const [uid, pod] of this.#matching(name, entry)) entry.members.set(uid, pod)
    }
    return selector.id
  }

  release(id: SelectorId): void {
    const entry = this.#entry(id)
    entry.users -= 1
    if (entry.users > 0) return
    this.#entries.delete(id)
    this.#dirty.delete(entry)
    entry.scope.items.remove(entry)
    if (entry.scope.items.size === 0) this.#scopes.drop(entry.selector.namespaces)
  }

  members(id: SelectorId): ReadonlyMap<PodUid, Pod> {
    return this.#entry(id).members
  }

  /** Applies a turn's namespaces. Before or after the pods: the end is the same. */
  updateNamespaces(changes: Changes<Uid, Namespace>): void {
    for (const { scope, name, entered } of this.#scopes.update(changes)) {
      for (const entry of scope.items.items()) {
        this.#visit()
        for (const [uid, pod] of this.#matching(name, entry)) this.#record(entry, uid, entered ? pod : null)
      }
    }
  }

  /** Applies a turn's pods; `before` of each change must be what was applied last. */
  updatePods(changes: Changes<PodUid, Pod>): void {
    for (const [uid, change] of changes) {
      this.#visit()
      const before = change.before !== null && isPeer(change.before) ? change.before : null
      const after = change.after !== null && isPeer(change.after) ? change.after : null
      if (before !== null) {
        for (const entry of this.#selecting(before)) {
          const stays = after !== null && after.namespace === before.namespace && selectorMatches(entry.selector.pods, after.labels)
          if (!stays) this.#record(entry, uid, null)
        }
      }
      if (after !== null) {
        for (const entry of this.#selecting(after)) this.#record(entry, uid, after)
      }
      this.#keep(uid, before, after)
    }
  }

  /** What changed of each selector since the last call, or since it was acquired where that was later. */
  takeDelta(): ReadonlyMap<SelectorId, Changes<PodUid, Pod>> {
    const delta = new Map<SelectorId, Changes<PodUid, Pod>>()
    for (const entry of this.#dirty) {
      if (entry.pending.size > 0) delta.set(entry.selector.id, entry.pending)
      entry.pending = new Map()
    }
    this.#dirty.clear()
    return delta
  }

  #entry(id: SelectorId): Entry {
    const entry = this.#entries.get(id)
    if (entry === undefined) throw new Error(`selector that nobody acquired: ${id}`)
    return entry
  }

  #matching(name: string, entry: Entry): Iterable<readonly [PodUid, Pod]> {
    return this.#pods.get(name)?.matching(entry.selector.pods, this.#visit) ?? []
  }

  *#selecting(pod: Pod): Iterable<Entry> {
    for (const scope of this.#scopes.scopesOf(pod.namespace)) {
      this.#visit()
      for (const entry of scope.items.candidates(pod.labels)) {
        this.#visit()
        if (selectorMatches(entry.selector.pods, pod.labels)) yield entry
      }
    }
  }

  /** Makes `pod` the member (null: no member) and notes the change, unless it takes back what this turn did before. */
  #record(entry: Entry, uid: PodUid, pod: Pod | null): void {
    const now = entry.members.get(uid) ?? null
    if (now === pod) return
    if (pod === null) entry.members.delete(uid)
    else entry.members.set(uid, pod)
    const noted = entry.pending.get(uid)
    const before = noted === undefined ? now : noted.before
    if (before === pod) entry.pending.delete(uid)
    else entry.pending.set(uid, { before, after: pod })
    this.#dirty.add(entry)
  }

  #keep(uid: PodUid, before: Pod | null, after: Pod | null): void {
    if (before !== null && before.namespace !== after?.namespace) {
      const rows = this.#pods.get(before.namespace)
      rows?.delete(uid)
      if (rows?.size === 0) this.#pods.delete(before.namespace)
    }
    if (after === null) return
    const rows = this.#pods.get(after.namespace) ?? new LabeledRows<Pod>()
    this.#pods.set(after.namespace, rows)
    rows.set(uid, after)
  }
}
