// The cutter with a made-up conntrack and the fake kernel, over turns of its own: a pod, its node, and connections of both.
//
// **Invariant:** conntrack says what a test wrote; the table is what the translator wants, and what the cutter put in.
import assert from 'node:assert/strict'
import { Cutter, type CutReport } from '../../src/agent/cutter.ts'
import { Turns } from '../../src/agent/turn.ts'
import type { Conntrack, DumpEnd } from '../../src/kernel/conntrack.ts'
import { FLOW_LENGTH, type Network } from '../../src/kernel/conntrack-flows.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { Problem } from '../../src/lib/problem.ts'
import { diff } from '../../src/nft/diff.ts'
import type { Transaction } from '../../src/nft/objects.ts'
import { emptyTable, everything, type TableState } from '../../src/nft/state.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { hostInterface, namespace, pod, policy } from './builders.ts'
import { syncAll, upsert } from './cluster-feed.ts'
import { keyBytes } from './element-keys.ts'
import { FakeKernel } from './fake-kernel.ts'

export const SERVER = '10.1.0.1'
export const CLIENT = '10.2.0.2'
export const DENY = policy({ namespace: 'shop', name: 'deny', pods: 'app=web', ingress: [] })

/** What a dump says, written by hand. */
class MadeUpConntrack implements Conntrack {
  flows: Uint8Array[] = []
  ends: DumpEnd[] = []
  readonly asked: (readonly Network[])[] = []
  /** Of a long table: a dump ends no sooner. */
  told: Promise<void> | null = null

  async dump(networks: readonly Network[], onFlows: (flows: Uint8Array) => void, onLong?: () => void): Promise<DumpEnd> {
    this.asked.push(networks)
    if (this.told !== null) onLong?.()
    for (const flows of this.flows) onFlows(flows)
    await this.told
    return this.ends.shift() ?? { kind: 'done', seen: this.flows.length }
  }

  async close(): Promise<void> {}
}

const FLOW = ['ip saddr', 'ip daddr', 'meta l4proto', 'th sport', 'th dport']

export function flow(from: string, to: string, sourcePort: number, port: number): Uint8Array {
  const record = new Uint8Array(FLOW_LENGTH)
  record[0] = 4
  record.set(keyBytes(FLOW, `${from} . ${to} . udp . ${sourcePort} . ${port}`), 4)
  return record
}

export async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 6_000; !holds(); ) {
    assert.ok(Date.now() < end, 'it did not come about in time')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

export class World {
  readonly kernel = new FakeKernel()
  readonly conntrack = new MadeUpConntrack()
  readonly reports: CutReport[] = []
  readonly turns: Turns
  readonly cutter: Cutter
  problems: readonly Problem[] = []

  constructor() {
    this.turns = new Turns({
      clock: systemClock,
      onWork: () => undefined,
      onPlanned: (revision, delta) => this.cutter.planned(revision, delta),
      step: { isLocal: (p) => p.node === 'n1', nodeName: 'n1', podInterfaces: [], podAttachment: 'auto', sourcePrefixNamespaces: [] },
      skeleton: { newPods: 'deny', nodeEgress: 'allow', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto' },
    })
    this.cutter = new Cutter({
      planSettled: () => Promise.resolve(),
      kernel: this.kernel,
      conntrack: this.conntrack,
      clock: systemClock,
      turns: this.turns,
      nodeEgress: 'allow',
      onCut: (report) => this.reports.push(report),
      onProblems: (problems) => (this.problems = problems),
    })
    upsert(this.turns.inbox, 'namespace', namespace({ name: 'shop' }))
    upsert(this.turns.inbox, 'pod', pod({ namespace: 'shop', name: 'web', labels: { app: 'web' }, node: 'n1', addresses: [SERVER] }))
    upsert(this.turns.inbox, 'interface', hostInterface({ name: 'veth1', hostRoutes: [SERVER] }), hostInterface({ index: 11, name: 'eth0', kind: '', addresses: ['192.168.0.1'] }))
    syncAll(this.turns.inbox)
  }

  /** A turn that the kernel holds at once; the cutter knows. */
  async turn(): Promise<void> {
    const { revision } = this.turns.run() ?? { revision: 0 }
    const wanted = this.turns.translator.wanted.state
    const applied = this.kernel.state(TABLE)
    for (let state: TableState | null = applied; ; ) {
      const transaction: Transaction | null = diff(TABLE, state, wanted, everything(state, wanted), () => [])
      if (transaction === null) break
      assert.equal((await this.kernel.commit(transaction)).kind, 'acknowledged')
      state = this.kernel.state(TABLE) ?? emptyTable()
    }
    this.cutter.held(revision)
  }

  /** Those that packets meet. */
  get cut(): readonly string[] {
    const restored = this.elements('restored-flows-v4')
    return this.elements('cut-flows-v4').filter((key) => !restored.includes(key))
  }

  elements(set: string): readonly string[] {
    return [...(this.kernel.state(TABLE)?.sets.get(set)?.elements.keys() ?? [])]
  }
}

/** Its first round has begun; then those are its connections. */
export async function started(): Promise<World> {
  const world = new World()
  world.cutter.read(null)
  await world.turn()
  await until(() => world.conntrack.asked.length === 1)
  world.conntrack.flows = [flow(CLIENT, SERVER, 4000, 53), flow(SERVER, CLIENT, 5000, 80), flow('192.168.0.1', SERVER, 4001, 53), flow('10.9.9.9', '10.9.9.8', 1, 2)]
  return world
}

/** And a policy came, and one of them was cut. */
export async function denied(): Promise<World> {
  const world = await started()
  upsert(world.turns.inbox, 'policy', DENY)
  await world.turn()
  await until(() => world.cut.length > 0)
  return world
}
