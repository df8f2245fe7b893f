// What a command says while it takes long: one line on a terminal, a line now and then elsewhere.
//
// **Invariant:** a terminal's line is never longer than the terminal, and is cleared at the end.
import assert from 'node:assert/strict'
import { ProgressLine } from '../../../src/cli/progress-line.ts'
import { FakeClock } from '../../support/fake-clock.ts'

describe('the progress of a command', () => {
  let written: string[]
  let clock: FakeClock
  const line = (isTTY: boolean, columns = 40): ProgressLine => new ProgressLine({ isTTY, columns, write: (text) => written.push(text) }, clock, 'picket status')
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
    assert.deepEqual(written, ['picket explain: b\n'], 'also where nothing more is said: who is waited for may say nothing')
    shown.show('b')
    assert.deepEqual(written, ['picket explain: b\n'])
  })
  it('says nothing after its end', async () => {
    const shown = new ProgressLine({ isTTY: true, columns: 40, write: (text) => written.push(text) }, clock, 'picket explain', 2_000)
    shown.show('a')
    shown.end()
    await clock.advance(3_000)
    assert.deepEqual(written, [])
  })
})
