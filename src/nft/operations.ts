// Small makers of operations, for diff and its parts.
//
// **Invariant:** an operation carries the owners of the object that it names.
import type { Element, NftObject, Operation, Owner } from './objects.ts'
import type { SetState } from './state.ts'

/** For whom an object of that name, or those elements of it, are there: what a refused transaction is bisected by. */
export type OwnersOf = (objectName: string, elements?: readonly Element[]) => readonly Owner[]

export function added(object: NftObject, owners: readonly Owner[]): Operation {
  return { verb: 'add', object, owners }
}

export function addedSet(set: SetState, owners: OwnersOf): Operation[] {
  const { name } = set.object
  const elements = [...set.elements.values()]
  const filled = elements.length > 0 ? [{ verb: 'add-elements', set: set.object, elements, owners: owners(name, elements) } as const] : []
  return [added(set.object, owners(name)), ...filled]
}
