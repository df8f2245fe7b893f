// UDP clients of a Service whose endpoints change (rules 72, 78, 79, 83, 95) on real packets: a table of the test's own translates
// the Service's address, real agents judge, and stale entries are found, cut and deleted as src/agent/stale-udp.ts does it.
//
// **Invariant:** each client's port is one test's, so that no entry of another serves it; each danger is shown before its cure.
import assert from 'node:assert/strict'
import { AddressTexts, flowOf } from '../../src/agent/cut-flows.ts'
import { StaleUdp } from '../../src/agent/stale-udp.ts'
import { ConntrackReader } from '../../src/kernel/conntrack.ts'
import { flowAt, flowCount } from '../../src/kernel/conntrack-flows.ts'
import { systemClock, type Clock } from '../../src/lib/clock.ts'
import { FAMILIES, type Family } from '../../src/model/ip.ts'
import { udpChanges, type UdpPort } from '../../src/nat/stale.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { ingress, realPod, type RealPod } from '../support/real-objects.ts'
import { udpPacket, type Packet } from '../support/real-packets.ts'
import { forge, pause, WireWatch } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'
import { addressBytes } from './packet-bytes.ts'

const CLIENT = realPod('shop/client', 'n1', 1, { app: 'client' })
const OLD = realPod('shop/old', 'n1', 2, { app: 'server' })
const FAR = realPod('shop/far', 'n2', 3, { app: 'server' })
const YOUNG = realPod('shop/young', 'n1', 4, { app: 'server' })
const VIP = { 4: '10.96.0.1', 6: 'fd00:96::1' } as const
const [PORT, SERVED] = [80, 8080]

/** Ten seconds of its own in one: passes, and second looks, come soon. */
const HASTY: Clock = { ...systemClock, now: () => 10 * systemClock.now(), after: (ms, action) => systemClock.after(ms / 10, action) }

const peer = (app: string) => ({ podSelector: { matchLabels: { app } } })

for (const attachment of attachments()) describe(`stale UDP, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster
  let conntrack: ConntrackReader
  /** Connections that were judged and cut, and how many entries were deleted, in all. */
  let cut: string[] = []
  let deleted = 0
  let stale: StaleUdp
  let revision = 0
  let known: readonly UdpPort[] = []

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [CLIENT, OLD, FAR, YOUNG], attachment })
    conntrack = new ConntrackReader(lab.testbed.netnsOf(lab.source('n1')))
    stale = new StaleUdp({
      clock: HASTY,
      entries: conntrack,
      cutDenied: async (keys) => {
        const texts = new AddressTexts()
        const found = keys.map((key) => flowOf(key, texts)).filter((flow) => flow !== null)
        const denied = found.filter(({ source, destination }) => isDenied(source, destination))
        for (const { source, destination, sourcePort, port } of denied) {
          const family = source.includes(':') ? 6 : 4
          lab.nft('n1', `add element inet picket cut-flows-v${family} { ${source} . ${destination} . udp . ${sourcePort} . ${port} }\n`)
          cut.push(`${source} ${destination}`)
        }
        return null
      },
      onDeleted: (report) => (deleted += report.deleted),
      onProblems: (problems) => assert.deepEqual(problems, []),
    })
  })
  after(async () => {
    await stale?.close()
    await conntrack?.close()
    await lab.close()
  })

  /** What the policies of the moment say, for those that agents may not have cut yet. */
  let isDenied: (source: string, destination: string) => boolean = () => false

  /** The test's own translation on n1, of what pods send; nobody: none. */
  function translate(...to: readonly RealPod[]): void {
    for (const family of FAMILIES) {
      const word = family === 4 ? 'ip' : 'ip6'
      const targets = to.map(({ addresses }, i) => `${i} : ${addresses[family === 4 ? 0 : 1]}`).join(', ')
      const rule = to.length === 0 ? '' : `${word} daddr ${VIP[family]} udp dport ${PORT} dnat to numgen inc mod ${to.length} map { ${targets} } : ${SERVED}`
      lab.nft('n1', `table ${word} translation {}\ndelete table ${word} translation\ntable ${word} translation { chain in { type nat hook prerouting priority dstnat; ${rule}\n}\n}\n`)
    }
  }

  /** These serve from now on: the table holds it, and then what is stale goes. Resolves when the second look is over, too. */
  async function serve(...pods: readonly RealPod[]): Promise<void> {
    translate(...pods)
    const after = FAMILIES.map((family) => ({ address: VIP[family], port: PORT, endpoints: pods.map(({ addresses }) => ({ address: addresses[family === 4 ? 0 : 1] as string, port: SERVED, serving: true })) }))
    stale.planned(++revision, udpChanges(known, after))
    known = after
    stale.held(revision)
    await pause(300)
  }

  const at = (pod: RealPod, family: Family): string => pod.addresses[family === 4 ? 0 : 1] as string
  const calls = (source: number): readonly Packet[] => FAMILIES.map((family) => udpPacket({ from: at(CLIENT, family), to: VIP[family] }, { source, destination: PORT }))
  const between = (from: RealPod, to: RealPod, source: number, destination: number): readonly Packet[] =>
    FAMILIES.map((family) => udpPacket({ from: at(from, family), to: at(to, family) }, { source, destination }))
  /** Datagrams that come to that pod from that port of the client. */
  const asked = (pod: string, port: number): WireWatch => new WireWatch(lab, pod, { four: `ip version 4 udp sport ${port}`, six: `ip6 version 6 udp sport ${port}` })
  /** And those that come to that port of the client: from the Service's address, and from the old server's own. */
  const heard = (port: number): WireWatch =>
    new WireWatch(lab, CLIENT.key, {
      vip4: `ip saddr ${VIP[4]} udp dport ${port}`, vip6: `ip6 saddr ${VIP[6]} udp dport ${port}`,
      own4: `ip saddr ${at(OLD, 4)} udp dport ${port}`, own6: `ip6 saddr ${at(OLD, 6)} udp dport ${port}`,
    })
  /** So many of each family. */
  const from = (vip: number, own: number) => ({ vip4: vip, vip6: vip, own4: own, own6: own })

  /** Where the client's entries of that port lead. */
  async function entries(port: number): Promise<readonly string[]> {
    const found = new Set<string>()
    const texts = new AddressTexts()
    await conntrack.dump(CLIENT.addresses.map((address) => ({ bytes: addressBytes(address), prefix: address.includes(':') ? 128 : 32 })), (flows) => {
      for (let i = 0; i < flowCount(flows); i++) {
        const flow = flowOf(flowAt(Buffer.from(flows), i).key, texts)
        if (flow?.sourcePort === port) found.add(flow.destination)
      }
    })
    return [...found].toSorted((a, b) => a.length - b.length)
  }

  it('rule 79: a client that called before anybody translated comes to the endpoint with its next datagram', async () => {
    await lab.policies()
    translate()
    const [out, server] = [asked('outside', 5000), asked(OLD.key, 5000)]
    forge(lab, CLIENT.key, ...calls(5000))
    await out.expect({ four: 1, six: 1 })
    // The translation alone does not help it.
    translate(OLD)
    forge(lab, CLIENT.key, ...calls(5000))
    await out.expect({ four: 2, six: 2 })
    await server.expect({ four: 0, six: 0 })
    await serve(OLD)
    const answers = heard(5000)
    forge(lab, CLIENT.key, ...calls(5000))
    await server.expect({ four: 1, six: 1 })
    await out.expect({ four: 2, six: 2 })
    await answers.expect(from(1, 0))
    for (const watch of [out, server, answers]) watch.close()
  })

  it('a client of an endpoint that goes comes to the one that stays, and one of that one keeps its entry', async () => {
    await serve(OLD)
    const [old, far] = [asked(OLD.key, 5010), asked(FAR.key, 5010)]
    forge(lab, CLIENT.key, ...calls(5010))
    await old.expect({ four: 1, six: 1 })
    await serve(FAR, OLD)
    translate(FAR)
    forge(lab, CLIENT.key, ...calls(5011))
    const before = deleted
    await serve(FAR)
    assert.ok(deleted >= before + 2)
    const answers = heard(5010)
    forge(lab, CLIENT.key, ...calls(5010))
    await far.expect({ four: 1, six: 1 })
    await old.expect({ four: 1, six: 1 })
    await answers.expect(from(1, 0))
    assert.deepEqual(await entries(5011), FAMILIES.map((family) => at(FAR, family)))
    for (const watch of [old, far, answers]) watch.close()
  })

  it('rules 79, 83: where policy denies the client, the old server\'s next packet opens nothing, if its connection is cut first', async () => {
    await lab.policies()
    await serve(OLD)
    const old = asked(OLD.key, 5020)
    forge(lab, CLIENT.key, ...calls(5020))
    await old.expect({ four: 1, six: 1 })
    const client = heard(5020)
    forge(lab, OLD.key, ...between(OLD, CLIENT, SERVED, 5020))
    await client.expect(from(1, 0))
    // The old server stops serving, and its policy lets nobody in.
    await lab.policies(ingress('shop/in', { app: 'server' }, { from: [peer('nobody')] }))
    isDenied = (source, destination) => source !== destination && CLIENT.addresses.includes(source) && [...OLD.addresses, ...FAR.addresses].includes(destination)
    cut = []
    await serve(YOUNG)
    assert.deepEqual(cut.toSorted(), FAMILIES.map((family) => `${at(CLIENT, family)} ${at(OLD, family)}`).toSorted())
    for (let round = 0; round < 2; round++) {
      forge(lab, OLD.key, ...between(OLD, CLIENT, SERVED, 5020))
      await client.expect(from(1, 0))
      forge(lab, CLIENT.key, ...between(CLIENT, OLD, 5020, SERVED))
      await old.expect({ four: 1, six: 1 })
    }
    // Without that: the packet makes an entry in reverse, and the client passes as the one who answers.
    for (const family of FAMILIES) lab.nft('n1', `flush set inet picket cut-flows-v${family}\n`)
    forge(lab, OLD.key, ...between(OLD, CLIENT, SERVED, 5020))
    await client.expect(from(1, 1))
    forge(lab, CLIENT.key, ...between(CLIENT, OLD, 5020, SERVED))
    await old.expect({ four: 2, six: 2 })
    for (const watch of [old, client]) watch.close()
    isDenied = () => false
  })

  it('rules 72, 79: where policy denies the server, its stream ends with the entry: it was an answer, and is none any more', async () => {
    await lab.policies(ingress('shop/in', { app: 'client' }, { from: [peer('nobody')] }))
    await serve(OLD)
    forge(lab, CLIENT.key, ...calls(5030))
    const client = heard(5030)
    forge(lab, OLD.key, ...between(OLD, CLIENT, SERVED, 5030))
    await client.expect(from(1, 0))
    await serve(FAR)
    forge(lab, OLD.key, ...between(OLD, CLIENT, SERVED, 5030))
    await client.expect(from(1, 0))
    const far = asked(FAR.key, 5030)
    forge(lab, CLIENT.key, ...calls(5030))
    await far.expect({ four: 1, six: 1 })
    await client.expect(from(2, 0))
    for (const watch of [client, far]) watch.close()
  })

  it('rules 79, 83: where policy denies nothing, the old server\'s packet is its own; who is denied later is cut all the same', async () => {
    await lab.policies()
    await serve(OLD)
    forge(lab, CLIENT.key, ...calls(45_040))
    await pause(100)
    await serve(FAR)
    const [client, far, old] = [heard(45_040), asked(FAR.key, 45_040), asked(OLD.key, 45_040)]
    forge(lab, OLD.key, ...between(OLD, CLIENT, SERVED, 45_040))
    await client.expect(from(0, 1))
    // The client's way to the Service does not meet that entry.
    forge(lab, CLIENT.key, ...calls(45_040))
    await far.expect({ four: 1, six: 1 })
    await client.expect(from(1, 1))
    // The old server serves again, while its own entry is there: answers come from the Service's address.
    await serve(OLD)
    forge(lab, CLIENT.key, ...calls(45_040))
    await client.expect(from(2, 1))
    await serve(FAR)
    await lab.policies(ingress('shop/in', { app: 'server' }, { from: [peer('nobody')] }))
    await pause(500)
    const { four = 0, six = 0 } = old.counts()
    forge(lab, CLIENT.key, ...between(CLIENT, OLD, 45_040, SERVED))
    await old.expect({ four, six })
    for (const watch of [client, far, old]) watch.close()
  })

  it('rule 95: who gets the address of an endpoint that is gone is not served the old one\'s clients, whoever serves', async () => {
    await lab.policies()
    const gone = realPod('shop/gone', 'n1', 40, { app: 'server' })
    await lab.addPods(gone)
    await lab.settle()
    await serve(gone)
    const first = asked(gone.key, 5050)
    forge(lab, CLIENT.key, ...calls(5050))
    await first.expect({ four: 1, six: 1 })
    await lab.endPod(gone.key)
    lab.drop(`Pod ${gone.key}`)
    await lab.settle()
    const heir = realPod('shop/heir', 'n1', 40, { app: 'other' })
    await lab.addPods(heir)
    await lab.settle()
    await lab.pinned(heir)
    const seen = asked(heir.key, 5050)
    // The danger: nothing is deleted yet, and no policy is in the way.
    forge(lab, CLIENT.key, ...calls(5050))
    await seen.expect({ four: 1, six: 1 })
    // Nobody serves: the entry goes all the same.
    await serve()
    forge(lab, CLIENT.key, ...calls(5050))
    await seen.expect({ four: 1, six: 1 })
    await serve(FAR)
    const far = asked(FAR.key, 5050)
    forge(lab, CLIENT.key, ...calls(5050))
    await far.expect({ four: 1, six: 1 })
    await seen.expect({ four: 1, six: 1 })
    for (const watch of [seen, far]) watch.close()
    await lab.endPod(heir.key)
    lab.drop(`Pod ${heir.key}`)
    await lab.settle()
  })
})
