// What lost its permission says nothing any more, in either direction, within 200 ms of the commit (rules 78, 79), and what
// keeps it loses no packet: echoes both ways, on real packets, between pods of one node and of two, and from outside.
//
// **Invariant:** what arrives is counted in front of everything in the namespace of whoever gets it.
import assert from 'node:assert/strict'
import type { Flow } from '../../src/lab/testbed.ts'
import { FAMILIES } from '../../src/model/ip.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { egress, ingress, realPod, type PlainObject } from '../support/real-objects.ts'
import { pause, WireWatch } from '../support/real-wire.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const NEAR = realPod('shop/near', 'n1', 2, { app: 'near' })
const WEB = realPod('shop/web', 'n2', 3, { app: 'web' })
const FRIEND = realPod('shop/friend', 'n2', 4, { app: 'friend' })
const CUT_MS = 200
const CLIENTS = ['shop/near', 'shop/web', 'outside'] as const

const peer = (app: string) => ({ podSelector: { matchLabels: { app } } })
const ONLY_FRIEND = ingress('shop/in', { app: 'db' }, { from: [peer('friend')] })

for (const attachment of ['veth', 'bridge'] as const) describe(`cut both ways, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [DB, NEAR, WEB, FRIEND], attachment })
  })
  after(() => lab.close())

  function flows(from: string): Promise<readonly Flow[]> {
    return Promise.all((['UDP', 'TCP'] as const).flatMap((protocol) => FAMILIES.map((family) => lab.flow(from, 'shop/db', protocol, family))))
  }

  /** When the kernels held it; milliseconds since 1970. */
  async function programmed(): Promise<number> {
    const times = await Promise.all(['n1', 'n2'].map(async (node) => JSON.parse((await lab.agents.get(node, '/status'))?.body ?? '{}').programmedAt as string))
    return Math.max(...times.map((time) => Date.parse(time)))
  }

  /** At either end, of that client's connections. */
  function watches(client: string): readonly WireWatch[] {
    const at = (where: string, other: string): WireWatch => {
      const [four, six] = [4, 6].map((family) => lab.addressOf(other, family as 4 | 6))
      return new WireWatch(lab, where, { four: `ip saddr ${four} meta l4proto { tcp, udp }`, six: `ip6 saddr ${six} meta l4proto { tcp, udp }` })
    }
    return [at('shop/db', client), at(client, 'shop/db')]
  }

  async function areCut(client: string, ...policies: readonly PlainObject[]): Promise<void> {
    await lab.policies()
    const [cut, kept] = [await flows(client), await flows('shop/friend')]
    await pause(300)
    await lab.policies(...policies)
    await pause(2 * CUT_MS)
    const since = await programmed()
    const both = watches(client)
    for (const flow of cut) {
      const { lastAnswerAt } = await flow.stats()
      assert.ok(lastAnswerAt !== null && lastAnswerAt - since < CUT_MS, `${client}: the last answer came ${(lastAnswerAt ?? 0) - since} ms after the commit`)
    }
    await pause(300)
    for (const watch of both) {
      assert.deepEqual(watch.counts(), { four: 0, six: 0 }, `${client}: something still arrives`)
      watch.close()
    }
    await Promise.all(cut.map((flow) => flow.stop()))
    for (const flow of kept) {
      const { lost, broken, answered } = await flow.stop()
      assert.deepEqual({ lost, broken, some: answered > 50 }, { lost: 0, broken: null, some: true }, 'a connection that keeps its permission lost something')
    }
  }

  for (const client of CLIENTS) {
    it(`rules 78, 79: ${client} and its server hear nothing of each other 200 ms after the commit, another connection loses nothing`, async () => {
      await areCut(client, ONLY_FRIEND)
      // Whoever forbids it: the client's own egress.
      if (client !== 'outside') await areCut(client, egress('shop/out', { app: client.slice(5) }, { to: [peer('friend')] }))
    })
  }
})
