// What connection tracking may do wrong behind the Service NAT (rules 85, 86), on real packets: segments that it cannot place, and
// datagrams of one socket, under way at once to endpoints of their own.
//
// **Invariant:** each test sends from ports of its own; a watch that must stay at 0 has a control that does not.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { FAMILIES, type Address, type Family } from '../../src/model/ip.ts'
import { sendOutOfWindow } from '../support/out-of-window.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { egress, ingress, realPod, type PlainObject, type RealPod } from '../support/real-objects.ts'
import { udpPacket } from '../support/real-packets.ts'
import { forge, pause, WireWatch } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'
import { nodePortOf, serviceObject, sliceObjects } from '../support/service-objects.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'server' })
const FAR = realPod('shop/far', 'n2', 2, { app: 'server' })
const NEAR = realPod('shop/near', 'n1', 3, { app: 'client' })
const FLAGS = ['--service-proxy', 'picket', '--service-cidrs', '10.96.0.0/16,fd00:96::/112']
const [HERE, THERE, KEEPS, NAMES] = [10, 11, 12, 13]
/** What holds packets between translation and confirmation: nft's own queue is missing in some kernels. */
const hasIptables = spawnSync('iptables-nft', ['--version']).status === 0
const HOLD = fileURLToPath(new URL('../support/hold-packets.ts', import.meta.url))

const vip = (number: number, family: Family): Address => (family === 4 ? `10.96.0.${number}` : `fd00:96::${number.toString(16)}`)
const at = (pod: RealPod, family: Family): Address => pod.addresses[family === 4 ? 0 : 1] as Address

for (const attachment of attachments()) describe(`connections behind Services, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [DB, FAR, NEAR], attachment, flags: FLAGS })
    for (const family of FAMILIES) lab.run('outside', ['ip', family === 4 ? '-4' : '-6', 'route', 'add', 'default', 'via', lab.nodeAddress('n1', family)])
    lab.put(
      serviceObject('shop/here', HERE, { type: 'NodePort' }), ...sliceObjects('shop/here', [DB]),
      serviceObject('shop/there', THERE), ...sliceObjects('shop/there', [FAR]),
      serviceObject('shop/keeps', KEEPS, { type: 'NodePort', externalTrafficPolicy: 'Local' }), ...sliceObjects('shop/keeps', [DB]),
      serviceObject('shop/names', NAMES), ...sliceObjects('shop/names', [DB, FAR]),
    )
    await lab.settle()
  })
  after(() => lab.close())

  async function restart(...flags: readonly string[]): Promise<void> {
    await lab.agents.stop('n1')
    await lab.agents.start('n1', [...FLAGS, ...flags])
    await lab.settle()
  }

  /** Ways to an endpoint: to that of the own node and to that of the other, and from outside with the client's address and with the node's. */
  interface Way {
    readonly client: string
    readonly address: (family: Family) => Address
    readonly port: number
  }
  const WAYS: readonly Way[] = [
    { client: 'shop/near', address: (family) => vip(HERE, family), port: 80 },
    { client: 'shop/near', address: (family) => vip(THERE, family), port: 80 },
    { client: 'outside', address: (family) => lab.nodeAddress('n1', family), port: nodePortOf(KEEPS, 'TCP') },
    { client: 'outside', address: (family) => lab.nodeAddress('n1', family), port: nodePortOf(HERE, 'TCP') },
  ]
  const ALLOWED: readonly PlainObject[] = [ingress('shop/in', { app: 'server' }, { ports: [{ port: 8080 }, { protocol: 'UDP', port: 8080 }] }), ingress('shop/client', { app: 'client' })]

  /** Connections that go on, and out-of-window segments of their servers: how many came to each client with a pod's own address. */
  async function untranslated(): Promise<Readonly<Record<string, Readonly<Record<string, number>>>>> {
    const flows = await Promise.all(WAYS.flatMap(({ client, address, port }) => FAMILIES.map((family) => lab.testbed.openFlow(lab.source(client), address(family), 'TCP', port, { packetsPerSecond: 100 }))))
    const bare = Object.fromEntries([DB, FAR].flatMap((pod) => FAMILIES.map((family) => [`${pod === DB ? 'db' : 'far'}${family}`, `${family === 4 ? 'ip' : 'ip6'} saddr ${at(pod, family)} tcp sport 8080`])))
    const watches = ['shop/near', 'outside'].map((client) => [client, new WireWatch(lab, client, bare)] as const)
    for (const server of [DB, FAR]) for (const family of FAMILIES) sendOutOfWindow(lab, server, family)
    for (const flow of flows) {
      const { answered } = await flow.stats()
      for (const until = Date.now() + 3_000; (await flow.stats()).answered < answered + 10; await pause(20)) assert.ok(Date.now() < until, 'a connection does not go on')
    }
    const counts = Object.fromEntries(watches.map(([client, watch]) => [client, watch.counts()]))
    for (const stats of await Promise.all(flows.map((flow) => flow.stop()))) assert.equal(stats.broken, null)
    for (const [, watch] of watches) watch.close()
    return counts
  }

  const NOTHING = { db4: 0, db6: 0, far4: 0, far6: 0 }
  for (const [title, policies] of [['where nothing is isolated', []], ['under policies that allow it', ALLOWED]] as const) {
    it(`rule 85: what conntrack cannot place of a connection comes from no endpoint untranslated, and the connection goes on, ${title}`, async () => {
      await lab.policies(...policies)
      assert.deepEqual(await untranslated(), { 'shop/near': NOTHING, outside: NOTHING })
    })
  }

  if (hasIptables) {
    it('rule 86: datagrams of one socket that are under way at once to several endpoints are all answered', async () => {
      await lab.policies(...ALLOWED, egress('shop/out', { app: 'client' }, { to: [{ podSelector: { matchLabels: { app: 'server' } } }], ports: [{ protocol: 'UDP', port: 8080 }] }))
      const sources = Array.from({ length: 30 }, (_, index) => 5_000 + index)
      // A pod comes with its own address, who is outside with the node's.
      for (const client of ['shop/near', 'outside']) for (const family of FAMILIES) {
        const ends = { from: lab.addressOf(client, family), to: vip(NAMES, family) }
        const watch = new WireWatch(lab, client, { answers: `${family === 4 ? 'ip' : 'ip6'} saddr ${ends.to} udp sport 80 udp dport 5000-5029` })
        const before = clashes()
        const released = await hold(2 * sources.length, family)
        // A and AAAA: the second is under way before the first one's connection is confirmed.
        forge(lab, client, ...sources.flatMap((source) => [8, 9].map((size) => udpPacket(ends, { source, destination: 80 }, size))))
        assert.equal(await released(), `held ${2 * sources.length}`)
        await watch.expect({ answers: 2 * sources.length })
        const after = clashes()
        assert.ok(after.resolved >= before.resolved + 5, `${JSON.stringify([before, after])}: no two of them went to different endpoints`)
        assert.equal(after.lost, before.lost)
        watch.close()
      }
    })
  }

  /** On n1: entries that met another of their tuple, and those of them whose packet was lost. */
  function clashes(): { readonly resolved: number; readonly lost: number } {
    const [head = '', ...rows] = lab.run('n1', ['cat', '/proc/net/stat/nf_conntrack']).trim().split('\n').map((line) => line.split(/\s+/))
    const sum = (name: string): number => rows.reduce((all, row) => all + Number.parseInt(row[(head as readonly string[]).indexOf(name)] ?? '', 16), 0)
    return { resolved: sum('clashres'), lost: sum('insert_failed') + sum('drop') }
  }

  /** So many datagrams to endpoints wait on n1, between translation and confirmation, and then go at once. */
  async function hold(count: number, family: Family): Promise<() => Promise<string>> {
    const program = family === 4 ? 'iptables-nft' : 'ip6tables-nft'
    const rule = ['FORWARD', '-p', 'udp', '--dport', '8080', '-m', 'conntrack', '--ctstate', 'NEW', '-j', 'NFQUEUE', '--queue-num', '7']
    const holder = spawn('nsenter', [`--net=${lab.testbed.netnsOf(lab.source('n1'))}`, '--', process.execPath, HOLD, '7', String(count)], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(holder, 'exit')
    const lines = createInterface({ input: holder.stdout })[Symbol.asyncIterator]()
    assert.equal((await lines.next()).value, 'ready')
    lab.run('n1', [program, '-t', 'mangle', '-A', ...rule])
    return async () => {
      const line: string = (await lines.next()).value ?? ''
      await ended
      lab.run('n1', [program, '-t', 'mangle', '-D', ...rule])
      return line
    }
  }

  it('rule 85, the control: with dropInvalid false the same segments come with the pod\'s own address', async () => {
    await lab.policies()
    await restart('--drop-invalid', 'false')
    const { 'shop/near': near, outside } = await untranslated()
    // The other node drops those of its own pod.
    for (const name of ['db4', 'db6'] as const) assert.ok((near?.[name] ?? 0) > 0 && (outside?.[name] ?? 0) > 0, JSON.stringify([near, outside]))
    await restart()
  })
})
