// sessionAffinity on real packets, many clients on one Service: only those move whose endpoint leaves, and where they go.
//
// **Invariant:** every client asks in both families, over TCP, UDP and SCTP; every source address is a client of its own.
import assert from 'node:assert/strict'
import type { ProbeRequest } from '../../src/lab/testbed.ts'
import { FAMILIES, type Address, type Family } from '../../src/model/ip.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { EVERY_PROTOCOL, realPod, type PlainObject, type RealPod } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'
import { attachments } from '../support/sample.ts'
import { serviceObject, sliceObjects } from '../support/service-objects.ts'

const PODS = ['a', 'b', 'c', 'd'].map((name, index) => realPod(`shop/${name}`, index < 2 ? 'n1' : 'n2', index + 1)) as [RealPod, RealPod, RealPod, RealPod]
const [A, B, C, D] = PODS
const FLAGS = ['--service-proxy', 'picket', '--service-cidrs', '10.96.0.0/16,fd00:96::/112']
const CLIENTS = 32
const SOURCES = FAMILIES.flatMap((family) => Array.from({ length: CLIENTS }, (_, n): Address => (family === 4 ? `203.0.113.${n + 1}` : `2001:db8::${(n + 1).toString(16)}`)))
const [STAYS, NEXT] = [16, 17]
const VIP = (number: number, family: Family): Address => (family === 4 ? `10.96.0.${number}` : `fd00:96::${number.toString(16)}`)
const MAPS = EVERY_PROTOCOL.flatMap((protocol) => ['v4', 'v6'].map((family) => `affinity-${protocol.toLowerCase()}-${family}`))
/** A client's endpoint, by `PROTOCOL SOURCE`. */
type Ends = ReadonlyMap<string, string>

for (const attachment of attachments()) describe(`sessionAffinity, on real packets, pods on ${attachment}`, function () {
  this.timeout(120_000)
  let lab: RealCluster

  const stays = (key: string, number: number, seconds = 10_800): PlainObject =>
    serviceObject(key, number, { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: seconds } } })

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: PODS, attachment, flags: FLAGS, outsideAddresses: SOURCES })
    for (const family of FAMILIES) lab.run('outside', ['ip', family === 4 ? '-4' : '-6', 'route', 'replace', 'default', 'via', lab.nodeAddress('n1', family)])
    await place(stays('shop/stays', STAYS), ...sliceObjects('shop/stays', PODS))
  })
  after(() => lab.close())

  async function place(...objects: readonly PlainObject[]): Promise<void> {
    lab.put(...objects)
    await lab.settle()
  }

  /** One connection of each client; whoever lost a packet asks again. */
  async function ask(number = STAYS): Promise<Ends> {
    const ends = new Map<string, string>()
    const requests = EVERY_PROTOCOL.flatMap((protocol) => SOURCES.map((source) => ({ name: `${protocol} ${source}`, protocol, source, family: source.includes(':') ? (6 as const) : (4 as const) })))
    for (let round = 0; round < 3 && ends.size < requests.length; round++) {
      const left = requests.filter(({ name }) => !ends.has(name))
      const probes = left.map(({ protocol, source, family }): ProbeRequest => ({ from: { kind: 'outside' }, address: VIP(number, family), protocol, port: 80, source }))
      const results = await lab.testbed.probe(probes, 1_500)
      results.forEach((result, index) => {
        if (result.kind === 'answered') ends.set(left[index]?.name ?? '', result.by)
      })
    }
    assert.equal(ends.size, requests.length, 'every client is answered')
    return ends
  }

  /** How many clients are remembered with that pod. */
  function remembered({ addresses }: RealPod): number {
    const listing = MAPS.map((map) => lab.run('n1', ['nft', '-n', 'list', 'map', 'inet', 'picket', map])).join('')
    return addresses.reduce((sum, address) => sum + listing.split(new RegExp(`: ${address.replaceAll('.', '\\.')}[ ,\n]`)).length - 1, 0)
  }

  /** Without that there is nobody to be forgotten. */
  function isRemembered(pod: RealPod): void {
    assert.ok(remembered(pod) > 0, `nobody is remembered with ${pod.key}`)
  }

  /** Nobody is remembered with it: within a second, but for a machine that is busy. */
  async function forgotten(pod: RealPod): Promise<void> {
    for (const end = Date.now() + 3_000; ; ) {
      const left = remembered(pod)
      if (left === 0) return
      assert.ok(Date.now() < end, `${left} clients are still remembered with ${pod.key}`)
      await pause(20)
    }
  }

  /** Exactly the clients of these moved, to the others, and not all to one. */
  function moved(before: Ends, after: Ends, ...gone: readonly RealPod[]): void {
    const keys = gone.map(({ key }) => key)
    const wrong = [...before].filter(([name, end]) => (keys.includes(end) ? keys.includes(after.get(name) ?? '') : after.get(name) !== end))
    assert.deepEqual(wrong.map(([name, end]) => `${name}: ${end} -> ${after.get(name)}`), [])
    const places = [...before].flatMap(([name, end]) => (keys.includes(end) ? [after.get(name)] : []))
    assert.ok(gone.length === 0 || (places.length >= 8 && new Set(places).size === PODS.length - gone.length), `${places.length} clients moved, to ${[...new Set(places)].join()}`)
  }

  it('an endpoint that leaves takes its clients along, and nobody else; nobody moves when it comes back', async () => {
    const first = await ask()
    assert.equal(new Set(first.values()).size, 4, 'clients are spread')
    assert.deepEqual(await ask(), first)
    isRemembered(C)
    await place(...sliceObjects('shop/stays', [A, B, D]))
    await forgotten(C)
    const second = await ask()
    moved(first, second, C)
    await place(...sliceObjects('shop/stays', [D, C, B, A]))
    assert.deepEqual(await ask(), second)
  })

  it('nobody moves when the timeout changes, or another Service', async () => {
    const before = await ask()
    await place(stays('shop/stays', STAYS, 5_000), serviceObject('shop/other', 30), ...sliceObjects('shop/other', [A, B]))
    assert.deepEqual(await ask(), before)
    await place(stays('shop/stays', STAYS), ...sliceObjects('shop/other', [A]))
    assert.deepEqual(await ask(), before)
  })

  it('who ends, and still serves, keeps its clients as long as it is in the list', async () => {
    const before = await ask()
    const ends = (pod: RealPod): { readonly pod: RealPod; readonly conditions: Readonly<Record<string, boolean>> } => ({ pod, conditions: { ready: false, serving: true, terminating: true } })
    // Where nobody is ready, all of those serve.
    await place(...sliceObjects('shop/stays', PODS.map(ends)))
    moved(before, await ask())
    isRemembered(B)
    await place(...sliceObjects('shop/stays', [A, ends(B), C, D]))
    await forgotten(B)
    const after = await ask()
    moved(before, after, B)
    await place(...sliceObjects('shop/stays', PODS))
    assert.deepEqual(await ask(), after)
  })

  it('an agent that was killed: who left meanwhile is forgotten when the next one starts, all others stay', async () => {
    const before = await ask()
    await lab.agents.stop('n1', 'SIGKILL')
    lab.put(...sliceObjects('shop/stays', [A, B, C]))
    await lab.write()
    isRemembered(D)
    await lab.agents.start('n1', FLAGS)
    await lab.settle()
    await forgotten(D)
    moved(before, await ask(), D)
    await place(...sliceObjects('shop/stays', PODS))
  })

  it('a client that goes on asking who is gone, and is not answered, does not bring it back', async () => {
    const family = 4
    const source = lab.addressOf('outside', family)
    const name = (): string => /: (\S+) \. 8080/.exec(new RegExp(`${source} .*?: \\S+ \\. 8080`).exec(lab.run('n1', ['nft', '-n', 'list', 'map', 'inet', 'picket', 'affinity-udp-v4']))?.[0] ?? '')?.[1] ?? ''
    for (const { key } of PODS) lab.nft(key, 'table inet silent { chain in { type filter hook input priority 0; udp dport 8080 drop; }; }')
    const flow = await lab.testbed.openFlow({ kind: 'outside' }, VIP(STAYS, family), 'UDP', 80, { packetsPerSecond: 100 })
    for (const end = Date.now() + 2_000; name() === ''; await pause(10)) assert.ok(Date.now() < end, 'it is remembered')
    const gone = PODS.find(({ addresses }) => addresses.includes(name())) as RealPod
    isRemembered(gone)
    await place(...sliceObjects('shop/stays', PODS.filter((pod) => pod !== gone)))
    // Both passes are over.
    await pause(1_500)
    await forgotten(gone)
    await flow.stop()
    for (const { key } of PODS) lab.nft(key, 'delete table inet silent')
    await place(...sliceObjects('shop/stays', PODS))
  })

  it('the number of a list that is gone is nobody else\'s while its clients are remembered, and they are forgotten', async () => {
    await ask()
    const numbers = (): ReadonlySet<string> => new Set([...lab.run('n1', ['nft', '-n', 'list', 'map', 'inet', 'picket', 'service-ids-v4']).matchAll(/10\.96\.0\.1[67] \. \d+ \. 80 : 0x([0-9a-f]{4})/g)].map(([, bits = '']) => String(Number(`0x${bits}`) & 0x3fff)))
    const old = numbers()
    assert.equal(old.size, 3)
    for (const pod of [A, B, C]) isRemembered(pod)
    lab.drop('Service shop/stays')
    await place(stays('shop/next', NEXT), ...sliceObjects('shop/next', [D]))
    assert.deepEqual([...numbers()].filter((one) => old.has(one)), [])
    for (const end of new Set((await ask(NEXT)).values())) assert.equal(end, D.key)
    for (const pod of [A, B, C]) await forgotten(pod)
  })
})
