// The agent with the API server as its source, in a namespace of its own: it writes once everything is read, waits while the
// API server is away, and changes nothing meanwhile. **Invariant:** the API server is the tests' own; no packet leaves the namespace.
import assert from 'node:assert/strict'
import { podObject, PODS } from '../support/cluster-follower.ts'
import { KubeAgent } from '../support/kube-agent.ts'

describe('the agent on an API server', function () {
  this.timeout(90_000)
  let world: KubeAgent

  before(async () => {
    world = await KubeAgent.open()
  })
  after(() => world.close())

  it('rules 102, 103: an API server that is away is waited for, and nothing is written before all is read', async () => {
    world.start()
    const waiting = await world.until('the trouble is told', ({ problems }) => problems.length === 4)
    assert.deepEqual([waiting.ready, waiting.waitingFor], [false, 'waiting for the API server: namespaces, nodes, pods, networkpolicies not read yet'])
    assert.ok(waiting.problems.every(({ code, message }) => code === 'ApiUnreachable' && message.includes('nothing is written until they are read')))
    assert.equal(world.table(), '')
    await world.order({ do: 'open' })
    const ready = await world.until('everything is enforced', (one) => one.ready)
    assert.deepEqual([ready.counts.localPods, ready.counts.isolatedPods, ready.cluster.serverVersion], [1, 1, 'v1.37.2'])
    assert.match(world.table(), /table inet picket/)
  })

  it('rule 104: what changes is followed, over cuts and a history that is gone', async () => {
    await world.order({ do: 'put', path: PODS, object: podObject('db') })
    await world.until('the pod is known', ({ counts }) => counts.isolatedPods === 2)
    await world.order({ do: 'cut' })
    await world.order({ do: 'remove', path: PODS, key: 'shop/db' })
    await world.order({ do: 'compact' })
    await world.until('the pod is gone', ({ counts }) => counts.localPods === 1)
    await world.until('no trouble', ({ problems }) => problems.length === 0)
  })

  it('rules 101, 102: an API server that goes away changes nothing, nor does an agent that starts meanwhile', async () => {
    const before = world.table()
    await world.order({ do: 'close' })
    await world.until('the trouble is told', ({ problems }) => problems.length === 4)
    assert.equal(world.table(), before)
    await world.stop('SIGKILL')
    world.start()
    const waiting = await world.until('the trouble is told again', ({ ready, problems }) => !ready && problems.length === 4)
    assert.match(waiting.waitingFor ?? '', /^waiting for the API server: /)
    assert.equal(world.table(), before)
    await world.order({ do: 'put', path: PODS, object: podObject('late') })
    await world.order({ do: 'open' })
    const ready = await world.until('everything is enforced again', (one) => one.ready)
    assert.equal(ready.counts.isolatedPods, 2)
  })
})
