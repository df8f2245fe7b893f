// Pauses between attempts.
import assert from 'node:assert/strict'
import { RetryPause } from '../../../src/lib/retry-pause.ts'

describe('retry pause', () => {
  it('doubles up to the longest, and begins anew after a reset', () => {
    const pause = new RetryPause(250, 1_500)
    assert.equal(pause.pause, 250)
    assert.deepEqual(Array.from({ length: 5 }, () => pause.next()), [250, 500, 1_000, 1_500, 1_500])
    assert.equal(pause.pause, 1_500)
    pause.reset()
    assert.deepEqual([pause.next(), pause.next()], [250, 500])
  })
})
