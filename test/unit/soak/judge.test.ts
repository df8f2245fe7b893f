// The soak's judges on made-up reports: replies after a loss, agents that were killed, connections, ends that were away, memory.
//
// **Invariant:** one policy, written as state 1 and held 100 ms later, closes n2's pod; everything before it is open.
import assert from 'node:assert/strict'
import { judgeConnection, STANDSTILL_MS, type Connection } from '../../soak/connections.ts'
import type { Told } from '../../soak/end-program.ts'
import { CUT_MS } from '../../soak/fate.ts'
import { flatness } from '../../soak/flatness.ts'
import { planFlows, slotEnd } from '../../soak/flows.ts'
import { Judge } from '../../soak/judge.ts'
import { Lives } from '../../soak/lives.ts'
import { Timeline } from '../../soak/timeline.ts'
import { World } from '../../soak/world.ts'
import type { RawCluster, RawPolicy } from '../../support/manifests.ts'

const WRITTEN = 10_000
const HELD = 10_100
const NODES = [
  { name: 'n1', node: 'n1', addresses: ['192.168.1.1', 'fd00:192::1'] },
  { name: 'n2', node: 'n2', addresses: ['192.168.1.2', 'fd00:192::2'] },
]
const OUTSIDE = { name: 'outside', node: 'outside', addresses: ['192.0.2.7', '2001:db8::7'] }
const FLOWS = planFlows(1, NODES, OUTSIDE)
/** Slot 1 is on n1, slot 2 on n2, in the namespaces a and b. */
const FLOW = FLOWS.find(({ from, to, kind }) => from.name === 'slot-1' && to.name === 'slot-2' && kind === 'datagrams')?.id as number
const CLOSED: RawPolicy = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'close', namespace: 'b', uid: 'close' }, spec: { podSelector: {}, policyTypes: ['Ingress'] } }

function opened(): { readonly judge: Judge; readonly timeline: Timeline; readonly lives: Lives } {
  const all = new World(1, NODES).cluster()
  const open: RawCluster = new Map([...all].filter(([, object]) => object.kind !== 'NetworkPolicy'))
  const timeline = new Timeline()
  const lives = new Lives()
  timeline.wrote(0)
  timeline.wrote(WRITTEN)
  for (const node of ['n1', 'n2']) {
    timeline.held(node, 0, 1)
    timeline.held(node, 1, HELD)
  }
  return { judge: new Judge(timeline, [open, new Map([...open, ['close', CLOSED]])], FLOWS, lives), timeline, lives }
}

function told(what: Partial<Told>): Told {
  return { sent: [], came: [], answered: [], answers: [], messages: [], echoes: [], connections: [], ...what }
}

describe('the judge of the soak', () => {
  it('counts what arrives at once, and what does not only when its receiver would have told', () => {
    const { judge } = opened()
    judge.take(told({ sent: [FLOW, 1, 5_000, FLOW, 2, 5_100], came: [FLOW, 1, 5_000, 5_001] }))
    judge.settle(5_100 + 3_000)
    assert.deepEqual(judge.fates.datagram, { right: 1, open: 0, exempt: 0, leaked: 0, lost: 0 })
    judge.settle(5_100 + 5_000)
    assert.deepEqual(judge.fates.datagram, { right: 1, open: 0, exempt: 0, leaked: 0, lost: 1 })
    assert.match(judge.wrong[0]?.what ?? '', /^datagram lost: flow \d+ \(datagrams\) slot-1 -> slot-2, 10\.1\.1\.1 \d+ -> 10\.1\.2\.2 \d+, sent 5100, did not arrive/)
  })
  it('does not care whether the sending or the arrival is told first', () => {
    const { judge } = opened()
    judge.take(told({ came: [FLOW, 1, 5_000, 5_001] }))
    judge.take(told({ sent: [FLOW, 1, 5_000] }))
    judge.settle(Infinity)
    assert.equal(judge.fates.datagram.right, 1)
    assert.equal(judge.fates.datagram.lost, 0)
  })
  it('a denied packet that arrives is a leak, an answer only when it comes later than it may', () => {
    const { judge } = opened()
    judge.take(told({ came: [FLOW, 1, HELD + 1, HELD + 1], answers: [FLOW, 1, HELD + CUT_MS - 1, HELD + CUT_MS - 1, FLOW, 2, HELD + CUT_MS, HELD + CUT_MS] }))
    assert.equal(judge.fates.datagram.leaked, 1)
    assert.deepEqual(judge.fates.answer, { right: 0, open: 1, exempt: 0, leaked: 1, lost: 0 })
    assert.equal(judge.latestCutMs, CUT_MS - 1)
  })
  it('an agent that is killed before it has cut leaves the answers to the next one', () => {
    const { judge, timeline } = opened()
    timeline.ended('n2', HELD + 50)
    judge.take(told({ answers: [FLOW, 1, HELD + 1_000, HELD + 1_000] }))
    assert.equal(judge.fates.answer.open, 1)
    timeline.held('n2', 1, HELD + 2_000)
    judge.take(told({ answers: [FLOW, 2, HELD + 2_000 + CUT_MS, HELD + 2_000 + CUT_MS] }))
    assert.equal(judge.fates.answer.leaked, 1)
  })
  it('what is not there loses nothing, and may leak all the same', () => {
    const { judge, lives } = opened()
    lives.gone('slot-2', 5_000)
    lives.there('slot-2', 6_000)
    judge.take(told({ sent: [FLOW, 1, 4_500, FLOW, 2, 5_500, FLOW, 3, 7_100] }))
    judge.settle(Infinity)
    assert.deepEqual(judge.fates.datagram, { right: 0, open: 0, exempt: 0, leaked: 0, lost: 1 })
    lives.gone('slot-2', HELD)
    judge.take(told({ came: [FLOW, 4, HELD + 1, HELD + 1] }))
    assert.equal(judge.fates.datagram.leaked, 1)
  })
  it('a message of TCP was judged just before it came, not when it was sent first', () => {
    const { judge } = opened()
    judge.take(told({ messages: [FLOW, 1, 9_000, HELD + 5, HELD + 10, FLOW, 1, 9_000, WRITTEN - 5, HELD + 10] }))
    assert.deepEqual(judge.fates.message, { right: 0, open: 1, exempt: 0, leaked: 1, lost: 0 })
  })
  it('judges a connection when it is over, up to the first state that may deny it', () => {
    const { judge } = opened()
    const events = (connection: number, begun: number, ended: number): Told['connections'] => [
      { flow: FLOW, connection, what: 'begun', at: begun },
      { flow: FLOW, connection, what: 'ended', at: ended },
    ]
    judge.take(told({ connections: [...events(1, 1_000, 1_000 + STANDSTILL_MS), ...events(2, WRITTEN - STANDSTILL_MS + 100, WRITTEN + 5_000)] }))
    judge.settle(Infinity)
    assert.equal(judge.connections, 2)
    assert.deepEqual(judge.wrong.map(({ what }) => what.split(':')[0]), ['connection not made'])
  })
})

describe('what a connection owes', () => {
  const connection = (more: Partial<Connection>): Connection => ({ flow: 0, connection: 1, begunAt: 0, connectedAt: 10, echoes: [], end: null, ...more })
  const breach = (more: Partial<Connection>, until: number): string | null => judgeConnection(connection(more), until)

  it('to be made in time', () => {
    assert.equal(breach({ connectedAt: null }, STANDSTILL_MS - 1), null)
    assert.equal(breach({ connectedAt: null }, STANDSTILL_MS), 'not made')
    assert.equal(breach({ connectedAt: null, end: { at: 100, error: 'ECONNREFUSED' } }, 200), 'not made')
  })
  it('not to stand still', () => {
    assert.equal(breach({ echoes: [100, 200] }, 200 + STANDSTILL_MS), 'stood still')
    assert.equal(breach({ echoes: [100, 200] }, 199 + STANDSTILL_MS), null)
    assert.equal(breach({ echoes: [100, 200], end: { at: 500, error: null } }, 90_000), null)
  })
  it('not to break, while it is allowed', () => {
    assert.equal(breach({ echoes: [100], end: { at: 500, error: 'ECONNRESET' } }, 500), 'broken')
    assert.equal(breach({ echoes: [100], end: { at: 500, error: 'ECONNRESET' } }, 499), null)
  })
})

describe('whether memory is flat', () => {
  const samples = (rssMb: (index: number) => number, files: (index: number) => number = () => 20) => Array.from({ length: 60 }, (_, i) => ({ at: i, rssKb: rssMb(i) * 1024, files: files(i) }))

  it('warming up is not growing', () => assert.deepEqual(flatness(samples((i) => Math.min(200, 100 + 10 * i))), { rssMb: [200, 200], files: [20, 20], grows: false }))
  it('memory that goes on growing is told', () => assert.equal(flatness(samples((i) => 100 + 2 * i)).grows, true))
  it('files that go on being opened are told', () => assert.equal(flatness(samples(() => 100, (i) => i)).grows, true))
  it('a few samples say nothing', () => assert.deepEqual(flatness(samples((i) => 100 * i).slice(0, 20)), { rssMb: null, files: null, grows: false }))
})

describe('the world of the soak', () => {
  it('is a function of the seed, and a pod in a slot has a name of its own each time', () => {
    const [one, two] = [new World(7, NODES), new World(7, NODES)]
    for (let i = 0; i < 50; i++) assert.deepEqual(one.edit(), two.edit())
    const slot = { number: 3, namespace: 'c', node: 'n1', addresses: slotEnd(3).addresses as readonly [string, string] }
    assert.notEqual(one.newPod(slot).metadata.uid, one.newPod(slot).metadata.uid)
  })
  it('flows are all different, and their clients\' ports are above their servers\'', () => {
    const seen = new Set(FLOWS.map(({ source, sourcePort, destination, port, kind }) => `${kind} ${source} ${sourcePort} ${destination} ${port}`))
    assert.equal(seen.size, FLOWS.length)
    assert.ok(FLOWS.every(({ sourcePort, port }) => sourcePort >= 40_000 && port < 32_768))
  })
})
