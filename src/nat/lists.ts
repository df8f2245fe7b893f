// Numbers of endpoint lists, and which endpoint has which index: what the kernel's maps are keyed by.
//
// **Invariant:** a number has one owner; a number that was given back is not given out again before all others were, and never
// while clients may stay under it; an endpoint that stays keeps its index unless it is needed to close a gap.
import type { ListId } from './plan.ts'
import { targetKey, type Target } from './targets.ts'

export class ListIds {
  readonly #most: number
  readonly #owners = new Map<ListId, string>()
  readonly #ids = new Map<string, ListId>()
  /** Those under which the kernel may remember clients. */
  readonly #clients = new Set<ListId>()
  /** Of those the ones that nobody has, the one that has rested for longest first. */
  readonly #resting = new Set<ListId>()
  #last = 0

  /** `most`: the largest number, at least 1. */
  constructor(most: number) {
    this.#most = most
  }

  /** Null where no number is left. `preferred`: what it had in an earlier life, if any; it rests until then. */
  take(owner: string, preferred: () => ListId | null): ListId | null {
    const known = this.#ids.get(owner)
    if (known !== undefined) return known
    const id = this.#rested(preferred()) ?? this.#free()
    if (id === null) return null
    this.#resting.delete(id)
    this.#owners.set(id, owner)
    this.#ids.set(owner, id)
    return id
  }

  /** Null where nobody has it. */
  ownerOf(id: ListId): string | null {
    return this.#owners.get(id) ?? null
  }

  /** It rests where clients may stay under it, until wake(). */
  giveBack(owner: string): void {
    const id = this.#ids.get(owner)
    if (id === undefined) return
    this.#ids.delete(owner)
    this.#owners.delete(id)
    if (this.#clients.has(id)) this.#resting.add(id)
  }

  /** Whether a number is left that does not rest. */
  get hasRoom(): boolean {
    return this.#owners.size + this.#resting.size < this.#most
  }

  /** The kernel may remember clients under it from now on, whoever has it. */
  stays(id: ListId): void {
    this.#clients.add(id)
    if (!this.#owners.has(id)) this.#resting.add(id)
  }

  /** Those that it may remember clients under. */
  get withClients(): readonly ListId[] {
    return [...this.#clients]
  }

  /** Of those the ones that nobody has. */
  get resting(): readonly ListId[] {
    return [...this.#resting]
  }

  /** The kernel remembers nobody under these any more. */
  wake(ids: Iterable<ListId>): void {
    for (const id of ids) {
      this.#clients.delete(id)
      this.#resting.delete(id)
    }
  }

  /** An earlier agent had it: something in the kernel may still name it. */
  rest(id: ListId): void {
    if (id < 1 || id > this.#most || this.#owners.has(id)) return
    this.stays(id)
    this.#last = Math.max(this.#last, id)
  }

  #rested(id: ListId | null): ListId | null {
    return id !== null && this.#resting.has(id) ? id : null
  }

  #free(): ListId | null {
    for (let step = 1; this.hasRoom && step <= this.#most; step++) {
      const id = ((this.#last + step - 1) % this.#most) + 1
      if (this.#owners.has(id) || this.#clients.has(id)) continue
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
