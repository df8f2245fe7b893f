// Sets and maps whose declaration changed under the same name: the kernel alters none, so they are deleted and added.
//
// Names are made so that this does not happen while an agent runs; after an upgrade it may. Everything happens in one
// transaction, so packets see either table, but a set with intervals may answer "no match" for a moment.
// **Invariant:** whatever named the old set has let go of it before it is deleted, in the same transaction.
import type { Operation } from './objects.ts'
import type { Dirty, TableState } from './state.ts'
import { addedSet, type OwnersOf } from './operations.ts'
import { sameDeclaration } from './types.ts'

export function redefinedSets(applied: TableState, wanted: TableState, dirty: Dirty): ReadonlySet<string> {
  const names = new Set<string>()
  for (const [name, keys] of dirty.sets) {
    if (keys !== 'all') continue
    const from = applied.sets.get(name)?.object
    const to = wanted.sets.get(name)?.object
    if (from !== undefined && to !== undefined && !sameDeclaration(from, to)) names.add(name)
  }
  return names
}

/**
 * Flushes every chain that wanted lacks (the others are rewritten by the switch where they name the set), deletes the
 * sets and adds them again with their elements. Visits all chains: this is rare.
 */
export function redefine(redefined: ReadonlySet<string>, applied: TableState, wanted: TableState, owners: OwnersOf): Operation[] {
  const operations: Operation[] = []
  for (const chain of applied.chains.values()) {
    if (wanted.chains.has(chain.name) || chain.rules.length === 0) continue
    operations.push({ verb: 'rewrite', object: { ...chain, rules: [] }, owners: owners(chain.name) })
  }
  for (const name of redefined) {
    const from = applied.sets.get(name)
    if (from !== undefined) operations.push({ verb: 'delete', object: { kind: from.object.kind, name }, owners: owners(name) })
  }
  for (const name of redefined) {
    const to = wanted.sets.get(name)
    if (to !== undefined) operations.push(...addedSet(to, owners))
  }
  return operations
}
