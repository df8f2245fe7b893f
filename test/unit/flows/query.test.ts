// What is asked of GET /flows: how often, since when, how many, and whom.
//
// **Invariant:** each parameter is read, and each wrong one is refused by its name.
import assert from 'node:assert/strict'
import { matches } from '../../../src/flows/filter.ts'
import { parseQuery } from '../../../src/flows/query.ts'
import { flowRecord } from '../../support/flow-records.ts'

const NOW = Date.parse('2026-11-27T12:00:00Z')
const read = (query: string) => parseQuery(new URLSearchParams(query), NOW)

describe('the query of GET /flows', () => {
  it('without parameters is all that is remembered', () => {
    assert.deepEqual(read(''), { follow: false, since: null, last: null, filter: { wanted: [], unwanted: [] } })
  })
  it('says since when, how many and whether to go on', () => {
    const { follow, since, last, filter } = read('follow=1&since=5m&last=20&verdict=DROPPED&not=pod=shop/web-6d')
    assert.deepEqual([follow, since, last], [true, NOW - 300_000, 20])
    assert.equal(matches(filter, flowRecord()), false)
    assert.equal(matches(read('follow=1&verdict=DROPPED').filter, flowRecord()), true)
    assert.deepEqual([read('follow=0').follow, read('last=0').last], [false, 0])
  })
  it('takes a time for since, in any zone', () => {
    for (const text of ['2026-11-27T11:00:00.250Z', '2026-11-27T12:00:00.250+01:00']) assert.equal(read(new URLSearchParams({ since: text }).toString()).since, NOW - 3_600_000 + 250)
  })
  it('refuses what it does not know', () => {
    for (const [query, message] of [
      ['follow=yes', /^follow: found "yes", expected 1 or 0$/],
      ['since=yesterday', /^since: found "yesterday", expected a duration such as 5m, or a time/],
      ['since=2026-11-27', /^since: /],
      ['since=2026-99-27T12:00:00Z', /^since: /],
      ['last=-1', /^last: found "-1", expected a number from 0 to 1000000$/],
      ['last=1000001', /^last: /],
      ['last=1&last=2', /^last: found more than once/],
      ['folow=1', /^folow: no such parameter; expected one of pod, .*, follow, since, last$/],
      ['pod=', /^pod: /],
    ] as const) assert.throws(() => read(query), ({ message: said }: Error) => message.test(said), query)
  })
})
