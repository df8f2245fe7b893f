// (applied, wanted, dirty names) -> the next transaction on the way from one to the other, or null at the end of it.
//
//   stage    what is new and no packet can reach yet: a set with intervals answers "no match" inside its own transaction;
//            elements of a new table's large sets in portions of their own (fill.ts)
//   switch   what packets see: elements, rules, base chains; in several transactions where rules change (in-turn.ts)
//   sweep    what nothing names any more
//
// The caller commits, applies what was acknowledged, and asks again with the same dirty names until the answer is null.
// **Invariant:** only dirty names are visited, and inside a set only its dirty keys.
import type { Chain, Element, Operation, Owner, Table, Transaction } from './objects.ts'
import { emptyTable, everything, isKernels, type Dirty, type SetState, type TableState } from './state.ts'
import { isFilledLater, nextPortion } from './fill.ts'
import { added, addedSet, type OwnersOf } from './operations.ts'
import { inTurn, namesIn } from './in-turn.ts'
import { redefine, redefinedSets } from './redefine.ts'
import { sweep } from './sweep.ts'
import { sameHook, sameRules } from './types.ts'

/**
 * The next transaction, or null where the dirty names do not differ. `applied` null means that there is no table: then
 * everything of `wanted` counts as dirty.
 */
export function diff(table: Table, applied: TableState | null, wanted: TableState, dirty: Dirty, owners: OwnersOf): Transaction | null {
  if (applied === null) {
    const [none, all] = [emptyTable(), everything(null, wanted)]
    const operations = [...newCounters(none, wanted, all, owners), ...newStructure(none, wanted, all, owners, isFilledLater)]
    return { table, step: 'stage', createsTable: true, operations }
  }
  const next = (step: Transaction['step'], operations: readonly Operation[]): Transaction | null =>
    operations.length === 0 ? null : { table, step, createsTable: false, operations }

  const portion = nextPortion(applied, wanted, dirty, owners)
  if (portion !== null) return next('stage', [portion])
  const redefined = redefinedSets(applied, wanted, dirty)
  const counters = newCounters(applied, wanted, dirty, owners)
  const structure = newStructure(applied, wanted, dirty, owners)
  const switched = switchOver(table, applied, wanted, dirty, owners, redefined)
  // After an upgrade only: what is new may name what is redefined, so all of it goes in one transaction.
  if (redefined.size > 0) return next('switch', [...counters, ...redefine(redefined, applied, wanted, owners), ...structure, ...switched])
  if (structure.length > 0) return next('stage', [...counters, ...structure])
  return next('switch', [...counters, ...inTurn(applied, wanted, switched)]) ?? next('sweep', sweep(applied, wanted, dirty, owners))
}

/**
 * All that a way of stage and switch would do, as one transaction: for the kernel to judge, not to keep, since what is
 * new in it would not be gapless. Null where nothing differs but what is left to sweep. `applied` null as for diff.
 */
export function diffAtOnce(table: Table, applied: TableState | null, wanted: TableState, dirty: Dirty, owners: OwnersOf): Transaction | null {
  const [from, names] = applied === null ? [emptyTable(), everything(null, wanted)] : [applied, dirty]
  const redefined = redefinedSets(from, wanted, names)
  const operations = [
    ...newCounters(from, wanted, names, owners),
    ...(redefined.size > 0 ? redefine(redefined, from, wanted, owners) : []),
    ...newStructure(from, wanted, names, owners),
    ...switchOver(table, from, wanted, names, owners, redefined),
  ]
  return operations.length === 0 ? null : { table, step: 'switch', createsTable: applied === null, operations }
}

/** New sets and maps with their elements (but for those that stay `empty`), and new regular chains: what no packet can reach yet. */
function newStructure(applied: TableState, wanted: TableState, dirty: Dirty, owners: OwnersOf, empty: (set: SetState) => boolean = () => false): Operation[] {
  const structure: Operation[] = []
  for (const name of dirty.sets.keys()) {
    const set = wanted.sets.get(name)
    if (set !== undefined && !applied.sets.has(name)) structure.push(...(empty(set) ? [added(set.object, owners(name))] : addedSet(set, owners)))
  }
  for (const name of dirty.chains) {
    const chain = wanted.chains.get(name)
    if (chain !== undefined && chain.base === undefined && !applied.chains.has(name)) structure.push(added(chain, owners(name)))
  }
  return structure
}

function newCounters(applied: TableState, wanted: TableState, dirty: Dirty, owners: OwnersOf): Operation[] {
  const operations: Operation[] = []
  for (const name of dirty.counters) {
    const counter = wanted.counters.get(name)
    if (counter !== undefined && !applied.counters.has(name)) operations.push(added(counter, owners(name)))
  }
  return operations
}

function switchOver(table: Table, applied: TableState, wanted: TableState, dirty: Dirty, owners: OwnersOf, redefined: ReadonlySet<string>): Operation[] {
  const operations: Operation[] = []
  for (const [name, keys] of dirty.sets) {
    const from = applied.sets.get(name)
    const to = wanted.sets.get(name)
    if (from !== undefined && to !== undefined && !redefined.has(name)) operations.push(...changedElements(from, to, keys, owners))
  }
  const chains = redefined.size > 0 ? new Set([...applied.chains.keys(), ...dirty.chains]) : dirty.chains
  for (const name of chains) {
    const to = wanted.chains.get(name)
    if (to !== undefined) operations.push(...changedChain(table, applied.chains.get(name), to, owners(name), redefined))
  }
  return operations
}

/** Deletes come before adds: the kernel refuses overlapping intervals, and a second value for a key ("File exists"). */
function changedElements(from: SetState, to: SetState, keys: ReadonlySet<string> | 'all', owners: OwnersOf): Operation[] {
  const gone: Element[] = []
  const come: Element[] = []
  const visit = (key: string): void => {
    const before = from.elements.get(key)
    const after = to.elements.get(key)
    if (before !== undefined && before.value === after?.value && after !== undefined) return
    if (before !== undefined) gone.push(before)
    if (after !== undefined) come.push(after)
  }
  if (keys !== 'all') for (const key of keys) visit(key)
  else {
    // Elements that packets made are the kernel's; of those only what is named key by key is touched.
    if (!isKernels(to)) for (const key of from.elements.keys()) if (!to.elements.has(key)) visit(key)
    for (const key of to.elements.keys()) visit(key)
  }
  const set = to.object
  const of = (elements: readonly Element[]): { readonly elements: readonly Element[]; readonly owners: readonly Owner[] } => ({
    elements,
    owners: owners(set.name, elements),
  })
  if (gone.length > cheapDeletes(to)) return [{ verb: 'refill-elements', set, ...of([...to.elements.values()]) }]
  return [
    ...(gone.length > 0 ? [{ verb: 'delete-elements', set, ...of(gone) } as const] : []),
    ...(come.length > 0 ? [{ verb: 'add-elements', set, ...of(come) } as const] : []),
  ]
}

/**
 * Up to how many deletes are cheaper than refilling. Deleting an interval costs nft 1.0.6 half a microsecond for each
 * interval of the set (26 s for 10,000 of 10,000), refilling costs 13 for each and loses no packet (0 of 2,000,000 in 123
 * refills). Of concatenated intervals the kernel flushes no faster than it deletes.
 */
function cheapDeletes({ object }: SetState): number {
  const refills = object.flags.includes('interval') && object.key.length === 1 && !object.flags.includes('timeout')
  return refills ? 25 : Infinity
}

function changedChain(table: Table, from: Chain | undefined, to: Chain, owners: readonly Owner[], redefined: ReadonlySet<string>): Operation[] {
  // A regular chain that is new is staged.
  if (from === undefined) return to.base === undefined ? [] : [added(to, owners)]
  const flushed: Operation = { verb: 'rewrite', object: { ...from, rules: [] }, owners }
  // The kernel changes neither hook nor priority of a chain; a regular chain that is to become a base chain it refuses while something names it.
  if (!sameHook(table.family, from, to)) return [flushed, { verb: 'delete', object: { kind: 'chain', name: to.name }, owners }, added(to, owners)]
  if (from.base?.policy !== to.base?.policy) return [flushed, added(to, owners)]
  const same = sameRules(from.rules, to.rules) && !to.rules.some((rule) => namesAny(rule, redefined))
  return same ? [] : [{ verb: 'rewrite', object: to, owners }]
}

function namesAny(rule: string, names: ReadonlySet<string>): boolean {
  if (names.size === 0) return false
  return namesIn(rule).some((name) => names.has(name))
}
