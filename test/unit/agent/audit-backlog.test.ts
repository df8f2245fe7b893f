// What waits between the reader and its records: taken in slices and in order, bounded, and nothing lost uncounted.
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { AuditBacklog } from '../../../src/agent/audit-backlog.ts'
import { AuditLosses } from '../../../src/agent/audit-losses.ts'
import type { LoggedFlow, LostPackets } from '../../../src/audit/logged-flow.ts'
import type { Address } from '../../../src/model/ip.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { FakeClock } from '../../support/fake-clock.ts'

function flow(count: number, first = 1_000): LoggedFlow {
  const address = '10.0.0.1' as Address
  return { prefix: '', family: 4, source: address, destination: address, protocol: 6, sourcePort: 1, destinationPort: 2, icmp: null, tcpFlags: 2, mark: 0, inInterface: 1, outInterface: 2, first, last: first + 5, count, bytes: 60 * count }
}

describe('the backlog of the audit', () => {
  it('takes each flow once and in order, and gives way in between', async () => {
    const [taken, lost] = [[] as number[], [] as LostPackets[]]
    // Time passes with each look, so that a slice is a few flows long.
    let now = 0
    const backlog = new AuditBacklog({ clock: { ...systemClock, now: () => (now += 3) }, take: ({ count }) => taken.push(count), onLost: (one) => lost.push(one) })
    const all = Array.from({ length: 200 }, (_, index) => index + 1)
    backlog.push(all.slice(0, 100).map((count) => flow(count)))
    backlog.push(all.slice(100).map((count) => flow(count)))
    assert.deepEqual(taken, [], 'nothing is taken while whoever hands over goes on')
    await turn()
    assert.ok(taken.length > 0 && taken.length < 200, `${taken.length} in one go`)
    await backlog.settled()
    assert.deepEqual(taken, all)
    assert.deepEqual(lost, [])
  })

  it('counts what is beyond its bound, with its times', async () => {
    const lost: LostPackets[] = []
    let taken = 0
    const backlog = new AuditBacklog({ clock: systemClock, take: ({ count }) => (taken += count), onLost: (one) => lost.push(one) })
    for (let batch = 0; batch < 70; batch++) backlog.push([flow(2, 1_000 + batch), flow(3, 900 + batch)])
    assert.equal(lost.length, 6)
    assert.deepEqual(lost[0], { stage: 'queue', count: 5, first: 964, last: 1_069 })
    await backlog.settled()
    assert.equal(taken + lost.reduce((sum, { count }) => sum + count, 0), 350)
  })

  it('counts what waits when it is closed, and what comes later', () => {
    const lost: LostPackets[] = []
    const backlog = new AuditBacklog({ clock: systemClock, take: () => assert.fail('closed'), onLost: (one) => lost.push(one) })
    backlog.push([flow(2), flow(3)])
    backlog.close()
    backlog.push([flow(7)])
    assert.deepEqual(lost.map(({ count }) => count), [5, 7])
  })
})

describe('losses of the audit', () => {
  it('are told once a second for each stage, summed, with the times of all', async () => {
    const clock = new FakeClock()
    const told: LostPackets[] = []
    const losses = new AuditLosses(clock, (one) => told.push(one))
    assert.equal(losses.since, Infinity)
    losses.add({ stage: 'kernel', count: 3, first: 10, last: 20 })
    await clock.advance(0)
    assert.deepEqual(told, [{ stage: 'kernel', count: 3, first: 10, last: 20 }])
    for (let ms = 0; ms < 900; ms += 100) {
      losses.add({ stage: 'kernel', count: 1, first: 100 + ms, last: 110 + ms })
      losses.add({ stage: 'queue', count: 2, first: 5, last: 6 })
      await clock.advance(100)
    }
    assert.equal(told.length, 1, 'not within the second')
    await clock.advance(100)
    assert.deepEqual(told.slice(1), [{ stage: 'kernel', count: 9, first: 100, last: 910 }, { stage: 'queue', count: 18, first: 5, last: 6 }])
    assert.deepEqual(losses.totals, { kernel: 12, queue: 18 })
    assert.equal(losses.since, 200)
  })

  it('are told at the end, too', () => {
    const told: LostPackets[] = []
    const clock = new FakeClock()
    const losses = new AuditLosses(clock, (one) => told.push(one))
    losses.add({ stage: 'queue', count: 1, first: 1, last: 1 })
    losses.flush()
    losses.flush()
    assert.equal(told.length, 1)
  })
})
