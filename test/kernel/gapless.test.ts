// No gap while rules change and agents restart (rules 91, 101-103): each packet of a flow that every state allows passes, and
// none of a flow that no state allows, counted by the kernel in front of our table and behind it.
//
// 1,000,000 packets (400,000 on a bridge) while an ipBlock policy is edited 200 times (80), and as many over 100 restarts (30);
// `npm test` takes a small part.
// **Invariant:** counters stand in a table of their own on the node; what they differ by was lost in between.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { RealCluster } from '../support/real-cluster.ts'
import { randomFrom, type Random } from '../support/random.ts'
import { egress, ingress, namespaceObject, podObject, realPod, type PlainObject } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'

const WHOLE = process.env['PICKET_TEST_WHOLE'] === '1'
const SEED = Number(process.env['PICKET_TEST_SEED'] ?? Math.floor(Date.now() / 1000) % 100_000)
const EDITS = WHOLE ? { veth: 200, bridge: 80 } : { veth: 20, bridge: 10 }
const RESTARTS = WHOLE ? { veth: 100, bridge: 30 } : { veth: 4, bridge: 2 }
const PACKETS = WHOLE ? { veth: 1_000_000, bridge: 400_000 } : { veth: 50_000, bridge: 50_000 }
const FLOOD = fileURLToPath(new URL('../support/flood.ts', import.meta.url))
const TABLE = 'inet gapless'
const PORT = 7000

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const NEAR = realPod('shop/near', 'n1', 2, { app: 'near' })
const WEB = realPod('shop/web', 'n1', 3, { app: 'web' })

/** Always allows shop/near and never shop/web; everything around them changes. */
function edit(random: Random): PlainObject {
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const some = <T>(list: readonly T[]): readonly T[] => list.filter(() => random() < 0.5)
  const blocks = [
    { ipBlock: { cidr: one(['10.88.0.0/16', '10.88.0.0/24', '10.0.0.0/8', '0.0.0.0/0']), except: ['10.88.0.3/32', ...some(['10.88.0.16/28', '10.88.0.64/26', '10.88.0.4/31'])] } },
    { ipBlock: { cidr: one(['fd00:88::/32', 'fd00:88::/64', '::/0']), except: ['fd00:88::3/128', ...some(['fd00:88::10/124', 'fd00:88::4/126'])] } },
  ]
  const others = some(Array.from({ length: 6 }, (_, i) => ({ ipBlock: { cidr: `172.16.${Math.floor(random() * 200)}.${i * 32}/27` } })))
  const pods = { podSelector: { matchLabels: { app: 'near' } } }
  const ports = one([{}, { ports: [{ protocol: 'UDP', port: PORT }] }, { ports: [{ protocol: 'UDP', port: PORT - 10, endPort: PORT + Math.floor(random() * 50) }] }, { ports: [{ protocol: 'UDP' }, { port: 80 }] }])
  return ingress('shop/in', { app: 'db' }, { from: one([[...blocks, ...others], [...others, ...blocks], [pods, ...others], [pods, ...blocks]]), ...ports })
}

for (const attachment of ['veth', 'bridge'] as const) describe(`no gap, on real packets, pods on ${attachment}, seed ${SEED}`, function () {
  this.timeout(1_200_000)
  const packets = PACKETS[attachment]
  let lab: RealCluster
  const floods: ChildProcess[] = []

  before(async () => {
    lab = await RealCluster.open({ nodes: 1, namespaces: { shop: {}, edge: {} }, pods: [DB, NEAR, WEB], attachment })
    // Nobody listens there, and nobody shall say so a million times.
    lab.nft('shop/db', `table inet deaf { chain in { type filter hook input priority 0; udp dport ${PORT} drop; }; }\n`)
  })
  after(async () => {
    end()
    await lab.close()
  })
  afterEach(end)

  function end(): void {
    for (const flood of floods.splice(0)) flood.kill('SIGKILL')
  }

  /** Counts what comes to the node for the database and what leaves it, by sender and family. */
  function watch(): void {
    const names = ['v4', 'v6'].flatMap((family) => ['near', 'web'].flatMap((sender) => [`in-${sender}-${family}`, `out-${sender}-${family}`]))
    const rules = (side: 'in' | 'out'): string =>
      [NEAR, WEB]
        .flatMap(({ key, addresses }) =>
          (['v4', 'v6'] as const).map((family, i) => `${family === 'v4' ? 'ip' : 'ip6'} saddr ${addresses[i]} udp dport ${PORT} counter name ${side}-${key.slice(5)}-${family}`),
        )
        .join('; ')
    lab.nft('n1', `table ${TABLE} {}
delete table ${TABLE}
table ${TABLE} {
${names.map((name) => `counter ${name} {}`).join('\n')}
chain before { type filter hook prerouting priority -500; ${rules('in')}; }
chain after { type filter hook postrouting priority 500; ${rules('out')}; }
}
`)
  }

  function counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...lab.listing('n1', TABLE).matchAll(/counter (\S+) \{\s+packets (\d+)/g)].map(([, name, packets]) => [name ?? '', Number(packets)]))
  }

  const passed = (): number => (counts()['in-near-v4'] ?? 0) + (counts()['in-near-v6'] ?? 0)

  function flood(where: string, rate: number): void {
    const targets = DB.addresses.flatMap((address, i) => [address, String(PORT), String(40_000 + i)])
    floods.push(spawn('nsenter', [`--net=${lab.testbed.netnsOf(lab.source(where))}`, '--', process.execPath, FLOOD, String(rate), ...targets], { stdio: 'inherit' }))
  }

  /** Runs `change` so often, and until so many packets have passed, while both flows run; then says what they came to. */
  async function holds(rate: number, times: number, change: (index: number) => Promise<void>): Promise<void> {
    await lab.policies(edit(randomFrom(1)))
    watch()
    flood('shop/near', rate)
    flood('shop/web', rate / 10)
    for (let index = 0; index < times || passed() < packets; index++) await change(index)
    end()
    await pause(200)
    const all = counts()
    for (const family of ['v4', 'v6'] as const) {
      const came = all[`in-near-${family}`] ?? 0
      assert.ok(came > packets / 3, `only ${came} packets of ${family} came`)
      assert.ok((all[`in-web-${family}`] ?? 0) > packets / 100, `the denied flow of ${family} did not run`)
      assert.equal(all[`out-near-${family}`], came, `${family}: packets that every state allows were lost`)
      assert.equal(all[`out-web-${family}`], 0, `${family}: packets that no state allows went through`)
    }
    lab.nft('n1', `delete table ${TABLE}\n`)
  }

  it(`rule 91: 0 missed, 0 leaked while an ipBlock policy is edited ${EDITS[attachment]} times`, async () => {
    const random = randomFrom(SEED)
    await holds(40_000, EDITS[attachment], () => lab.policies(edit(random)))
  })

  it(`rule 91: 0 missed, 0 leaked while labels, pods, namespaces and policies around them change ${EDITS[attachment]} times`, async () => {
    const random = randomFrom(SEED + 2)
    await holds(20_000, EDITS[attachment], async () => {
      around(random)
      await lab.settle()
    })
  })

  /** Moves the database from profile to profile, and fills and empties the sets that its rules read; near is allowed by one rule all the time. */
  function around(random: Random): void {
    const some = (chance: number): boolean => random() < chance
    const other = (key: string): PlainObject => namespaceObject(key, some(0.5) ? { team: 'red' } : {})
    const guests = Array.from({ length: 12 }, (_, i) => realPod(`${i % 2 === 0 ? 'shop' : 'edge'}/guest-${i}`, 'n2', 50 + i, { app: some(0.5) ? 'near' : 'far', ...(some(0.5) ? { more: 'yes' } : {}) }))
    for (const guest of guests) {
      if (some(0.7)) lab.put(podObject(guest))
      else if (lab.has(`Pod ${guest.key}`)) lab.drop(`Pod ${guest.key}`)
    }
    lab.put(podObject({ ...DB, labels: { app: 'db', ...(some(0.5) ? { tier: 'back' } : {}) } }), podObject({ ...NEAR, labels: { app: 'near', ...(some(0.5) ? { more: 'yes' } : {}) } }), other('edge'))
    lab.put(ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'near' } } }] }))
    const beside = [
      ingress('shop/beside-0', { tier: 'back' }, { from: [{ namespaceSelector: { matchLabels: { team: 'red' } }, podSelector: { matchLabels: { app: 'near' } } }] }),
      ingress('shop/beside-1', { app: 'db' }, { from: [{ podSelector: { matchLabels: { more: 'yes', app: 'near' } } }], ports: [{ protocol: 'UDP', port: PORT }, { port: 80 }] }),
      egress('shop/beside-2', { app: 'near' }, { to: [{ podSelector: {} }] }),
    ]
    for (const policy of beside) {
      const id = `NetworkPolicy ${policy.metadata.namespace}/${policy.metadata.name}`
      if (some(0.5)) lab.put(policy)
      else if (lab.has(id)) lab.drop(id)
    }
  }

  it(`rules 101, 102, 103: 0 missed, 0 leaked over ${RESTARTS[attachment]} restarts, every other one by SIGKILL amid an edit`, async () => {
    const random = randomFrom(SEED + 1)
    await holds(12_000, RESTARTS[attachment], async (index) => {
      const isKill = index % 2 === 1
      if (isKill) {
        lab.put(edit(random))
        await lab.write()
        await pause(random() * 60)
      }
      await lab.agents.stop('n1', isKill ? 'SIGKILL' : 'SIGTERM')
      await lab.agents.start('n1')
      await lab.settle()
    })
  })
})
