// What the selector index says of members, and what it tells of their changes, one rule at a time.
//
// **Invariant:** expectations are names written out by hand; the property test compares with a naive evaluator.
import { strict as assert } from 'node:assert'
import type { Changes } from '../../../src/model/changes.ts'
import type { Namespace, Pod } from '../../../src/model/objects.ts'
import type { PodSelector } from '../../../src/model/selector.ts'
import { PodSelectorIndex } from '../../../src/selectors/selector-index.ts'
import { namespace, pod, podsIn, podsOf } from '../../support/builders.ts'

const NO_LABELS = {}

function world(pods: readonly Pod[], namespaces: readonly Namespace[] = []): PodSelectorIndex {
  const index = new PodSelectorIndex()
  index.updateNamespaces(added(namespaces))
  index.updatePods(added(pods))
  index.takeDelta()
  return index
}

function added<Row extends { readonly uid: string }>(rows: readonly Row[]): Changes<string, Row> {
  return new Map(rows.map((row) => [row.uid, { before: null, after: row }]))
}

function change<Row extends { readonly uid: string }>(before: Row | null, after: Row | null): Changes<string, Row> {
  return new Map([[(before ?? after)?.uid as string, { before, after }]])
}

function names(index: PodSelectorIndex, selector: PodSelector): string[] {
  const id = index.acquire(selector)
  const found = [...index.members(id).values()].map((p) => `${p.namespace}/${p.name}`).sort()
  index.release(id)
  return found
}

const shop = namespace({ name: 'shop', labels: { team: 'a' } })
const bank = namespace({ name: 'bank', labels: { team: 'b' } })
const web = pod({ namespace: 'shop', name: 'web', labels: { app: 'web', tier: 'front' } })
const db = pod({ namespace: 'shop', name: 'db', labels: { app: 'db' } })
const bare = pod({ namespace: 'shop', name: 'bare', labels: NO_LABELS })
const bankWeb = pod({ namespace: 'bank', name: 'web', labels: { app: 'web' } })
const all = [web, db, bare, bankWeb]

describe('the selector index: members', () => {
  it('rule 12: pods of the named namespace only', () => {
    assert.deepEqual(names(world(all, [shop, bank]), podsOf('shop', 'app=web')), ['shop/web'])
  })

  it('rule 13: a namespace selector alone means all pods there, {} those of every namespace', () => {
    const index = world(all, [shop, bank])
    assert.deepEqual(names(index, podsIn('team=b')), ['bank/web'])
    assert.deepEqual(names(index, podsIn('')), ['bank/web', 'shop/bare', 'shop/db', 'shop/web'])
  })

  it('rule 14: namespace and pod selector must both match', () => {
    assert.deepEqual(names(world(all, [shop, bank]), podsIn('team=a', 'app=web')), ['shop/web'])
  })

  it('rules 16, 17, 20: NotIn matches pods that lack the key, and those with neither value', () => {
    const index = world(all, [shop, bank])
    assert.deepEqual(names(index, podsOf('shop', 'app notin (web)')), ['shop/bare', 'shop/db'])
    assert.deepEqual(names(index, podsOf('shop', 'app notin (web,db)')), ['shop/bare'])
    assert.deepEqual(names(index, podsOf('shop', '!tier')), ['shop/bare', 'shop/db'])
  })

  it('rule 18: all requirements must hold, whichever of them the index looks things up by', () => {
    const index = world(all, [shop, bank])
    assert.deepEqual(names(index, podsOf('shop', 'app in (db,web), tier')), ['shop/web'])
    assert.deepEqual(names(index, podsOf('shop', 'app=db, tier=front')), [])
  })

  it('rule 19: an empty value is a value', () => {
    const empty = pod({ namespace: 'shop', name: 'empty', labels: { tier: '' } })
    assert.deepEqual(names(world([...all, empty], [shop]), podsOf('shop', { tier: '' })), ['shop/empty'])
  })

  it('rule 21: kubernetes.io/metadata.name selects a namespace by its name', () => {
    assert.deepEqual(names(world(all, [shop, bank]), podsIn('kubernetes.io/metadata.name in (bank,other)')), ['bank/web'])
  })

  it('rule 24: hostNetwork pods are no members', () => {
    assert.deepEqual(names(world([web, pod({ namespace: 'shop', name: 'host', hostNetwork: true })], [shop]), podsOf('shop')), ['shop/web'])
  })

  it('rule 93: finished pods are no members; rule 92: pods without an address are', () => {
    const index = world([pod({ name: 'done', finished: true }), pod({ name: 'new' })])
    assert.deepEqual(names(index, podsOf('default')), ['default/new'])
  })

  it('rule 96: terminating pods are members', () => {
    assert.deepEqual(names(world([pod({ terminating: true })]), podsOf('default')), ['default/pod'])
  })

  it('rule 98: a namespace that has no Namespace row is in no namespace selector, but has its name', () => {
    const index = world(all, [bank])
    assert.deepEqual(names(index, podsIn('')), ['bank/web'])
    assert.deepEqual(names(index, podsIn('team notin (b)')), [])
    assert.deepEqual(names(index, podsOf('shop', 'app=web')), ['shop/web'])
  })

  it('labels named like fields of objects are labels', () => {
    const odd = pod({ name: 'odd', labels: new Map([['constructor', 'x'], ['__proto__', 'y']]) })
    assert.deepEqual(names(world([odd, pod()]), podsOf('default', 'constructor=x, __proto__=y')), ['default/odd'])
  })
})

describe('the selector index: changes', () => {
  it('tells who joined, who left and who is a member with another row', () => {
    const index = world(all, [shop, bank])
    const id = index.acquire(podsOf('shop', 'app=web'))
    const moved = pod({ ...web, addresses: ['10.0.0.1'] })
    index.updatePods(change(web, moved))
    assert.deepEqual(index.takeDelta(), new Map([[id, new Map([[web.uid, { before: web, after: moved }]])]]))
    index.updatePods(change(moved, null))
    assert.deepEqual(index.takeDelta(), new Map([[id, new Map([[web.uid, { before: moved, after: null }]])]]))
    index.updatePods(change(null, web))
    assert.deepEqual(index.takeDelta(), new Map([[id, new Map([[web.uid, { before: null, after: web }]])]]))
    assert.equal(index.takeDelta().size, 0)
  })

  it('rule 27: a relabelled pod leaves one selector and joins another', () => {
    const index = world(all, [shop])
    const front = index.acquire(podsOf('shop', 'tier=front'))
    const back = index.acquire(podsOf('shop', 'tier=back'))
    const relabelled = pod({ ...web, labels: { app: 'web', tier: 'back' } })
    index.updatePods(change(web, relabelled))
    const delta = index.takeDelta()
    assert.deepEqual(delta.get(front), new Map([[web.uid, { before: web, after: null }]]))
    assert.deepEqual(delta.get(back), new Map([[web.uid, { before: null, after: relabelled }]]))
  })

  it('rule 27: a relabelled namespace takes its pods in and out', () => {
    const index = world(all, [shop, bank])
    const teamA = index.acquire(podsIn('team=a', 'app=web'))
    const teamB = index.acquire(podsIn('team in (b,c)', 'app=web'))
    index.updateNamespaces(change(shop, namespace({ name: 'shop', labels: { team: 'c' } })))
    const delta = index.takeDelta()
    assert.deepEqual([...delta.keys()].sort(), [teamA, teamB].sort())
    assert.deepEqual(delta.get(teamA), new Map([[web.uid, { before: web, after: null }]]))
    assert.deepEqual(delta.get(teamB), new Map([[web.uid, { before: null, after: web }]]))
  })

  it('rule 93: a pod that finishes leaves, one that starts over joins', () => {
    const index = world([web])
    const id = index.acquire(podsOf('shop'))
    const done = pod({ ...web, finished: true })
    index.updatePods(change(web, done))
    assert.equal(index.members(id).size, 0)
    index.updatePods(change(done, web))
    assert.equal(index.members(id).get(web.uid), web)
    assert.equal(index.takeDelta().size, 0, 'out and in again within one turn is no change')
  })

  it('rule 100: of two namespaces of one name the later one counts, whichever was seen first', () => {
    const older = namespace({ uid: 'z', name: 'shop', labels: { team: 'a' }, createdAt: 1 })
    const newer = namespace({ uid: 'b', name: 'shop', labels: { team: 'b' }, createdAt: 2 })
    for (const rows of [[older, newer], [newer, older]]) {
      const index = world([web], rows)
      assert.deepEqual(names(index, podsIn('team=a')), [])
      assert.deepEqual(names(index, podsIn('team=b')), ['shop/web'])
      index.updateNamespaces(change(older, null))
      assert.deepEqual(names(index, podsIn('team=b')), ['shop/web'])
    }
  })

  it('rule 100: of two namespaces created at the same time the greater UID counts', () => {
    const rows = [namespace({ uid: 'a', name: 'shop', labels: { team: 'a' } }), namespace({ uid: 'b', name: 'shop', labels: { team: 'b' } })]
    for (const order of [rows, rows.toReversed()]) assert.deepEqual(names(world([web], order), podsIn('team')), ['shop/web'])
    for (const order of [rows, rows.toReversed()]) assert.deepEqual(names(world([web], order), podsIn('team=a')), [])
  })

  it('a pod that is said under another namespace moves with all it had', () => {
    const index = world([web], [shop, bank])
    const inShop = index.acquire(podsOf('shop', 'app=web'))
    const inBank = index.acquire(podsOf('bank', 'app=web'))
    const moved = pod({ ...web, namespace: 'bank' })
    index.updatePods(change(web, moved))
    assert.equal(index.members(inShop).size, 0)
    assert.equal(index.members(inBank).get(web.uid), moved)
    assert.deepEqual(names(index, podsIn('', 'app=web')), ['bank/web'])
  })
})

describe('the selector index: users', () => {
  it('keeps a selector as long as anybody uses it, and tells of the released one nothing', () => {
    const index = world(all)
    const id = index.acquire(podsOf('shop', 'app=web'))
    assert.equal(index.acquire(podsOf('shop', 'app=web')), id)
    index.release(id)
    assert.equal(index.members(id).size, 1)
    index.updatePods(change(web, null))
    index.release(id)
    assert.throws(() => index.members(id), /nobody acquired: namespace shop, pods app=web/)
    assert.throws(() => index.release(id), /nobody acquired/)
    assert.equal(index.takeDelta().size, 0)
  })

  it('a selector that is acquired in a turn starts with its members, and tells what changes from then on', () => {
    const index = world(all)
    index.updatePods(change(web, null))
    const id = index.acquire(podsOf('shop', 'app=web'))
    assert.equal(index.takeDelta().size, 0)
    assert.equal(index.members(id).size, 0)
    index.updatePods(change(null, web))
    assert.equal(index.takeDelta().get(id)?.size, 1)
  })
})
