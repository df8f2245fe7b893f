// The cutter between a plan, a dump and the kernel, with the fake kernel: what it puts in, takes out, and tries again.
import assert from 'node:assert/strict'
import { flowAt } from '../../../src/kernel/conntrack-flows.ts'
import { TABLE } from '../../../src/ruleset/skeleton.ts'
import { pod, podPeer, podsOf, policy, port } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'
import { CLIENT, denied, DENY, flow, SERVER, started, until } from '../../support/cutter-world.ts'

describe('cutter', function () {
  this.timeout(10_000)

  const elements = [`${CLIENT} . ${SERVER} . udp . 4000 . 53`]
  it('rules 58, 78, 79: cuts what is no longer allowed: not what the pod opened, nor the node', async () => {
    const world = await denied()
    assert.deepEqual(world.cut, elements)
    assert.deepEqual(world.reports.map(({ cut, judged }) => ({ cut, judged })), [{ cut: 1, judged: 4 }])
    assert.deepEqual(world.conntrack.asked.at(-1)?.map(({ bytes, prefix }) => [[...bytes], prefix]), [[[10, 1, 0, 1], 32]])
    await world.cutter.close()
  })
  it('rules 72, 83: an entry that a server\'s packet may have made is of its client, one that conntrack saw begin is not', async () => {
    const world = await started()
    const marked = (origin: number, port: number) => {
      const record = flow(SERVER, CLIENT, 53, port)
      record[1] = origin
      return record
    }
    world.conntrack.flows = [marked(0, 40_000), marked(1, 40_001), marked(2, 40_002)]
    upsert(world.turns.inbox, 'policy', DENY)
    await world.turn()
    await until(() => world.cut.length > 1)
    assert.deepEqual(world.cut, [40_001, 40_002].map((port) => `${CLIENT} . ${SERVER} . udp . ${port} . 53`))
    await world.cutter.close()
  })
  it('rule 79: cuts where a peer leaves its selector, and where a rule is edited, as where a policy comes', async () => {
    const friends = (...ports: number[]) => policy({ namespace: 'shop', name: 'deny', pods: 'app=web', ingress: [{ peers: [podPeer(podsOf('shop', 'friend=yes'))], ports: ports.map((one) => port(one, 'UDP')) }] })
    const client = (labels: Readonly<Record<string, string>>) => pod({ namespace: 'shop', name: 'client', labels, node: 'n2', addresses: [CLIENT] })
    for (const loses of ['label', 'port'] as const) {
      const world = await started()
      upsert(world.turns.inbox, 'pod', client({ friend: 'yes' }))
      upsert(world.turns.inbox, 'policy', friends(53, 54))
      await world.turn()
      // The second looks, too: what is seen later is seen because of what was lost.
      await new Promise((resolve) => setTimeout(resolve, 1_300))
      assert.deepEqual(world.cut, [])
      if (loses === 'label') upsert(world.turns.inbox, 'pod', client({}))
      else upsert(world.turns.inbox, 'policy', friends(54))
      await world.turn()
      await until(() => world.cut.length === 1)
      assert.deepEqual(world.cut, elements)
      await world.cutter.close()
    }
  })
  it('rule 81: takes it out when it is allowed again, without a dump', async () => {
    const world = await denied()
    const { length } = world.conntrack.asked
    remove(world.turns.inbox, 'policy', DENY)
    await world.turn()
    await until(() => world.cut.length === 0)
    assert.equal(world.conntrack.asked.length, length)
    assert.equal(world.cutter.size, 0)
    assert.deepEqual([world.elements('cut-flows-v4'), world.elements('restored-flows-v4')], [elements, elements], 'it stays as long as packets may be on their way')
    await until(() => world.elements('cut-flows-v4').length + world.elements('restored-flows-v4').length === 0)
    await world.cutter.close()
  })
  it('an element that has expired refuses nothing', async () => {
    const world = await denied()
    world.kernel.foreign(TABLE, (state) => state.sets.get('cut-flows-v4')?.elements.clear())
    remove(world.turns.inbox, 'policy', DENY)
    await world.turn()
    await until(() => world.cutter.size === 0)
    assert.deepEqual(world.problems, [])
    await world.cutter.close()
  })
  it('rule 101: what was in the sets at the start stays where it is not allowed, and goes where it is', async () => {
    const world = await denied()
    const other = `${SERVER} . ${CLIENT} . tcp . 5000 . 80`
    world.kernel.foreign(TABLE, (state) => state.sets.get('cut-flows-v4')?.elements.set(other, { key: other }))
    world.cutter.read(world.kernel.state(TABLE))
    world.conntrack.flows = []
    world.cutter.held(world.turns.revision)
    await until(() => world.cut.length === 1)
    assert.deepEqual(world.cut, elements)
    await world.cutter.close()
  })
  it('a dump that failed and a commit that was lost are tried again, and told until it succeeds', async () => {
    const world = await started()
    world.conntrack.ends = [{ kind: 'failed', message: 'no worker' }]
    world.conntrack.flows = []
    upsert(world.turns.inbox, 'policy', DENY)
    await world.turn()
    await until(() => world.problems.length === 1)
    assert.match(world.problems[0]?.message ?? '', /no worker.*tried again/)
    world.conntrack.flows = [flow(CLIENT, SERVER, 4000, 53)]
    world.kernel.loseNextAnswer('dropped')
    await until(() => world.cut.length === 1)
    await until(() => world.problems.length === 0)
    assert.deepEqual(world.cut, elements)
    await world.cutter.close()
  })
  it('rule 79: who is answered while the dump goes on is cut before it ends, and nothing stays in those sets', async () => {
    const world = await started()
    const dump = Promise.withResolvers<void>()
    world.conntrack.told = dump.promise
    world.conntrack.flows = []
    upsert(world.turns.inbox, 'policy', DENY)
    await world.turn()
    await until(() => world.elements('under-review-v4').length > 0)
    assert.deepEqual(world.elements('under-review-v4'), [SERVER])
    const others = [`${SERVER} . ${CLIENT} . udp . 5000 . 80`, `${CLIENT} . ${SERVER} . 99 . 0 . 0`]
    world.kernel.foreign(TABLE, (state) => {
      for (const key of [...elements, ...others]) state.sets.get('replied-v4')?.elements.set(key, { key })
    })
    await until(() => world.cut.length > 0)
    assert.deepEqual(world.cut, elements)
    assert.deepEqual(world.reports, [])
    dump.resolve()
    await until(() => world.reports.length > 0)
    assert.deepEqual(world.reports.map(({ cut, judged }) => ({ cut, judged })), [{ cut: 1, judged: 3 }])
    assert.deepEqual([...world.elements('under-review-v4'), ...world.elements('replied-v4')], [])
    await world.cutter.close()
  })
  it('where the set is full, what was silent for longest makes room, and that is told until a change needs none', async () => {
    const world = await denied()
    world.kernel.mostElements = 2
    const told = (): string => world.problems.map(({ code, message }) => `${code} ${message}`).join()
    const more = (port: number): string => `${CLIENT} . ${SERVER} . udp . ${port} . 53`
    const cut = async (port: number): Promise<void> => {
      world.conntrack.flows = [flow(CLIENT, SERVER, port, 53)]
      upsert(world.turns.inbox, 'policy', policy({ namespace: 'shop', name: 'deny', pods: 'app=web', ingress: [{ ports: [{ kind: 'range', protocol: 'UDP', first: port, last: port }] }] }))
      const { length } = world.conntrack.asked
      await world.turn()
      await until(() => world.conntrack.asked.length > length && world.cut.includes(more(port)))
    }
    await cut(4001)
    assert.equal(told(), '')
    await cut(4002)
    await until(() => told() !== '')
    assert.deepEqual(world.cut, [more(4002)])
    assert.match(told(), /^CutForgotten .*full: 2 that were silent/)
    assert.equal(world.cutter.size, 1)
    await cut(4003)
    await until(() => told() === '')
    await world.cutter.close()
  })
  it('what comes during a round waits for the next, and changes of others dump nothing', async () => {
    const world = await started()
    const { length } = world.conntrack.asked
    upsert(world.turns.inbox, 'pod', pod({ namespace: 'shop', name: 'far', labels: {}, node: 'n2', addresses: ['10.2.0.9'] }))
    await world.turn()
    const dump = Promise.withResolvers<void>()
    world.conntrack.told = dump.promise
    upsert(world.turns.inbox, 'policy', DENY)
    await world.turn()
    await until(() => world.conntrack.asked.length === length + 1)
    upsert(world.turns.inbox, 'policy', policy({ namespace: 'shop', name: 'out', pods: 'app=web', egress: [] }))
    await world.turn()
    assert.equal(world.conntrack.asked.length, length + 1)
    dump.resolve()
    await until(() => world.cut.length === 2 && world.conntrack.asked.length === length + 2)
    assert.deepEqual(world.cut, [...elements, `${SERVER} . ${CLIENT} . udp . 5000 . 80`])
    await world.cutter.close()
  })
  it('connections that it is asked about are cut where they are denied, whoever lost what, and what stands in the way is told', async () => {
    const world = await started()
    const keys = [flow(CLIENT, SERVER, 4000, 53), flow(SERVER, CLIENT, 5000, 80)].map((record) => flowAt(Buffer.from(record), 0).key)
    assert.equal(await world.cutter.cutDenied(keys), null)
    assert.deepEqual(world.cut, [])
    world.conntrack.flows = []
    upsert(world.turns.inbox, 'policy', DENY)
    await world.turn()
    assert.equal(await world.cutter.cutDenied(keys), null)
    assert.deepEqual(world.cut, elements)
    world.kernel.loseNextAnswer('dropped')
    assert.match((await world.cutter.cutDenied(keys)) ?? '', /did not take 1 connections/)
    assert.equal(await world.cutter.cutDenied([]), null)
    await world.cutter.close()
    assert.match((await world.cutter.cutDenied(keys)) ?? '', /nothing to judge them by/)
  })
})
