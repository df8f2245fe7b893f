// The whole operator over an API server by HTTP: what it makes, changes and deletes, who writes of two, and what it leaves alone.
//
// Time runs twenty times as fast. **Invariant:** what must not be written is shown by the requests, after a write that had to come.
import assert from 'node:assert/strict'
import { NODEENF, OperatorStage, POLENF } from '../../support/operator-stage.ts'

describe('the operator over an API server', function () {
  this.timeout(40_000)
  let stage: OperatorStage
  beforeEach(async () => (stage = await OperatorStage.open()))
  afterEach(async () => {
    await stage.close()
    assert.deepEqual(stage.failures, [])
  })

  it('makes, follows and deletes the status of a policy', async () => {
    stage.node('n1')
    stage.node('n2', { observed: '1' })
    stage.pod('a', 'n1')
    stage.policy('web')
    await stage.start('op-a')
    const made = await stage.told('web', 'True/Programmed')
    assert.deepEqual([made.status.nodes.desired, made.status.policyGeneration, made.status.policyRef.uid, made.status.selectedPods], [1, 1, 'policy-web', 1])
    assert.deepEqual(made.object.metadata['ownerReferences'], [{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: 'web', uid: 'policy-web' }])
    stage.pod('b', 'n2')
    const pending = await stage.told('web', 'False/Reconciling')
    assert.deepEqual([pending.status.nodes.programmed, pending.status.nodes.pending], [1, 1])
    stage.report('n2', 'node-n2', '100000', { failures: [{ ref: { kind: 'NetworkPolicy', namespace: 'shop', name: 'web', uid: 'policy-web' }, reason: 'CommitRefused', message: 'no', since: '2026-01-01T00:00:00Z' }], failuresTotal: 1 })
    const failed = await stage.told('web', 'False/NodeFailures')
    assert.deepEqual(failed.status.failedNodes.map(({ name }) => name), ['n2'])
    stage.report('n2', 'node-n2', '100000')
    await stage.told('web', 'True/Programmed', ({ nodes }) => nodes.programmed === 2)
    stage.policy('web', { generation: 2, spec: { podSelector: {}, policyTypes: ['Egress'] } })
    await stage.told('web', 'True/Programmed', ({ policyGeneration }) => policyGeneration === 2)
    stage.removePolicy('web')
    await stage.until('the status is deleted', () => (stage.status('web') === null ? true : null))
  })

  it('tells which nodes report, and policies of those that do not', async () => {
    for (const name of ['n1', 'n2', 'n3']) stage.node(name)
    stage.pod('a', 'n1')
    stage.policy('web')
    await stage.start('op-a')
    await stage.until('all report', () => (['n1', 'n2', 'n3'].every((name) => stage.reporting(name) === 'True/AgentReady') ? true : null))
    await stage.told('web', 'True/Programmed')
    stage.agent('n1', false)
    const stale = await stage.told('web', 'Unknown/NoReport')
    assert.equal(stale.status.nodes.stale, 1)
    await stage.until('it does not report', () => (stage.reporting('n1') === 'False/AgentNotReady' ? true : null))
    stage.agent('n1', true)
    await stage.told('web', 'True/Programmed')
    await stage.until('it reports', () => (stage.reporting('n1') === 'True/AgentReady' ? true : null))
  })

  it('writes nothing for a minute when over half of the nodes go silent together, and then tells it', async () => {
    for (const name of ['n1', 'n2', 'n3']) stage.node(name)
    stage.pod('a', 'n1')
    stage.policy('web')
    await stage.start('op-a')
    await stage.told('web', 'True/Programmed')
    await stage.until('all report', () => (['n1', 'n2', 'n3'].every((name) => stage.reporting(name) === 'True/AgentReady') ? true : null))
    const before = stage.writes().length
    for (const name of ['n1', 'n2']) stage.agent(name, false)
    stage.policy('other')
    await stage.pass(2_500)
    assert.equal(stage.writes().length, before, 'after 50 s')
    await stage.told('other', 'Unknown/NoReport')
    await stage.told('web', 'Unknown/NoReport')
  })

  it('gives a policy that was made anew an object of its own', async () => {
    stage.node('n1')
    stage.policy('web')
    await stage.start('op-a')
    const before = await stage.told('web', 'True/Programmed')
    stage.removePolicy('web')
    stage.policy('web', { uid: 'policy-again' })
    const after = await stage.told('web', 'True/Programmed', ({ policyRef }) => policyRef.uid === 'policy-again')
    assert.notEqual(after.object.metadata.uid, before.object.metadata.uid)
  })

  it('deletes what nobody owns any more, and makes no NodeEnforcement', async () => {
    stage.node('n1')
    stage.node('n2', { report: false })
    stage.node('n3')
    stage.removeNode('n3')
    stage.report('n1', 'an-older-node', '100000')
    stage.server.put(POLENF, { metadata: { namespace: 'shop', name: 'orphan', uid: 'orphan', ownerReferences: [{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: 'orphan', uid: 'gone' }] } })
    await stage.start('op-a')
    await stage.until('orphans are gone', () => (stage.server.list(POLENF).length === 0 && stage.server.list(NODEENF).length === 0 ? true : null))
    assert.deepEqual(stage.writes().filter((one) => one.startsWith('POST') || one.startsWith('PATCH')), [])
  })

  it('deletes nothing that the API server says is owned, however late its watch is', async () => {
    stage.node('n1')
    await stage.start('op-a')
    await stage.until('it reports', () => (stage.reporting('n1') === 'True/AgentReady' ? true : null))
    stage.server.stall()
    // The leader before us saw the policy, and made this; of the policies' watch we hear nothing yet.
    stage.policy('late')
    stage.server.put(POLENF, { metadata: { namespace: 'shop', name: 'late', uid: 'status-late', ownerReferences: [{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: 'late', uid: 'policy-late' }] } })
    const watches = stage.server.watches
    stage.server.endWatches()
    await stage.until('watches are open again', () => (stage.server.watches >= watches ? true : null))
    await stage.told('late', 'True/Programmed')
    assert.deepEqual(stage.writes().filter((one) => one.startsWith('DELETE')), [])
    assert.equal(stage.status('late')?.object.metadata.uid, 'status-late')
  })

  it('of two one writes; when it ends the other goes on, and writes nothing that stands', async () => {
    stage.node('n1')
    stage.pod('a', 'n1')
    for (const name of ['web', 'api', 'db']) stage.policy(name)
    const first = await stage.start('op-a')
    for (const name of ['web', 'api', 'db']) await stage.told(name, 'True/Programmed')
    await stage.start('op-b')
    await stage.pass(250)
    const before = stage.writes().length
    await first.close()
    stage.operators.shift()
    stage.policy('new')
    await stage.told('new', 'True/Programmed')
    await stage.pass(150)
    assert.deepEqual(stage.writes().slice(before).filter((one) => !one.includes('new') && !one.startsWith('POST')), [])
  })

  it('labels alone write nothing, and a storm of edits ends in the last generation with few writes', async () => {
    stage.node('n1')
    stage.pod('a', 'n1')
    stage.policy('web')
    await stage.start('op-a')
    await stage.told('web', 'True/Programmed')
    const before = stage.writes().length
    stage.policy('web', { labels: { a: 'b' } })
    await stage.pass(200)
    assert.equal(stage.writes().length, before)
    for (let generation = 2; generation <= 60; generation++) stage.policy('web', { generation })
    await stage.told('web', 'True/Programmed', ({ policyGeneration }) => policyGeneration === 60)
    assert.ok(stage.writes().length - before < 5, JSON.stringify(stage.writes().slice(before)))
  })
})
