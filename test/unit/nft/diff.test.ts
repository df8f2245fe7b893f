// diff and apply: each step, the order on the way, and that only what is dirty is visited.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { apply } from '../../../src/nft/apply.ts'
import { diff } from '../../../src/nft/diff.ts'
import type { Chain, Element, NftObject, Operation, Transaction } from '../../../src/nft/objects.ts'
import { emptyDirty, emptyTable, everything, LISTED_RULES, type Dirty, type TableState } from '../../../src/nft/state.ts'
import { FakeKernel } from '../../support/fake-kernel.ts'

const TABLE = { family: 'inet', name: 'picket' } as const

type Spec = Readonly<Record<string, readonly string[] | Readonly<Record<string, string>>>>

/** `{ 'set s': ['10.0.0.1'], 'map m': { '"v"': 'goto c' }, 'chain c': ['accept'], 'base b': [...], 'counter n': [] }` */
function table(spec: Spec): TableState {
  const state = emptyTable()
  for (const [title, content] of Object.entries(spec)) {
    const [kind, name] = title.split(' ') as [string, string]
    const lines = content as readonly string[]
    if (kind === 'counter') state.counters.set(name, { kind, name })
    else if (kind === 'chain') state.chains.set(name, { kind, name, rules: lines })
    else if (kind === 'base') state.chains.set(name, { kind: 'chain', name, rules: lines, base: { type: 'filter', hook: 'forward', priority: 'filter - 10', policy: 'accept' } })
    else if (kind === 'map' || kind === 'counted') {
      const elements = new Map(Object.entries(content).map(([key, value]): [string, Element] => [key, { key, value: value as string }]))
      state.sets.set(name, { object: { kind: 'map', name, key: ['iifname'], data: [kind === 'map' ? 'verdict' : 'counter'], flags: [] }, elements })
    } else {
      const flags = kind === 'intervals' ? (['interval'] as const) : kind === 'dynamic' ? (['dynamic', 'timeout'] as const) : []
      const key = kind === 'set6' ? ['ip6 saddr'] : ['ip saddr']
      state.sets.set(name, { object: { kind: 'set', name, key, flags }, elements: new Map(lines.map((k) => [k, { key: k }])) })
    }
  }
  return state
}

function words(operation: Operation): string {
  if (operation.verb === 'add') return `add ${title(operation.object)}`
  if (operation.verb === 'rewrite') return `rewrite ${operation.object.name}: ${operation.object.rules.join('; ')}`
  if (operation.verb === 'delete') return `delete ${operation.object.kind} ${operation.object.name}`
  return `${operation.verb} ${operation.set.name}: ${operation.elements.map((e) => [e.key, ...(e.value === undefined ? [] : [e.value])].join(' = ')).join(', ')}`
}
const title = (object: NftObject): string => `${object.kind} ${object.name}`

/** Every transaction on the way, applied to `applied`. */
function way(applied: TableState | null, wanted: TableState, dirty: Dirty = everything(applied, wanted)): [string, ...string[]][] {
  const steps: [string, ...string[]][] = []
  for (let state = applied; steps.length < 10; ) {
    const transaction = diff(TABLE, state, wanted, dirty, (name) => [`owner of ${name}`])
    if (transaction === null) return steps
    steps.push([transaction.createsTable ? 'create' : transaction.step, ...transaction.operations.map(words)])
    state ??= emptyTable()
    apply(state, transaction)
  }
  throw new Error('it does not end')
}

describe('diff', () => {
  it('creates a table with everything that no packet reaches, then switches to it', () => {
    const wanted = table({ 'counter n': [], 'set s': ['10.0.0.1'], 'map m': { '"v"': 'goto c' }, 'chain c': ['accept'], 'base b': ['iifname vmap @m'] })
    assert.deepEqual(way(null, wanted), [
      ['create', 'add counter n', 'add set s', 'add-elements s: 10.0.0.1', 'add map m', 'add-elements m: "v" = goto c', 'add chain c'],
      ['switch', 'add chain b'],
    ])
    assert.deepEqual(way(null, emptyTable()), [['create']])
  })

  it('makes large sets of a new table empty and fills them in portions, before it switches; not where packets are', () => {
    const keys = Array.from({ length: 23_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
    const wanted = table({ 'set large': keys, 'set small': ['10.9.9.9'], 'base b': ['ip saddr @large drop'] })
    const shape = (steps: readonly (readonly [string, ...string[]])[]): readonly string[] => steps.map(([step, ...operations]) => `${step}: ${operations.map((text) => `${text.split(':')[0] as string} ${text.split(', ').length}`).join('; ')}`)
    const expected = ['stage: add-elements large 10000', 'stage: add-elements large 10000', 'stage: add-elements large 3000', 'switch: add chain b 1']
    assert.deepEqual(shape(way(null, wanted)), ['create: add set large 1; add set small 1; add-elements small 1', ...expected])
    // Whoever made it ended in between; somebody else's element goes when the table is switched to.
    assert.deepEqual(shape(way(table({ 'set large': ['10.8.8.8'], 'set small': ['10.9.9.9'] }), wanted)), [...expected.slice(0, 3), 'switch: delete-elements large 1; add chain b 1'])
    assert.deepEqual(shape(way(table({ 'set large': [], 'set small': ['10.9.9.9'], 'base b': ['ip saddr @large drop'] }), wanted)), ['switch: add-elements large 23000'])
  })

  it('redefines a large set that is declared otherwise, also where an older agent left it half filled', () => {
    const keys = Array.from({ length: 3_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)
    const wanted = table({ 'set large': keys, 'set same': keys, 'base b': ['ip saddr @large drop'] })
    const left = table({ 'set6 large': ['fd00::1'], 'set same': keys.slice(1) })
    assert.deepEqual(way(left, wanted), [
      ['stage', `add-elements same: ${keys[0]}`],
      ['switch', 'delete set large', 'add set large', `add-elements large: ${keys.join(', ')}`, 'add chain b'],
    ])
    assert.deepEqual(left, wanted)
  })

  it('gives a large map its verdicts with the chains that they name', () => {
    const verdicts = Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`"veth${i}"`, 'goto c']))
    const wanted = table({ 'map m': verdicts, 'chain c': ['accept'], 'base b': ['iifname vmap @m'] })
    const verbs = (steps: readonly (readonly string[])[]): readonly string[] => steps.map((step) => step.map((text) => text.split(':')[0]).join('; '))
    assert.deepEqual(verbs(way(null, wanted)), ['create; add map m; add-elements m; add chain c', 'switch; add chain b'])
    // One that was left has no such chain yet.
    assert.deepEqual(verbs(way(table({ 'map m': {} }), wanted)), ['stage; add chain c', 'switch; add-elements m; add chain b'])
  })

  it('rule 101: stages what is new, switches to it, sweeps what is left, and ends', () => {
    const applied = table({ 'intervals old': ['10.0.0.1'], 'counter gone': [], 'chain c': ['ip saddr @old counter name "gone" accept'], 'base b': ['jump c'] })
    const wanted = table({ 'intervals new': ['10.0.0.2'], 'counter come': [], 'chain c': ['ip saddr @new counter name "come" accept'], 'base b': ['jump c'] })
    assert.deepEqual(way(applied, wanted), [
      ['stage', 'add counter come', 'add set new', 'add-elements new: 10.0.0.2'],
      ['switch', 'rewrite c: ip saddr @new counter name "come" accept'],
      ['sweep', 'delete set old', 'delete counter gone'],
    ])
    assert.deepEqual(applied, wanted)
  })

  it('rule 91: what changed rules may need comes before them, what the old ones need goes after them', () => {
    const applied = table({ 'set s': ['10.0.0.1', '10.0.0.9'], 'set t': ['10.0.0.2'], 'chain c': ['ip saddr @s accept'], 'base b': ['ip saddr @t jump c'] })
    const wanted = table({ 'set s': ['10.0.0.3', '10.0.0.9'], 'set t': ['10.0.0.4'], 'chain c': ['ip saddr @s tcp dport 80 accept'], 'base b': ['ip saddr @t jump c'] })
    assert.deepEqual(way(applied, wanted), [
      ['switch', 'add-elements s: 10.0.0.3'],
      ['switch', 'delete-elements t: 10.0.0.2', 'add-elements t: 10.0.0.4', 'rewrite c: ip saddr @s tcp dport 80 accept'],
      ['switch', 'delete-elements s: 10.0.0.1'],
    ])
    assert.deepEqual(applied, wanted)
  })

  it('rules 91, 101: rules that were read back may need whatever goes: it goes after them', () => {
    const applied = table({ 'set s': ['10.0.0.1', '10.0.0.9'], 'map m': { '"a"': 'goto c' }, 'chain c': LISTED_RULES, 'base b': LISTED_RULES })
    const wanted = table({ 'set s': ['10.0.0.9'], 'map m': {}, 'chain c': ['accept'], 'base b': ['iifname vmap @m', 'ip saddr @s drop'] })
    assert.deepEqual(way(applied, wanted), [
      ['switch', 'rewrite c: accept', 'rewrite b: iifname vmap @m; ip saddr @s drop'],
      ['switch', 'delete-elements s: 10.0.0.1', 'delete-elements m: "a" = goto c'],
    ])
  })

  it('rule 91: intervals that come and go in one set stay together, and so does a key whose value changes', () => {
    const applied = table({ 'intervals s': ['10.0.0.0-10.0.0.9'], 'map m': { '"a"': 'accept', '"b"': 'drop' }, 'chain c': ['ip saddr @s iifname vmap @m'] })
    const wanted = table({ 'intervals s': ['10.0.0.0-10.0.0.7'], 'map m': { '"a"': 'drop' }, 'chain c': ['ip saddr @s drop'] })
    assert.deepEqual(way(applied, wanted), [
      ['switch', 'delete-elements s: 10.0.0.0-10.0.0.9', 'add-elements s: 10.0.0.0-10.0.0.7', 'delete-elements m: "a" = accept', 'add-elements m: "a" = drop', 'rewrite c: ip saddr @s drop'],
      ['switch', 'delete-elements m: "b" = drop'],
    ])
  })

  it('changes elements of what is there in one switch: deletes first, a changed value as both', () => {
    const applied = table({ 'intervals s': ['10.0.0.0-10.0.0.255', '10.1.0.0'], 'map m': { '"a"': 'accept', '"b"': 'drop' } })
    const wanted = table({ 'intervals s': ['10.0.0.0-10.0.0.9', '10.1.0.0'], 'map m': { '"a"': 'drop', '"b"': 'drop' } })
    assert.deepEqual(way(applied, wanted), [
      ['switch', 'delete-elements s: 10.0.0.0-10.0.0.255', 'add-elements s: 10.0.0.0-10.0.0.9', 'delete-elements m: "a" = accept', 'add-elements m: "a" = drop'],
    ])
  })

  it('refills a set with intervals where that is cheaper than many deletes', () => {
    const keys = Array.from({ length: 40 }, (_, i) => `10.0.${i}.0-10.0.${i}.9`)
    const few = way(table({ 'intervals s': keys }), table({ 'intervals s': keys.slice(25) }))
    assert.match(few[0]?.[1] ?? '', /^delete-elements s: /)
    assert.deepEqual(way(table({ 'intervals s': keys }), table({ 'intervals s': ['10.9.0.0'] })), [['switch', 'refill-elements s: 10.9.0.0']])
    assert.match(way(table({ 'set s': keys }), table({ 'set s': [] }))[0]?.[1] ?? '', /^delete-elements s: /)
  })

  it('lets chains and verdict maps go in a transaction before they are deleted (kernels before 6.2)', () => {
    const applied = table({ 'map m': { '"a"': 'goto c' }, 'chain c': ['jump d'], 'chain d': ['ip saddr @s accept'], 'set s': [], 'base b': ['iifname vmap @m'] })
    assert.deepEqual(way(applied, table({ 'base b': ['accept'] })), [
      ['switch', 'rewrite b: accept'],
      ['sweep', 'rewrite c: ', 'rewrite d: ', 'delete map m'],
      ['sweep', 'delete chain c', 'delete chain d', 'delete set s'],
    ])
    assert.deepEqual(way(table({ 'counted m': { '"v"': 'n' }, 'counter n': [] }), emptyTable()), [['sweep', 'delete map m'], ['sweep', 'delete counter n']])
    assert.deepEqual(way(table({ 'chain d': ['drop'] }), emptyTable()), [['sweep', 'rewrite d: ', 'delete chain d']])
  })

  it('rewrites every chain that was read back, once', () => {
    const wanted = table({ 'chain c': ['accept'], 'base b': ['jump c'] })
    const listed = table({ 'chain c': LISTED_RULES, 'base b': LISTED_RULES, 'chain stale': LISTED_RULES })
    assert.deepEqual(way(listed, wanted), [
      ['switch', 'rewrite c: accept', 'rewrite b: jump c'],
      ['sweep', 'rewrite stale: '],
      ['sweep', 'delete chain stale'],
    ])
  })

  it('leaves comments, sizes that are not given and the forms of types alone', () => {
    const wanted = table({ 'set s': ['10.0.0.1'], 'counter n': [] })
    const applied = table({ 'set s': ['10.0.0.1'], 'counter n': [] })
    applied.sets.set('s', { object: { kind: 'set', name: 's', key: ['ipv4_addr'], flags: [], size: 65535, comment: 'another' }, elements: new Map([['10.0.0.1', { key: '10.0.0.1' }]]) })
    applied.counters.set('n', { kind: 'counter', name: 'n', comment: 'another' })
    assert.deepEqual(way(applied, wanted), [])
  })

  it('takes policies and priorities for what they mean, and hooks by deleting the chain', () => {
    const base = (change: Partial<NonNullable<Chain['base']>>): TableState => {
      const state = table({ 'base b': ['accept'] })
      const chain = state.chains.get('b') as Chain
      state.chains.set('b', { ...chain, base: { ...(chain.base as NonNullable<Chain['base']>), ...change } })
      return state
    }
    assert.deepEqual(way(base({ priority: '-10' }), base({})), [])
    assert.deepEqual(way(base({ policy: 'drop' }), base({})), [['switch', 'rewrite b: ', 'add chain b']])
    assert.deepEqual(way(base({ hook: 'input' }), base({})), [['switch', 'rewrite b: ', 'delete chain b', 'add chain b']])
  })

  it('replaces a set of another type with all that names it, in one transaction', () => {
    const applied = table({ 'set s': ['10.0.0.1'], 'chain c': ['ip saddr @s accept'], 'chain stale': ['ip saddr @s drop'], 'chain other': ['accept'] })
    const wanted = table({ 'set6 s': ['fd00::1'], 'chain c': ['ip saddr @s accept'], 'chain other': ['accept'], 'chain new': ['ip6 saddr @s drop'], 'counter n': [] })
    assert.deepEqual(way(applied, wanted), [
      ['switch', 'add counter n', 'rewrite stale: ', 'delete set s', 'add set s', 'add-elements s: fd00::1', 'add chain new', 'rewrite c: ip saddr @s accept'],
      ['sweep', 'delete chain stale'],
    ])
  })

  it('leaves elements that packets made alone, unless they are named one by one', () => {
    const applied = table({ 'dynamic d': ['10.0.0.1', '10.0.0.2'] })
    const wanted = table({ 'dynamic d': [] })
    assert.deepEqual(way(applied, wanted), [])
    const dirty = emptyDirty()
    dirty.sets.set('d', new Set(['10.0.0.2']))
    assert.deepEqual(way(applied, wanted, dirty), [['switch', 'delete-elements d: 10.0.0.2']])
  })

  it('carries the owners of each object', () => {
    const transaction = diff(TABLE, null, table({ 'set s': ['10.0.0.1'], 'chain c': [] }), emptyDirty(), (name) => [`owner of ${name}`])
    assert.deepEqual(transaction?.operations.map((o) => o.owners), [['owner of s'], ['owner of s'], ['owner of c']])
  })

  it('visits dirty names and dirty keys only', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)
    const [applied, wanted] = [table({ 'set s': many, 'set t': many }), table({ 'set s': many, 'set t': many })]
    for (let i = 0; i < 1000; i++) for (const state of [applied, wanted]) state.chains.set(`c${i}`, { kind: 'chain', name: `c${i}`, rules: ['accept'] })
    wanted.sets.get('s')?.elements.delete('10.0.0.7')
    wanted.chains.set('c5', { kind: 'chain', name: 'c5', rules: ['drop'] })
    let visited = 0
    const count = (map: Map<string, unknown>): void => {
      const [get, has] = [map.get.bind(map), map.has.bind(map)]
      map.get = (key) => (visited++, get(key))
      map.has = (key) => (visited++, has(key))
      for (const all of ['keys', 'values', 'entries', 'forEach', Symbol.iterator] as const) map[all] = () => assert.fail('it visits everything')
    }
    for (const state of [applied, wanted]) {
      for (const set of state.sets.values()) count(set.elements)
      for (const map of Object.values(state)) count(map)
    }
    const dirty = emptyDirty()
    dirty.sets.set('s', new Set(['10.0.0.7', '10.0.0.8']))
    dirty.chains.add('c5')
    assert.deepEqual(way(applied, wanted, dirty), [['switch', 'delete-elements s: 10.0.0.7', 'rewrite c5: drop']])
    assert.ok(visited < 60, `${visited} visits`)
  })

  it('rule 101: from any table to any other, the kernel takes every step and ends in the wanted table', async () => {
    const addresses = fc.uniqueArray(fc.integer({ min: 0, max: 40 }).map((n) => `10.0.0.${n}`), { maxLength: 40 })
    const names = ['a', 'b', 'c']
    const verdict = fc.constantFrom('accept', 'drop', ...names.map((n) => `goto c-${n}`))
    const rule = fc.constantFrom('accept', ...names.flatMap((n) => [`jump c-${n}`, `ip saddr @s-${n} accept`, `iifname vmap @m-${n}`, `counter name "n-${n}" drop`]))
    const keyed = <T>(kind: string, content: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> => fc.dictionary(fc.constantFrom(...names).map((n) => `${kind}-${n}`), content)
    const arbitrary = fc.record({ sets: keyed('s', fc.tuple(fc.constantFrom<string>('set', 'intervals', 'set6'), addresses)), maps: keyed('m', fc.dictionary(fc.constantFrom('"v"', '"w"'), verdict)), chains: keyed('c', fc.array(rule)), bases: keyed('b', fc.array(rule)), counters: keyed('n', fc.constant([])) })
    const build = (spec: { sets: Record<string, [string, string[]]>; maps: Record<string, Record<string, string>>; chains: Record<string, string[]>; bases: Record<string, string[]>; counters: Record<string, unknown> }): TableState => {
      const there = (text: string): boolean => [...text.matchAll(/[@"]?\b([cnsm]-[abc])/g)].every(([, n]) => n !== undefined && (n in spec.sets || n in spec.maps || n in spec.chains || n in spec.counters))
      const titles: [string, readonly string[] | Record<string, string>][] = []
      for (const [n, [kind, keys]] of Object.entries(spec.sets)) titles.push([`${kind} ${n}`, kind === 'set6' ? keys.map((k) => k.replace('10.0.0.', 'fd00::')) : keys])
      for (const [n, map] of Object.entries(spec.maps)) titles.push([`map ${n}`, Object.fromEntries(Object.entries(map).filter(([, v]) => there(v)))])
      for (const [n, rules] of Object.entries(spec.chains)) titles.push([`chain ${n}`, rules.filter(there)])
      for (const [n, rules] of Object.entries(spec.bases)) titles.push([`base ${n}`, rules.filter(there)])
      for (const n of Object.keys(spec.counters)) titles.push([`counter ${n}`, []])
      return table(Object.fromEntries(titles))
    }
    await fc.assert(
      fc.asyncProperty(fc.array(arbitrary.map(build), { minLength: 2, maxLength: 3 }), fc.boolean(), async (states, readBack) => {
        const kernel = new FakeKernel()
        let applied: TableState | null = null
        for (const wanted of states) {
          if (readBack && applied !== null) {
            const read = await kernel.readBack(TABLE)
            assert.ok(read.kind === 'table')
            applied = read.state
          }
          const dirty = everything(applied, wanted)
          let transaction: Transaction | null
          for (let i = 0; (transaction = diff(TABLE, applied, wanted, dirty, () => [])) !== null; i++) {
            assert.ok(i < 6)
            assert.deepEqual(await kernel.commit(transaction), { kind: 'acknowledged' })
            applied ??= emptyTable()
            apply(applied, transaction)
          }
          assert.equal(kernel.text(TABLE), textOf(wanted))
        }
      }),
      { numRuns: 300 },
    )
  })
})

function textOf(state: TableState): string {
  const kernel = new FakeKernel()
  void kernel.commit({ table: TABLE, step: 'stage', createsTable: true, operations: [] })
  kernel.foreign(TABLE, (held) => {
    for (const key of ['chains', 'sets', 'counters'] as const) for (const [name, object] of state[key]) (held[key] as Map<string, unknown>).set(name, object)
  })
  return kernel.text(TABLE)
}
