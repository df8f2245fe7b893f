// Connections that the cutter is asked about (cutDenied), outside of its rounds: what stays behind, and what is told.
import assert from 'node:assert/strict'
import { flowAt } from '../../../src/kernel/conntrack-flows.ts'
import { collectGarbage } from '../../../src/lib/heap.ts'
import type { Snapshot } from '../../../src/store/snapshot.ts'
import { pod } from '../../support/builders.ts'
import { upsert } from '../../support/cluster-feed.ts'
import { CLIENT, flow, SERVER, until, World } from '../../support/cutter-world.ts'

describe('cutDenied', () => {
  it('what it was asked about leaves no snapshot of the cluster behind', async () => {
    const world = new World()
    const { problems } = world
    world.cutter.read(null)
    await world.turn()
    // The round of the start, which lets go of its own, is over.
    await until(() => world.problems !== problems)
    assert.equal(await world.cutter.cutDenied([flowAt(Buffer.from(flow(CLIENT, SERVER, 4000, 53)), 0).key]), null)
    const snapshot = new WeakRef(world.turns.snapshot as Snapshot)
    upsert(world.turns.inbox, 'pod', pod({ namespace: 'shop', name: 'far', labels: {}, node: 'n2', addresses: ['10.2.0.9'] }))
    await world.turn()
    await new Promise((resolve) => setTimeout(resolve, 2))
    collectGarbage()
    assert.equal(snapshot.deref(), undefined)
    await world.cutter.close()
  })
})
