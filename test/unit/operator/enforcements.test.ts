// What should stand in the API for a policy and a node, and which deletions are asked for.
import assert from 'node:assert/strict'
import { ObjectWriter } from '../../../src/kube/object-writer.ts'
import { nodeDesired, nodeWrites, policyDesired, policyWrites } from '../../../src/operator/enforcements.ts'
import type { SeenReport } from '../../../src/operator/resources.ts'
import { needOf } from '../../../src/report/desired.ts'
import type { StatusBody } from '../../../src/report/status-writes.ts'
import type { Write } from '../../../src/report/publisher.ts'
import { reportOf } from '../../../src/summary/node-report.ts'
import type { ReadPolicyEnforcement } from '../../../src/summary/read.ts'
import { AT, condition, nodeStatus, policyStatus } from '../../support/enforcements.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MemoryApi } from '../../support/memory-api.ts'

const WEB = { namespace: 'shop', name: 'web' }
const STANDS: ReadPolicyEnforcement = { ...WEB, uid: 's1', resourceVersion: '7', owner: 'u1', status: policyStatus({ programmedGeneration: 1 }) }
const FROM = { uid: 's1', resourceVersion: '101' }
const PATHS = { policies: '/apis/networking.k8s.io/v1/networkpolicies', statuses: '/apis/picket.dev/v1alpha1/policyenforcements', nodes: '/api/v1/nodes', reports: '/apis/picket.dev/v1alpha1/nodeenforcements' }

const needed = (desired: ReturnType<typeof policyDesired>): string => {
  const need = needOf(desired, desired.from)
  return need.kind === 'nothing' ? 'nothing' : `${need.kind} ${need.action}`
}
const reporting = condition('Reporting', { reason: 'AgentReady' })
const seen = (conditions = [reporting], owner: string | null = 'n1'): SeenReport => ({ report: reportOf('n', owner, nodeStatus({ conditions })), fault: null, uid: 'r1', resourceVersion: '7' })

describe('what should stand for a policy', () => {
  const desired = (status: ReturnType<typeof policyStatus>, stands: ReadPolicyEnforcement | null = STANDS, uid = 'u1'): ReturnType<typeof policyDesired> => policyDesired(WEB, { uid, status }, stands)
  it('is nothing more where it stands, a transition where somebody may wait for it, and else counts', () => {
    assert.equal(needed(desired(policyStatus())), 'nothing')
    assert.equal(needed(desired(policyStatus({ policyGeneration: 2 }))), 'transition apply')
    assert.equal(needed(desired(policyStatus({ selectedPods: 4 }))), 'counts apply')
    assert.equal(needed(desired(policyStatus(), { ...STANDS, status: null })), 'transition apply')
  })
  it('is made where there is none, made anew where it is of another policy, and goes with its own', () => {
    assert.equal(needed(desired(policyStatus(), null)), 'transition create')
    assert.equal(needed(desired(policyStatus(), STANDS, 'u2')), 'transition delete')
    assert.equal(needed(desired(policyStatus(), { ...STANDS, owner: null })), 'transition delete')
    assert.equal(needed(policyDesired(WEB, null, STANDS)), 'transition delete')
    assert.equal(needed(policyDesired(WEB, null, null)), 'nothing')
  })
  it('comes first where somebody has just edited the policy', () => {
    assert.deepEqual([desired(policyStatus()).urgent, desired(policyStatus({ policyGeneration: 2 })).urgent, desired(policyStatus(), null).urgent], [false, true, true])
  })
})

describe('what should stand for a node', () => {
  it('is its condition, and nothing where it says so already', () => {
    assert.equal(needed(nodeDesired('n', reporting, seen())), 'nothing')
    assert.equal(needed(nodeDesired('n', { ...reporting, lastTransitionTime: AT.replace('12', '13') }, seen())), 'transition apply')
    assert.equal(needed(nodeDesired('n', reporting, seen([]))), 'transition apply')
  })
  it('goes where its Node is gone, and is never made', () => {
    assert.equal(needed(nodeDesired('n', null, seen())), 'transition delete')
    assert.equal(needed(nodeDesired('n', reporting, null)), 'nothing')
    assert.equal(needed(nodeDesired('n', null, null)), 'nothing')
  })
})

describe('deletions', () => {
  let api: MemoryApi
  let writer: ObjectWriter
  const { signal } = new AbortController()
  const body: StatusBody = { metadata: {}, status: {} }
  const write = (key: string, more: Partial<Write<StatusBody>> = {}): Write<StatusBody> => ({ key, action: 'delete', body: null, from: FROM, ...more })

  beforeEach(() => {
    const clock = new FakeClock()
    api = new MemoryApi(clock)
    writer = new ObjectWriter({ transport: api, clock, fieldManager: 'operator' })
    api.put(PATHS.statuses, { metadata: { ...WEB, uid: 's1' } })
  })
  const put = (uid: string): void => api.put(PATHS.policies, { metadata: { ...WEB, uid } })
  const deleted = async (one: Write<StatusBody>, owner: string): Promise<boolean> => {
    await policyWrites(writer, () => owner)(one, signal)
    return api.find(PATHS.statuses, 'shop/web') === undefined
  }
  const refused = { code: 'Conflict', message: 'NetworkPolicy web is there, of which we have not heard yet' }

  it('of an orphan are carried out once the API server itself has no such policy', async () => {
    assert.ok(await deleted(write('shop/web'), 'u1'))
  })
  it('of an orphan are not where the API server has one, whatever its UID', async () => {
    put('u2')
    await assert.rejects(deleted(write('shop/web'), 'u1'), refused)
    assert.ok(api.find(PATHS.statuses, 'shop/web'))
  })
  it('of what another policy left are, where the API server has another one, or none', async () => {
    put('u2')
    assert.ok(await deleted(write('shop/web', { body }), 'u1'))
  })
  it('of what is of the policy that is there are not: it is we who still see the one before', async () => {
    put('u2')
    await assert.rejects(deleted(write('shop/web', { body }), 'u2'), refused)
    assert.ok(api.find(PATHS.statuses, 'shop/web'))
  })
  it('of a version that is not the one that was seen are a Conflict', async () => {
    await assert.rejects(deleted(write('shop/web', { from: { ...FROM, resourceVersion: '99' } }), 'u1'), { code: 'Conflict' })
  })
  it('of a node are by the UID of its owner, and nothing is made', async () => {
    api.put(PATHS.reports, { metadata: { name: 'n', uid: 'r1' } })
    api.put(PATHS.nodes, { metadata: { name: 'n', uid: 'n1' } })
    const from = { uid: 'r1', resourceVersion: api.find(PATHS.reports, '/n')?.metadata.resourceVersion ?? '' }
    await assert.rejects(nodeWrites(writer, () => 'n1')(write('n', { from }), signal), { code: 'Conflict', message: 'Node n is there, of which we have not heard yet' })
    await nodeWrites(writer, () => 'n0')(write('n', { from }), signal)
    assert.equal(api.find(PATHS.reports, '/n'), undefined)
    await assert.rejects(nodeWrites(writer, () => 'n1')(write('n', { action: 'create', body, from: null }), signal), { code: 'NotFound' })
    assert.deepEqual(api.list(PATHS.reports), [])
  })
})
