// Who is behind a bridge and no pod that is known (rule 87), and who takes another's address: neither sends as a pod nor gets
// what is the pod's, over a restart too.
//
// **Invariant:** behind what must not come, one that must is sent by the pod itself.
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { toBits } from '../../src/model/ip.ts'
import { arpFrame, FrameWatch, ipFrame } from '../support/real-frames.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { ingress, realPod } from '../support/real-objects.ts'
import { neighbourAdvertisement, udpPacket } from '../support/real-packets.ts'
import { WireWatch, forge } from '../support/real-wire.ts'

const FORGE = fileURLToPath(new URL('../support/forge-frames.ts', import.meta.url))
const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const NEAR = realPod('shop/near', 'n1', 2, { app: 'near' })
const EVIL = realPod('shop/evil', 'n1', 3, { app: 'evil' })
const WEB = realPod('shop/web', 'n2', 4, { app: 'web' })
/** Runs on the node, and no object tells of it. */
const STRAY = realPod('shop/stray', 'n1', 9, {})
const [DB4, DB6] = DB.addresses as readonly [string, string]
const [NEAR4, NEAR6] = NEAR.addresses as readonly [string, string]

describe('strays on a bridge, on real packets', function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ nodes: 2, attachment: 'bridge', namespaces: { shop: {} }, pods: [DB, NEAR, EVIL, WEB] })
    await lab.runPod(STRAY)
    // A port that leads to no other namespace, as an uplink: what is sent out of uplink1 comes in there.
    lab.run('n1', ['ip', 'link', 'add', 'uplink0', 'type', 'veth', 'peer', 'name', 'uplink1'])
    for (const words of ['uplink0 master cni0 up', 'uplink1 up']) lab.run('n1', ['ip', 'link', 'set', ...words.split(' ')])
    await lab.policies(ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'near' } } }] }))
    await pinned()
  })
  after(() => lab.close())

  async function pinned(): Promise<void> {
    await lab.until('n1', (listing) => [DB, NEAR, EVIL].every(({ addresses }) => addresses.every((one) => listing.includes(`" . ${one}`))), 'bridge picket')
  }

  const spoofed = (): number => Number(/counter spoofed \{[^}]*?packets (\d+)/.exec(lab.listing('n1', 'bridge picket'))?.[1])
  const PORTS = { source: 7000, destination: 7061 }

  const link = (where: string, name: string): { readonly address: string; readonly ifindex: number } => JSON.parse(lab.run(where, ['ip', '-j', 'link', 'show', 'dev', name]))[0]
  function send(where: string, name: string, ...frames: readonly Buffer[]): void {
    lab.run(where, [process.execPath, FORGE, String(link(where, name).ifindex), ...frames.map((one) => one.toString('hex'))])
  }

  const STRAYS = [['a pod that nobody knows', 'shop/stray', 'eth0'], ['an uplink', 'n1', 'uplink1']] as const
  for (const [who, where, name, restarted] of STRAYS.flatMap((one) => [false, true].map((again) => [...one, again] as const))) {
    it(`rule 87: ${who} sends as no pod, by address, MAC, ARP or advertisement${restarted ? ', after a restart' : ''}`, async () => {
      if (restarted) {
        await lab.agents.stop('n1', 'SIGKILL')
        await lab.agents.start('n1')
        await lab.settle()
      }
      const [stray, near] = [link(where, name).address, link('shop/near', 'eth0').address]
      const watch = new FrameWatch(lab, 'shop/db', {
        four: `ip saddr ${NEAR4} udp sport 7000`, six: `ip6 saddr ${NEAR6} udp sport 7000`, mac: `ether saddr ${near} udp sport 7000`, lie: `arp saddr ip ${NEAR4} arp saddr ether ${stray}`,
        advert: `icmpv6 type nd-neighbor-advert ether saddr ${stray} @th,64,128 0x${toBits(NEAR6).toString(16)}`, last: `ip saddr ${NEAR4} udp sport 7001`,
      })
      const before = spoofed()
      send(
        where, name,
        ipFrame(stray, udpPacket({ from: NEAR4, to: DB4 }, PORTS)),
        ipFrame(stray, udpPacket({ from: NEAR6, to: DB6 }, PORTS)),
        ipFrame(near, udpPacket({ from: NEAR4, to: DB4 }, PORTS)),
        ipFrame(near, udpPacket({ from: '10.88.0.77', to: DB4 }, PORTS)),
        arpFrame(stray, 2, { mac: stray, address: NEAR4 }, DB4),
        ipFrame(stray, neighbourAdvertisement({ from: NEAR6, to: 'ff02::1' }, NEAR6, stray)),
      )
      assert.equal(spoofed() - before, 6)
      send('shop/near', 'eth0', ipFrame(near, udpPacket({ from: NEAR4, to: DB4 }, { source: 7001, destination: 7061 })))
      await watch.expect({ four: 0, six: 0, mac: 0, lie: 0, advert: 0, last: 1 })
      await lab.check({ allowed: ['shop/near -> shop/db', 'shop/db -> shop/near'], denied: ['shop/stray -> shop/db', 'shop/evil -> shop/db'] })
    })
  }

  it('rule 87: a pod that takes another\'s addresses gets none of its packets and sends none as it, over a restart too', async () => {
    for (const [address, length] of [[NEAR4, 32], [NEAR6, 128]] as const) lab.run('shop/evil', ['ip', 'address', 'add', `${address}/${length}`, 'dev', 'eth0', ...(length === 128 ? ['nodad'] : [])])
    const got = new WireWatch(lab, 'shop/evil', { four: `ip daddr ${NEAR4}`, six: `ip6 daddr ${NEAR6}` })
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await lab.agents.stop('n1', signal)
      await lab.agents.start('n1')
      await lab.settle()
      await pinned()
      // Everybody has to ask anew who has the addresses.
      for (const where of ['shop/db', 'n1']) lab.run(where, ['ip', 'neigh', 'flush', 'all'])
      forge(lab, 'shop/evil', udpPacket({ from: NEAR4, to: DB4 }, { source: 7002, destination: 8080 }), udpPacket({ from: NEAR6, to: DB6 }, { source: 7002, destination: 8080 }))
      await lab.check({ allowed: ['shop/db -> shop/near 8080/*', 'shop/web -> shop/near 8080/*', 'n1 -> shop/near', 'shop/near -> shop/db 8080/*'], denied: ['shop/evil -> shop/db 8080/*'] })
    }
    await got.expect({ four: 0, six: 0 })
    got.close()
  })
})
