// The table that the conformance suite works on, small makers of operations, and when two tables are the same.
//
// **Invariant:** FULL has something of every kind of object, key and value that rulesets are made of.
import assert from 'node:assert/strict'
import type { Chain, Element, NftMap, NftSet, Operation, Table } from '../../src/nft/objects.ts'
import type { TableState } from '../../src/nft/state.ts'
import { sameDeclaration, sameHook } from '../../src/nft/types.ts'

export const TABLE: Table = { family: 'inet', name: 'picket', comment: 'of a test' }
export const OTHER: Table = { family: 'inet', name: 'other' }
export const BRIDGE: Table = { family: 'bridge', name: 'picket' }

export const set = (name: string, key: readonly string[], flags: NftSet['flags'] = []): NftSet => ({ kind: 'set', name, key, flags })
export const map = (name: string, key: readonly string[], data: readonly string[]): NftMap => ({ kind: 'map', name, key, data, flags: [] })
export const chain = (name: string, rules: readonly string[] = []): Chain => ({ kind: 'chain', name, rules })
export const base = (name: string, rules: readonly string[] = [], policy: 'accept' | 'drop' = 'accept'): Chain => ({
  ...chain(name, rules),
  base: { type: 'filter', hook: 'forward', priority: 'filter - 10', policy },
})
export const add = (...objects: (Chain | NftSet | NftMap | { kind: 'counter'; name: string; comment?: string })[]): Operation[] =>
  objects.map((object) => ({ verb: 'add', object, owners: [] }))
export const elements = (verb: 'add-elements' | 'delete-elements' | 'remove-elements' | 'refill-elements', of: NftSet | NftMap, list: readonly (readonly [string, string?])[]): Operation => ({
  verb,
  set: of,
  elements: list.map(([key, value]): Element => (value === undefined ? { key } : { key, value })),
  owners: [],
})
export const remove = (kind: 'chain' | 'set' | 'map' | 'counter', name: string): Operation => ({ verb: 'delete', object: { kind, name }, owners: [] })
export const rewrite = (object: Chain): Operation => ({ verb: 'rewrite', object, owners: [] })

export const PODS = set('pods/A/v4', ['ip saddr'])
export const RANGES = set('cidrs/shop/web/v4', ['ip saddr'], ['interval'])
export const RANGES6 = set('cidrs/shop/web/v6', ['ip6 saddr'], ['interval'])
export const CUT: NftSet = { ...set('cut', ['ip saddr', 'meta l4proto', 'th dport'], ['dynamic', 'timeout']), timeout: 3_600, size: 4 }
export const PAIRS = set('pairs', ['ip daddr', 'meta l4proto', 'th dport'], ['interval'])
export const BY_INTERFACE = map('by-interface', ['iifname'], ['verdict'])
export const IDS = map('ids', ['ct mark', 'ip daddr', 'meta l4proto', 'th dport'], ['ct mark'])
export const ENDPOINTS = map('endpoints', ['ct mark', 'numgen random mod 65536'], ['ip6 daddr', 'th dport'])

/** A table with something of every kind. */
export const FULL: readonly Operation[] = [
  ...add(PODS, RANGES, RANGES6, PAIRS, BY_INTERFACE, IDS, ENDPOINTS, { kind: 'counter', name: 'denied/x', comment: 'what "nobody" allowed; {here}' }),
  ...add(chain('to/b', ['accept']), chain('to/a', ['ip saddr @pods/A/v4 jump to/b', 'counter name "denied/x" drop'])),
  ...add(base('filter-forward', ['iifname vmap @by-interface', 'ip saddr @cidrs/shop/web/v4 accept'])),
  elements('add-elements', PODS, [['10.0.0.1'], ['10.0.0.2']]),
  elements('add-elements', RANGES, [['0.0.0.0-9.255.255.255'], ['10.0.0.0-10.0.0.255'], ['10.0.2.1'], ['10.0.2.3-10.0.2.9'], ['192.168.0.0-255.255.255.255']]),
  elements('add-elements', RANGES6, [['::'], ['fd00::-fd00::9'], ['fd00:1::-fd00:1:ffff:ffff:ffff:ffff:ffff:ffff'], ['::ffff:102:304']]),
  elements('add-elements', PAIRS, [['10.0.0.1 . tcp . 80'], ['10.0.0.4-10.0.0.7 . sctp . 1-65535'], ['10.0.0.9 . 99 . 0']]),
  elements('add-elements', BY_INTERFACE, [['"veth-a"', 'goto to/a'], ['"b;{}"', 'accept'], ['"veth-c"', 'drop'], ['"veth-d"', 'jump to/b']]),
  elements('add-elements', IDS, [['65536 . 10.96.0.10 . tcp . 80', '66048']]),
  elements('add-elements', ENDPOINTS, [['65536 . 0', 'fd00::1 . 8080']]),
]

/** Equal but for rules and comments, which cannot be read back as they were written. */
export function assertSame(actual: TableState, expected: TableState): void {
  assert.deepEqual([...actual.chains.keys()].sort(), [...expected.chains.keys()].sort())
  for (const [name, expectedChain] of expected.chains) {
    const found = actual.chains.get(name)
    assert.ok(found !== undefined && sameHook('inet', found, expectedChain), `chain ${name}`)
    assert.equal(found.base?.policy, expectedChain.base?.policy)
  }
  assert.deepEqual([...actual.counters.keys()].sort(), [...expected.counters.keys()].sort())
  assert.deepEqual([...actual.sets.keys()].sort(), [...expected.sets.keys()].sort())
  for (const [name, expectedSet] of expected.sets) {
    const found = actual.sets.get(name)
    assert.ok(found !== undefined && sameDeclaration(found.object, expectedSet.object), `set ${name}`)
    const lines = (elementsOf: ReadonlyMap<string, Element>): string[] => [...elementsOf.values()].map((e) => `${e.key} : ${e.value ?? ''}`).sort()
    assert.deepEqual(lines(found.elements), lines(expectedSet.elements))
  }
}
