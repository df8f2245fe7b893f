// Connections (rules 72-86) on real packets: replies, errors about connections, flows that gain and lose permission.
//
// n3 keeps established connections, the others cut them. **Invariant:** each test replaces all policies, and ends the
// flows that it opened.
import assert from 'node:assert/strict'
import type { Flow } from '../../src/lab/testbed.ts'
import { FAMILIES, type Family } from '../../src/model/ip.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, egress, ingress, realPod, type PlainObject } from '../support/real-objects.ts'
import { ipPacket, tcpPacket, udpPacket, unreachable } from '../support/real-packets.ts'
import { forge, pause, WireWatch } from '../support/real-wire.ts'
import { attachments, sampled } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const NEAR = realPod('shop/near', 'n1', 2, { app: 'near' })
const WEB = realPod('shop/web', 'n2', 3, { app: 'web' })
const KEPT = realPod('shop/kept', 'n3', 4, { app: 'kept' })
const [DB4, DB6] = DB.addresses as readonly [string, string]
const [WEB4, WEB6] = WEB.addresses as readonly [string, string]

const TRANSPORTS = ['TCP', 'UDP'] as const
/** How long a flow is watched: some thirty messages. */
const WATCHED_MS = 300

const peer = (app: string) => ({ podSelector: { matchLabels: { app } } })
/** Nothing passes in the namespace but from web to the database. */
const ONLY_WEB_TO_DB: readonly PlainObject[] = [
  denyAll('shop'), egress('shop/out', { app: 'web' }, { to: [peer('db')] }), ingress('shop/in', { app: 'db' }, { from: [peer('web')] }),
]

for (const attachment of attachments()) describe(`connections, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ attachment, nodes: 3, agents: false, namespaces: { shop: {} }, pods: [DB, NEAR, WEB, KEPT] })
    await lab.agents.start('n1')
    await lab.agents.start('n2')
    await lab.agents.start('n3', ['--established-connections', 'keep'])
    await lab.settle()
  })
  after(() => lab.close())

  async function everyFlow(from: string, to: string): Promise<readonly Flow[]> {
    const kinds = TRANSPORTS.flatMap((protocol) => FAMILIES.map((family: Family) => [protocol, family] as const))
    return Promise.all(kinds.map(([protocol, family]) => lab.flow(from, to, protocol, family)))
  }

  /** How many answers each flow got in a while. */
  async function progress(flows: readonly Flow[]): Promise<readonly number[]> {
    const answered = () => Promise.all(flows.map(async (flow) => (await flow.stats()).answered))
    const before = await answered()
    await pause(WATCHED_MS)
    const after = await answered()
    return after.map((count, index) => count - (before[index] as number))
  }

  async function goOn(flows: readonly Flow[]): Promise<void> {
    const counts = await progress(flows)
    assert.ok(counts.every((count) => count > 5), `answers in ${WATCHED_MS} ms: ${counts.join(', ')}`)
  }

  async function stopAll(flows: readonly Flow[]): Promise<void> {
    await Promise.all(flows.map((flow) => flow.stop()))
  }

  /** Every message of each flow was answered. */
  async function lostNothing(flows: readonly Flow[]): Promise<void> {
    const stats = await Promise.all(flows.map((flow) => flow.stop()))
    for (const { lost, broken, answered } of stats) assert.deepEqual({ lost, broken, some: answered > 10 }, { lost: 0, broken: null, some: true })
  }

  /** Both flows of datagrams and connections stop at once when these policies come. */
  async function areCut(flows: readonly Flow[], policies: readonly PlainObject[]): Promise<void> {
    await goOn(flows)
    await lab.policies(...policies)
    // What was under way when the policy came.
    await pause(30)
    assert.deepEqual(await progress(flows), flows.map(() => 0))
  }

  const tests: Readonly<Record<string, () => Promise<void>>> = {
    'rules 72, 74: replies pass, whatever the other direction says, over each protocol': async () => {
      await lab.policies(ingress('shop/client', { app: 'web' }), egress('shop/server', { app: 'db' }))
      await lab.check({ allowed: ['shop/web -> shop/db 8080/* 9090/*'], denied: ['shop/db -> shop/web 8080/*', 'shop/near -> shop/web', 'shop/db -> outside 7061'] })
    },
    'rule 73: a server that may send nothing of its own answers allowed clients': async () => {
      await lab.policies(...ONLY_WEB_TO_DB)
      await lab.check({ allowed: ['shop/web -> shop/db 8080/*'], denied: ['shop/db -> shop/web 8080/*', 'shop/near -> shop/db', 'shop/web -> shop/near'] })
    },
    'rule 75: an error on the way to the server reaches the client (frag-needed, packet too big)': async () => {
      await lab.policies(...ONLY_WEB_TO_DB)
      const watch = new WireWatch(lab, 'shop/web', { four: 'icmp type destination-unreachable icmp code frag-needed', six: 'icmpv6 type packet-too-big' })
      lab.run('n1', ['ip', 'link', 'set', lab.testbed.hostInterface('shop/db'), 'mtu', '1280'])
      const ports = { source: 5000, destination: 8080 }
      forge(lab, 'shop/web', udpPacket({ from: WEB4, to: DB4 }, ports, 1400), udpPacket({ from: WEB6, to: DB6 }, ports, 1400))
      await watch.expect({ four: 1, six: 1 })
      lab.run('n1', ['ip', 'link', 'set', lab.testbed.hostInterface('shop/db'), 'mtu', '1500'])
      watch.close()
    },
    'rule 75: an error about a reply reaches the server, which nobody else may reach': async () => {
      await lab.policies(...ONLY_WEB_TO_DB)
      const watch = new WireWatch(lab, 'shop/db', { four: 'icmp type destination-unreachable icmp code frag-needed', six: 'icmpv6 type packet-too-big' })
      const client = { source: 5001, destination: 8080 }
      forge(lab, 'shop/web', udpPacket({ from: WEB4, to: DB4 }, client), udpPacket({ from: WEB6, to: DB6 }, client))
      lab.run('n2', ['ip', 'link', 'set', lab.testbed.hostInterface('shop/web'), 'mtu', '1280'])
      const server = { source: 8080, destination: 5001 }
      forge(lab, 'shop/db', udpPacket({ from: DB4, to: WEB4 }, server, 1400), udpPacket({ from: DB6, to: WEB6 }, server, 1400))
      await watch.expect({ four: 1, six: 1 })
      lab.run('n2', ['ip', 'link', 'set', lab.testbed.hostInterface('shop/web'), 'mtu', '1500'])
      watch.close()
    },
    'rule 75: unreachable reaches the client; the same about no connection at all does not': async () => {
      await lab.policies(...ONLY_WEB_TO_DB)
      const from = lab.source('shop/web')
      const closed = await lab.testbed.probe([DB4, DB6].map((address) => ({ from, address, protocol: 'UDP', port: 4444 })), 1_000)
      assert.deepEqual(closed.map((one) => one.kind), ['rejected', 'rejected'])
      const watch = new WireWatch(lab, 'shop/web', { errors: 'icmp type destination-unreachable', errors6: 'icmpv6 type destination-unreachable' })
      const request = (source: number) => [udpPacket({ from: WEB4, to: DB4 }, { source, destination: 4445 }), udpPacket({ from: WEB6, to: DB6 }, { source, destination: 4445 })] as const
      const [four, six] = request(5555)
      const errors = [unreachable({ from: DB4, to: WEB4 }, four), unreachable({ from: DB6, to: WEB6 }, six)]
      forge(lab, 'shop/db', ...errors)
      // The database's own kernel answers these: nobody listens there.
      forge(lab, 'shop/web', ...request(5556))
      await watch.expect({ errors: 1, errors6: 1 })
      forge(lab, 'shop/web', four, six)
      forge(lab, 'shop/db', ...errors)
      await watch.expect({ errors: 3, errors6: 3 })
      watch.close()
    },
    'rules 78, 79: a flow that loses permission stops at its next packet, and goes on when it is allowed again': async () => {
      await lab.policies()
      const flows = await everyFlow('shop/web', 'shop/db')
      await areCut(flows, [ingress('shop/in', { app: 'db' })])
      await lab.policies()
      // TCP sends again after a while that doubles each time.
      await pause(1_000)
      await goOn(flows)
      await areCut(flows, [egress('shop/out', { app: 'web' })])
      await stopAll(flows)
    },
    'rule 78: a flow stops when its client\'s labels change, and others go on': async () => {
      await lab.policies(...ONLY_WEB_TO_DB, ingress('shop/near', { app: 'db' }, { from: [peer('near')] }), egress('shop/near-out', { app: 'near' }, {}))
      const [kept, cut] = [await everyFlow('shop/near', 'shop/db'), await everyFlow('shop/web', 'shop/db')]
      await areCut(cut, [denyAll('shop'), ingress('shop/near', { app: 'db' }, { from: [peer('near')] }), egress('shop/near-out', { app: 'near' }, {})])
      await goOn(kept)
      await lostNothing(kept)
      await stopAll(cut)
    },
    'rule 78: establishedConnections keep judges the first packet only': async () => {
      await lab.policies()
      const flows = await everyFlow('shop/web', 'shop/kept')
      await lab.policies(ingress('shop/in', { app: 'kept' }))
      await goOn(flows)
      await lab.check({ denied: ['shop/web -> shop/kept 8080/*'] })
      await lostNothing(flows)
    },
    'rule 80: a connection from before the policy gets its replies, and loses nothing': async () => {
      await lab.policies()
      const flows = await everyFlow('shop/web', 'shop/db')
      await lab.policies(ingress('shop/client', { app: 'web' }), egress('shop/server', { app: 'db' }), ingress('shop/in', { app: 'db' }, { from: [peer('web')] }))
      await goOn(flows)
      await lostNothing(flows)
    },
    'rule 80: a request from before the policy is answered after it': async () => {
      await lab.policies()
      const watch = new WireWatch(lab, 'shop/web', { four: 'ip saddr 10.88.0.1 udp sport 9999', six: 'ip6 saddr fd00:88::1 udp sport 9999' })
      const request = { source: 5010, destination: 9999 }
      forge(lab, 'shop/web', udpPacket({ from: WEB4, to: DB4 }, request), udpPacket({ from: WEB6, to: DB6 }, request))
      await lab.policies(ingress('shop/client', { app: 'web' }), egress('shop/server', { app: 'db' }))
      const reply = { source: 9999, destination: 5010 }
      forge(lab, 'shop/db', udpPacket({ from: DB4, to: WEB4 }, reply), udpPacket({ from: DB6, to: WEB6 }, reply))
      await watch.expect({ four: 1, six: 1 })
      watch.close()
    },
    'rule 81: a policy that is deleted, edited or added beside leaves allowed connections alone': async () => {
      await lab.policies(...ONLY_WEB_TO_DB)
      const flows = await everyFlow('shop/web', 'shop/db')
      await goOn(flows)
      await lab.policies()
      await lab.policies(...ONLY_WEB_TO_DB)
      await lab.policies(denyAll('shop'), egress('shop/out', { app: 'web' }, {}), ingress('shop/in', { app: 'db' }, { from: [{ ipBlock: { cidr: '10.88.0.0/16' } }, { ipBlock: { cidr: 'fd00:88::/32' } }] }))
      await lab.policies(...ONLY_WEB_TO_DB, ingress('shop/more', { app: 'db' }, { ports: [{ port: 1 }] }))
      await goOn(flows)
      await lostNothing(flows)
    },
    'rule 82: the same source port again is judged again': async () => {
      await lab.policies()
      const watch = new WireWatch(lab, 'shop/db', { syns: 'tcp dport 8080 tcp sport 5020 tcp flags & (syn | ack) == syn', datagrams: 'udp dport 8080 udp sport 5020', next: 'tcp dport 9090 tcp sport 5020' })
      const ports = { source: 5020, destination: 8080 }
      const send = (sequence: number): void => {
        const ends = [{ from: WEB4, to: DB4 }, { from: WEB6, to: DB6 }]
        forge(lab, 'shop/web', ...ends.flatMap((end) => [tcpPacket(end, ports, 'syn', sequence), udpPacket(end, ports), tcpPacket(end, { ...ports, destination: 9090 }, 'syn', sequence)]))
      }
      send(1_000)
      await watch.expect({ syns: 2, datagrams: 2 })
      await lab.policies(ingress('shop/in', { app: 'db' }))
      const { next } = watch.counts()
      send(5_000_000)
      await watch.expect({ syns: 2, datagrams: 2, next: next ?? -1 })
      await lab.policies(ingress('shop/in', { app: 'db' }, { from: [peer('web')], ports: [{ port: 8080 }, { port: 8080, protocol: 'UDP' }] }))
      send(10_000_000)
      await watch.expect({ syns: 4, datagrams: 4, next: next ?? -1 })
      watch.close()
    },
    'rules 83, 85: what a denied client makes up opens nothing, neither for itself nor for later': async () => {
      await lab.policies(ingress('shop/in', { app: 'db' }, { from: [peer('near')] }))
      const watch = new WireWatch(lab, 'shop/db', { any: `ip saddr ${WEB4}`, any6: `ip6 saddr ${WEB6} meta l4proto { tcp, udp }` })
      const ends = [{ from: WEB4, to: DB4 }, { from: WEB6, to: DB6 }]
      const crafted = ends.flatMap((end) => [
        tcpPacket(end, { source: 5030, destination: 8080 }, 'ack'), tcpPacket(end, { source: 5030, destination: 8080 }, 'syn'),
        tcpPacket(end, { source: 8080, destination: 5030 }, 'ack'), udpPacket(end, { source: 8080, destination: 8080 }), ipPacket(end, 6, Buffer.alloc(20)),
      ])
      forge(lab, 'shop/web', ...crafted)
      forge(lab, 'shop/web', ...crafted)
      await watch.expect({ any: 0, any6: 0 })
      await lab.check({ allowed: ['shop/near -> shop/db'], denied: ['shop/web -> shop/db 8080/*'] })
      watch.close()
    },
    'rule 84: fragments are judged as the packet that they make up': async () => {
      await lab.policies(ingress('shop/in', { app: 'db' }, { ports: [{ port: 8080, protocol: 'UDP' }] }))
      const watch = new WireWatch(lab, 'shop/db', { four: 'ip frag-off & 0x3fff != 0', six: 'exthdr frag exists' })
      const send = (port: number): void => {
        const script = `for (const [kind, to] of [['udp4', '${DB4}'], ['udp6', '${DB6}']]) { const s = require('dgram').createSocket(kind); s.send(Buffer.alloc(3000), ${port}, to, () => s.close()) }`
        lab.run('shop/web', [process.execPath, '-e', script])
      }
      send(9090)
      await watch.expect({ four: 0, six: 0 })
      send(8080)
      await watch.expect({ four: 3, six: 3 })
      watch.close()
    },
  }
  const every = Object.keys(tests).filter((title) => /^rules? (75: an error about|78, 79|80: a request)\b/.test(title))
  for (const title of sampled(Object.keys(tests), { every })) it(title, () => tests[title]?.())
})
