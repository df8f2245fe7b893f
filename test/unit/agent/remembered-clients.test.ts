// Clients that are forgotten, between the turns and the kernel: what is asked when, and of which lists, with a made-up kernel.
import assert from 'node:assert/strict'
import { RememberedClients } from '../../../src/agent/remembered-clients.ts'
import type { ClientSweep, SweepOutcome } from '../../../src/kernel/kernel.ts'
import type { Problem } from '../../../src/lib/problem.ts'
import type { Change } from '../../../src/model/changes.ts'
import type { Protocol } from '../../../src/model/objects.ts'
import type { EndpointList, ListId, PlannedService } from '../../../src/nat/plan.ts'
import type { Target } from '../../../src/nat/targets.ts'
import { markLayout, type MarkLayout } from '../../../src/ruleset/marks.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

const LAYOUT = markLayout(0xffffff00) as MarkLayout
const target = (n: number): Target => ({ address: `10.1.0.${n}`, port: 8080 })

function list(id: ListId, ends: readonly number[], more: Partial<EndpointList> = {}): EndpointList {
  return { id, protocol: 'TCP', affinity: 60, slots: { 4: ends.map(target), 6: ends.map((n) => ({ address: `fd10::${n}`, port: 8080 })) }, sizes: { 4: 1, 6: 1 }, ...more }
}

class World {
  readonly clock = new FakeClock()
  /** `MAP LISTS: ENDS`; every: `*`. */
  readonly asked: string[] = []
  readonly outcomes: SweepOutcome[] = []
  readonly rested: ListId[] = []
  readonly forgotten: number[] = []
  problems: readonly Problem[] = []
  /** Called before a map is gone through. */
  onSweep: () => void = () => undefined
  sweepMs = 0
  readonly clients: RememberedClients
  readonly #services = new Map<string, PlannedService>()
  #revision = 0

  /** `withClients`: the numbers that an earlier agent had. */
  constructor(withClients: readonly ListId[] = []) {
    this.clients = new RememberedClients({
      kernel: { sweepClients: (_, sweep) => this.#sweep(sweep) },
      clock: this.clock,
      plan: { withClients, rested: (ids) => this.rested.push(...ids) },
      layout: LAYOUT,
      onForgotten: (count) => this.forgotten.push(count),
      onProblems: (problems) => (this.problems = problems),
    })
  }

  async #sweep({ map, judged, valid, addressLength }: ClientSweep): Promise<SweepOutcome> {
    this.onSweep()
    const width = 4 + addressLength + 2
    const ends = Array.from({ length: valid.length / width }, (_, i) => {
      const record = Buffer.from(valid).subarray(i * width, (i + 1) * width)
      assert.equal(record.readUInt16BE(width - 2), 8080)
      return `${record.readUInt32LE(0) / 0x10000}>${record[width - 3]}`
    })
    this.asked.push(`${map.replace('affinity-', '')} ${judged === null ? '*' : judged.map((mark) => mark / 0x10000).join()}: ${ends.join(' ')}`.trim())
    if (this.sweepMs > 0) await new Promise<void>((resolve) => this.clock.after(this.sweepMs, resolve))
    return this.outcomes.shift() ?? { kind: 'done', forgotten: 0 }
  }

  /** That Service has those lists now; null: it is gone. The revision. */
  planned(name: string, lists: readonly EndpointList[] | null): number {
    const before = this.#services.get(name) ?? null
    const after = lists === null ? null : { uid: name, namespace: 'shop', name, entries: [], lists, clusterIps: [], restricted: [], udp: [], health: null }
    if (after === null) this.#services.delete(name)
    else this.#services.set(name, after)
    const change: Change<PlannedService> = { before, after }
    this.clients.planned(++this.#revision, new Map([[name, change]]))
    return this.#revision
  }

  async held(revision = this.#revision): Promise<void> {
    this.clients.held(revision)
    await settled()
  }

  async change(name: string, lists: readonly EndpointList[] | null): Promise<void> {
    this.planned(name, lists)
    await this.held()
  }

  take(): readonly string[] {
    return this.asked.splice(0)
  }
}

/** Behind both passes of a start. */
async function started(lists: readonly EndpointList[] = [list(1, [1, 2])]): Promise<World> {
  const world = new World()
  await world.change('web', lists)
  await world.clock.advance(1_000)
  assert.equal(world.take().length, 12)
  return world
}

const both = (text: string, protocol: Protocol = 'TCP'): readonly string[] => ['v4', 'v6'].map((family) => `${protocol.toLowerCase()}-${family} ${text}`)

describe('clients of endpoints that left', () => {
  it('a start goes through everything once the kernel holds the first plan, and a second later once more', async () => {
    const world = new World()
    world.planned('web', [list(1, [1, 2]), list(2, [3], { protocol: 'UDP' }), list(3, [4], { affinity: null })])
    await settled()
    assert.deepEqual(world.take(), [])
    await world.held()
    const all = [...both('*: 1>1 1>2'), ...both('*: 2>3', 'UDP'), ...both('*:', 'SCTP')]
    assert.deepEqual(world.take(), all)
    await world.clock.advance(999)
    assert.deepEqual(world.take(), [])
    await world.clock.advance(1)
    assert.deepEqual(world.take(), all)
    await world.clock.advance(60_000)
    assert.deepEqual(world.take(), [])
  })

  it('numbers that an earlier agent had, and no list has, may be had behind the second pass of a start', async () => {
    const world = new World([1, 5, 7])
    await world.change('web', [list(1, [1, 2])])
    await world.clock.advance(999)
    // Another list has come meanwhile, and one that was another one's has gone.
    await world.change('other', [list(9, [1])])
    await world.change('other', null)
    assert.deepEqual(world.rested, [])
    await world.clock.advance(1)
    assert.deepEqual(world.rested, [5, 7])
    await world.clock.advance(999)
    assert.deepEqual(world.rested, [5, 7, 9])
  })

  it('an endpoint that leaves: its list is gone through, when the kernel holds that, of its protocol; and a second later once more', async () => {
    const world = await started([list(1, [1, 2]), list(2, [1, 2], { protocol: 'UDP' })])
    const revision = world.planned('web', [list(1, [1, 2]), list(2, [2], { protocol: 'UDP' })])
    await world.held(revision - 1)
    assert.deepEqual(world.take(), [])
    await world.held(revision)
    assert.deepEqual(world.take(), both('2: 2>2', 'UDP'))
    await world.clock.advance(1_000)
    assert.deepEqual(world.take(), both('2: 2>2', 'UDP'))
    await world.clock.advance(60_000)
    assert.deepEqual([world.take(), world.rested], [[], []])
  })

  it('of one family only, it is its list too', async () => {
    const world = await started()
    await world.change('web', [{ ...list(1, [1, 2]), slots: { 4: [target(1), target(2)], 6: [] } }])
    assert.deepEqual(world.take(), ['tcp-v4 1: 1>1 1>2', 'tcp-v6 1:'])
  })

  it('who comes, changes place, or another timeout: nothing is gone through', async () => {
    const world = await started()
    for (const next of [list(1, [1, 2, 3]), list(1, [3, 1, 2]), list(1, [3, 1, 2], { affinity: 90 })]) await world.change('web', [next])
    await world.change('other', [list(2, [1])])
    await world.clock.advance(60_000)
    assert.deepEqual(world.take(), [])
  })

  it('who is back before keeps its clients, whether the kernel holds that already or not', async () => {
    const world = await started()
    const left = world.planned('web', [list(1, [2])])
    world.planned('web', [list(1, [2, 1])])
    await world.held(left)
    assert.deepEqual(world.take(), both('1: 1>2 1>1'))
    await world.held()
    await world.clock.advance(1_000)
    assert.deepEqual(world.take(), both('1: 1>2 1>1'))
  })

  it('what the second pass finds valid is what the plan says then', async () => {
    const world = await started()
    await world.change('web', [list(1, [2])])
    world.planned('web', [list(1, [2, 9])])
    world.take()
    await world.clock.advance(1_000)
    assert.deepEqual(world.take(), both('1: 1>2 1>9'))
  })

  it('one that leaves while another one\'s clients are being forgotten begins anew', async () => {
    const world = await started([list(1, [1, 2, 3])])
    world.planned('web', [list(1, [2, 3])])
    world.onSweep = () => {
      world.onSweep = () => undefined
      void world.change('web', [list(1, [3])])
    }
    await world.held()
    assert.deepEqual(world.take(), [...both('1: 1>2 1>3'), ...both('1: 1>3')], 'the second one at once')
    await world.clock.advance(1_000)
    assert.deepEqual(world.take(), both('1: 1>3'))
    await world.clock.advance(60_000)
    assert.deepEqual(world.take(), [])
  })

  it('many lists are written down in parts, and who comes meanwhile is valid', async () => {
    const world = new World()
    const lists = Array.from({ length: 1_000 }, (_, index) => list(index + 1, [1]))
    world.planned('web', lists)
    world.clients.held(1)
    let turns = 0
    for (; world.asked.length === 0; turns++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (turns === 1) world.planned('web', [list(1, [1, 7]), list(2_000, [8]), ...lists.slice(1)])
    }
    const [first = ''] = world.take()
    for (const end of ['1>1', '1>7', '2>1', '1000>1', '2000>8']) assert.ok(first.split(' ').includes(end), end)
    assert.ok(turns >= 4, `${turns} parts`)
  })

  it('affinity that ends forgets everybody of that list; where it is back before, those of endpoints that are there stay', async () => {
    const world = await started()
    await world.change('web', [list(1, [1, 2], { affinity: null })])
    assert.deepEqual(world.take(), both('1:'))
    await world.change('web', [list(1, [1])])
    await world.clock.advance(1_000)
    assert.deepEqual([world.take(), world.rested], [both('1: 1>1'), []])
  })

  it('the number of a list that is gone, or without affinity, may be had again behind the second pass, not before', async () => {
    for (const after of [null, [], [list(1, [1, 2], { affinity: null })], [list(7, [1], { protocol: 'UDP' })]]) {
      const world = await started()
      await world.change('web', after)
      assert.deepEqual(world.take(), both('1:'))
      await world.clock.advance(999)
      assert.deepEqual(world.rested, [])
      await world.clock.advance(1)
      assert.deepEqual([world.take(), world.rested], [both('1:'), [1]])
    }
  })

  it('a number that is another list\'s already, of another protocol, is gone through everywhere', async () => {
    const world = await started()
    world.planned('web', null)
    world.planned('other', [list(1, [5], { protocol: 'UDP' })])
    world.planned('other', null)
    await world.held()
    assert.deepEqual(world.take(), [...both('1:'), ...both('1:', 'UDP'), ...both('1:', 'SCTP')])
  })

  it('where the kernel fails it is told, tried again at growing distances, and a number rests until then', async () => {
    const world = await started()
    const failed: SweepOutcome = { kind: 'failed', message: 'no answer' }
    world.outcomes.push({ kind: 'done', forgotten: 3 }, failed, failed, failed, { kind: 'done', forgotten: 2 }, { kind: 'done', forgotten: 1 })
    await world.change('web', null)
    assert.deepEqual([world.take(), world.forgotten, world.problems.map(({ code, message }) => `${code}: ${message}`)], [
      both('1:'),
      [3],
      ['NotForgotten: those of endpoints that are gone could not be forgotten: no answer; they may still be led there, until it succeeds; it is tried again'],
    ])
    await world.clock.advance(250)
    assert.deepEqual([world.take().length, world.problems.length], [2, 1])
    await world.clock.advance(499)
    assert.equal(world.take().length, 0)
    await world.clock.advance(1)
    assert.deepEqual([world.take(), world.problems, world.forgotten, world.rested], [both('1:'), [], [3, 3], []])
    await world.clock.advance(1_000)
    assert.deepEqual(world.rested, [1])
  })

  it('passes that take long are far apart', async () => {
    const world = await started()
    world.sweepMs = 200
    await world.change('web', [list(1, [2])])
    await world.clock.advance(200)
    world.take()
    await world.change('web', [list(1, [])])
    await world.clock.advance(599)
    assert.deepEqual(world.take(), [])
    await world.clock.advance(1)
    assert.deepEqual(world.take(), both('1:'))
  })

  it('nothing begins behind close(), which waits for what is under way', async () => {
    const world = await started()
    world.sweepMs = 100
    await world.change('web', null)
    const closed = world.clients.close()
    await world.clock.advance(60_000)
    await closed
    assert.deepEqual([world.take(), world.rested], [both('1:'), []])
    world.planned('other', [list(2, [1])])
    await world.change('other', null)
    assert.deepEqual(world.take(), [])
  })
})
