// The contract of the incremental selector index: which pods match which selector, kept up to date.
// selector-index.ts is the implementation.
//
// **Invariant:** only acquired selectors cost anything, and an event visits only the selectors that it could concern.
import type { Pod, PodUid } from '../model/objects.ts'
import type { PodSelector, SelectorId } from '../model/selector.ts'

export interface SelectorIndex {
  /** Counts the users of a selector; members() is complete at once. The caller reads them where it acquires anew. */
  acquire(selector: PodSelector): SelectorId
  /** Every acquire needs one release; with the last one the members are forgotten. */
  release(id: SelectorId): void
  /** Pods that match and are peers (not hostNetwork, not finished); those without an address are members too. Throws for an id that nobody acquired. */
  members(id: SelectorId): ReadonlyMap<PodUid, Pod>
}
