// When the canary's rounds run, and what becomes of one that fails: nothing is told of a single one.
//
// **Invariant:** the clock is the test's own.
import assert from 'node:assert/strict'
import { Canary } from '../../../src/agent/canary.ts'
import type { FamilyRound, Round, Seen } from '../../../src/canary/verdict.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const seen = (left: number, by: string, count = 3): Seen => ({ sent: 3, refusal: null, arrived: 3, left, counted: { spoofed: 0, egress: 0, ingress: 0, allowed: 0, unknown: 0, [by]: count } })
const family = (egressDenied: Seen, allowed = seen(3, 'allowed')): FamilyRound => ({ kind: 'sent', evidence: { spoofed: seen(0, 'spoofed'), egressDenied, ingressDenied: seen(0, 'ingress'), allowed } })
const OK = family(seen(0, 'egress'))
const LEAK = family(seen(3, 'allowed'))
const DROP = family(seen(0, 'egress'), seen(0, 'egress'))
const both = (one: FamilyRound, quiet = true): Round => ({ families: { 4: one, 6: OK }, quiet })

class World {
  readonly clock = new FakeClock()
  readonly canary: Canary
  codes: readonly string[] = []
  rechecks = 0
  rounds = 0
  answer: Round | string = both(OK)
  /** The answers of the next rounds; then `answer`. */
  next: (Round | string)[] = []

  constructor() {
    this.canary = new Canary({
      clock: this.clock,
      interval: 60_000,
      round: async () => {
        this.rounds++
        return this.next.shift() ?? this.answer
      },
      recheck: () => this.rechecks++,
      onProblems: (problems) => (this.codes = problems.map((one) => one.code)),
      onRound: (of, result) => this.counts.push(`${of} ${result}`),
    })
  }

  readonly counts: string[] = []
}

describe('the canary of an agent', () => {
  it('begins when the kernel holds a ruleset, and then sends once in each interval', async () => {
    const world = new World()
    await world.clock.advance(120_000)
    assert.equal(world.rounds, 0)
    assert.equal(world.canary.state.result, 'pending')
    world.canary.held()
    await world.clock.advance(1)
    assert.equal(world.rounds, 1)
    assert.deepEqual(world.canary.state, { result: 'ok', since: 120_000, lastRound: 120_000, message: '' })
    world.canary.held()
    await world.clock.advance(180_000)
    assert.equal(world.rounds, 4)
    assert.equal(world.canary.state.since, 120_000)
    assert.deepEqual([world.rechecks, world.codes, new Set(world.counts)], [0, [], new Set(['4 ok', '6 ok'])])
  })

  it('tells nothing of one leak or two, but has the table read back at once and looks again', async () => {
    const world = new World()
    world.next = [both(LEAK), both(LEAK)]
    world.canary.held()
    await world.clock.advance(5_000)
    assert.deepEqual([world.rounds, world.rechecks, world.codes, world.canary.state.result], [3, 2, [], 'ok'])
    assert.deepEqual(world.counts.filter((one) => one === '4 leaked').length, 2)
  })

  it('tells the third, tries again every 10 s, and ends it with the first good round', async () => {
    const world = new World()
    world.canary.held()
    await world.clock.advance(1_000)
    world.answer = both(LEAK)
    await world.clock.advance(60_500)
    assert.deepEqual([world.codes, world.canary.state.result], [[], 'ok'])
    await world.clock.advance(1_000)
    assert.deepEqual([world.codes, world.canary.state.result], [['CanaryLeaked'], 'leaked'])
    const { since } = world.canary.state
    await world.clock.advance(60_000)
    assert.equal(world.canary.state.since, since)
    world.answer = both(OK)
    await world.clock.advance(10_000)
    assert.deepEqual([world.codes, world.canary.state.result], [[], 'ok'])
  })

  it('does not count a round beside a commit, as long as there are others', async () => {
    const world = new World()
    world.next = Array.from({ length: 5 }, () => both(LEAK, false))
    world.canary.held()
    await world.clock.advance(4_500)
    assert.deepEqual([world.rounds, world.codes], [5, []])
    await world.clock.advance(1_000)
    assert.deepEqual([world.rounds, world.codes, world.canary.state.result], [6, [], 'ok'])
    world.answer = both(LEAK, false)
    await world.clock.advance(70_000)
    assert.deepEqual(world.codes, ['CanaryLeaked'], 'somebody commits all the time')
  })

  it('tells only what three rounds in a row say', async () => {
    const world = new World()
    world.next = [both(DROP), both(DROP), both(LEAK)]
    world.answer = both(DROP)
    world.canary.held()
    await world.clock.advance(3_500)
    assert.deepEqual([world.rounds, world.codes], [4, []])
    await world.clock.advance(2_000)
    assert.deepEqual(world.codes, ['CanaryDropped'])
  })

  it('says so where it cannot send, and has nothing read back for that', async () => {
    const world = new World()
    world.answer = 'interface picket-canary0: it is of kind dummy'
    world.canary.held()
    await world.clock.advance(5_000)
    assert.deepEqual([world.codes, world.rechecks, world.canary.state.result], [['CanaryFailed'], 0, 'failed'])
  })

  it('sends nothing any more once it is closed', async () => {
    const world = new World()
    world.canary.held()
    await world.clock.advance(1)
    await world.canary.close()
    await world.clock.advance(600_000)
    assert.equal(world.rounds, 1)
  })
})
