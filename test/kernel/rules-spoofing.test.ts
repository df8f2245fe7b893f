// Sources that lie (rules 77, 83, 87) on real packets: of the same node, of another, of the node, of the loopback, of
// outside; by ARP and neighbour advertisements.
//
// **Invariant:** a lie is sent beside a truth of the same shape, which arrives.
import assert from 'node:assert/strict'
import { RealCluster } from '../support/real-cluster.ts'
import { ingress, realPod } from '../support/real-objects.ts'
import { arpReply, neighbourAdvertisement, tcpPacket, udpPacket, type Packet } from '../support/real-packets.ts'
import { forge, pause, WireWatch } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const EVIL = realPod('shop/evil', 'n1', 2, { app: 'evil' })
const NEAR = realPod('shop/near', 'n1', 3, { app: 'near' })
const WEB = realPod('shop/web', 'n2', 4, { app: 'web' })
const [DB4, DB6] = DB.addresses as readonly [string, string]

for (const attachment of attachments()) describe(`spoofed sources, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ attachment, namespaces: { shop: {} }, pods: [DB, EVIL, NEAR, WEB] })
  })
  after(() => lab.close())

  /** Lines of conntrack with that source port. */
  function entries(node: string, port: number): readonly string[] {
    return lab.run(node, ['cat', '/proc/net/nf_conntrack']).split('\n').filter((line) => line.includes(`sport=${port} `))
  }

  /** From each of these to `to`: a datagram, a SYN, and an ACK, which conntrack would take up. */
  function from(sources: readonly string[], to: readonly string[], source: number): readonly Packet[] {
    const ports = { source, destination: 8080 }
    return sources.flatMap((one) => {
      const ends = { from: one, to: to.find((address) => address.includes(':') === one.includes(':')) ?? '' }
      return [udpPacket(ends, ports), tcpPacket(ends, ports, 'syn'), tcpPacket(ends, { ...ports, source: source + 1 }, 'ack')]
    })
  }

  const places = [['shop/db', DB.addresses], ['shop/web', WEB.addresses], ['outside', null], ['n1', null], ['n2', null]] as const
  it('rules 83, 87: a spoofed source of whatever kind is dropped, counted, and leaves no entry of conntrack', async () => {
    await lab.policies()
    const others = (['n1', 'n2', 'outside'] as const).flatMap((name) => [lab.addressOf(name, 4), lab.addressOf(name, 6)])
    const sources = [...NEAR.addresses, ...WEB.addresses, ...DB.addresses, ...others, '127.0.0.1', '127.9.9.9', '203.0.113.9', '2001:db8::9', '224.0.0.1', '255.255.255.255', 'fd00:88::']
    for (const [index, [where, addresses]] of places.entries()) {
      const port = 5200 + index * 10
      const to = addresses ?? [lab.addressOf(where, 4), lab.addressOf(where, 6)]
      const watch = new WireWatch(lab, where, { lies: `th sport { ${port}, ${port + 1} }`, truth: `th sport ${port + 2} meta l4proto udp` })
      const before = lab.spoofed('n1')
      const lies = from(sources, to, port)
      forge(lab, 'shop/evil', ...lies, ...from(EVIL.addresses, to, port + 2))
      // On n1 itself the watch stands in front of the drop, unless that is the bridge's.
      await watch.expect({ truth: 2, ...(where === 'n1' && attachment === 'veth' ? {} : { lies: 0 }) })
      assert.equal(lab.spoofed('n1') - before, lies.length, `to ${where}`)
      for (const node of ['n1', 'n2']) assert.deepEqual([...entries(node, port), ...entries(node, port + 1)], [], `${node}, to ${where}`)
      assert.notEqual(entries('n1', port + 2).length, 0, 'a truth leaves an entry')
      watch.close()
    }
  })

  it('rule 87: a pod cannot make the kernel answer somebody else: a spoofed SYN brings no reply to its victim', async () => {
    await lab.policies()
    const watch = new WireWatch(lab, 'shop/near', { lies: 'tcp sport 8080 tcp dport 5300', truth: 'tcp sport 8080 tcp dport 5301' })
    const syn = (sources: readonly string[], source: number): readonly Packet[] =>
      sources.map((one) => tcpPacket({ from: one, to: one.includes(':') ? DB6 : DB4 }, { source, destination: 8080 }, 'syn'))
    forge(lab, 'shop/evil', ...syn(NEAR.addresses, 5300))
    forge(lab, 'shop/near', ...syn(NEAR.addresses, 5301))
    await pause(60)
    const { lies, truth } = watch.counts()
    assert.equal(lies, 0)
    assert.ok((truth ?? 0) >= 2)
    watch.close()
  })

  it('rules 77, 87: ARP and neighbour advertisements that lie redirect nothing of another pod', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'near' } } }] }))
    const link = lab.run('shop/evil', ['ip', 'link', 'show', 'dev', 'eth0'])
    const [index, mac] = [Number(/^(\d+):/.exec(link)?.[1]), /link\/ether (\S+)/.exec(link)?.[1]]
    assert.ok(index > 0 && mac !== undefined)
    const watch = new WireWatch(lab, 'shop/evil', { stolen: `ip daddr ${DB4}`, stolen6: `ip6 daddr ${DB6}`, lured: `ip daddr ${WEB.addresses[0]}`, lured6: `ip6 daddr ${WEB.addresses[1]}` })
    const advertised = (from: string, target: string): Packet => neighbourAdvertisement({ from, to: 'ff02::1' }, target, mac)
    const lies = [DB, WEB].flatMap(({ addresses: [four = '', six = ''] }) => [arpReply(index, four, mac), advertised('fe80::70:0:9', six), advertised(EVIL.addresses[1] as string, six)])
    const gateway = [arpReply(index, '169.254.1.1', mac), advertised('fe80::70:0:9', 'fe80::ecee:eeff:feee:eeee')]
    forge(lab, 'shop/evil', ...lies, ...gateway, ...lies, ...gateway)
    await pause(60)
    // What it sends to all nodes comes back to itself, too: what it believes of the gateway now is its own affair.
    for (const family of ['-4', '-6']) lab.run('shop/evil', ['ip', family, 'neigh', 'flush', 'dev', 'eth0'])
    // Over a bridge its pods hear each other, and the node has their neighbours behind one interface.
    const victims = attachment === 'veth' ? [['n1', lab.testbed.hostInterface('shop/db')]] : [['n1', 'cni0'], ['shop/db', 'eth0'], ['shop/near', 'eth0']]
    const neighbours = victims.flatMap(([where = '', device = '']) => ['-4', '-6'].map((family) => lab.run(where, ['ip', family, 'neigh', 'show', 'dev', device]))).join('')
    const lured = neighbours.split('\n').filter((line) => line.includes(mac) && !EVIL.addresses.some((own) => line.startsWith(`${own} `)) && !line.startsWith('fe80::'))
    assert.deepEqual(lured, [])
    await lab.check({ allowed: ['shop/near -> shop/db 8080/*', 'shop/near -> shop/web 8080/*', 'shop/web -> shop/near'], denied: ['shop/evil -> shop/db 8080/*', 'shop/web -> shop/db'] })
    await watch.expect({ stolen: 0, stolen6: 0, lured: 0, lured6: 0 })
    watch.close()
  })
})
