// Resets and bare ACKs into live connections from the client's side (rules 82, 83, 85) on real packets: by the client itself,
// in its name by another pod and from outside. They neither end what is allowed nor open what is not.
//
// **Invariant:** sequence numbers are spread over all there are: an RST ends a connection only where it has the very next one.
import assert from 'node:assert/strict'
import type { Flow } from '../../src/lab/testbed.ts'
import { FAMILIES, familyOf } from '../../src/model/ip.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { egress, ingress, realPod } from '../support/real-objects.ts'
import { tcpPacket, type Ends, type Packet } from '../support/real-packets.ts'
import { forge, pause, WireWatch } from '../support/real-wire.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const NEAR = realPod('shop/near', 'n1', 2, { app: 'near' })
const WEB = realPod('shop/web', 'n2', 3, { app: 'web' })
const EVIL = realPod('shop/evil', 'n1', 4, { app: 'evil' })
const PACKETS = 600
/** An odd step near 2^32 / PACKETS. */
const STEP = 7_158_279

const peer = (app: string) => ({ podSelector: { matchLabels: { app } } })

for (const attachment of ['veth', 'bridge'] as const) describe(`resets, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [DB, NEAR, WEB, EVIL], attachment })
    await lab.policies(ingress('shop/in', { app: 'db' }, { from: [peer('near'), peer('web')], ports: [{ port: 8080 }] }), egress('shop/out', { app: 'db' }))
  })
  after(() => lab.close())

  /** Entries of conntrack on n1 about the client's connections to the database: family -> port, while they are ESTABLISHED. */
  function established(client: typeof DB): ReadonlyMap<number, number> {
    const lines = lab.run('n1', ['cat', '/proc/net/nf_conntrack']).split('\n').filter((line) => line.includes(' ESTABLISHED ') && / dport=8080 /.test(line))
    const found = lines.map((line) => [Number(/^ipv([46])/.exec(line)?.[1]), expanded(/ src=(\S+)/.exec(line)?.[1] ?? ''), Number(/ sport=(\d+) /.exec(line)?.[1])] as const)
    return new Map(found.filter(([, source]) => client.addresses.includes(source)).map(([family, , port]) => [family, port]))
  }

  const counter = (node: string, name: string, table = 'inet'): number => Number(/packets (\d+)/.exec(lab.run(node, ['nft', 'list', 'counter', table, 'picket', name]))?.[1])
  /** On n1; pods on a bridge are pinned in a table of their own. */
  const spoofs = (): number => counter('n1', 'spoofed', attachment === 'veth' ? 'inet' : 'bridge')

  function flood(end: Ends, source: number, destination = 8080): readonly Packet[] {
    return Array.from({ length: PACKETS }, (_, i) => tcpPacket(end, { source, destination }, i % 3 === 0 ? 'ack' : 'rst', (i * STEP) >>> 0, { acknowledges: i * 7 }))
  }

  /** What is sent amid a flood may be lost to it, and TCP doubles its patience each time: 0.2, 0.4, 0.8, 1.6, 3.2 s. */
  async function goesOn(flows: readonly Flow[]): Promise<void> {
    for (const flow of flows) {
      const { answered } = await flow.stats()
      for (const until = Date.now() + 10_000; (await flow.stats()).answered < answered + 10; await pause(50)) assert.ok(Date.now() < until, 'the connection stands still')
      assert.equal((await flow.stats()).broken, null)
    }
  }

  for (const client of [NEAR, WEB]) {
    it(`rules 82, 83, 85: resets and ACKs in the name of ${client.key}, by whomever, end none of its connections and open nothing`, async () => {
      const flows = await Promise.all(FAMILIES.map((family) => lab.flow(client.key, 'shop/db', 'TCP', family)))
      await goesOn(flows)
      const live = established(client)
      assert.equal(live.size, 2)
      const all = client.addresses.map((from, i) => ({ end: { from, to: DB.addresses[i] as string }, port: live.get(familyOf(from)) as number }))
      const [invalid, spoofed] = [counter(client.node, 'invalid'), spoofs()]
      const resets = new WireWatch(lab, 'shop/db', { came: 'tcp flags & rst == rst tcp dport 8080' })
      for (const { end, port } of all) forge(lab, client.key, ...flood(end, port))
      // Two of three are resets. One may hit the window: the database answers it by asking for the right one.
      assert.ok(counter(client.node, 'invalid') - invalid > 2 * PACKETS * 0.66, `${counter(client.node, 'invalid') - invalid} were INVALID`)
      for (const from of ['shop/evil', 'outside']) for (const { end, port } of all) forge(lab, from, ...flood(end, port))
      assert.equal(spoofs() - spoofed, 2 * PACKETS)
      await goesOn(flows)
      assert.deepEqual(established(client), live)
      assert.ok((resets.counts()['came'] ?? 0) <= 3, `${resets.counts()['came']} resets came`)
      resets.close()
      for (const flow of flows) assert.equal((await flow.stop()).broken, null)

      // What was not open is not: another port, another pod at the same ports, the database itself.
      const watch = new WireWatch(lab, 'shop/db', { port: 'tcp dport 9090', evil: `ip saddr ${EVIL.addresses[0]}`, evil6: `ip6 saddr ${EVIL.addresses[1]} meta l4proto tcp` })
      for (const { end, port } of all) {
        forge(lab, client.key, ...flood(end, port, 9090))
        forge(lab, 'shop/evil', ...flood({ from: EVIL.addresses[familyOf(end.from) === 4 ? 0 : 1] as string, to: end.to }, port))
      }
      await watch.expect({ port: 0, evil: 0, evil6: 0 })
      watch.close()
      await lab.check({ allowed: [`${client.key} -> shop/db 8080`], denied: [`${client.key} -> shop/db 9090`, 'shop/evil -> shop/db', `shop/db -> ${client.key}`] })
    })

    it(`rules 72, 83: once ${client.key} ended a connection by a reset, neither end gets more through than before`, async () => {
      const watch = new WireWatch(lab, client.key, { other: `tcp sport 8080 tcp dport != 5600 tcp dport < 6000`, syn: 'tcp dport 5600 tcp flags & (syn | ack) == syn' })
      for (const [i, from] of client.addresses.entries()) {
        const end = { from, to: DB.addresses[i] as string }
        const back = { from: end.to, to: end.from }
        forge(lab, client.key, tcpPacket(end, { source: 5600, destination: 8080 }, 'syn', 1000), tcpPacket(end, { source: 5600, destination: 8080 }, 'rst', 1001))
        const tries = [5600, 5601, 5602].flatMap((port) => (['syn', 'ack', 'push ack', 'rst'] as const).map((flags) => tcpPacket(back, { source: 8080, destination: port }, flags, 77, { size: 10 })))
        forge(lab, 'shop/db', ...tries, ...tries)
      }
      await watch.expect({ other: 0, syn: 0 })
      watch.close()
    })
  }
})

/** fd00:0088:0000:...:0001 as conntrack lists it -> fd00:88::1; IPv4 as it is. */
function expanded(address: string): string {
  if (!address.includes(':')) return address
  return address.split(':').map((part) => part.replace(/^0{1,3}/, '')).join(':').replace(/(:0)+:/, '::')
}
