// Packets made to prepare connection tracking for what is denied (rules 75, 76, 82, 83, 85) on real packets: from a denied
// client, about connections that are cut, INVALID ones, in floods; and path MTU discovery, which must still work.
//
// **Invariant:** each test replaces all policies; the watches stand inside the pods, in front of everything there.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, egress, ingress, realPod, type PlainObject } from '../support/real-objects.ts'
import { echoRequest, tcpPacket, tooBig, udpPacket, unreachable, type Ends, type Packet } from '../support/real-packets.ts'
import { forge, pause, WireWatch } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const NEAR = realPod('shop/near', 'n1', 2, { app: 'near' })
const WEB = realPod('shop/web', 'n2', 3, { app: 'web' })
const FRIEND = realPod('shop/friend', 'n2', 4, { app: 'friend' })
const CLIENTS = [NEAR, WEB] as const

const peer = (app: string) => ({ podSelector: { matchLabels: { app } } })
const ONLY_FRIEND = ingress('shop/in', { app: 'db' }, { from: [peer('friend')] })
/** Nothing passes in the namespace but from web to the database. */
const ONLY_WEB_TO_DB: readonly PlainObject[] = [
  denyAll('shop'), egress('shop/out', { app: 'web' }, { to: [peer('db')] }), ingress('shop/in', { app: 'db' }, { from: [peer('web')] }),
]

/** Of both families. */
function ends(from: typeof DB, to: typeof DB): readonly Ends[] {
  return from.addresses.map((address, index) => ({ from: address, to: to.addresses[index] as string }))
}

for (const attachment of attachments()) describe(`crafted packets, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ attachment, namespaces: { shop: {} }, pods: [DB, NEAR, WEB, FRIEND] })
  })
  after(() => lab.close())

  /** Counts what comes to `where` from that pod, neighbour discovery aside. */
  function watchFrom(where: string, pod: typeof DB): WireWatch {
    const [four, six] = pod.addresses
    return new WireWatch(lab, where, { four: `ip saddr ${four}`, six: `ip6 saddr ${six} icmpv6 type != { nd-neighbor-solicit, nd-neighbor-advert }`, six2: `ip6 saddr ${six} meta l4proto != icmpv6` })
  }

  function invalid(node: string): number {
    const match = /packets (\d+)/.exec(lab.run(node, ['nft', 'list', 'counter', 'inet', 'picket', 'invalid']))
    assert.ok(match !== null)
    return Number(match[1])
  }

  const entries = (node: string): number => lab.run(node, ['cat', '/proc/net/nf_conntrack']).split('\n').length
  /** How many connections of that client are cut, and not on their way out again. */
  const cutFlows = (node: string, { addresses }: typeof DB): number => {
    const of = (set: string): readonly string[] => lab.run(node, ['nft', 'list', 'set', 'inet', 'picket', set]).match(/[0-9a-f.:]+ \. [0-9a-f.:]+ \. \w+ \. \d+ \. \d+(?= expires )/g) ?? []
    return ['v4', 'v6'].flatMap((family) => {
      const restored = of(`restored-flows-${family}`)
      return of(`cut-flows-${family}`).filter((flow) => !restored.includes(flow) && addresses.some((address) => flow.includes(`${address} . `)))
    }).length
  }

  for (const client of CLIENTS) {
    it(`rule 83: what ${client.key} makes up before it asks, as client and as server, opens nothing`, async () => {
      await lab.policies(ONLY_FRIEND, egress('shop/out', { app: 'db' }))
      const watch = watchFrom('shop/db', client)
      const flags = ['syn ack', 'ack', 'push ack', 'rst', 'fin', 'fin ack', 'none', 'syn'] as const
      const both = ends(client, DB)
      const tuples = [{ source: 5500, destination: 8080 }, { source: 8080, destination: 5500 }, { source: 8080, destination: 8080 }]
      const crafted = both.flatMap((end) => tuples.flatMap((ports) => [
        ...flags.map((one, index) => tcpPacket(end, ports, one, 1000 + index, { acknowledges: 77, size: one === 'push ack' ? 100 : 0 })), udpPacket(end, ports),
      ]))
      forge(lab, client.key, ...crafted, ...crafted.toReversed())
      // The database tries too, at the same ports (simultaneous open): denied, and its tries open nothing for the client.
      const tries = ends(DB, client).flatMap((end) => tuples.flatMap((ports) => [tcpPacket(end, ports, 'syn'), tcpPacket(end, ports, 'ack'), udpPacket(end, ports)]))
      forge(lab, 'shop/db', ...tries)
      forge(lab, client.key, ...crafted)
      await watch.expect({ four: 0, six: 0, six2: 0 })
      await lab.check({ allowed: ['shop/friend -> shop/db 8080/*'], denied: [`${client.key} -> shop/db 8080/*`, `shop/db -> ${client.key} 8080/*`] })
      await watch.expect({ four: 0, six: 0, six2: 0 })
      watch.close()
    })

    it(`rule 82: a 5-tuple of ${client.key} that was cut flows as a new connection where it is allowed again, and only there`, async () => {
      await lab.policies()
      const ports = { source: 5510, destination: 8080 }
      const seen = new WireWatch(lab, 'shop/db', { syns: 'tcp sport 5510 tcp dport 8080 tcp flags & (syn | ack) == syn', datagrams: 'udp sport 5510 udp dport 8080' })
      const answers = new WireWatch(lab, client.key, { four: 'ip protocol tcp tcp sport 8080 tcp dport 5510 tcp flags & (syn | ack) == (syn | ack)', six: 'ip6 nexthdr tcp tcp sport 8080 tcp dport 5510 tcp flags & (syn | ack) == (syn | ack)' })
      const send = (sequence: number): void => forge(lab, client.key, ...ends(client, DB).flatMap((end) => [tcpPacket(end, ports, 'rst', sequence), tcpPacket(end, ports, 'syn', sequence + 70_000), udpPacket(end, ports)]))
      send(1_000)
      await seen.expect({ syns: 2, datagrams: 2 })
      for (let round = 1; round <= 3; round++) {
        await lab.policies(ONLY_FRIEND)
        await until(() => cutFlows('n1', client) > 0)
        send(round * 10_000_000)
        await seen.expect({ syns: 2 * round, datagrams: 2 * round })
        await lab.policies(ingress('shop/in', { app: 'db' }, { from: [peer('friend'), peer(client.key.slice(5))] }))
        const before = answers.counts()
        await until(() => cutFlows('n1', client) === 0)
        send(round * 10_000_000 + 5_000_000)
        await seen.expect({ syns: 2 * round + 2, datagrams: 2 * round + 2 })
        for (const family of ['four', 'six']) assert.ok((answers.counts()[family] ?? 0) > (before[family] ?? 0), `round ${round}: no SYN-ACK, ${family}`)
      }
      seen.close()
      answers.close()
    })

    it(`rule 75: errors from ${client.key} about what is denied, never was, or somebody else's are not let through`, async () => {
      await lab.policies(ONLY_FRIEND)
      const watch = watchFrom('shop/db', client)
      const about = (from: typeof DB, to: typeof DB, source: number, destination: number): readonly Packet[] => ends(from, to).map((end) => udpPacket(end, { source, destination }))
      const errors = (packets: readonly Packet[]): readonly Packet[] => ends(client, DB).flatMap((end, index) => [unreachable(end, packets[index] as Packet), tooBig(end, packets[index] as Packet)])
      // A denied flow, which was tried; one that never was, both ways round.
      forge(lab, client.key, ...about(client, DB, 5520, 8080), ...errors(about(client, DB, 5520, 8080)), ...errors(about(DB, client, 8080, 5520)), ...errors(about(DB, client, 8080, 5521)))
      forge(lab, client.key, ...errors(about(DB, FRIEND, 8080, 5522)), ...ends(client, DB).map((end) => echoRequest(end, 5520)))
      await watch.expect({ four: 0, six: 0, six2: 0 })
      watch.close()
    })
  }

  async function until(holds: () => boolean): Promise<void> {
    for (const end = Date.now() + 3_000; !holds(); await pause(20)) assert.ok(Date.now() < end)
  }

  const strange = (from: typeof DB, to: typeof DB): readonly Packet[] => ends(from, to).flatMap((end) => [tcpPacket(end, { source: 5530, destination: 8080 }, 'none'), tcpPacket(end, { source: 5531, destination: 8080 }, 'syn ack'), tcpPacket(end, { source: 5532, destination: 8080 }, 'fin')])

  it('rule 85: INVALID packets from and to a pod are dropped and counted, without policies too; dropInvalid false lets policy decide', async () => {
    const seen = (source: string) => new WireWatch(lab, 'shop/db', { strange: `ip saddr ${source} tcp sport { 5530, 5531, 5532 }`, strange6: 'tcp sport { 5530, 5531, 5532 } meta nfproto ipv6' })
    for (const client of CLIENTS) {
      const watch = seen(client.addresses[0] as string)
      for (const policies of [[], [ONLY_FRIEND]]) {
        await lab.policies(...policies)
        const node = client.node
        const before = invalid(node)
        forge(lab, client.key, ...strange(client, DB))
        await watch.expect({ strange: 0, strange6: 0 })
        assert.equal(invalid(node) - before, 6)
      }
      watch.close()
    }
    // To a pod: from outside, counted where the pod is.
    await lab.policies()
    const before = invalid('n1')
    const outside = { ...DB, addresses: [lab.addressOf('outside', 4), lab.addressOf('outside', 6)] }
    const watch = seen(outside.addresses[0] as string)
    forge(lab, 'outside', ...strange(outside, DB))
    await watch.expect({ strange: 0, strange6: 0 })
    assert.equal(invalid('n1') - before, 6)
    await restart(['--drop-invalid', 'false'])
    forge(lab, 'outside', ...strange(outside, DB))
    await watch.expect({ strange: 3, strange6: 3 })
    await lab.policies(ONLY_FRIEND)
    forge(lab, 'outside', ...strange(outside, DB))
    await watch.expect({ strange: 3, strange6: 3 })
    watch.close()
    await restart([])
  })

  async function restart(flags: readonly string[]): Promise<void> {
    for (const node of ['n1', 'n2']) {
      await lab.agents.stop(node)
      await lab.agents.start(node, flags)
    }
    await lab.settle()
  }

  it('rule 75: path MTU discovery works both ways under default deny: 300 kB each through a smaller link', async () => {
    await lab.policies(...ONLY_WEB_TO_DB)
    for (const node of ['n1', 'n2']) lab.run(node, ['ip', 'link', 'set', 'uplink', 'mtu', '1300'])
    const size = 300_000
    const serve = `require('net').createServer({ allowHalfOpen: true }, (s) => { let n = 0; s.on('data', (d) => (n += d.length)).on('end', () => s.end(Buffer.alloc(n))).on('error', () => {}) }).listen(7010, '::', () => console.log('ready'))`
    const server = spawn('nsenter', [`--net=${lab.testbed.netnsOf(lab.source('shop/db'))}`, '--', process.execPath, '-e', serve], { stdio: ['ignore', 'pipe', 'inherit'] })
    const errors = 'icmp type destination-unreachable icmp code frag-needed'
    const told = (['shop/web', 'shop/db'] as const).map((where) => new WireWatch(lab, where, { four: errors, six: 'icmpv6 type packet-too-big' }))
    try {
      await once(server.stdout, 'data')
      for (const address of DB.addresses) {
        const ask = `const s = require('net').connect({ host: '${address}', port: 7010 }); let n = 0; setTimeout(() => { console.log('late', n); process.exit() }, 8000).unref(); s.on('data', (d) => (n += d.length)).on('end', () => console.log(n)); s.end(Buffer.alloc(${size}))`
        assert.equal(lab.run('shop/web', [process.execPath, '-e', ask]).trim(), String(size), address)
      }
      for (const one of told) for (const [family, count] of Object.entries(one.counts())) assert.ok(count > 0, `nobody was told of the smaller link: ${family}`)
    } finally {
      server.kill()
      for (const one of told) one.close()
      for (const node of ['n1', 'n2']) lab.run(node, ['ip', 'link', 'set', 'uplink', 'mtu', '1500'])
    }
  })

  it('rules 82, 83: floods of RST and ACK neither end an allowed connection nor come in where denied, and nothing grows', async () => {
    await lab.policies(ingress('shop/in', { app: 'db' }, { from: [peer('web')], ports: [{ port: 8080 }] }))
    const flows = await Promise.all(([4, 6] as const).map((family) => lab.flow('shop/web', 'shop/db', 'TCP', family)))
    const ports = lab.run('n1', ['cat', '/proc/net/nf_conntrack']).split('\n').flatMap((line) => (line.includes('ESTABLISHED') && / dport=8080 /.test(line) ? [Number(/ sport=(\d+) /.exec(line)?.[1])] : []))
    assert.ok(ports.length >= 2)
    const denied = watchFrom('shop/db', NEAR)
    const shut = new WireWatch(lab, 'shop/web', { answers: 'tcp sport 9090' })
    const [before, elements] = [entries('n1'), cutFlows('n1', NEAR) + cutFlows('n1', WEB)]
    // Spread over the sequence numbers, of both directions, about the connections themselves; and at a port that is shut.
    const flood = (count: number, to: (index: number) => Packet): readonly Packet[] => Array.from({ length: count }, (_, index) => to(index))
    const kind = (index: number) => (index % 2 === 0 ? 'rst' : 'ack')
    for (const [family, end] of ends(WEB, DB).entries()) {
      const back = { from: end.to, to: end.from }
      const near = ends(NEAR, DB)[family] as Ends
      forge(lab, 'shop/db', ...flood(1_000, (index) => tcpPacket(back, { source: 8080, destination: ports[index % ports.length] as number }, kind(index), (index * 4_000_037) >>> 0)))
      forge(lab, 'shop/web', ...flood(2_000, (index) => tcpPacket(end, { source: 20_000 + index, destination: 9090 }, kind(index), index)))
      forge(lab, 'shop/near', ...flood(2_000, (index) => tcpPacket(near, { source: ports[index % ports.length] as number, destination: index % 3 === 0 ? 8080 : 9090 }, kind(index), index)))
    }
    await denied.expect({ four: 0, six: 0, six2: 0 })
    await shut.expect({ answers: 0 })
    for (const flow of flows) {
      const { answered } = await flow.stats()
      // On a machine that was just flooded.
      for (const until = Date.now() + 5_000; (await flow.stats()).answered <= answered + 5; await pause(50)) assert.ok(Date.now() < until, 'the flow does not go on')
      assert.equal((await flow.stop()).broken, null)
    }
    assert.equal(cutFlows('n1', NEAR) + cutFlows('n1', WEB), elements)
    assert.ok(entries('n1') - before < 200, `${entries('n1') - before} more entries of conntrack on n1`)
    denied.close()
    shut.close()
  })
})
