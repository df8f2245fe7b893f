// What load balancers are told of Services and of the agent, and when: by revision, and by how long the kernel lags behind.
//
// **Invariant:** every expectation is asked before and after the kernel holds what it depends on.
import assert from 'node:assert/strict'
import { HeldInTime } from '../../../src/agent/held-in-time.ts'
import { ToldServices } from '../../../src/agent/told-services.ts'
import type { PlannedService } from '../../../src/nat/plan.ts'
import type { ServiceHealth } from '../../../src/serve/service-health.ts'
import { FakeClock } from '../../support/fake-clock.ts'

describe('held in time', () => {
  it('not healthy before the kernel held the first ruleset', async () => {
    const clock = new FakeClock()
    const inTime = new HeldInTime(clock)
    assert.deepEqual([inTime.isHealthy, inTime.updatedAt], [false, null])
    inTime.planned(1)
    assert.equal(inTime.isHealthy, false)
    await clock.advance(5)
    inTime.held(1)
    assert.deepEqual([inTime.isHealthy, inTime.updatedAt], [true, 5])
    await clock.advance(1_000_000)
    assert.equal(inTime.isHealthy, true, 'nothing waits')
  })

  it('not healthy where what is planned waits for longer than a minute, until the kernel comes nearer', async () => {
    const clock = new FakeClock()
    const inTime = new HeldInTime(clock)
    inTime.held(1)
    inTime.planned(2)
    await clock.advance(30_000)
    inTime.planned(3)
    await clock.advance(30_000)
    assert.equal(inTime.isHealthy, true)
    await clock.advance(1)
    assert.equal(inTime.isHealthy, false)
    inTime.held(2)
    assert.equal(inTime.isHealthy, true)
    await clock.advance(60_001)
    assert.equal(inTime.isHealthy, false, 'revision 3 still waits')
    inTime.held(3)
    await clock.advance(60_001)
    assert.equal(inTime.isHealthy, true)
    // A turn of a revision that is held.
    inTime.planned(3)
    await clock.advance(60_001)
    assert.equal(inTime.isHealthy, true)
  })
})

describe('told Services', () => {
  const planned = (name: string, health: PlannedService['health']): PlannedService => ({ uid: name, namespace: 'shop', name, entries: [], lists: [], clusterIps: [], restricted: [], udp: [], health })

  it('each once the kernel holds it, all at once; what does not concern them tells nothing', () => {
    const lists: (readonly ServiceHealth[])[] = []
    const told = new ToldServices((services) => lists.push(services))
    const first = planned('web', { port: 32_000, localEndpoints: 1 })
    told.planned(1, new Map([['web', { before: null, after: first }], ['other', { before: null, after: planned('other', null) }]]))
    assert.deepEqual(lists, [])
    told.held(1)
    assert.deepEqual(lists.splice(0), [[{ namespace: 'shop', name: 'web', port: 32_000, localEndpoints: 1 }]])
    // Of other things of theirs, a change tells nothing.
    told.planned(2, new Map([['web', { before: first, after: { ...first, clusterIps: ['10.96.0.1'] } }], ['other', { before: planned('other', null), after: null }]]))
    told.held(2)
    assert.deepEqual(lists, [])
    const second = planned('web', { port: 32_000, localEndpoints: 2 })
    told.planned(3, new Map([['web', { before: first, after: second }], ['api', { before: null, after: planned('api', { port: 32_001, localEndpoints: 0 }) }]]))
    told.planned(4, new Map([['web', { before: second, after: null }]]))
    told.held(3)
    assert.deepEqual(lists.splice(0), [[{ namespace: 'shop', name: 'web', port: 32_000, localEndpoints: 2 }, { namespace: 'shop', name: 'api', port: 32_001, localEndpoints: 0 }]])
    told.held(5)
    assert.deepEqual(lists.splice(0), [[{ namespace: 'shop', name: 'api', port: 32_001, localEndpoints: 0 }]])
    // It keeps its row and loses its port.
    told.planned(6, new Map([['api', { before: planned('api', { port: 32_001, localEndpoints: 0 }), after: planned('api', null) }]]))
    told.held(6)
    assert.deepEqual(lists, [[]])
  })
})
