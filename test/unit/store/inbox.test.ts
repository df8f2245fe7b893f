// How the inbox nets events, and when it says that there is work.
import { strict as assert } from 'node:assert'
import type { Decoded } from '../../../src/model/changes.ts'
import type { Pod } from '../../../src/model/objects.ts'
import { Inbox } from '../../../src/store/inbox.ts'
import { pod } from '../../support/builders.ts'

const a = pod({ name: 'a' })
const b = pod({ name: 'b' })
const bad: Decoded<Pod> = { kind: 'bad', strict: null, problems: [] }

function good(row: Pod): Decoded<Pod> {
  return { kind: 'good', row, problems: [] }
}

describe('the inbox', () => {
  it('keeps one change per object: the last word counts', () => {
    const inbox = new Inbox(() => {})
    inbox.push({ verb: 'upsert', kind: 'pod', key: 'a', decoded: good(a) })
    inbox.push({ verb: 'upsert', kind: 'pod', key: 'a', decoded: good(b) })
    inbox.push({ verb: 'upsert', kind: 'pod', key: 'x', decoded: good(a) })
    inbox.push({ verb: 'delete', kind: 'pod', key: 'x' })
    const { changes, whole } = inbox.drain().pod
    assert.equal(whole, false)
    assert.deepEqual([...changes], [
      ['a', { fresh: false, good: b, last: good(b) }],
      ['x', { fresh: true, good: null, last: null }],
    ])
    assert.equal(inbox.drain().pod.changes.size, 0)
  })

  it('remembers the last good version under a bad one, and that an object was gone in between', () => {
    const inbox = new Inbox(() => {})
    inbox.push({ verb: 'upsert', kind: 'pod', key: 'a', decoded: good(a) })
    inbox.push({ verb: 'upsert', kind: 'pod', key: 'a', decoded: bad })
    inbox.push({ verb: 'delete', kind: 'pod', key: 'b' })
    inbox.push({ verb: 'upsert', kind: 'pod', key: 'b', decoded: bad })
    assert.deepEqual([...inbox.drain().pod.changes], [
      ['a', { fresh: false, good: a, last: bad }],
      ['b', { fresh: true, good: null, last: bad }],
    ])
  })

  it('rule 104: after a whole list, what is not in it is gone; what is comes as an edit', () => {
    const inbox = new Inbox(() => {})
    inbox.push({ verb: 'upsert', kind: 'pod', key: 'a', decoded: good(a) })
    inbox.push({ verb: 'replace', kind: 'pod', rows: new Map([['b', bad]]) })
    inbox.push({ verb: 'upsert', kind: 'pod', key: 'c', decoded: bad })
    const { changes, whole } = inbox.drain().pod
    assert.equal(whole, true)
    assert.deepEqual([...changes], [
      ['b', { fresh: false, good: null, last: bad }],
      ['c', { fresh: true, good: null, last: bad }],
    ])
    assert.equal(inbox.drain().pod.whole, false)
  })

  it('says once per burst that there is work', () => {
    let told = 0
    const inbox = new Inbox(() => (told += 1))
    inbox.push({ verb: 'upsert', kind: 'pod', key: 'a', decoded: good(a) })
    inbox.push({ verb: 'delete', kind: 'pod', key: 'a' })
    assert.equal(told, 1)
    inbox.drain()
    assert.equal(told, 1)
    inbox.push({ verb: 'synced', kind: 'pod' })
    assert.equal(told, 2)
  })

  it('rule 103: is synced when the first whole list of every kind that it waits for was said', () => {
    const inbox = new Inbox(() => {}, ['pod', 'policy'])
    inbox.push({ verb: 'synced', kind: 'pod' })
    inbox.push({ verb: 'synced', kind: 'node' })
    assert.equal(inbox.isSynced(), false)
    inbox.push({ verb: 'synced', kind: 'policy' })
    assert.equal(inbox.isSynced(), true)
    assert.equal(new Inbox(() => {}).isSynced(), false)
  })
})
