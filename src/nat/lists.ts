// Numbers of endpoint lists, and which endpoint has which index: what the kernel's maps are keyed by.
//
// **Invariant:** a number has one owner; a number that was given back is not given out again before all others were, and never
// while it rests; an endpoint that stays keeps its index unless it is needed to close a gap.
import type { ListId } from './plan.ts'
import { targetKey, type Target } from './targets.ts'

export class ListIds {
  readonly #most: number
  readonly #owners = new Map<ListId, string>()
  readonly #ids = new Map<string, ListId>()
  readonly #resting = new Set<ListId>()
  /** From an earlier life: who had which number. */
  readonly #remembered = new Map<string, ListId>()
  #last = 0

  /** `most`: the largest number, at least 1. */
  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#owners.size
  }

  /** Null where no number is left. */
  take(owner: string): ListId | null {
    const known = this.#ids.get(owner)
    if (known !== undefined) return known
    const id = this.#rememberedOf(owner) ?? this.#free()
    if (id === null) return null
    this.#owners.set(id, owner)
    this.#ids.set(owner, id)
    return id
  }

  /** `rests`: something in the kernel still names it; wake() ends that. */
  giveBack(owner: string, rests: boolean): void {
    const id = this.#ids.get(owner)
    if (id === undefined) return
    this.#ids.delete(owner)
    this.#owners.delete(id)
    if (rests) this.#resting.add(id)
  }

  wake(ids: Iterable<ListId>): void {
    for (const id of ids) this.#resting.delete(id)
  }

  /** Before the first take(): the owner had that number; it gets it again, and nobody else does meanwhile. */
  remember(owner: string, id: ListId): void {
    if (id < 1 || id > this.#most || this.#resting.has(id) || this.#remembered.has(owner)) return
    this.#remembered.set(owner, id)
    this.#resting.add(id)
    this.#last = Math.max(this.#last, id)
  }

  #rememberedOf(owner: string): ListId | null {
    const id = this.#remembered.get(owner)
    if (id === undefined || this.#owners.has(id)) return null
    this.#remembered.delete(owner)
    this.#resting.delete(id)
    return id
  }

  #free(): ListId | null {
    for (let step = 1; step <= this.#most; step++) {
      const id = ((this.#last + step - 1) % this.#most) + 1
      if (this.#owners.has(id) || this.#resting.has(id)) continue
      this.#last = id
      return id
    }
    return null
  }
}

/** The endpoints by index: those of `before` that stay keep theirs, those behind the new end and the new ones fill the gaps. */
export function slotted(before: readonly Target[], wanted: readonly Target[]): readonly Target[] {
  const open = new Map(wanted.map((target) => [targetKey(target), target]))
  const slots: (Target | null)[] = wanted.map((_, index) => {
    const old = before[index]
    if (old === undefined || !open.delete(targetKey(old))) return null
    return old
  })
  const rest = [...open.values()]
  const filled = slots.map((target) => target ?? (rest.shift() as Target))
  return filled.length === before.length && filled.every((target, index) => target === before[index]) ? before : Object.freeze(filled)
}
