// The rest of a status: pods, directions, peers, texts of the columns; what news is; and whether nodes report.
import assert from 'node:assert/strict'
import { POLICY_ENFORCEMENT } from '../../../src/crd/policy-enforcement.ts'
import { faultOf } from '../../../src/crd/read.ts'
import { newsOf } from '../../../src/summary/status.ts'
import { ipBlock, namespace, node, pod, podPeer, podsIn, podsOf, policy } from '../../support/builders.ts'
import { AT, condition, policyStatus } from '../../support/enforcements.ts'
import { SILENT, SummaryWorld } from '../../support/summary-world.ts'

describe('a status', () => {
  it('says how many pods are selected, in which directions they are isolated, and who is meant', () => {
    const [web, all] = [podPeer(podsOf('default', 'app=web')), podPeer(podsIn(''))]
    const world = new SummaryWorld().namespaces(namespace(), namespace({ name: 'other' }))
    world.policies(policy({ pods: 'app=web', ingress: [{ peers: [web, all, ipBlock('10.0.0.0/8')] }, { peers: [ipBlock('fd00::/8')] }], egress: [{}, { peers: [web] }] }))
    world.pods(pod({ name: 'a', labels: { app: 'web' } }), pod({ name: 'b', labels: { app: 'web' } }), pod({ name: 'c', namespace: 'other' })).step()
    const { selectedPods, isolates, peers } = world.status()
    assert.deepEqual({ selectedPods, isolates }, { selectedPods: 2, isolates: ['Ingress', 'Egress'] })
    assert.deepEqual(peers, { ingress: { everyone: false, pods: 3, ipBlocks: 2 }, egress: { everyone: true, pods: 2, ipBlocks: 0 } }, 'each pod once')
  })
  it('is as the schema has it, and has the texts of the columns', () => {
    const world = new SummaryWorld().nodes(node({ name: 'a' })).policies(policy()).pods(pod({ node: 'a' }), pod({ name: 'p', node: 'b' })).report('a').live('a')
    world.step()
    assert.equal(faultOf(POLICY_ENFORCEMENT.status, world.status(), 'status'), null)
    assert.deepEqual(world.status().summary, { nodes: '1/2', timeToEnforce: '<unknown>', warnings: '<none>' })
  })
})

describe('news', () => {
  const news = (fields: Parameters<typeof policyStatus>[0]): string => newsOf(policyStatus(), policyStatus(fields))
  it('is a transition where there is nothing yet', () => assert.equal(newsOf(null, policyStatus()), 'transition'))
  it('is a transition with another generation, UID, condition, warning, direction or failed node', () => {
    assert.equal(news({ policyGeneration: 2 }), 'transition')
    assert.equal(news({ policyRef: { name: 'web', uid: 'u2', resourceVersion: '900' } }), 'transition')
    assert.equal(news({ conditions: [condition('Accepted'), condition('Programmed', { status: 'False' })] }), 'transition')
    assert.equal(news({ conditions: [condition('Accepted'), condition('Programmed', { reason: 'Other' })] }), 'transition')
    assert.equal(news({ conditions: [condition('Accepted'), condition('Programmed', { lastTransitionTime: '2027-01-31T12:00:00Z' })] }), 'transition')
    assert.equal(news({ conditions: [condition('Accepted'), condition('Programmed'), condition('Stalled')] }), 'transition')
    assert.equal(news({ warnings: [{ type: 'EmptyPeer', message: '' }] }), 'transition')
    assert.equal(news({ isolates: ['Egress'] }), 'transition')
    assert.equal(news({ failedNodes: [{ name: 'a', reason: 'R', message: '', since: AT }], nodes: { desired: 2, programmed: 1, pending: 0, failed: 1, stale: 0 } }), 'transition')
  })
  it('is counts where only numbers and texts differ', () => {
    assert.equal(news({ nodes: { desired: 3, programmed: 3, pending: 0, failed: 0, stale: 0 } }), 'counts')
    assert.equal(news({ selectedPods: 4 }), 'counts')
    assert.equal(news({ timeToEnforce: { p50Ms: 1, maxMs: 2, nodes: 3 } }), 'counts')
    assert.equal(news({ conditions: [condition('Accepted'), condition('Programmed', { message: 'other' })] }), 'counts')
    assert.equal(news({ policyRef: { name: 'web', uid: 'u1', resourceVersion: '901' } }), 'counts')
  })
  it('is nothing where the same stands in another order', () => {
    assert.equal(news({}), 'nothing')
    const { summary, ...rest } = policyStatus()
    assert.equal(newsOf({ summary: { warnings: summary.warnings, nodes: summary.nodes, timeToEnforce: summary.timeToEnforce }, ...rest }, policyStatus()), 'nothing')
    assert.equal(newsOf(policyStatus({ conditions: [condition('Programmed'), condition('Accepted')] }), policyStatus()), 'nothing', 'conditions have no order')
  })
})

describe('Reporting', () => {
  const world = (): SummaryWorld => new SummaryWorld().nodes(node({ name: 'a' })).report('a')
  it('is True while the node is alive, False with the reason while it is not, and written only where it is another one', () => {
    const one = world().live('a')
    assert.deepEqual(one.step().reporting.get('a'), { type: 'Reporting', status: 'True', reason: 'AgentReady', message: '', lastTransitionTime: one.now })
    const written = [condition('Reporting', { reason: 'AgentReady' })]
    assert.equal(one.report('a', { conditions: written }).step().reporting.size, 0)
    one.now = '2026-01-31T13:00:00Z'
    assert.deepEqual(one.live('a', SILENT).step().reporting.get('a'), { type: 'Reporting', status: 'False', reason: 'AgentNotReady', message: SILENT.message, lastTransitionTime: one.now })
  })
  it('is False/NoAgent for a node of which nobody said anything', () => assert.equal(world().step().reporting.get('a')?.reason, 'NoAgent'))
  it('keeps its time while only the reason is another one', () => {
    const one = world().report('a', { conditions: [condition('Reporting', { status: 'False', reason: 'NodeNotReady' })] }).live('a', SILENT)
    one.now = '2026-01-31T13:00:00Z'
    const told = one.step().reporting.get('a')
    assert.deepEqual([told?.reason, told?.lastTransitionTime], ['AgentNotReady', AT])
  })
  it('is not written to one whose Node is gone or was made anew: that is an orphan', () => {
    for (const owner of ['node/a', 'other', null]) {
      const one = new SummaryWorld().report('a', {}, owner).live('a')
      if (owner !== 'node/a') one.nodes(node({ name: 'a' }))
      const { orphans, reporting } = one.step()
      assert.deepEqual([[...orphans], reporting.size], [['a'], 0])
    }
  })
  it('ends with the NodeEnforcement', () => {
    const one = world().live('a')
    one.step()
    const { orphans, reporting } = one.report('a', null).step()
    assert.equal(orphans.size + reporting.size, 0)
  })
})
