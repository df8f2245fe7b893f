// What an agent writes of its node: bounded, read back by the summary as it was meant, and written only where it is worth it.
import assert from 'node:assert/strict'
import { LISTED_COMMITS, LISTED_FAILURES, NODE_ENFORCEMENT, type NodeFailure } from '../../../src/crd/node-enforcement.ts'
import { faultOf } from '../../../src/crd/read.ts'
import { judgeNode, reportOf } from '../../../src/summary/node-report.ts'
import { CommitRing, isWorthWriting, nodeStatusOf, type NodeFacts } from '../../../src/summary/node-status.ts'
import { AT, condition } from '../../support/enforcements.ts'

const LATER = '2026-01-31T13:00:00Z'
const good = { status: 'True', reason: 'Ok', message: '' } as const
const failure = (name: string, since = AT): NodeFailure => ({ ref: { kind: 'NetworkPolicy', namespace: 'shop', name }, reason: 'CommitRefused', message: 'no', since })
const facts = (fields: Partial<NodeFacts> = {}): NodeFacts => ({
  agentVersion: '0.1.0', kernel: '6.1.0', nftables: '1.0.6', ruleset: { revision: 3, hash: 'f00d' }, observed: { networkpolicies: '50' }, programmedAt: AT,
  counts: { pods: { isolated: 12, open: 7, pending: 1 }, policies: 3, rules: 40, setElements: 120, services: 0 }, failures: [],
  conditions: new Map([['Ready', good], ['Programmed', good], ['TableIntact', good]]), ...fields,
})

describe('the status of a node', () => {
  it('is as the schema has it, whatever the agent knows', () => {
    const much = facts({ kernel: 'k'.repeat(999), nftables: '🐧'.repeat(999), failures: Array.from({ length: 90 }, (_, index) => ({ ...failure(`p${index}`), message: 'm'.repeat(9999) })) })
    const ring = new CommitRing()
    for (let index = 0; index < 200; index++) ring.note(`u${index}`, 1, index)
    const status = nodeStatusOf(much, ring.list(), [], AT)
    assert.equal(faultOf(NODE_ENFORCEMENT.status, status, 'status'), null)
    assert.deepEqual([status.failures?.length, status.failuresTotal, status.committed?.length, status.summary?.pods], [LISTED_FAILURES, 90, LISTED_COMMITS, '12/20'])
    assert.equal(status.committed?.at(-1)?.uid, 'u199', 'the newest is last')
  })
  it('lists the failures that began first, and always the same ones', () => {
    const names = Array.from({ length: 40 }, (_, index) => `p${String(index).padStart(2, '0')}`)
    const listed = (failures: readonly NodeFailure[]): readonly string[] => nodeStatusOf(facts({ failures }), [], [], AT).failures?.map(({ ref }) => ref.name) ?? []
    const all = [...names.map((name) => failure(name, LATER)), failure('old')]
    assert.deepEqual(listed(all), ['old', ...names.slice(0, LISTED_FAILURES - 1)])
    assert.deepEqual(listed(all.toReversed()), listed(all))
  })
  it('keeps the times of conditions that stay', () => {
    const before = [condition('Ready', { status: 'False' }), condition('Programmed')]
    const { conditions = [] } = nodeStatusOf(facts(), [], before, LATER)
    assert.deepEqual(conditions.map(({ type, lastTransitionTime }) => [type, lastTransitionTime]), [['Ready', LATER], ['Programmed', AT], ['TableIntact', LATER]])
  })
  it('remembers a generation once, with its first latency', () => {
    const ring = new CommitRing()
    ring.note('u', 1, 5)
    ring.note('u', 1, 900)
    ring.note('u', 2, 7)
    assert.deepEqual(ring.list(), [{ uid: 'u', generation: 1, latencyMs: 5 }, { uid: 'u', generation: 2, latencyMs: 7 }])
  })
  it('goes on from what the agent before told, without telling it as new', () => {
    const ring = new CommitRing()
    ring.note('u', 2, 7)
    ring.seed([{ uid: 'u', generation: 1, latencyMs: 5 }, { uid: 'u', generation: 2, latencyMs: 9 }])
    assert.deepEqual(ring.list(), [{ uid: 'u', generation: 1, latencyMs: 5 }, { uid: 'u', generation: 2, latencyMs: 7 }])
    ring.seed(Array.from({ length: LISTED_COMMITS }, (_, index) => ({ uid: `v${index}`, generation: 1, latencyMs: 1 })))
    assert.deepEqual([ring.list().length, ring.list().at(-1)], [LISTED_COMMITS, { uid: 'u', generation: 2, latencyMs: 7 }])
  })
  it('is read by the operator as it was meant', () => {
    const policy = { uid: 'u', namespace: 'shop', name: 'web' }
    const state = (of: Partial<NodeFacts>): string => judgeNode(policy, { uid: 'u', generation: 1, resourceVersion: '50' }, reportOf('a', 'n1', nodeStatusOf(facts(of), [], [], AT)), true).state
    assert.equal(state({}), 'programmed')
    assert.equal(state({ observed: { networkpolicies: '49' } }), 'pending')
    assert.equal(state({ failures: [failure('web')] }), 'failed')
    assert.equal(state({ failures: Array.from({ length: LISTED_FAILURES + 1 }, (_, index) => failure(`a${index}`)) }), 'pending')
  })
})

describe('a node writes', () => {
  const written = nodeStatusOf(facts(), [], [], AT)
  const worth = (fields: Partial<NodeFacts>, commits = new CommitRing()): boolean => isWorthWriting(written, nodeStatusOf(facts(fields), commits.list(), written.conditions ?? [], LATER))
  it('when a failure begins or ends, a policy of its pods is committed, a count or a condition changed', () => {
    const ring = new CommitRing()
    ring.note('u', 1, 5)
    assert.ok(isWorthWriting(null, written))
    assert.ok(worth({ failures: [failure('web')] }))
    assert.ok(worth({}, ring))
    assert.ok(worth({ counts: { ...facts().counts, pods: { isolated: 13, open: 7, pending: 0 } } }))
    assert.ok(worth({ conditions: new Map([['Ready', { ...good, status: 'False' }]]) }))
    assert.ok(isWorthWriting(nodeStatusOf(facts({ failures: [failure('web')] }), [], [], AT), written), 'it ends')
  })
  it('never for a watermark alone, nor for rules and elements, nor for what the operator wrote', () => {
    assert.ok(!worth({ observed: { networkpolicies: '51', pods: '99' }, ruleset: { revision: 4, hash: 'beef' }, programmedAt: LATER }))
    assert.ok(!worth({ counts: { ...facts().counts, rules: 41, setElements: 121 } }))
    assert.ok(!isWorthWriting({ ...written, conditions: [condition('Reporting'), ...(written.conditions ?? [])] }, written))
  })
})
