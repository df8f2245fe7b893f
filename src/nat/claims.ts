// Who gets an address and port that several Services claim: the one that was there first.
//
// Node ports, external and load balancer addresses are typed by people and controllers, and may collide.
// **Invariant:** one holder at a time, whatever the order of the events: the oldest, then the least UID.
import { byText } from '../lib/sorting.ts'
import type { Uid } from '../model/objects.ts'

export interface Claimant {
  readonly uid: Uid
  readonly createdAt: number
  /** `shop/web`, for people. */
  readonly title: string
}

export class PortClaims {
  readonly #claims = new Map<string, Claimant[]>()
  readonly #keys = new Map<Uid, { readonly claimant: Claimant; readonly keys: ReadonlySet<string> }>()

  /** Null where nobody claims it. */
  holder(key: string): Claimant | null {
    return this.#claims.get(key)?.[0] ?? null
  }

  /** The claimant claims exactly these keys from now on; whose holdings may be others than before, itself left out. */
  claim(claimant: Claimant, keys: ReadonlySet<string>): ReadonlySet<Uid> {
    const before = this.#keys.get(claimant.uid)
    const moved = new Set<Uid>()
    const same = before?.claimant.createdAt === claimant.createdAt && before.claimant.title === claimant.title
    for (const key of before?.keys ?? []) if (!same || !keys.has(key)) this.#drop(key, claimant.uid, moved)
    for (const key of keys) if (!same || before?.keys.has(key) !== true) this.#add(key, claimant, moved)
    if (keys.size === 0) this.#keys.delete(claimant.uid)
    else this.#keys.set(claimant.uid, { claimant, keys })
    moved.delete(claimant.uid)
    return moved
  }

  #add(key: string, claimant: Claimant, moved: Set<Uid>): void {
    const others = this.#claims.get(key)
    if (others === undefined) {
      this.#claims.set(key, [claimant])
      return
    }
    others.push(claimant)
    others.sort((a, b) => a.createdAt - b.createdAt || byText(a.uid, b.uid))
    for (const { uid } of others) moved.add(uid)
  }

  #drop(key: string, uid: Uid, moved: Set<Uid>): void {
    const left = (this.#claims.get(key) ?? []).filter((one) => one.uid !== uid)
    if (left.length === 0) this.#claims.delete(key)
    else this.#claims.set(key, left)
    for (const one of left) moved.add(one.uid)
  }
}
