// audit.picket.dev/until on the way to the inbox: over before it comes, over while it is there, edited and deleted meanwhile.
import assert from 'node:assert/strict'
import { LogEnds } from '../../../src/agent/log-ends.ts'
import type { Decoded, SourceEvent } from '../../../src/model/changes.ts'
import type { LogWish } from '../../../src/model/log-wish.ts'
import { namespace, policy } from '../../support/builders.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const good = <Row>(row: Row): Decoded<Row> => ({ kind: 'good', row, problems: [] })
const bad = <Row>(strict: Row | null): Decoded<Row> => ({ kind: 'bad', strict, problems: [] })
const says = (log?: LogWish): SourceEvent => ({ verb: 'upsert', kind: 'policy', key: 'p', decoded: good(policy(log === undefined ? {} : { log })) })
const spaceSays = (log?: LogWish): SourceEvent => ({ verb: 'upsert', kind: 'namespace', key: 'n', decoded: good(namespace(log === undefined ? {} : { log })) })

function logOf(event: SourceEvent): unknown {
  if (event.verb !== 'upsert' || (event.kind !== 'policy' && event.kind !== 'namespace')) return event.verb
  const { decoded } = event
  return [decoded.kind, (decoded.kind === 'good' ? decoded.row : decoded.strict)?.log ?? null]
}

class World {
  readonly clock = new FakeClock()
  readonly pushed: SourceEvent[] = []
  readonly ends = new LogEnds(this.clock, (events) => this.pushed.push(...events))

  take(event: SourceEvent): unknown {
    return logOf(this.ends.take(event))
  }

  async after(ms: number): Promise<unknown[]> {
    await this.clock.advance(ms)
    return this.pushed.splice(0).map(logOf)
  }
}

describe('an annotation that ends', () => {
  it('is over at once where its time is, and else when it comes, once, with the rest left', async () => {
    const world = new World()
    assert.deepEqual(world.take(says({ log: 'all', until: 0 })), ['good', null])
    const wish: LogWish = { log: 'all', sample: 10, until: 60_000 }
    assert.deepEqual(world.take(says(wish)), ['good', wish])
    assert.deepEqual(await world.after(59_000), [])
    assert.deepEqual(await world.after(1_500), [['good', { sample: 10 }]])
    assert.deepEqual(await world.after(120_000), [])
  })

  it('of several objects ends each at its own time, of namespaces too', async () => {
    const world = new World()
    world.take(says({ log: 'all', until: 30_000 }))
    world.take(spaceSays({ log: 'deny', until: 5_000 }))
    assert.deepEqual(await world.after(4_000), [])
    assert.deepEqual(await world.after(3_000), [['good', null]])
    assert.equal(world.pushed.length, 0)
    assert.deepEqual(await world.after(30_000), [['good', null]])
  })

  it('of an object that is edited or deleted ends no more', async () => {
    const world = new World()
    world.take(says({ log: 'all', until: 5_000 }))
    assert.deepEqual(world.take(says({ log: 'all', until: 50_000 })), ['good', { log: 'all', until: 50_000 }])
    assert.deepEqual(await world.after(20_000), [])
    world.take(says({ log: 'all' }))
    world.take(spaceSays({ log: 'all', until: 30_000 }))
    world.ends.take({ verb: 'delete', kind: 'namespace', key: 'n' })
    assert.deepEqual(await world.after(200_000), [])
  })

  it('is read in a whole list, too, and what the list leaves out is forgotten', async () => {
    const world = new World()
    world.take(says({ log: 'all', until: 5_000 }))
    const rows = new Map([['q', good(policy({ name: 'q', log: { log: 'deny', until: 9_000 } }))], ['r', good(policy({ name: 'r', log: { log: 'deny', until: -1 } }))]])
    const taken = world.ends.take({ verb: 'replace', kind: 'policy', rows })
    assert.ok(taken.verb === 'replace' && taken.kind === 'policy')
    assert.deepEqual([...taken.rows.values()].map((decoded) => decoded.kind === 'good' && decoded.row.log), [{ log: 'deny', until: 9_000 }, undefined])
    assert.deepEqual(await world.after(20_000), [['good', null]])
  })

  it('of the last good version ends while a bad one is there: both are said, the good one first', async () => {
    const world = new World()
    world.take(says({ log: 'all', until: 5_000 }))
    assert.deepEqual(world.take({ verb: 'upsert', kind: 'policy', key: 'p', decoded: bad(policy({ log: { log: 'none' } })) }), ['bad', { log: 'none' }])
    assert.deepEqual(await world.after(6_000), [['good', null], ['bad', { log: 'none' }]])
  })

  it('ends in time after somebody has set the clock forward, and not before where it was set back', async () => {
    const world = new World()
    world.take(says({ log: 'all', until: 3_600_000 }))
    world.clock.setAhead(3_600_000)
    assert.deepEqual(await world.after(10_000), [['good', null]])
    world.take(spaceSays({ log: 'all', until: world.clock.wallTime() + 20_000 }))
    world.clock.setAhead(-60_000)
    assert.deepEqual(await world.after(60_000), [])
    assert.deepEqual(await world.after(30_000), [['good', null]])
  })

  it('wakes nobody where nothing is to end, nor after the agent has closed', async () => {
    const world = new World()
    world.take(says({ log: 'all' }))
    world.take({ verb: 'synced', kind: 'policy' })
    world.take({ verb: 'delete', kind: 'pod', key: 'x' })
    world.take(spaceSays({ log: 'all', until: 5_000 }))
    await world.ends.close()
    assert.deepEqual(await world.after(60_000), [])
    // Sources are closed later than this: a timer for what they say until then would keep the process.
    world.take(spaceSays({ log: 'all', until: world.clock.wallTime() + 5_000 }))
    assert.deepEqual(await world.after(60_000), [])
  })
})
