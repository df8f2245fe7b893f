// What each node counts as for a policy with pods there, and the conditions that follow: each sentence of the issue.
import assert from 'node:assert/strict'
import type { NodeEnforcementStatus, NodeFailure } from '../../../src/crd/node-enforcement.ts'
import { POLICY_ENFORCEMENT } from '../../../src/crd/policy-enforcement.ts'
import { faultOf } from '../../../src/crd/read.ts'
import { namespace, node, pod, policy } from '../../support/builders.ts'
import { AT } from '../../support/enforcements.ts'
import { conditionOf, said, SILENT, SummaryWorld } from '../../support/summary-world.ts'

/** Policy `default/policy` with a pod on each node, all alive; each reports what `status` says. */
function spread(reports: Readonly<Record<string, NodeEnforcementStatus | null>>, resourceVersion = '500'): SummaryWorld {
  const world = new SummaryWorld().namespaces(namespace()).policyAt(policy(), resourceVersion)
  for (const [name, status] of Object.entries(reports)) {
    world.nodes(node({ name })).pods(pod({ name: `on-${name}`, node: name })).live(name)
    if (status !== null) world.report(name, status)
  }
  world.step()
  return world
}
function failure(fields: { readonly name?: string; readonly namespace?: string; readonly uid?: string; readonly kind?: 'Service' } = {}): NodeFailure {
  const { name = 'policy', namespace: space = 'default', kind = 'NetworkPolicy', uid } = fields
  return { ref: { kind, namespace: space, name, ...(uid === undefined ? {} : { uid }) }, reason: 'CommitRefused', message: 'the kernel refuses it', since: AT }
}
const failing = (...failures: readonly NodeFailure[]): NodeEnforcementStatus => ({ failures, failuresTotal: failures.length })
const observed = (networkpolicies: string): NodeEnforcementStatus => ({ observedResourceVersions: { networkpolicies } })
const counts = (world: SummaryWorld): string => {
  const { desired, programmed, pending, failed, stale } = world.status().nodes
  return `${desired} = ${programmed} programmed + ${pending} pending + ${failed} failed + ${stale} stale`
}

describe('a node with a selected pod', () => {
  it('is exactly one of programmed, pending, failed, stale', () => {
    const world = spread({ a: {}, b: observed('499'), c: failing(failure()), d: null })
    assert.equal(counts(world), '4 = 1 programmed + 1 pending + 1 failed + 1 stale')
  })
  it('is desired once, however many selected pods are on it, and no more when the last of them goes', () => {
    const world = spread({ a: {}, b: {} }).pods(pod({ name: 'second', node: 'a' }))
    world.step()
    assert.equal(world.status().nodes.desired, 2)
    world.remove('pod', 'pod/default/second').step()
    assert.equal(world.status().nodes.desired, 2)
    world.remove('pod', 'pod/default/on-a').step()
    assert.equal(counts(world), '1 = 1 programmed + 0 pending + 0 failed + 0 stale')
  })
  it('is not one where the pod is unscheduled, of the network of the node, finished, or not selected', () => {
    const world = new SummaryWorld().policies(policy({ pods: 'app=web' })).pods(
      pod({ name: 'a', labels: { app: 'web' } }),
      pod({ name: 'b', labels: { app: 'web' }, node: 'n', hostNetwork: true }),
      pod({ name: 'c', labels: { app: 'web' }, node: 'n', finished: true }),
      pod({ name: 'd', labels: { app: 'db' }, node: 'n' }),
      pod({ name: 'e', namespace: 'other', labels: { app: 'web' }, node: 'n' }),
    )
    world.step()
    assert.equal(world.status().nodes.desired, 0)
    assert.equal(world.status().selectedPods, 1, 'the unscheduled one is selected')
  })
  it('follows a pod that is relabelled, or is bound to a node', () => {
    const world = new SummaryWorld().policies(policy({ pods: 'app=web' })).nodes(node({ name: 'a' })).report('a').live('a').pods(pod({ labels: { app: 'web' } }))
    world.step()
    assert.equal(counts(world), '0 = 0 programmed + 0 pending + 0 failed + 0 stale')
    world.pods(pod({ labels: { app: 'web' }, node: 'a' })).step()
    assert.equal(counts(world), '1 = 1 programmed + 0 pending + 0 failed + 0 stale')
    world.pods(pod({ labels: { app: 'db' }, node: 'a' })).step()
    assert.equal(counts(world), '0 = 0 programmed + 0 pending + 0 failed + 0 stale')
  })
  it('is stale without a NodeEnforcement, also where there is no Node of that name', () => {
    assert.equal(counts(spread({ a: null })), '1 = 0 programmed + 0 pending + 0 failed + 1 stale')
    const world = new SummaryWorld().policies(policy()).pods(pod({ node: 'nowhere' }))
    world.step()
    assert.equal(counts(world), '1 = 0 programmed + 0 pending + 0 failed + 1 stale')
  })
  it('is stale while it is silent, whatever it said last, and what it said counts again afterwards', () => {
    const world = spread({ a: {}, b: failing(failure()) }).live('a', SILENT).live('b', SILENT)
    world.step()
    assert.equal(counts(world), '2 = 0 programmed + 0 pending + 0 failed + 2 stale')
    world.live('a').live('b').step()
    assert.equal(counts(world), '2 = 1 programmed + 0 pending + 1 failed + 0 stale')
  })
  it('is stale where the NodeEnforcement is of a Node that was deleted and made again', () => {
    const world = spread({ a: {} })
    const { orphans } = world.remove('node', 'node/a').nodes(node({ name: 'a', uid: 'second' })).step()
    assert.deepEqual([...orphans], ['a'])
    assert.equal(counts(world), '1 = 0 programmed + 0 pending + 0 failed + 1 stale')
    world.report('a', {}, 'second')
    assert.deepEqual([...world.step().orphans], [])
    assert.equal(counts(world), '1 = 1 programmed + 0 pending + 0 failed + 0 stale')
  })
  it('is pending where it has observed nothing, or what is no integer', () => {
    assert.equal(counts(spread({ a: { observedResourceVersions: {} }, b: observed('x') })), '2 = 0 programmed + 2 pending + 0 failed + 0 stale')
  })
})

describe('a node is programmed', () => {
  it('when the resourceVersion at which the generation was first seen is not newer than its observed one', () => {
    assert.equal(spread({ a: observed('500') }).status().nodes.programmed, 1, 'equal')
    assert.equal(spread({ a: observed('501') }).status().nodes.programmed, 1, 'newer')
    assert.equal(spread({ a: observed('499') }).status().nodes.programmed, 0, 'older')
  })
  it('by integers of any length, not as text and not as numbers', () => {
    assert.equal(spread({ a: observed('1000') }, '999').status().nodes.programmed, 1)
    assert.equal(spread({ a: observed('999') }, '1000').status().nodes.programmed, 0)
    assert.equal(spread({ a: observed('9007199254740993') }, '9007199254740992').status().nodes.programmed, 1)
    assert.equal(spread({ a: observed('9007199254740992') }, '9007199254740993').status().nodes.programmed, 0)
    assert.equal(spread({ a: observed('0000999') }, '1000').status().nodes.programmed, 0)
    assert.equal(spread({ a: observed('1'.repeat(40)) }, '9'.repeat(39)).status().nodes.programmed, 1)
  })
  it('not when it is listed as failed', () => assert.equal(counts(spread({ a: failing(failure()) })), '1 = 0 programmed + 0 pending + 1 failed + 0 stale'))
  it('when it tells the commit of this very generation, though the operator saw it late, behind a change of labels', () => {
    const commits = (generation: number): NodeEnforcementStatus => ({ ...observed('499'), committed: [{ uid: 'policy/default/policy', generation, latencyMs: 4 }] })
    assert.equal(spread({ a: commits(1) }).status().nodes.programmed, 1)
    assert.equal(spread({ a: commits(2) }).status().nodes.programmed, 0, 'of another generation')
  })
  it('no more after a relist in which its versions went down', () => {
    const world = spread({ a: observed('500') }).report('a', observed('20'))
    world.step()
    assert.equal(world.status().nodes.pending, 1)
  })
})

describe('a failure', () => {
  it('is of the policy with its namespace and name, and with its UID where it is told', () => {
    assert.equal(spread({ a: failing(failure({ uid: 'policy/default/policy' })) }).status().nodes.failed, 1)
    for (const other of [failure({ uid: 'other' }), failure({ name: 'x' }), failure({ namespace: 'x' }), failure({ kind: 'Service' })]) {
      assert.equal(spread({ a: failing(other) }).status().nodes.programmed, 1)
    }
  })
  it('that is not listed makes every unlisted policy with pods there pending', () => {
    const more = { failures: [failure({ name: 'x' })], failuresTotal: 2 }
    assert.equal(counts(spread({ a: more })), '1 = 0 programmed + 1 pending + 0 failed + 0 stale')
    assert.equal(spread({ a: { failures: [failure()], failuresTotal: 2 } }).status().nodes.failed, 1, 'a listed one is failed')
  })
  it('is told with its node, reason, message and time: ten of them by name, and how many more', () => {
    const names = Array.from({ length: 13 }, (_, index) => `n${String(index).padStart(2, '0')}`)
    const status = spread(Object.fromEntries(names.toReversed().map((name) => [name, failing(failure())]))).status()
    assert.deepEqual(status.failedNodes.map(({ name }) => name), names.slice(0, 10))
    assert.deepEqual(status.failedNodes[0], { name: 'n00', reason: 'CommitRefused', message: 'the kernel refuses it', since: AT })
    assert.equal(status.moreFailedNodes, 3)
    assert.equal(faultOf(POLICY_ENFORCEMENT.status, status, 'status'), null)
  })
  it('that becomes another one is told', () => {
    const world = spread({ a: failing(failure()) })
    world.report('a', failing({ ...failure(), message: 'the kernel still refuses it' }))
    assert.deepEqual([...world.step().changed], ['policy/default/policy'])
    assert.match(conditionOf(world.status(), 'Programmed')?.message ?? '', /still refuses/)
  })
  it('with a message of any length fits into the status', () => {
    const long = { ...failure(), message: '🐧'.repeat(1024) }
    const status = spread(Object.fromEntries(['a', 'b', 'c'].map((name) => [name, failing(long)]))).status()
    assert.equal(faultOf(POLICY_ENFORCEMENT.status, status, 'status'), null)
  })
})

describe('Programmed', () => {
  const programmed = (reports: Readonly<Record<string, NodeEnforcementStatus | null>>): string => said(spread(reports).status(), 'Programmed')
  it('is False/NodeFailures first', () => assert.equal(programmed({ a: failing(failure()), b: observed('1'), c: null, d: {} }), 'False/NodeFailures'))
  it('is False/Reconciling next', () => assert.equal(programmed({ b: observed('1'), c: null, d: {} }), 'False/Reconciling'))
  it('is Unknown/NoReport next', () => assert.equal(programmed({ c: null, d: {} }), 'Unknown/NoReport'))
  it('is True otherwise, of 0 nodes too', () => {
    assert.equal(programmed({ d: {} }), 'True/Programmed')
    assert.equal(programmed({}), 'True/Programmed')
  })
  it('names nodes in its message, three of them', () => {
    const of = (reports: Readonly<Record<string, NodeEnforcementStatus | null>>): string => conditionOf(spread(reports).status(), 'Programmed')?.message ?? ''
    assert.equal(of({ a: failing(failure()), b: {} }), '1 of 2 nodes cannot enforce it: a (CommitRefused: the kernel refuses it)')
    assert.equal(of({ e: null, d: null, c: null, b: null, a: {} }), '4 of 5 nodes do not report: b, c, d and 1 more')
    assert.equal(of({ a: observed('1') }), '1 of 1 nodes have not said yet that they enforce it: a')
    assert.equal(of({ a: {} }), '1 of 1 nodes enforce it')
  })
})

describe('kstatus', () => {
  const both = (reports: Readonly<Record<string, NodeEnforcementStatus | null>>): string => ['Reconciling', 'Stalled'].map((type) => said(spread(reports).status(), type)).join()
  it('has Reconciling and Stalled only while one is true, and never both', () => {
    assert.equal(both({ a: {} }), ',')
    assert.equal(both({ a: observed('1') }), 'True/Reconciling,')
    assert.equal(both({ a: null }), 'True/NoReport,')
    assert.equal(both({ a: failing(failure()), b: observed('1') }), ',True/NodeFailures')
  })
})
