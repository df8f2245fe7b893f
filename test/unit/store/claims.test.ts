// Which of several pods has an address, in whatever order their events come.
import { strict as assert } from 'node:assert'
import type { Pod } from '../../../src/model/objects.ts'
import { Inbox } from '../../../src/store/inbox.ts'
import { Store, type Turn } from '../../../src/store/store.ts'
import { pod, podsOf } from '../../support/builders.ts'

class Feed {
  readonly store = new Store()
  readonly #inbox = new Inbox(() => {})

  says(...pods: readonly Pod[]): Turn {
    for (const row of pods) this.#inbox.push({ verb: 'upsert', kind: 'pod', key: row.uid, decoded: { kind: 'good', row, problems: [] } })
    return this.store.apply(this.#inbox.drain())
  }

  gone(...pods: readonly Pod[]): Turn {
    for (const row of pods) this.#inbox.push({ verb: 'delete', kind: 'pod', key: row.uid })
    return this.store.apply(this.#inbox.drain())
  }
}

const X = '10.0.0.1'
const old = pod({ name: 'old', createdAt: 1, addresses: [X, 'fd00::1'] })
const next = pod({ name: 'next', createdAt: 2, addresses: [X] })

function owners(turn: Turn, address: string): string[] {
  return [...turn.snapshot.pods.where('address', address)].map((p) => p.name)
}

describe('effective addresses', () => {
  it('rule 94: the new pod has the address although the old one is not gone yet, and its deletion takes nothing away', () => {
    const feed = new Feed()
    feed.says(old)
    const both = feed.says(next)
    assert.deepEqual(owners(both, X), ['next'])
    assert.deepEqual(both.snapshot.pods.get(old.uid)?.addresses, ['fd00::1'])
    assert.deepEqual([...both.delta.pods.keys()].sort(), [next.uid, old.uid])
    const after = feed.gone(old)
    assert.deepEqual(owners(after, X), ['next'])
    assert.deepEqual([...after.delta.pods.keys()], [old.uid])
    assert.equal(feed.gone(old).delta.pods.size, 0)
  })

  it('rule 94: seen the other way round it ends the same', () => {
    const feed = new Feed()
    feed.says(next)
    const both = feed.says(old)
    assert.deepEqual(owners(both, X), ['next'])
    assert.equal(both.delta.pods.has(next.uid), false)
    const back = feed.gone(next)
    assert.deepEqual(owners(back, X), ['old'])
    assert.equal(back.snapshot.pods.get(old.uid), old)
  })

  it('who was given it by the network plugin has it before all others, and lends it to nobody when that is over', () => {
    const given = pod({ name: 'given', createdAt: 0, addresses: [X], given: true })
    for (const order of [[old, next, given], [given, next, old], [next, given, old]]) assert.deepEqual(owners(new Feed().says(...order), X), ['given'])
    const feed = new Feed()
    const problems = feed.says(next, given).problems
    assert.match([...problems.values()][0]?.after?.message ?? '', /Pod \S+\/given, which the network plugin gave it/)
    assert.deepEqual(owners(feed.says({ ...given, addresses: [], given: undefined } as unknown as Pod), X), ['next'])
  })

  it('rule 97: recreated under the same name in one instant, the greater UID has the address', () => {
    const [a, b] = [pod({ uid: 'a', addresses: [X] }), pod({ uid: 'b', addresses: [X] })]
    for (const order of [[a, b], [b, a]]) assert.deepEqual(new Feed().says(...order).snapshot.pods.get('b')?.addresses, [X])
    for (const order of [[a, b], [b, a]]) assert.deepEqual(new Feed().says(...order).snapshot.pods.get('a')?.addresses, [])
  })

  it('rule 96: a pod that terminates gives way to one that does not, and has its address while nobody else claims it', () => {
    const leaving = pod({ ...next, terminating: true })
    const feed = new Feed()
    assert.deepEqual(owners(feed.says(leaving), X), ['next'])
    const both = feed.says(old)
    assert.deepEqual(owners(both, X), ['old'])
    assert.equal(both.problems.size, 0)
  })

  it('rule 93: a pod that finished loses its addresses at once', () => {
    const feed = new Feed()
    feed.says(old, next)
    const done = feed.says(pod({ ...next, finished: true }))
    assert.deepEqual(owners(done, X), ['old'])
    assert.deepEqual(done.snapshot.pods.get(next.uid)?.addresses, [])
  })

  it('rule 24: hostNetwork pods claim nothing', () => {
    const host = pod({ name: 'host', hostNetwork: true, createdAt: 9, addresses: [X] })
    const turn = new Feed().says(next, host)
    assert.deepEqual(owners(turn, X), ['next'])
    assert.equal(turn.problems.size, 0)
  })

  it('selectors see owned addresses only, in the same turn', () => {
    const feed = new Feed()
    const selectors = feed.says(old).snapshot.selectors
    const id = selectors.acquire(podsOf('default'))
    const members = feed.says(next).delta.members.get(id)
    assert.deepEqual(members?.get(old.uid)?.after?.addresses, ['fd00::1'])
    assert.deepEqual(members?.get(next.uid)?.after?.addresses, [X])
  })

  it('two pods that live with one address are reported with both names, as long as it lasts', () => {
    const feed = new Feed()
    const problem = [...feed.says(old, next).problems.values()][0]?.after
    assert.equal(problem?.code, 'AddressConflict')
    assert.equal(problem?.severity, 'warning')
    assert.equal(problem?.object, 'Pod default/old')
    assert.match(problem?.message ?? '', /^10\.0\.0\.1 is also an address of Pod default\/next, .*Pod default\/old is judged without it$/)
    const after = feed.says(pod({ ...old, terminating: true }))
    assert.deepEqual([...after.problems.values()], [{ before: problem, after: null }])
  })
})
