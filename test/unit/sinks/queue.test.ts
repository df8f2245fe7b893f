// A sink's queue: its bounds in records and bytes, what is lost at them, and when that is told.
import assert from 'node:assert/strict'
import { RecordQueue } from '../../../src/sinks/queue.ts'
import type { Loss } from '../../../src/sinks/loss.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { agentRecord, lostRecord } from '../../support/flow-records.ts'
import { randomFrom } from '../../support/random.ts'
import { lineOf, numbered, timeAt } from '../../support/record-lines.ts'

describe('sink queue', () => {
  it('loses what is more than so many records, and tells exactly that once a second', async () => {
    const clock = new FakeClock()
    const told: Loss[] = []
    const queue = new RecordQueue(clock, (loss) => told.push(loss), { records: 3, bytes: 1e6 })
    assert.deepEqual([1, 2, 3, 4, 5].map((number) => queue.push(numbered(number))), [true, true, true, false, false])
    await clock.advance(999)
    queue.push(numbered(6))
    assert.deepEqual(told, [])
    await clock.advance(1)
    assert.deepEqual(told, [{ count: 3, first: timeAt(4), last: timeAt(6) }])
    // From one moment to the next: still one telling a second.
    for (let i = 0; i < 30; i++) {
      queue.push(numbered(100 + i))
      await clock.advance(100)
    }
    assert.equal(told.length, 4)
    assert.deepEqual([told.reduce((sum, { count }) => sum + count, 0), queue.lost, queue.length], [33, 33, 3])
    await clock.advance(10_000)
    assert.equal(told.length, 4)
  })
  it('is bounded in bytes as they are written', () => {
    const line = numbered(1, { label: 'ü'.repeat(50) })
    const bytes = Buffer.byteLength(`${line.line}\n`)
    const queue = new RecordQueue(new FakeClock(), () => undefined, { records: 100, bytes: 2 * bytes })
    assert.deepEqual([queue.push(line), queue.push(line), queue.push(line), queue.bytes], [true, true, false, 2 * bytes])
    assert.equal(queue.take(bytes).length, 1)
    assert.deepEqual([queue.push(line), queue.length, queue.bytes], [true, 2, 2 * bytes])
    const small = new RecordQueue(new FakeClock(), () => undefined, { records: 100, bytes: 2 * bytes - 1 })
    assert.deepEqual([small.push(line), small.push(line)], [true, false])
  })
  it('has some room left for what tells of loss', () => {
    const queue = new RecordQueue(new FakeClock(), () => undefined, { records: 16, bytes: 1e6 })
    for (let i = 0; i < 20; i++) queue.push(numbered(i))
    assert.deepEqual([queue.push(lineOf(lostRecord())), queue.push(lineOf(agentRecord())), queue.push(lineOf(lostRecord()))], [true, true, false])
    assert.deepEqual([queue.length, queue.lost], [18, 5])
  })
  it('gives the earliest and the latest time, whatever the order', () => {
    const told: Loss[] = []
    const queue = new RecordQueue(new FakeClock(), (loss) => told.push(loss), { records: 0, bytes: 0 })
    for (const number of [5, 1, 9, 3]) queue.push(numbered(number))
    queue.close()
    assert.deepEqual(told, [{ count: 4, first: timeAt(1), last: timeAt(9) }])
  })
  it('tells at its end what is still queued, once', async () => {
    const clock = new FakeClock()
    const told: Loss[] = []
    const queue = new RecordQueue(clock, (loss) => told.push(loss), { records: 3, bytes: 1e6 })
    for (let i = 0; i < 5; i++) queue.push(numbered(i))
    queue.close()
    queue.close()
    await clock.advance(5000)
    assert.deepEqual(told, [{ count: 5, first: timeAt(0), last: timeAt(4) }])
  })
  it('loses, keeps or gives out each record, whatever happens in which order', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = randomFrom(seed)
      let told = 0
      const queue = new RecordQueue(new FakeClock(), ({ count }) => (told += count), { records: 20, bytes: 15_000 })
      const out: number[] = []
      let put = 0
      for (let step = 0; step < 300; step++) {
        if (random() < 0.7) queue.push(numbered(put++, { label: 'x'.repeat(Math.floor(random() * 800)) }))
        else for (const { line } of queue.take(Math.floor(random() * 8000))) if (line.record.type === 'verdict') out.push(line.record.count)
        assert.ok(queue.length <= 20 && queue.bytes <= 15_000)
      }
      assert.deepEqual(out, [...out].sort((a, b) => a - b), 'in order')
      assert.equal(out.length + queue.length + queue.lost, put)
      queue.close()
      assert.equal(out.length + told, put)
      assert.equal(queue.bytes, 0)
    }
  })
})
