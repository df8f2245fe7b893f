// A table as data that changes in place: the wanted one and the applied one are of this type.
//
// **Invariant:** whoever changes it says which names it touched; nobody copies it.
import type { Chain, Counter, Element, NftMap, NftSet } from './objects.ts'

/** Elements by key. */
export interface SetState {
  readonly object: NftSet | NftMap
  readonly elements: Map<string, Element>
}

export interface TableState {
  readonly chains: Map<string, Chain>
  readonly sets: Map<string, SetState>
  readonly counters: Map<string, Counter>
}

export function emptyTable(): TableState {
  return { chains: new Map(), sets: new Map(), counters: new Map() }
}

/** Names that may differ between two tables. Marking too much is legal, marking too little is the bug. */
export interface Dirty {
  readonly chains: Set<string>
  readonly counters: Set<string>
  /** Set or map -> the keys that may differ, or 'all' of them and the set itself. */
  readonly sets: Map<string, Set<string> | 'all'>
}

export function emptyDirty(): Dirty {
  return { chains: new Set(), counters: new Set(), sets: new Map() }
}

/** Adds what `more` marks to `dirty`. */
export function mergeDirty(dirty: Dirty, more: Dirty): void {
  for (const name of more.chains) dirty.chains.add(name)
  for (const name of more.counters) dirty.counters.add(name)
  for (const [name, keys] of more.sets) {
    const before = dirty.sets.get(name)
    if (before === 'all') continue
    if (before === undefined || keys === 'all') dirty.sets.set(name, keys === 'all' ? 'all' : new Set(keys))
    else for (const key of keys) before.add(key)
  }
}

/**
 * Stands for the rules of a chain that was read back. What the kernel lists is not always what was written
 * (`dnat ip addr . port to` lists as `dnat ip to`), so listed rules equal nothing and are written anew.
 */
export const LISTED_RULES: readonly string[] = Object.freeze(['<listed>'])

export function isListed(rules: readonly string[]): boolean {
  return rules.length === 1 && rules[0] === LISTED_RULES[0]
}

/** Every name of either table, for a start or where nobody knows what the kernel holds. */
export function everything(applied: TableState | null, wanted: TableState): Dirty {
  const dirty = emptyDirty()
  for (const state of [applied, wanted]) {
    if (state === null) continue
    for (const name of state.chains.keys()) dirty.chains.add(name)
    for (const name of state.counters.keys()) dirty.counters.add(name)
    for (const name of state.sets.keys()) dirty.sets.set(name, 'all')
  }
  return dirty
}

/** Whether packets make and end elements of the set: those are the kernel's, and are left as they are. */
export function isKernels(set: SetState): boolean {
  return set.object.flags.includes('dynamic') || set.object.flags.includes('timeout')
}

/** Whether packets come into the table: a base chain is what leads them there. */
export function isReached({ chains }: TableState): boolean {
  for (const { base } of chains.values()) if (base !== undefined) return true
  return false
}
