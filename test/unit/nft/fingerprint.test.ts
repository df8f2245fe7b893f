// The hash of a table: the same wherever the same is in it, another wherever anything differs.
import assert from 'node:assert/strict'
import { fingerprintOf } from '../../../src/nft/fingerprint.ts'
import type { Chain, NftMap, NftSet } from '../../../src/nft/objects.ts'
import { emptyTable, type TableState } from '../../../src/nft/state.ts'

const chain = (name: string, ...rules: string[]): Chain => ({ kind: 'chain', name, rules })
const set = (name: string, flags: NftSet['flags'] = []): NftSet => ({ kind: 'set', name, key: ['ip saddr'], flags })
const map = (name: string): NftMap => ({ kind: 'map', name, key: ['ip saddr'], data: ['verdict'], flags: [] })

function table(chains: readonly Chain[], sets: readonly (readonly [NftSet | NftMap, ...(readonly (readonly [string, string?])[])])[]): TableState {
  const state = emptyTable()
  for (const one of chains) state.chains.set(one.name, one)
  for (const [object, ...elements] of sets) {
    state.sets.set(object.name, { object, elements: new Map(elements.map(([key, value]) => [key, value === undefined ? { key } : { key, value }])) })
  }
  return state
}

describe('the fingerprint of a table', () => {
  const base = table([chain('a', 'x accept', 'y drop'), chain('b')], [[set('s'), ['10.0.0.1'], ['10.0.0.2']], [map('m'), ['10.0.0.1', 'accept'], ['10.0.0.2', 'drop']]])

  it('counts rules and elements, and does not depend on the order in which they came', () => {
    const other = table([chain('b'), chain('a', 'x accept', 'y drop')], [[map('m'), ['10.0.0.2', 'drop'], ['10.0.0.1', 'accept']], [set('s'), ['10.0.0.2'], ['10.0.0.1']]])
    assert.deepEqual(fingerprintOf(other), fingerprintOf(base))
    const { rules, elements, hash } = fingerprintOf(base)
    assert.deepEqual([rules, elements], [2, 4])
    assert.match(hash, /^[0-9a-f]{16}$/)
  })

  it('is another one where a rule, its place, an element, its value or its set differs', () => {
    const others = [
      table([chain('a', 'y drop', 'x accept'), chain('b')], [[set('s'), ['10.0.0.1'], ['10.0.0.2']], [map('m'), ['10.0.0.1', 'accept'], ['10.0.0.2', 'drop']]]),
      table([chain('a', 'x accept', 'y drop'), chain('b')], [[set('s'), ['10.0.0.1'], ['10.0.0.3']], [map('m'), ['10.0.0.1', 'accept'], ['10.0.0.2', 'drop']]]),
      table([chain('a', 'x accept', 'y drop'), chain('b')], [[set('s'), ['10.0.0.1'], ['10.0.0.2']], [map('m'), ['10.0.0.1', 'drop'], ['10.0.0.2', 'accept']]]),
      table([chain('a', 'x accept', 'y drop'), chain('b')], [[set('s'), ['10.0.0.1']], [map('m'), ['10.0.0.1', 'accept'], ['10.0.0.2', 'drop']]]),
      table([chain('a', 'x accept', 'y drop'), chain('b')], [[set('t'), ['10.0.0.1'], ['10.0.0.2']], [map('m'), ['10.0.0.1', 'accept'], ['10.0.0.2', 'drop']]]),
      table([chain('a', 'x accept', 'y drop')], [[set('s'), ['10.0.0.1'], ['10.0.0.2']], [map('m'), ['10.0.0.1', 'accept'], ['10.0.0.2', 'drop']]]),
    ]
    assert.equal(new Set([base, ...others].map((one) => fingerprintOf(one).hash)).size, others.length + 1)
  })

  it('leaves out what packets put in, and tells ten thousand tables apart', () => {
    const dynamic = (...elements: (readonly [string])[]): string => fingerprintOf(table([], [[set('d', ['dynamic', 'timeout']), ...elements]])).hash
    assert.equal(dynamic(['10.0.0.1']), dynamic(['10.0.0.9'], ['10.0.0.8']))
    const hashes = new Set(Array.from({ length: 10_000 }, (_, i) => fingerprintOf(table([], [[set('s'), [`10.0.${i >> 8}.${i & 255}`]]])).hash))
    assert.equal(hashes.size, 10_000)
  })
})
