// What is done once the kernel holds a plan, wired as in the agent: by settings, and in which order, with a made-up conntrack.
//
// **Invariant:** the cutter itself is told of no connection: what is cut here is cut because an entry was about to be deleted.
import assert from 'node:assert/strict'
import { compileOptions } from '../../../src/agent/compile-options.ts'
import { startFollowers, type Followers } from '../../../src/agent/followers.ts'
import type { Measures } from '../../../src/agent/measures.ts'
import { ProblemParts } from '../../../src/agent/problem-parts.ts'
import { Turns } from '../../../src/agent/turn.ts'
import type { Conntrack, DeleteEnd, DumpEnd, StaleEntries } from '../../../src/kernel/conntrack.ts'
import { encodeServed, StaleJudge, type ServedPort } from '../../../src/kernel/served-ports.ts'
import { StaleCollector, staleCount } from '../../../src/kernel/stale-entries.ts'
import { systemClock, type Clock } from '../../../src/lib/clock.ts'
import { attribute } from '../../../src/netlink/attributes.ts'
import { visitEntries } from '../../../src/netlink/conntrack.ts'
import { diff } from '../../../src/nft/diff.ts'
import { emptyTable, everything } from '../../../src/nft/state.ts'
import { TABLE } from '../../../src/ruleset/skeleton.ts'
import type { AgentConfig } from '../../../src/settings.ts'
import { openLog } from '../../../src/telemetry/log.ts'
import { hostInterface, namespace, pod, policy, service, slice } from '../../support/builders.ts'
import { syncAll, upsert } from '../../support/cluster-feed.ts'
import { message, PORT, tuple } from '../../support/conntrack-messages.ts'
import { FakeKernel } from '../../support/fake-kernel.ts'

const [CLIENT, VIP, OLD, NEW] = ['10.2.0.2', '10.96.0.10', '10.1.0.1', '10.1.0.9'] as const
const bytes = (address: string): number[] => address.split('.').map(Number)
const CONFIG: Partial<AgentConfig> = {
  nodeName: 'n1', nodeEgress: 'allow', newPods: 'deny', dropInvalid: true, podAttachment: 'auto', podInterfaces: [], sourcePrefixNamespaces: [], establishedConnections: 'cut',
  serviceProxy: 'picket', nodeHealthAddress: 'none', nodePortAddresses: ['primary'], serviceCIDRs: [], serviceMarkMask: '0xffffff00', masqueradeAll: false, masquerade: 'none',
}

/** Ten seconds of its own in one: second looks come soon. */
const HASTY: Clock = { ...systemClock, now: () => 10 * systemClock.now(), after: (ms, action) => systemClock.after(ms / 10, action) }

class World {
  readonly kernel = new FakeKernel()
  readonly log: string[] = []
  readonly followers: Followers
  readonly #turns: Turns

  constructor(config: Partial<AgentConfig>, affinity: number | null = null) {
    const whole = { ...CONFIG, ...config } as AgentConfig
    const compile = compileOptions(whole)
    this.#turns = new Turns({
      clock: HASTY,
      onWork: () => undefined,
      onPlanned: (...planned) => {
        for (const one of this.followers.followers) one.planned(...planned)
      },
      ...compile,
    })
    const log = openLog('silent', {})
    const measures = { cut: ({ cut }: { cut: number }) => this.log.push(`cut ${cut}`), staleDeleted: (count: number) => this.log.push(`deleted ${count}`) } as unknown as Measures
    const options = { kernel: this.kernel, config: whole, clock: HASTY, log, turns: this.#turns, mark: compile.skeleton.nat?.mark ?? null, measures, problems: new ProblemParts(log), planSettled: () => Promise.resolve(), recheck: () => undefined }
    this.followers = startFollowers(options, () => this.#conntrack())
    const { inbox } = this.#turns
    upsert(inbox, 'namespace', namespace({ name: 'shop' }))
    upsert(inbox, 'pod', pod({ namespace: 'shop', name: 'old', labels: { app: 'web' }, node: 'n1', addresses: [OLD] }))
    upsert(inbox, 'interface', hostInterface({ name: 'veth1', hostRoutes: [OLD] }), hostInterface({ index: 11, name: 'eth0', kind: '', addresses: ['192.168.0.1'] }))
    upsert(inbox, 'policy', policy({ namespace: 'shop', name: 'deny', pods: 'app=web', ingress: [] }))
    upsert(inbox, 'service', service({ affinity, clusterIps: [VIP], ports: [{ name: '', protocol: 'UDP', port: 53, nodePort: null }] }))
    upsert(inbox, 'slice', slice([{ address: NEW }], { ports: [{ name: '', protocol: 'UDP', port: 53 }] }))
    syncAll(inbox)
  }

  /** With one entry, of a client that OLD answers. */
  #conntrack(): Conntrack & StaleEntries {
    this.log.push('open')
    return {
      dump: async (): Promise<DumpEnd> => ({ kind: 'done', seen: 0 }),
      findStale: async (ports: readonly ServedPort[], onStale: (entries: Uint8Array<ArrayBuffer>) => void): Promise<DumpEnd> => {
        const collector = new StaleCollector(new StaleJudge(encodeServed(ports)))
        const entry = message([tuple(1, bytes(CLIENT), bytes(VIP), 17, [5000, 53]), tuple(2, bytes(OLD), bytes(CLIENT), 17, [53, 5000]), attribute(12, Uint8Array.of(0, 0, 0, 1))])
        visitEntries(entry, 1, PORT, (one) => collector.add(entry, one))
        if (!collector.isEmpty) onStale(collector.take())
        return { kind: 'done', seen: 1 }
      },
      deleteStale: async (entries: Uint8Array<ArrayBuffer>): Promise<DeleteEnd> => {
        this.log.push(`delete ${staleCount(entries)} of ${this.cut.join()}`)
        return { kind: 'done', deleted: staleCount(entries) }
      },
      close: async () => void this.log.push('close'),
    }
  }

  get cut(): readonly string[] {
    return [...(this.kernel.state(TABLE)?.sets.get('cut-flows-v4')?.elements.keys() ?? [])]
  }

  /** A turn; what it returns says that the kernel holds it. */
  async turn(): Promise<() => void> {
    const { revision } = this.#turns.run() ?? { revision: 0 }
    if (this.followers.cutter !== null) await this.#commit()
    return () => {
      for (const one of this.followers.followers) one.held(revision)
    }
  }

  async #commit(): Promise<void> {
    const wanted = this.#turns.translator.wanted.state
    for (let state = this.kernel.state(TABLE); ; state = this.kernel.state(TABLE) ?? emptyTable()) {
      const transaction = diff(TABLE, state, wanted, everything(state, wanted), () => [])
      if (transaction === null) break
      const outcome = await this.kernel.commit(transaction)
      assert.equal(outcome.kind, 'acknowledged', JSON.stringify(outcome))
    }
  }

  async close(): Promise<void> {
    for (const one of this.followers.closables.toReversed()) await one.close()
  }
}

async function until(holds: () => boolean, world: World): Promise<void> {
  for (const end = Date.now() + 5_000; !holds(); await new Promise((resolve) => setTimeout(resolve, 2))) assert.ok(Date.now() < end, world.log.join('; '))
}

async function after(world: World, what: string): Promise<readonly string[]> {
  await until(() => world.log.includes(what), world)
  const log = [...world.log]
  await world.close()
  return log
}

describe('followers', () => {
  it('what policy denies of stale entries is cut before they are deleted, once the kernel holds the plan', async () => {
    const world = new World({})
    const held = await world.turn()
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.deepEqual(world.log, ['open', 'open'])
    held()
    assert.deepEqual(await after(world, 'deleted 1'), ['open', 'open', 'cut 1', `delete 1 of ${CLIENT} . ${OLD} . udp . 5000 . 53`, 'deleted 1'])
    assert.deepEqual(world.log.slice(-2), ['close', 'close'])
  })

  for (const affinity of [60, null]) {
    it(`when clients that stayed with who left are forgotten, ${affinity === null ? 'ports of other Services are not looked at again' : 'the ports of their Services are looked at again'}`, async () => {
      const world = new World({ establishedConnections: 'keep' }, affinity)
      const looks = (): number => world.log.filter((line) => line.startsWith('delete 1')).length
      let sweeps = 0
      // In the second of two passes over three protocols and two families, and after both looks at the ports.
      world.kernel.sweepClients = async () => {
        if (++sweeps <= 6) return { kind: 'done', forgotten: 0 }
        await until(() => looks() === 2, world)
        return { kind: 'done', forgotten: 1 }
      }
      const held = await world.turn()
      held()
      await until(() => sweeps === 12 && looks() >= (affinity === null ? 2 : 3), world)
      await new Promise((resolve) => setTimeout(resolve, 200))
      await world.close()
      assert.equal(looks(), affinity === null ? 2 : 3)
    })
  }

  it('where connections are kept, nothing is cut, and stale entries are deleted all the same', async () => {
    const world = new World({ establishedConnections: 'keep' })
    assert.equal(world.followers.cutter, null)
    const held = await world.turn()
    held()
    assert.deepEqual(await after(world, 'deleted 1'), ['open', 'delete 1 of ', 'deleted 1'])
  })

  it('where Services are somebody else\'s, nothing is read for them', async () => {
    const world = new World({ serviceProxy: 'none', establishedConnections: 'keep' })
    const held = await world.turn()
    held()
    assert.deepEqual([world.log, world.followers.followers, world.followers.closables], [[], [], []])
  })
})
