// Addresses, names and namespaces that are used again (rules 93-97, 100, 104) on real packets: what connection tracking, the
// cut connections and the sets remember of the one before must not serve the one after.
//
// **Invariant:** each test removes the pods and objects that it made, and ends its forged flows by their own ports.
import assert from 'node:assert/strict'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, ingress, namespaceObject, podObject, realPod, type RealPod } from '../support/real-objects.ts'
import { udpPacket, type Packet } from '../support/real-packets.ts'
import { forge, pause, WireWatch } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'
import { withoutTraces } from '../support/table-text.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const WEB = realPod('shop/web', 'n2', 2, { app: 'web' })
const CLIENT = { app: 'client' }
const THIEF = { app: 'thief' }
const FROM_CLIENT = ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: CLIENT } }] })
const NODES = ['n1', 'n2'] as const

for (const attachment of attachments()) describe(`what is used again, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ attachment, namespaces: { shop: {} }, pods: [DB, WEB] })
  })
  after(() => lab.close())

  async function end(...pods: readonly RealPod[]): Promise<void> {
    for (const { key } of pods) {
      await lab.endPod(key)
      lab.drop(`Pod ${key}`)
    }
  }

  const datagrams = (from: RealPod, to: RealPod, source: number, destination: number): readonly Packet[] =>
    from.addresses.map((address, index) => udpPacket({ from: address, to: to.addresses[index] as string }, { source, destination }))
  /** Datagrams to that port, of both families. */
  const watch = (where: RealPod, port: number): WireWatch => new WireWatch(lab, where.key, { four: `ip version 4 udp dport ${port}`, six: `ip6 version 6 udp dport ${port}` })

  for (const node of NODES) {
    it(`rule 95: on ${node}: an old client's connection serves nobody who gets its address, and a new one that may has its own`, async () => {
      await lab.policies(FROM_CLIENT)
      const old = realPod('shop/old', node, 40, CLIENT)
      await lab.addPods(old)
      await lab.settle()
      const seen = watch(DB, 8080)
      forge(lab, old.key, ...datagrams(old, DB, 5600, 8080))
      await seen.expect({ four: 1, six: 1 })
      forge(lab, DB.key, ...datagrams(DB, old, 8080, 5600))
      // The address goes to another one; the server goes on sending, and the thief too, from the same port.
      await lab.endPod(old.key)
      const thief = realPod('shop/thief', node, 40, THIEF)
      await lab.runPod(thief)
      const got = watch(thief, 5600)
      lab.drop(`Pod ${old.key}`)
      lab.put(podObject(thief))
      await lab.settle()
      await pause(300)
      forge(lab, thief.key, ...datagrams(thief, DB, 5600, 8080))
      await seen.expect({ four: 1, six: 1 })
      // What the server sends to the old client's connection is its own matter, which the thief's isolation decides.
      await lab.policies(FROM_CLIENT, ingress('shop/guard', THIEF))
      await pause(300)
      const { four = 0, six = 0 } = got.counts()
      forge(lab, DB.key, ...datagrams(DB, thief, 8080, 5600))
      await got.expect({ four, six })
      // The same 5-tuple of an owner that may flows, both ways.
      lab.put(podObject({ ...thief, labels: CLIENT }))
      await lab.settle()
      await pause(300)
      forge(lab, thief.key, ...datagrams(thief, DB, 5600, 8080))
      await seen.expect({ four: 2, six: 2 })
      // The database's own server answers.
      await got.expect({ four: four + 1, six: six + 1 })
      seen.close()
      got.close()
      await end(thief)
      await lab.settle()
    })

    it(`rule 95: on ${node}: who may talk to an old server has no way to the new one at its address`, async () => {
      await lab.policies()
      const old = realPod('shop/old', node, 41, CLIENT)
      await lab.addPods(old)
      await lab.settle()
      const first = watch(old, 8080)
      forge(lab, WEB.key, ...datagrams(WEB, old, 5610, 8080))
      await first.expect({ four: 1, six: 1 })
      forge(lab, old.key, ...datagrams(old, WEB, 8080, 5610))
      await lab.policies(denyAll('shop'))
      await lab.endPod(old.key)
      const young = realPod('shop/young', node, 41, THIEF)
      await lab.addPods(young)
      lab.drop(`Pod ${old.key}`)
      await lab.settle()
      await pause(300)
      const [seen, back] = [watch(young, 8080), watch(WEB, 5610)]
      forge(lab, WEB.key, ...datagrams(WEB, young, 5610, 8080))
      await seen.expect({ four: 0, six: 0 })
      forge(lab, young.key, ...datagrams(young, WEB, 8080, 5610))
      await back.expect({ four: 0, six: 0 })
      await lab.policies()
      await pause(300)
      forge(lab, WEB.key, ...datagrams(WEB, young, 5610, 8080))
      await seen.expect({ four: 1, six: 1 })
      seen.close()
      back.close()
      await end(young)
      await lab.settle()
    })
  }

  it('rules 93, 95: a finished pod\'s connection ends, whatever its labels still say', async () => {
    await lab.policies(FROM_CLIENT)
    for (const [index, phase] of ['Succeeded', 'Failed'].entries()) {
      const job = realPod('shop/job', 'n2', 42 + index, CLIENT)
      await lab.addPods(job)
      await lab.settle()
      const seen = watch(DB, 8080)
      forge(lab, job.key, ...datagrams(job, DB, 5620, 8080))
      await seen.expect({ four: 1, six: 1 })
      lab.put(podObject(job, { status: { phase } }))
      await lab.settle()
      await pause(300)
      forge(lab, job.key, ...datagrams(job, DB, 5620, 8080))
      await seen.expect({ four: 1, six: 1 })
      seen.close()
      await end(job)
    }
    await lab.settle()
  })

  it('rules 92, 94: a new pod under an old interface\'s name, with its address told one family after the other', async () => {
    await lab.policies(FROM_CLIENT)
    const old = realPod('shop/same', 'n1', 44, CLIENT)
    await lab.addPods(old)
    await lab.settle()
    const link = lab.testbed.hostInterface(old.key)
    await lab.endPod(old.key)
    const young = realPod('shop/same', 'n1', 45, CLIENT, { uid: 'pod:same:2' })
    await lab.runPod(young)
    assert.equal(lab.testbed.hostInterface(young.key), link)
    // On a bridge its port is pinned to what the kernel says is behind it, though no object tells of the pod yet.
    await lab.pinned(young)
    const seen = watch(DB, 8080)
    forge(lab, young.key, ...datagrams(young, DB, 5630, 8080), ...datagrams(old, DB, 5630, 8080))
    await seen.expect({ four: 0, six: 0 })
    lab.put(podObject({ ...young, addresses: young.addresses.slice(1) }))
    await lab.settle()
    forge(lab, young.key, ...datagrams(young, DB, 5630, 8080))
    await seen.expect({ four: 0, six: 1 })
    lab.put(podObject(young))
    await lab.settle()
    await lab.pinned(young)
    forge(lab, young.key, ...datagrams(young, DB, 5630, 8080), ...datagrams(old, DB, 5630, 8080))
    await seen.expect({ four: 1, six: 2 })
    seen.close()
    await end(young)
    await lab.settle()
  })

  it('rule 100: a namespace that comes back with other labels takes its pods\' open connections along', async () => {
    const pod = realPod('again/pod', 'n2', 46, {})
    lab.put(namespaceObject('again', { team: 'friend' }))
    await lab.addPods(pod)
    await lab.policies(ingress('shop/in', { app: 'db' }, { from: [{ namespaceSelector: { matchLabels: { team: 'friend' } } }] }))
    const seen = watch(DB, 8080)
    const send = () => forge(lab, pod.key, ...datagrams(pod, DB, 5640, 8080))
    send()
    await seen.expect({ four: 1, six: 1 })
    for (const [index, labels] of ([null, { team: 'foe' }, { team: 'friend' }] as const).entries()) {
      if (labels === null) lab.drop('Namespace again')
      else lab.put(namespaceObject('again', labels, `namespace:again:${index}`))
      await lab.settle()
      await pause(300)
      send()
      const count = index === 2 ? 2 : 1
      await seen.expect({ four: count, six: count })
    }
    seen.close()
    await end(pod)
    lab.drop('Namespace again')
    await lab.settle()
  })

  it('rule 104: every object told again, as after a relist, changes nothing and loses nothing', async () => {
    await lab.policies(FROM_CLIENT)
    const pod = realPod('shop/kept', 'n2', 47, CLIENT)
    await lab.addPods(pod)
    await lab.settle()
    const flows = await Promise.all((['TCP', 'UDP'] as const).flatMap((protocol) => ([4, 6] as const).map((family) => lab.flow('shop/kept', 'shop/db', protocol, family))))
    const before = NODES.map((node) => withoutTraces(lab.listing(node, 'inet picket')))
    const objects = [DB, WEB, pod].map((one) => podObject(one, { metadata: { resourceVersion: '2', annotations: { relisted: 'yes' } } }))
    lab.put(...objects, namespaceObject('shop', { relisted: 'yes' }), { ...FROM_CLIENT, metadata: { ...FROM_CLIENT.metadata, resourceVersion: '2' } })
    await lab.settle()
    assert.deepEqual(NODES.map((node) => withoutTraces(lab.listing(node, 'inet picket'))), before)
    await pause(300)
    for (const flow of flows) {
      const { lost, broken, answered } = await flow.stop()
      assert.deepEqual({ lost, broken, some: answered > 10 }, { lost: 0, broken: null, some: true })
    }
    await lab.check({ allowed: ['shop/kept -> shop/db 8080/*'], denied: ['shop/web -> shop/db 8080/*'] })
    await end(pod)
    await lab.settle()
  })
})
