// Pods on a bridge (rule 70), on real packets: policy between pods of one node and of two, and the second table, which
// lets a pod's port send nothing but what is the pod's own (rule 87).
//
// **Invariant:** each test replaces all policies; a packet that must not come is sent beside one that must.
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { toBits } from '../../src/model/ip.ts'
import { arpFrame, FrameWatch, ipFrame, sendFrames } from '../support/real-frames.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { expectErrors, type Connection } from '../support/real-errors.ts'
import { denyAll, egress, ingress, podObject, realPod } from '../support/real-objects.ts'
import { neighbourAdvertisement, neighbourSolicitation, udpPacket } from '../support/real-packets.ts'
import { streamServer, StreamClient } from '../support/real-stream.ts'
import { pause } from '../support/real-wire.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const EVIL = realPod('shop/evil', 'n1', 2, { app: 'evil' })
const NEAR = realPod('shop/near', 'n1', 3, { app: 'web' })
const WEB = realPod('shop/web', 'n2', 4, { app: 'web' })
const GATEWAY = realPod('edge/gw', 'n1', 5, {})
const [DB4, DB6] = DB.addresses as readonly [string, string]
const [EVIL4, EVIL6] = EVIL.addresses as readonly [string, string]
const [NEAR4, NEAR6] = NEAR.addresses as readonly [string, string]
const [WEB4, WEB6] = WEB.addresses as readonly [string, string]

const FLAGS = ['--source-prefix-namespaces', 'edge']

describe('pods on a bridge, on real packets', function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ attachment: 'bridge', namespaces: { shop: {}, edge: {} }, pods: [DB, EVIL, NEAR, WEB, GATEWAY], flags: FLAGS })
  })
  after(() => lab.close())

  const FROM_WEB = { from: [{ podSelector: { matchLabels: { app: 'web' } } }] }

  it('rule 70: ingress policy holds between pods of one node and of two', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }, FROM_WEB))
    await lab.check({ allowed: ['shop/near -> shop/db 8080/*', 'shop/web -> shop/db 8080/*'], denied: ['shop/evil -> shop/db 8080/*'] })
  })

  it('rule 70: egress policy holds between pods of one node and of two', async () => {
    await lab.policies(egress('shop/out', { app: 'evil' }, { to: [{ podSelector: { matchLabels: { app: 'web' } } }] }))
    await lab.check({ allowed: ['shop/evil -> shop/near 8080/*', 'shop/evil -> shop/web 8080/*'], denied: ['shop/evil -> shop/db 8080/*'] })
  })

  it('rule 5: nothing comes in or out where everything is denied', async () => {
    await lab.policies(denyAll('shop'))
    await lab.check({ denied: ['shop/evil -> shop/db', 'shop/web -> shop/db', 'shop/db -> shop/web'] })
  })

  const PORTS = { source: 7000, destination: 7061 }
  const OWN4 = (lab: RealCluster) => ipFrame(macOf(lab, 'shop/evil'), udpPacket({ from: EVIL4, to: DB4 }, PORTS))
  const LAST = `ip saddr ${EVIL4} udp dport 7061`

  it('rule 87: a pod sends no IPv4 and no IPv6 packet as another pod, and none with another MAC', async () => {
    await pinned(lab)
    const [evil, near] = [macOf(lab, 'shop/evil'), macOf(lab, 'shop/near')]
    const watch = new FrameWatch(lab, 'shop/db', {
      four: `ip saddr ${NEAR4} udp dport 7061`, six: `ip6 saddr ${NEAR6} udp dport 7061`, mac: `ether saddr ${near} udp dport 7061`,
      local: 'ip6 saddr fe80::bad udp dport 7061', tagged: 'vlan id 0', own6: `ip6 saddr ${EVIL6} udp dport 7061`, last: LAST,
    })
    const before = lab.spoofed('n1')
    sendFrames(
      lab, 'shop/evil',
      ipFrame(evil, udpPacket({ from: NEAR4, to: DB4 }, PORTS)),
      ipFrame(evil, udpPacket({ from: NEAR6, to: DB6 }, PORTS)),
      ipFrame(near, udpPacket({ from: EVIL4, to: DB4 }, PORTS)),
      ipFrame(near, udpPacket({ from: NEAR4, to: DB4 }, PORTS)),
      ipFrame(evil, udpPacket({ from: 'fe80::bad', to: DB6 }, PORTS)),
      ipFrame(evil, udpPacket({ from: EVIL4, to: DB4 }, { source: 1, destination: 9 }), { tags: [0] }),
      ipFrame(evil, udpPacket({ from: EVIL6, to: DB6 }, PORTS)),
      OWN4(lab),
    )
    await watch.expect({ four: 0, six: 0, mac: 0, local: 0, tagged: 0, own6: 1, last: 1 })
    assert.equal(lab.spoofed('n1') - before, 6)
  })

  it('rule 87: ARP and neighbour advertisements speak of the pod itself only; probes, solicitations and DHCP pass', async () => {
    await pinned(lab)
    const [evil, near] = [macOf(lab, 'shop/evil'), macOf(lab, 'shop/near')]
    const watch = new FrameWatch(lab, 'shop/db', {
      address: `arp saddr ip ${NEAR4} arp saddr ether ${evil}`, mac: `arp saddr ether ${near}`, own: `arp operation reply arp saddr ip ${EVIL4}`,
      probe: `arp saddr ip 0.0.0.0 arp saddr ether ${evil}`, stolen: `icmpv6 type nd-neighbor-advert @th,64,128 ${hex(NEAR6)}`,
      advert: `icmpv6 type nd-neighbor-advert @th,64,128 ${hex(EVIL6)}`, dad: 'ip6 saddr :: icmpv6 type nd-neighbor-solicit',
      dhcp: 'ip saddr 0.0.0.0 udp sport 68 udp dport 67', last: LAST,
    })
    sendFrames(
      lab, 'shop/evil',
      arpFrame(evil, 2, { mac: evil, address: NEAR4 }, DB4),
      arpFrame(evil, 2, { mac: near, address: EVIL4 }, DB4),
      arpFrame(evil, 2, { mac: evil, address: EVIL4 }, DB4),
      arpFrame(evil, 1, { mac: evil, address: '0.0.0.0' }, '10.88.0.77'),
      ipFrame(evil, neighbourAdvertisement({ from: EVIL6, to: 'ff02::1' }, NEAR6, evil)),
      ipFrame(evil, neighbourAdvertisement({ from: 'fe80::bad', to: 'ff02::1' }, NEAR6, evil)),
      ipFrame(evil, neighbourAdvertisement({ from: EVIL6, to: 'ff02::1' }, EVIL6, evil)),
      ipFrame(evil, neighbourSolicitation({ from: '::', to: 'ff02::1' }, 'fe80::bad', 255)),
      ipFrame(evil, udpPacket({ from: '0.0.0.0', to: '255.255.255.255' }, { source: 68, destination: 67 })),
      OWN4(lab),
    )
    await watch.expect({ address: 0, mac: 0, own: 1, probe: 1, stolen: 0, advert: 1, dad: 1, dhcp: 1, last: 1 })
  })

  it('rules 87, 90: a pod that no object tells of sends as itself only', async () => {
    await pinned(lab)
    const unknown = realPod('shop/unknown', 'n1', 9, {})
    await lab.runPod(unknown)
    await lab.pinned(unknown)
    const mac = macOf(lab, unknown.key)
    const watch = new FrameWatch(lab, 'shop/db', { four: `ip saddr ${WEB4} udp dport 7061`, six: `ip6 saddr ${WEB6} udp dport 7061`, last: `ip saddr ${unknown.addresses[0]} udp dport 7061` })
    sendFrames(
      lab, unknown.key,
      ipFrame(mac, udpPacket({ from: WEB4, to: DB4 }, PORTS)),
      ipFrame(mac, udpPacket({ from: WEB6, to: DB6 }, PORTS)),
      ipFrame(mac, udpPacket({ from: unknown.addresses[0] as string, to: DB4 }, PORTS)),
    )
    await watch.expect({ four: 0, six: 0, last: 1 })
    await lab.endPod(unknown.key)
  })

  it('rule 87: what is within a source prefix comes from the port of its pod only, and never as another pod of the bridge', async () => {
    await pinned(lab)
    lab.put(podObject(GATEWAY, { metadata: { annotations: { 'picket.dev/source-prefixes': '10.88.0.0/16, fd00:88::/64' } } }))
    await lab.settle()
    await lab.until('n1', (listing) => /"\S+" \. 10\.88\.0\.0\/16/.test(listing) && listing.includes('fd00:88::/64'), 'bridge picket')
    const [gateway, evil] = [macOf(lab, GATEWAY.key), macOf(lab, 'shop/evil')]
    const matches = { four: `ip saddr ${WEB4} udp dport 7061`, six: `ip6 saddr ${WEB6} udp dport 7061`, near: `ip saddr ${NEAR4} udp dport 7061`, near6: `ip6 saddr ${NEAR6} udp dport 7061`, last: LAST }
    const watch = new FrameWatch(lab, 'shop/db', matches)
    for (const [from, mac] of [[GATEWAY.key, gateway], ['shop/evil', evil]] as const) {
      sendFrames(lab, from, ...[WEB4, WEB6, NEAR4, NEAR6].map((source) => ipFrame(mac, udpPacket({ from: source, to: source.includes(':') ? DB6 : DB4 }, PORTS))))
    }
    sendFrames(lab, 'shop/evil', OWN4(lab))
    await watch.expect({ four: 1, six: 1, near: 0, near6: 0, last: 1 })
    lab.put(podObject(GATEWAY))
    await lab.settle()
  })

  it('rule 108: a pod whose element somebody deletes is closed until it is back', async () => {
    await pinned(lab)
    await lab.agents.stop('n1')
    lab.nft('n1', `delete element inet picket ingress-by-address-v4 { ${DB4} }\ndelete element inet picket egress-by-address-v6 { ${DB6} }\n`)
    await lab.check({ allowed: ['shop/near -> shop/db v6', 'shop/db -> shop/near v4'], denied: ['shop/near -> shop/db v4', 'shop/web -> shop/db v4', 'shop/db -> shop/near v6', 'shop/db -> shop/web v6'] })
    await lab.agents.start('n1', FLAGS)
    await lab.settle()
    await lab.check({ allowed: ['shop/near -> shop/db', 'shop/web -> shop/db', 'shop/db -> shop/web'] })
  })

  it('rule 87: a pod that gives itself the address of another gets no use of it', async () => {
    await pinned(lab)
    lab.run('shop/evil', ['ip', 'address', 'add', `${NEAR4}/32`, 'dev', 'eth0'])
    await lab.agents.stop('n1')
    await lab.agents.start('n1')
    await lab.settle()
    await pinned(lab)
    const listing = lab.listing('n1', 'bridge picket')
    assert.ok(listing.includes(`"${portOf(lab, 'shop/near')}" . ${NEAR4}`), listing)
    assert.ok(!listing.includes(`"${portOf(lab, 'shop/evil')}" . ${NEAR4}`), listing)
    lab.run('shop/evil', ['ip', 'address', 'delete', `${NEAR4}/32`, 'dev', 'eth0'])
  })

  it('rule 108: a rule of the second table that somebody deletes comes back, and a restart loses nothing', async () => {
    await pinned(lab)
    lab.nft('n1', 'flush chain bridge picket from-pod-arp\n')
    await lab.until('n1', (listing) => /chain from-pod-arp \{\s+(comment "[^"]*"\s+)?iifname/.test(listing), 'bridge picket')
    const before = lab.spoofed('n1')
    sendFrames(lab, 'shop/evil', arpFrame(macOf(lab, 'shop/evil'), 2, { mac: macOf(lab, 'shop/evil'), address: NEAR4 }, DB4))
    await pause(100)
    assert.equal(lab.spoofed('n1'), before + 1)
    await lab.agents.stop('n1', 'SIGKILL')
    await lab.agents.start('n1')
    await lab.settle()
    assert.equal(lab.spoofed('n1'), before + 1)
  })

  it('rules 75, 78, 79: a connection that loses its permission is cut, on one node and on two, both families, with ICMP errors about it', async () => {
    const servers = [await streamServer(lab, 'shop/db', 'udp', 6001), await streamServer(lab, 'shop/db', 'tcp', 6002)]
    const clients: StreamClient[] = []
    try {
      for (const [from, clientPort] of [[NEAR, 47_100], [WEB, 47_200]] as const) {
        await lab.policies()
        const made = DB.addresses.flatMap((address, index) => [
          new StreamClient(lab, from.key, 'udp', address, 6001, clientPort + index), new StreamClient(lab, from.key, 'tcp', address, 6002, clientPort + index),
        ])
        clients.push(...made)
        for (const one of made) await one.flows()
        const about = ([['udp', 6001], ['tcp', 6002]] as const).map(([kind, port]): Connection => ({ client: from, server: DB, kind, clientPort, port }))
        const errors = async (each: number): Promise<void> => {
          await expectErrors(lab, about, 'server', from, { four: each, six: each })
          await expectErrors(lab, about, 'client', DB, { four: each, six: each })
        }
        await errors(4)
        await lab.policies(ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'evil' } } }] }))
        await pause(500)
        for (const one of made) assert.equal(await one.progress(200), 0, `${from.key} still receives`)
        await errors(0)
      }
    } finally {
      for (const one of [...clients, ...servers]) one.close()
    }
  })

  it('rule 89: NotEnforced where bridged packets do not come to inet, and what to do', async () => {
    await lab.agents.stop('n1')
    lab.run('n1', ['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0'])
    await lab.agents.start('n1', ['--resync-interval', '200ms'])
    await lab.settle()
    const told = async (): Promise<string> => JSON.stringify(JSON.parse((await lab.agents.get('n1', '/status'))?.body ?? '{}').problems)
    await pause(500)
    assert.match(await told(), /"NotEnforced".*sysctl net\.bridge\.bridge-nf-call-iptables.*IPv4.*sysctl -w/)
    assert.doesNotMatch(await told(), /ip6tables/)
    lab.run('n1', ['sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1'])
    await pause(600)
    assert.equal(await told(), '[]')
  })

  it('the ports of pods have the hairpin flag', async () => {
    await pinned(lab)
    for (const pod of ['shop/db', 'shop/evil', 'shop/near']) assert.match(lab.run('n1', ['ip', '-d', '-o', 'link', 'show', 'dev', portOf(lab, pod)]), / hairpin on /)
  })

  it('cleanup removes both tables', async () => {
    await pinned(lab)
    await lab.agents.stop('n1')
    lab.run('n1', [process.execPath, MAIN, 'cleanup'])
    assert.equal(lab.listing('n1'), '')
    await lab.agents.start('n1')
    await lab.settle()
    await pinned(lab)
  })
})

function linkOf(lab: RealCluster, pod: string): { readonly address: string; readonly link_index: number } {
  return JSON.parse(lab.run(pod, ['ip', '-j', 'link', 'show', 'dev', 'eth0']))[0]
}

function macOf(lab: RealCluster, pod: string): string {
  return linkOf(lab, pod).address
}

/** The node's end of the pod's veth. */
function portOf(lab: RealCluster, pod: string): string {
  const index = linkOf(lab, pod).link_index
  const match = new RegExp(`^${index}: ([^@:]+)`, 'm').exec(lab.run('n1', ['ip', '-o', 'link']))
  return match?.[1] ?? ''
}

function hex(address: string): string {
  return `0x${toBits(address).toString(16)}`
}

/** Without policies, and with every pod pinned. */
async function pinned(lab: RealCluster): Promise<void> {
  await lab.policies()
  await lab.pinned()
}
