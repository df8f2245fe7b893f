// The wanted table and its dirty names: the one place where it is changed.
//
// **Invariant:** whatever changes here is marked dirty here, name by name and key by key.
import type { Chain, Counter, Element, NftMap, NftSet, Owner } from '../nft/objects.ts'
import { emptyDirty, type Dirty, type TableState } from '../nft/state.ts'

export class WantedTable {
  readonly state: TableState
  readonly #owners = new Map<string, readonly Owner[] | (() => readonly Owner[])>()
  /** Of the elements that are not simply their set's: set -> key -> owners. */
  readonly #elementOwners = new Map<string, Map<string, readonly Owner[]>>()
  #dirty: Dirty = emptyDirty()
  /** How many chains, sets, counters and elements were changed since it was made. */
  rowsTouched = 0

  constructor(state: TableState) {
    this.state = state
    for (const name of state.chains.keys()) this.#dirty.chains.add(name)
    for (const name of state.counters.keys()) this.#dirty.counters.add(name)
    for (const name of state.sets.keys()) this.#dirty.sets.set(name, 'all')
  }

  /** For whom an object of that name, or those elements of it, are there; empty for what is nobody's. */
  ownersOf(name: string, elements?: readonly Element[]): readonly Owner[] {
    const own = elements === undefined ? undefined : this.#elementOwners.get(name)
    if (own === undefined || elements === undefined) {
      const owners = this.#owners.get(name) ?? []
      return typeof owners === 'function' ? owners() : owners
    }
    return [...new Set(elements.flatMap(({ key }) => own.get(key) ?? []))]
  }

  putChain(chain: Chain, owners: readonly Owner[]): void {
    this.#owners.set(chain.name, owners)
    const before = this.state.chains.get(chain.name)
    if (before !== undefined && before.rules.length === chain.rules.length && before.rules.every((r, i) => r === chain.rules[i])) return
    this.state.chains.set(chain.name, chain)
    this.#dirty.chains.add(chain.name)
    this.rowsTouched++
  }

  removeChain(name: string): void {
    if (!this.state.chains.delete(name)) return
    this.#owners.delete(name)
    this.#dirty.chains.add(name)
    this.rowsTouched++
  }

  putCounter(counter: Counter, owners: readonly Owner[]): void {
    this.#owners.set(counter.name, owners)
    if (this.state.counters.has(counter.name)) return
    this.state.counters.set(counter.name, counter)
    this.#dirty.counters.add(counter.name)
    this.rowsTouched++
  }

  removeCounter(name: string): void {
    if (!this.state.counters.delete(name)) return
    this.#owners.delete(name)
    this.#dirty.counters.add(name)
    this.rowsTouched++
  }

  /** Makes the set where it is not there yet; its elements stay. `owners` as a function where they change while the set stays. */
  putSet(object: NftSet | NftMap, owners: readonly Owner[] | (() => readonly Owner[])): void {
    this.#owners.set(object.name, owners)
    if (this.state.sets.has(object.name)) return
    this.state.sets.set(object.name, { object, elements: new Map() })
    this.#dirty.sets.set(object.name, 'all')
    this.rowsTouched++
  }

  removeSet(name: string): void {
    if (!this.state.sets.delete(name)) return
    this.#owners.delete(name)
    this.#dirty.sets.set(name, 'all')
    this.rowsTouched++
  }

  /** `owners` where the element is somebody's whom the set is not. */
  addElement(set: string, element: Element, owners?: readonly Owner[]): void {
    const elements = this.state.sets.get(set)?.elements
    if (owners !== undefined) this.#ownElement(set, element.key, owners)
    const before = elements?.get(element.key)
    if (elements === undefined || (before !== undefined && before.value === element.value)) return
    elements.set(element.key, element)
    this.#mark(set, element.key)
  }

  removeElement(set: string, key: string): void {
    this.#elementOwners.get(set)?.delete(key)
    if (this.state.sets.get(set)?.elements.delete(key) === true) this.#mark(set, key)
  }

  /** Exactly these elements and no others, for maps that are small. */
  setElements(set: string, elements: readonly Element[]): void {
    const keys = new Set(elements.map((e) => e.key))
    for (const key of this.state.sets.get(set)?.elements.keys() ?? []) if (!keys.has(key)) this.removeElement(set, key)
    for (const element of elements) this.addElement(set, element)
  }

  /** What changed since the last call. */
  takeDirty(): Dirty {
    const dirty = this.#dirty
    this.#dirty = emptyDirty()
    return dirty
  }

  #ownElement(set: string, key: string, owners: readonly Owner[]): void {
    const owned = this.#elementOwners.get(set)
    if (owned === undefined) this.#elementOwners.set(set, new Map([[key, owners]]))
    else owned.set(key, owners)
  }

  #mark(set: string, key: string): void {
    this.rowsTouched++
    const keys = this.#dirty.sets.get(set)
    if (keys === undefined) this.#dirty.sets.set(set, new Set([key]))
    else if (keys !== 'all') keys.add(key)
  }
}
