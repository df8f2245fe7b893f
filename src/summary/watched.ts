// The selectors of all policies, each held once, and which policies must be looked at again when their members change.
//
// A member that comes or goes concerns a policy only where something turns: a selector has no members any more, or none with a
// port that the policy names. What a change costs is the selectors that it is in, not the policies that use them.
// **Invariant:** isEmpty and hasPort are those of the members now.
import type { Changes } from '../model/changes.ts'
import type { Pod, PodUid, PolicyUid } from '../model/objects.ts'
import { resolvePort } from '../model/policy.ts'
import type { PodSelector, SelectorId } from '../model/selector.ts'
import type { SelectorIndex } from '../selectors/index.ts'
import type { NamedUse } from './parts.ts'

type Port = Pick<NamedUse, 'protocol' | 'name'>

interface NamedCount extends Port {
  readonly users: Set<PolicyUid>
  /** How many members have it. */
  pods: number
}

interface Watch {
  readonly members: ReadonlyMap<PodUid, Pod>
  readonly users: Set<PolicyUid>
  readonly ports: Map<string, NamedCount>
  wasEmpty: boolean
}

export class WatchedSelectors {
  readonly #watches = new Map<SelectorId, Watch>()

  /** One policy's selectors, each once. Its named ports are those of `named`. */
  hold(user: PolicyUid, selectors: readonly PodSelector[], named: readonly NamedUse[], index: SelectorIndex): void {
    for (const selector of selectors) this.#watch(selector, index).users.add(user)
    for (const use of named) for (const { id } of use.selectors) this.#countPort(this.#watches.get(id) as Watch, use).users.add(user)
  }

  release(user: PolicyUid, selectors: readonly PodSelector[], named: readonly NamedUse[], index: SelectorIndex): void {
    for (const use of named) {
      for (const { id } of use.selectors) {
        const watch = this.#watches.get(id) as Watch
        const count = watch.ports.get(portKey(use))
        count?.users.delete(user)
        if (count?.users.size === 0) watch.ports.delete(portKey(use))
      }
    }
    for (const { id } of selectors) {
      const watch = this.#watches.get(id) as Watch
      watch.users.delete(user)
      if (watch.users.size > 0) continue
      this.#watches.delete(id)
      index.release(id)
    }
  }

  /** Takes over what changed of the members; the policies for which something turned. */
  update(moved: ReadonlyMap<SelectorId, Changes<PodUid, Pod>>): ReadonlySet<PolicyUid> {
    const turned = new Set<PolicyUid>()
    for (const [id, changes] of moved) {
      const watch = this.#watches.get(id)
      if (watch === undefined) continue
      const isEmpty = watch.members.size === 0
      if (isEmpty !== watch.wasEmpty) for (const user of watch.users) turned.add(user)
      watch.wasEmpty = isEmpty
      for (const count of watch.ports.values()) {
        const before = count.pods
        for (const change of changes.values()) count.pods += has(change.after, count) - has(change.before, count)
        if ((before === 0) !== (count.pods === 0)) for (const user of count.users) turned.add(user)
      }
    }
    return turned
  }

  members(id: SelectorId): ReadonlyMap<PodUid, Pod> {
    return (this.#watches.get(id) as Watch).members
  }

  users(id: SelectorId): ReadonlySet<PolicyUid> {
    return this.#watches.get(id)?.users ?? NOBODY
  }

  hasPort(id: SelectorId, port: Port): boolean {
    return (this.#watches.get(id)?.ports.get(portKey(port))?.pods ?? 0) > 0
  }

  #watch(selector: PodSelector, index: SelectorIndex): Watch {
    const known = this.#watches.get(selector.id)
    if (known !== undefined) return known
    const members = index.members(index.acquire(selector))
    const watch: Watch = { members, users: new Set(), ports: new Map(), wasEmpty: members.size === 0 }
    this.#watches.set(selector.id, watch)
    return watch
  }

  #countPort(watch: Watch, { protocol, name }: Port): NamedCount {
    const key = portKey({ protocol, name })
    const known = watch.ports.get(key)
    if (known !== undefined) return known
    const count: NamedCount = { protocol, name, users: new Set(), pods: 0 }
    for (const pod of watch.members.values()) count.pods += has(pod, count)
    watch.ports.set(key, count)
    return count
  }
}

const NOBODY: ReadonlySet<PolicyUid> = new Set()

function portKey({ protocol, name }: Port): string {
  return `${name}/${protocol}`
}

function has(pod: Pod | null, { protocol, name }: Port): 0 | 1 {
  return pod !== null && resolvePort(pod, protocol, name) !== null ? 1 : 0
}
