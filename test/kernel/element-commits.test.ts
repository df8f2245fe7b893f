// Transactions of elements by netlink, against the same ones by libnftables: the same tables, the same refusals; and what
// becomes of those that are large, late or built on by text.
//
// **Invariant:** only the namespace that this file makes is touched, and it is gone afterwards.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { elementCommit } from '../../src/kernel/element-commit.ts'
import type { CommitOutcome, ForeignChange } from '../../src/kernel/kernel.ts'
import { LibnftablesRunner } from '../../src/kernel/libnftables.ts'
import { NftProcessRunner } from '../../src/kernel/nft-process.ts'
import { openKernel } from '../../src/kernel/open.ts'
import type { Run, Runner, RunResult } from '../../src/kernel/runner.ts'
import { TextKernel } from '../../src/kernel/text-kernel.ts'
import { apply } from '../../src/nft/apply.ts'
import type { Element, NftMap, NftSet, Operation, Table, Transaction } from '../../src/nft/objects.ts'
import { emptyTable, type TableState } from '../../src/nft/state.ts'
import { randomFrom } from '../support/random.ts'
import { report, runs, SEED } from '../support/runs.ts'
import { pause } from '../support/real-wire.ts'
import { add, assertSame, chain, elements, map, rewrite, set } from './conformance-table.ts'
import { CHAINS, PLAIN_INTERVALS, randomChanges, SETS } from './random-elements.ts'

const NETNS = `picket-elements-${process.pid}`
const PATH = `/run/netns/${NETNS}`
const RAW: Table = { family: 'inet', name: 'picket' }
/** As long as the other: what nft says of it is cut at the same letter. */
const TEXT: Table = { family: 'inet', name: 'astext' }
const nft = (...args: string[]): string => execFileSync('nsenter', [`--net=${PATH}`, 'nft', ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 })
const ACKNOWLEDGED = { kind: 'acknowledged' } as const

/** Counts what went as text. */
class Counting implements Runner {
  readonly texts: string[] = []
  readonly #runner: Runner
  constructor(runner: Runner) {
    this.#runner = runner
  }
  run(run: Run): Promise<RunResult> {
    if (run.mode === 'commit') this.texts.push(run.text)
    return this.#runner.run(run)
  }
  isOwnPort(port: number): boolean {
    return this.#runner.isOwnPort(port)
  }
  close(): Promise<void> {
    return this.#runner.close()
  }
}

const transaction = (table: Table, operations: readonly Operation[], asText = false): Transaction => ({ table, step: 'switch', createsTable: asText, operations })

/** What nft lists, in an order that does not depend on hashes, and without how long an element stays. */
function listed(table: Table): readonly string[] {
  return nft('list', 'table', table.family, table.name).replace(`table inet ${table.name} {`, '').replace(/ expires \w+/g, '').split(/[\n,]\s*|elements = \{|\}/).map((line) => line.trim()).sort()
}

const runners = [['libnftables', () => new LibnftablesRunner(PATH)], ['nft', () => new NftProcessRunner(PATH)]] as const

describe('transactions of elements', function () {
  this.timeout(110_000)
  before(() => void execFileSync('ip', ['netns', 'add', NETNS]))
  after(() => void execFileSync('ip', ['netns', 'delete', NETNS]))
  afterEach(() => void nft('flush', 'ruleset'))

  async function using<T>(make: () => Runner, test: (kernel: TextKernel, counting: Counting) => Promise<T>): Promise<T> {
    const counting = new Counting(make())
    const kernel = new TextKernel('counting', counting, undefined, PATH)
    try {
      return await test(kernel, counting)
    } finally {
      await kernel.close()
    }
  }

  const kinds = [['of every kind', SETS, 200], ['of intervals that meet', PLAIN_INTERVALS, 500]] as const
  for (const [name, sets, usual] of kinds) {
    it(`random ones ${name} come to the same by netlink and by libnftables, table and refusals, and go by netlink where they are taken`, () =>
      using(() => new LibnftablesRunner(PATH), (kernel, counting) => compare(kernel, counting, sets, usual)))
  }

  for (const [name, make] of runners) {
    it(`${name}: text that comes next builds on them, and they on text`, () =>
      using(make, async (kernel, counting) => {
        const ranges = set('ranges', ['ip saddr'], ['interval'])
        const pairs = set('pairs', ['ip saddr', 'th dport'], ['interval'])
        const verdicts = map('verdicts', ['iifname'], ['verdict'])
        const all = async (operations: readonly Operation[], texts: number): Promise<CommitOutcome> => {
          const before = counting.texts.length
          const outcome = await kernel.commit(transaction(RAW, operations))
          assert.equal(counting.texts.length - before, texts, JSON.stringify(operations))
          return outcome
        }
        await kernel.commit(transaction(RAW, add(ranges, pairs, verdicts, chain('a'), chain('b')), true))
        for (let round = 0; round < 5; round++) {
          const other = rewrite(chain('b', [`ip saddr 10.0.0.${round} accept`]))
          assert.deepEqual(await all([elements('add-elements', ranges, [['10.0.0.0-10.0.0.9'], ['20.0.0.1']]), elements('add-elements', verdicts, [['"v"', 'goto a']])], 0), ACKNOWLEDGED)
          assert.equal((await all([other, elements('add-elements', ranges, [['10.0.0.9-10.0.0.12']])], 1)).kind, 'refused')
          assert.equal((await all([other, { verb: 'delete', object: { kind: 'chain', name: 'a' }, owners: [] }], 1)).kind, 'refused')
          assert.deepEqual(await all([other, elements('delete-elements', ranges, [['10.0.0.0-10.0.0.9']]), elements('add-elements', ranges, [['10.0.0.5-10.0.0.9']])], 1), ACKNOWLEDGED)
          assert.deepEqual(await all([elements('delete-elements', ranges, [['10.0.0.5-10.0.0.9']]), elements('add-elements', ranges, [['10.0.0.0-10.0.0.4'], ['0.0.0.0']])], 0), ACKNOWLEDGED)
          assert.deepEqual(await all([other, elements('add-elements', ranges, [['10.0.0.5-10.0.0.9'], ['30.0.0.0-255.255.255.255']]), elements('add-elements', pairs, [['10.0.0.1-10.0.0.3 . 80']])], 1), ACKNOWLEDGED)
          assert.deepEqual(await all([elements('delete-elements', ranges, [['10.0.0.0-10.0.0.4'], ['30.0.0.0-255.255.255.255']]), elements('delete-elements', pairs, [['10.0.0.1-10.0.0.3 . 80']])], 0), ACKNOWLEDGED)
          assert.deepEqual(await all([elements('delete-elements', verdicts, [['"v"', 'goto a']])], 0), ACKNOWLEDGED)
          assert.deepEqual(await all([other, { verb: 'delete', object: { kind: 'chain', name: 'a' }, owners: [] }], 1), ACKNOWLEDGED)
          assert.deepEqual(await all([...add(chain('a')), elements('delete-elements', ranges, [['10.0.0.5-10.0.0.9'], ['20.0.0.1'], ['0.0.0.0']])], 1), ACKNOWLEDGED)
          const read = await kernel.readBack(RAW)
          assert.ok(read.kind === 'table')
          for (const { name: emptied } of [ranges, pairs, verdicts]) assert.equal(read.state.sets.get(emptied)?.elements.size, 0, emptied)
        }
      }))

    it(`${name}: counters come and go with the elements that lead to them, by netlink, and are read by name`, () =>
      using(make, async (kernel, counting) => {
        const dropped = map('dropped', ['iifname'], ['counter'])
        const named = (verb: 'add' | 'delete', ...names: readonly string[]): readonly Operation[] => names.map((one) => ({ verb, object: { kind: 'counter', name: one }, owners: [] }) as Operation)
        await kernel.commit(transaction(RAW, add(dropped, chain('count', ['counter name iifname map @dropped'])), true))
        const long = `dropped/ingress/${'n'.repeat(63)}/${'u'.repeat(170)}`
        const come = [...named('add', 'dropped/egress/shop/1', long), elements('add-elements', dropped, [['"v"', 'dropped/egress/shop/1'], ['"w"', long]])]
        assert.deepEqual(await kernel.commit(transaction(RAW, come)), ACKNOWLEDGED)
        assert.equal(counting.texts.length, 1)
        const read = await kernel.readBack(RAW)
        assert.ok(read.kind === 'table')
        assert.deepEqual([...(read.state.sets.get('dropped')?.elements.values() ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1)), [{ key: '"v"', value: 'dropped/egress/shop/1' }, { key: '"w"', value: long }])
        assert.deepEqual(await kernel.readCounters(RAW), new Map([['dropped/egress/shop/1', { packets: 0, bytes: 0 }], [long, { packets: 0, bytes: 0 }]]))
        assert.match(JSON.stringify(await kernel.commit(transaction(RAW, named('delete', long)))), /refused.*busy/, 'an element leads to it')
        assert.match(JSON.stringify(await kernel.commit(transaction(RAW, [elements('add-elements', dropped, [['"x"', 'missing']])]))), /refused/)
        const texts = counting.texts.length
        const moved = [...named('add', 'other'), elements('delete-elements', dropped, [['"v"', 'dropped/egress/shop/1']]), elements('add-elements', dropped, [['"v"', 'other']])]
        assert.deepEqual(await kernel.commit(transaction(RAW, moved)), ACKNOWLEDGED)
        assert.deepEqual(await kernel.commit(transaction(RAW, named('delete', 'dropped/egress/shop/1'))), ACKNOWLEDGED)
        assert.equal(counting.texts.length, texts)
        assert.deepEqual([...((await kernel.readCounters(RAW))?.keys() ?? [])].sort(), [long, 'other'])
        assert.deepEqual(await kernel.readCounters({ family: 'inet', name: 'nobodys' }), new Map())
      }))

    it(`${name}: in a table of the bridge family too`, () =>
      using(make, async (kernel, counting) => {
        const pins = set('pins', ['iifname', 'ether saddr', 'ip saddr'])
        const table: Table = { family: 'bridge', name: 'picket' }
        await kernel.commit(transaction(table, add(pins), true))
        assert.deepEqual(await kernel.commit(transaction(table, [elements('add-elements', pins, [['"v" . 02:00:00:00:00:01 . 10.0.0.1'], ['"w" . 02:00:00:00:00:02 . 10.0.0.2']])])), ACKNOWLEDGED)
        assert.deepEqual(await kernel.commit(transaction(table, [elements('delete-elements', pins, [['"w" . 02:00:00:00:00:02 . 10.0.0.2']])])), ACKNOWLEDGED)
        assert.equal(counting.texts.length, 1)
        const read = await kernel.readBack(table)
        assert.deepEqual(read.kind === 'table' ? [...(read.state.sets.get(pins.name)?.elements.keys() ?? [])] : read, ['"v" . 02:00:00:00:00:01 . 10.0.0.1'])
      }))

    it(`${name}: rule 108: they are our own, those of others are told`, async () => {
      const kernel = await openKernel({ access: name, netns: PATH })
      const changes: ForeignChange[] = []
      const pods = set('pods', ['ip saddr'])
      await kernel.watch(RAW, (change) => changes.push(change))
      await kernel.commit(transaction(RAW, add(pods), true))
      for (let i = 0; i < 50; i++) assert.deepEqual(await kernel.commit(transaction(RAW, [elements('add-elements', pods, [[`10.0.0.${i}`]])])), ACKNOWLEDGED)
      await pause(300)
      assert.deepEqual(changes, [])
      nft('add', 'element', 'inet', 'picket', 'pods', '{ 10.0.1.1 }')
      await pause(300)
      assert.equal(changes.length, 1)
      await kernel.close()
    })
  }

  it('what the kernel takes and nft does not is refused: intervals that overlap in ways that it does not see', () =>
    using(() => new LibnftablesRunner(PATH), async (kernel) => {
      const ranges = set('ranges', ['ip saddr'], ['interval'])
      const there = [['10.0.0.5-10.0.0.6'], ['10.0.0.20-10.0.0.29'], ['10.0.0.30-10.0.0.39'], ['200.0.0.0-255.255.255.255']] as const
      await kernel.commit(transaction(RAW, [...add(ranges), elements('add-elements', ranges, there)], true))
      const before = listed(RAW)
      for (const key of ['10.0.0.1-10.0.0.6', '10.0.0.20-10.0.0.39', '200.0.0.0-200.0.0.9', '199.0.0.0-200.0.0.9', '10.0.0.30-255.255.255.255', '100.0.0.0-255.255.255.255', '200.0.0.1']) {
        assert.equal((await kernel.commit(transaction(RAW, [elements('add-elements', ranges, [[key]])]))).kind, 'refused', key)
      }
      for (const key of ['10.0.0.5-10.0.0.29', '10.0.0.20-10.0.0.39', '10.0.0.30-255.255.255.255', '200.0.0.0-200.0.0.9', '10.0.0.5', '10.0.0.6', '10.0.0.20-10.0.0.28']) {
        assert.equal((await kernel.commit(transaction(RAW, [elements('delete-elements', ranges, [[key]])]))).kind, 'refused', key)
      }
      assert.deepEqual(listed(RAW), before)
    }))

  it('rule 110: 10,000 elements are one batch, of whatever length', () =>
    using(() => new LibnftablesRunner(PATH), async (kernel, counting) => {
      const long = `c/${'x'.repeat(250)}`
      const wide = map('wide', ['ip6 saddr', 'ip6 daddr', 'meta l4proto', 'th dport'], ['verdict'])
      const ranges = set('ranges', ['ip6 saddr'], ['interval'])
      await kernel.commit(transaction(RAW, add(chain(long), wide, ranges), true))
      const many = Array.from({ length: 10_000 }, (_, i): [string, string] => [`fd00::${i.toString(16)} . fd00:1::1 . tcp . 80`, `goto ${long}`])
      const before = counting.texts.length
      assert.deepEqual(await kernel.commit(transaction(RAW, [elements('add-elements', wide, many)])), ACKNOWLEDGED)
      const intervals = Array.from({ length: 10_000 }, (_, i): [string] => [`fd00:${i.toString(16)}::-fd00:${i.toString(16)}::9`])
      assert.deepEqual(await kernel.commit(transaction(RAW, [elements('refill-elements', ranges, intervals)])), ACKNOWLEDGED)
      assert.equal(counting.texts.length, before)
      const read = await kernel.readBack(RAW)
      assert.ok(read.kind === 'table')
      assert.deepEqual([wide, ranges].map(({ name }) => read.state.sets.get(name)?.elements.size), [10_000, 10_000])
      // All or none, in many messages too.
      const half = await kernel.commit(transaction(RAW, [elements('add-elements', wide, many.map(([key], i) => [key.replace('fd00:1', 'fd00:2'), i < 9_999 ? 'accept' : 'goto nowhere'])) ]))
      assert.ok(half.kind === 'refused' && /No such file/.test(half.message), JSON.stringify(half))
      const after = await kernel.readBack(RAW)
      assert.ok(after.kind === 'table')
      assert.equal(after.state.sets.get(wide.name)?.elements.size, 10_000)
    }))

  it('one that is not answered in time is unknown, and then they go as text for a while', async () => {
    const counting = new Counting(new LibnftablesRunner(PATH))
    const deadlines = { commit: 10_000, list: 10_000 }
    const kernel = new TextKernel('counting', counting, deadlines, PATH)
    // The slowest kind.
    const pods = set('pods', ['ip saddr', 'th dport'], ['interval'])
    await kernel.commit(transaction(RAW, add(pods), true))
    assert.deepEqual(await kernel.commit(transaction(RAW, [elements('add-elements', pods, [['192.0.2.1 . 80']])])), ACKNOWLEDGED)
    const many = Array.from({ length: 10_000 }, (_, i): Element => ({ key: `10.0.${i >> 8}.${i & 255} . ${i}-${2 * i}` }))
    deadlines.commit = 40
    const outcome = await kernel.commit(transaction(RAW, [{ verb: 'add-elements', set: pods, elements: many, owners: [] }]))
    assert.equal(outcome.kind, 'unknown')
    assert.equal(counting.texts.length, 1)
    const sizes: number[] = []
    for (let i = 0; i < 3; i++) {
      const read = await kernel.readBack(RAW)
      sizes.push(read.kind === 'table' ? (read.state.sets.get(pods.name)?.elements.size ?? 0) : -1)
    }
    assert.ok(sizes.every((size) => size === sizes[0] && (size === 1 || size === many.length + 1)), String(sizes))
    deadlines.commit = 10_000
    assert.deepEqual(await kernel.commit(transaction(RAW, [elements('delete-elements', pods, [['192.0.2.1 . 80']])])), ACKNOWLEDGED)
    assert.equal(counting.texts.length, 2)
    await kernel.close()
  })
})

/** The same random transactions to a table by netlink and to another as text. */
async function compare(kernel: TextKernel, counting: Counting, sets: readonly (NftSet | NftMap)[], usual: number): Promise<void> {
  const structure = add(...CHAINS, ...sets)
  const held: TableState = emptyTable()
  for (const table of [RAW, TEXT]) assert.deepEqual(await kernel.commit(transaction(table, structure, true)), ACKNOWLEDGED)
  apply(held, { operations: structure })
  const random = randomFrom(SEED)
  const count = { taken: 0, byNetlink: 0, refused: 0 }
  const { numRuns } = runs(usual)
  for (let i = 0; i < numRuns; i++) {
    const operations = randomChanges(random, held, sets)
    const shown = `seed ${SEED}, step ${i}: ${JSON.stringify(operations.map(({ set: { name }, ...rest }) => ({ ...rest, set: name })))}`
    const before = counting.texts.length
    const raw = await kernel.commit(transaction(RAW, operations))
    const wentAsText = counting.texts.length > before
    const text = await kernel.commit(transaction(TEXT, operations, true))
    assert.equal(withoutNames(raw), withoutNames(text), shown)
    if (raw.kind === 'acknowledged') {
      count.taken++
      if (!wentAsText) count.byNetlink++
      assert.ok(!wentAsText || elementCommit(transaction(RAW, operations)) === null || addsAgain(operations, held), `as text: ${shown}`)
      apply(held, { operations })
    } else count.refused++
    const [read, other] = [await kernel.readBack(RAW), await kernel.readBack(TEXT)]
    assert.ok(read.kind === 'table' && other.kind === 'table')
    assertSame(read.state, other.state)
    if (!operations.some(deletesCorners)) assertSame(read.state, held)
    held.sets.clear()
    for (const [name, one] of read.state.sets) held.sets.set(name, one)
    if (i % 20 === 0) assert.deepEqual(listed(RAW), listed(TEXT), shown)
  }
  assert.deepEqual(listed(RAW), listed(TEXT))
  report(`${count.taken} taken, ${count.byNetlink} of them by netlink, ${count.refused} refused`, numRuns)
  assert.ok(count.byNetlink > count.taken * 0.4 && count.refused > numRuns / 20, JSON.stringify(count))
}

/** An interval that is there already, which the thread takes for one that overlaps. */
function addsAgain(operations: readonly Operation[], held: TableState): boolean {
  return operations.some((one) => one.verb === 'add-elements' && isPlain(one.set) && one.elements.some(({ key }) => held.sets.get(one.set.name)?.elements.has(key)))
}

/** Of intervals of several parts the kernel deletes the one that holds the first key, whatever its last one is. */
function deletesCorners({ verb, ...of }: Operation): boolean {
  return (verb === 'delete-elements' || verb === 'remove-elements') && 'set' in of && of.set.flags.includes('interval') && !isPlain(of.set)
}

function isPlain({ flags, key }: NftSet | NftMap): boolean {
  return flags.includes('interval') && key.length === 1
}

function withoutNames(outcome: CommitOutcome): string {
  return JSON.stringify(outcome).replaceAll(`inet ${RAW.name}`, 'inet T').replaceAll(`inet ${TEXT.name}`, 'inet T')
}
