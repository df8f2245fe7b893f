// Behind NAT (rules 75, 85) on real packets: a table of the test's own translates a service's address and a node's port to a
// pod. Errors about such a connection come to its client as it knows it, and nothing of it goes out untranslated.
//
// **Invariant:** Picket's table knows nothing of the translation; a watch that must stay at 0 has a control that does not.
import assert from 'node:assert/strict'
import { FAMILIES, type Family } from '../../src/model/ip.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, egress, ingress, realPod, type PlainObject } from '../support/real-objects.ts'
import { tcpPacket, udpPacket, unreachable, tooBig } from '../support/real-packets.ts'
import { forge, pause, WireWatch } from '../support/real-wire.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const NEAR = realPod('shop/near', 'n1', 2, { app: 'near' })
const WEB = realPod('shop/web', 'n2', 3, { app: 'web' })
const VIP = { 4: '10.96.0.1', 6: 'fd00:96::1' } as const
const [VIP4_BITS, VIP6_BITS] = ['0x0a600001', '0xfd000096000000000000000000000001']
/** 80 is served at 8080; 81 leads to where nobody listens. */
const [SERVED, SHUT] = [80, 81]

const peer = (app: string) => ({ podSelector: { matchLabels: { app } } })
const only = (app: string): readonly PlainObject[] => [denyAll('shop'), egress('shop/out', { app }, { to: [peer('db')] }), ingress('shop/in', { app: 'db' }, { from: [peer(app)] })]

for (const attachment of ['veth', 'bridge'] as const) describe(`behind NAT, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [DB, NEAR, WEB], attachment })
    for (const node of ['n1', 'n2']) {
      const rules = FAMILIES.map((family) => {
        const [word, to] = family === 4 ? ['ip', DB.addresses[0]] : ['ip6', `[${DB.addresses[1]}]`]
        const dnat = (port: number, target: number): string => `${word} daddr { ${VIP[family]}, ${lab.nodeAddress(node, family)} } meta l4proto { tcp, udp } th dport ${port} dnat to ${to}:${target}`
        return `table ${word} translation { chain in { type nat hook prerouting priority dstnat; ${dnat(SERVED, 8080)}; ${dnat(SHUT, 4444)}; }; }\n`
      })
      lab.nft(node, rules.join(''))
    }
  })
  after(() => lab.close())

  /** Errors that come to `where`, by what they are about. */
  function errors(where: string, kind: 'unreachable' | 'too big'): WireWatch {
    const [four, six] = kind === 'unreachable'
      ? ['icmp type destination-unreachable icmp code port-unreachable', 'icmpv6 type destination-unreachable']
      : ['icmp type destination-unreachable icmp code frag-needed', 'icmpv6 type packet-too-big']
    return new WireWatch(lab, where, { four: `${four} @th,192,32 ${VIP4_BITS}`, six: `${six} @th,256,128 ${VIP6_BITS}`, all4: four, all6: six })
  }

  const ask = (client: typeof DB, source: number, port: number, size = 8) => FAMILIES.map((family, i) => udpPacket({ from: client.addresses[i] as string, to: VIP[family] }, { source, destination: port }, size))

  for (const client of [WEB, NEAR]) {
    it(`rules 75, 85: errors about a translated connection come to ${client.key} as about the address that it asked`, async () => {
      await lab.policies(...only(client.labels?.['app'] as string))
      const shut = errors(client.key, 'unreachable')
      forge(lab, client.key, ...ask(client, 5700, SHUT))
      await shut.expect({ four: 1, six: 1, all4: 1, all6: 1 })
      // The same from who was never asked, and about what was never said.
      const own = client.addresses.map((from, i) => ({ from: DB.addresses[i] as string, to: from }))
      forge(lab, 'shop/db', ...own.flatMap((end, i) => {
        const about = [udpPacket({ from: end.to, to: end.from }, { source: 5701, destination: 4444 }), udpPacket({ from: end.to, to: Object.values(VIP)[i] as string }, { source: 5702, destination: SHUT })]
        return about.flatMap((packet) => [unreachable(end, packet), tooBig(end, packet)])
      }))
      await shut.expect({ four: 1, six: 1, all4: 1, all6: 1 })
      shut.close()
    })
  }

  it('rules 75, 85: a packet that is too big behind the translation is told to its client, as about the address that it asked', async () => {
    await lab.policies(...only('web'))
    lab.run('n2', ['ip', 'link', 'set', 'uplink', 'mtu', '1300'])
    const told = errors('shop/web', 'too big')
    forge(lab, 'shop/web', ...ask(WEB, 5710, SERVED, 1400))
    await told.expect({ four: 1, six: 1, all4: 1, all6: 1 })
    told.close()
    lab.run('n2', ['ip', 'link', 'set', 'uplink', 'mtu', '1500'])
  })

  const CLIENTS = [{ key: 'shop/near', policies: only('near') }, { key: 'outside', policies: [denyAll('shop'), ingress('shop/in', { app: 'db' }, { ports: [{ port: 8080 }] })] }] as const
  for (const { key, policies } of CLIENTS) {
    it(`rule 85: what conntrack calls INVALID goes untranslated to ${key} from no pod, whose connection goes on`, async () => {
      for (const family of FAMILIES) {
        const to = key === 'outside' ? lab.nodeAddress('n1', family) : VIP[family]
        await lab.policies(...policies)
        const flow = await lab.testbed.openFlow(lab.source(key), to, 'TCP', SERVED, { packetsPerSecond: 100 })
        const watch = new WireWatch(lab, key, { bare: `${family === 4 ? 'ip' : 'ip6'} saddr ${DB.addresses[family === 4 ? 0 : 1]} tcp sport 8080`, translated: `tcp sport ${SERVED}` })
        strange(key, family)
        await watch.expect({ bare: 0 })
        const { answered } = await flow.stats()
        for (const until = Date.now() + 3_000; (await flow.stats()).answered < answered + 10; await pause(50)) assert.ok(Date.now() < until)
        assert.ok((watch.counts()['translated'] ?? 0) > 10)
        assert.equal((await flow.stop()).broken, null)
        watch.close()
      }
    })
  }

  it('rule 85: with dropInvalid false such packets do go untranslated where nothing is denied, and by policy where it is', async () => {
    await restart(['--drop-invalid', 'false'])
    for (const { key, policies } of CLIENTS) {
      for (const [objects, expected] of [[[], true], [policies, false]] as const) {
        await lab.policies(...objects)
        const to = key === 'outside' ? lab.nodeAddress('n1', 4) : VIP[4]
        const flow = await lab.testbed.openFlow(lab.source(key), to, 'TCP', SERVED, { packetsPerSecond: 100 })
        const watch = new WireWatch(lab, key, { bare: `ip saddr ${DB.addresses[0]} tcp sport 8080` })
        strange(key, 4)
        await pause(200)
        assert.equal((watch.counts()['bare'] ?? 0) > 0, expected, key)
        await flow.stop()
        watch.close()
      }
    }
    await restart([])
  })

  async function restart(flags: readonly string[]): Promise<void> {
    await lab.agents.stop('n1')
    await lab.agents.start('n1', flags)
    await lab.settle()
  }

  /** The database sends far outside of the window of each connection that it has with that client. */
  function strange(key: string, family: Family): void {
    const lines = lab.run('n1', ['cat', '/proc/net/nf_conntrack']).split('\n').filter((line) => line.startsWith(`ipv${family} `) && line.includes(' ESTABLISHED ') && / sport=8080 /.test(line))
    const ports = lines.map((line) => Number(/ sport=8080 dport=(\d+)/.exec(line)?.[1]))
    assert.ok(ports.length > 0, 'no connection')
    const end = { from: DB.addresses[family === 4 ? 0 : 1] as string, to: lab.addressOf(key, family) }
    const packets = ports.flatMap((destination) => Array.from({ length: 20 }, (_, i) => tcpPacket(end, { source: 8080, destination }, i % 2 === 0 ? 'ack' : 'push ack', (i * 214_748_365) >>> 0, { acknowledges: (i * 107_374_183) >>> 0, size: 20 })))
    forge(lab, 'shop/db', ...packets)
  }
})
