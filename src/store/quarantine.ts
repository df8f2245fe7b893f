// Quarantine: what the kernel refused, as rows that open nothing. An input of every turn.
//
// A policy in quarantine isolates what it isolates and allows nothing in that direction; a pod in quarantine has no
// addresses, so that its interface is an unknown pod's and it is nobody's peer. Of what tells pods apart by address (on a
// bridge) they are known as closed. For a Service nothing is translated. Everything behind the store sees only that.
// **Invariant:** a row in quarantine opens nothing that the row itself does not open; an edit of the object ends it.
import { readOwner, type Owner } from '../model/owner.ts'
import type { Changes } from '../model/changes.ts'
import type { Pod, Uid } from '../model/objects.ts'
import type { Policy } from '../model/policy.ts'
import type { Service } from '../model/service.ts'

export interface Named {
  readonly namespace: string
  readonly name: string
}

export class Quarantine {
  #owners: ReadonlySet<Owner> = new Set()
  /** `namespace/name` of what is in quarantine, in any direction. */
  #policies = new Map<string, Owner[]>()
  #pods = new Map<string, Owner[]>()
  #services = new Map<string, Owner[]>()

  get isEmpty(): boolean {
    return this.#owners.size === 0
  }

  /** Replaces the whole quarantine; returns what it closes or releases. */
  set(owners: ReadonlySet<Owner>): { readonly [K in 'policies' | 'pods' | 'services']: readonly Named[] } {
    const changed = [...owners].filter((o) => !this.#owners.has(o)).concat([...this.#owners].filter((o) => !owners.has(o)))
    const read = changed.flatMap((owner) => readOwner(owner) ?? [])
    this.#owners = owners
    this.#policies = new Map()
    this.#pods = new Map()
    this.#services = new Map()
    for (const owner of owners) {
      const owned = readOwner(owner)
      if (owned === null) continue
      const map = { pod: this.#pods, policy: this.#policies, service: this.#services }[owned.kind]
      const key = keyOf(owned)
      map.set(key, [...(map.get(key) ?? []), owner])
    }
    const of = (kind: string): readonly Named[] => read.filter((o) => o.kind === kind)
    return { policies: of('policy'), pods: of('pod'), services: of('service') }
  }

  /** Ends the quarantine of objects that were edited, deleted or made again; returns the owners that it was for. */
  release(policies: Changes<Uid, Policy>, pods: Changes<Uid, Pod>, services: Changes<Uid, Service>): readonly Owner[] {
    if (this.isEmpty) return []
    const released = [...this.#edited(policies, this.#policies), ...this.#edited(pods, this.#pods), ...this.#edited(services, this.#services)]
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

  /** The Service as it is to be compiled. */
  service(row: Service): Service {
    return this.#services.has(keyOf(row)) ? Object.freeze({ ...row, proxied: false }) : row
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
