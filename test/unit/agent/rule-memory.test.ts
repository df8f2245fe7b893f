// Which listings of rules are trusted: none that somebody else may have changed before it was read.
import assert from 'node:assert/strict'
import { RuleMemory } from '../../../src/agent/rule-memory.ts'
import type { Chain } from '../../../src/nft/objects.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const chain = (): Chain => ({ kind: 'chain', name: 'a', rules: ['accept', 'drop'] })
const LISTED = 'one\ntwo\n'
const OTHER = 'one\nTWO\n'
const change = (chains: readonly string[] | 'all', sinceMs = 0) => ({ by: 'nft', chains, sinceMs })

describe('the memory of rules', () => {
  function start(): { clock: FakeClock; memory: RuleMemory; read: (chain: Chain, listed: string) => boolean } {
    const clock = new FakeClock()
    const memory = new RuleMemory(clock)
    const read = (one: Chain, listed: string): boolean => {
      memory.begin()
      const same = memory.isAsWritten(one, listed)
      memory.settle()
      return same
    }
    return { clock, memory, read }
  }

  it('learns the first listing of what was written, and notices another', () => {
    const { read } = start()
    const a = chain()
    assert.deepEqual([read(a, LISTED), read(a, LISTED), read(a, OTHER)], [true, true, false])
  })

  it('learns anew after it was written again, so that another form of listing is no change for ever', () => {
    const { read } = start()
    const a = chain()
    assert.deepEqual([read(a, LISTED), read(a, OTHER), read(a, OTHER)], [true, false, true])
  })

  it('does not learn a listing of another number of rules', () => {
    const { read } = start()
    assert.deepEqual([read(chain(), 'one\n'), read(chain(), ''), read({ ...chain(), rules: [] }, '')], [false, false, true])
  })

  it('does not learn what somebody else may have changed before', () => {
    const { memory, read } = start()
    const [a, b] = [chain(), { ...chain(), name: 'b' }]
    memory.suspect(change(['a']))
    assert.deepEqual([read(a, LISTED), read(b, LISTED), read(a, LISTED)], [false, true, true])
    memory.suspect(change('all'))
    assert.equal(read(chain(), LISTED), false)
  })

  it('forgets what it learned shortly before a change was told, and trusts what it learned long before', async () => {
    const { clock, memory, read } = start()
    const a = chain()
    assert.equal(read(a, OTHER), true)
    await clock.advance(500)
    memory.suspect(change(['a']))
    assert.equal(read(a, OTHER), false)
    assert.equal(read(a, LISTED), true)
    await clock.advance(3_000)
    memory.suspect(change(['a'], 1_000))
    assert.equal(read(a, LISTED), true)
    memory.suspect(change(['a'], 2_500))
    assert.equal(read(a, LISTED), false)
  })

  it('keeps a suspicion that comes while it reads for the next reading', () => {
    const { memory, read } = start()
    const a = chain()
    memory.begin()
    memory.suspect(change(['a']))
    assert.equal(memory.isAsWritten(a, LISTED), false)
    memory.settle()
    assert.equal(read(a, LISTED), false)
    assert.equal(read(a, LISTED), true)
  })
})
