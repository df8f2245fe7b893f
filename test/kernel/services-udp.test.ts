// UDP clients of a Service whose endpoints change (rules 79, 83, 95), with the real agent: its translation, its plan, its deleting.
//
// What rules-stale-udp.test.ts shows case by case with a translation of the test's own, here end to end.
// **Invariant:** a client keeps its socket, or its port, over every change; both families at once.
import assert from 'node:assert/strict'
import { FAMILIES, type Family } from '../../src/model/ip.ts'
import type { Flow } from '../../src/lab/testbed.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { ingress, realPod, type RealPod } from '../support/real-objects.ts'
import { udpPacket, type Packet } from '../support/real-packets.ts'
import { forge, pause, WireWatch } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'
import { serviceObject, sliceObjects } from '../support/service-objects.ts'

const CLIENT = realPod('shop/client', 'n1', 1, { app: 'client' })
const OLD = realPod('shop/old', 'n1', 2, { app: 'server' })
const FAR = realPod('shop/far', 'n2', 3, { app: 'server' })
const FLAGS = ['--service-proxy', 'picket', '--service-cidrs', '10.96.0.0/16,fd00:96::/112']
const VIP = { 4: '10.96.0.40', 6: 'fd00:96::28' } as const
const EXTERNAL = { 4: '203.0.113.40', 6: 'fd00:203::40' } as const
/** The second look comes after a second. */
const BOTH_LOOKS_MS = 2_500
const [PORT, SERVED] = [80, 8080]

const at = (pod: RealPod, family: Family): string => pod.addresses[family === 4 ? 0 : 1] as string

for (const attachment of attachments()) describe(`UDP clients of a Service, with the real agent, pods on ${attachment}`, function () {
  this.timeout(90_000)
  let lab: RealCluster
  let flows: readonly Flow[] = []

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [CLIENT, OLD, FAR], attachment, flags: FLAGS })
    for (const node of ['n1', 'n2']) for (const family of FAMILIES) lab.run(node, ['ip', family === 4 ? '-4' : '-6', 'route', 'add', 'default', 'via', lab.nodeAddress(node === 'n1' ? 'n2' : 'n1', family)], { mayFail: true })
  })
  afterEach(async () => {
    for (const flow of flows) await flow.stop()
    flows = []
  })
  after(() => lab.close())

  /** Nobody: the Service has no endpoint. */
  async function serve(...pods: readonly RealPod[]): Promise<void> {
    lab.put(serviceObject('shop/dns', 40), ...sliceObjects('shop/dns', pods))
    await lab.settle()
  }

  const call = async (): Promise<readonly Flow[]> => (flows = await Promise.all(FAMILIES.map((family) => lab.testbed.openFlow(lab.source(CLIENT.key), VIP[family], 'UDP', PORT, { packetsPerSecond: 50 }))))
  const calls = (source: number, to: Readonly<Record<Family, string>> = VIP): readonly Packet[] => FAMILIES.map((family) => udpPacket({ from: at(CLIENT, family), to: to[family] }, { source, destination: PORT }))
  const between = (from: RealPod, to: RealPod, source: number, destination: number): readonly Packet[] =>
    FAMILIES.map((family) => udpPacket({ from: at(from, family), to: at(to, family) }, { source, destination }))
  /** What the client sends to that pod. */
  const asked = (pod: RealPod, more = ''): WireWatch =>
    new WireWatch(lab, pod.key, { four: `ip saddr ${at(CLIENT, 4)} udp dport ${SERVED} ${more}`, six: `ip6 saddr ${at(CLIENT, 6)} udp dport ${SERVED} ${more}` })

  /** The flows' packets come to `pod`, are answered, and come to none of the others. */
  async function comeTo(pod: RealPod, ...others: readonly RealPod[]): Promise<void> {
    const before = await Promise.all(flows.map((flow) => flow.stats()))
    const [seen, unseen] = [asked(pod), others.map((one) => asked(one))]
    for (const until = Date.now() + 5_000; ; await pause(50)) {
      const counts = seen.counts()
      const now = await Promise.all(flows.map((flow) => flow.stats()))
      const isThere = (counts['four'] ?? 0) > 20 && (counts['six'] ?? 0) > 20 && now.every(({ answered }, index) => answered > (before[index]?.answered ?? 0) + 20)
      if (isThere) break
      assert.ok(Date.now() < until, `${pod.key}: ${JSON.stringify(counts)}, ${JSON.stringify(now)}`)
    }
    for (const watch of unseen) assert.deepEqual(watch.counts(), { four: 0, six: 0 })
    for (const watch of [seen, ...unseen]) watch.close()
  }

  /** What the client sent from that port has passed the node, which has an entry of it in each family. */
  async function known(source: number): Promise<void> {
    const entries = (): string => lab.run('n1', ['cat', '/proc/net/nf_conntrack'])
    const isThere = (text: string): boolean => FAMILIES.every((family) => new RegExp(`^ipv${family} .* udp .* sport=${source} dport=${PORT} `, 'm').test(text))
    for (const until = Date.now() + 5_000; !isThere(entries()); await pause(10)) assert.ok(Date.now() < until, entries())
  }

  const deleted = (): number => [...lab.agents.log('n1').matchAll(/"deleted":(\d+).*"stale UDP entries deleted"/g)].reduce((sum, [, count]) => sum + Number(count), 0)

  for (const [which, affinity] of [['', {}], [', though it would stay with it (sessionAffinity)', { sessionAffinity: 'ClientIP' }]] as const) {
    it(`rule 79: a client that goes on sending comes to the endpoint that replaces the only one, and is answered, with the socket that it has${which}`, async () => {
      await lab.policies()
      lab.put(serviceObject('shop/dns', 40, affinity), ...sliceObjects('shop/dns', [OLD]))
      await lab.settle()
      await call()
      await comeTo(OLD, FAR)
      const before = deleted()
      lab.put(...sliceObjects('shop/dns', [FAR]))
      await lab.settle()
      await pause(BOTH_LOOKS_MS)
      await comeTo(FAR, OLD)
      assert.ok(deleted() >= before + 2, lab.agents.log('n1').slice(-2_000))
      assert.deepEqual((await lab.agents.status('n1')).problems.filter(({ code }) => code === 'StaleUdp'), [])
    })
  }

  it('rule 79: so does one that called that address before it was the Service\'s', async () => {
    await serve(OLD)
    const old = asked(OLD, 'udp sport 5000')
    forge(lab, CLIENT.key, ...calls(5000, EXTERNAL))
    await known(5000)
    lab.put(serviceObject('shop/dns', 40, { type: 'NodePort', externalTrafficPolicy: 'Local', externalIPs: [EXTERNAL[4], EXTERNAL[6]] }))
    await lab.settle()
    await pause(BOTH_LOOKS_MS)
    const answers = new WireWatch(lab, CLIENT.key, { four: `ip saddr ${EXTERNAL[4]} udp dport 5000`, six: `ip6 saddr ${EXTERNAL[6]} udp dport 5000` })
    forge(lab, CLIENT.key, ...calls(5000, EXTERNAL))
    await old.expect({ four: 1, six: 1 })
    await answers.expect({ four: 1, six: 1 })
    for (const watch of [old, answers]) watch.close()
  })

  it('rule 79: so does one whose endpoint was replaced while no agent ran, whether established connections are kept or cut', async () => {
    await serve(OLD)
    await call()
    await comeTo(OLD, FAR)
    for (const [next, last, keep] of [[FAR, OLD, 'keep'], [OLD, FAR, 'cut']] as const) {
      await lab.agents.stop('n1', 'SIGKILL')
      lab.put(...sliceObjects('shop/dns', [next]))
      await lab.write()
      await comeTo(last, next)
      await lab.agents.start('n1', [...FLAGS, '--established-connections', keep])
      await lab.settle()
      await pause(BOTH_LOOKS_MS)
      await comeTo(next, last)
    }
  })

  it('rules 79, 83: where policy denies the client as well, the old server\'s next packet opens no way back', async () => {
    await lab.policies()
    await serve(OLD)
    const old = asked(OLD, 'udp sport 5020')
    forge(lab, CLIENT.key, ...calls(5020))
    await old.expect({ four: 1, six: 1 })
    const client = new WireWatch(lab, CLIENT.key, { four: 'ip version 4 udp dport 5020', six: 'ip6 version 6 udp dport 5020' })
    forge(lab, OLD.key, ...between(OLD, CLIENT, SERVED, 5020))
    await client.expect({ four: 1, six: 1 })
    const before = deleted()
    // In one turn.
    lab.put(ingress('shop/in', { app: 'server' }, { from: [{ podSelector: { matchLabels: { app: 'nobody' } } }] }))
    await serve(FAR)
    await pause(BOTH_LOOKS_MS)
    assert.ok(deleted() >= before + 2)
    for (let round = 0; round < 2; round++) {
      forge(lab, OLD.key, ...between(OLD, CLIENT, SERVED, 5020))
      await client.expect({ four: 1, six: 1 })
      forge(lab, CLIENT.key, ...between(CLIENT, OLD, 5020, SERVED))
      await old.expect({ four: 1, six: 1 })
    }
    for (const watch of [old, client]) watch.close()
  })

  it('rule 95: who gets the address of the only endpoint is not served that one\'s clients, and they come to who serves next', async () => {
    await lab.policies()
    const gone = realPod('shop/gone', 'n1', 40, { app: 'server' })
    await lab.addPods(gone)
    await lab.settle()
    await lab.pinned(gone)
    await serve(gone)
    await call()
    await comeTo(gone, OLD, FAR)
    await lab.endPod(gone.key)
    lab.drop(`Pod ${gone.key}`)
    await serve()
    await pause(BOTH_LOOKS_MS)
    const heir = realPod('shop/heir', 'n1', 40, { app: 'other' })
    await lab.addPods(heir)
    await lab.settle()
    await lab.pinned(heir)
    const seen = asked(heir)
    // The client sends on meanwhile.
    const before = await Promise.all(flows.map((flow) => flow.stats()))
    for (const until = Date.now() + 5_000; ; await pause(20)) {
      const now = await Promise.all(flows.map((flow) => flow.stats()))
      if (now.every(({ sent }, index) => sent >= (before[index]?.sent ?? 0) + 25)) break
      assert.ok(Date.now() < until, JSON.stringify(now))
    }
    await serve(FAR)
    await pause(BOTH_LOOKS_MS)
    await comeTo(FAR, OLD)
    assert.deepEqual(seen.counts(), { four: 0, six: 0 })
    seen.close()
    await lab.endPod(heir.key)
    lab.drop(`Pod ${heir.key}`)
    await lab.settle()
  })
})
