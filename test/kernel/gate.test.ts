// The pod-start gate on real packets: a pod that no status tells the addresses of yet, told by its plugin (rules 90, 97).
//
// **Invariant:** when the gate has answered 200, the next packet is judged by the pod's own policies.
import assert from 'node:assert/strict'
import { FAMILIES } from '../../src/model/ip.ts'
import { ask } from '../support/gate-client.ts'
import { answersOf, GateWorld, NEAR, untold } from '../support/gate-world.ts'
import { namespaceObject, podObject } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'
import { attachments, sampled } from '../support/sample.ts'

for (const attachment of attachments()) describe(`the pod-start gate, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let world: GateWorld
  const tests: Record<string, () => Promise<void>> = {}
  const test = (title: string, run: () => Promise<void>) => (tests[title] = run)

  before(async () => (world = await GateWorld.open(attachment)))
  after(() => world.lab.close())
  afterEach(() => world.clear())

  test('rule 90: the first packets of a pod that no status tells of are judged by its policies, and go on so when it does', async () => {
    const pod = await world.started('shop/web')
    if (attachment === 'veth') await world.lab.check({ denied: ['shop/near -> shop/web', 'shop/web -> shop/db'] })
    assert.deepEqual(world.led(pod), [false, false])
    const answer = await world.gate.add(pod)
    assert.deepEqual([answer.status, answer.body.programmed], [200, true], JSON.stringify(answer.body))
    await world.lab.check(answersOf('shop/web'))
    assert.equal((await world.gate.check(pod)).status, 200)
    assert.deepEqual(world.gate.kept('n1'), ['shop/web'])
    const flows = await Promise.all(FAMILIES.map((family) => world.lab.flow('shop/near', 'shop/web', 'UDP', family)))
    world.lab.put(podObject(pod))
    await world.lab.settle()
    await world.nothingKept()
    await world.lab.check(answersOf('shop/web'))
    for (const flow of flows) assert.deepEqual(await flow.stop().then(({ lost, broken }) => ({ lost, broken })), { lost: 0, broken: null })
    assert.equal((await world.gate.check(pod)).status, 200)
    await world.gone(pod)
  })

  test('waits for the pod to be told, and for its namespace', async () => {
    const pod = world.pod('fresh/web')
    await world.lab.runPod(pod)
    const told = { done: false }
    const answer = world.gate.add(pod, { timeoutMs: 20_000 }).finally(() => (told.done = true))
    await pause(100)
    world.lab.put(untold(pod))
    await world.lab.settle()
    await pause(100)
    assert.equal(told.done, false)
    assert.deepEqual(world.led(pod), [true, true])
    world.lab.put(namespaceObject('fresh'))
    await world.lab.settle()
    assert.equal((await answer).status, 200)
    await world.lab.check({ allowed: ['fresh/web -> shop/db', 'shop/db -> fresh/web'] })
    world.lab.drop('Namespace fresh')
    await world.gone(pod)
  })

  test('waits for the interface that was made for the pod', async () => {
    const pod = world.pod('shop/web')
    world.lab.put(untold(pod))
    await world.lab.settle()
    const answer = world.gate.add(pod, { hostInterfaces: ['veth-x'] })
    await pause(50)
    await world.lab.runPod(pod)
    assert.equal((await answer).status, 200)
    await world.lab.check(answersOf('shop/web'))
    await world.gone(pod)
  })

  test('says what is missing when the time is over', async () => {
    const pod = world.pod('shop/web')
    const asked = async (more: Readonly<Record<string, unknown>> = {}): Promise<string> => {
      const { status, body } = await world.gate.add(pod, { hostInterfaces: [], timeoutMs: 300, ...more })
      return `${status} ${body.error}`
    }
    assert.match(await asked(), /^504 pod shop\/web is not programmed after 0\.3 s: the API server has not told of it yet$/)
    world.lab.put(untold(pod, { spec: { nodeName: 'n2' } }))
    await world.lab.settle()
    assert.match(await asked(), /^504 .*bound to node n2, and this agent is node n1's: check its --node-name$/)
    world.lab.put(untold(pod))
    await world.lab.settle()
    if (attachment === 'veth') assert.match(await asked(), new RegExp(`^504 .*nothing on this node leads to its address ${pod.addresses[0]}: expected a host route`))
    world.lab.put(untold(pod, { status: { phase: 'Failed' } }))
    await world.lab.settle()
    assert.match(await asked({ timeoutMs: 20_000 }), /^409 pod shop\/web is finished/)
    world.lab.put(untold(pod, { spec: { nodeName: 'n1', hostNetwork: true } }))
    await world.lab.settle()
    assert.match(await asked({ timeoutMs: 20_000 }), /^409 pod shop\/web is in the node's own network/)
    world.lab.put(untold({ ...pod, key: 'nowhere/web' }))
    world.lab.drop('Pod shop/web')
    await world.lab.settle()
    assert.match(await asked({ namespace: 'nowhere' }), /^504 .*has not told of namespace nowhere yet$/)
    assert.equal((await world.gate.remove(pod, { hostInterfaces: [] })).body.removed, true)
    world.lab.drop('Pod nowhere/web')
    await world.lab.settle()
  })

  test('names the field of a request that is wrong', async () => {
    const refusals: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
      [{ namespace: 'No' }, /^namespace: found "No", expected a DNS label/],
      [{ name: undefined }, /^name: found nothing/],
      [{ uid: 7 }, /^uid: found 7/],
      [{ containerId: '../x' }, /^containerId: found "\.\.\/x"/],
      [{ ifname: 'a/b' }, /^ifname: /],
      [{ addresses: ['10.0.0.1', '10.0.0.256'] }, /^addresses\[1\]: found "10\.0\.0\.256", expected an IPv4 or IPv6 address/],
      [{ addresses: [] }, /^addresses: .* at least one/],
      [{ addresses: 'x' }, /^addresses: found "x", expected a list/],
      [{ hostInterfaces: [''] }, /^hostInterfaces\[0\]: /],
      [{ timeoutMs: 1e9 }, /^timeoutMs: found 1000000000, expected 1 to 60000/],
    ]
    for (const [more, expected] of refusals) {
      const { status, body } = await world.gate.add(NEAR, more)
      assert.equal(status, 400, JSON.stringify(more))
      assert.match(body.error ?? '', expected)
    }
    const raw = (text: string, method = 'POST', path = '/gate/pods') => ask(world.lab.agents.socket('n1'), method, path, text)
    assert.deepEqual([(await raw('{')).status, (await raw('[]')).status, (await raw(`"${'x'.repeat(70_000)}"`)).status], [400, 400, 413])
    assert.deepEqual([(await raw('{}', 'PUT')).status, (await raw('{}', 'POST', '/status')).status], [405, 405])
  })

  test('rule 97: a pod of the same name and another UID gets nothing of what was given to the first', async () => {
    const first = await world.started('shop/web')
    const later = { ...world.pod('shop/web'), uid: 'pod:shop/web:2' }
    const answer = world.gate.add(first, { uid: later.uid, timeoutMs: 400 })
    assert.match((await answer).body.error ?? '', /has not told of it yet$/)
    assert.deepEqual(world.led(first), [false, false])
    const again = world.gate.add(first, { uid: later.uid, timeoutMs: 20_000 })
    world.lab.put(untold({ ...first, uid: later.uid }))
    await world.lab.settle()
    assert.equal((await again).status, 200)
    await world.lab.check(answersOf('shop/web'))
    await world.gone(first)
  })

  test('a runtime that says no UID is understood by the name, a pod from a file by the UID that its mirror names', async () => {
    const pod = await world.started('shop/web')
    assert.equal((await world.gate.add(pod, { uid: '' })).status, 200)
    await world.lab.check(answersOf('shop/web'))
    await world.gone(pod)
    const fromFile = world.pod('shop/web')
    world.lab.put(untold(fromFile, { metadata: { annotations: { 'kubernetes.io/config.mirror': '0123abc' } } }))
    await world.lab.settle()
    await world.lab.runPod(fromFile)
    assert.equal((await world.gate.add(fromFile, { uid: '0123abc' })).status, 200)
    await world.lab.check(answersOf('shop/web'))
    await world.gone(fromFile)
  })

  const every = Object.keys(tests).filter((title) => /^(rule 90|says what|names the field)/.test(title))
  for (const title of sampled(Object.keys(tests), { every })) it(title, () => tests[title]?.())
})
