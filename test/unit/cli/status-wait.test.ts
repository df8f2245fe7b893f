// What `picket status --wait` shows while it waits: one line on a terminal, a line now and then elsewhere.
//
// **Invariant:** a terminal's line is never longer than the terminal, and is cleared at the end.
import assert from 'node:assert/strict'
import { ProgressLine, progressText, waitText } from '../../../src/cli/status-wait.ts'
import type { Missing } from '../../../src/status/wait.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const missing = (name: string): Missing => ({ namespace: 'shop', name, what: 'policy', reason: 'Reconciling', message: '1 of 2 nodes have not said yet that they enforce it: node-3' })

describe('the progress of picket status --wait', () => {
  let written: string[]
  let clock: FakeClock
  const line = (isTTY: boolean, columns = 40): ProgressLine => new ProgressLine({ isTTY, columns, write: (text) => written.push(text) }, clock)
  beforeEach(() => {
    written = []
    clock = new FakeClock()
  })

  it('is one line on a terminal, written anew when it is another, clipped, and cleared', () => {
    const shown = line(true)
    shown.show('a')
    shown.show('a')
    shown.show('b'.repeat(60))
    shown.end()
    shown.end()
    assert.deepEqual(written, ['\ra\u001b[K', `\r${'b'.repeat(36)}...\u001b[K`, '\r\u001b[K'])
  })
  it('is a line every few seconds elsewhere', async () => {
    const shown = line(false)
    shown.show('a')
    shown.show('b')
    await clock.advance(4_900)
    shown.show('c')
    await clock.advance(100)
    shown.show('c')
    shown.end()
    assert.deepEqual(written, ['picket status: a\n', 'picket status: c\n'])
  })
  it('says nothing of what is done before long', async () => {
    const shown = new ProgressLine({ isTTY: false, write: (text) => written.push(text) }, clock, 'picket explain', 2_000)
    shown.show('a')
    await clock.advance(1_900)
    shown.show('b')
    assert.deepEqual(written, [])
    await clock.advance(100)
    shown.show('b')
    assert.deepEqual(written, ['picket explain: b\n'])
  })
  it('counts, and names the worst with why', () => {
    assert.equal(progressText({ policies: 14, programmed: 12, missing: [missing('web'), missing('db')] }), '12 of 14 policies are programmed; waiting for shop/web (Reconciling: 1 of 2 nodes have not said yet that they enforce it: node-3) and 1 more')
    assert.equal(progressText({ policies: 1, programmed: 1, missing: [] }), '1 of 1 policy is programmed')
  })
  it('ends with what is missing, on one screen, and says where the past is not known', () => {
    const many = Array.from({ length: 30 }, (_, i) => missing(`p${i}`))
    const lines = waitText({ policies: 40, programmed: 10, missing: many, isPastKnown: true }, 60_000).split('\n')
    assert.deepEqual([lines.length, lines[0], lines.at(-1)], [18, 'After 60 s 10 of 40 policies are programmed; missing:', '  and 14 more'])
    assert.equal(waitText({ policies: 2, programmed: 2, missing: [], isPastKnown: false }, 1000), '2 policies are enforced\nThe API server tells nothing of what was deleted before the call: that was not waited for.')
  })
})
