// Quarantine: what the kernel refused, as rows that open nothing. An input of every turn.
//
// A policy in quarantine isolates what it isolates and allows nothing in that direction; a pod in quarantine has no
// addresses, so that its interface is an unknown pod's and it is nobody's peer. Of what tells pods apart by address (on a
// bridge) they are known as closed. Everything behind the store sees only that.
// **Invariant:** a row in quarantine opens nothing that the row itself does not open; an edit of the object ends it.
import { readOwner, type Owner } from '../model/owner.ts'
import type { Changes } from '../model/changes.ts'
import type { Pod, Uid } from '../model/objects.ts'
import type { Policy } from '../model/policy.ts'

export interface Named {
  readonly namespace: string
  readonly name: string
}

export class Quarantine {
  #owners: ReadonlySet<Owner> = new Set()
  /** `namespace/name` of what is in quarantine, in any direction. */
  #policies = new Map<string, Owner[]>()
  #pods = new Map<string, Owner[]>()

  get isEmpty(): boolean {
    return this.#owners.size === 0
  }

  /** Replaces the whole quarantine; returns the policies and pods that it closes or releases. */
  set(owners: ReadonlySet<Owner>): { readonly policies: readonly Named[]; readonly pods: readonly Named[] } {
    const changed = [...owners].filter((o) => !this.#owners.has(o)).concat([...this.#owners].filter((o) => !owners.has(o)))
    const read = changed.flatMap((owner) => readOwner(owner) ?? [])
    this.#owners = owners
    this.#policies = new Map()
    this.#pods = new Map()
    for (const owner of owners) {
      const owned = readOwner(owner)
      if (owned === null) continue
      const map = owned.kind === 'pod' ? this.#pods : this.#policies
      const key = keyOf(owned)
      map.set(key, [...(map.get(key) ?? []), owner])
    }
    return { policies: read.filter((o) => o.kind === 'policy'), pods: read.filter((o) => o.kind === 'pod') }
  }

  /** Ends the quarantine of objects that were edited, deleted or made again; returns the owners that it was for. */
  release(policies: Changes<Uid, Policy>, pods: Changes<Uid, Pod>): readonly Owner[] {
    if (this.isEmpty) return []
    const released = [...this.#edited(policies, this.#policies), ...this.#edited(pods, this.#pods)]
    if (released.length > 0) this.set(new Set([...this.#owners].filter((owner) => !released.includes(owner))))
    return released
  }

  /** The policy as it is to be compiled. */
  policy(row: Policy): Policy {
    const owners = this.#policies.get(keyOf(row))
    if (owners === undefined) return row
    const closes = (direction: string): boolean => owners.some((owner) => owner.endsWith(` ${direction}`))
    return Object.freeze({ ...row, ...(closes('ingress') ? { ingress: [] } : {}), ...(closes('egress') ? { egress: [] } : {}) })
  }

  /** The pod as it is to be compiled. */
  pod(row: Pod): Pod {
    return this.#pods.has(keyOf(row)) ? Object.freeze({ ...row, addresses: [], quarantined: row.addresses }) : row
  }

  #edited(changes: Changes<Uid, Named>, owners: ReadonlyMap<string, readonly Owner[]>): readonly Owner[] {
    if (owners.size === 0) return []
    const found = new Set<Owner>()
    for (const { before, after } of changes.values()) {
      for (const row of [before, after]) if (row !== null) for (const owner of owners.get(keyOf(row)) ?? []) found.add(owner)
    }
    return [...found]
  }
}

function keyOf({ namespace, name }: Named): string {
  return `${namespace}/${name}`
}
