// The kernel with a stopwatch: what is told of commits, and how long the oldest request has been waiting.
import assert from 'node:assert/strict'
import { MeasuredKernel } from '../../../src/agent/measured-kernel.ts'
import type { CommitOutcome, Kernel } from '../../../src/kernel/kernel.ts'
import type { Transaction } from '../../../src/nft/objects.ts'
import { TABLE } from '../../../src/ruleset/skeleton.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const TRANSACTION: Transaction = { table: TABLE, step: 'stage', createsTable: false, operations: [] }

/** A kernel that answers when the test says so: what is tested is the time in between. */
function slowKernel(): { readonly kernel: Kernel; readonly answer: (outcome: CommitOutcome | Error) => Promise<void> } {
  const waiting: ((outcome: CommitOutcome | Error) => void)[] = []
  const commit = (): Promise<CommitOutcome> => new Promise((resolve, reject) => waiting.push((outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome))))
  const answer = async (outcome: CommitOutcome | Error): Promise<void> => {
    waiting.shift()?.(outcome)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { kernel: { commit, check: commit, description: 'slow' } as unknown as Kernel, answer }
}

describe('the measured kernel', () => {
  it('tells each commit with its outcome and its time, and passes the answer on', async () => {
    const clock = new FakeClock()
    const told: string[] = []
    const { kernel, answer } = slowKernel()
    const measured = new MeasuredKernel(kernel, clock, (table, outcome, ms) => told.push(`${table.name} ${outcome} ${ms}`))
    const outcomes: readonly CommitOutcome[] = [{ kind: 'acknowledged' }, { kind: 'refused', message: 'm' }, { kind: 'unknown', message: 'm' }]
    for (const outcome of outcomes) {
      const commit = measured.commit(TRANSACTION)
      await clock.advance(30)
      await answer(outcome)
      assert.deepEqual(await commit, outcome)
    }
    const check = measured.check(TRANSACTION)
    await answer({ kind: 'acknowledged' })
    await check
    assert.deepEqual(told, ['picket acknowledged 30', 'picket refused 30', 'picket unknown 30'], 'a check is no commit')
  })
  it('knows the oldest request that waits, and none where all are answered, even by an error', async () => {
    const clock = new FakeClock()
    const { kernel, answer } = slowKernel()
    const measured = new MeasuredKernel(kernel, clock, () => {})
    const [first, second] = [measured.commit(TRANSACTION), measured.check(TRANSACTION)]
    await clock.advance(400)
    const third = measured.commit(TRANSACTION)
    assert.equal(measured.oldestRequest, 400)
    const lost = assert.rejects(first, /lost/)
    await answer(new Error('lost'))
    await lost
    await answer({ kind: 'acknowledged' })
    await second
    await clock.advance(5)
    assert.equal(measured.oldestRequest, 5)
    await answer({ kind: 'acknowledged' })
    await third
    assert.equal(measured.oldestRequest, 0)
  })
})
