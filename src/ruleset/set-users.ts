// Which policies use a peer set: counted by use, since several rules and profiles of one policy may name the same set.
//
// Selector sets are shared by the whole node, so that their owners change while the sets stay.
// **Invariant:** a policy owns a set exactly while some profile's rule of that policy names it.
import type { Owner } from '../model/owner.ts'
import type { SetId } from '../policy/plan.ts'

export class SetUsers {
  readonly #users = new Map<SetId, Map<Owner, number>>()
  /** What of() said, while it holds: a set may have thousands of users and change often. */
  readonly #told = new Map<SetId, readonly Owner[]>()

  of(set: SetId): readonly Owner[] {
    const told = this.#told.get(set)
    if (told !== undefined) return told
    const users = this.#users.get(set)
    if (users === undefined) return []
    const owners = [...users.keys()]
    this.#told.set(set, owners)
    return owners
  }

  add(set: SetId, owner: Owner): void {
    const users = this.#users.get(set)
    const count = users?.get(owner) ?? 0
    if (users === undefined) this.#users.set(set, new Map([[owner, 1]]))
    else users.set(owner, count + 1)
    if (count === 0) this.#told.delete(set)
  }

  remove(set: SetId, owner: Owner): void {
    const users = this.#users.get(set)
    const count = users?.get(owner) ?? 0
    if (users === undefined || count === 0) return
    if (count > 1) {
      users.set(owner, count - 1)
      return
    }
    users.delete(owner)
    if (users.size === 0) this.#users.delete(set)
    this.#told.delete(set)
  }
}
