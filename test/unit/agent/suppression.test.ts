// What was logged and what was left out, from counters that grow, go, come back and are read at different moments.
import assert from 'node:assert/strict'
import { Suppression } from '../../../src/agent/suppression.ts'
import type { CounterValue } from '../../../src/nft/listing.ts'

const values = (packets: Readonly<Record<string, number>>): ReadonlyMap<string, CounterValue> => new Map(Object.entries(packets).map(([name, count]) => [name, { packets: count, bytes: 0 }]))
const WEB = 'ingress/shop/AAAA'

function told(...readings: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, unknown>> {
  const suppression = new Suppression()
  for (const reading of readings) {
    suppression.take(values(reading))
    void suppression.totals
  }
  return Object.fromEntries(suppression.totals)
}

describe('suppression', () => {
  it('is what the verdict counted and its log rule did not, since this agent began', () => {
    const first = { [`denied/${WEB}`]: 100, [`logged/${WEB}`]: 40, spoofed: 5, 'logged/spoofed': 5, [`allowed/${WEB}`]: 9, [`logged-allowed/${WEB}`]: 9 }
    assert.deepEqual(told(first), {})
    const second = { [`denied/${WEB}`]: 160, [`logged/${WEB}`]: 50, spoofed: 8, 'logged/spoofed': 7, [`allowed/${WEB}`]: 19, [`logged-allowed/${WEB}`]: 10 }
    assert.deepEqual(told(first, second), { denied: { logged: 10, suppressed: 50 }, spoofed: { logged: 2, suppressed: 1 }, allowed: { logged: 1, suppressed: 9 } })
  })
  it('counts from nothing for what is new, from where the verdict stood for what is newly logged, and not at all without a log rule', () => {
    assert.deepEqual(told({}, { [`denied/${WEB}`]: 7, [`logged/${WEB}`]: 3 }), { denied: { logged: 3, suppressed: 4 } })
    assert.deepEqual(told({ [`denied/${WEB}`]: 100 }, { [`denied/${WEB}`]: 110, [`logged/${WEB}`]: 4 }), { denied: { logged: 4, suppressed: 6 } })
    assert.deepEqual(told({ [`denied/${WEB}`]: 1 }, { [`denied/${WEB}`]: 1_000 }), {})
  })
  it('counts all of what went and came back between two readings, past where it stood', () => {
    const suppression = new Suppression()
    const names = [`denied/${WEB}`, `logged/${WEB}`]
    for (const [denied, logged] of [[0, 0], [50, 10], [80, 15]] as const) {
      suppression.take(values({ [`denied/${WEB}`]: denied, [`logged/${WEB}`]: logged }))
      if (denied === 50) suppression.gone(names)
    }
    assert.deepEqual(Object.fromEntries(suppression.totals), { denied: { logged: 25, suppressed: 105 } })
  })
  it('never falls: not where counters go and come back, nor where one was read later than the other', () => {
    const before = { [`denied/${WEB}`]: 50, [`logged/${WEB}`]: 10 }
    assert.deepEqual(told({}, before, {}, { [`denied/${WEB}`]: 3, [`logged/${WEB}`]: 1 }), { denied: { logged: 11, suppressed: 42 } })
    assert.deepEqual(told({}, { [`denied/${WEB}`]: 9, [`logged/${WEB}`]: 4 }, { [`denied/${WEB}`]: 9, [`logged/${WEB}`]: 6 }), { denied: { logged: 6, suppressed: 5 } })
    assert.deepEqual(told({}, { [`denied/${WEB}`]: 9, [`logged/${WEB}`]: 4 }, { [`denied/${WEB}`]: 9, [`logged/${WEB}`]: 6 }, { [`denied/${WEB}`]: 12, [`logged/${WEB}`]: 6 }), { denied: { logged: 6, suppressed: 6 } })
  })
})
