// Leader election over a Lease, on a fake clock: two contenders, a server that is away, clocks that jump, Leases that others change.
import assert from 'node:assert/strict'
import { KEY, LEASES, World } from '../../support/contenders.ts'

describe('kube: who leads', () => {
  let world: World
  beforeEach(() => (world = new World()))
  afterEach(() => world.close())

  it('the first one makes the Lease and leads at once, in the form that the API server reads', async () => {
    const a = world.add('a')
    await world.pass(250)
    assert.deepEqual([a.told, world.leaders(), a.leader.holder], [['started'], ['a'], 'a'])
    const time = '1970-01-01T00:00:00.000000Z'
    assert.deepEqual(world.spec(), { holderIdentity: 'a', leaseDurationSeconds: 15, acquireTime: time, renewTime: time, leaseTransitions: 0 })
    await world.pass(60_000)
    assert.deepEqual([a.told, world.spec()['leaseTransitions']], [['started'], 0])
    assert.equal(world.spec()['renewTime'], '1970-01-01T00:01:00.000000Z')
    // One request each 2 s: no look in front of a renewal.
    assert.deepEqual(world.api.requests.slice(2).map(({ method }) => method), Array.from({ length: 30 }, () => 'PUT'))
  })
  it('of two one leads, and the other waits without writing', async () => {
    const a = world.add('a')
    const b = world.add('b')
    await world.pass(120_000)
    assert.deepEqual([a.told, b.told, world.leaders()], [['started'], [], ['a']])
    const writes = world.api.requests.filter(({ method, body }) => method !== 'GET' && body.includes('"holderIdentity":"b"'))
    assert.ok(writes.length <= 1, 'the other one tried to take what is held')
  })
  it('an end gives the Lease back: the other one leads at its next look, and not before the first has stopped', async () => {
    let stopped = (): void => {}
    const a = world.add('a', { onStopped: () => new Promise<void>((resolve) => (stopped = resolve)) })
    await world.pass(1_000)
    const b = world.add('b')
    await world.pass(10_000)
    const end = a.leader.close()
    assert.equal(a.leader.leads(), false)
    await world.pass(5_000)
    assert.deepEqual([world.leaders(), world.spec()['holderIdentity']], [[], 'a'], 'given back while the leader still writes')
    stopped()
    await end
    assert.equal(world.spec()['holderIdentity'], undefined)
    await world.pass(2_500)
    assert.deepEqual([world.leaders(), b.started, world.spec()['leaseTransitions']], [['b'], 1, 1])
  })
  it('a leader that cannot renew steps down before another one may lead, and that one waits for the whole duration', async () => {
    const a = world.add('a')
    await world.pass(500)
    const b = world.add('b')
    await world.pass(9_750)
    a.fate = () => 'refused'
    // Renewed last at 10,000.
    await world.pass(9_500)
    assert.deepEqual(world.leaders(), ['a'])
    await world.pass(500)
    assert.deepEqual([world.leaders(), a.told.at(-1)], [[], 'stopped'])
    await world.pass(4_500)
    assert.deepEqual(world.leaders(), [])
    await world.pass(3_000)
    assert.deepEqual([world.leaders(), b.started], [['b'], 1])
    a.fate = () => 'usual'
    await world.pass(60_000)
    assert.deepEqual([world.leaders(), a.started], [['b'], 1])
    assert.deepEqual(a.told.at(-1), 'fine')
  })
  it('requests that hang are as good as none, and do not pile up', async () => {
    const a = world.add('a')
    await world.pass(500)
    world.add('b')
    a.fate = () => 'hangs'
    await world.pass(10_500)
    assert.deepEqual([world.leaders(), a.told.includes('stopped')], [[], true])
    await world.pass(10_000)
    assert.deepEqual(world.leaders(), ['b'])
    const before = world.api.requests.length
    await world.pass(100_000)
    // The one that renews 50 times, the other one each deadline (10 s, and a pause).
    assert.ok(world.api.requests.length - before <= 62, String(world.api.requests.length - before))
  })
  it('a term begins only when the one before has stopped', async () => {
    let stopped = (): void => {}
    const a = world.add('a', { onStopped: () => new Promise<void>((resolve) => (stopped = resolve)) })
    await world.pass(500)
    a.fate = () => 'refused'
    await world.pass(11_000)
    a.fate = () => 'usual'
    await world.pass(5_000)
    assert.deepEqual([world.leaders(), a.started], [[], 1])
    stopped()
    await world.pass(5_000)
    assert.deepEqual([world.leaders(), a.started], [['a'], 2])
    a.leader.close().catch(assert.fail)
    await world.pass(500)
    stopped()
  })
  it('one request that hangs does not hold up the next ones', async () => {
    const a = world.add('a')
    await world.pass(500)
    a.fate = () => 'hangs'
    await world.pass(2_000)
    a.fate = () => 'usual'
    await world.pass(13_000)
    assert.deepEqual([world.leaders(), a.started], [['a'], 2])
  })
  it('while no API server answers nobody leads, and it is asked each 2 s, not more often', async () => {
    const [a, b] = [world.add('a'), world.add('b')]
    await world.pass(500)
    for (const one of [a, b]) one.fate = () => 'refused'
    await world.pass(100_000)
    assert.deepEqual(world.leaders(), [])
    const rate = world.api.requests.filter(({ at }) => at > 50_000).length / 50
    assert.ok(rate <= 1.01, `${rate} requests/s of two`)
    for (const one of [a, b]) one.fate = () => 'usual'
    await world.pass(5_000)
    assert.equal(world.leaders().length, 1)
  })
  it('an answer to a renewal that is lost costs no leadership', async () => {
    const a = world.add('a')
    world.add('b')
    await world.pass(500)
    let once = true
    a.fate = ({ method }) => {
      const lost = once && method === 'PUT'
      once = once && !lost
      return lost ? 'lost' : 'usual'
    }
    await world.pass(60_000)
    assert.deepEqual([once, world.leaders(), a.started, a.told.includes('stopped')], [false, ['a'], 1, false])
  })
  it('slow answers make a leader; one that comes after the deadline does not', async () => {
    const a = world.add('a')
    world.api.delayMs = () => 1_500
    await world.pass(30_000)
    assert.deepEqual([a.told, world.leaders()], [['started'], ['a']])
    await world.close()
    world = new World()
    const late = world.add('a')
    world.api.delayMs = () => 500
    // Asked for the Lease at 1,000; then the machine sleeps, which only the wall clock shows.
    await world.pass(1_250)
    late.ahead = 20_000
    await world.pass(1_000)
    assert.deepEqual([world.spec()['holderIdentity'], late.told, late.leader.leads()], ['a', [], false])
    await world.pass(5_000)
    assert.deepEqual([late.told, world.leaders()], [['started'], ['a']])
  })

  it('the wall clock of a contender takes nothing from who leads, whichever way it jumps', async () => {
    const a = world.add('a')
    const b = world.add('b')
    await world.pass(5_000)
    for (const jump of [86_400_000, -172_800_000, 3_600_000]) {
      b.ahead += jump
      await world.pass(10_000)
    }
    assert.deepEqual([world.leaders(), a.told, b.told], [['a'], ['started'], []])
  })
  it('a leader whose wall clock jumps ahead does not lead until it has renewed; one whose clock goes back leads on', async () => {
    const a = world.add('a')
    world.add('b')
    await world.pass(5_000)
    a.ahead = 3_600_000
    assert.equal(a.leader.leads(), false)
    await world.pass(2_500)
    assert.deepEqual(world.leaders(), ['a'])
    a.ahead = -3_600_000
    assert.equal(a.leader.leads(), true)
    await world.pass(60_000)
    assert.deepEqual([world.leaders(), a.started], [['a'], 1])
  })
  it('a process that stood still does not lead when it goes on, and finds out who does', async () => {
    const a = world.add('a')
    await world.pass(1_000)
    world.clock.stall(20_000)
    assert.equal(a.leader.leads(), false, 'before any timer ran')
    a.ahead = -3_600_000
    assert.equal(a.leader.leads(), false, 'whatever the wall clock says')
    await world.pass(3_000)
    assert.deepEqual(world.leaders(), ['a'])
    const b = world.add('b')
    a.fate = () => 'hangs'
    await world.pass(20_000)
    world.clock.stall(60_000)
    a.fate = () => 'usual'
    await world.pass(5_000)
    assert.deepEqual([world.leaders(), a.leader.leads(), b.started], [['b'], false, 1])
  })

  it('an expired holder that is gone is waited for once, by our own clock, and then replaced', async () => {
    world.api.put(LEASES, { metadata: { namespace: 'picket', name: 'operator', uid: 'u1' }, spec: { holderIdentity: 'gone', leaseDurationSeconds: 15, renewTime: '2001-01-01T00:00:00.000000Z', leaseTransitions: 4 } })
    const a = world.add('a')
    await world.pass(14_500)
    assert.deepEqual([world.leaders(), a.leader.holder], [[], 'gone'])
    await world.pass(1_000)
    assert.deepEqual([world.leaders(), world.spec()['leaseTransitions']], [['a'], 5])
  })
  it('the holder\'s own duration counts, and one that is not said, or absurd, has bounds', async () => {
    for (const [leaseDurationSeconds, from, to] of [[40, 39_500, 41_000], [undefined, 14_500, 16_000], ['soon', 14_500, 16_000], [1e9, 599_000, 601_000], [0, 500, 1_500]] as const) {
      world.api.put(LEASES, { metadata: { namespace: 'picket', name: 'operator', uid: 'u1' }, spec: { holderIdentity: 'gone', leaseDurationSeconds } })
      const a = world.add(`a-${String(leaseDurationSeconds)}`)
      await world.pass(from)
      assert.deepEqual(world.leaders(), [], String(leaseDurationSeconds))
      await world.pass(to - from)
      assert.equal(a.leader.leads(), true, String(leaseDurationSeconds))
      await world.close()
      world = new World()
    }
  })
  it('a Lease that somebody else took is left to them at the next renewal', async () => {
    const a = world.add('a')
    await world.pass(1_000)
    world.edit({ holderIdentity: 'other', leaseTransitions: 1 })
    await world.pass(2_500)
    assert.deepEqual([world.leaders(), a.told, a.leader.holder], [[], ['started', 'stopped'], 'other'])
    await world.pass(10_000)
    assert.deepEqual(world.leaders(), [])
    await world.pass(6_000)
    assert.deepEqual([world.leaders(), world.spec()['leaseTransitions']], [['a'], 2])
  })
  it('a Lease on which somebody wrote something else is kept, with what they wrote', async () => {
    const a = world.add('a')
    await world.pass(1_000)
    world.edit({ strategy: 'OldestEmulationVersion' }, { note: 'hands off' })
    await world.pass(60_000)
    assert.deepEqual([world.leaders(), a.told], [['a'], ['started']])
    assert.deepEqual([world.spec()['strategy'], world.api.find(LEASES, KEY)?.metadata['annotations']], ['OldestEmulationVersion', { note: 'hands off' }])
  })
  it('a Lease that somebody emptied or deleted is a new election', async () => {
    const a = world.add('a')
    await world.pass(1_000)
    world.edit({ holderIdentity: '' })
    await world.pass(5_000)
    assert.deepEqual([world.leaders(), a.told], [['a'], ['started', 'stopped', 'started']])
    world.api.remove(LEASES, KEY)
    await world.pass(5_000)
    assert.deepEqual([world.leaders(), a.started, world.spec()['holderIdentity']], [['a'], 3, 'a'])
  })
  it('a Lease that cannot be read as one is taken', async () => {
    world.api.put(LEASES, { metadata: { namespace: 'picket', name: 'operator', uid: 'u1' }, spec: 'nonsense' })
    world.add('a')
    await world.pass(500)
    assert.deepEqual([world.leaders(), world.spec()['holderIdentity']], [['a'], 'a'])
  })
  it('a role without the right, or a server that asks for time, is told and waited for', async () => {
    const a = world.add('a')
    a.fate = ({ method }) => (method === 'POST' ? { status: 403, body: { message: 'no' } } : 'usual')
    await world.pass(5_000)
    assert.match(a.told[0] ?? '', /the role lacks the verb "create" on the resource "leases" of the group coordination\.k8s\.io/)
    a.fate = () => ({ status: 429, retryAfter: '7' })
    await world.pass(3_000)
    const before = world.api.requests.length
    await world.pass(20_000)
    assert.ok(world.api.requests.length - before <= 3)
    a.fate = () => 'usual'
    await world.pass(10_000)
    assert.deepEqual([world.leaders(), a.told.slice(-2).toSorted()], [['a'], ['fine', 'started']])
  })
  it('an end while the server is away ends all the same', async () => {
    const a = world.add('a')
    await world.pass(1_000)
    a.fate = () => 'hangs'
    let done = false
    void a.leader.close().then(() => (done = true))
    await world.pass(6_000)
    assert.equal(done, true)
    assert.equal(world.spec()['holderIdentity'], 'a')
  })
  it('an end that meets a renewal whose answer is lost gives the Lease back all the same', async () => {
    const a = world.add('a')
    await world.pass(1_000)
    a.fate = ({ method }) => (method === 'PUT' ? 'lost' : 'usual')
    await world.pass(2_000)
    a.fate = () => 'usual'
    await a.leader.close()
    assert.equal(world.spec()['holderIdentity'], undefined)
  })
  it('an end that meets the request that takes the Lease gives it back all the same', async () => {
    for (const name of ['makes', 'takes']) {
      const a = world.add(name)
      a.fate = ({ method }) => (method === 'GET' ? 'usual' : 'lost')
      await world.pass(250)
      assert.deepEqual([world.leaders(), world.spec()['holderIdentity']], [[], name])
      a.fate = () => 'usual'
      await a.leader.close()
      assert.equal(world.spec()['holderIdentity'], undefined)
    }
  })
})
