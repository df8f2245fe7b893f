// From an event's arrival to the commit that holds it: who is observed when, and how long it says.
import assert from 'node:assert/strict'
import { Arrivals } from '../../../src/agent/arrivals.ts'

class Watched {
  readonly seen: string[] = []
  readonly arrivals = new Arrivals((ms, count) => this.seen.push(`${count} after ${ms}`))

  take(): readonly string[] {
    return this.seen.splice(0)
  }
}

describe('arrivals', () => {
  it('are observed when a commit holds the turn that took them in, once', () => {
    const watched = new Watched()
    const { arrivals } = watched
    const take = (): readonly string[] => watched.take()
    arrivals.arrived(100, 2)
    arrivals.held(9, 150)
    assert.deepEqual(take(), [], 'no turn took them in yet')
    arrivals.arrived(110, 1)
    arrivals.turned(1)
    arrivals.arrived(120, 4)
    arrivals.held(0, 130)
    assert.deepEqual(take(), [], 'an older commit')
    arrivals.held(1, 140)
    assert.deepEqual(take(), ['2 after 40', '1 after 30'])
    arrivals.turned(2)
    arrivals.turned(3)
    arrivals.held(3, 200)
    arrivals.held(3, 300)
    assert.deepEqual(take(), ['4 after 80'])
  })
  it('wait as long as the kernel refuses', () => {
    const watched = new Watched()
    for (let i = 1; i <= 3; i += 1) {
      watched.arrivals.arrived(i * 10, 1)
      watched.arrivals.turned(i)
    }
    watched.arrivals.held(2, 5_000)
    assert.deepEqual(watched.take(), ['1 after 4990', '1 after 4980'])
    watched.arrivals.held(3, 60_000)
    assert.deepEqual(watched.take(), ['1 after 59970'])
  })
  it('are not lost however many wait; what is joined counts as the older, and only when the later is held', () => {
    for (const turned of [false, true]) {
      const watched = new Watched()
      for (let i = 1; i <= 50_000; i += 1) {
        watched.arrivals.arrived(i, 1)
        if (turned) watched.arrivals.turned(i)
      }
      if (!turned) watched.arrivals.turned(50_000)
      watched.arrivals.held(49_999, 50_001)
      const early = watched.take()
      assert.equal(turned, early.length > 0)
      watched.arrivals.held(50_000, 50_001)
      const all = [...early, ...watched.take()].map((text) => text.split(' after ').map(Number) as [number, number])
      assert.ok(all.length <= 4_097, String(all.length))
      assert.equal(all.reduce((sum, [count]) => sum + count, 0), 50_000)
      assert.equal(Math.max(...all.map(([, ms]) => ms)), 50_000, 'the oldest is not made younger')
    }
  })
  it('are forgotten when told so', () => {
    const watched = new Watched()
    watched.arrivals.arrived(1, 1)
    watched.arrivals.turned(1)
    watched.arrivals.arrived(2, 1)
    watched.arrivals.forget()
    watched.arrivals.turned(2)
    watched.arrivals.held(2, 10)
    assert.deepEqual(watched.take(), [])
  })
})
