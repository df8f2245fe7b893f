// A table that no packet reaches yet -> the next portion of what its large sets lack.
//
// Of a transaction with rules or sets nft makes 15 us for each element; one of elements alone goes by netlink, for 2 us
// (decisions/0014). So a new table's large sets are made empty, and filled while no base chain leads into the table.
// **Invariant:** it ends, and what it leaves the switch brings: where packets may come, or a set is declared otherwise, all of it.
import { isKernels, isReached, type Dirty, type SetState, type TableState } from './state.ts'
import type { Element, Operation } from './objects.ts'
import type { OwnersOf } from './operations.ts'
import { sameDeclaration } from './types.ts'

/** From so many elements on a set is filled by itself; a portion has no more (kernel/element-commit.ts takes them as they are). */
const LARGE = 2_000
const PORTION = 10_000

/** Whether a new table gets it empty. Intervals are nft's: it joins and sorts them. A verdict may name a chain that is newer than the table. */
export function isFilledLater({ object, elements }: SetState): boolean {
  const hasVerdicts = object.kind === 'map' && object.data.includes('verdict')
  return elements.size > LARGE && !object.flags.includes('interval') && !hasVerdicts
}

/** Null where packets may reach the table, or nothing large is missing. Sets of which only some keys are dirty have been filled. */
export function nextPortion(applied: TableState, wanted: TableState, dirty: Dirty, owners: OwnersOf): Operation | null {
  for (const [name, keys] of dirty.sets) {
    if (keys !== 'all') continue
    const [from, to] = [applied.sets.get(name), wanted.sets.get(name)]
    if (from === undefined || to === undefined || isKernels(to) || !isFilledLater(to)) continue
    // One that was left declared otherwise is redefined, with all its elements (redefine.ts).
    if (from.elements.size >= to.elements.size || !sameDeclaration(from.object, to.object)) continue
    if (isReached(applied)) return null
    const elements = missing(from, to)
    if (elements.length > 0) return { verb: 'add-elements', set: to.object, elements, owners: owners(name, elements) }
  }
  return null
}

/** Of a key with another value too, what is wanted comes by the switch: the old one has to go first. */
function missing(from: SetState, to: SetState): readonly Element[] {
  const elements: Element[] = []
  for (const [key, element] of to.elements) {
    if (from.elements.has(key)) continue
    elements.push(element)
    if (elements.length === PORTION) break
  }
  return elements
}
