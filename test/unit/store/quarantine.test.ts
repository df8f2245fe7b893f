// Quarantine in the store: rows that open nothing, until the object is edited.
import assert from 'node:assert/strict'
import { podOwner, policyOwner, readOwner } from '../../../src/model/owner.ts'
import { emptyBatch, Inbox } from '../../../src/store/inbox.ts'
import { Store, type Turn } from '../../../src/store/store.ts'
import { pod, policy, port } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'

const POLICY = policy({ name: 'a.b', ingress: [{ ports: [port(80)] }], egress: [{ ports: [port(81)] }] })
const POD = pod({ name: 'x', addresses: ['10.0.0.1'] })
const INGRESS = policyOwner('default', 'a.b', 'ingress')
const EGRESS = policyOwner('default', 'a.b', 'egress')

describe('quarantine', () => {
  const inbox = new Inbox(() => undefined)
  let store: Store
  const turn = (quarantine?: readonly string[]): Turn => store.apply(inbox.drain(), quarantine === undefined ? undefined : new Set(quarantine))
  beforeEach(() => {
    store = new Store()
    upsert(inbox, 'policy', POLICY, policy({ name: 'other' }))
    upsert(inbox, 'pod', POD, pod({ name: 'y', addresses: ['10.0.0.2'] }))
    turn()
  })

  it('closes one direction of a policy, and nothing else', () => {
    const { delta, snapshot } = turn([INGRESS])
    assert.deepEqual([...delta.policies.keys()], [POLICY.uid])
    assert.deepEqual(snapshot.policies.get(POLICY.uid), { ...POLICY, ingress: [] })
    assert.deepEqual(turn([INGRESS, EGRESS]).snapshot.policies.get(POLICY.uid), { ...POLICY, ingress: [], egress: [] })
    assert.deepEqual(turn([EGRESS]).snapshot.policies.get(POLICY.uid), { ...POLICY, egress: [] })
    assert.deepEqual(turn([]).snapshot.policies.get(POLICY.uid), POLICY)
  })

  it('takes a pod its addresses, and gives them back', () => {
    const { delta, snapshot } = turn([podOwner('default', 'x')])
    assert.deepEqual([...delta.pods.keys()], [POD.uid])
    assert.deepEqual(snapshot.pods.get(POD.uid)?.addresses, [])
    // Found by it all the same: on a bridge it is closed by that address.
    assert.deepEqual([...snapshot.pods.where('address', '10.0.0.1')].map((one) => one.quarantined), [['10.0.0.1']])
    assert.deepEqual(turn([]).snapshot.pods.get(POD.uid), POD)
  })

  it('stays while nothing is said, and where the same is said again', () => {
    turn([INGRESS])
    upsert(inbox, 'policy', { ...POLICY })
    const { released, delta, snapshot } = turn()
    assert.deepEqual([released, delta.policies.size, snapshot.policies.get(POLICY.uid)?.ingress], [[], 0, []])
  })

  it('ends with an edit, with deletion, and for an object of the same name', () => {
    turn([INGRESS, EGRESS, podOwner('default', 'x')])
    const edited = { ...POLICY, generation: 2 }
    upsert(inbox, 'policy', edited)
    upsert(inbox, 'pod', { ...POD, labels: new Map([['a', 'b']]) })
    const turned = turn()
    assert.deepEqual([...turned.released].sort(), [INGRESS, EGRESS, podOwner('default', 'x')].sort())
    assert.deepEqual(turned.snapshot.policies.get(POLICY.uid), edited)
    assert.deepEqual(turned.delta.policies.get(POLICY.uid)?.before, { ...POLICY, ingress: [], egress: [] })
    assert.deepEqual(turned.snapshot.pods.get(POD.uid)?.addresses, ['10.0.0.1'])
    turn([INGRESS])
    remove(inbox, 'policy', POLICY)
    upsert(inbox, 'policy', { ...POLICY, uid: 'another' })
    const again = turn()
    assert.deepEqual(again.released, [INGRESS])
    assert.deepEqual(again.snapshot.policies.get('another')?.ingress, POLICY.ingress)
  })

  it('changes nothing but what it names, and knows no owner of nothing', () => {
    const { delta, released } = store.apply(emptyBatch(), new Set(['NetworkPolicy default/none ingress', 'nonsense']))
    assert.deepEqual([delta.policies.size, delta.pods.size, released], [0, 0, []])
    assert.equal(readOwner('nonsense'), null)
    assert.deepEqual(readOwner(INGRESS), { kind: 'policy', namespace: 'default', name: 'a.b', direction: 'ingress' })
    assert.deepEqual(readOwner(podOwner('a', 'b.c')), { kind: 'pod', namespace: 'a', name: 'b.c' })
  })
})
