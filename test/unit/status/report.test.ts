// What `picket status` makes of a cluster's custom resources: one state for each policy, what is not enforced and why, who is slow.
//
// **Invariant:** a policy counts as enforced only by a status of its own UID and generation.
import assert from 'node:assert/strict'
import { ageOf, reportText } from '../../../src/cli/status-report.ts'
import type { NodeFacts, PolicyFacts, Scope, ToldFacts } from '../../../src/status/facts.ts'
import { statusReport, type Facts, type StatusReport } from '../../../src/status/report.ts'
import { judgePolicy } from '../../../src/status/verdict.ts'
import { AT, condition, nodeStatus, policyStatus } from '../../support/enforcements.ts'

const ALL: Scope = { namespace: null, policy: null }
const NOW = Date.parse(AT) + 150_000
const GOOD = [condition('Reporting'), condition('Ready'), condition('Programmed'), condition('TableIntact')]

const policy = (name: string, generation = 1, namespace = 'shop'): PolicyFacts => ({ namespace, name, uid: `u-${name}`, generation })
const told = (name: string, fields: Parameters<typeof policyStatus>[0] = {}, namespace = 'shop'): ToldFacts => ({ namespace, name, policyUid: `u-${name}`, status: policyStatus({ policyRef: { name, uid: `u-${name}`, resourceVersion: '9' }, ...fields }) })
const saying = (name: string, status: 'True' | 'False' | 'Unknown', reason: string, message = '', lastTransitionTime = AT): ToldFacts =>
  told(name, { conditions: [condition('Accepted'), condition('Programmed', { status, reason, message, lastTransitionTime })] })
const node = (name: string, fields: Parameters<typeof nodeStatus>[0] = {}): NodeFacts => ({ name, status: nodeStatus({ conditions: GOOD, ...fields }) })
const report = (facts: Partial<Facts>, scope = ALL): StatusReport => statusReport(scope, { policies: [], told: [], nodes: [], ...facts })

describe('status: the verdict on a policy', () => {
  const state = (one: ToldFacts | null, generation = 1): string => {
    const { state: is, reason } = judgePolicy(policy('web', generation), one)
    return `${is}/${reason}`
  }
  it('is programmed by a status of its UID and generation, or a later one', () => {
    assert.equal(state(told('web')), 'programmed/Programmed')
    assert.equal(state(told('web', { policyGeneration: 3 }), 2), 'programmed/Programmed')
    assert.equal(state(told('web', { policyGeneration: 2 }), 3), 'untold/OldGeneration')
    assert.equal(state({ ...told('web'), policyUid: 'another' }), 'untold/OtherPolicy')
  })
  it('is untold where nobody speaks of it, or says nothing', () => {
    assert.equal(state(null), 'untold/NotTold')
    assert.equal(state({ ...told('web'), status: null }), 'untold/NotTold')
    assert.equal(state(told('web', { conditions: [condition('Programmed')] })), 'untold/NotTold')
  })
  it('is what the conditions say', () => {
    assert.equal(state(saying('web', 'False', 'NodeFailures')), 'failed/NodeFailures')
    assert.equal(state(saying('web', 'False', 'Reconciling')), 'reconciling/Reconciling')
    assert.equal(state(saying('web', 'Unknown', 'NoReport')), 'unknown/NoReport')
    assert.equal(state(told('web', { conditions: [condition('Accepted', { status: 'False', reason: 'Invalid' }), condition('Programmed')] })), 'invalid/Invalid')
  })
})

describe('status: the report', () => {
  it('of a cluster without trouble: all is enforced', () => {
    const { enforced, policies, nodes, pods, notEnforced, nodeTroubles } = report({ policies: [policy('web'), policy('db')], told: [told('web'), told('db')], nodes: [node('n1'), node('n2')] })
    assert.deepEqual([enforced, notEnforced, nodeTroubles], [true, [], []])
    assert.deepEqual(policies, { total: 2, failed: 0, invalid: 0, untold: 0, unknown: 0, reconciling: 0, programmed: 2 })
    assert.deepEqual([nodes, pods], [{ total: 2, reporting: 2, ready: 2 }, { isolated: 24, open: 14, pending: 2 }])
  })
  it('puts the worst first, and of those the longest', () => {
    const facts = {
      policies: ['a', 'b', 'c', 'd', 'e'].map((name) => policy(name)),
      told: [saying('a', 'False', 'Reconciling'), saying('b', 'Unknown', 'NoReport'), saying('d', 'False', 'NodeFailures', '', '2026-01-31T12:00:09Z'), saying('e', 'False', 'NodeFailures')],
    }
    assert.deepEqual(report(facts).notEnforced.map(({ name, state }) => `${name} ${state}`), ['e failed', 'd failed', 'c untold', 'b unknown', 'a reconciling'])
    assert.equal(report(facts).enforced, false)
  })
  it('a node that does not report says nothing else, and counts no pods', () => {
    const silent = node('n1', { conditions: [condition('Reporting', { status: 'False', reason: 'AgentNotReady', message: 'not ready for 20 s' }), condition('Ready', { status: 'False' })] })
    const leaking = node('n2', { conditions: [...GOOD.slice(0, 3), condition('TableIntact', { status: 'False', reason: 'Leaked' })] })
    const { enforced, nodeTroubles, pods, nodes } = report({ nodes: [leaking, silent, node('n3'), node('n4', { conditions: [condition('Ready')] })] })
    assert.equal(enforced, false)
    assert.deepEqual(nodeTroubles.map((one) => `${one.node} ${one.condition} ${one.reason}`), ['n1 Reporting AgentNotReady', 'n4 Reporting NotTold', 'n2 TableIntact Leaked'])
    assert.deepEqual([pods?.isolated, nodes], [24, { total: 4, reporting: 2, ready: 3 }])
  })
  it('whoever asks for a namespace or a policy is not told no because of a node', () => {
    const nodes = [node('n1', { conditions: [condition('Reporting', { status: 'False' })] })]
    assert.equal(report({ nodes }).enforced, false)
    assert.equal(report({ nodes, policies: [policy('web')], told: [told('web')] }, { ...ALL, namespace: 'shop' }).enforced, true)
    assert.equal(report({ nodes: null }).nodes, null)
  })
  it('tells who is slow, by the median, for the policies asked for', () => {
    const commits = (...latencies: readonly number[]) => ({ committed: latencies.map((latencyMs, i) => ({ uid: i === 0 ? 'u-web' : 'u-other', generation: i, latencyMs })) })
    const nodes = [node('fast', commits(5, 6, 900)), node('slow', commits(30, 40, 50)), node('new')]
    assert.deepEqual(report({ nodes }).paces, [{ node: 'slow', p50Ms: 40, maxMs: 50, commits: 3 }, { node: 'fast', p50Ms: 6, maxMs: 900, commits: 3 }])
    assert.deepEqual(report({ nodes, policies: [policy('web')] }, { namespace: 'shop', policy: null }).paces.map(({ node: name, maxMs }) => `${name} ${maxMs}`), ['slow 30', 'fast 5'])
  })
  it('tells warnings of the policies that there are, and of no deleted one', () => {
    const warnings = [{ type: 'SelectsNoPods' as const, message: 'no pod' }]
    const facts = { policies: [policy('web')], told: [told('web', { warnings }), told('gone', { warnings })] }
    assert.deepEqual(report(facts).warnings, [{ namespace: 'shop', name: 'web', type: 'SelectsNoPods', message: 'no pod' }])
    assert.deepEqual(report({ ...facts, policies: [{ ...policy('web'), uid: 'anew' }] }).warnings, [])
  })
})

describe('status: on the screen', () => {
  it('shows counts, what is not enforced and why, nodes, warnings and the slowest', () => {
    const nodes = [
      node('n1', { committed: [{ uid: 'u-web', generation: 1, latencyMs: 18 }] }),
      node('n2', { conditions: [condition('Reporting', { status: 'False', reason: 'AgentNotReady', message: 'silent' })] }),
    ]
    const failed = told('web', { conditions: [condition('Accepted'), condition('Programmed', { status: 'False', reason: 'NodeFailures', message: '1 of 2 nodes cannot enforce it: n1 (CommitRefused: no room)' })], failedNodes: [{ name: 'n1', reason: 'CommitRefused', message: 'no room', since: AT }] })
    const text = reportText(report({ policies: [policy('web'), policy('db', 2), policy('api')], told: [failed, told('db'), told('api', { warnings: [{ type: 'EmptyPeer', message: 'ingress[0]' }] })], nodes }), NOW, null)
    assert.equal(
      text,
      [
        'enforced   no',
        'policies   3: 1 programmed, 1 untold, 1 failed',
        'nodes      2: 1 reporting, 1 ready',
        'pods       20: 12 isolated, 7 open, 1 pending',
        '',
        'NOT ENFORCED   REASON          SINCE   WHY',
        'shop/web       NodeFailures    2m      1 of 2 nodes cannot enforce it: n1 (CommitRefused: no room)',
        'shop/db        OldGeneration   -       its PolicyEnforcement speaks of generation 1, and the policy is at 2',
        '',
        'NODE   CONDITION         SINCE   WHY',
        'n2     Reporting=False   2m      AgentNotReady: silent',
        '',
        'WARNING    TYPE        WHAT',
        'shop/api   EmptyPeer   ingress[0]',
        '',
        'SLOWEST NODES   P50    MAX    COMMITS',
        'n1              18ms   18ms   1',
      ].join('\n'),
    )
  })
  it('fits on one screen, whatever there is: the rest is counted, with the command that shows it', () => {
    const many = Array.from({ length: 45 }, (_, i) => `p${i}`)
    const facts = {
      policies: many.map((name) => policy(name)),
      told: many.map((name) => told(name, { conditions: [condition('Accepted'), condition('Programmed', { status: 'False', reason: 'NodeFailures', message: 'x'.repeat(1000) })], warnings: [{ type: 'EmptyPeer', message: 'y'.repeat(500) }] })),
      nodes: many.map((name) => node(name, { committed: [{ uid: 'u', generation: 1, latencyMs: 1 }], conditions: [condition('Reporting', { status: 'False' })] })),
    }
    for (const height of [24, 50]) {
      const lines = reportText(report(facts), NOW, { width: 80, height }).split('\n')
      assert.ok(lines.length < height && lines.length > height - 6, `${lines.length} lines of ${height}`)
      assert.ok(lines.every((line) => [...line].length <= 80))
      const shown = lines.filter((line) => line.startsWith('shop/') && line.includes('NodeFailures')).length
      assert.ok(lines.includes(`and ${45 - shown} more: picket status -n shop`), lines.join('\n'))
      assert.ok(lines.includes('and 44 more: kubectl get nodeenf') || height > 24)
    }
    assert.match(reportText(report(facts, { namespace: 'shop', policy: null }), NOW, { width: 80, height: 24 }), /^and \d+ more: picket status -n shop -o json$/m)
  })
  it('names failed nodes where the message does not', () => {
    const failedNodes = ['n1', 'n2', 'n3'].map((name) => ({ name, reason: 'R', message: 'm', since: AT }))
    const one = told('web', { conditions: [condition('Accepted'), condition('Programmed', { status: 'False', reason: 'NodeFailures', message: '' })], failedNodes, moreFailedNodes: 4 })
    assert.match(reportText(report({ policies: [policy('web')], told: [one] }), NOW, null), /n1 \(R: m\), n2 \(R: m\) and 5 more/)
  })
  it('asks after the operator where no policy is spoken of', () => {
    const text = reportText(report({ policies: [policy('web'), policy('db')] }), NOW, null)
    assert.match(text, /^No policy is spoken of: does the operator run\? kubectl -n picket-system get deployment picket-operator$/m)
  })
  it('says ages as kubectl does', () => {
    const ages = [0, 119, 120, 7199, 7200, 172_799, 172_800].map((seconds) => ageOf(AT, Date.parse(AT) + seconds * 1000))
    assert.deepEqual([...ages, ageOf(null, 0)], ['0s', '119s', '2m', '119m', '2h', '47h', '2d', '-'])
  })
})
