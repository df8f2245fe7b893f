// What exists at each moment of a case: identities, addresses and labels after each action.
import assert from 'node:assert/strict'
import type { Action, CaseStart } from '../../../src/lab/case-types.ts'
import { applyAction, worldOf, type World } from '../../../src/lab/case-world.ts'

const START: CaseStart = {
  namespaces: new Map([['shop', new Map([['team', 'a']])], ['bank', new Map()]]),
  pods: [
    { namespace: 'shop', name: 'web', labels: new Map([['app', 'web']]), addresses: ['10.88.1.10', 'fd00:88:1::a'], ports: [{ name: 'http', protocol: 'TCP', port: 80 }] },
    { namespace: 'bank', name: 'db', labels: new Map(), addresses: ['10.99.7.1'], ports: null },
  ],
}

function begin(previous: World | null = null, start = START): World {
  let serial = previous === null ? 0 : 1_000
  return worldOf(start, () => `uid-${serial++}`, previous)
}

function after(world: World, ...actions: readonly Action[]): World {
  return actions.reduce((now, action) => applyAction(now, action, START), world)
}

const policy = { kind: 'createPolicy', namespace: 'shop', name: 'base', manifest: { spec: {} } } as const

describe('the world of a case', () => {
  it('rule 21: sets kubernetes.io/metadata.name, also when all labels are replaced', () => {
    const world = after(begin(), { kind: 'setNamespaceLabels', namespace: 'shop', labels: new Map([['x', 'y']]) })
    assert.deepEqual([...(world.namespaces.get('shop')?.labels ?? [])], [['x', 'y'], ['kubernetes.io/metadata.name', 'shop']])
    assert.equal(begin().namespaces.get('bank')?.labels.get('kubernetes.io/metadata.name'), 'bank')
  })

  it('adds labels beside those that are there', () => {
    const world = after(begin(), { kind: 'addNamespaceLabels', namespace: 'shop', labels: new Map([['x', 'y']]) })
    assert.deepEqual(Object.fromEntries(world.namespaces.get('shop')?.labels ?? []), { team: 'a', x: 'y', 'kubernetes.io/metadata.name': 'shop' })
  })

  it('gives a created pod free addresses in the ranges of its namespace, and the ports of the others there', () => {
    const world = after(begin(), { kind: 'createPod', pod: { namespace: 'shop', name: 'api', labels: new Map(), addresses: null, ports: null } })
    const api = world.pods.get('shop/api')
    assert.deepEqual(api?.addresses, ['10.88.1.11', 'fd00:88:1::b'])
    assert.deepEqual(api?.ports, START.pods[0]?.ports)
  })

  it('rule 97: a pod that is deleted and created again is another one; a label makes it no other', () => {
    const first = begin()
    const relabelled = after(first, { kind: 'setPodLabels', namespace: 'shop', name: 'web', labels: new Map([['app', 'x']]) })
    assert.equal(relabelled.pods.get('shop/web')?.uid, first.pods.get('shop/web')?.uid)
    const again = after(first, { kind: 'deletePod', namespace: 'shop', name: 'web' }, { kind: 'createPod', pod: START.pods[0] as NonNullable<(typeof START.pods)[0]> })
    assert.notEqual(again.pods.get('shop/web')?.uid, first.pods.get('shop/web')?.uid)
  })

  it('rule 100: a policy of the same name is another one after it was deleted, and the same one after an update', () => {
    const created = after(begin(), policy)
    const updated = after(created, { ...policy, kind: 'updatePolicy' })
    const again = after(created, { kind: 'deletePolicy', namespace: 'shop', name: 'base' }, policy)
    const uid = (world: World): string | undefined => world.policies.get('shop/base')?.uid
    assert.equal(uid(updated), uid(created))
    assert.equal(updated.policies.get('shop/base')?.generation, 2)
    assert.notEqual(uid(again), uid(created))
  })

  it('takes the pods and policies of a namespace along', () => {
    const world = after(begin(), policy, { kind: 'deleteNamespace', namespace: 'shop' })
    assert.deepEqual([...world.pods.keys()], ['bank/db'])
    assert.equal(world.policies.size, 0)
    assert.deepEqual([...world.namespaces.keys()], ['bank'])
  })

  it('keeps the UIDs of pods that the next case has in the same form, and of no others', () => {
    const first = begin()
    const [web, db] = START.pods as [NonNullable<(typeof START.pods)[0]>, NonNullable<(typeof START.pods)[0]>]
    const next = begin(first, { ...START, pods: [{ ...web, labels: new Map() }, { ...db, addresses: ['10.99.7.2'] }] })
    assert.equal(next.pods.get('shop/web')?.uid, first.pods.get('shop/web')?.uid)
    assert.notEqual(next.pods.get('bank/db')?.uid, first.pods.get('bank/db')?.uid)
  })
})
