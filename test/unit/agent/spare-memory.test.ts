// What a large change left behind is given back once, when turns rest.
//
// **Invariant:** the clock is the test's own.
import assert from 'node:assert/strict'
import { SpareMemory } from '../../../src/agent/spare-memory.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { FakeClock } from '../../support/fake-clock.ts'

describe('spare memory', () => {
  it('is given back once after a large turn, when none has run for a while; never after small ones', async () => {
    const clock = new FakeClock()
    let collected = 0
    const spare = new SpareMemory(clock, () => (collected += 1))
    spare.turned(9_999)
    await clock.advance(60_000)
    assert.equal(collected, 0)
    spare.turned(120_000)
    for (let i = 0; i < 5; i++) {
      await clock.advance(4_000)
      spare.turned(3)
    }
    assert.equal(collected, 0)
    await clock.advance(5_000)
    assert.equal(collected, 1)
    await clock.advance(60_000)
    assert.equal(collected, 1)
  })

  it('waits no longer once the agent ends', async () => {
    const clock = new FakeClock()
    const spare = new SpareMemory(clock, () => assert.fail('it collects'))
    spare.turned(120_000)
    await spare.close()
    await clock.advance(60_000)
  })

  it('that V8 holds shrinks', async () => {
    let garbage: object[] | null = Array.from({ length: 400_000 }, (_, i) => ({ i, text: `number ${i}` }))
    const before = process.memoryUsage().heapUsed
    assert.equal(garbage.length, 400_000)
    garbage = null
    const spare = new SpareMemory({ ...systemClock, after: (_, action) => systemClock.after(0, action) })
    spare.turned(400_000)
    await new Promise((resolve) => setTimeout(resolve, 20))
    await spare.close()
    const freed = before - process.memoryUsage().heapUsed
    assert.ok(freed > 10e6, `${freed} bytes`)
  })
})
