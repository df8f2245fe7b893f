// The fake kernel: keeps the contract of the real ones, and does what tests need besides.
//
// **Invariant:** whatever it refuses or loses, its table is one that the contract allows.
import assert from 'node:assert/strict'
import type { Operation, Transaction } from '../../../src/nft/objects.ts'
import { conformance } from '../../kernel/conformance.ts'
import { FakeKernel } from '../../support/fake-kernel.ts'

conformance('fake', async () => ({ kernel: new FakeKernel(), close: async () => undefined }))

const TABLE = { family: 'inet', name: 'picket' } as const
const counter = (name: string, owner: string): Operation => ({ verb: 'add', object: { kind: 'counter', name }, owners: [owner] })
const transaction = (...operations: Operation[]): Transaction => ({ table: TABLE, step: 'stage', createsTable: true, operations })

describe('fake kernel', () => {
  it('refuses the operations of an owner until it is told to accept them', async () => {
    const fake = new FakeKernel()
    fake.refuse('NetworkPolicy a/b', 'not this one')
    assert.deepEqual(await fake.commit(transaction(counter('x', 'NetworkPolicy a/b'))), { kind: 'refused', message: 'not this one' })
    assert.equal(fake.state(TABLE), null)
    assert.equal((await fake.commit(transaction(counter('y', 'NetworkPolicy a/c')))).kind, 'acknowledged')
    fake.accept('NetworkPolicy a/b')
    assert.equal((await fake.commit(transaction(counter('x', 'NetworkPolicy a/b')))).kind, 'acknowledged')
    assert.deepEqual([...(fake.state(TABLE)?.counters.keys() ?? [])], ['y', 'x'])
    assert.equal(fake.transactions.length, 3)
  })

  it('loses one answer, with the commit applied or not', async () => {
    const fake = new FakeKernel()
    fake.loseNextAnswer('dropped')
    assert.equal((await fake.commit(transaction(counter('x', '')))).kind, 'unknown')
    assert.deepEqual(await fake.readBack(TABLE), { kind: 'absent' })
    fake.loseNextAnswer('applied')
    assert.equal((await fake.commit(transaction(counter('x', '')))).kind, 'unknown')
    assert.ok(fake.state(TABLE)?.counters.has('x'))
    assert.equal((await fake.commit(transaction(counter('y', '')))).kind, 'acknowledged')
  })

  it('is changed by a foreigner, and shows its table as text', async () => {
    const fake = new FakeKernel()
    await fake.commit(transaction(counter('x', ''), { verb: 'add', object: { kind: 'chain', name: 'a', rules: ['accept'] }, owners: [] }))
    fake.foreign(TABLE, (state) => state.counters.delete('x'))
    assert.equal(fake.text(TABLE), 'table inet picket {\n\tchain a {\n\t\taccept\n\t}\n}\n')
    fake.foreignDelete(TABLE)
    assert.equal(fake.text(TABLE), '')
  })
})
