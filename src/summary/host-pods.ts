// Pods of the network of their node that podSelectors match: no policy holds for them, and the policy's status says so.
//
// The selector index leaves them out (rule 24), so they have one of their own. **Invariant:** finished pods are not among them.
import type { Changes } from '../model/changes.ts'
import type { Pod, PodUid, PolicyUid } from '../model/objects.ts'
import type { PodSelector, SelectorId } from '../model/selector.ts'
import { PodSelectorIndex } from '../selectors/selector-index.ts'

export class HostPods {
  readonly #index = new PodSelectorIndex()
  readonly #users = new Map<SelectorId, Set<PolicyUid>>()

  /** Pods that were looked at since the start. */
  get rowsVisited(): number {
    return this.#index.rowsVisited
  }

  hold(user: PolicyUid, selector: PodSelector): void {
    this.#index.acquire(selector)
    const users = this.#users.get(selector.id)
    if (users === undefined) this.#users.set(selector.id, new Set([user]))
    else users.add(user)
  }

  /** `stays`: the same policy holds the same selector anew. */
  release(user: PolicyUid, { id }: PodSelector, stays: boolean): void {
    this.#index.release(id)
    if (stays) return
    const users = this.#users.get(id)
    users?.delete(user)
    if (users?.size === 0) this.#users.delete(id)
  }

  /** The policies whose podSelector matches others than before. */
  update(pods: Changes<PodUid, Pod>): ReadonlySet<PolicyUid> {
    const changes = [...pods].map(([uid, { before, after }]) => [uid, { before: asPeer(before), after: asPeer(after) }] as const)
    this.#index.updatePods(new Map(changes.filter(([, { before, after }]) => before !== null || after !== null)))
    return new Set([...this.#index.takeDelta().keys()].flatMap((id) => [...(this.#users.get(id) ?? [])]))
  }

  matched({ id }: PodSelector): number {
    return this.#index.members(id).size
  }
}

function asPeer(pod: Pod | null): Pod | null {
  // A finished one stays none: the index leaves it out.
  return pod !== null && pod.hostNetwork ? { ...pod, hostNetwork: false } : null
}
