// Fragments and IPv6 extension headers (rule 84) on real packets: whole, in part, overlapping, tiny, out of order.
//
// One port of the database is open, for UDP and TCP; the other one tells what slips through. **Invariant:** everything
// that a pod receives is counted by its protocol's ports after reassembly, and by "is a fragment" before it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { RealCluster } from '../support/real-cluster.ts'
import { egress, ingress, realPod } from '../support/real-objects.ts'
import { fragments, ipPacket, udpPacket, withHeaders, type ExtensionHeader, type Packet } from '../support/real-packets.ts'
import { forge, WireWatch } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const NEAR = realPod('shop/near', 'n1', 2, { app: 'near' })
const WEB = realPod('shop/web', 'n2', 3, { app: 'web' })
const [DB4, DB6] = DB.addresses as readonly [string, string]
const OPEN = 8080
const SHUT = 9090

for (const attachment of attachments()) describe(`fragments, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ attachment, namespaces: { shop: {} }, pods: [DB, NEAR, WEB] })
    await lab.policies(
      ingress('shop/in', { app: 'db' }, { from: [{ podSelector: {} }], ports: [{ port: OPEN, protocol: 'UDP' }, { port: OPEN }] }),
      egress('shop/web-out', { app: 'web' }, { to: [{ podSelector: { matchLabels: { app: 'db' } } }] }),
      ingress('shop/web-in', { app: 'web' }),
    )
  })
  after(() => lab.close())

  const request = (pod: typeof WEB, six: boolean, destination: number, size = 64, source = 5400): Packet =>
    udpPacket({ from: pod.addresses[six ? 1 : 0] as string, to: six ? DB6 : DB4 }, { source, destination }, size)

  /** What the database's sockets would have (open, shut), and the pieces of it. */
  function watch(source = 5400): WireWatch {
    const whole = (family: string, port: number) => `meta nfproto ${family} udp dport ${port} udp sport ${source}`
    const matches = { open4: whole('ipv4', OPEN), open6: whole('ipv6', OPEN), shut4: whole('ipv4', SHUT), shut6: whole('ipv6', SHUT) }
    return new WireWatch(lab, 'shop/db', { pieces4: 'ip frag-off & 0x3fff != 0', pieces6: 'exthdr frag exists' }, matches)
  }
  const NOTHING = { shut4: 0, shut6: 0, pieces4: 0, pieces6: 0 } as const

  for (const client of [NEAR, WEB]) {
    it(`rule 84: from ${client.key}: what is in fragments of any size and order passes where the whole may, and nowhere else`, async () => {
      const seen = watch()
      let id = 100
      const pieces = (six: boolean, port: number, cuts: readonly number[], order: (list: Packet[]) => Packet[] = (list) => list): readonly Packet[] =>
        order([...fragments(request(client, six, port), cuts, id++)])
      const send = (port: number): void => {
        // Tiny ones: the ports and nothing else; backwards; two halves.
        for (const six of [false, true]) forge(lab, client.key, ...pieces(six, port, [8]), ...pieces(six, port, [8, 16, 24], (list) => list.reverse()), ...pieces(six, port, [32]))
      }
      send(SHUT)
      await seen.expect({ ...NOTHING, open4: 0, open6: 0 })
      send(OPEN)
      await seen.expect({ open4: 3, open6: 3, shut4: 0, shut6: 0 })
      seen.close()
    })

    it(`rule 84: from ${client.key}: the first alone, the later ones alone, overlapping ones: nothing arrives`, async () => {
      const seen = watch()
      let id = 200
      for (const six of [false, true]) {
        for (const port of [SHUT, OPEN]) {
          const [first] = fragments(request(client, six, port), [32], id++) as [Packet, Packet]
          const [, later] = fragments(request(client, six, port), [32], id++) as [Packet, Packet]
          forge(lab, client.key, first, later, later)
        }
        // The ports of the open one, and over them those of the shut one, in both orders.
        const overlapping = (head: number, tail: number): readonly Packet[] => {
          const [good] = fragments(request(client, six, head), [32], id) as [Packet, Packet]
          const [, rest] = fragments(request(client, six, head), [8], id) as [Packet, Packet]
          const [bad] = fragments(request(client, six, tail), [8], id++) as [Packet, Packet]
          return [good, bad, rest]
        }
        forge(lab, client.key, ...overlapping(OPEN, SHUT), ...overlapping(SHUT, OPEN))
      }
      forge(lab, client.key, request(client, false, OPEN), request(client, true, OPEN))
      await seen.expect({ ...NOTHING, open4: 1, open6: 1 })
      seen.close()
    })

    it(`rule 84: from ${client.key}: IPv6 extension headers hide no port, before the fragments, behind them or in front of the ports`, async () => {
      const seen = watch()
      const chains: readonly (readonly ExtensionHeader[])[] = [['hop-by-hop'], ['destination'], ['routing'], ['hop-by-hop', 'destination', 'routing', 'destination']]
      let id = 300
      const atomic = (packet: Packet): readonly Packet[] => fragments(packet, [], id++)
      const wholes = (port: number): readonly Packet[] => [...chains.map((chain) => withHeaders(request(client, true, port), chain)), ...atomic(request(client, true, port))]
      forge(lab, client.key, ...wholes(SHUT))
      await seen.expect({ ...NOTHING, open6: 0 })
      forge(lab, client.key, ...wholes(OPEN))
      await seen.expect({ open6: chains.length + 1, shut6: 0 })
      // The first piece has no ports; a fragment in a fragment. RFC 7112 and 8200 want neither delivered.
      const odd = (port: number): readonly Packet[] => {
        const behind = fragments(withHeaders(request(client, true, port), ['destination']), [8], id++)
        const [nested] = atomic(request(client, true, port))
        return [...behind, ...fragments(nested as Packet, [8], id++), ...fragments(nested as Packet, [16], id++)]
      }
      forge(lab, client.key, ...odd(SHUT), request(client, true, OPEN))
      await seen.expect({ open6: chains.length + 2, shut6: 0 })
      seen.close()
    })
  }

  it('rule 84: a datagram of another protocol in fragments is judged by its protocol', async () => {
    const seen = new WireWatch(lab, 'shop/db', { lies: 'meta l4proto 253', lies6: 'meta l4proto 254' })
    const [four, six] = WEB.addresses as readonly [string, string]
    // Bytes that read as the open port, of a protocol that no rule with ports allows.
    const payload = request(WEB, false, OPEN).bytes.subarray(20)
    forge(lab, 'shop/web', ...fragments(ipPacket({ from: four, to: DB4 }, 253, payload), [16], 400), ...fragments(ipPacket({ from: six, to: DB6 }, 254, payload), [16], 401))
    await seen.expect({ lies: 0, lies6: 0 })
    seen.close()
  })

  it('rule 84: large requests and large answers arrive whole, and denied ones in no piece', async () => {
    const ask = (from: string, to: string, port: number): string => {
      const script = `
        const s = require('dgram').createSocket(${JSON.stringify(to.includes(':') ? 'udp6' : 'udp4')})
        const end = (text) => { process.stdout.write(text); s.close(); clearTimeout(t) }
        const t = setTimeout(() => end('nothing'), 1000)
        s.on('error', (e) => end(e.code)).on('message', (m) => end(String(m.length)))
        s.send(Buffer.alloc(20000, 1), ${port}, ${JSON.stringify(to)})`
      return lab.run(from, [process.execPath, '-e', script])
    }
    const echo = `for (const p of [7001, 7002]) for (const type of ['udp4', 'udp6']) { const s = require('dgram').createSocket({ type, ipv6Only: type === 'udp6' }); s.on('message', (m, r) => s.send(m, r.port, r.address)).bind(p) }; console.log('ready')`
    const server = spawn('nsenter', [`--net=${lab.testbed.netnsOf(lab.source('shop/db'))}`, '--', process.execPath, '-e', echo], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await once(server.stdout, 'data')
      await lab.policies(
        ingress('shop/in', { app: 'db' }, { from: [{ podSelector: {} }], ports: [{ port: 7001, protocol: 'UDP' }] }),
        egress('shop/out', { app: 'db' }),
        ingress('shop/web-in', { app: 'web' }),
      )
      const seen = new WireWatch(lab, 'shop/db', { pieces: 'ip frag-off & 0x3fff != 0', pieces6: 'exthdr frag exists' })
      for (const from of ['shop/near', 'shop/web']) for (const to of [DB4, DB6]) assert.equal(ask(from, to, 7002), 'nothing', `${from} ${to}`)
      await seen.expect({ pieces: 0, pieces6: 0 })
      for (const from of ['shop/near', 'shop/web']) for (const to of [DB4, DB6]) assert.equal(ask(from, to, 7001), '20000', `${from} ${to}`)
      seen.close()
    } finally {
      server.kill()
    }
  })
})
