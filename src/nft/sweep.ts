// What applied has and wanted lacks -> the operations that take it out of the kernel.
//
// Chains and verdict maps name each other, and maps of counters those, so they let go first (rules flushed, maps deleted), and what was named goes
// in the next transaction: kernels before 6.2 want the last reference gone in an earlier one.
// **Invariant:** nothing that wanted names is touched; only dirty names are visited.
import type { Chain, Operation } from './objects.ts'
import type { Dirty, SetState, TableState } from './state.ts'
import type { OwnersOf } from './operations.ts'
import { leadsToCounters } from './types.ts'

export function sweep(applied: TableState, wanted: TableState, dirty: Dirty, owners: OwnersOf): Operation[] {
  const chains = leaving(dirty.chains, applied.chains, wanted.chains)
  const sets = leaving(dirty.sets.keys(), applied.sets, wanted.sets)
  const counters = leaving(dirty.counters, applied.counters, wanted.counters)
  const flush = (chain: Chain): Operation => ({ verb: 'rewrite', object: { ...chain, rules: [] }, owners: owners(chain.name) })
  const flushed = chains.filter((chain) => chain.rules.length > 0).map(flush)
  const remove = (kind: 'chain' | 'set' | 'map' | 'counter', name: string): Operation => ({ verb: 'delete', object: { kind, name }, owners: owners(name) })
  const naming = sets.filter(namesOthers)

  if (chains.some(leadsOn) || (chains.length + counters.length > 0 && naming.length > 0)) {
    return [...flushed, ...naming.map((map) => remove('map', map.object.name))]
  }
  return [
    ...flushed,
    ...chains.map((chain) => remove('chain', chain.name)),
    ...sets.map((set) => remove(set.object.kind, set.object.name)),
    ...counters.map((counter) => remove('counter', counter.name)),
  ]
}

function leaving<T>(names: Iterable<string>, applied: ReadonlyMap<string, T>, wanted: ReadonlyMap<string, unknown>): T[] {
  const found: T[] = []
  for (const name of names) {
    const object = applied.get(name)
    if (object !== undefined && !wanted.has(name)) found.push(object)
  }
  return found
}

function leadsOn(chain: Chain): boolean {
  return chain.rules.some((rule) => /\b(jump|goto|vmap)\b|^<listed>$/.test(rule))
}

/** Chains or counters. */
function namesOthers({ object, elements }: SetState): boolean {
  return object.kind === 'map' && (object.data[0] === 'verdict' || leadsToCounters(object)) && elements.size > 0
}
