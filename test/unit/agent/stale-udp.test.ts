// Stale entries of UDP between the turns, conntrack and the cutter: what is asked when, and what is deleted, with a made-up conntrack.
import assert from 'node:assert/strict'
import { AddressTexts, flowOf } from '../../../src/agent/cut-flows.ts'
import { StaleUdp, type StaleReport } from '../../../src/agent/stale-udp.ts'
import type { FlowKey } from '../../../src/kernel/conntrack-flows.ts'
import type { DeleteEnd, DumpEnd, StaleEntries } from '../../../src/kernel/conntrack.ts'
import { encodeServed, StaleJudge, type ServedPort } from '../../../src/kernel/served-ports.ts'
import { StaleCollector, staleCount, staleFlowAt } from '../../../src/kernel/stale-entries.ts'
import { attribute } from '../../../src/netlink/attributes.ts'
import { visitEntries } from '../../../src/netlink/conntrack.ts'
import type { Problem } from '../../../src/lib/problem.ts'
import { udpChanges, type UdpPort } from '../../../src/nat/stale.ts'
import { message, PORT, tuple } from '../../support/conntrack-messages.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

const VIP = '10.96.0.10'
const [A, B, C] = ['10.1.0.1', '10.1.0.2', '10.1.0.3'] as const
const bytes = (address: string): number[] => address.split('.').map(Number)

/** Holds entries of clients' ports to who answers them, and does what the kernel does. */
class MadeUpConntrack implements StaleEntries {
  readonly held = new Map<number, string>()
  readonly log: string[] = []
  readonly finds: DumpEnd[] = []
  readonly deletions: DeleteEnd[] = []
  /** Called before it is read. */
  onFind: () => void = () => undefined

  async findStale(ports: readonly ServedPort[], onStale: (entries: Uint8Array<ArrayBuffer>) => void): Promise<DumpEnd> {
    this.log.push(`find ${ports.map(({ address, port, keeps }) => `${[...address].join('.')}:${port} (${keeps.length})`).join(', ')}`)
    this.onFind()
    const collector = new StaleCollector(new StaleJudge(encodeServed(ports)))
    for (const [port, to] of this.held) {
      const client = [10, 2, 0, 1]
      const entry = message([tuple(1, client, bytes(VIP), 17, [port, 53]), tuple(2, bytes(to), client, 17, [53, port]), attribute(12, Uint8Array.of(0, 0, 0, 1))])
      visitEntries(entry, 1, PORT, (one) => collector.add(entry, one))
    }
    if (!collector.isEmpty) onStale(collector.take())
    return this.finds.shift() ?? { kind: 'done', seen: this.held.size }
  }

  async deleteStale(entries: Uint8Array<ArrayBuffer>): Promise<DeleteEnd> {
    const end = this.deletions.shift()
    if (end !== undefined) return end
    const keys = Array.from({ length: staleCount(entries) }, (_, i) => staleFlowAt(Buffer.from(entries), i))
    this.log.push(`delete ${textOf(keys)}`)
    return { kind: 'done', deleted: keys.filter((key) => this.held.delete(flowOf(key, new AddressTexts())?.sourcePort ?? 0)).length }
  }
}

const textOf = (keys: readonly FlowKey[]): string =>
  keys.map((key) => {
    const flow = flowOf(key, new AddressTexts())
    return `${flow?.sourcePort}>${flow?.destination}`
  }).join(', ')

class World {
  readonly clock = new FakeClock()
  readonly conntrack = new MadeUpConntrack()
  readonly reports: StaleReport[] = []
  readonly cuts: (string | null)[] = []
  /** Called while it is judged. */
  onCut: () => void = () => undefined
  readonly stale: StaleUdp
  problems: readonly Problem[] = []
  #before: readonly UdpPort[] = []
  #revision = 0

  constructor() {
    this.stale = new StaleUdp({
      clock: this.clock,
      entries: this.conntrack,
      cutDenied: async (keys) => {
        this.conntrack.log.push(`cut ${textOf(keys)}`)
        this.onCut()
        return this.cuts.shift() ?? null
      },
      onDeleted: (report) => this.reports.push(report),
      onProblems: (problems) => (this.problems = problems),
    })
  }

  /** Those serve, or do not, of so many ports; the revision. */
  plan(listed: readonly string[], ports = 1, serving = true): number {
    const endpoints = listed.map((address) => ({ address, port: 53, serving }))
    const after = Array.from({ length: ports }, (_, i) => ({ address: VIP, port: 53 + i, endpoints }))
    this.stale.planned(++this.#revision, udpChanges(this.#before, after))
    this.#before = after
    return this.#revision
  }

  /** And the kernel holds it. */
  async serve(...serving: readonly string[]): Promise<void> {
    this.stale.held(this.plan(serving))
    await settled()
  }

  /** What was done since the last call. */
  done(): readonly string[] {
    return this.conntrack.log.splice(0)
  }
}

async function started(...serving: readonly string[]): Promise<World> {
  const world = new World()
  await world.serve(...serving)
  await world.clock.advance(5_000)
  world.done()
  return world
}

describe('stale UDP', () => {
  it('is looked for as soon as the kernel holds the change, judged and cut first, deleted then, and looked for once more', async () => {
    const world = await started(A)
    for (const [port, to] of [[5001, A], [5002, B], [5003, VIP]] as const) world.conntrack.held.set(port, to)
    const revision = world.plan([B])
    await settled()
    assert.deepEqual(world.done(), [])
    world.stale.held(revision - 1)
    await settled()
    assert.deepEqual(world.done(), [])
    world.stale.held(revision)
    await settled()
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1, 5003>10.96.0.10', 'delete 5001>10.1.0.1, 5003>10.96.0.10'])
    assert.deepEqual(world.reports.map(({ deleted, ports }) => ({ deleted, ports })), [{ deleted: 2, ports: 1 }])
    // Its packet had met the table of before.
    world.conntrack.held.set(5004, A)
    await world.clock.advance(999)
    assert.deepEqual(world.done(), [])
    await world.clock.advance(1)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5004>10.1.0.1', 'delete 5004>10.1.0.1'])
    await world.clock.advance(60_000)
    assert.deepEqual([world.done(), world.problems], [[], []])
  })
  it('one pass for all ports, and a second between passes, whatever comes', async () => {
    const world = await started(A)
    world.stale.held(world.plan([B], 3))
    await settled()
    for (const serving of [[A], [B], [A]]) world.stale.held(world.plan(serving, 3))
    await world.clock.advance(900)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1), 10.96.0.10:54 (1), 10.96.0.10:55 (1)'])
    await world.clock.advance(100)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1), 10.96.0.10:54 (1), 10.96.0.10:55 (1)'])
    await world.clock.advance(60_000)
    assert.equal(world.done().length, 1)
  })
  it('ports that clients were led past for another reason are looked at again, once, with who serves them now', async () => {
    const world = await started(A)
    await world.serve(B)
    await world.clock.advance(5_000)
    world.done()
    world.conntrack.held.set(5001, A)
    world.conntrack.held.set(5002, B)
    world.stale.again([{ address: VIP, port: 53, keeps: [{ address: B, port: 53 }], isServed: true }])
    await settled()
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1', 'delete 5001>10.1.0.1'])
    await world.clock.advance(60_000)
    assert.deepEqual(world.done(), [])
  })
  it('nothing is deleted that could not be judged and cut; it is told, and tried again', async () => {
    const world = await started(A)
    world.conntrack.held.set(5001, A)
    world.cuts.push('the set is broken', 'the set is broken')
    await world.serve(B)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1'])
    assert.match(world.problems[0]?.message ?? '', /could not be judged and cut first: the set is broken; .*tried again/)
    await world.clock.advance(250)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1'])
    await world.clock.advance(499)
    assert.deepEqual(world.done(), [])
    await world.clock.advance(1)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1', 'delete 5001>10.1.0.1'])
    assert.deepEqual(world.problems, [])
    await world.clock.advance(60_000)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)'])
  })
  it('a pass or a deletion that failed is tried again; what was found goes', async () => {
    const world = await started(A)
    world.conntrack.held.set(5001, A)
    world.conntrack.finds.push({ kind: 'failed', message: 'no worker' })
    await world.serve(B)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1', 'delete 5001>10.1.0.1'])
    assert.match(world.problems[0]?.message ?? '', /conntrack could not be read: no worker/)
    world.conntrack.held.set(5002, A)
    world.conntrack.deletions.push({ kind: 'failed', message: 'no worker either' })
    await world.clock.advance(250)
    assert.match(world.problems[0]?.message ?? '', /no worker either/)
    await world.clock.advance(500)
    assert.deepEqual([world.conntrack.held.size, world.problems], [0, []])
  })
  it('what a newer plan keeps is left alone, though the kernel did not say yet that it holds it', async () => {
    const world = await started(A)
    world.conntrack.held.set(5001, A)
    let revision = 0
    world.conntrack.onFind = () => {
      world.conntrack.onFind = () => undefined
      revision = world.plan([B, C])
      // The commit is under way, and a client comes by.
      world.conntrack.held.set(5002, C)
    }
    await world.serve(B)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1', 'delete 5001>10.1.0.1'])
    world.stale.held(revision)
    await world.clock.advance(60_000)
    // The second look knows.
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (2)'])
    assert.deepEqual([...world.conntrack.held], [[5002, C]])
  })
  it('what a plan keeps that came while it was judged is left alone, too, and looked at again', async () => {
    const world = await started(A)
    world.conntrack.held.set(5001, A)
    world.conntrack.held.set(5002, C)
    const revisions: number[] = []
    world.onCut = () => {
      world.onCut = () => undefined
      revisions.push(world.plan([A, B]))
    }
    await world.serve(B)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1, 5002>10.1.0.3', 'delete 5002>10.1.0.3'])
    // All of them.
    world.onCut = () => {
      world.onCut = () => undefined
      revisions.push(world.plan([A, B, C]))
    }
    world.conntrack.held.set(5003, C)
    await world.clock.advance(1_000)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5003>10.1.0.3'])
    world.stale.held(revisions.at(-1) ?? 0)
    await world.clock.advance(60_000)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (3)'])
    assert.deepEqual([...world.conntrack.held], [[5001, A], [5003, C]])
  })
  it('the second look leaves what nobody translated where nobody serves any more', async () => {
    const world = await started(A)
    world.conntrack.held.set(5001, VIP)
    await world.serve(B)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.96.0.10', 'delete 5001>10.96.0.10'])
    world.stale.held(world.plan([B], 1, false))
    world.conntrack.held.set(5002, VIP)
    await world.clock.advance(60_000)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)'])
    assert.deepEqual([...world.conntrack.held], [[5002, VIP]])
  })
  it('who only won is kept by passes that are due, and starts none', async () => {
    const world = await started(A)
    await world.serve(A, B)
    await world.clock.advance(60_000)
    assert.deepEqual(world.done(), [])
    let revision = 0
    world.conntrack.onFind = () => {
      world.conntrack.onFind = () => undefined
      revision = world.plan([B, C])
      world.stale.held(revision)
      world.conntrack.held.set(5002, C)
    }
    await world.serve(B)
    await world.clock.advance(60_000)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'find 10.96.0.10:53 (2)'])
    assert.deepEqual([...world.conntrack.held], [[5002, C]])
  })
  it('what is left alone for the sake of another port is looked for until it need not be', async () => {
    const world = await started(A)
    world.conntrack.held.set(5001, A)
    world.stale.planned(1_000, [{ address: '10.96.0.11', port: 53, keeps: [{ address: A, port: 53 }], isServed: true, isDue: false }])
    await world.serve(B)
    await world.clock.advance(3_500)
    assert.deepEqual(world.done(), Array.from({ length: 4 }, () => 'find 10.96.0.10:53 (1)'))
    world.stale.held(1_000)
    await world.clock.advance(60_000)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1', 'delete 5001>10.1.0.1'])
  })
  it('an endpoint of the other family is nobody\'s', async () => {
    const world = await started(A)
    world.conntrack.held.set(5001, A)
    await world.serve(B, 'fd00::1')
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1', 'delete 5001>10.1.0.1'])
  })
  it('after close nothing is deleted any more', async () => {
    const world = await started(A)
    world.conntrack.held.set(5001, A)
    const closed: Promise<void>[] = []
    world.conntrack.onFind = () => {
      closed.push(world.stale.close())
    }
    await world.serve(B)
    await Promise.all(closed)
    await world.clock.advance(60_000)
    assert.deepEqual(world.done(), ['find 10.96.0.10:53 (1)', 'cut 5001>10.1.0.1'])
    assert.deepEqual([...world.conntrack.held], [[5001, A]])
  })
})
