// What the kernel refuses is found by its owner, kept apart, and tried again; everything else is applied.
import assert from 'node:assert/strict'
import type { Policy } from '../../../src/model/policy.ts'
import type { Transaction } from '../../../src/nft/objects.ts'
import { emptyTable, isReached } from '../../../src/nft/state.ts'
import { TABLE } from '../../../src/ruleset/skeleton.ts'
import { AgentWorld } from '../../support/agent-world.ts'
import { cidr, hostInterface, ipBlock, namespace, pod, policy, port } from '../../support/builders.ts'
import { remove, upsert } from '../../support/cluster-feed.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { FaultyKernel } from '../../support/faulty-kernel.ts'
import { FakeKernel } from '../../support/fake-kernel.ts'

const COUNT = 64
/** Policy i selects pod i and opens port 6000 + i: what the kernel is made to refuse is a port. */
const one = (i: number, fields: Parameters<typeof policy>[0] = {}): Policy =>
  policy({ name: `p${i}`, pods: `app=a${i}`, ingress: [{ ports: [port(6000 + i)], peers: [ipBlock('10.9.0.0/16')] }], ...fields })
const object = (i: number): string => `NetworkPolicy default/p${i}`

async function started(kernel: FakeKernel, clock: FakeClock, policies: readonly Policy[]): Promise<AgentWorld> {
  const world = new AgentWorld(kernel, clock)
  const pods = Array.from({ length: COUNT }, (_, i) => pod({ name: `pod${i}`, node: 'n1', addresses: [`10.0.0.${i + 1}`], labels: { app: `a${i}`, all: 'yes' } }))
  upsert(world.turns.inbox, 'namespace', namespace())
  upsert(world.turns.inbox, 'pod', ...pods)
  upsert(world.turns.inbox, 'interface', ...pods.map((p, i) => hostInterface({ index: 10 + i, hostRoutes: p.addresses })))
  upsert(world.turns.inbox, 'policy', ...policies)
  world.turn()
  await settled()
  return world
}

/** Ports that any rule or element of the kernel's table opens. */
function openPorts(kernel: FakeKernel): readonly number[] {
  return [...kernel.text(TABLE).matchAll(/tcp \. (60[0-9][0-9])/g)].map((m) => Number(m[1])).sort((a, b) => a - b)
}

function quarantined(world: AgentWorld): readonly string[] {
  return world.problems.filter((p) => p.code === 'Quarantined').map((p) => `${p.object} ${p.field ?? ''}`.trim()).sort()
}

describe('containment', () => {
  const all = Array.from({ length: COUNT }, (_, i) => one(i))

  for (const culprit of [0, 37, 63]) {
    it(`rule 105: finds one policy among ${COUNT} at the start (${culprit}), and applies everything else`, async () => {
      const [kernel, clock] = [new FakeKernel(), new FakeClock()]
      kernel.refuseText(`tcp . ${6000 + culprit} `)
      const world = await started(kernel, clock, all)
      // Owners: 64 policies and 64 pods.
      const refused = kernel.checks.length + 1
      assert.ok(refused <= 2 * Math.log2(2 * COUNT) + 2, `${refused} tries`)
      assert.deepEqual(quarantined(world), [`${object(culprit)} spec.ingress`])
      assert.deepEqual(openPorts(kernel), all.map((_, i) => 6000 + i).filter((p) => p !== 6000 + culprit))
      assert.equal(world.committer.held, world.turns.revision)
      assert.match(world.problems[0]?.message ?? '', /the kernel refused it: .*Invalid argument.*allows nothing for ingress.*everything else is applied/)
      await world.close()
    })
  }

  it('rule 105: at the start it closes before it searches, also where a table was left that no packet reaches', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    await kernel.commit({ table: TABLE, step: 'stage', createsTable: true, operations: [] })
    const inForce: boolean[] = []
    const check = kernel.check.bind(kernel)
    kernel.check = (transaction) => (inForce.push(isReached(kernel.state(TABLE) ?? emptyTable())), check(transaction))
    kernel.refuseText('tcp . 6037 ')
    const world = await started(kernel, clock, all)
    // The first one judges what is closed.
    assert.deepEqual(new Set(inForce.slice(1)), new Set([true]))
    assert.deepEqual(quarantined(world), [`${object(37)} spec.ingress`])
    await world.close()
  })

  it('closes the pods that the culprit selects, in that direction only (rule 57)', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    kernel.refuseText('tcp . 6001 ')
    const egress = [{ ports: [port(7001)] }]
    const world = await started(kernel, clock, [one(0), one(1, { egress })])
    assert.deepEqual(quarantined(world), [`${object(1)} spec.ingress`])
    const state = kernel.state(TABLE)
    const verdict = state?.sets.get('ingress-by-interface')?.elements.get('"veth11"')?.value ?? ''
    assert.match(verdict, /^goto ingress/)
    assert.deepEqual(state?.chains.get(verdict.slice('goto '.length))?.rules.map((r) => r.replace(/".*"/, '""')), ['jump count-dropped-ingress', 'counter name "" drop'])
    assert.match(kernel.text(TABLE), /tcp \. 7001/)
    await world.close()
  })

  it('rule 105: while it searches later, nothing of what is in force changes for the innocent', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    const world = await started(kernel, clock, all)
    const before = kernel.transactions.length
    kernel.refuseText('tcp . 9999 ')
    upsert(world.turns.inbox, 'policy', ...all.map((_, i) => one(i, { generation: 2, ingress: [{ ports: [port(i === 20 ? 9999 : 6000 + i), port(5000)], peers: [ipBlock('10.9.0.0/16')] }] })))
    world.turn()
    await settled()
    assert.ok(kernel.checks.length + 1 <= 2 * Math.log2(COUNT) + 2, `${kernel.checks.length + 1} tries`)
    assert.deepEqual(quarantined(world), [`${object(20)} spec.ingress`])
    // Each commit from the refused one on leaves the innocents' ports open.
    const later = kernel.transactions.slice(before)
    const keys = (t: Transaction, verb: string): string[] => t.operations.flatMap((o) => ('set' in o && o.verb === verb ? o.elements.map((e) => `${o.set.name} ${e.key}`) : []))
    for (const t of later) {
      const gone = keys(t, 'delete-elements').filter((key) => !keys(t, 'add-elements').includes(key))
      assert.ok(gone.every((key) => key.endsWith(' tcp . 6020')), gone.join())
    }
    assert.equal(openPorts(kernel).length, COUNT - 1)
    await world.close()
  })

  it('rule 105: finds two at once', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    for (const i of [5, 44]) kernel.refuseText(`tcp . ${6000 + i} `, `not ${i}`)
    const world = await started(kernel, clock, all)
    assert.deepEqual(quarantined(world), [object(44), object(5)].map((o) => `${o} spec.ingress`))
    assert.ok(kernel.checks.length <= 2 * Math.log2(2 * COUNT) + 2, `${kernel.checks.length} tries`)
    assert.equal(openPorts(kernel).length, COUNT - 2)
    for (const problem of world.problems) assert.ok(problem.message.includes(`not ${problem.object.slice(object(0).length - 1)}`), problem.message)
    await world.close()
  })

  for (const several of [[0, 1], [0, 63], [31, 32], [62, 63], [5, 20, 44]]) {
    it(`rule 105: finds several at once, later (${several.join(', ')}), every two of them within 2 log2(owners) + 2 tries`, async () => {
      const [kernel, clock] = [new FakeKernel(), new FakeClock()]
      const world = await started(kernel, clock, all)
      for (const i of several) kernel.refuseText(`tcp . ${7000 + i} `, `not ${i}`)
      const [checks, commits] = [kernel.checks.length, kernel.transactions.length]
      upsert(world.turns.inbox, 'policy', ...all.map((_, i) => one(i, { generation: 2, ingress: [{ ports: [port(7000 + i)], peers: [ipBlock('10.9.0.0/16')] }] })))
      world.turn()
      await settled()
      const rounds = Math.ceil(several.length / 2)
      assert.ok(kernel.checks.length - checks <= rounds * (2 * Math.log2(COUNT) + 2), `${kernel.checks.length - checks} tries`)
      assert.deepEqual(quarantined(world), several.map((i) => `${object(i)} spec.ingress`).sort())
      for (const problem of world.problems) assert.match(problem.message, new RegExp(`not ${problem.object.slice(object(0).length - 1)};`))
      const steps = kernel.transactions.slice(commits).filter(({ step }) => step === 'stage').length
      assert.ok(steps <= 1 + rounds, `${steps} times staged`)
      await world.close()
    })
  }

  it('rule 105: finds one in a profile that it shares with others', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    kernel.refuseText('tcp . 6003 ')
    const world = await started(kernel, clock, Array.from({ length: 8 }, (_, i) => one(i, { pods: 'all=yes' })))
    assert.deepEqual(quarantined(world), [`${object(3)} spec.ingress`])
    assert.deepEqual([...new Set(openPorts(kernel))], [0, 1, 2, 4, 5, 6, 7].map((i) => 6000 + i))
    await world.close()
  })

  it('finds a pod by its elements; its interface is nobody\'s then', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    kernel.refuseText('"veth15" . 10.0.0.6')
    const world = await started(kernel, clock, all)
    assert.deepEqual(quarantined(world), ['Pod default/pod5'])
    const state = kernel.state(TABLE)
    for (const set of ['pod-interfaces', 'known-interfaces', 'ingress-by-interface']) assert.equal(state?.sets.get(set)?.elements.has('"veth15"'), false, set)
    assert.equal(state?.sets.get('pod-interfaces')?.elements.size, COUNT - 1)
    await world.close()
  })

  it('rule 105: a pod on a bridge that is at fault is closed by its address, stays pinned, and is open again afterwards', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    kernel.refuseText('10.0.0.2 . 10.0.0.2')
    const world = new AgentWorld(kernel, clock)
    const pods = [1, 2].map((i) => pod({ name: `pod${i}`, node: 'n1', addresses: [`10.0.0.${i}`], labels: { app: `a${i}` }, ...(i === 2 ? { sourcePrefixes: [cidr('10.9.0.0/16')] } : {}) }))
    upsert(world.turns.inbox, 'namespace', namespace())
    upsert(world.turns.inbox, 'pod', ...pods)
    upsert(world.turns.inbox, 'interface', hostInterface({ index: 9, name: 'cni0', kind: 'bridge' }))
    upsert(world.turns.inbox, 'interface', ...pods.map((p, i) => hostInterface({ index: 10 + i, master: 9, behind: { mac: `02:00:00:00:00:0${i}`, addresses: p.addresses } })))
    upsert(world.turns.inbox, 'policy', one(1))
    world.turn()
    await settled()
    assert.deepEqual(quarantined(world), ['Pod default/pod2'])
    const value = (map: string, key: string): string | undefined => kernel.state(TABLE)?.sets.get(map)?.elements.get(key)?.value
    const verdicts = (i: number): readonly (string | undefined)[] => ['ingress', 'egress'].map((direction) => value(`${direction}-by-address-v4`, `10.0.0.${i}`)?.split('/')[0])
    assert.deepEqual([verdicts(1), verdicts(2)], [['goto ingress', 'accept'], ['drop', 'drop']])
    assert.equal(kernel.state(TABLE)?.sets.get('bridged-prefixes-v4')?.elements.size, 0)
    assert.match(kernel.text(TABLE), /iifname "cni0" ip saddr 10\.9\.0\.0-10\.9\.255\.255 .*drop/)
    const attached = world.turns.plan.locals.get('pod/default/pod2')?.attachment
    assert.deepEqual(attached?.by.map((key) => key.via === 'address' && key.port?.name), ['veth11'])
    kernel.acceptText('10.0.0.2 . 10.0.0.2')
    await clock.advance(60_000)
    assert.deepEqual([quarantined(world), verdicts(2)], [[], ['accept', 'accept']])
    assert.equal(value('egress-by-prefix-v4', '"cni0" . 10.9.0.0-10.9.255.255'), 'accept')
    await world.close()
  })

  it('blames nobody for a refusal that does not come again, not even the only one whose change it was', async () => {
    const [kernel, clock] = [new FaultyKernel(), new FakeClock()]
    const world = await started(kernel, clock, all)
    kernel.plan('refused')
    upsert(world.turns.inbox, 'policy', one(3, { generation: 2, ingress: [{ ports: [port(7003)], peers: [ipBlock('10.9.0.0/16')] }] }))
    world.turn()
    await settled()
    assert.ok(kernel.struck)
    assert.deepEqual(quarantined(world), [])
    await clock.advance(1_000)
    assert.deepEqual(world.problems, [])
    assert.match(kernel.text(TABLE), /tcp \. 7003/)
    await world.close()
  })

  it('blames nobody for what is refused whoever is closed, and tries again with back-off', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    kernel.refuseText('chain settled')
    kernel.refuseText('chain inet picket settled')
    const world = await started(kernel, clock, all)
    assert.deepEqual(world.problems.map((p) => p.code), ['CommitRefused'])
    const counts: number[] = []
    for (let i = 0; i < 4; i++) {
      const before = kernel.transactions.length
      await clock.advance(60_000)
      counts.push(kernel.transactions.length - before)
    }
    assert.ok(counts.every((n) => n >= 1 && n <= 8), counts.join(', '))
    kernel.acceptText('chain settled')
    kernel.acceptText('chain inet picket settled')
    await clock.advance(30_000)
    assert.deepEqual(world.problems, [])
    assert.equal(openPorts(kernel).length, COUNT)
    await world.close()
  })

  it('tries again with growing pauses, without a commit, and lets it go when the kernel takes it', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    kernel.refuseText('tcp . 6007 ')
    const world = await started(kernel, clock, all)
    const [commits, checks] = [kernel.transactions.length, kernel.checks.length]
    const at: number[] = []
    for (let s = 1; s <= 130; s++) {
      const before = kernel.checks.length
      await clock.advance(1_000)
      if (kernel.checks.length > before) at.push(s)
    }
    assert.deepEqual(at, [1, 3, 7, 15, 31, 63, 123])
    assert.equal(kernel.checks.length - checks, at.length)
    assert.equal(kernel.transactions.length, commits)
    kernel.acceptText('tcp . 6007 ')
    await clock.advance(60_000)
    assert.deepEqual(world.problems, [])
    assert.equal(openPorts(kernel).length, COUNT)
    await world.close()
  })

  it('tries again at once when the object is edited, and forgets it when it is deleted', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    kernel.refuseText('tcp . 6007 ')
    kernel.refuseText('tcp . 6008 ')
    const world = await started(kernel, clock, all)
    assert.equal(quarantined(world).length, 2)
    upsert(world.turns.inbox, 'policy', one(7, { generation: 2, ingress: [{ ports: [port(6080)], peers: [ipBlock('10.9.0.0/16')] }] }))
    remove(world.turns.inbox, 'policy', one(8))
    world.turn()
    await settled()
    assert.deepEqual(world.problems, [])
    assert.ok(openPorts(kernel).includes(6080))
    upsert(world.turns.inbox, 'policy', one(7, { generation: 3 }))
    world.turn()
    await settled()
    assert.deepEqual(quarantined(world), [`${object(7)} spec.ingress`])
    assert.ok(!openPorts(kernel).includes(6080))
    await world.close()
  })

  it('takes in what happens during a search as soon as it has ended', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    kernel.refuseText('tcp . 6007 ')
    const world = new AgentWorld(kernel, clock)
    upsert(world.turns.inbox, 'namespace', namespace())
    upsert(world.turns.inbox, 'pod', pod({ name: 'a', node: 'n1', addresses: ['10.0.0.1'] }))
    upsert(world.turns.inbox, 'interface', hostInterface({ hostRoutes: ['10.0.0.1'] }))
    upsert(world.turns.inbox, 'policy', one(7, { pods: '' }))
    world.turn()
    while (!world.committer.searching) await Promise.resolve()
    upsert(world.turns.inbox, 'policy', one(9, { pods: '' }))
    world.turn()
    assert.deepEqual(openPorts(kernel), [])
    await settled()
    assert.deepEqual(openPorts(kernel), [6009])
    assert.deepEqual(quarantined(world), [`${object(7)} spec.ingress`])
    await world.close()
  })

  it('rule 107: a sweep that is refused keeps nothing else back, and succeeds within a minute of its cause\'s end', async () => {
    const [kernel, clock] = [new FakeKernel(), new FakeClock()]
    const world = await started(kernel, clock, [one(0)])
    kernel.refuseText('delete chain')
    remove(world.turns.inbox, 'policy', one(0))
    upsert(world.turns.inbox, 'policy', one(1))
    world.turn()
    await settled()
    assert.deepEqual(world.problems.map((p) => p.code), ['NotSwept'])
    assert.deepEqual(openPorts(kernel).filter((p) => p === 6001), [6001])
    assert.equal(world.committer.held, world.turns.revision)
    await clock.advance(300_000)
    kernel.acceptText('delete chain')
    await clock.advance(60_000)
    assert.deepEqual(world.problems, [])
    assert.equal([...(kernel.state(TABLE)?.chains.keys() ?? [])].filter((name) => name.startsWith('ingress/')).length, 2)
    await world.close()
  })
})
