// Who is alive: 20 s of unreadiness, held back where half the cluster, or we ourselves, seem to be gone.
import assert from 'node:assert/strict'
import type { Liveness } from '../../../src/summary/conditions.ts'
import { HOLD_MS, NodeLiveness, SILENT_AFTER_MS, type Readiness } from '../../../src/summary/liveness.ts'

const READY: Readiness = { node: { isReady: true, since: 0 }, agent: { isReady: true, since: 0 } }
const noAgent: Readiness = { ...READY, agent: null }
const agentDown = (since: number): Readiness => ({ ...READY, agent: { isReady: false, since } })
const nodeDown = (since: number): Readiness => ({ node: { isReady: false, since }, agent: { isReady: false, since } })
const reasons = (said: ReadonlyMap<string, Liveness | null>): Readonly<Record<string, string>> => Object.fromEntries([...said].map(([node, one]) => [node, one?.reason ?? 'gone']))

/** Four nodes that are ready, told. */
function four(): NodeLiveness {
  const nodes = new NodeLiveness()
  for (const name of ['a', 'b', 'c', 'd']) nodes.note(name, READY, 0)
  assert.deepEqual(reasons(nodes.take(0)), { a: 'AgentReady', b: 'AgentReady', c: 'AgentReady', d: 'AgentReady' })
  assert.equal(nodes.nextAt(), null)
  return nodes
}

describe('the liveness of nodes', () => {
  it('waits as long as the issue says', () => assert.deepEqual([SILENT_AFTER_MS, HOLD_MS], [20_000, 60_000]))
  it('is alive while the agent\'s Pod and the Node are Ready, and silent after 20 s of not', () => {
    const nodes = four()
    nodes.note('a', agentDown(1000), 1100)
    nodes.note('b', nodeDown(2000), 2100)
    assert.equal(nodes.take(1000 + SILENT_AFTER_MS - 1).size, 0)
    assert.equal(nodes.nextAt(), 1000 + SILENT_AFTER_MS)
    assert.deepEqual(reasons(nodes.take(1000 + SILENT_AFTER_MS)), { a: 'AgentNotReady' })
    assert.deepEqual(reasons(nodes.take(2000 + SILENT_AFTER_MS)), { b: 'NodeNotReady' })
    assert.deepEqual([nodes.take(99_000).size, nodes.nextAt()], [0, null])
  })
  it('is alive again at once, and a shorter break is never told', () => {
    const nodes = four()
    nodes.note('a', agentDown(0), 0)
    nodes.take(SILENT_AFTER_MS)
    nodes.note('a', READY, 30_000)
    assert.deepEqual(reasons(nodes.take(30_000)), { a: 'AgentReady' })
    nodes.note('a', agentDown(31_000), 31_000)
    nodes.note('a', READY, 40_000)
    assert.equal(nodes.take(60_000).size, 0)
  })
  it('counts a missing Pod from when it was missed, and a clock that is ahead as ours', () => {
    const nodes = four()
    nodes.note('a', noAgent, 5000)
    nodes.note('a', noAgent, 9000)
    nodes.note('b', agentDown(500_000), 6000)
    assert.deepEqual(reasons(nodes.take(5000 + SILENT_AFTER_MS)), { a: 'NoAgent' })
    assert.deepEqual(reasons(nodes.take(6000 + SILENT_AFTER_MS)), { b: 'AgentNotReady' })
  })
  it('says nothing for 60 s where over half the nodes go silent together, and believes it then', () => {
    const nodes = four()
    for (const name of ['a', 'b', 'c']) nodes.note(name, nodeDown(0), 0)
    assert.equal(nodes.take(SILENT_AFTER_MS).size, 0)
    assert.equal(nodes.nextAt(), SILENT_AFTER_MS + HOLD_MS)
    assert.equal(nodes.take(SILENT_AFTER_MS + HOLD_MS - 1).size, 0)
    assert.deepEqual(reasons(nodes.take(SILENT_AFTER_MS + HOLD_MS)), { a: 'NodeNotReady', b: 'NodeNotReady', c: 'NodeNotReady' })
  })
  it('says nothing where they come back within that time, and the rest at once when they are no longer the half', () => {
    const nodes = four()
    for (const name of ['a', 'b', 'c']) nodes.note(name, nodeDown(0), 0)
    nodes.take(SILENT_AFTER_MS)
    nodes.note('a', READY, 30_000)
    assert.deepEqual(reasons(nodes.take(30_000)), { b: 'NodeNotReady', c: 'NodeNotReady' })
  })
  it('half of them is not over half', () => {
    const nodes = four()
    for (const name of ['a', 'b']) nodes.note(name, nodeDown(0), 0)
    assert.equal(nodes.take(SILENT_AFTER_MS).size, 2)
  })
  it('says no silence for 60 s after our own watches are synced again, but who is alive', () => {
    const nodes = four()
    nodes.note('d', nodeDown(0), 0)
    nodes.take(SILENT_AFTER_MS)
    nodes.resynced(100_000)
    nodes.note('a', agentDown(50_000), 100_000)
    nodes.note('d', READY, 100_000)
    assert.deepEqual(reasons(nodes.take(100_000)), { d: 'AgentReady' })
    assert.equal(nodes.nextAt(), 100_000 + HOLD_MS)
    assert.deepEqual(reasons(nodes.take(100_000 + HOLD_MS)), { a: 'AgentNotReady' })
  })
  it('takes a node for alive that it never saw ready, for as long as for others: nothing flips because an operator is new', () => {
    const nodes = new NodeLiveness()
    nodes.resynced(100_000)
    nodes.note('a', agentDown(0), 100_000)
    nodes.note('b', READY, 100_000)
    nodes.note('c', READY, 100_000)
    assert.deepEqual(reasons(nodes.take(100_000)), { a: 'AgentReady', b: 'AgentReady', c: 'AgentReady' })
    assert.deepEqual(reasons(nodes.take(100_000 + HOLD_MS)), { a: 'AgentNotReady' })
  })
  it('forgets a Node that is gone, and begins anew with one made again', () => {
    const nodes = four()
    nodes.note('a', nodeDown(0), 0)
    nodes.take(SILENT_AFTER_MS)
    nodes.note('a', null, 30_000)
    assert.deepEqual(reasons(nodes.take(30_000)), { a: 'gone' })
    nodes.note('a', null, 30_000)
    assert.equal(nodes.take(30_000).size, 0)
    nodes.note('a', READY, 31_000)
    assert.deepEqual(reasons(nodes.take(31_000)), { a: 'AgentReady' })
    nodes.note('b', null, 32_000)
    nodes.note('b', READY, 32_000)
    assert.deepEqual(reasons(nodes.take(32_000)), { b: 'AgentReady' }, 'within one call')
  })
})
