// What a read-back may differ in, one thing at a time: it is told, its name is dirty, and the next state is what the kernel has.
import assert from 'node:assert/strict'
import { compare } from '../../../src/nft/compare.ts'
import type { Chain, NftSet } from '../../../src/nft/objects.ts'
import { emptyTable, LISTED_RULES, type TableState } from '../../../src/nft/state.ts'

const set = (name: string, flags: NftSet['flags'] = []): NftSet => ({ kind: 'set', name, key: ['ip saddr'], flags })
const base: NonNullable<Chain['base']> = { type: 'filter', hook: 'forward', priority: 'filter - 10', policy: 'accept' }

function table(change: (state: TableState) => void = () => undefined): TableState {
  const state = emptyTable()
  state.chains.set('front', { kind: 'chain', name: 'front', base, rules: ['jump back'] })
  state.chains.set('back', { kind: 'chain', name: 'back', rules: ['accept'] })
  state.counters.set('counted', { kind: 'counter', name: 'counted' })
  state.sets.set('peers', { object: set('peers'), elements: new Map(['10.0.0.1', '10.0.0.2'].map((key) => [key, { key }])) })
  state.sets.set('leads', {
    object: { kind: 'map', name: 'leads', key: ['iifname'], data: ['verdict'], flags: [] },
    elements: new Map([['"v"', { key: '"v"', value: 'goto back' }]]),
  })
  state.sets.set('packets', { object: set('packets', ['dynamic', 'timeout']), elements: new Map() })
  change(state)
  return state
}

interface Case {
  readonly change: (state: TableState) => void
  readonly told: string
  /** Kind and name. */
  readonly dirty: string
}

const CASES: Readonly<Record<string, Case>> = {
  'an element is missing': { change: (s) => s.sets.get('peers')?.elements.delete('10.0.0.1'), told: 'set peers: elements: 1 missing', dirty: 'set peers' },
  'an element was added': { change: (s) => s.sets.get('peers')?.elements.set('10.0.0.3', { key: '10.0.0.3' }), told: 'set peers: elements: 1 added', dirty: 'set peers' },
  'as many came as went': {
    change: (s) => {
      s.sets.get('peers')?.elements.delete('10.0.0.1')
      s.sets.get('peers')?.elements.set('10.0.0.3', { key: '10.0.0.3' })
    },
    told: 'set peers: elements: 1 missing, 1 added',
    dirty: 'set peers',
  },
  'an element leads elsewhere': { change: (s) => s.sets.get('leads')?.elements.set('"v"', { key: '"v"', value: 'accept' }), told: 'map leads: elements: 1 changed', dirty: 'set leads' },
  'a set is missing': { change: (s) => s.sets.delete('peers'), told: 'set peers: missing', dirty: 'set peers' },
  'a set is not ours': { change: (s) => s.sets.set('theirs', { object: set('theirs'), elements: new Map() }), told: 'set theirs: not ours', dirty: 'set theirs' },
  'a set has another type': { change: (s) => s.sets.set('peers', { object: { ...set('peers'), key: ['ip6 saddr'] }, elements: new Map() }), told: 'set peers: another type', dirty: 'set peers' },
  'a chain is missing': { change: (s) => s.chains.delete('back'), told: 'chain back: missing', dirty: 'chain back' },
  'a chain is not ours': { change: (s) => s.chains.set('theirs', { kind: 'chain', name: 'theirs', rules: [] }), told: 'chain theirs: not ours', dirty: 'chain theirs' },
  'a chain has another policy': { change: (s) => s.chains.set('front', { kind: 'chain', name: 'front', base: { ...base, policy: 'drop' }, rules: [] }), told: 'chain front: another policy', dirty: 'chain front' },
  'a chain has another priority': { change: (s) => s.chains.set('front', { kind: 'chain', name: 'front', base: { ...base, priority: 'filter - 5' }, rules: [] }), told: 'chain front: another hook or priority', dirty: 'chain front' },
  'a chain has other rules': { change: () => undefined, told: 'chain back: rules', dirty: 'chain back' },
  'a counter is missing': { change: (s) => s.counters.delete('counted'), told: 'counter counted: missing', dirty: 'counter counted' },
  'a counter is not ours': { change: (s) => s.counters.set('theirs', { kind: 'counter', name: 'theirs' }), told: 'counter theirs: not ours', dirty: 'counter theirs' },
}

describe('compare: what was applied with what was read back', () => {
  for (const [title, { change, told, dirty }] of Object.entries(CASES)) {
    it(`rule 108: ${title}`, () => {
      const [applied, read] = [table(), table(change)]
      const result = compare('inet', applied, { state: read, rules: new Map(), counters: new Map() }, ({ name }) => told !== 'chain back: rules' || name !== 'back')
      assert.deepEqual(result.differences, [told])
      const { chains, sets, counters } = result.dirty
      assert.deepEqual([...[...chains].map((one) => `chain ${one}`), ...[...sets].map(([one, keys]) => (keys === 'all' ? `set ${one}` : one)), ...[...counters].map((one) => `counter ${one}`)], [dirty])
      // The next difference starts from what is there.
      const name = dirty.split(' ')[1] as string
      assert.deepEqual(result.state.sets.get(name), read.sets.get(name))
      assert.deepEqual(result.state.counters.get(name), read.counters.get(name))
      const chain = read.chains.get(name)
      assert.deepEqual(result.state.chains.get(name), chain === undefined ? undefined : { ...chain, rules: LISTED_RULES })
    })
  }

  it('rules 101, 108: elements that packets made are no difference, and nothing is where nothing is', () => {
    const applied = table()
    const read = table((s) => s.sets.get('packets')?.elements.set('10.9.9.9', { key: '10.9.9.9' }))
    const result = compare('inet', applied, { state: read, rules: new Map(), counters: new Map() }, () => true)
    assert.deepEqual([result.differences, result.dirty.chains.size, result.dirty.sets.size, result.dirty.counters.size], [[], 0, 0, 0])
    assert.equal(result.state.chains.get('front'), applied.chains.get('front'))
    assert.equal(result.state.sets.get('peers'), applied.sets.get('peers'))
  })
})
