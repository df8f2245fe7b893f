// What somebody else changes in our table: compared, put right, told; by notification, by the timer, and on a refusal.
import assert from 'node:assert/strict'
import type { Chain } from '../../../src/nft/objects.ts'
import { TABLE } from '../../../src/ruleset/skeleton.ts'
import { AgentWorld } from '../../support/agent-world.ts'
import { hostInterface, namespace, pod, policy, port } from '../../support/builders.ts'
import { upsert } from '../../support/cluster-feed.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { FakeKernel } from '../../support/fake-kernel.ts'

async function started(): Promise<{ kernel: FakeKernel; clock: FakeClock; world: AgentWorld; text: string }> {
  const [kernel, clock] = [new FakeKernel(), new FakeClock()]
  const world = new AgentWorld(kernel, clock)
  await kernel.watch(TABLE, (change) => world.committer.check(change))
  upsert(world.turns.inbox, 'namespace', namespace())
  upsert(world.turns.inbox, 'pod', pod({ node: 'n1', addresses: ['10.0.0.1', 'fd00::1'] }))
  upsert(world.turns.inbox, 'interface', hostInterface({ hostRoutes: ['10.0.0.1', 'fd00::1'] }))
  upsert(world.turns.inbox, 'policy', policy({ ingress: [{ ports: [port(80)] }] }))
  world.turn()
  await settled()
  await clock.advance(10_000)
  world.committer.check(null)
  await clock.advance(10_000)
  return { kernel, clock, world, text: sorted(kernel) }
}

const sorted = (kernel: FakeKernel): string => kernel.text(TABLE).split(/\n\t\}\n/).sort().join('\n\t}\n')

function drop(chain: Chain | undefined): Chain {
  return { ...(chain as Chain), rules: (chain as Chain).rules.slice(1) }
}

describe('repair', () => {
  it('rule 108: writes only what differs, and tells it', async () => {
    const { kernel, clock, world, text } = await started()
    const before = kernel.transactions.length
    kernel.foreign(TABLE, (state) => {
      state.chains.set('settled', drop(state.chains.get('settled')))
      state.sets.get('self-v4')?.elements.delete('10.0.0.1 . 10.0.0.1')
    })
    await clock.advance(1_000)
    assert.equal(sorted(kernel), text)
    const operations = kernel.transactions.slice(before).flatMap((t) => t.operations)
    assert.deepEqual(operations.map((o) => `${o.verb} ${'set' in o ? o.set.name : o.object.name}`), ['add-elements self-v4', 'rewrite settled'])
    assert.deepEqual(world.repairs.map((r) => r.differences), [['chain settled: rules', 'set self-v4: elements: 1 missing']])
    assert.equal(world.repairs[0]?.by, 'a test')
  })

  it('rule 108: makes a deleted table again', async () => {
    const { kernel, clock, world, text } = await started()
    kernel.foreignDelete(TABLE)
    await clock.advance(1_000)
    assert.equal(sorted(kernel), text)
    assert.deepEqual(world.repairs.map((r) => r.differences), [['the table: missing']])
  })

  it('a reading that takes long is not made again by the timer for twenty times as long, but for others\' changes it is', async () => {
    const { kernel, clock, world } = await started()
    const readBack = kernel.readBack.bind(kernel)
    kernel.readBack = async (table) => {
      await new Promise<void>((resolve) => clock.after(3_000, resolve))
      return readBack(table)
    }
    const reads = async (ms: number): Promise<number> => {
      const before = kernel.readBacks
      world.committer.check(null)
      await clock.advance(ms)
      return kernel.readBacks - before
    }
    assert.equal(await reads(30_000), 1)
    assert.equal(await reads(33_500), 0)
    assert.equal(await reads(3_000), 1)
    kernel.foreign(TABLE, () => undefined)
    assert.equal(await reads(5_000), 1)
  })

  it('finds by the timer what no notification told', async () => {
    const { kernel, clock, world, text } = await started()
    kernel.deaf = true
    kernel.foreign(TABLE, (state) => {
      const { rules, ...rest } = state.chains.get('settled') as Chain
      state.chains.set('settled', { ...rest, rules: [...rules.slice(1), rules[0] as string] })
      state.counters.delete('invalid')
    })
    await clock.advance(1_000)
    assert.notEqual(sorted(kernel), text)
    world.committer.check(null)
    await clock.advance(1_000)
    assert.equal(sorted(kernel), text)
    assert.deepEqual(world.repairs.map((r) => r.differences), [['chain settled: rules', 'counter invalid: missing']])
    assert.match(world.repairs[0]?.by ?? '', /^nobody knows/)
  })

  it('reads back when a commit is refused, and blames nobody for what somebody else did', async () => {
    const { kernel, clock, world } = await started()
    kernel.deaf = true
    kernel.foreign(TABLE, (state) => state.sets.get('ingress-by-interface')?.elements.clear())
    upsert(world.turns.inbox, 'policy', policy({ name: 'second', ingress: [{ ports: [port(81)] }] }))
    world.turn()
    await clock.advance(1_000)
    assert.deepEqual(world.problems, [])
    assert.equal(kernel.checks.length, 0)
    assert.equal(world.repairs.length, 1)
    assert.equal(world.committer.held, world.turns.revision)
  })

  it('reads back at most twice a second, however often somebody writes', async () => {
    const { kernel, clock, world } = await started()
    const before = kernel.readBacks
    for (let i = 0; i < 100; i++) {
      kernel.foreign(TABLE, (state) => state.sets.get('pod-interfaces')?.elements.set(`"x${i}"`, { key: `"x${i}"` }))
      await clock.advance(50)
    }
    await clock.advance(2_000)
    assert.ok(kernel.readBacks - before <= 12, `${kernel.readBacks - before} read-backs in 5 s`)
    assert.equal(kernel.state(TABLE)?.sets.get('pod-interfaces')?.elements.size, 1)
    assert.ok(world.repairs.length > 5)
  })

  it('says nothing of its own commits at a start, after a lost answer, and where nothing differs', async () => {
    const { kernel, clock, world } = await started()
    assert.deepEqual(world.repairs, [])
    kernel.loseNextAnswer('applied')
    upsert(world.turns.inbox, 'policy', policy({ name: 'second', ingress: [{ ports: [port(81)] }] }))
    world.turn()
    await clock.advance(5_000)
    kernel.foreign(TABLE, () => undefined)
    await clock.advance(5_000)
    assert.deepEqual(world.repairs, [])
    assert.equal(world.committer.held, world.turns.revision)
  })

  it('rule 107: takes away what somebody else put in, and leaves elements of sets that packets fill', async () => {
    const { kernel, clock, world, text } = await started()
    kernel.foreign(TABLE, (state) => {
      state.chains.set('theirs', { kind: 'chain', name: 'theirs', rules: ['goto settled'] })
      state.sets.set('theirs', { object: { kind: 'set', name: 'theirs', key: ['ip saddr'], flags: [] }, elements: new Map() })
      for (const [name, set] of state.sets) if (name.startsWith('cut-flows')) set.elements.set('of packets', { key: 'of packets' })
    })
    await clock.advance(5_000)
    const dynamic = [...(kernel.state(TABLE)?.sets ?? [])].filter(([name]) => name.startsWith('cut-flows'))
    for (const [name, set] of dynamic) assert.equal(set.elements.size, 1, name)
    for (const [, set] of dynamic) set.elements.clear()
    assert.equal(sorted(kernel), text)
    assert.deepEqual(world.repairs.flatMap((r) => r.differences), ['chain theirs: not ours', 'set theirs: not ours'])
  })
})
