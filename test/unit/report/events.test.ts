// Which events follow from two statuses, and what they say.
import assert from 'node:assert/strict'
import type { PolicyEnforcementStatus } from '../../../src/crd/policy-enforcement.ts'
import { eventsOf, nodeEventsOf, remembered, type WantedEvent } from '../../../src/report/events.ts'
import { StatusNews } from '../../../src/report/status-news.ts'
import { condition, policyStatus } from '../../support/enforcements.ts'

type Status = PolicyEnforcementStatus

const told = (events: readonly WantedEvent[]): readonly string[] => events.map(({ type, reason, note }) => `${type} ${reason}: ${note}`)
const conditions = (programmed: readonly [Status['conditions'][number]['status'], string], accepted = condition('Accepted')) => [accepted, condition('Programmed', { status: programmed[0], reason: programmed[1] })]
const invalid = (message: string) => condition('Accepted', { status: 'False', reason: 'Invalid', message })
const pending = (fields: Partial<Status> = {}): Status => policyStatus({ conditions: conditions(['False', 'Reconciling']), ...fields })
const failing = (fields: Partial<Status> = {}, names = ['a']): Status =>
  policyStatus({
    conditions: conditions(['False', 'NodeFailures']),
    nodes: { desired: 12, programmed: 12 - names.length, pending: 0, failed: names.length, stale: 0 },
    failedNodes: names.slice(0, 10).map((name) => ({ name, reason: 'CommitRefused', message: `the kernel of ${name} says no`, since: '2026-01-31T12:00:00Z' })),
    moreFailedNodes: Math.max(0, names.length - 10),
    ...fields,
  })

describe('report: events of a policy', () => {
  /** As the operator writes them, one on the other. */
  function story(...statuses: readonly Status[]): readonly (readonly string[])[] {
    let before: Status | null = null
    return statuses.map((wanted) => {
      const written = remembered(before, wanted)
      const events = told(eventsOf(before, written, 'shop'))
      before = written
      return events
    })
  }

  it('Programmed is told with nodes and times, of the policy by its UID', () => {
    const [event, ...more] = eventsOf(pending(), policyStatus({ policyGeneration: 1 }), 'shop')
    assert.deepEqual(more, [])
    assert.deepEqual(event, {
      regarding: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', namespace: 'shop', name: 'web', uid: 'u1', resourceVersion: '900' },
      type: 'Normal',
      reason: 'Programmed',
      action: 'Program',
      note: 'generation 1: 2/2 nodes enforce it in 18ms (max 140ms)',
      key: '1',
    })
    const nobody = { desired: 0, programmed: 0, pending: 0, failed: 0, stale: 0 }
    const { timeToEnforce: _time, ...untold } = policyStatus({ nodes: nobody })
    assert.deepEqual(told(eventsOf(null, untold, 'shop')), ['Normal Programmed: generation 1: no node has a pod that it selects'])
  })
  it('Programmed is told once a generation, however it flaps, and again for the next', () => {
    const done = (generation: number): Status => policyStatus({ policyGeneration: generation })
    const all = story(pending(), done(1), pending(), done(1), failing(), done(1), pending({ policyGeneration: 2 }), done(2), pending({ policyGeneration: 2 }), done(2))
    assert.deepEqual(all.map((events) => events.filter((text) => text.includes(' Programmed')).length), [0, 1, 0, 0, 0, 0, 0, 1, 0, 0])
  })
  it('Programmed is told anew for a policy that was made anew, and not again for what an older operator wrote', () => {
    const ref = { name: 'web', uid: 'u2', resourceVersion: '950' }
    assert.deepEqual(story(policyStatus(), policyStatus({ policyRef: ref })).map(({ length }) => length), [1, 1])
    assert.deepEqual(eventsOf(policyStatus(), policyStatus({ selectedPods: 9, programmedGeneration: 1 }), 'shop'), [])
    assert.equal(remembered(policyStatus({ policyRef: ref }), pending()).programmedGeneration, undefined)
    assert.equal(remembered(policyStatus(), pending({ policyGeneration: 2 })).programmedGeneration, 1)
  })
  it('ProgrammingFailed names three nodes with their messages, and how many more there are', () => {
    const [text] = told(eventsOf(pending(), failing({}, ['a', 'b', 'c', 'd', 'e']), 'shop'))
    assert.equal(text, 'Warning ProgrammingFailed: 5 of 12 nodes cannot enforce generation 1: a (CommitRefused: the kernel of a says no), b (CommitRefused: the kernel of b says no), c (CommitRefused: the kernel of c says no) and 2 more')
    assert.match(told(eventsOf(pending(), failing({}, Array.from({ length: 12 }, (_, index) => `n${index}`)), 'shop'))[0] ?? '', /^Warning ProgrammingFailed: 12 of 12 .* and 9 more$/)
  })
  it('ProgrammingFailed is told when it begins, and when another generation fails: one series, while the reasons are the same', () => {
    assert.deepEqual(story(failing(), failing({ selectedPods: 8 }), failing({}, ['a', 'b']), policyStatus(), failing()).map((events) => events.filter((text) => text.includes('Failed')).length), [1, 0, 0, 0, 1])
    const [first] = eventsOf(null, failing(), 'shop')
    const [second] = eventsOf(failing(), failing({ policyGeneration: 2 }, ['b']), 'shop')
    assert.equal(first?.key, second?.key)
    const other = failing({ policyGeneration: 3, failedNodes: [{ name: 'b', reason: 'Other', message: '', since: '2026-01-31T12:00:00Z' }] })
    assert.notEqual(eventsOf(failing(), other, 'shop')[0]?.key, first?.key)
  })
  it('Invalid tells the field, when it begins and when it is another one; what is enforced nevertheless is told with that', () => {
    const bad = (field: string): Status => policyStatus({ conditions: conditions(['True', 'Programmed'], invalid(`spec.${field}: found 1, expected a text`)) })
    assert.deepEqual(story(policyStatus(), bad('a'), bad('a'), bad('b'), policyStatus(), bad('a')).map((events) => events.filter((text) => text.startsWith('Warning'))), [
      [],
      ['Warning Invalid: spec.a: found 1, expected a text'],
      [],
      ['Warning Invalid: spec.b: found 1, expected a text'],
      [],
      ['Warning Invalid: spec.a: found 1, expected a text'],
    ])
    assert.deepEqual(told(eventsOf(null, bad('a'), 'shop')).at(-1), 'Normal Programmed: generation 1: 2/2 nodes enforce it in 18ms (max 140ms); it is not accepted as it is written')
  })
  it('Invalid is also told of a field that Picket does not know', () => {
    const unknown = condition('Accepted', { status: 'False', reason: 'Unsupported', message: 'spec.later: unknown field' })
    assert.deepEqual(told(eventsOf(policyStatus(), policyStatus({ conditions: conditions(['True', 'Programmed'], unknown) }), 'shop')), ['Warning Invalid: spec.later: unknown field'])
  })
  it('whatever else changes is no event: pending, silent nodes, counts, warnings', () => {
    const silent = policyStatus({ conditions: conditions(['Unknown', 'NoReport']) })
    const warned = pending({ warnings: [{ type: 'EmptyPeer', message: '' }] })
    assert.deepEqual(story(pending(), silent, warned, pending({ policyGeneration: 2 })), [[], [], [], []])
  })
})

describe('report: events of a node', () => {
  const well = [condition('Reporting'), condition('Ready'), condition('Programmed'), condition('TableIntact')]
  const without = (type: string, reason: string, message: string) => well.map((one) => (one.type === type ? condition(type, { status: 'False', reason, message }) : one))
  const node = { name: 'n1', uid: 'node-uid' }
  const silent = without('Reporting', 'AgentNotReady', 'the pod of the agent is not Ready for 20 s or more')

  it('NotEnforced says why, of the Node by its UID', () => {
    const [event, ...more] = nodeEventsOf(well, without('TableIntact', 'Leaked', 'a denied packet passed'), node)
    assert.deepEqual([event?.regarding, more], [{ apiVersion: 'v1', kind: 'Node', namespace: null, name: 'n1', uid: 'node-uid', resourceVersion: '' }, []])
    assert.deepEqual(told(event === undefined ? [] : [event]), ['Warning NotEnforced: TableIntact is False (Leaked): a denied packet passed'])
    assert.deepEqual(told(nodeEventsOf(well, silent, node)), ['Warning NotEnforced: the node does not report (AgentNotReady): the pod of the agent is not Ready for 20 s or more'])
    for (const type of ['Ready', 'Programmed']) assert.deepEqual(told(nodeEventsOf(well, without(type, 'Why', ''), node)), [`Warning NotEnforced: ${type} is False (Why)`])
  })
  it('is told when it begins, not while it stays and not when it ends; Unknown and other conditions are none', () => {
    assert.deepEqual(nodeEventsOf(silent, silent, node), [])
    assert.deepEqual(nodeEventsOf(silent, well, node), [])
    assert.deepEqual(nodeEventsOf(well, without('AuditHealthy', 'Lost', ''), node), [])
    assert.deepEqual(nodeEventsOf(well, well.map((one) => ({ ...one, status: 'Unknown' as const })), node), [])
    assert.equal(nodeEventsOf(null, silent, node).length, 1, 'of a new node')
  })
  it('several at once are one event', () => {
    const down = [...without('Ready', 'Starting', 'reads'), condition('TableIntact', { status: 'False', reason: 'Absent' })].filter(({ type, status }) => type !== 'TableIntact' || status === 'False')
    assert.deepEqual(told(nodeEventsOf(well, down, node)), ['Warning NotEnforced: Ready is False (Starting): reads; TableIntact is False (Absent)'])
  })
})

describe('report: news of statuses', () => {
  it('what stood there when we came is none; what comes after is, also of what is new', () => {
    const news = new StatusNews()
    assert.deepEqual(news.policy('shop', 'web', failing()), [])
    assert.deepEqual(news.node('n1', { uid: 'u', conditions: [condition('Ready', { status: 'False' })] }), [])
    news.open()
    assert.deepEqual(news.policy('shop', 'web', failing()), [])
    assert.deepEqual(news.node('n1', { uid: 'u', conditions: [condition('Ready', { status: 'False' })] }), [])
    assert.deepEqual(told(news.policy('shop', 'web', policyStatus())), ['Normal Programmed: generation 1: 2/2 nodes enforce it in 18ms (max 140ms)'])
    assert.deepEqual(news.policy('shop', 'new', null), [], 'made, without its status yet')
    assert.equal(news.policy('shop', 'new', policyStatus()).length, 1)
  })
  it('a Node or a policy that was made anew has no past', () => {
    const news = new StatusNews()
    news.open()
    const down = [condition('Ready', { status: 'False' })]
    assert.equal(news.node('n1', { uid: 'a', conditions: down }).length, 1)
    assert.equal(news.node('n1', { uid: 'b', conditions: down }).length, 1)
    assert.equal(news.node('n1', null).length, 0)
    assert.equal(news.node('n1', { uid: 'b', conditions: down }).length, 1)
  })
})
