// Which nodes that are not ready are news, and what is left of them for the next term.
import assert from 'node:assert/strict'
import { Silence } from '../../../src/operator/silence.ts'
import { Quiet } from '../../../src/report/quiet.ts'

function synced(): Quiet {
  const quiet = new Quiet()
  quiet.synced(0)
  assert.equal(quiet.until, -Infinity)
  return quiet
}

describe('nodes that fall silent', () => {
  it('over half of them together are a time of quiet', () => {
    const quiet = synced()
    const silence = new Silence(quiet)
    silence.open(3)
    silence.heard('a', false, 1_000)
    assert.equal(quiet.until, -Infinity)
    silence.heard('b', false, 2_000)
    assert.equal(quiet.until, 62_000)
  })
  it('those that were silent when we came are no news, and come back as others do', () => {
    const quiet = synced()
    const silence = new Silence(quiet)
    for (const node of ['a', 'b', 'c']) silence.heard(node, false, 1_000)
    silence.open(3)
    for (const node of ['a', 'b', 'c']) silence.heard(node, false, 2_000)
    assert.equal(quiet.until, -Infinity)
    for (const node of ['a', 'b']) silence.heard(node, true, 3_000)
    for (const node of ['a', 'b']) silence.heard(node, false, 4_000)
    assert.equal(quiet.until, 64_000)
  })
  it('leave nothing to the next term, in which they may fall silent again', () => {
    const quiet = synced()
    const first = new Silence(quiet)
    first.open(2)
    first.heard('a', false, 1_000)
    first.close()
    const next = new Silence(quiet)
    next.open(2)
    for (const node of ['a', 'b']) next.heard(node, true, 100_000)
    for (const node of ['a', 'b']) next.heard(node, false, 200_000)
    assert.equal(quiet.until, 260_000)
  })
})
