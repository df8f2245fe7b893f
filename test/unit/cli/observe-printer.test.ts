// What stdout gets where nobody reads it, and records of several agents in one order.
//
// **Invariant:** what is not shown is counted, and what is shown keeps its order.
import assert from 'node:assert/strict'
import { NO_INK } from '../../../src/flows/compact.ts'
import type { AuditRecord } from '../../../src/flows/record.ts'
import { Newest, Tail, Window } from '../../../src/cli/observe-merge.ts'
import { Printer, type Out } from '../../../src/cli/observe-printer.ts'
import type { Shown } from '../../../src/cli/observe-stream.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { flowRecord } from '../../support/flow-records.ts'

const at = (ms: number): Shown => {
  const record: AuditRecord = flowRecord({ time: new Date(Date.UTC(2026, 0, 5) + ms).toISOString() })
  return { record, line: JSON.stringify(record) }
}
const timeOf = ({ record }: Shown): number => Date.parse(record.time) - Date.UTC(2026, 0, 5)

describe('stdout that nobody reads', () => {
  it('is waited for by whoever can wait', async () => {
    let drained: (() => void) | null = null
    const out = { writableNeedDrain: true, write: () => false, once: (_: 'drain', listener: () => void) => (drained = listener) }
    const waiting = new Printer('json', NO_INK, out, true).show(at(1))
    assert.ok(waiting instanceof Promise)
    assert.ok(drained !== null)
    ;(drained as () => void)()
    await waiting
  })
  it('loses what does not fit, and is told how much when it is read again', () => {
    const written: string[] = []
    const out: Out & { writableLength: number } = { writableLength: 0, write: (text) => written.push(text) }
    const printer = new Printer('json', NO_INK, out, true)
    void printer.show(at(1))
    out.writableLength = 40 * 1024 * 1024
    for (const ms of [2, 3, 4]) void printer.show(at(ms))
    assert.equal(written.length, 1)
    out.writableLength = 0
    void printer.show(at(5))
    const { type, stage, name, count, first, last } = JSON.parse(written[1] ?? '') as Record<string, unknown>
    assert.deepEqual([type, stage, name, count, first, last], ['lost', 'client', 'picket observe', 3, at(2).record.time, at(4).record.time])
    assert.deepEqual(written.slice(2), [`${at(5).line}\n`])
    out.writableLength = 40 * 1024 * 1024
    void printer.show(at(6))
    printer.end()
    assert.equal((JSON.parse(written[3] ?? '') as { readonly count: number }).count, 1)
  })
})

describe('records of several agents', () => {
  it('are the newest of all, in order', () => {
    const newest = new Newest(10)
    const numbers = Array.from({ length: 5000 }, (_, i) => (i * 7919) % 5000)
    for (const ms of numbers) newest.add(at(ms))
    assert.deepEqual(newest.inOrder().map(timeOf), Array.from({ length: 10 }, (_, i) => 4990 + i))
    assert.equal(newest.cut, 4990)
    const tail = new Tail(3)
    for (const ms of numbers) tail.add(at(ms))
    assert.deepEqual(tail.list().map(timeOf), numbers.slice(-3))
    const none = new Tail(0)
    none.add(at(1))
    assert.deepEqual(none.list(), [])
  })
  it('wait a moment for older ones, and no longer', async () => {
    const clock = new FakeClock()
    const out: number[] = []
    const window = new Window(clock, 1000, (shown) => out.push(timeOf(shown)))
    window.add(at(30))
    await clock.advance(500)
    window.add(at(20))
    window.add(at(40))
    await clock.advance(499)
    assert.deepEqual(out, [])
    await clock.advance(1)
    assert.deepEqual(out, [20, 30])
    await clock.advance(500)
    assert.deepEqual(out, [20, 30, 40])
    window.add(at(50))
    window.end()
    assert.deepEqual(out, [20, 30, 40, 50])
  })
})
