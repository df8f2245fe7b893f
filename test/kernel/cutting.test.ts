// Cutting (rules 78, 79, 81, 83) on real packets: one-way streams, which only the reply direction carries on.
//
// The database streams to clients that spoke once: near it (n1), on another node (n2), on a node that keeps established
// connections (n3). **Invariant:** each test replaces all policies, and ends the streams that it opened.
import assert from 'node:assert/strict'
import { RealCluster } from '../support/real-cluster.ts'
import { expectErrors, type Connection } from '../support/real-errors.ts'
import { denyAll, egress, ingress, realPod, type PlainObject } from '../support/real-objects.ts'
import { streamServer, StreamClient } from '../support/real-stream.ts'
import { pause } from '../support/real-wire.ts'
import { attachments, sampled } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const NEAR = realPod('shop/near', 'n1', 2, { app: 'near' })
const WEB = realPod('shop/web', 'n2', 3, { app: 'web' })
const KEPT = realPod('shop/kept', 'n3', 4, { app: 'kept' })
const UDP = 6001
const TCP = 6002
const CUT_MS = 200
const WATCHED_MS = 200
/** As long as the longest cut here, and twice that. */
const AGAIN_MS = 20_000

const peer = (app: string) => ({ podSelector: { matchLabels: { app } } })
const ONLY_NEAR = ingress('shop/in', { app: 'db' }, { from: [peer('near')] })

/** Of those that take long, `npm test` runs one seldom. */
const long = new Set(sampled(['whoever', 'restart', 'many']))

for (const attachment of attachments()) describe(`cutting, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster
  const open: { close(): void }[] = []

  before(async () => {
    lab = await RealCluster.open({ attachment, nodes: 3, agents: false, namespaces: { shop: {} }, pods: [DB, NEAR, WEB, KEPT] })
    await lab.agents.start('n1')
    await lab.agents.start('n2')
    await lab.agents.start('n3', ['--established-connections', 'keep'])
    await lab.settle()
    for (const server of ['shop/db', 'shop/kept']) {
      for (const [kind, port] of [['udp', UDP], ['tcp', TCP]] as const) servers.push(await streamServer(lab, server, kind, port))
    }
  })
  const servers: { close(): void }[] = []
  after(async () => {
    for (const one of servers) one.close()
    await lab.close()
  })
  afterEach(() => {
    for (const one of open.splice(0)) one.close()
  })

  /** Both protocols, both families, from one port a family where it is given; resolves when all of them flow. */
  async function streams(client: string, server = DB, fromPort = 0): Promise<readonly StreamClient[]> {
    const ports = server.addresses.map((_, index) => (fromPort === 0 ? 0 : fromPort + index))
    const made = server.addresses.flatMap((address, index) => [new StreamClient(lab, client, 'udp', address, UDP, ports[index]), new StreamClient(lab, client, 'tcp', address, TCP, ports[index])])
    open.push(...made)
    for (const one of made) await one.flows()
    return made
  }

  async function status(node: string): Promise<{ readonly programmedAt: string; readonly counts: Readonly<Record<string, number>> }> {
    const answer = await lab.agents.get(node, '/status')
    assert.ok(answer !== null)
    return JSON.parse(answer.body) as Awaited<ReturnType<typeof status>>
  }

  async function areCut(made: readonly StreamClient[], ...policies: readonly PlainObject[]): Promise<void> {
    await lab.policies(...policies)
    await pause(CUT_MS * 2)
    const nodes = ['n1', 'n2', 'n3']
    const programmed = Math.max(...(await Promise.all(nodes.map(async (node) => Date.parse((await status(node)).programmedAt)))))
    for (const one of made) {
      const { lastAt } = await one.received()
      assert.ok(lastAt - programmed < CUT_MS, `the last message came ${lastAt - programmed} ms after the commit`)
      assert.equal(await one.progress(WATCHED_MS), 0)
    }
  }

  /** All of them bring something; within `ms`: TCP sends again after a while that doubles each time. */
  async function flow(made: readonly StreamClient[], ms = 0): Promise<void> {
    const until = Date.now() + ms
    for (const one of made) {
      for (;;) {
        const count = await one.progress(WATCHED_MS)
        if (count > 10) break
        assert.ok(Date.now() < until, `${count} messages in ${WATCHED_MS} ms`)
      }
    }
  }

  /** Lines of conntrack about the streams, as the kernel lists them. */
  function entries(node: string): number {
    return lab.run(node, ['cat', '/proc/net/nf_conntrack'], { mayFail: true }).split('\n').filter((line) => /dport=600[12] /.test(line)).length
  }

  it('rules 78, 79: a server\'s stream to a client that lost its permission ends within 200 ms, another one goes on', async () => {
    await lab.policies()
    const [cut, kept] = [await streams('shop/web'), await streams('shop/near')]
    const before = entries('n1')
    await areCut(cut, ONLY_NEAR)
    await flow(kept)
    assert.ok(entries('n1') >= before, 'entries of conntrack went')
  })

  if (long.has('whoever')) it('rule 79: whoever loses it: the server\'s ingress, the client\'s egress, on one node and on two', async () => {
    for (const client of ['shop/web', 'shop/near']) {
      for (const policy of [ingress('shop/in', { app: 'db' }), egress('shop/out', { app: client.slice(5) }), denyAll('shop')]) {
        await lab.policies()
        const made = await streams(client)
        await areCut(made, policy)
        for (const one of open.splice(0)) one.close()
      }
    }
  })

  if (long.has('many')) it('rules 78, 79: among 100,000 connections of the server, those that are answered end within 200 ms', async () => {
    await lab.policies()
    lab.run('n1', [process.execPath, new URL('../support/fill-conntrack.ts', import.meta.url).pathname, '100000', DB.addresses[0] as string, String(UDP), '10.77'])
    const [cut, kept] = [await streams('shop/web'), await streams('shop/near')]
    await areCut(cut, ONLY_NEAR)
    await flow(kept)
    const counted = async (count: (cut: number) => boolean): Promise<void> => {
      for (const until = Date.now() + AGAIN_MS; !count((await status('n1')).counts['cutConnections'] ?? 0); await pause(200)) assert.ok(Date.now() < until, 'it did not come about in time')
    }
    await counted((count) => count > 100_000)
    forget()
    await lab.policies()
    await counted((count) => count === 0)
    for (const set of ['under-review-v4', 'under-review-v6']) {
      assert.doesNotMatch(lab.run('n1', ['nft', 'list', 'set', 'inet', 'picket', set]), /elements/)
    }
  })

  it('rules 78, 81: what is allowed again flows again', async () => {
    await lab.policies()
    const made = await streams('shop/web')
    await areCut(made, ONLY_NEAR)
    await lab.policies()
    await flow(made, AGAIN_MS)
    assert.equal((await status('n1')).counts['cutConnections'], 0)
  })

  it('rule 79: a peer that leaves its selector, and one that leaves its CIDR', async () => {
    const v6 = [{ ipBlock: { cidr: 'fd00:88::/32', except: [`${WEB.addresses[1] as string}/128`] } }]
    const blocks = (four: string) => ingress('shop/in', { app: 'db' }, { from: [{ ipBlock: { cidr: '10.88.0.0/16', except: [four] } }, ...v6] })
    await lab.policies(ONLY_NEAR)
    const near = await streams('shop/near')
    await areCut(near, blocks('10.88.0.2/32'), egress('shop/all', { app: 'near' }, { to: [peer('web')] }))
  })

  it('rule 78: establishedConnections keep goes on', async () => {
    await lab.policies()
    const made = await streams('shop/kept', KEPT)
    await lab.policies(ingress('shop/in', { app: 'kept' }))
    await pause(CUT_MS * 2)
    await flow(made)
  })

  if (long.has('restart')) it('rule 101: a restart keeps what is cut, and cuts what was lost while it was away', async () => {
    await lab.policies()
    const [web, near] = [await streams('shop/web'), await streams('shop/near')]
    await areCut(web, ONLY_NEAR)
    await lab.agents.stop('n1', 'SIGKILL')
    await pause(WATCHED_MS)
    for (const one of web) assert.equal(await one.progress(WATCHED_MS), 0)
    await flow(near)
    lab.drop('NetworkPolicy shop/in')
    lab.put(ingress('shop/in', { app: 'db' }))
    await lab.write()
    await lab.agents.start('n1')
    await lab.settle()
    await pause(CUT_MS * 2)
    for (const one of [...web, ...near]) assert.equal(await one.progress(WATCHED_MS), 0)
    await lab.policies()
    await flow([...web, ...near], AGAIN_MS)
  })

  it('rule 83: where conntrack forgets a connection that is cut, the server finds no way back in', async () => {
    await lab.policies()
    const made = await streams('shop/web')
    await areCut(made, ONLY_NEAR)
    forget()
    await pause(WATCHED_MS)
    for (const one of made) one.send()
    for (const one of made) assert.equal(await one.progress(WATCHED_MS), 0)
  })

  it('rule 83: an entry that the server\'s packet made anew does not let its denied client in', async () => {
    await lab.policies()
    const made = await streams('shop/web')
    await flow(made)
    // The entry goes before the policy comes; the server's next packet makes one in reverse.
    forget()
    await pause(50)
    await flow(made)
    await lab.policies(ONLY_NEAR)
    await pause(CUT_MS * 2)
    const watch = `table inet t83 {}\ndelete table inet t83\ntable inet t83 { counter c {}; chain seen { type filter hook prerouting priority -500; meta l4proto { tcp, udp } th dport { ${UDP}, ${TCP} } counter name c; }; }\n`
    lab.nft('shop/db', watch)
    for (const one of made) one.send()
    await pause(WATCHED_MS)
    assert.match(lab.listing('shop/db', 'inet t83'), /packets 0 /)
    lab.nft('shop/db', 'delete table inet t83\n')
  })

  for (const [client, fromPort] of [[WEB, 47_100], [NEAR, 47_200]] as const) {
    it(`rules 75, 78: ICMP errors about a connection of ${client.key} that is cut reach neither end, about others they do`, async () => {
      const about = (from: typeof DB, clientPort: number): Connection[] => (['udp', 'tcp'] as const).map((kind) => ({ client: from, server: DB, kind, clientPort, port: kind === 'udp' ? UDP : TCP }))
      const other = client === WEB ? NEAR : WEB
      const [cut, kept] = [about(client, fromPort), about(other, fromPort + 10)]
      const none = { four: 0, six: 0 }
      const all = { four: 4, six: 4 }
      await lab.policies()
      const made = [await streams(client.key, DB, fromPort), await streams(other.key, DB, fromPort + 10)] as const
      await areCut(made[0], ingress('shop/in', { app: 'db' }, { from: [peer(other.key.slice(5))] }), egress('shop/out', { app: 'db' }))
      for (const sender of [client, other]) await expectErrors(lab, cut, 'server', sender, none)
      await expectErrors(lab, cut, 'client', DB, none)
      await flow(made[1])
      await expectErrors(lab, kept, 'client', DB, all)
      await expectErrors(lab, kept, 'server', other, all)
      await lab.policies()
      await flow(made[0], AGAIN_MS)
      await expectErrors(lab, cut, 'server', client, all)
    })
  }

  it('rules 75, 78: nor do they where the client called an address that its node translates', async () => {
    const vip = { ...DB, addresses: ['10.99.0.1', 'fd00:99::1'] }
    const [four = '', six = ''] = DB.addresses
    lab.nft('n2', `table inet vip { chain to { type nat hook prerouting priority dstnat; ip daddr 10.99.0.1 dnat ip to ${four}; ip6 daddr fd00:99::1 dnat ip6 to ${six}; }; }\n`)
    try {
      const about = (server: typeof DB) => (['udp', 'tcp'] as const).map((kind): Connection => ({ client: WEB, server, kind, clientPort: 47_400, port: kind === 'udp' ? UDP : TCP }))
      const expect = async (each: number): Promise<void> => {
        await expectErrors(lab, about(vip), 'server', WEB, { four: each, six: each })
        await expectErrors(lab, about(DB), 'client', DB, { four: each, six: each })
      }
      await lab.policies()
      const made = await streams('shop/web', vip, 47_400)
      await expect(4)
      await areCut(made, egress('shop/out', { app: 'web' }, { to: [peer('near')] }))
      await expect(0)
    } finally {
      lab.nft('n2', 'delete table inet vip\n')
    }
  })

  it('rules 75, 83: nor do they where the entry is one that the server\'s packet made anew', async () => {
    const about = (['udp', 'tcp'] as const).map((kind): Connection => ({ client: WEB, server: DB, kind, clientPort: 47_300, port: kind === 'udp' ? UDP : TCP }))
    await lab.policies()
    const made = await streams('shop/web', DB, 47_300)
    forget()
    await pause(50)
    await flow(made)
    await expectErrors(lab, about, 'client', DB, { four: 4, six: 4 })
    await lab.policies(ONLY_NEAR)
    await pause(CUT_MS * 2)
    await expectErrors(lab, about, 'server', WEB, { four: 0, six: 0 })
    await expectErrors(lab, about, 'client', DB, { four: 0, six: 0 })
  })

  /** Deletes every entry of both nodes, as `conntrack -F` does. */
  function forget(): void {
    for (const node of ['n1', 'n2']) lab.run(node, [process.execPath, new URL('../support/flush-conntrack.ts', import.meta.url).pathname])
  }
})
