// The law of the store: rows, memberships and problems depend on the events only, never on how they fell into turns.
//
// Deltas are added up from nothing beside the store, and must give what it holds. **Invariant:** each run compares with the naive store.
import { strict as assert } from 'node:assert'
import fc from 'fast-check'
import type { Problem } from '../../src/lib/problem.ts'
import type { Changes, SourceEvent } from '../../src/model/changes.ts'
import type { SelectorId } from '../../src/model/selector.ts'
import { Inbox } from '../../src/store/inbox.ts'
import { Store, type Turn } from '../../src/store/store.ts'
import { anyEvent, NaiveStore, SELECTORS } from './store-world.ts'

/** Adds changes to what they are changes of, and checks that they are. */
function add<Row>(sum: Map<string, Row>, changes: Changes<string, Row>): void {
  for (const [key, { before, after }] of changes) {
    assert.notDeepEqual(before, after, `${key}: a change that is none`)
    assert.deepEqual(sum.get(key) ?? null, before, `${key}: not what was told before`)
    if (after === null) sum.delete(key)
    else sum.set(key, after)
  }
}

/** A store that is told events turn by turn, and the sum of all that it told. */
class Follower {
  readonly store = new Store()
  readonly inbox = new Inbox(() => {})
  readonly pods = new Map<string, unknown>()
  readonly namespaces = new Map<string, unknown>()
  readonly policies = new Map<string, unknown>()
  readonly problems = new Map<string, Problem>()
  readonly members = new Map<SelectorId, Map<string, unknown>>()

  turn(events: readonly SourceEvent[]): Turn {
    for (const event of events) this.inbox.push(event)
    const turn = this.store.apply(this.inbox.drain())
    add(this.pods, turn.delta.pods)
    add(this.namespaces, turn.delta.namespaces)
    add(this.policies, turn.delta.policies)
    add(this.problems, turn.problems)
    for (const [id, changes] of turn.delta.members) {
      assert.ok(changes.size > 0, `${id}: a delta of nothing`)
      add(this.members.get(id) as Map<string, unknown>, changes)
    }
    return turn
  }

  /** Acquires what it does not hold and releases what it holds, as steps do at the end of a turn. */
  toggle(which: readonly number[], { snapshot: { selectors } }: Turn): void {
    for (const selector of which.map((i) => SELECTORS[i] as (typeof SELECTORS)[number])) {
      if (this.members.delete(selector.id)) selectors.release(selector.id)
      else this.members.set(selectors.acquire(selector), new Map(selectors.members(selector.id)))
    }
  }

  compare(naive: NaiveStore): void {
    const { snapshot } = this.turn([])
    assert.deepEqual(this.pods, naive.pods())
    assert.deepEqual(this.namespaces, naive.rows('namespace'))
    assert.deepEqual(this.policies, naive.rows('policy'))
    assert.deepEqual([...this.problems.values()].map(brief).sort(), naive.problems())
    for (const [id, members] of this.members) assert.deepEqual(members, snapshot.selectors.members(id), id)
    for (const selector of SELECTORS) {
      assert.deepEqual(snapshot.selectors.members(snapshot.selectors.acquire(selector)), naive.members(selector), selector.id)
    }
    for (const [uid, row] of naive.pods()) {
      assert.deepEqual(snapshot.pods.get(uid), row)
      for (const address of row.addresses) assert.deepEqual([...snapshot.pods.where('address', address)], [row])
    }
    for (const name of ['n1', 'n2']) {
      const expected = [...naive.pods().values()].filter((p) => p.namespace === name).map((p) => p.uid)
      assert.deepEqual([...snapshot.pods.where('namespace', name)].map((p) => p.uid).sort(), expected.sort())
    }
    assert.equal(snapshot.pods.size, naive.pods().size)
  }
}

function brief(problem: Problem): string {
  return `${problem.object}: ${problem.code === 'AddressConflict' ? problem.message.split(' ')[0] : problem.message}`
}

function naiveOf(events: readonly SourceEvent[]): NaiveStore {
  const naive = new NaiveStore()
  for (const event of events) naive.take(event)
  return naive
}

const turns = fc.array(
  fc.record({
    events: fc.array(fc.record({ event: anyEvent, times: fc.constantFrom(1, 1, 1, 2, 3) }), { maxLength: 6 }),
    toggles: fc.uniqueArray(fc.nat(SELECTORS.length - 1), { maxLength: 4 }),
  }),
  { maxLength: 12 },
)

describe('the law of the store', () => {
  it('rules 94, 97, 98, 100, 104: any events, in any turns, some of them repeated, end as the naive store says', () => {
    fc.assert(
      fc.property(turns, (list) => {
        const split = new Follower()
        for (const { events, toggles } of list) {
          split.toggle(toggles, split.turn(events.flatMap(({ event, times }) => Array.from({ length: times }, () => event))))
        }
        split.compare(naiveOf(list.flatMap(({ events }) => events.map(({ event }) => event))))
      }),
      { numRuns: 500 },
    )
  })

  it('one turn over all events and one turn for each end in the same', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 30 }), (events) => {
        const [whole, single] = [new Follower(), new Follower()]
        for (const follower of [whole, single]) follower.toggle([...SELECTORS.keys()], follower.turn([]))
        whole.turn(events)
        for (const event of events) single.turn([event])
        assert.deepEqual(whole.pods, single.pods)
        assert.deepEqual(whole.members, single.members)
        assert.deepEqual(new Set(whole.problems.keys()), new Set(single.problems.keys()))
        whole.compare(naiveOf(events))
      }),
      { numRuns: 300 },
    )
  })

  it('rules 94, 98: objects that are only created end the same in any order', () => {
    const creation = anyEvent.filter((e) => e.verb === 'upsert' && e.decoded.kind === 'good')
    const created = fc.uniqueArray(creation, { maxLength: 10, selector: keyOf })
    const twoOrders = created.chain((events) => fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length })))
    fc.assert(
      fc.property(twoOrders, ([one, other]) => {
        const [a, b] = [new Follower(), new Follower()]
        for (const event of one) a.turn([event])
        for (const event of other) b.turn([event])
        assert.deepEqual(a.pods, b.pods)
        assert.deepEqual(new Set(a.problems.keys()), new Set(b.problems.keys()))
        b.compare(naiveOf(one))
      }),
      { numRuns: 200 },
    )
  })
})

function keyOf(event: SourceEvent): string {
  return `${event.kind}/${event.verb === 'upsert' ? event.key : ''}`
}
