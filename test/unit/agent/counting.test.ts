// What the agent remembers of the kernel's counters: nothing is lost when one goes and comes back, and nothing is told twice.
import assert from 'node:assert/strict'
import { CountSeries } from '../../../src/agent/count-series.ts'
import { Counting, type Total } from '../../../src/agent/counting.ts'
import { KernelTable, nothingDone } from '../../../src/agent/kernel-table.ts'
import { emptyDirty, emptyTable, everything } from '../../../src/nft/state.ts'
import { TABLE } from '../../../src/ruleset/skeleton.ts'
import type { CounterValue } from '../../../src/nft/listing.ts'
import type { Counted } from '../../../src/ruleset/rule-counters.ts'
import { FakeKernel } from '../../support/fake-kernel.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const rule = (name: string, index = 0, uid = `uid-${name}`): Counted => ({ kind: 'allowed', namespace: 'shop', policy: { name, uid }, direction: 'ingress', rule: index })
const pod = (name: string): Counted => ({ kind: 'dropped', namespace: 'shop', pod: name, uid: `uid-${name}`, direction: 'egress' })
const value = (packets: number, bytes = 100 * packets): CounterValue => ({ packets, bytes })

class World {
  readonly clock = new FakeClock()
  readonly kernel = new Map<string, CounterValue>()
  readonly wanted = new Map<string, Counted>()
  readonly leaving = new Map<string, Counted>()
  answers = true
  readonly counting = new Counting({ kernel: { readCounters: () => Promise.resolve(this.answers ? new Map(this.kernel) : null) }, clock: this.clock, counted: () => this.wanted, leaving: () => this.leaving })

  put(name: string, packets: number, counted: Counted = rule(name)): void {
    this.kernel.set(name, value(packets))
    this.wanted.set(name, counted)
    this.leaving.delete(name)
  }

  /** As the committer does it. */
  async remove(name: string): Promise<void> {
    this.#unwant(name)
    await this.counting.leave([name])
    this.kernel.delete(name)
  }

  #unwant(name: string): void {
    const counted = this.wanted.get(name)
    this.wanted.delete(name)
    if (counted !== undefined) this.leaving.set(name, counted)
  }

  async packets(): Promise<Readonly<Record<string, string>>> {
    return Object.fromEntries([...(await this.counting.totals())].map(([name, { packets, bytes, live }]) => [name, `${packets} ${bytes}${live ? '' : ' gone'}`]))
  }
}

describe('totals of counters', () => {
  it('are what the kernel says, of what the table wants', async () => {
    const world = new World()
    world.put('a', 3)
    world.kernel.set('spoofed', value(9))
    assert.deepEqual(await world.packets(), { a: '3 300' })
  })
  it('keep what a counter had that goes, to its last packet, and go on from there when it comes back', async () => {
    const world = new World()
    world.put('a', 3)
    await world.packets()
    world.put('a', 5)
    await world.remove('a')
    assert.deepEqual(await world.packets(), { a: '5 500 gone' })
    world.put('a', 7)
    assert.deepEqual(await world.packets(), { a: '12 1200' })
    await world.remove('a')
    world.put('a', 1)
    assert.deepEqual(await world.packets(), { a: '13 1300' })
  })
  it('are read before the sweep that deletes counters, and it waits for that', async () => {
    const kernel = new FakeKernel()
    const wanted = emptyTable()
    const told: string[] = []
    const present = (): boolean => kernel.state(TABLE)?.counters.has('passed/a') === true
    const onCountersLeave = async (names: readonly string[]): Promise<() => void> => {
      await new Promise((resolve) => setImmediate(resolve))
      const tell = (): unknown => told.push(`${names.join(' ')}: ${present() ? 'there' : 'gone'}`)
      tell()
      return tell
    }
    const table = new KernelTable({ kernel, clock: new FakeClock(), table: TABLE, wanted, ownersOf: () => [], onCountersLeave })
    wanted.counters.set('passed/a', { kind: 'counter', name: 'passed/a' })
    await table.read()
    table.want(1, everything(null, wanted))
    await table.commitAll(nothingDone(), () => false)
    assert.deepEqual([told, present()], [[], true])
    wanted.counters.delete('passed/a')
    table.want(2, { ...emptyDirty(), counters: new Set(['passed/a']) })
    await table.commitAll(nothingDone(), () => false)
    assert.deepEqual([told, present()], [['passed/a: there', 'passed/a: gone'], false])
  })
  it('go on where somebody deleted the table, and it was made again', async () => {
    const world = new World()
    world.put('a', 8)
    await world.packets()
    world.kernel.set('a', value(2))
    assert.deepEqual(await world.packets(), { a: '10 1000' })
  })
  it('count once what the kernel would not delete', async () => {
    const world = new World()
    world.put('a', 8)
    world.leaving.set('a', rule('a'))
    world.wanted.delete('a')
    await world.counting.leave(['a'])
    assert.deepEqual([await world.packets(), await world.packets()], [{ a: '8 800 gone' }, { a: '8 800 gone' }])
  })
  it('are as they were where the kernel does not answer', async () => {
    const world = new World()
    world.put('a', 4)
    await world.packets()
    world.answers = false
    world.kernel.clear()
    assert.deepEqual(await world.packets(), { a: '4 400' })
  })
  it('tell what went for five minutes, and remember it longer', async () => {
    const world = new World()
    world.put('a', 4)
    await world.remove('a')
    await world.clock.advance(299_000)
    assert.deepEqual(await world.packets(), { a: '4 400 gone' })
    await world.clock.advance(2_000)
    assert.deepEqual(await world.packets(), {})
    world.put('a', 1)
    assert.deepEqual(await world.packets(), { a: '5 500' })
  })
  it('forget the oldest of more than 10,000 that went', async () => {
    const world = new World()
    for (let i = 0; i < 10_010; i += 1) world.put(`c${i}`, 1)
    world.put('stays', 1)
    world.wanted.clear()
    world.wanted.set('stays', rule('stays'))
    await world.counting.totals()
    // Read while they were wanted by nobody, they were never known.
    assert.deepEqual(await world.packets(), { stays: '1 100' })
    for (let i = 0; i < 10_010; i += 1) world.put(`c${i}`, 1)
    await world.counting.totals()
    world.wanted.clear()
    world.wanted.set('stays', rule('stays'))
    world.kernel.clear()
    world.kernel.set('stays', value(1))
    assert.equal((await world.counting.totals()).size, 10_001)
    world.put('c0', 5)
    world.put('c10009', 5)
    const { c0, c10009 } = await world.packets()
    assert.deepEqual([c0, c10009], ['5 500', '6 600'])
  })
})

const total = (counted: Counted, packets: number, live = true): Total => ({ counted, live, ...value(packets) })
const shown = ({ series }: ReturnType<CountSeries['of']>): readonly string[] => series.map(({ labels, packets }) => `${Object.values(labels).join(' ')}: ${packets}`)

describe('series of counters', () => {
  it('are one for each rule and each pod, by names', () => {
    assert.deepEqual(shown(new CountSeries(9).of([total(rule('web', 2), 4), total(pod('db'), 5)])), ['shop web ingress 2: 4', 'shop db egress: 5'])
  })
  it('of several rules say so', () => {
    const several = (policy: { name: string; uid: string } | null): Counted => ({ kind: 'allowed', namespace: 'shop', policy, direction: 'egress', rule: null })
    assert.deepEqual(shown(new CountSeries(9).of([total(several({ name: 'a', uid: 'u' }), 1), total(several(null), 2), total(several(null), 3)])), ['shop a egress several: 1', 'shop  egress several: 5'])
  })
  it('are of what is there, where another of its name went', () => {
    const [old, now] = [total(rule('web', 0, 'old'), 9, false), total(rule('web', 0, 'new'), 1)]
    for (const order of [[old, now], [now, old]]) assert.deepEqual(shown(new CountSeries(9).of(order)), ['shop web ingress 0: 1'])
    assert.deepEqual(shown(new CountSeries(9).of([old])), ['shop web ingress 0: 9'])
  })
  it('over the cap are one sum, that never falls, and who has a series keeps it', () => {
    const series = new CountSeries(1)
    const first = series.of([total(rule('a'), 1), total(rule('b'), 2), total(pod('c'), 4)])
    assert.deepEqual([shown(first), first.overflow, first.leftOut], [['shop a ingress 0: 1'], { allowed: value(2), dropped: value(4) }, 2])
    const second = series.of([total(rule('b'), 5), total(pod('c'), 4), total(rule('a'), 3)])
    assert.deepEqual([shown(second), second.overflow, second.leftOut], [['shop a ingress 0: 3'], { allowed: value(5), dropped: value(4) }, 2])
    // The place that is free is for who comes: b is in the sum, and would be told twice.
    const third = series.of([total(rule('b'), 6), total(rule('d'), 7)])
    assert.deepEqual([shown(third), third.overflow, third.leftOut], [['shop d ingress 0: 7'], { allowed: value(6), dropped: value(4) }, 1])
    // Another of the name, from 0.
    const fourth = series.of([total(rule('b', 0, 'new'), 2), total(rule('d'), 7)])
    assert.deepEqual([fourth.overflow.allowed, fourth.leftOut], [value(8), 1])
  })
  it('may be none at all', () => {
    const none = new CountSeries(0).of([total(rule('a'), 1)])
    assert.deepEqual([none.series, none.overflow.allowed, none.leftOut], [[], value(1), 1])
  })
})
