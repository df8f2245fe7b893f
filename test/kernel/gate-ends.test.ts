// How what the gate was told ends, and what does not end it, on real packets (rules 93-96, 101).
//
// **Invariant:** an address is never judged as a pod's whose sandbox is gone.
import assert from 'node:assert/strict'
import { FAMILIES } from '../../src/model/ip.ts'
import { answersOf, GateWorld, untold } from '../support/gate-world.ts'
import { podObject } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'
import { attachments, sampled } from '../support/sample.ts'

for (const attachment of attachments()) describe(`what the gate was told ends, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let world: GateWorld
  const tests: Record<string, () => Promise<void>> = {}
  const test = (title: string, run: () => Promise<void>) => (tests[title] = run)

  before(async () => (world = await GateWorld.open(attachment)))
  after(() => world.lab.close())
  afterEach(() => world.clear())

  test('DEL takes back what ADD gave, once more is no error, and that of another sandbox takes nothing', async () => {
    const pod = await world.started('shop/web')
    assert.equal((await world.gate.add(pod)).status, 200)
    assert.deepEqual(await world.gate.remove(pod, { containerId: 'older' }), { status: 200, body: { removed: false } })
    await world.lab.check(answersOf('shop/web'))
    assert.deepEqual((await world.gate.remove(pod)).body, { removed: true })
    await world.lab.until('n1', (listing) => !pod.addresses.some((address) => listing.includes(address)))
    if (attachment === 'veth') await world.lab.check({ denied: ['shop/near -> shop/web', 'shop/web -> shop/db'] })
    assert.deepEqual((await world.gate.remove(pod)).body, { removed: false })
    await world.nothingKept()
    await world.gone(pod)
  })

  test('rule 101: a restart of the agent between ADD and the status closes nothing', async () => {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const pod = await world.started(`shop/web-${signal.toLowerCase()}`)
      assert.equal((await world.gate.add(pod)).status, 200)
      const flows = await Promise.all(FAMILIES.map((family) => world.lab.flow('shop/near', pod.key, 'UDP', family)))
      await world.lab.agents.stop('n1', signal)
      await world.lab.agents.start('n1')
      await world.lab.settle()
      await world.lab.check(answersOf(pod.key))
      for (const flow of flows) assert.deepEqual(await flow.stop().then(({ lost, broken }) => ({ lost, broken })), { lost: 0, broken: null })
      await world.gone(pod)
    }
  })

  test('a request that waits is cut by a restart, and answered when it is asked again', async () => {
    const pod = world.pod('shop/web')
    await world.lab.runPod(pod)
    const first = world.gate.add(pod, { timeoutMs: 20_000 }).then(() => 'answered', () => 'cut')
    await pause(100)
    await world.lab.agents.stop('n1')
    assert.equal(await first, 'cut')
    await world.lab.agents.start('n1')
    await world.lab.settle()
    const second = world.gate.add(pod, { timeoutMs: 20_000 })
    world.lab.put(untold(pod))
    await world.lab.settle()
    assert.equal((await second).status, 200)
    await world.lab.check(answersOf('shop/web'))
    await world.gone(pod)
  })

  test('an agent that starts keeps nothing of pods and interfaces that ended while it was away', async () => {
    const [one, two] = [await world.started('shop/web-1'), await world.started('shop/web-2')]
    assert.deepEqual([(await world.gate.add(one)).status, (await world.gate.add(two)).status], [200, 200])
    assert.deepEqual(world.gate.kept('n1'), ['shop/web-1', 'shop/web-2'])
    await world.lab.agents.stop('n1')
    await world.lab.endPod(one.key)
    world.lab.drop('Pod shop/web-2')
    await world.lab.agents.start('n1')
    await world.lab.settle()
    await world.nothingKept()
    assert.deepEqual([...world.led(one), ...world.led(two)], [false, false, false, false])
    await world.lab.endPod(two.key)
    world.lab.drop('Pod shop/web-1')
    await world.lab.settle()
  })

  test('rules 93, 94: the address of a pod that is over is the next one\'s as soon as its plugin says so', async () => {
    const old = world.pod('shop/job', { labels: { app: 'near' } })
    await world.lab.addPods(old)
    // Created later than the one that comes: by the objects alone the address would stay its own.
    world.lab.put(podObject(old, { metadata: { creationTimestamp: '2026-02-01T00:00:00Z' } }))
    await world.lab.settle()
    await world.lab.endPod(old.key)
    const pod = world.pod('shop/web', { addresses: old.addresses })
    world.lab.put(untold(pod, { metadata: { creationTimestamp: '2026-01-01T00:00:00Z' } }))
    await world.lab.settle()
    await world.lab.runPod(pod)
    assert.equal((await world.gate.add(pod)).status, 200)
    await world.lab.check({ ...answersOf('shop/web'), denied: [...answersOf('shop/web').denied] })
    world.lab.drop('Pod shop/job')
    await world.lab.settle()
    await world.lab.check(answersOf('shop/web'))
    await world.gone(pod)
  })

  test('an address that is given to another pod is the first one\'s no more, whatever its DEL said', async () => {
    const first = await world.started('shop/first', { labels: { app: 'near' } })
    assert.equal((await world.gate.add(first)).status, 200)
    await world.lab.endPod(first.key)
    const second = world.pod('shop/web', { addresses: first.addresses })
    world.lab.put(untold(second))
    await world.lab.settle()
    await world.lab.runPod(second)
    assert.equal((await world.gate.add(second)).status, 200)
    assert.deepEqual(world.gate.kept('n1'), ['shop/web'])
    await world.lab.check(answersOf('shop/web'))
    world.lab.drop('Pod shop/first')
    await world.gone(second)
  })

  test('a new sandbox of a pod counts although the API still says the old one\'s address; any other word of the API ends it', async () => {
    const before = world.pod('shop/web')
    await world.lab.addPods(before)
    await world.lab.settle()
    await world.lab.endPod(before.key)
    const pod = world.pod('shop/web')
    await world.lab.runPod(pod)
    assert.equal((await world.gate.add(pod, { containerId: 'second' })).status, 200)
    assert.deepEqual(world.led(pod), [true, true])
    await world.lab.check(answersOf('shop/web'))
    world.lab.put(podObject(before, { metadata: { labels: { app: 'web', more: 'x' } } }))
    await world.lab.settle()
    await world.lab.check(answersOf('shop/web'))
    world.lab.put(podObject(pod, { status: { podIPs: [{ ip: pod.addresses[0] }], podIP: pod.addresses[0] } }))
    await world.lab.settle()
    await world.nothingKept()
    assert.deepEqual(world.led(pod), [true, false])
    await world.gone(pod)
  })

  test('a pod that is deleted, or finished, drops what it was given', async () => {
    const pod = await world.started('shop/web')
    assert.equal((await world.gate.add(pod)).status, 200)
    world.lab.put(untold(pod, { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }))
    await world.lab.settle()
    await world.lab.check(answersOf('shop/web'))
    world.lab.put(untold(pod, { status: { phase: 'Succeeded' } }))
    await world.lab.settle()
    assert.deepEqual(world.led(pod), [false, false])
    world.lab.put(untold(pod))
    await world.lab.settle()
    assert.deepEqual(world.led(pod), [false, false])
    await world.gone(pod)
  })

  const every = Object.keys(tests).filter((title) => /^(rules? \d|DEL)/.test(title))
  for (const title of sampled(Object.keys(tests), { every })) it(title, () => tests[title]?.())
})
