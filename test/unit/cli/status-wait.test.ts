// What `picket status --wait` says of what it waits for.
//
// **Invariant:** what it says at the end fits on one screen.
import assert from 'node:assert/strict'
import { progressText, waitText } from '../../../src/cli/status-wait.ts'
import type { Missing } from '../../../src/status/wait.ts'

const missing = (name: string): Missing => ({ namespace: 'shop', name, what: 'policy', reason: 'Reconciling', message: '1 of 2 nodes have not said yet that they enforce it: node-3' })

describe('what picket status --wait says', () => {
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
