// What every Kernel has to keep: libnftables, spawned nft, and the tests' fake run the same suite.
//
// Only the interface is used, so that a promise which the fake makes is one that the real kernel keeps.
// **Invariant:** after each test the tables are gone; a test never reads another one's table.
import assert from 'node:assert/strict'
import type { CommitOutcome, Kernel } from '../../src/kernel/kernel.ts'
import { apply } from '../../src/nft/apply.ts'
import { diff } from '../../src/nft/diff.ts'
import type { Chain, Operation, Transaction } from '../../src/nft/objects.ts'
import { emptyTable, everything, type TableState } from '../../src/nft/state.ts'
import { add, assertSame, base, BRIDGE, BY_INTERFACE, chain, CUT, elements, ENDPOINTS, FULL, IDS, OTHER, PAIRS, PODS, RANGES, RANGES6, remove, rewrite, set, TABLE } from './conformance-table.ts'

export interface Opened {
  readonly kernel: Kernel
  readonly close: () => Promise<void>
}

export function conformance(name: string, openIt: () => Promise<Opened>): void {
  describe(`Kernel: ${name}`, function () {
    this.timeout(60_000)
    let opened: Opened
    let kernel: Kernel
    /** What should be there, by way of apply(). */
    let held: TableState

    before(async () => {
      opened = await openIt()
      kernel = opened.kernel
    })
    after(async () => opened.close())
    afterEach(async () => {
      for (const table of [TABLE, OTHER, BRIDGE]) assert.deepEqual(await kernel.deleteTable(table), { kind: 'acknowledged' })
    })

    async function commit(operations: readonly Operation[], createsTable = false): Promise<CommitOutcome> {
      const transaction: Transaction = { table: TABLE, step: 'switch', createsTable, operations }
      const outcome = await kernel.commit(transaction)
      if (outcome.kind === 'acknowledged') apply(held, transaction)
      return outcome
    }
    async function start(operations: readonly Operation[]): Promise<void> {
      held = emptyTable()
      assert.deepEqual(await commit(operations, true), { kind: 'acknowledged' })
    }
    async function holds(expected: TableState): Promise<void> {
      const read = await kernel.readBack(TABLE)
      assert.equal(read.kind, 'table')
      if (read.kind === 'table') assertSame(read.state, expected)
    }
    async function refuses(operations: readonly Operation[], reason: RegExp): Promise<void> {
      // Elements alone may go another way.
      const alone = operations.every((operation) => 'set' in operation) ? [operations] : []
      for (const all of [[...add(chain('never')), ...operations], ...alone]) {
        const outcome = await commit(all)
        assert.equal(outcome.kind, 'refused')
        if (outcome.kind === 'refused') {
          assert.match(outcome.message, reason)
          assert.doesNotMatch(outcome.message, /\n/)
        }
        await holds(held)
      }
    }

    it('says that a table is absent, and deletes one that is absent', async () => {
      assert.deepEqual(await kernel.readBack(TABLE), { kind: 'absent' })
      assert.deepEqual(await kernel.deleteTable(TABLE), { kind: 'acknowledged' })
      assert.ok(Array.isArray(await kernel.flowtables()))
      assert.ok(kernel.description.length > 0)
    })

    it('holds what was acknowledged, and reads back what it holds', async () => {
      await start(FULL)
      await holds(held)
      const read = await kernel.readBack(TABLE)
      assert.ok(read.kind === 'table')
      assert.deepEqual(read.counters.get('denied/x'), { packets: 0, bytes: 0 })
      assert.notEqual(read.rules.get('to/a'), '')
      assert.equal((await kernel.deleteTable(TABLE)).kind, 'acknowledged')
      assert.deepEqual(await kernel.readBack(TABLE), { kind: 'absent' })
    })

    it('rule 101: leads from what was read back to what is wanted, and then nothing differs but rules', async () => {
      await start(FULL)
      const wanted = held
      const read = await kernel.readBack(TABLE)
      assert.ok(read.kind === 'table')
      const steps: string[] = []
      for (let i = 0; i < 5; i++) {
        const transaction = diff(TABLE, read.state, wanted, everything(read.state, wanted), () => [])
        if (transaction === null) break
        steps.push(transaction.step)
        assert.ok(transaction.operations.every((o) => o.verb === 'rewrite'), JSON.stringify(transaction.operations))
        assert.deepEqual(await kernel.commit(transaction), { kind: 'acknowledged' })
        apply(read.state, transaction)
      }
      assert.deepEqual(steps, ['switch'])
      await holds(wanted)
    })

    it('edits elements, rules, objects, and takes everything away again in the order of a sweep', async () => {
      await start(FULL)
      assert.deepEqual(
        await commit([
          elements('delete-elements', RANGES, [['10.0.0.0-10.0.0.255'], ['192.168.0.0-255.255.255.255']]),
          elements('add-elements', RANGES, [['10.0.0.0-10.0.0.9'], ['172.16.0.0-172.31.255.255']]),
          elements('delete-elements', PAIRS, [['10.0.0.4-10.0.0.7 . sctp . 1-65535']]),
          elements('add-elements', PAIRS, [['10.0.0.4-10.0.0.7 . sctp . 1-2']]),
          rewrite(chain('to/a', ['ip saddr 10.0.0.0/24 drop'])),
        ]),
        { kind: 'acknowledged' },
      )
      await holds(held)
      const nothing = emptyTable()
      for (let i = 0; i < 5; i++) {
        const transaction = diff(TABLE, held, nothing, everything(held, nothing), () => [])
        if (transaction === null) break
        assert.deepEqual(await commit(transaction.operations), { kind: 'acknowledged' })
      }
      assertSame(held, nothing)
      await holds(nothing)
    })

    it('changes the value of an element by deleting and adding it in one transaction', async () => {
      await start(FULL)
      assert.deepEqual(
        await commit([
          elements('delete-elements', BY_INTERFACE, [['"veth-a"', 'goto to/a']]),
          elements('add-elements', BY_INTERFACE, [['"veth-a"', 'drop']]),
          elements('delete-elements', IDS, [['65536 . 10.96.0.10 . tcp . 80', '66048']]),
          elements('add-elements', IDS, [['65536 . 10.96.0.10 . tcp . 80', '66049']]),
        ]),
        { kind: 'acknowledged' },
      )
      await holds(held)
    })

    it('edits elements of every kind alone, and refills', async () => {
      await start(FULL)
      assert.deepEqual(
        await commit([
          elements('delete-elements', RANGES, [['10.0.0.0-10.0.0.255'], ['192.168.0.0-255.255.255.255'], ['10.0.2.1']]),
          elements('add-elements', RANGES, [['10.0.0.0-10.0.0.9'], ['10.0.0.10-10.0.0.12'], ['172.16.0.0-172.31.255.255']]),
          elements('add-elements', RANGES6, [['fd00::a-fd00::ffff']]),
          elements('delete-elements', RANGES6, [['::']]),
          elements('delete-elements', PAIRS, [['10.0.0.4-10.0.0.7 . sctp . 1-65535']]),
          elements('add-elements', PAIRS, [['10.0.0.4-10.0.0.7 . sctp . 1-2']]),
          elements('add-elements', BY_INTERFACE, [['"veth-e"', 'jump to/a'], ['"veth-f"', 'return']]),
          elements('add-elements', ENDPOINTS, [['4294901760 . 65535', 'fd00::2 . 65535']]),
          elements('delete-elements', IDS, [['65536 . 10.96.0.10 . tcp . 80', '66048']]),
          elements('refill-elements', PODS, [['10.0.0.2'], ['10.0.0.3']]),
        ]),
        { kind: 'acknowledged' },
      )
      await holds(held)
      assert.deepEqual(await commit([elements('refill-elements', RANGES, [['0.0.0.0'], ['10.0.0.0-10.0.0.7']]), elements('refill-elements', PAIRS, [])]), { kind: 'acknowledged' })
      await holds(held)
      assert.deepEqual(await commit([elements('add-elements', RANGES, [['255.255.255.0-255.255.255.255']])]), { kind: 'acknowledged' })
      assert.deepEqual(await commit([elements('delete-elements', RANGES, [['255.255.255.0-255.255.255.255'], ['0.0.0.0']])]), { kind: 'acknowledged' })
      await holds(held)
    })

    it('adds again what is there already', async () => {
      await start(FULL)
      assert.deepEqual(await commit([...add(PODS, BY_INTERFACE, { kind: 'counter', name: 'denied/x' }), elements('add-elements', PODS, [['10.0.0.1']])]), { kind: 'acknowledged' })
      assert.deepEqual(await commit([elements('add-elements', RANGES, [['10.0.2.3-10.0.2.9']])]), { kind: 'acknowledged' })
      await holds(held)
    })

    describe('elements of sets that packets fill', () => {
      const key = (last: number, port = 80): Uint8Array<ArrayBuffer> => Uint8Array.of(10, 0, 0, last, 6, 0, 0, 0, port >> 8, port & 255, 0, 0)
      const change = (verb: 'add' | 'remove' | 'flush', ...keys: readonly Uint8Array[]) =>
        kernel.changeElements(TABLE, [{ verb, set: CUT.name, keys: new Uint8Array(Buffer.concat(keys)), keyLength: 12 }])
      async function has(...expected: readonly string[]): Promise<void> {
        const read = await kernel.readBack(TABLE)
        assert.ok(read.kind === 'table')
        assert.deepEqual([...(read.state.sets.get(CUT.name)?.elements.keys() ?? [])].sort(), expected.toSorted())
      }
      const ACKNOWLEDGED = { kind: 'acknowledged' }

      it('come by their bytes, also again, and go, also if they are not there', async () => {
        await start(add(CUT))
        assert.deepEqual(await change('add', key(1), key(2, 65_535)), ACKNOWLEDGED)
        assert.deepEqual(await change('add', key(2, 65_535), key(3)), ACKNOWLEDGED)
        await has('10.0.0.1 . tcp . 80', '10.0.0.2 . tcp . 65535', '10.0.0.3 . tcp . 80')
        assert.deepEqual(await change('remove', key(1), key(9)), ACKNOWLEDGED)
        await has('10.0.0.2 . tcp . 65535', '10.0.0.3 . tcp . 80')
        assert.deepEqual(await change('flush'), ACKNOWLEDGED)
        await has()
        assert.deepEqual(await change('add'), ACKNOWLEDGED)
      })

      it('are refused as a whole where the set is full, and where there is none', async () => {
        await start(add(CUT))
        assert.deepEqual(await change('add', key(1), key(2)), ACKNOWLEDGED)
        assert.equal((await change('add', key(3), key(4), key(5))).kind, 'full')
        await has('10.0.0.1 . tcp . 80', '10.0.0.2 . tcp . 80')
        const nowhere = await kernel.changeElements(TABLE, [{ verb: 'add', set: 'nowhere', keys: key(1), keyLength: 12 }])
        assert.ok(nowhere.kind === 'refused' && nowhere.message.startsWith('ENOENT'), JSON.stringify(nowhere))
      })

      it('are taken out and told: all, or those that were quiet for longest', async () => {
        await start(add(CUT))
        for (const last of [1, 2, 3, 4]) {
          assert.deepEqual(await change('add', key(last)), ACKNOWLEDGED)
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
        const take = async (quietest: number | null): Promise<string> => Buffer.from((await kernel.takeElements(TABLE, [{ set: CUT.name, keyLength: 12, quietest }]))?.[0] ?? '?').toString('hex')
        assert.equal(await take(2), Buffer.concat([key(1), key(2)]).toString('hex'))
        await has('10.0.0.3 . tcp . 80', '10.0.0.4 . tcp . 80')
        assert.equal((await take(null)).length, 2 * 2 * 12)
        assert.equal(await take(null), '')
        await has()
        assert.equal(await kernel.takeElements(TABLE, [{ set: 'nowhere', keyLength: 12, quietest: null }]), null)
      })
    })

    it('removes what is there, and takes no offence at what is not', async () => {
      await start(FULL)
      assert.deepEqual(await commit([elements('remove-elements', PODS, [['10.0.0.1'], ['10.0.0.99']])]), { kind: 'acknowledged' })
      await holds(held)
      assert.deepEqual(await commit([elements('remove-elements', PODS, [['10.0.0.2']]), elements('add-elements', PODS, [['10.0.0.2']])]), { kind: 'acknowledged' })
      await holds(held)
    })

    it('changes the policy of a base chain, and its hook by deleting it', async () => {
      await start(add(base('filter-forward')))
      assert.deepEqual(await commit([rewrite(base('filter-forward')), ...add(base('filter-forward', [], 'drop'))]), { kind: 'acknowledged' })
      await holds(held)
      const moved: Chain = { ...base('filter-forward', ['accept']), base: { type: 'filter', hook: 'input', priority: 'filter + 3', policy: 'accept' } }
      await refuses(add(moved), /not supported/)
      assert.deepEqual(await commit([rewrite(base('filter-forward')), remove('chain', 'filter-forward'), ...add(moved)]), { kind: 'acknowledged' })
      await holds(held)
    })

    it('replaces a set of another type together with the rules that name it', async () => {
      await start(FULL)
      const other: TableState = { ...held, sets: new Map(held.sets), chains: new Map(held.chains) }
      other.sets.set(PODS.name, { object: set(PODS.name, ['ip6 saddr']), elements: new Map([['fd00::1', { key: 'fd00::1' }]]) })
      other.chains.set('to/a', chain('to/a', ['ip6 saddr @pods/A/v4 jump to/b']))
      const transaction = diff(TABLE, held, other, everything(held, other), () => [])
      assert.ok(transaction !== null)
      assert.deepEqual(await commit(transaction.operations), { kind: 'acknowledged' })
      await holds(other)
      assert.equal(diff(TABLE, held, other, everything(held, other), () => []), null)
    })

    const refusals: readonly (readonly [string, readonly Operation[], RegExp])[] = [
      ['a chain that a rule jumps to goes', [remove('chain', 'to/b')], /busy/],
      ['a chain that an element leads to goes', [rewrite(chain('to/a')), remove('chain', 'to/a')], /busy/],
      ['a set that a rule names goes', [remove('set', PODS.name)], /busy/],
      ['a map that a rule names goes', [remove('map', BY_INTERFACE.name)], /busy/],
      ['a counter that a rule names goes', [remove('counter', 'denied/x')], /busy/],
      ['an element gets a second value', [elements('add-elements', BY_INTERFACE, [['"veth-a"', 'drop']])], /File exists/],
      ['data gets a second value', [elements('add-elements', IDS, [['65536 . 10.96.0.10 . tcp . 80', '1']])], /File exists/],
      ['an interval overlaps with one that is there', [elements('add-elements', RANGES, [['10.0.0.5']])], /overlap|conflict/],
      ['intervals of one transaction overlap', [elements('add-elements', RANGES, [['20.0.0.0-20.0.0.9'], ['20.0.0.9-20.0.0.12']])], /overlap|conflict/],
      ['intervals of several parts overlap', [elements('add-elements', PAIRS, [['10.0.0.5 . sctp . 9-10']])], /overlap|File exists/],
      ['an element goes that is not there', [elements('delete-elements', PODS, [['10.0.0.99']])], /No such file|does not exist/],
      ['an interval goes that is not there', [elements('delete-elements', RANGES, [['10.0.0.5']])], /No such file|does not exist/],
      ['a set goes that is not there', [remove('set', 'nowhere')], /No such file/],
      ['a chain goes that is not there', [remove('chain', 'nowhere')], /No such file/],
      ['rules are written to a chain that is not there', [rewrite(chain('nowhere', ['accept']))], /No such file/],
      ['a rule names a set that is not there', [rewrite(chain('to/a', ['ip saddr @nowhere accept']))], /No such file/],
      ['a rule names a chain that is not there', [rewrite(chain('to/a', ['goto nowhere']))], /No such file/],
      ['a rule names a counter that is not there', [rewrite(chain('to/a', ['counter name "nowhere" drop']))], /No such file/],
      ['an element leads to a chain that is not there', [elements('add-elements', BY_INTERFACE, [['"veth-z"', 'goto nowhere']])], /No such file/],
      ['a set is declared with another type', add(set(PODS.name, ['ip6 saddr'])), /File exists/],
      ['a name cannot be written', add(chain('a b')), /chain "a b"/],
      ['an interface would be a wildcard', [elements('add-elements', BY_INTERFACE, [['"veth*"', 'accept']])], /wildcard/],
    ]
    for (const [what, operations, reason] of refusals) {
      it(`refuses, and stays as it was, where ${what}`, async () => {
        await start(FULL)
        await refuses(operations, reason)
      })
    }

    it('judges what it does not keep, as a commit would', async () => {
      await start(FULL)
      const judged = (operations: readonly Operation[]): Promise<CommitOutcome> => kernel.check({ table: TABLE, step: 'switch', createsTable: false, operations })
      const good = [...add(chain('never', ['drop'])), elements('add-elements', PODS, [['10.0.0.77']]), rewrite(chain('to/a', ['drop']))]
      assert.deepEqual(await judged(good), { kind: 'acknowledged' })
      await holds(held)
      for (const bad of [elements('add-elements', BY_INTERFACE, [['"veth-a"', 'drop']]), remove('chain', 'to/b')]) {
        const outcome = await judged([...good.slice(0, 2), bad])
        assert.equal(outcome.kind, 'refused', JSON.stringify(bad))
      }
      await holds(held)
      // What was only judged must not stand in the way of what comes next.
      for (const key of ['30.0.0.0-30.0.0.9', '30.0.0.0-30.0.0.8']) assert.deepEqual(await judged([elements('add-elements', RANGES, [[key]])]), { kind: 'acknowledged' })
      assert.deepEqual(await commit([elements('add-elements', RANGES, [['30.0.0.5-30.0.0.7']])]), { kind: 'acknowledged' })
      await holds(held)
    })

    it('refuses to write to a table that is not there', async () => {
      held = emptyTable()
      assert.equal((await commit(add(PODS))).kind, 'refused')
      assert.deepEqual(await kernel.readBack(TABLE), { kind: 'absent' })
    })

    it('rule 105, rule 106: takes comments of any length and names of 255 bytes', async () => {
      const long = (first: string): string => `${first}/${'x'.repeat(253)}`
      const comments = ['x'.repeat(128), 'x'.repeat(129), `${'x'.repeat(124)}äöü`, '"; drop\n}\\', '', '\ud800', '${x} # $y']
      await start([
        ...comments.flatMap((comment, i) => add({ kind: 'counter', name: `c${i}`, comment }, { ...PODS, name: `s${i}`, comment }, { ...chain(`h${i}`), comment })),
        ...add({ kind: 'counter', name: long('c') }, { ...PODS, name: long('s') }, { ...BY_INTERFACE, name: long('m') }, chain(long('h'))),
        ...add(chain('names', [`ip saddr @${long('s')} counter name "${long('c')}" jump ${long('h')}`])),
        elements('add-elements', { ...BY_INTERFACE, name: long('m') }, [['"fifteen-letters"', `goto ${long('h')}`]]),
      ])
      await holds(held)
      await refuses(add(chain(`${long('h')}x`)), /255 bytes/)
    })

    it('rule 110: takes 10,000 elements at once, and takes them away', async () => {
      const many = Array.from({ length: 10_000 }, (_, i): [string] => [`10.${i >> 8}.${i & 255}.0-10.${i >> 8}.${i & 255}.99`])
      await start([...add(RANGES), elements('add-elements', RANGES, many)])
      await holds(held)
      const wanted: TableState = { ...emptyTable(), sets: new Map([[RANGES.name, { object: RANGES, elements: new Map(many.slice(9_990).map(([key]) => [key, { key }])) }]]) }
      const transaction = diff(TABLE, held, wanted, everything(held, wanted), () => [])
      assert.deepEqual(await commit(transaction?.operations ?? []), { kind: 'acknowledged' })
      assertSame(held, wanted)
      await holds(held)
    })

    it('rule 108: leaves other tables alone, and keeps families apart', async () => {
      await start(FULL)
      const foreign: Transaction = { table: OTHER, step: 'switch', createsTable: true, operations: [...add(PODS), elements('add-elements', PODS, [['10.9.9.9']])] }
      assert.deepEqual(await kernel.commit(foreign), { kind: 'acknowledged' })
      assert.deepEqual(await kernel.commit({ ...foreign, table: BRIDGE }), { kind: 'acknowledged' })
      await holds(held)
      await kernel.deleteTable(TABLE)
      const kept = emptyTable()
      apply(kept, foreign)
      for (const table of [OTHER, BRIDGE]) {
        const read = await kernel.readBack(table)
        assert.ok(read.kind === 'table')
        assertSame(read.state, kept)
      }
    })

    it('answers in the order of the calls', async () => {
      await start(add(PODS))
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, i) => commit([elements(i % 2 === 0 ? 'add-elements' : 'delete-elements', PODS, [['10.0.0.1']])])),
      )
      assert.ok(outcomes.every((outcome) => outcome.kind === 'acknowledged'), JSON.stringify(outcomes))
      await holds(held)
    })
  })
}
