// Containment on the real kernel: which tries it takes, and what packets would see meanwhile.
//
// No NetworkPolicy is known that decode lets through and the kernel refuses, so a wrapper refuses by text what the kernel
// would have taken; everything else is the kernel's own judgement. What it really refuses is in refusals.test.ts.
// **Invariant:** only the namespace that this file makes is touched, and it is gone afterwards.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import type { Kernel } from '../../src/kernel/kernel.ts'
import { openKernel } from '../../src/kernel/open.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { Policy } from '../../src/model/policy.ts'
import { render } from '../../src/nft/render.ts'
import { AgentWorld } from '../support/agent-world.ts'
import { hostInterface, ipBlock, namespace, pod, policy, port } from '../support/builders.ts'
import { upsert } from '../support/cluster-feed.ts'

const NETNS = `picket-contain-${process.pid}`
const PATH = `/run/netns/${NETNS}`
const COUNT = 32
const listed = (): string => execFileSync('nsenter', [`--net=${PATH}`, 'nft', 'list', 'table', 'inet', 'picket'], { encoding: 'utf8' })

/** Policy i opens port 6000 + i to pod i, and to every pod with `shared`. */
function one(i: number, shared = false, opened = 6000 + i): Policy {
  return policy({ name: `p${i}`, pods: shared ? '' : `app=a${i}`, ingress: [{ ports: [port(opened)], peers: [ipBlock(`10.9.${i}.0/24`)] }] })
}

describe('containment, on the real kernel', function () {
  this.timeout(60_000)
  let kernel: Kernel
  let world: AgentWorld
  const refused = new Set<string>()
  let tries = 0
  before(() => void execFileSync('ip', ['netns', 'add', NETNS]))
  after(() => void execFileSync('ip', ['netns', 'delete', NETNS]))

  beforeEach(async () => {
    const real = await openKernel({ access: 'auto', netns: PATH })
    kernel = refusing(real)
    refused.clear()
    tries = 0
    world = new AgentWorld(kernel, systemClock)
    const pods = Array.from({ length: COUNT }, (_, i) => pod({ name: `x${i}`, node: 'n1', addresses: [`10.0.0.${i + 1}`], labels: { app: `a${i}` } }))
    upsert(world.turns.inbox, 'namespace', namespace())
    upsert(world.turns.inbox, 'pod', ...pods)
    upsert(world.turns.inbox, 'interface', ...pods.map((p, i) => hostInterface({ index: 10 + i, hostRoutes: p.addresses })))
  })
  afterEach(async () => {
    await world.close()
    await kernel.close()
    execFileSync('nsenter', [`--net=${PATH}`, 'nft', 'flush', 'ruleset'])
  })

  function refusing(real: Kernel): Kernel {
    const wrap = (judge: Kernel['commit'], isTry: boolean): Kernel['commit'] => async (transaction) => {
      if (isTry) tries++
      const text = render(transaction)
      for (const part of refused) if (text.includes(part)) return { kind: 'refused', message: `not ${part}` }
      return judge(transaction)
    }
    real.commit = wrap(real.commit.bind(real), false)
    real.check = wrap(real.check.bind(real), true)
    return real
  }

  async function held(): Promise<void> {
    world.turn()
    const { revision } = world.turns
    for (const end = performance.now() + 20_000; world.committer.held < revision || world.committer.searching; ) {
      assert.ok(performance.now() < end, JSON.stringify(world.problems))
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }

  const quarantined = (): readonly string[] => world.problems.filter((p) => p.code === 'Quarantined').map((p) => p.object).sort()
  const ports = (): ReadonlySet<number> => new Set([...listed().matchAll(/tcp \. (6\d\d\d)/g)].map((m) => Number(m[1])))

  it('rule 105: two culprits among 32 at a first start; everything else is applied', async () => {
    for (const i of [7, 21]) refused.add(`tcp . ${6000 + i} `)
    upsert(world.turns.inbox, 'policy', ...Array.from({ length: COUNT }, (_, i) => one(i)))
    await held()
    assert.deepEqual(quarantined(), ['NetworkPolicy default/p21', 'NetworkPolicy default/p7'])
    assert.equal(ports().size, COUNT - 2)
    // Owners: 32 policies and 32 pods.
    assert.ok(tries <= 2 * Math.log2(2 * COUNT) + 2, `${tries} tries`)
  })

  it('rule 105: one in a profile that all pods share, later, with nothing taken from the others meanwhile', async () => {
    upsert(world.turns.inbox, 'policy', ...Array.from({ length: 8 }, (_, i) => one(i, true)))
    await held()
    tries = 0
    refused.add('tcp . 6999 ')
    upsert(world.turns.inbox, 'policy', one(3, true, 6999), one(4, true, 6904))
    const watching = setInterval(() => {
      const open = ports()
      for (const i of [0, 1, 2, 5, 6, 7]) if (!open.has(6000 + i)) missing.add(i)
    }, 5)
    const missing = new Set<number>()
    await held()
    clearInterval(watching)
    assert.deepEqual(quarantined(), ['NetworkPolicy default/p3'])
    assert.deepEqual([...missing], [])
    assert.deepEqual([...ports()].sort((a, b) => a - b), [6000, 6001, 6002, 6005, 6006, 6007, 6904])
    assert.ok(tries <= Math.log2(8) + 2, `${tries} tries`)
    upsert(world.turns.inbox, 'policy', one(3, true))
    await held()
    assert.deepEqual(quarantined(), [])
    assert.ok(ports().has(6003))
  })
})
