// The table's indexes, and which rows count as equal.
import { strict as assert } from 'node:assert'
import { sameRow } from '../../../src/store/equality.ts'
import { Table } from '../../../src/store/table.ts'
import { cidr, pod } from '../../support/builders.ts'
import { parseCidr } from '../../../src/model/ip.ts'

interface Thing {
  readonly id: string
  readonly tags: readonly string[]
}

function thing(id: string, ...tags: string[]): Thing {
  return { id, tags }
}

describe('a table', () => {
  it('finds rows by key and by every value of an index, as they are now', () => {
    const table = new Table<Thing, 'tag'>({ tag: (row) => row.tags }, { rows: 0 })
    const [a, b] = [thing('a', 'x', 'y'), thing('b', 'x')]
    table.apply(new Map([['a', { before: null, after: a }], ['b', { before: null, after: b }]]), 1)
    assert.deepEqual([...table.where('tag', 'x')], [a, b])
    const edited = thing('a', 'z')
    table.apply(new Map([['a', { before: a, after: edited }]]), 2)
    assert.deepEqual([...table.where('tag', 'x')], [b])
    assert.deepEqual([...table.where('tag', 'y')], [])
    assert.deepEqual([...table.where('tag', 'z')], [edited])
    table.apply(new Map([['b', { before: b, after: null }]]), 3)
    assert.deepEqual([...table.where('tag', 'x')], [])
    assert.equal(table.get('b'), undefined)
    assert.equal(table.size, 1)
  })

  it('freezes its rows, keeps the revision of its last change and counts what it hands out', () => {
    const work = { rows: 0 }
    const table = new Table<Thing, 'tag'>({ tag: (row) => row.tags }, work)
    table.apply(new Map([['a', { before: null, after: thing('a', 'x') }], ['b', { before: null, after: thing('b', 'x') }]]), 7)
    assert.ok(Object.isFrozen(table.get('a')))
    table.apply(new Map(), 8)
    assert.equal(table.revision, 7)
    const before = work.rows
    for (const row of table.where('tag', 'x')) assert.ok(row)
    assert.equal(work.rows - before, 2)
  })
})

describe('equal rows', () => {
  const row = pod({ labels: { a: '1', b: '2' }, addresses: ['10.0.0.1'], sourcePrefixes: [cidr('10.0.0.0/8')] })

  it('say the same, with labels in any order', () => {
    assert.ok(sameRow(row, { ...row, labels: new Map([['b', '2'], ['a', '1']]), sourcePrefixes: [parseCidr('10.1.0.0/8')] }))
  })

  it('differ in any field, label, address, bigint or order of a list', () => {
    const two = pod({ ...row, addresses: ['10.0.0.1', 'fd00::1'] })
    assert.ok(!sameRow(row, { ...row, terminating: true }))
    assert.ok(!sameRow(row, { ...row, labels: new Map([['a', '1'], ['c', '2']]) }))
    assert.ok(!sameRow(row, { ...row, labels: new Map([['a', '1']]) }))
    assert.ok(!sameRow(row, two))
    assert.ok(!sameRow(two, { ...two, addresses: ['fd00::1', '10.0.0.1'] }))
    assert.ok(!sameRow(row, { ...row, sourcePrefixes: [{ ...cidr('10.0.0.0/8'), last: 1n }] }))
    assert.ok(!sameRow(row, { ...row, extra: 1 }))
    assert.ok(!sameRow(row, null) && !sameRow(null, row) && !sameRow([], new Map()) && !sameRow({}, []))
  })
})
