// What was applied, and what a read-back lists -> what differs, and the table state to go on from.
//
// Elements, declarations, hooks and counters are compared as they are. Rules are not (the kernel lists them in another
// form): whether a chain's rules are still the ones that were written, the caller knows and says.
// **Invariant:** without differences nothing of `applied` changes; a name that differs is dirty and never keeps what was applied.
import type { Listing } from './listing.ts'
import type { Chain, TableFamily } from './objects.ts'
import { emptyDirty, emptyTable, isKernels, LISTED_RULES, type Dirty, type SetState, type TableState } from './state.ts'
import { sameDeclaration, sameHook } from './types.ts'

export interface Comparison {
  /** What the kernel holds; chains whose rules are as they were written have them, the others have LISTED_RULES. */
  readonly state: TableState
  /** The names that differ. */
  readonly dirty: Dirty
  /** One line for each: `chain settled: rules`, `set pods/X/v4: 2 elements missing, 1 added`. */
  readonly differences: readonly string[]
}

/** Whether the listed rules are those that were written. */
export type SameAsWritten = (chain: Chain, listed: string) => boolean

export function compare(family: TableFamily, applied: TableState, listing: Listing, sameAsWritten: SameAsWritten): Comparison {
  const result: Draft = { state: emptyTable(), dirty: emptyDirty(), differences: [] }
  compareChains(family, applied, listing, sameAsWritten, result)
  compareSets(applied, listing, result)
  for (const name of namesOf(applied.counters, listing.state.counters)) {
    const [before, after] = [applied.counters.get(name), listing.state.counters.get(name)]
    if (after !== undefined) result.state.counters.set(name, before ?? after)
    if (before !== undefined && after !== undefined) continue
    result.dirty.counters.add(name)
    result.differences.push(`counter ${name}: ${presence(before)}`)
  }
  return result
}

interface Draft extends Comparison {
  readonly differences: string[]
}

function compareChains(family: TableFamily, applied: TableState, listing: Listing, sameAsWritten: SameAsWritten, result: Draft): void {
  for (const name of namesOf(applied.chains, listing.state.chains)) {
    const [before, after] = [applied.chains.get(name), listing.state.chains.get(name)]
    const what = before === undefined || after === undefined ? presence(before) : chainDifference(family, before, after, listing.rules.get(name) ?? '', sameAsWritten)
    if (what === null) {
      result.state.chains.set(name, before as Chain)
      continue
    }
    // The hook is as listed, so that diff sees what has to be done about it.
    if (after !== undefined) result.state.chains.set(name, { ...after, rules: LISTED_RULES })
    result.dirty.chains.add(name)
    result.differences.push(`chain ${name}: ${what}`)
  }
}

function chainDifference(family: TableFamily, before: Chain, after: Chain, listed: string, sameAsWritten: SameAsWritten): string | null {
  // Asked first: whoever is asked learns from it.
  const same = sameAsWritten(before, listed)
  if (!sameHook(family, before, after)) return 'another hook or priority'
  if (before.base?.policy !== after.base?.policy) return 'another policy'
  return same ? null : 'rules'
}

function compareSets(applied: TableState, listing: Listing, result: Draft): void {
  for (const name of namesOf(applied.sets, listing.state.sets)) {
    const [before, after] = [applied.sets.get(name), listing.state.sets.get(name)]
    const kind = (before ?? after)?.object.kind ?? 'set'
    if (before !== undefined && after !== undefined && sameDeclaration(before.object, after.object)) {
      const what = isKernels(before) ? null : elementDifference(before, after)
      result.state.sets.set(name, what === null ? before : { object: before.object, elements: after.elements })
      if (what === null) continue
      result.differences.push(`${kind} ${name}: ${what}`)
    } else {
      if (after !== undefined) result.state.sets.set(name, after)
      result.differences.push(`${kind} ${name}: ${before === undefined || after === undefined ? presence(before) : 'another type'}`)
    }
    result.dirty.sets.set(name, 'all')
  }
}

function elementDifference(before: SetState, after: SetState): string | null {
  let missing = 0
  let changed = 0
  for (const [key, element] of before.elements) {
    const listed = after.elements.get(key)
    if (listed === undefined) missing++
    else if (listed.value !== element.value) changed++
  }
  const added = after.elements.size - (before.elements.size - missing)
  const parts = [[missing, 'missing'], [added, 'added'], [changed, 'changed']] as const
  const told = parts.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}`]))
  return told.length === 0 ? null : `elements: ${told.join(', ')}`
}

function presence(before: unknown): string {
  return before === undefined ? 'not ours' : 'missing'
}

function* namesOf(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): Iterable<string> {
  yield* a.keys()
  for (const name of b.keys()) if (!a.has(name)) yield name
}
