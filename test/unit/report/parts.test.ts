// The parts of publishing that need no API: what is needed, tokens, the timetable, times of quiet, and when a node writes its own status.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ApiFailure } from '../../../src/kube/failures.ts'
import { needOf, type Standing } from '../../../src/report/desired.ts'
import { Lanes } from '../../../src/report/lanes.ts'
import { NodeSchedule, restMs, type NodeChange } from '../../../src/report/node-schedule.ts'
import { Quiet } from '../../../src/report/quiet.ts'
import { Timetable } from '../../../src/report/timetable.ts'
import { TokenBucket } from '../../../src/report/token-bucket.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { runs } from '../../support/runs.ts'

describe('report: what is needed', () => {
  const standing: Standing = { uid: 's', resourceVersion: '7', owner: 'u1', transition: 'x', counts: '1' }
  const wanted = { owner: 'u1', transition: 'x', counts: '1', body: {} }

  it('is said by what should be and what is, and by nothing else', () => {
    const text = (desired: Partial<typeof wanted> | { body: null }, stands: Partial<Standing> | null): string => {
      const need = needOf({ ...wanted, ...desired }, stands === null ? null : { ...standing, ...stands })
      return need.kind === 'nothing' ? 'nothing' : `${need.kind}: ${need.action}`
    }
    assert.equal(text({}, {}), 'nothing')
    assert.equal(text({}, null), 'transition: create')
    assert.equal(text({}, { transition: null, counts: null }), 'transition: apply')
    assert.equal(text({ transition: 'y' }, {}), 'transition: apply')
    assert.equal(text({ transition: 'y', counts: '2' }, {}), 'transition: apply')
    assert.equal(text({ counts: '2' }, {}), 'counts: apply')
    assert.equal(text({ owner: 'u2' }, {}), 'transition: delete')
    assert.equal(text({ body: null }, {}), 'transition: delete')
    assert.equal(text({ body: null }, null), 'nothing')
  })
})

describe('report: tokens', () => {
  it('are given at the rate, after a burst, and no faster however one asks', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 50 }), fc.array(fc.nat(700), { maxLength: 200 }), (rate, burst, steps) => {
        const bucket = new TokenBucket(rate, burst, 0)
        const taken: number[] = []
        let now = 0
        for (const step of steps) {
          now += step
          while (bucket.take(now)) taken.push(now)
        }
        taken.forEach((at, i) => assert.ok(taken.filter((other, j) => j >= i && other - at <= 1000).length <= burst + rate + 1))
      }),
      runs(100),
    )
  })
  it('say when the next one is there', () => {
    const bucket = new TokenBucket(12, 2, 0)
    assert.deepEqual([bucket.take(0), bucket.take(0), bucket.take(0)], [true, true, false])
    const wait = bucket.waitMs(0)
    assert.equal(wait, 84)
    assert.deepEqual([bucket.take(wait - 1), bucket.take(wait), bucket.waitMs(1e9)], [false, true, 0])
  })
})

describe('report: the timetable', () => {
  it('gives each key once, at its latest time, in order; like a list that is sorted each time', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), at: fc.nat(30) }),
      fc.record({ kind: fc.constant('remove' as const), key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), at: fc.nat(30) }),
      fc.record({ kind: fc.constant('take' as const), key: fc.constant('a'), at: fc.nat(30) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const table = new Timetable()
        const model = new Map<string, number>()
        for (const { kind, key, at } of steps) {
          if (kind === 'set') {
            table.set(key, at)
            model.set(key, at)
          } else if (kind === 'remove') {
            table.remove(key)
            model.delete(key)
          } else {
            const first = Math.min(...model.values())
            const taken = table.take(at)
            if (taken === null) assert.ok(first > at)
            else assert.equal(model.get(taken), first)
            if (taken !== null) model.delete(taken)
          }
          assert.deepEqual([table.next(), table.size], [Math.min(...model.values()), model.size])
        }
      }),
      runs(300),
    )
  })
  it('holds little more than what is in it, however often times change', () => {
    const table = new Timetable()
    for (let i = 0; i < 10_000; i += 1) table.set(`k${i % 50}`, 1_000_000 - i)
    assert.ok(table.held <= 2 * 50 + 65, String(table.held))
    assert.equal(table.next(), 1_000_000 - 9_999)
  })
})

describe('report: lanes', () => {
  it('give edits first, but let every lane move', () => {
    const lanes = new Lanes()
    for (let i = 0; i < 20; i += 1) for (const lane of ['edited', 'transitions', 'counts'] as const) lanes.add(`${lane}${i}`, lane)
    const order = Array.from({ length: 16 }, () => lanes.take()?.replace(/\d+/, '')[0]).join('')
    assert.equal(order, 'eeeteeeceeeteeec')
    for (let i = 0; i < 44; i += 1) assert.notEqual(lanes.take(), null)
    assert.deepEqual([lanes.take(), lanes.size], [null, 0])
  })
})

describe('report: times of quiet', () => {
  it('the beginning is quiet until the watches are synced, and no longer', () => {
    const quiet = new Quiet()
    assert.equal(quiet.until, Infinity)
    quiet.synced(5_000)
    assert.ok(quiet.until <= 5_000)
  })
  it('after a cut it is quiet until 60 s after the watches are synced again', () => {
    const quiet = new Quiet()
    quiet.synced(0)
    quiet.lost(10_000)
    assert.equal(quiet.until, Infinity)
    quiet.lost(500_000)
    quiet.synced(600_000)
    assert.equal(quiet.until, 660_000)
    quiet.synced(650_000)
    assert.equal(quiet.until, 660_000)
    const early = new Quiet()
    early.lost(1_000)
    early.synced(2_000)
    assert.equal(early.until, 62_000)
  })
  it('over half the nodes that go silent together are a cut; half of them, or over half one by one, are not', () => {
    const world = (nodes: number, silent: number, everyMs: number): Quiet => {
      const quiet = new Quiet()
      quiet.synced(0)
      quiet.nodes(nodes)
      for (let i = 0; i < silent; i += 1) quiet.silent(`n${i}`, 1_000 + i * everyMs)
      return quiet
    }
    assert.ok(world(10, 5, 10).until < 0)
    assert.equal(world(10, 6, 10).until, 61_050)
    assert.ok(world(10, 6, 15_000).until < 0)
    assert.equal(world(1, 1, 0).until, 61_000)
    // Those that stay silent, and one that comes and goes, keep nothing quiet.
    const quiet = world(10, 6, 10)
    for (let at = 62_000; at < 600_000; at += 1_000) {
      quiet.heard('n0')
      quiet.silent('n0', at)
    }
    assert.equal(quiet.until, 61_050)
  })
  it('a node that is silent is told once, however often it is said, and one that is back counts no more', () => {
    const quiet = new Quiet()
    quiet.synced(0)
    quiet.nodes(3)
    quiet.silent('a', 1_000)
    quiet.silent('a', 2_000)
    assert.ok(quiet.until < 0)
    quiet.heard('a')
    quiet.silent('b', 3_000)
    assert.ok(quiet.until < 0)
    quiet.silent('c', 4_000)
    assert.equal(quiet.until, 64_000)
    quiet.heard('c')
    // Silent for long, and told again: not together with who begins now.
    quiet.silent('b', 200_000)
    quiet.silent('a', 200_000)
    assert.equal(quiet.until, 64_000)
  })
})

describe('report: when a node writes its own status', () => {
  class Node {
    readonly clock = new FakeClock()
    readonly writes: number[] = []
    readonly troubles: (string | null)[] = []
    fails: ApiFailure | null = null
    differs = true
    takesMs = 0
    open = 0
    readonly schedule = new NodeSchedule({
      clock: this.clock,
      random: () => 0.5,
      write: async () => {
        this.writes.push(this.clock.now())
        this.open += 1
        assert.equal(this.open, 1, 'two writes at once')
        if (this.takesMs > 0) await new Promise<void>((resolve) => void this.clock.after(this.takesMs, resolve))
        this.open -= 1
        if (this.fails !== null) throw this.fails
        return this.differs
      },
      onTrouble: (message) => void this.troubles.push(message),
    })
  }

  it('5 s, or a thirtieth of a second for each node', () => {
    assert.deepEqual([1, 150, 151, 300, 1_000, 5_000].map((nodes) => Math.round(restMs(nodes))), [5_000, 5_000, 5_033, 10_000, 33_333, 166_667])
  })
  it('the first change at once; what comes within the rest once, when it is over; a later one at once', async () => {
    const { clock, schedule, writes } = new Node()
    schedule.change('policy')
    assert.deepEqual(writes, [0])
    for (let i = 0; i < 10; i += 1) {
      await clock.advance(300)
      schedule.change((['failure', 'policy', 'count'] as const)[i % 3] as NodeChange)
    }
    await clock.advance(20_000)
    assert.deepEqual(writes, [0, 5_000])
    schedule.change('failure')
    assert.deepEqual(writes, [0, 5_000, 23_000])
  })
  it('what turns out to be as it should be is no write that has to be rested from', async () => {
    const node = new Node()
    node.differs = false
    node.schedule.change('count')
    await node.clock.advance(10)
    node.differs = true
    node.schedule.change('policy')
    await node.clock.advance(4_000)
    node.schedule.change('policy')
    await node.clock.advance(20_000)
    assert.deepEqual(node.writes, [0, 10, 5_010])
  })
  it('a watermark alone never causes a write', async () => {
    const { clock, schedule, writes } = new Node()
    for (let i = 0; i < 100; i += 1) {
      schedule.change('watermark')
      await clock.advance(1_000)
    }
    assert.deepEqual(writes, [])
    schedule.change('count')
    await clock.advance(2_000)
    schedule.change('watermark')
    await clock.advance(100_000)
    assert.equal(writes.length, 1)
  })
  it('a change while a write is on its way is the next write, a rest after its beginning', async () => {
    const node = new Node()
    node.takesMs = 2_000
    node.schedule.change('policy')
    await node.clock.advance(1_000)
    node.schedule.change('policy')
    await node.clock.advance(60_000)
    assert.deepEqual(node.writes, [0, 5_000])
  })
  it('a cluster that grows or shrinks has its say in a rest that goes on', async () => {
    const { clock, schedule, writes } = new Node()
    schedule.nodes(1_000)
    schedule.change('policy')
    await clock.advance(1_000)
    schedule.change('policy')
    await clock.advance(9_000)
    assert.deepEqual(writes, [0])
    schedule.nodes(150)
    assert.deepEqual(writes, [0, 10_000])
    schedule.nodes(3_000)
    schedule.change('policy')
    await clock.advance(99_000)
    assert.equal(writes.length, 2)
    await clock.advance(1_000)
    assert.equal(writes.length, 3)
  })
  it('a write that fails is tried again, ever more seldom, not before the server asks for it, and told', async () => {
    const node = new Node()
    node.fails = new ApiFailure('Unreachable', 'nobody there')
    node.schedule.change('failure')
    await node.clock.advance(600_000)
    assert.ok(node.writes.length >= 12 && node.writes.length <= 20, String(node.writes.length))
    assert.equal(node.troubles.at(-1), 'nobody there')
    node.fails = new ApiFailure('Overloaded', 'later', 200_000)
    await node.clock.advance(60_000)
    const before = node.writes.length
    node.fails = null
    await node.clock.advance(139_000)
    assert.equal(node.writes.length, before)
    await node.clock.advance(61_000)
    assert.deepEqual([node.writes.length, node.troubles.at(-1)], [before + 1, null])
    await node.clock.advance(600_000)
    assert.equal(node.writes.length, before + 1)
  })
  it('an end waits for what is on its way, and begins nothing', async () => {
    const node = new Node()
    node.takesMs = 2_000
    node.schedule.change('policy')
    node.schedule.change('policy')
    let done = false
    void node.schedule.close().then(() => (done = true))
    await node.clock.advance(1_000)
    assert.equal(done, false)
    await node.clock.advance(60_000)
    assert.deepEqual([done, node.writes], [true, [0]])
  })
  it('whatever changes when: rests are kept, nothing is forgotten, and nothing waits longer than a rest', async () => {
    const step = fc.record({ ms: fc.nat(20_000), what: fc.constantFrom('failure', 'policy', 'count', 'watermark'), nodes: fc.constantFrom(1, 300, 1_000) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.nat(3_000), async (steps, takesMs) => {
        const node = new Node()
        node.takesMs = takesMs
        let last: number | null = null
        let shortest = Infinity
        for (const { ms, what, nodes } of steps) {
          node.schedule.nodes(nodes)
          shortest = Math.min(shortest, restMs(nodes))
          node.schedule.change(what as NodeChange)
          if (what !== 'watermark') last = node.clock.now()
          await node.clock.advance(ms)
        }
        await node.clock.advance(restMs(1_000) + 3_001)
        node.writes.slice(1).forEach((at, i) => assert.ok(at - (node.writes[i] as number) >= shortest))
        if (last === null) assert.deepEqual(node.writes, [])
        else assert.ok((node.writes.at(-1) as number) >= last && (node.writes.at(-1) as number) <= last + restMs(1_000) + 3_000)
      }),
      runs(100),
    )
  })
})
