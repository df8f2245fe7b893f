// Log rules on real packets: each event with its prefix, limits that gate no verdict, shares that hide nobody, counters that add up.
//
// The table is the compiler's, written into a node of the test's own; packets are frames from pods' ends, read back from NFLOG.
// **Invariant:** what was sent is counted by the sender, what passed by a table of the test's behind ours.
import assert from 'node:assert/strict'
import { listOfMark, markLayout, type MarkLayout } from '../../src/ruleset/marks.ts'
import { parseLogPrefix, type LogPrefix } from '../../src/ruleset/log-prefix.ts'
import { openKernel } from '../../src/kernel/open.ts'
import type { SourceEvent } from '../../src/model/changes.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { cidr, service, slice } from '../support/builders.ts'
import { compiled } from '../support/check-cluster.ts'
import { LogNode } from '../support/log-node.ts'
import { LOG, type Pipeline } from '../support/pipeline.ts'
import type { NflogPacket } from '../support/read-nflog.ts'
import { tcpPacket, udpPacket } from '../support/real-packets.ts'
import { materialise, type ClusterSketch, type PodSketch, type PolicySketch } from '../support/states.ts'

const GROUP = 61
/** Pods 2 to 51. */
const MANY = 50
const [WEB, FRIEND, FIRST, SENDER] = [1, 2, 3, MANY + 2] as const
const FAMILIES = [4, 6] as const
const LAYOUT = markLayout(0xffffff00) as MarkLayout

const pod = (app: string): PodSketch => ({ namespace: 'shop', labels: { app }, node: 1, families: 'both', life: 'running', hostNetwork: false, age: 0, ports: [] })
const select = (app: string): object => ({ podSelector: { matchLabels: { app } } })
const POLICIES: readonly PolicySketch[] = [
  {
    namespace: 'shop',
    spec: { ...select('web'), ingress: [{ from: [select('friend')], ports: [{ port: 80 }, { port: 53, protocol: 'UDP' }] }, { ports: [{ port: 443 }] }] },
    annotations: { 'audit.picket.dev/log': 'all', 'audit.picket.dev/label': 'checkout' },
  },
  // Its port is of one class with 443, and what it allows is not logged.
  { namespace: 'shop', spec: { ...select('web'), ingress: [{ ports: [{ port: 8443 }] }] } },
  { namespace: 'shop', spec: { ...select('sender'), policyTypes: ['Egress'] } },
]
const CLUSTER: ClusterSketch = { namespaces: { shop: {} }, pods: [pod('web'), pod('friend'), ...Array.from({ length: MANY - 1 }, () => pod('client')), pod('sender')], policies: POLICIES, nodes: 1 }
const SERVICES = [
  service({ namespace: 'shop', name: 'web', clusterIps: ['10.96.0.10', 'fd00:96::10'] }),
  service({ namespace: 'shop', name: 'nobody', clusterIps: ['10.96.0.13', 'fd00:96::13'] }),
  service({ namespace: 'shop', name: 'front', clusterIps: ['10.96.0.14', 'fd00:96::14'], loadBalancerIps: ['203.0.113.1', '2001:db8:1::1'], sourceRanges: [cidr('198.51.100.0/24'), cidr('2001:db8:2::/64')] }),
]

const of = (slot: number, family: 4 | 6): string => (family === 4 ? `10.1.1.${slot}` : `fd00:1:1::${slot}`)
const link = (slot: number): string => `v-pod-${slot}`
const ports = (destination: number, source = 40_000): { source: number; destination: number } => ({ source, destination })

function table(options: Partial<typeof LOG> = {}): Pipeline {
  const cluster = materialise(CLUSTER)
  const pipeline = compiled(cluster, 'n1', { services: { nodePortAddresses: [] }, auditLog: 'deny', log: { ...LOG, ...options } })
  const upsert = (kind: string, row: { readonly uid: string }): SourceEvent => ({ verb: 'upsert', kind, key: row.uid, decoded: { kind: 'good', row, problems: [] } }) as unknown as SourceEvent
  const slices = FAMILIES.flatMap((family) => ['web', 'front'].map((name) => slice([{ address: of(WEB, family), node: 'n1' }], { namespace: 'shop', service: name, name: `${name}-${family}`, ports: [{ name: '', protocol: 'TCP', port: 80 }] })))
  pipeline.push([...SERVICES.map((row) => upsert('service', row)), ...slices.map((row) => upsert('slice', row))])
  pipeline.turn()
  return pipeline
}

describe('log rules, on real packets', function () {
  this.timeout(120_000)
  let node: LogNode

  before(async () => {
    const slots = CLUSTER.pods.map((_, i) => ({ link: link(i + 1), addresses: FAMILIES.map((family) => of(i + 1, family)) }))
    node = await LogNode.open([...slots, { link: 'uplink', addresses: ['192.0.2.7', '2001:db8::7'] }, { link: 'v-stranger', addresses: ['10.1.1.250', 'fd00:1:1::fa'] }])
    node.run('ip route add default via 192.0.2.7 dev uplink onlink && ip -6 route add default via 2001:db8::7 dev uplink onlink')
    for (const address of ['10.1.1.200', 'fd00:1:1::c8']) node.run(`ip route add ${address} dev ${link(WEB)} && ip neigh add ${address} lladdr 02:00:00:02:00:00 dev ${link(WEB)}`)
    await node.listen(GROUP)
  })
  after(() => node.close())

  function write(pipeline: Pipeline): void {
    node.nft(`table inet picket\ndelete table inet picket\ntable inet behind\ndelete table inet behind\n${pipeline.text()}
table inet behind {
  counter passed {}
  counter marked {}
  counter unmarked {}
  chain marks { type filter hook prerouting priority -300; tcp sport 40077 meta mark set 0x77; }
  chain c { type filter hook postrouting priority 500; oifname "${link(WEB)}" meta l4proto { tcp, udp } counter name passed; tcp sport 40077 meta mark 0x77 counter name marked; tcp sport 40000 meta mark 0 counter name unmarked; }
}
`)
    node.logged.length = 0
  }

  const passed = (name = 'passed'): number => Number(/packets (\d+)/.exec(node.run(`nft list counter inet behind ${name}`))?.[1])
  const counted = (name: string): number => node.counters().get(name) ?? -1
  const says = ({ prefix }: NflogPacket): LogPrefix => parseLogPrefix(prefix) ?? assert.fail(`nobody can read ${JSON.stringify(prefix)}`)

  interface Sent {
    readonly event: LogPrefix['event']
    readonly from: string
    readonly packet: (family: 4 | 6) => Buffer
    readonly counter: string
    /** The default is dropped. */
    readonly passes?: true
  }
  const syn = (source: (family: 4 | 6) => string, destination: (family: 4 | 6) => string, port: number, sourcePort = 40_000) => (family: 4 | 6): Buffer =>
    tcpPacket({ from: source(family), to: destination(family) }, ports(port, sourcePort), 'syn').bytes
  const slot = (n: number) => (family: 4 | 6): string => of(n, family)
  const either = (four: string, six: string) => (family: 4 | 6): string => (family === 4 ? four : six)
  const EVENTS: readonly Sent[] = [
    { event: 'denied', from: link(FIRST), packet: syn(slot(FIRST), slot(WEB), 81), counter: 'denied/ingress' },
    { event: 'denied', from: link(SENDER), packet: syn(slot(SENDER), slot(FRIEND), 82), counter: 'denied/egress' },
    { event: 'allowed', from: link(FRIEND), packet: syn(slot(FRIEND), slot(WEB), 80, 40_001), counter: 'allowed/ingress', passes: true },
    { event: 'allowed', from: link(FIRST), packet: syn(slot(FIRST), slot(WEB), 443, 40_002), counter: 'allowed/ingress', passes: true },
    { event: 'spoofed', from: link(FIRST), packet: syn(either('10.9.9.9', 'fd09::9'), slot(WEB), 443), counter: 'spoofed' },
    { event: 'invalid', from: link(FIRST), packet: (family) => tcpPacket({ from: of(FIRST, family), to: of(WEB, family) }, ports(443, 40_003), 'none').bytes, counter: 'invalid' },
    { event: 'cut', from: link(FIRST), packet: syn(slot(FIRST), slot(WEB), 443, 40_004), counter: 'cut' },
    { event: 'unknown-interface', from: 'v-stranger', packet: syn(either('10.1.1.250', 'fd00:1:1::fa'), slot(WEB), 443), counter: 'unknown-interface' },
    { event: 'unknown-address', from: link(FIRST), packet: syn(slot(FIRST), either('10.1.1.200', 'fd00:1:1::c8'), 443), counter: 'unknown-address' },
    { event: 'source-range', from: link(FIRST), packet: syn(slot(FIRST), either('203.0.113.1', '2001:db8:1::1'), 80), counter: 'outside-source-ranges' },
    { event: 'service-rejected', from: link(FIRST), packet: syn(slot(FIRST), either('10.96.0.13', 'fd00:96::13'), 80), counter: 'service-rejected' },
    { event: 'service-dropped', from: link(FIRST), packet: syn(slot(FIRST), either('10.96.0.99', 'fd00:96::99'), 80), counter: 'service-dropped' },
  ]

  for (const { event, from, packet, counter, passes } of EVENTS) {
    it(`say ${event} of ${counter}, in both families, and count what they say`, async () => {
      write(table())
      if (event === 'cut') {
        for (const family of FAMILIES) node.nft(`add element inet picket cut-flows-v${family} { ${of(FIRST, family)} . ${of(WEB, family)} . tcp . 40004 . 443 }`)
      }
      await node.send(FAMILIES.map((family) => ({ from, packet: packet(family), rate: 1 })), 0.5)
      assert.deepEqual(node.logged.map((one) => `${says(one).event} v${one.family}`).sort(), FAMILIES.map((family) => `${event} v${family}`))
      for (const one of node.logged) {
        const prefix = says(one)
        assert.equal(Buffer.from(one.packet, 'hex').compare(packet(one.family), one.family === 4 ? 12 : 8, one.family === 4 ? 20 : 40, one.family === 4 ? 12 : 8, one.family === 4 ? 20 : 40), 0, 'it is the packet that was sent')
        assert.equal(prefix.label === '', event !== 'allowed' && counter !== 'denied/ingress')
        if (event === 'denied' || event === 'allowed') assert.match(prefix.profile ?? '', new RegExp(`^${counter.split('/')[1]}/shop/`))
      }
      const named = [...node.counters()].filter(([name]) => name === counter || name.startsWith(`${counter}/`)).map(([, packets]) => packets)
      assert.deepEqual(named.filter((n) => n > 0), [2])
      const logged = [...node.counters()].filter(([name]) => name.startsWith('logged')).reduce((sum, [, packets]) => sum + packets, 0)
      assert.equal(logged, 2)
      assert.equal(passed(), passes === true ? 2 : 0)
    })
  }

  it('say which Service was called, by the mark', async () => {
    const pipeline = table()
    write(pipeline)
    for (const family of FAMILIES) {
      const to = family === 4 ? '10.96.0.10' : 'fd00:96::10'
      await node.send([{ from: link(FIRST + 1), packet: tcpPacket({ from: of(FIRST + 1, family), to }, ports(80, 41_000), 'syn').bytes, rate: 1 }], 0.2)
    }
    await node.send([{ from: link(FIRST + 1), packet: tcpPacket({ from: of(FIRST + 1, 4), to: of(WEB, 4) }, ports(80, 41_001), 'syn').bytes, rate: 1 }], 0.2)
    const lists = new Set(FAMILIES.flatMap((family) => [...(pipeline.turns.translator.wanted.state.sets.get(`service-ids-v${family}`)?.elements.values() ?? [])].filter(({ key }) => / (10\.96\.0\.10|fd00:96::10) /.test(key)).map(({ value }) => listOfMark(LAYOUT, Number(value)))))
    assert.equal(node.logged.length, 3)
    for (const one of node.logged.slice(0, 2)) assert.ok(lists.has(listOfMark(LAYOUT, one.mark)), `${one.mark} is none of ${[...lists].join()}`)
    assert.equal(node.logged[2]?.mark, 0, 'called by its own address')
  })

  it("leave the mark of a packet that passes as it was, whoever set it, and say the Service where nobody did", async () => {
    write(table())
    for (const [family, to] of [[4, '10.96.0.10'], [6, 'fd00:96::10']] as const) {
      for (const source of [40_077, 40_000]) await node.send([{ from: link(FRIEND), packet: tcpPacket({ from: of(FRIEND, family), to }, ports(80, source), 'syn').bytes, rate: 1 }], 0.2)
    }
    assert.deepEqual([passed('marked'), passed('unmarked'), passed()], [2, 2, 4])
    assert.deepEqual(node.logged.map((one) => [says(one).event, one.mark === 0x77, listOfMark(LAYOUT, one.mark) !== null]), FAMILIES.flatMap(() => [['allowed', true, false], ['allowed', false, true]]))
  })

  it('say nothing of what another policy allows by the same rule of the table', async () => {
    write(table())
    for (const family of FAMILIES) await node.send([{ from: link(FIRST), packet: tcpPacket({ from: of(FIRST, family), to: of(WEB, family) }, ports(8443), 'syn').bytes, rate: 1 }], 0.2)
    assert.deepEqual([node.logged, passed()], [[], 2])
  })

  it('say of a connection that is allowed its first packet only, answered or not', async () => {
    write(table())
    for (const family of FAMILIES) await node.send([{ from: link(FRIEND), packet: udpPacket({ from: of(FRIEND, family), to: of(WEB, family) }, ports(53, 42_000)).bytes, rate: 20 }], 0.5)
    assert.deepEqual(node.logged.map((one) => [says(one).event, one.family]), [['allowed', 4], ['allowed', 6]])
    assert.ok(passed() > 10)
  })

  it('gate no verdict by their limits: of a flood that is denied nothing passes, of one that is allowed all, at one a second', async () => {
    write(table({ nodeLimit: 1, podLimit: 1, sourceLimit: 1 }))
    const flows = FAMILIES.flatMap((family) => [
      { from: link(FIRST), packet: udpPacket({ from: of(FIRST, family), to: of(WEB, family) }, ports(9)).bytes, rate: 10_000 },
      { from: link(FRIEND), packet: udpPacket({ from: of(FRIEND, family), to: of(WEB, family) }, ports(53, 43_000)).bytes, rate: 2_000 },
    ])
    const [denied4 = 0, allowed4 = 0, denied6 = 0, allowed6 = 0] = await node.send(flows, 2)
    assert.ok(denied4 > 5_000 && denied6 > 5_000, `only ${denied4} and ${denied6} were sent`)
    assert.equal(passed(), allowed4 + allowed6)
    const profile = [...node.counters().keys()].find((name) => name.startsWith('denied/ingress/shop'))?.slice('denied/'.length) ?? ''
    assert.equal(counted(`denied/${profile}`), denied4 + denied6)
    const lines = node.logged.filter((one) => says(one).event === 'denied').length
    assert.equal(counted(`logged/${profile}`), lines, 'logged')
    assert.ok(lines >= 1 && lines <= 4, `${lines} were logged`)
  })

  it(`hide nobody behind a flood: of ${MANY - 1} pods that send one a second all appear, beside one that floods; denied is logged and suppressed, exactly`, async () => {
    for (const family of FAMILIES) {
      write(table())
      const flows = Array.from({ length: MANY - 1 }, (_, i) => ({ from: link(FIRST + i), packet: udpPacket({ from: of(FIRST + i, family), to: of(WEB, family) }, ports(9)).bytes, rate: 1 }))
      const flood = { from: link(FRIEND), packet: udpPacket({ from: of(FRIEND, family), to: of(WEB, family) }, ports(9)).bytes, rate: 100_000 }
      const sent = await node.send([flood, ...flows], 4)
      assert.ok((sent[0] ?? 0) > 40_000, `the flood was ${sent[0]} packets`)
      const from = family === 4 ? [24, 32] : [16, 48]
      const seen = Map.groupBy(node.logged, ({ packet }) => packet.slice(...from))
      assert.equal(seen.size, MANY, 'everybody appears')
      const quiet = [...seen.values()].map((packets) => packets.length).sort((a, b) => a - b)
      assert.ok((quiet[0] ?? 0) >= 3, `somebody appears ${quiet[0]} times of 4`)
      const [profile = ''] = [...node.counters().keys()].filter((name) => name.startsWith('denied/ingress/shop')).map((name) => name.slice('denied/'.length))
      assert.equal(counted(`denied/${profile}`), sent.reduce((sum, n) => sum + n, 0), 'denied')
      assert.equal(counted(`logged/${profile}`), node.logged.length, 'logged')
      assert.ok(counted(`denied/${profile}`) > 100 * node.logged.length, 'most was suppressed')
    }
  })

  it('log one of so many, exactly', async () => {
    const annotated = POLICIES.map((policy) => ({ ...policy, annotations: { ...policy.annotations, 'audit.picket.dev/sample': '1/10' } }))
    const pipeline = compiled(materialise({ ...CLUSTER, policies: annotated }), 'n1', { services: { nodePortAddresses: [] }, auditLog: 'deny', log: { ...LOG, sourceLimit: 10_000, podLimit: 10_000, nodeLimit: 10_000 } })
    write(pipeline)
    const [sent = 0] = await node.send([{ from: link(FIRST), packet: udpPacket({ from: of(FIRST, 4), to: of(WEB, 4) }, ports(9)).bytes, rate: 400 }], 1)
    assert.equal(node.logged.length, Math.ceil(sent / 10))
    assert.ok(node.logged.every((one) => says(one).sample === 10))
  })

  it('stand in a table that is read back as it was written, shares and all', async () => {
    write(table())
    const kernel = await openKernel({ access: 'auto', netns: node.path })
    try {
      await node.send(FAMILIES.map((family) => ({ from: link(FIRST), packet: udpPacket({ from: of(FIRST, family), to: of(WEB, family) }, ports(9)).bytes, rate: 50 })), 0.5)
      const read = await kernel.readBack(TABLE)
      assert.equal(read.kind, 'table')
      if (read.kind !== 'table') return
      const { object, elements } = read.state.sets.get('log-sources/20') ?? assert.fail('the set is not there')
      assert.deepEqual([object.size, object.timeout, object.key, elements.size], [393_216, 3, ['integer'], 2])
    } finally {
      await kernel.close()
    }
  })
})
