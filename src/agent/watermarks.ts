// resourceVersions of the last committed revision: up to which the kernel holds what the API said, resource by resource.
//
//   turn: what the sources had said up to when it drained -> commit -> held(revision): that is observed
//
// A turn that changed nothing has the revision of the one before, and is held with it.
// **Invariant:** nothing is observed that did not go through a turn whose revision the kernel holds; whatever is left out makes it older.
import type { ClusterState } from '../kube/source.ts'
import type { Revision } from '../model/changes.ts'

/** By the plural of the resource. */
export type Versions = Readonly<Record<string, string>>

/** Even, so that halving keeps the newest. */
const MOST_WAITING = 1024

export class Watermarks {
  readonly #said: () => Versions
  #observed: Versions = {}
  #waiting: { readonly revision: Revision; readonly versions: Versions }[] = []

  /** `said`: up to where the sources have said everything. What they say next is not in it; a resource that is being listed anew is missing. */
  constructor(said: () => Versions) {
    this.#said = said
  }

  get observed(): Versions {
    return this.#observed
  }

  /** A turn took in everything that was said; one that did not must not be told. */
  drained(revision: Revision): void {
    const before = this.#waiting.at(-1)
    const versions = { ...(before?.versions ?? this.#observed), ...this.#said() }
    if (before?.revision === revision) this.#waiting.pop()
    this.#waiting.push({ revision, versions })
    // While the kernel refuses: a mark that is dropped makes what is held meanwhile look older.
    if (this.#waiting.length > MOST_WAITING) this.#waiting = this.#waiting.filter((_, i) => i % 2 === 0)
  }

  held(revision: Revision): void {
    const count = this.#waiting.findLastIndex((one) => one.revision <= revision) + 1
    this.#observed = this.#waiting.splice(0, count).at(-1)?.versions ?? this.#observed
  }
}

/** Of the resources that were read whole, up to where each was followed. */
export function versionsOf(cluster: ClusterState | null): Readonly<Record<string, string>> {
  const known = (cluster?.resources ?? []).filter(({ synced, resourceVersion }) => synced && resourceVersion !== null && /^[0-9]{1,64}$/.test(resourceVersion))
  return Object.fromEntries(known.map(({ resource, resourceVersion }) => [resource, resourceVersion as string]))
}
