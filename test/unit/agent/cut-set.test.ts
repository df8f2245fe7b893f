// The cut sets step by step on the fake kernel: what may go on is never taken out while packets may still meet it.
//
// **Invariant:** one connection, which the test follows through both sets.
import assert from 'node:assert/strict'
import { keyOfElement } from '../../../src/agent/cut-flows.ts'
import { CutSet } from '../../../src/agent/cut-set.ts'
import type { FlowKey } from '../../../src/kernel/conntrack-flows.ts'
import { emptyTable } from '../../../src/nft/state.ts'
import { connectionSets } from '../../../src/ruleset/connections.ts'
import { TABLE } from '../../../src/ruleset/skeleton.ts'
import { FakeKernel } from '../../support/fake-kernel.ts'

const FLOW = '10.1.0.9 . 10.1.0.1 . udp . 4000 . 53'
const KEY = keyOfElement(FLOW) as FlowKey

async function opened(): Promise<{ readonly set: CutSet; readonly kernel: FakeKernel; readonly held: () => readonly string[] }> {
  const kernel = new FakeKernel()
  const sets = connectionSets().map((object) => ({ verb: 'add' as const, object, owners: [] }))
  const outcome = await kernel.commit({ table: TABLE, step: 'stage', createsTable: true, operations: sets })
  assert.equal(outcome.kind, 'acknowledged', JSON.stringify(outcome))
  const held = (): readonly string[] => ['cut-flows-v4', 'restored-flows-v4'].filter((name) => (kernel.state(TABLE) ?? emptyTable()).sets.get(name)?.elements.has(FLOW))
  return { set: new CutSet(kernel), kernel, held }
}

describe('the cut sets (rule 81)', () => {
  it('a connection that may go on is let pass, then taken out, then forgotten', async () => {
    const { set, held } = await opened()
    assert.deepEqual(await set.add([KEY]), { done: 1, trouble: null })
    assert.deepEqual([held(), set.size, set.clears], [['cut-flows-v4'], 1, false])
    assert.deepEqual(await set.restore([KEY]), { done: 1, trouble: null })
    assert.deepEqual([held(), set.size, set.clears], [['cut-flows-v4', 'restored-flows-v4'], 0, true])
    await set.clear()
    assert.deepEqual(held(), ['cut-flows-v4', 'restored-flows-v4'], 'it may have been restored a moment ago')
    await set.clear()
    assert.deepEqual([held(), set.clears], [['restored-flows-v4'], true])
    await set.clear()
    assert.deepEqual([held(), set.clears], [[], false])
  })
  for (const steps of [0, 1, 2, 3]) {
    it(`is cut again ${steps} steps after`, async () => {
      const { set, held } = await opened()
      await set.add([KEY])
      await set.restore([KEY])
      for (let i = 0; i < steps; i++) await set.clear()
      assert.deepEqual(await set.add([KEY]), { done: 1, trouble: null })
      for (let i = 0; i < 4; i++) await set.clear()
      assert.deepEqual([held(), set.size, set.clears], [['cut-flows-v4'], 1, false])
    })
  }
  it('what another agent was about to take out is taken out by this one', async () => {
    const { set, held } = await opened()
    await set.add([KEY])
    await set.restore([KEY])
    set.load([FLOW], [FLOW])
    assert.deepEqual([set.size, set.clears], [0, true])
    for (let i = 0; i < 3; i++) await set.clear()
    assert.deepEqual([held(), set.clears], [[], false])
  })
  it('a step that the kernel did not take is taken again', async () => {
    const { set, kernel, held } = await opened()
    await set.add([KEY])
    await set.restore([KEY])
    await set.clear()
    kernel.loseNextAnswer('dropped')
    assert.match((await set.clear()).trouble ?? '', /the kernel did not take 1 connections/)
    await set.clear()
    await set.clear()
    assert.deepEqual([held(), set.clears], [[], false])
  })
})
