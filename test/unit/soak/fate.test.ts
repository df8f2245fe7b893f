// The soak's judge on made-up packets: what leaked, what got lost, and what nobody can tell.
//
// **Invariant:** two nodes, n1 sends and n2 receives; the states' verdicts stand in the test that uses them.
import assert from 'node:assert/strict'
import { judgeFate, type Fate } from '../../soak/fate.ts'
import { REPAIR_MS, Timeline } from '../../soak/timeline.ts'
import type { OracleVerdict } from '../../support/oracle.ts'

const ALLOW: OracleVerdict = { egress: 'not judged', ingress: 'allow' }
const IN_DENIED: OracleVerdict = { egress: 'allow', ingress: 'deny' }
const OUT_DENIED: OracleVerdict = { egress: 'deny', ingress: 'allow' }

/** State i is written at 10,000 i, and held 1,000 ms later by n1 and 2,000 ms later by n2. */
function timelineOf(states: readonly OracleVerdict[]): Timeline {
  const timeline = new Timeline()
  states.forEach((_, i) => {
    const state = timeline.wrote(10_000 * i)
    timeline.held('n1', state, 10_000 * i + 1_000)
    timeline.held('n2', state, 10_000 * i + 2_000)
  })
  return timeline
}

function fate(states: readonly OracleVerdict[], sentAt: number, arrivedAt: number | null, timeline = timelineOf(states)): Fate {
  return judgeFate(timeline, { fromNode: 'n1', toNode: 'n2', sentAt, arrivedAt }, (state) => states[state] as OracleVerdict).fate
}

describe('the fate of a packet of the soak', () => {
  it('leaked: it arrived, and every possible state of one node denies it', () => {
    assert.equal(fate([ALLOW, IN_DENIED], 12_000, 12_001), 'leaked')
    assert.equal(fate([ALLOW, OUT_DENIED], 11_000, 11_001), 'leaked')
    assert.equal(fate([IN_DENIED, IN_DENIED], 10_500, 10_501), 'leaked')
    assert.equal(fate([ALLOW, IN_DENIED], 12_200, null), 'right')
  })
  it('lost: it did not arrive, and every possible state of both nodes allows it', () => {
    assert.equal(fate([IN_DENIED, ALLOW], 12_200, null), 'lost')
    assert.equal(fate([IN_DENIED, ALLOW], 12_199, null), 'open', 'what was cut flows again within 200 ms')
    assert.equal(fate([ALLOW, ALLOW], 10_500, null), 'lost')
    assert.equal(fate([IN_DENIED, ALLOW], 12_000, 12_001), 'right')
  })
  it('open: from the writing of a state until the node that judges says that it holds it', () => {
    for (const arrived of [null, 11_501]) assert.equal(fate([ALLOW, IN_DENIED], 11_500, arrived), 'open')
    for (const arrived of [null, 10_501]) assert.equal(fate([OUT_DENIED, ALLOW], 10_500, arrived), 'open')
    assert.equal(fate([ALLOW, OUT_DENIED], 11_500, 11_501), 'leaked', 'n1 holds it already')
  })
  it('open: a state that was written while the packet was under way', () => {
    assert.equal(fate([ALLOW, IN_DENIED], 9_500, null), 'open')
    assert.equal(fate([ALLOW, IN_DENIED], 8_500, null), 'lost')
    assert.equal(fate([IN_DENIED, ALLOW], 9_990, 10_010), 'open')
    assert.equal(fate([IN_DENIED, ALLOW], 9_990, 9_991), 'leaked')
  })
  it('a node without an agent keeps what it held: all states since are possible, the ones before are not', () => {
    const states = [IN_DENIED, ALLOW, IN_DENIED, ALLOW]
    const timeline = new Timeline()
    states.forEach((_, i) => timeline.wrote(10_000 * i))
    timeline.held('n2', 1, 12_000)
    assert.equal(fate(states, 13_000, null, timeline), 'lost')
    for (const arrived of [null, 35_001]) assert.equal(fate(states, 35_000, arrived, timeline), 'open')
  })
  it('exempt: a foreign change, until it is repaired, on the node concerned, and never longer than it may take', () => {
    const states = [IN_DENIED]
    const changed = (node: string): Timeline => {
      const timeline = timelineOf(states)
      timeline.foreign(node, 20_000)
      return timeline
    }
    assert.equal(fate(states, 19_990, 19_991, changed('n2')), 'leaked')
    assert.equal(fate(states, 20_100, 20_101, changed('n2')), 'exempt')
    assert.equal(fate(states, 20_100, 20_101, changed('n3')), 'leaked')
    assert.equal(fate(states, 20_001 + REPAIR_MS, 20_002 + REPAIR_MS, changed('n2')), 'leaked')
    const repaired = changed('n2')
    assert.equal(repaired.repaired('n2', 20_300), 300)
    assert.equal(repaired.repaired('n2', 20_400), null)
    assert.equal(fate(states, 20_301, 20_302, repaired), 'leaked')
  })
})
