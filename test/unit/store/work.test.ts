// What a turn costs in the store and the selector index: rows visited at 1,000, 10,000 and 50,000 pods.
//
// **Invariant:** the counts are equal at every size, and small.
import { strict as assert } from 'node:assert'
import type { SourceEvent } from '../../../src/model/changes.ts'
import type { Pod } from '../../../src/model/objects.ts'
import { Inbox } from '../../../src/store/inbox.ts'
import { Store, type Turn } from '../../../src/store/store.ts'
import { namespace, pod, policy } from '../../support/builders.ts'
import { cluster, good, listsOf } from '../../support/cluster.ts'

class Feed {
  readonly store = new Store()
  readonly #inbox = new Inbox(() => {})

  turn(events: readonly SourceEvent[]): Turn {
    for (const event of events) this.#inbox.push(event)
    return this.store.apply(this.#inbox.drain())
  }

  /** Rows that a turn over this event visits. */
  cost(event: SourceEvent): number {
    return this.turn([event]).rowsTouched
  }
}

describe('the store: work', function () {
  this.timeout(60_000)
  const worlds: { readonly feed: Feed; readonly last: Pod; readonly before: Pod }[] = []

  before(() => {
    for (const count of [1_000, 10_000, 50_000]) {
      const all = cluster(count)
      const feed = new Feed()
      const { snapshot } = feed.turn(listsOf(all))
      for (const selector of all.selectors) snapshot.selectors.acquire(selector)
      worlds.push({ feed, last: all.pods.at(-1) as Pod, before: all.pods.at(-2) as Pod })
    }
  })

  after(() => {
    worlds.length = 0
  })

  function bounded(atMost: number, eventOf: (last: Pod, before: Pod) => SourceEvent): void {
    const counts = worlds.map(({ feed, last, before: neighbour }) => feed.cost(eventOf(last, neighbour)))
    assert.deepEqual(counts, [counts[0], counts[0], counts[0]])
    assert.ok((counts[0] as number) <= atMost, `${counts[0]} rows, not at most ${atMost}`)
    assert.ok((counts[0] as number) > 0)
  }

  function says(row: Pod): SourceEvent {
    return { verb: 'upsert', kind: 'pod', key: row.uid, decoded: good(row) }
  }

  it('a pod that is read again and says the same', () => bounded(2, (last) => says(pod({ ...last }))))

  it('a pod whose row changes', () => bounded(20, (last) => says(pod({ ...last, terminating: true }))))

  it('a pod that is relabelled', () => bounded(20, (last) => says(pod({ ...last, labels: { app: 'app0' } }))))

  it('a pod that takes the address of another', () => bounded(40, (last, other) => says(pod({ ...last, addresses: other.addresses, createdAt: 1 }))))

  it('a pod that goes', () => bounded(40, (last) => ({ verb: 'delete', kind: 'pod', key: last.uid })))

  it('a pod that comes', () => bounded(20, (last) => says(last)))

  it('a namespace that is relabelled: its selectors, and its pods by label', () =>
    bounded(60, (last) => {
      const row = namespace({ name: last.namespace, labels: { team: 'team1' } })
      return { verb: 'upsert', kind: 'namespace', key: row.uid, decoded: good(row) }
    }))

  it('a policy that comes', () =>
    bounded(2, (last) => {
      const row = policy({ namespace: last.namespace, name: 'new' })
      return { verb: 'upsert', kind: 'policy', key: row.uid, decoded: good(row) }
    }))
})
