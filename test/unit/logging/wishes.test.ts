// Which wish holds: a policy's before its namespace's before the cluster's, each annotation by itself; of several the one that says most.
import assert from 'node:assert/strict'
import { ended, most, policyLog } from '../../../src/logging/wishes.ts'
import { TRAFFIC_LOGS, type LogWish } from '../../../src/model/log-wish.ts'

const plain = { sample: 1, label: '' }
const said = (denied: boolean, allowed: boolean): object => ({ denied: denied ? plain : null, allowed: allowed ? plain : null })

describe('what a policy has logged', () => {
  const means = { none: said(false, false), deny: said(true, false), allow: said(false, true), all: said(true, true) }

  it("is its own wish, else its namespace's, else the cluster's", () => {
    for (const own of [undefined, ...TRAFFIC_LOGS]) {
      for (const wider of [undefined, ...TRAFFIC_LOGS]) {
        for (const cluster of TRAFFIC_LOGS) {
          const wish = (log: LogWish['log']): LogWish | undefined => (log === undefined ? undefined : { log })
          assert.deepEqual(policyLog(cluster, wish(wider), wish(own)), means[own ?? wider ?? cluster], `${own} ${wider} ${cluster}`)
        }
      }
    }
  })

  it('takes sample and label from the narrowest that has one, each by itself', () => {
    assert.deepEqual(policyLog('deny', { sample: 10, label: 'space' }, { label: 'own' }).denied, { sample: 10, label: 'own' })
    assert.deepEqual(policyLog('none', { log: 'deny', label: 'space' }, { sample: 5 }).denied, { sample: 5, label: 'space' })
    assert.deepEqual(policyLog('none', { sample: 10 }, { label: 'own' }), { denied: null, allowed: null })
  })
})

describe('of several wishes', () => {
  it('the one that says most holds; of equals the first that has a label', () => {
    const [every, tenth, labelled, other] = [plain, { sample: 10, label: 'tenth' }, { sample: 1, label: 'a' }, { sample: 1, label: 'b' }]
    assert.equal(most([]), null)
    assert.equal(most([null, null]), null)
    assert.equal(most([null, tenth]), tenth)
    assert.equal(most([tenth, every]), every)
    assert.equal(most([every, tenth]), every)
    assert.equal(most([every, labelled, other]), labelled)
    assert.equal(most([other, labelled]), other)
  })
})

describe('until', () => {
  it('ends log, and log alone, from that moment on', () => {
    const wish: LogWish = Object.freeze({ log: 'all', sample: 10, until: 1_000 })
    assert.equal(ended(wish, 999), wish)
    assert.deepEqual(ended(wish, 1_000), { sample: 10 })
    assert.equal(ended({ log: 'all', until: 5 }, 6), undefined)
    assert.equal(ended(undefined, 6), undefined)
    assert.deepEqual(ended({ log: 'all' }, Infinity), { log: 'all' })
  })
})
