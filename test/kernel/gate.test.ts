// The pod-start gate on real packets: a pod that no status tells the addresses of yet, told by its plugin (rules 90, 94-97).
//
// **Invariant:** when the gate has answered 200, the next packet is judged by the pod's own policies.
import assert from 'node:assert/strict'
import { FAMILIES } from '../../src/model/ip.ts'
import { GateClient } from '../support/gate-client.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { ingress, namespaceObject, podObject, realPod, type PlainObject, type PodChanges, type RealPod } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'
import { attachments, sampled } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const NEAR = realPod('shop/near', 'n1', 3, { app: 'near' })
const FAR = realPod('other/far', 'n2', 4, {})
/** What the API holds of a pod between its binding and the report of its addresses. */
const UNTOLD = { phase: 'Pending', podIP: undefined, podIPs: undefined }
const untold = (pod: RealPod, changes: PodChanges = {}): PlainObject => podObject(pod, { ...changes, status: { ...UNTOLD, ...changes.status } })
const ONLY_NEAR = ingress('shop/in', { app: 'web' }, { from: [{ podSelector: { matchLabels: { app: 'near' } } }] })
const answersOf = (key: string) => ({ allowed: [`shop/near -> ${key}`, `${key} -> shop/db`], denied: [`shop/db -> ${key}`, `other/far -> ${key}`] })

for (const attachment of attachments()) describe(`the pod-start gate, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster
  let gate: GateClient
  const tests: Record<string, () => Promise<void>> = {}
  const test = (title: string, run: () => Promise<void>) => (tests[title] = run)
  let number = 20
  const made: RealPod[] = []

  before(async () => {
    lab = await RealCluster.open({ attachment, namespaces: { shop: {}, other: {} }, pods: [DB, NEAR, FAR] })
    gate = new GateClient(lab)
    await lab.policies(ONLY_NEAR)
  })
  after(() => lab.close())
  // What a test that failed left behind is not the next one's.
  afterEach(async () => {
    for (const pod of made.splice(0)) {
      await lab.endPod(pod.key).catch(() => undefined)
      if (lab.has(`Pod ${pod.key}`)) lab.drop(`Pod ${pod.key}`)
    }
    await lab.settle()
  })

  const newPod = (key: string, more: Partial<RealPod> = {}): RealPod => {
    const pod = realPod(key, 'n1', number++, { app: 'web' }, more)
    made.push(pod)
    return pod
  }

  /** It runs, and the API knows it without addresses. */
  async function started(key: string, more: Partial<RealPod> = {}): Promise<RealPod> {
    const pod = newPod(key, more)
    lab.put(untold(pod))
    await lab.settle()
    await lab.runPod(pod)
    return pod
  }

  async function gone(...pods: readonly RealPod[]): Promise<void> {
    for (const pod of pods) {
      await lab.endPod(pod.key)
      if (lab.has(`Pod ${pod.key}`)) lab.drop(`Pod ${pod.key}`)
    }
    await lab.settle()
    await nothingKept()
  }

  /** The file is written beside the turn. */
  async function nothingKept(): Promise<void> {
    for (const until = Date.now() + 5_000; gate.kept('n1').length > 0; await pause(5)) assert.ok(Date.now() < until, gate.kept('n1').join(', '))
  }

  /** Whether the node leads any packet to that pod. */
  const led = (pod: RealPod): boolean => {
    const listing = lab.listing('n1', 'inet picket')
    return pod.addresses.every((address) => listing.includes(address))
  }

  test('rule 90: the first packets of a pod that no status tells of are judged by its policies, and go on so when it does', async () => {
    const pod = await started('shop/web')
    if (attachment === 'veth') await lab.check({ denied: ['shop/near -> shop/web', 'shop/web -> shop/db'] })
    assert.equal(led(pod), false)
    const answer = await gate.add(pod)
    assert.deepEqual([answer.status, answer.body.programmed], [200, true], JSON.stringify(answer.body))
    await lab.check(answersOf('shop/web'))
    assert.equal((await gate.check(pod)).status, 200)
    assert.deepEqual(gate.kept('n1'), ['shop/web'])
    const flows = await Promise.all(FAMILIES.map((family) => lab.flow('shop/near', 'shop/web', 'UDP', family)))
    lab.put(podObject(pod))
    await lab.settle()
    await nothingKept()
    await lab.check(answersOf('shop/web'))
    for (const flow of flows) assert.deepEqual(await flow.stop().then(({ lost, broken }) => ({ lost, broken })), { lost: 0, broken: null })
    assert.equal((await gate.check(pod)).status, 200)
    await gone(pod)
  })

  test('waits for the pod to be told, and for its namespace', async () => {
    const pod = newPod('fresh/web')
    await lab.runPod(pod)
    const told = { done: false }
    const answer = gate.add(pod, { timeoutMs: 20_000 }).finally(() => (told.done = true))
    await pause(100)
    lab.put(untold(pod))
    await lab.settle()
    await pause(100)
    assert.equal(told.done, false)
    assert.equal(led(pod), true)
    lab.put(namespaceObject('fresh'))
    await lab.settle()
    assert.equal((await answer).status, 200)
    await lab.check({ allowed: ['fresh/web -> shop/db', 'shop/db -> fresh/web'] })
    lab.drop('Namespace fresh')
    await gone(pod)
  })

  test('waits for the interface that was made for the pod', async () => {
    const pod = newPod('shop/web')
    lab.put(untold(pod))
    await lab.settle()
    const answer = gate.add(pod, { hostInterfaces: ['veth-x'] })
    await pause(50)
    await lab.runPod(pod)
    assert.equal((await answer).status, 200)
    await lab.check(answersOf('shop/web'))
    await gone(pod)
  })

  test('says what is missing when the time is over', async () => {
    const pod = newPod('shop/web')
    const asked = async (more: Readonly<Record<string, unknown>> = {}): Promise<string> => {
      const { status, body } = await gate.add(pod, { hostInterfaces: [], timeoutMs: 300, ...more })
      return `${status} ${body.error}`
    }
    assert.match(await asked(), /^504 pod shop\/web is not programmed after 0\.3 s: the API server has not told of it yet$/)
    lab.put(untold(pod, { spec: { nodeName: 'n2' } }))
    await lab.settle()
    assert.match(await asked(), /^504 .*bound to node n2, and this agent is node n1's: check its --node-name$/)
    lab.put(untold(pod))
    await lab.settle()
    if (attachment === 'veth') assert.match(await asked(), new RegExp(`^504 .*nothing on this node leads to its address ${pod.addresses[0]}: expected a host route`))
    lab.put(untold(pod, { status: { phase: 'Failed' } }))
    await lab.settle()
    assert.match(await asked({ timeoutMs: 20_000 }), /^409 pod shop\/web is finished/)
    lab.put(untold(pod, { spec: { nodeName: 'n1', hostNetwork: true } }))
    await lab.settle()
    assert.match(await asked({ timeoutMs: 20_000 }), /^409 pod shop\/web is in the node's own network/)
    lab.put(untold({ ...pod, key: 'nowhere/web' }))
    lab.drop('Pod shop/web')
    await lab.settle()
    assert.match(await asked({ namespace: 'nowhere' }), /^504 .*has not told of namespace nowhere yet$/)
    assert.equal((await gate.remove(pod, { hostInterfaces: [] })).body.removed, true)
    lab.drop('Pod nowhere/web')
    await lab.settle()
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
      const { status, body } = await gate.add(NEAR, more)
      assert.equal(status, 400, JSON.stringify(more))
      assert.match(body.error ?? '', expected)
    }
    const raw = (text: string, method = 'POST', path = '/gate/pods') => import('../support/gate-client.ts').then(({ ask }) => ask(lab.agents.socket('n1'), method, path, text))
    assert.deepEqual([(await raw('{')).status, (await raw('[]')).status, (await raw(`"${'x'.repeat(70_000)}"`)).status], [400, 400, 413])
    assert.deepEqual([(await raw('{}', 'PUT')).status, (await raw('{}', 'POST', '/status')).status], [405, 405])
  })

  test('DEL takes back what ADD gave, once more is no error, and that of another sandbox takes nothing', async () => {
    const pod = await started('shop/web')
    assert.equal((await gate.add(pod)).status, 200)
    assert.deepEqual(await gate.remove(pod, { containerId: 'older' }), { status: 200, body: { removed: false } })
    await lab.check(answersOf('shop/web'))
    assert.deepEqual((await gate.remove(pod)).body, { removed: true })
    await lab.until('n1', (listing) => !pod.addresses.some((address) => listing.includes(address)))
    if (attachment === 'veth') await lab.check({ denied: ['shop/near -> shop/web', 'shop/web -> shop/db'] })
    assert.deepEqual((await gate.remove(pod)).body, { removed: false })
    await nothingKept()
    await gone(pod)
  })

  test('rule 101: a restart of the agent between ADD and the status closes nothing', async () => {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const pod = await started(`shop/web-${signal.toLowerCase()}`)
      assert.equal((await gate.add(pod)).status, 200)
      const flows = await Promise.all(FAMILIES.map((family) => lab.flow('shop/near', pod.key, 'UDP', family)))
      await lab.agents.stop('n1', signal)
      await lab.agents.start('n1')
      await lab.settle()
      await lab.check(answersOf(pod.key))
      for (const flow of flows) assert.deepEqual(await flow.stop().then(({ lost, broken }) => ({ lost, broken })), { lost: 0, broken: null })
      await gone(pod)
    }
  })

  test('a request that waits is cut by a restart, and answered when it is asked again', async () => {
    const pod = newPod('shop/web')
    await lab.runPod(pod)
    const first = gate.add(pod, { timeoutMs: 20_000 }).then(() => 'answered', () => 'cut')
    await pause(100)
    await lab.agents.stop('n1')
    assert.equal(await first, 'cut')
    await lab.agents.start('n1')
    await lab.settle()
    const second = gate.add(pod, { timeoutMs: 20_000 })
    lab.put(untold(pod))
    await lab.settle()
    assert.equal((await second).status, 200)
    await lab.check(answersOf('shop/web'))
    await gone(pod)
  })

  test('an agent that starts keeps nothing of pods and interfaces that ended while it was away', async () => {
    const [one, two] = [await started('shop/web-1'), await started('shop/web-2')]
    assert.deepEqual([(await gate.add(one)).status, (await gate.add(two)).status], [200, 200])
    assert.deepEqual(gate.kept('n1'), ['shop/web-1', 'shop/web-2'])
    await lab.agents.stop('n1')
    await lab.endPod(one.key)
    lab.drop('Pod shop/web-2')
    await lab.agents.start('n1')
    await lab.settle()
    await nothingKept()
    assert.deepEqual([led(one), led(two)], [false, false])
    await lab.endPod(two.key)
    lab.drop('Pod shop/web-1')
    await lab.settle()
  })

  test('rules 93, 94: the address of a pod that is over is the next one\'s as soon as its plugin says so', async () => {
    const old = newPod('shop/job', { labels: { app: 'near' } })
    await lab.addPods(old)
    // Created later than the one that comes: by the objects alone the address would stay its own.
    lab.put(podObject(old, { metadata: { creationTimestamp: '2026-02-01T00:00:00Z' } }))
    await lab.settle()
    await lab.endPod(old.key)
    const pod = realPod('shop/web', 'n1', 0, { app: 'web' }, { addresses: old.addresses })
    made.push(pod)
    lab.put(untold(pod, { metadata: { creationTimestamp: '2026-01-01T00:00:00Z' } }))
    await lab.settle()
    await lab.runPod(pod)
    assert.equal((await gate.add(pod)).status, 200)
    await lab.check({ ...answersOf('shop/web'), denied: [...answersOf('shop/web').denied] })
    lab.drop('Pod shop/job')
    await lab.settle()
    await lab.check(answersOf('shop/web'))
    await gone(pod)
  })

  test('an address that is given to another pod is the first one\'s no more, whatever its DEL said', async () => {
    const first = await started('shop/first', { labels: { app: 'near' } })
    assert.equal((await gate.add(first)).status, 200)
    await lab.endPod(first.key)
    const second = realPod('shop/web', 'n1', 0, { app: 'web' }, { addresses: first.addresses })
    made.push(second)
    lab.put(untold(second))
    await lab.settle()
    await lab.runPod(second)
    assert.equal((await gate.add(second)).status, 200)
    assert.deepEqual(gate.kept('n1'), ['shop/web'])
    await lab.check(answersOf('shop/web'))
    lab.drop('Pod shop/first')
    await gone(second)
  })

  test('a new sandbox of a pod counts although the API still says the old one\'s address; any other word of the API ends it', async () => {
    const before = newPod('shop/web')
    await lab.addPods(before)
    await lab.settle()
    await lab.endPod(before.key)
    const pod = newPod('shop/web')
    await lab.runPod(pod)
    assert.equal((await gate.add(pod, { containerId: 'second' })).status, 200)
    assert.equal(led(pod), true)
    await lab.check(answersOf('shop/web'))
    lab.put(podObject(before, { metadata: { labels: { app: 'web', more: 'x' } } }))
    await lab.settle()
    await lab.check(answersOf('shop/web'))
    lab.put(podObject(pod, { status: { podIPs: [{ ip: pod.addresses[0] }], podIP: pod.addresses[0] } }))
    await lab.settle()
    await nothingKept()
    assert.deepEqual(pod.addresses.map((address) => lab.listing('n1', 'inet picket').includes(address)), [true, false])
    await gone(pod)
  })

  test('rule 97: a pod of the same name and another UID gets nothing of what was given to the first', async () => {
    const first = await started('shop/web')
    const later = { ...newPod('shop/web'), uid: 'pod:shop/web:2' }
    const answer = gate.add(first, { uid: later.uid, timeoutMs: 400 })
    assert.match((await answer).body.error ?? '', /has not told of it yet$/)
    assert.equal(led(first), false)
    const again = gate.add(first, { uid: later.uid, timeoutMs: 20_000 })
    lab.put(untold({ ...first, uid: later.uid }))
    await lab.settle()
    assert.equal((await again).status, 200)
    await lab.check(answersOf('shop/web'))
    await gone(first)
  })

  test('a runtime that says no UID is understood by the name, a pod from a file by the UID that its mirror names', async () => {
    const pod = await started('shop/web')
    assert.equal((await gate.add(pod, { uid: '' })).status, 200)
    await lab.check(answersOf('shop/web'))
    await gone(pod)
    const fromFile = newPod('shop/web')
    lab.put(untold(fromFile, { metadata: { annotations: { 'kubernetes.io/config.mirror': '0123abc' } } }))
    await lab.settle()
    await lab.runPod(fromFile)
    assert.equal((await gate.add(fromFile, { uid: '0123abc' })).status, 200)
    await lab.check(answersOf('shop/web'))
    await gone(fromFile)
  })

  test('a pod that is deleted, or finished, drops what it was given', async () => {
    const pod = await started('shop/web')
    assert.equal((await gate.add(pod)).status, 200)
    lab.put(untold(pod, { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }))
    await lab.settle()
    await lab.check(answersOf('shop/web'))
    lab.put(untold(pod, { status: { phase: 'Succeeded' } }))
    await lab.settle()
    assert.equal(led(pod), false)
    lab.put(untold(pod))
    await lab.settle()
    assert.equal(led(pod), false)
    await gone(pod)
  })
  const every = Object.keys(tests).filter((title) => /^(rules? \d|says what|names the field)/.test(title))
  for (const title of sampled(Object.keys(tests), { every })) it(title, () => tests[title]?.())
})
