// What somebody else may do to our table, chosen by a number: an element, a rule, a chain, a set, all of it.
//
// **Invariant:** what packets make (dynamic sets) is left alone, and every change changes something where it can.
import { TABLE } from '../../src/ruleset/skeleton.ts'
import type { FakeKernel } from './fake-kernel.ts'
import { isKernels, type TableState } from '../../src/nft/state.ts'

type Change = (state: TableState, pick: <T>(values: readonly T[]) => T | undefined) => void

const CHANGES: readonly Change[] = [
  (state, pick) => {
    const set = pick([...state.sets.values()].filter((one) => one.elements.size > 0 && !isKernels(one)))
    const key = pick([...(set?.elements.keys() ?? [])])
    if (key !== undefined) set?.elements.delete(key)
  },
  (state, pick) => {
    const chain = pick([...state.chains.values()].filter((one) => one.rules.length > 0))
    if (chain !== undefined) state.chains.set(chain.name, { ...chain, rules: chain.rules.slice(1) })
  },
  (state, pick) => {
    const chain = pick([...state.chains.values()].filter((one) => one.rules.length > 1))
    if (chain !== undefined) state.chains.set(chain.name, { ...chain, rules: chain.rules.toReversed() })
  },
  (state) => {
    for (const chain of [...state.chains.values()]) state.chains.set(chain.name, { ...chain, rules: [] })
  },
  (state) => state.chains.set('strange', { kind: 'chain', name: 'strange', rules: ['accept'] }),
  (state) => state.sets.set('strange', { object: { kind: 'set', name: 'strange', key: ['ipv4_addr'], flags: [] }, elements: new Map([['10.0.0.1', { key: '10.0.0.1' }]]) }),
  (state, pick) => pick([...state.sets.values()].filter((one) => !isKernels(one)))?.elements.clear(),
]

/** `number` says what, and where. */
export function changeTable(kernel: FakeKernel, number: number): void {
  const which = number % (CHANGES.length + 1)
  if (kernel.state(TABLE) === null) return
  if (which === CHANGES.length) return kernel.foreignDelete(TABLE)
  kernel.foreign(TABLE, (state) => CHANGES[which]?.(state, (values) => values[Math.floor(number / 8) % Math.max(1, values.length)]))
}
