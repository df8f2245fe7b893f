// What a turn says: rows in force, deltas, the last good version of each object, and problems.
import { strict as assert } from 'node:assert'
import type { Problem } from '../../../src/lib/problem.ts'
import type { Decoded, SourceEvent } from '../../../src/model/changes.ts'
import type { Policy } from '../../../src/model/policy.ts'
import { Inbox } from '../../../src/store/inbox.ts'
import { Store, type Turn } from '../../../src/store/store.ts'
import { hostInterface, namespace, node, pod, podsIn, podsOf, policy } from '../../support/builders.ts'

const invalid: Problem = {
  code: 'InvalidField',
  severity: 'error',
  object: 'NetworkPolicy default/policy',
  field: 'spec',
  message: 'spec: expected an object',
}

class Feed {
  readonly store = new Store()
  readonly #inbox = new Inbox(() => {})

  turn(...events: readonly SourceEvent[]): Turn {
    for (const event of events) this.#inbox.push(event)
    return this.store.apply(this.#inbox.drain())
  }
}

function saysPolicy(decoded: Decoded<Policy>): SourceEvent {
  return { verb: 'upsert', kind: 'policy', key: 'policy/default/policy', decoded }
}

function good(row: Policy): SourceEvent {
  return saysPolicy({ kind: 'good', row, problems: [] })
}

function bad(strict: Policy | null, ...problems: readonly Problem[]): SourceEvent {
  return saysPolicy({ kind: 'bad', strict, problems })
}

const gone: SourceEvent = { verb: 'delete', kind: 'policy', key: 'policy/default/policy' }

function messages(turn: Turn): { came: string[]; went: string[] } {
  const changes = [...turn.problems.values()]
  return {
    came: changes.flatMap((c) => (c.after === null ? [] : [c.after.message])),
    went: changes.flatMap((c) => (c.before === null ? [] : [c.before.message])),
  }
}

describe('the store: rows', () => {
  it('finds rows of every kind by their indexes', () => {
    const rows = {
      pod: pod({ node: 'node1', namespace: 'shop', addresses: ['10.0.0.1', 'fd00::1'] }),
      namespace: namespace({ name: 'shop' }),
      node: node(),
      policy: policy({ namespace: 'shop' }),
      interface: hostInterface({ index: 7, name: 'veth7', hostRoutes: ['10.0.0.1'] }),
    }
    const { snapshot, delta } = new Feed().turn(
      { verb: 'upsert', kind: 'pod', key: rows.pod.uid, decoded: { kind: 'good', row: rows.pod, problems: [] } },
      { verb: 'upsert', kind: 'namespace', key: rows.namespace.uid, decoded: { kind: 'good', row: rows.namespace, problems: [] } },
      { verb: 'upsert', kind: 'node', key: rows.node.uid, decoded: { kind: 'good', row: rows.node, problems: [] } },
      { verb: 'upsert', kind: 'policy', key: rows.policy.uid, decoded: { kind: 'good', row: rows.policy, problems: [] } },
      { verb: 'upsert', kind: 'interface', key: '7', decoded: { kind: 'good', row: rows.interface, problems: [] } },
    )
    const places = [['node', 'node1'], ['namespace', 'shop'], ['node+namespace', 'node1/shop'], ['address', '10.0.0.1'], ['address', 'fd00::1']] as const
    for (const [index, value] of places) {
      assert.deepEqual([...snapshot.pods.where(index, value)], [rows.pod], `${index} ${value}`)
    }
    assert.deepEqual([...snapshot.namespaces.where('name', 'shop')], [rows.namespace])
    assert.deepEqual([...snapshot.nodes.where('name', 'node1')], [rows.node])
    assert.deepEqual([...snapshot.policies.where('namespace', 'shop')], [rows.policy])
    assert.deepEqual([...snapshot.interfaces.where('name', 'veth7')], [rows.interface])
    assert.deepEqual([...snapshot.interfaces.where('hostRoute', '10.0.0.1')], [rows.interface])
    assert.deepEqual(delta.interfaces, new Map([['7', { before: null, after: rows.interface }]]))
    assert.equal(snapshot.revision, 1)
  })

  it('an object that is read again and says the same is no event, and the row stays the same one', () => {
    const feed = new Feed()
    const first = policy({ pods: 'app=web' })
    feed.turn(good(first))
    const { delta, snapshot } = feed.turn(good(policy({ pods: 'app=web' })))
    assert.equal(delta.policies.size, 0)
    assert.equal(snapshot.revision, 1)
    assert.equal(snapshot.policies.get(first.uid), first)
  })

  it('what comes and goes within one turn is no change; nor is what goes and comes back', () => {
    const feed = new Feed()
    assert.equal(feed.turn(good(policy()), gone).delta.policies.size, 0)
    feed.turn(good(policy()))
    assert.equal(feed.turn(gone, good(policy())).delta.policies.size, 0)
    assert.deepEqual(feed.turn(gone).delta.policies, new Map([[policy().uid, { before: policy(), after: null }]]))
    assert.equal(feed.turn(gone).delta.policies.size, 0, 'a duplicate deletion')
  })

  it('rule 104: a whole list takes away what it does not name', () => {
    const feed = new Feed()
    feed.turn(good(policy()))
    const other = policy({ name: 'other' })
    const { delta } = feed.turn({ verb: 'replace', kind: 'policy', rows: new Map([[other.uid, { kind: 'good', row: other, problems: [] }]]) })
    assert.deepEqual(delta.policies, new Map([
      [policy().uid, { before: policy(), after: null }],
      [other.uid, { before: null, after: other }],
    ]))
  })

  it('rules 27, 98: memberships follow pods and namespaces in any order', () => {
    const feed = new Feed()
    const web = pod({ namespace: 'shop', labels: { app: 'web' } })
    const selectors = feed.turn().snapshot.selectors
    const [byName, byLabel] = [selectors.acquire(podsOf('shop', 'app=web')), selectors.acquire(podsIn('team=a', 'app=web'))]
    const first = feed.turn({ verb: 'upsert', kind: 'pod', key: web.uid, decoded: { kind: 'good', row: web, problems: [] } })
    assert.deepEqual([...first.delta.members.keys()], [byName])
    const shop = namespace({ name: 'shop', labels: { team: 'a' } })
    const second = feed.turn({ verb: 'upsert', kind: 'namespace', key: shop.uid, decoded: { kind: 'good', row: shop, problems: [] } })
    assert.deepEqual(second.delta.members, new Map([[byLabel, new Map([[web.uid, { before: null, after: web }]])]]))
  })
})

describe('the store: objects that cannot be read', () => {
  it('keeps the last good version in force and says so, until the object is good or gone', () => {
    const feed = new Feed()
    feed.turn(good(policy()))
    const broken = feed.turn(bad(policy({ pods: 'strict' }), invalid))
    assert.equal(broken.delta.policies.size, 0)
    assert.deepEqual(messages(broken), { came: ['spec: expected an object; the last good version stays in force'], went: [] })
    assert.equal(feed.turn(bad(policy({ pods: 'strict' }), invalid)).problems.size, 0, 'the same again is no news')
    const mended = feed.turn(good(policy({ generation: 2 })))
    assert.deepEqual(messages(mended), { came: [], went: ['spec: expected an object; the last good version stays in force'] })
    assert.equal(mended.delta.policies.get(policy().uid)?.after?.generation, 2)
  })

  it('rule 25: an object that was never good fails closed, and counts as absent where nothing can stand in', () => {
    const strict = policy({ pods: 'strict' })
    const feed = new Feed()
    const first = feed.turn(bad(strict, invalid))
    assert.deepEqual(first.delta.policies, new Map([[policy().uid, { before: null, after: strict }]]))
    assert.deepEqual(messages(first).came, ['spec: expected an object; no good version is known, so the object fails closed'])
    const second = feed.turn(bad(null, invalid))
    assert.deepEqual(second.delta.policies, new Map([[policy().uid, { before: strict, after: null }]]))
    assert.deepEqual(messages(second).came, ['spec: expected an object; no good version is known, so the object counts as absent'])
    const third = feed.turn({ verb: 'replace', kind: 'policy', rows: new Map() })
    assert.deepEqual(messages(third).went, ['spec: expected an object; no good version is known, so the object counts as absent'])
  })

  it('a good version between two drains counts as well as one in a turn of its own', () => {
    const feed = new Feed()
    const turn = feed.turn(good(policy({ generation: 5 })), bad(policy({ pods: 'strict' }), invalid))
    assert.equal(turn.snapshot.policies.get(policy().uid)?.generation, 5)
    assert.deepEqual(messages(turn).came, ['spec: expected an object; the last good version stays in force'])
  })

  it('what was gone does not stand in for what comes back unreadable', () => {
    const feed = new Feed()
    const strict = policy({ pods: 'strict' })
    feed.turn(good(policy()))
    assert.equal(feed.turn(gone, bad(strict, invalid)).snapshot.policies.get(policy().uid), strict)
  })

  it('a warning is given on as it is', () => {
    const warning: Problem = { ...invalid, severity: 'warning', message: 'it is odd, and goes on as before' }
    const feed = new Feed()
    assert.deepEqual(messages(feed.turn(saysPolicy({ kind: 'good', row: policy(), problems: [warning] }))).came, [warning.message])
    assert.deepEqual(messages(feed.turn(gone)).went, [warning.message])
  })
})
