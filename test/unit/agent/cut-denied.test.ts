// Connections that the cutter is asked about (cutDenied), outside of its rounds: what stays behind, and what is told.
import assert from 'node:assert/strict'
import { flowAt, type FlowKey } from '../../../src/kernel/conntrack-flows.ts'
import { collectGarbage } from '../../../src/lib/heap.ts'
import type { Snapshot } from '../../../src/store/snapshot.ts'
import { pod, policy } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'
import { CLIENT, denied, DENY, flow, SERVER, until, World } from '../../support/cutter-world.ts'

const keyOf = (sourcePort: number): FlowKey => flowAt(Buffer.from(flow(CLIENT, SERVER, sourcePort, 53)), 0).key

describe('cutDenied', () => {
  it('what it was asked about leaves no snapshot of the cluster behind', async () => {
    const world = new World()
    const { problems } = world
    world.cutter.read(null)
    await world.turn()
    // The round of the start, which lets go of its own, is over.
    await until(() => world.problems !== problems)
    assert.equal(await world.cutter.cutDenied([keyOf(4000)]), null)
    const snapshot = new WeakRef(world.turns.snapshot as Snapshot)
    upsert(world.turns.inbox, 'pod', pod({ namespace: 'shop', name: 'far', labels: {}, node: 'n2', addresses: ['10.2.0.9'] }))
    await world.turn()
    await new Promise((resolve) => setTimeout(resolve, 2))
    collectGarbage()
    assert.equal(snapshot.deref(), undefined)
    await world.cutter.close()
  })
  it('what made room for it is told at once, and with the next round where one is running, until a change needs none', async () => {
    for (const when of ['between rounds', 'in a round']) {
      const world = await denied()
      const told = (): string => world.problems.map(({ code, message }) => `${code} ${message}`).join()
      // The round has ended.
      await until(() => world.reports.length === 1)
      world.kernel.mostElements = 2
      const dump = Promise.withResolvers<void>()
      world.conntrack.flows = []
      if (when === 'in a round') {
        world.conntrack.told = dump.promise
        upsert(world.turns.inbox, 'policy', policy({ namespace: 'shop', name: 'out', pods: 'app=web', egress: [] }))
        const { length } = world.conntrack.asked
        await world.turn()
        await until(() => world.conntrack.asked.length > length)
      }
      assert.equal(await world.cutter.cutDenied([4001, 4002].map((port) => keyOf(port))), null)
      assert.equal(world.cut.length, 2)
      if (when === 'in a round') assert.equal(told(), '')
      dump.resolve()
      await until(() => when === 'between rounds' || told() !== '')
      assert.match(told(), /^CutForgotten .*full: 1 that were silent/, when)
      world.kernel.mostElements = 100
      remove(world.turns.inbox, 'policy', DENY)
      upsert(world.turns.inbox, 'policy', policy({ namespace: 'shop', name: 'other', pods: 'app=web', egress: [] }))
      await world.turn()
      await until(() => told() === '')
      await world.cutter.close()
    }
  })
})
