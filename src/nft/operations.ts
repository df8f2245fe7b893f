// Small makers of operations, for diff and its parts.
//
// **Invariant:** an operation carries the owners of the object that it names.
import type { NftObject, Operation, Owner } from './objects.ts'
import type { SetState } from './state.ts'

/** For whom an object of that name is there: what a refused transaction is bisected by. */
export type OwnersOf = (objectName: string) => readonly Owner[]

export function added(object: NftObject, owners: readonly Owner[]): Operation {
  return { verb: 'add', object, owners }
}

export function addedSet(set: SetState, owners: readonly Owner[]): Operation[] {
  const { kind, name } = set.object
  const elements = [...set.elements.values()]
  return [added(set.object, owners), ...(elements.length > 0 ? [{ verb: 'add-elements', set: { kind, name }, elements, owners } as const] : [])]
}
