// The Service NAT on real packets: where connections to every kind of address come out, and which source they show.
//
// **Invariant:** every expectation is asked in both families, and over TCP, UDP and SCTP where the protocol may matter.
import assert from 'node:assert/strict'
import { FAMILIES, type Address, type Family } from '../../src/model/ip.ts'
import type { ProbeResult } from '../../src/lab/testbed.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, EVERY_PROTOCOL, ingress, realPod, type PlainObject, type RealPod } from '../support/real-objects.ts'
import { nodePortOf, serviceObject, sliceObjects } from '../support/service-objects.ts'

const A = realPod('shop/a', 'n1', 1, { app: 'server' })
const B = realPod('shop/b', 'n2', 2, { app: 'server' })
const NEAR = realPod('shop/near', 'n1', 3, { app: 'client' })
const FLAGS = ['--service-proxy', 'picket', '--service-cidrs', '10.96.0.0/16,fd00:96::/112']
const [WEB, LOCAL, NOBODY, ELSEWHERE, FRONT, ITSELF, STAYS, FLASH] = [10, 11, 12, 13, 14, 15, 16, 17]
const VIP = (number: number, family: Family): Address => (family === 4 ? `10.96.0.${number}` : `fd00:96::${number.toString(16)}`)
const BALANCER: Readonly<Record<Family, Address>> = { 4: '203.0.113.10', 6: 'fd00:203::10' }
const DEADLINE_MS = 700
/** Enough to tell 45 of 100 from 50, most times; a busy machine has time to send again what it loses. */
const [DRAWS, PATIENCE_MS] = [1_500, 4_000]
/** Chi-squared with one and with two degrees of freedom: beyond it once in 1,000 draws, by chance. */
const UNEVEN: Readonly<Record<number, number>> = { 2: 10.83, 3: 13.82 }
type Transport = (typeof EVERY_PROTOCOL)[number]
/** Silence is waited for. */
const [DROPPED, REJECTED] = [['-'], ['x']]

const SERVICES: readonly PlainObject[] = [
  serviceObject('shop/web', WEB, { type: 'NodePort' }),
  ...sliceObjects('shop/web', [A, B]),
  serviceObject('shop/local', LOCAL, { type: 'NodePort', externalTrafficPolicy: 'Local' }),
  ...sliceObjects('shop/local', [A, B]),
  serviceObject('shop/nobody', NOBODY, { type: 'NodePort' }),
  serviceObject('shop/elsewhere', ELSEWHERE, { type: 'NodePort', externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' }),
  ...sliceObjects('shop/elsewhere', [B]),
  serviceObject('shop/front', FRONT, { type: 'LoadBalancer', loadBalancerSourceRanges: ['192.168.61.200/32', 'fd00:61::200/128', '10.88.0.0/16'] }, { loadBalancer: { ingress: Object.values(BALANCER).map((ip) => ({ ip })) } }),
  ...sliceObjects('shop/front', [A, B]),
  serviceObject('shop/itself', ITSELF),
  ...sliceObjects('shop/itself', [NEAR]),
]

for (const attachment of ['veth', 'bridge'] as const) describe(`Services, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [A, B, NEAR], attachment, flags: FLAGS })
    for (const node of ['n1', 'n2', 'outside']) for (const family of FAMILIES) lab.run(node, ['ip', family === 4 ? '-4' : '-6', 'route', 'add', 'default', 'via', lab.nodeAddress(node === 'n1' ? 'n2' : 'n1', family)], { mayFail: true })
    lab.put(...SERVICES)
    await lab.settle()
  })
  after(() => lab.close())

  interface Seen {
    /** Times by the pod that answered; '-' silent, 'x' rejected. */
    readonly by: Readonly<Record<string, number>>
    readonly sources: readonly Address[]
  }

  async function ask(from: string, address: Address, protocol: Transport, port: number, times = 20, deadlineMs = DEADLINE_MS): Promise<Seen> {
    const request = { from: lab.source(from), address, protocol, port }
    // UDP probes of one round come from one socket, and are one connection.
    const rounds = protocol === 'UDP' ? times : 1
    const results: ProbeResult[] = []
    for (let round = 0; round < rounds; round++) results.push(...(await lab.testbed.probe(Array.from({ length: times / rounds }, () => request), deadlineMs)))
    const by: Record<string, number> = {}
    for (const result of results) by[keyOf(result)] = (by[keyOf(result)] ?? 0) + 1
    const sources = results.flatMap((result) => (result.kind === 'answered' ? [result.source] : []))
    return { by, sources: [...new Set(sources)].sort() }
  }

  function keyOf(result: ProbeResult): string {
    return result.kind === 'answered' ? result.by : result.kind === 'silent' ? '-' : result.kind === 'rejected' ? 'x' : result.message
  }

  async function expect(from: string, address: Address, protocol: Transport, port: number, by: readonly string[], sources: readonly Address[] = [], times = 20): Promise<void> {
    const seen = await ask(from, address, protocol, port, times)
    assert.deepEqual([Object.keys(seen.by).sort(), seen.sources], [[...by].sort(), [...sources].sort()], `${from} -> ${address} ${port}/${protocol}: ${JSON.stringify(seen)}`)
  }

  const BOTH = ['shop/a', 'shop/b']

  for (const protocol of EVERY_PROTOCOL) {
    it(`a ClusterIP leads a pod to every endpoint with its own address, all others with the node's (${protocol})`, () =>
      inBoth((family, own) => [
        expect('shop/near', VIP(WEB, family), protocol, 80, BOTH, [lab.addressOf('shop/near', family)]),
        expect('outside', VIP(WEB, family), protocol, 80, BOTH, [own]),
        // To a pod of its own the node's address is the same as in its own name.
        expect('n1', VIP(WEB, family), protocol, 80, BOTH, [own]),
      ]))

    it(`a node port leads to every endpoint, masqueraded; with policy Local to those of the node, with the client's address (${protocol})`, () =>
      inBoth((family, own) => [
        expect('outside', own, protocol, nodePortOf(WEB, protocol), BOTH, [own]),
        expect('outside', own, protocol, nodePortOf(LOCAL, protocol), ['shop/a'], [lab.addressOf('outside', family)]),
        expect('shop/near', own, protocol, nodePortOf(LOCAL, protocol), BOTH, [lab.addressOf('shop/near', family)]),
        expect('n1', own, protocol, nodePortOf(LOCAL, protocol), BOTH, [own]),
        expect('n2', own, protocol, nodePortOf(LOCAL, protocol), ['shop/a'], [lab.nodeAddress('n2', family)]),
      ]))

    it(`no endpoint anywhere: rejected; none here under policy Local: dropped; unknown port: rejected; unused address: dropped (${protocol})`, () =>
      inBoth((family, own) => [
        expect('shop/near', VIP(NOBODY, family), protocol, 80, REJECTED, [], 1),
        expect('outside', own, protocol, nodePortOf(NOBODY, protocol), REJECTED, [], 1),
        expect('n1', VIP(NOBODY, family), protocol, 80, REJECTED, [], 1),
        expect('shop/near', VIP(ELSEWHERE, family), protocol, 80, DROPPED, [], 1),
        expect('outside', own, protocol, nodePortOf(ELSEWHERE, protocol), DROPPED, [], 1),
        expect('shop/near', own, protocol, nodePortOf(ELSEWHERE, protocol), ['shop/b'], [lab.addressOf('shop/near', family)], 1),
        expect('shop/near', VIP(WEB, family), protocol, 81, REJECTED, [], 1),
        expect('shop/near', VIP(99, family), protocol, 80, DROPPED, [], 1),
      ]))

    it(`a load balancer's address: for its source ranges only, from pods and nodes too (${protocol})`, () =>
      inBoth((family, own) => [
        expect('outside', BALANCER[family], protocol, 80, BOTH, [own]),
        expect('n1', BALANCER[family], protocol, 80, DROPPED, [], 1),
        family === 4 ? expect('shop/near', BALANCER[4], protocol, 80, BOTH, [own]) : expect('shop/near', BALANCER[6], protocol, 80, DROPPED, [], 1),
      ]))

    it(`rule 63: a pod reaches itself through its Service, from the node's address, whatever policy says (${protocol})`, async () => {
      await lab.policies(denyAll('shop'))
      await inBoth((family, own) => [expect('shop/near', VIP(ITSELF, family), protocol, 80, ['shop/near'], [own], 2)])
      await lab.policies()
    })

    it(`rules 43, 54, 64-67: policy judges the pod that was chosen, by its own port and by the client's true address (${protocol})`, async () => {
      const outside = FAMILIES.map((family) => ({ ipBlock: { cidr: `${lab.addressOf('outside', family)}/${family === 4 ? 32 : 128}` } }))
      // By Service address or Service port nothing is allowed; 8080 is the pod's port.
      const wrong = [{ ipBlock: { cidr: '10.96.0.0/16' } }, { ipBlock: { cidr: 'fd00:96::/112' } }]
      await lab.policies(ingress('shop/in', { app: 'server' }, { from: [...outside, { podSelector: {} }], ports: [{ protocol, port: 80 }] }, { from: wrong }))
      await inBoth((family, own) => [
        ...Array.from({ length: 4 }, () => expect('shop/near', VIP(WEB, family), protocol, 80, DROPPED, [], 1)),
        expect('outside', own, protocol, nodePortOf(LOCAL, protocol), DROPPED, [], 1),
      ])
      await lab.policies(ingress('shop/in', { app: 'server' }, { from: outside, ports: [{ protocol, port: 8080 }] }))
      await inBoth((family, own) => [
        ...Array.from({ length: 4 }, () => expect('shop/near', VIP(WEB, family), protocol, 80, DROPPED, [], 1)),
        expect('outside', own, protocol, nodePortOf(LOCAL, protocol), ['shop/a'], [lab.addressOf('outside', family)], 4),
      ])
      // On the second node the client is the first one's address: policy there knows it as a node that is not its own (rule 60).
      const seen = await Promise.all(FAMILIES.flatMap((family) => Array.from({ length: 20 }, () => ask('outside', lab.nodeAddress('n1', family), protocol, nodePortOf(WEB, protocol), 1))))
      assert.deepEqual([...new Set(seen.flatMap(({ by }) => Object.keys(by)))].sort(), ['-', 'shop/a'])
      await lab.policies()
    })
  }

  /**
   * New connections by the pod that they were led to, as the node sent them on: the prober asks again whoever is slow, so that
   * of who answered first there are more of those that are near. `lost`: questions that nobody answered.
   */
  async function spread(family: Family, pods: readonly RealPod[]): Promise<{ readonly by: Seen['by']; readonly chi: number; readonly lost: number }> {
    const [word, type] = family === 4 ? ['ip', 'ipv4_addr'] : ['ip6', 'ipv6_addr']
    // Before the source is translated; a packet that is sent again is the same element.
    lab.nft('n1', `table inet draws { set drawn { type inet_service . ${type}; flags dynamic; size 65535; }; chain out { type filter hook postrouting priority 0; ct status dnat tcp dport 8080 tcp flags syn / syn,ack add @drawn { tcp sport . ${word} daddr }; }; }`)
    const { by: answers } = await ask('outside', lab.nodeAddress('n1', family), 'TCP', nodePortOf(WEB, 'TCP'), DRAWS, PATIENCE_MS)
    const drawn = [...lab.listing('n1', 'inet draws').matchAll(/\d+ \. ([0-9a-f.:]+)[ ,]/g)].map(([, address]) => address)
    lab.nft('n1', 'delete table inet draws')
    const by = Object.fromEntries(pods.map(({ key }) => [key, drawn.filter((address) => address === lab.addressOf(key, family)).length]))
    const expected = drawn.length / pods.length
    assert.ok(drawn.length >= DRAWS * 0.9, `${drawn.length} connections`)
    return { by, lost: answers['-'] ?? 0, chi: Object.values(by).reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0) }
  }

  async function inBoth(expectations: (family: Family, own: Address) => readonly Promise<void>[]): Promise<void> {
    await Promise.all(FAMILIES.flatMap((family) => expectations(family, lab.nodeAddress('n1', family))))
  }

  it('connections are spread evenly, also after endpoints come and go', async () => {
    for (const pods of [[A, B], [A, B, NEAR], [B, NEAR]]) {
      lab.put(...sliceObjects('shop/web', pods))
      await lab.settle()
      for (const family of FAMILIES) {
        const limit = UNEVEN[pods.length] as number
        let drawn = await spread(family, pods)
        // Once more: two in a row are beyond it once in a million, and what is not even is so again.
        if (drawn.chi >= limit) drawn = await spread(family, pods)
        assert.ok(drawn.chi < limit, JSON.stringify(drawn))
        assert.ok(drawn.lost <= DRAWS / 50, `${drawn.lost} are not answered`)
        await expect('outside', lab.nodeAddress('n1', family), 'TCP', nodePortOf(WEB, 'TCP'), pods.map(({ key }) => key), [lab.nodeAddress('n1', family)], 40)
      }
    }
    lab.put(...sliceObjects('shop/web', [A, B]))
    await lab.settle()
  })

  it('sessionAffinity: a client stays with its endpoint, over other changes and restarts of the agent, until its time is over', async () => {
    const stays = (key: string, number: number, seconds: number): PlainObject => serviceObject(key, number, { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: seconds } } })
    lab.put(stays('shop/stays', STAYS, 10_800), ...sliceObjects('shop/stays', [A, B]), stays('shop/flash', FLASH, 2), ...sliceObjects('shop/flash', [A, B]))
    await lab.settle()
    const endpoints = async (number: number): Promise<readonly (readonly string[])[]> => {
      const asked = EVERY_PROTOCOL.flatMap((protocol) => FAMILIES.flatMap((family) => ['shop/near', 'outside', 'n1'].map((from) => ask(from, VIP(number, family), protocol, 80, 8))))
      return (await Promise.all(asked)).map(({ by }) => Object.keys(by).sort())
    }
    // The first of a client's connections are all at once: each of them may find an endpoint of its own.
    await endpoints(STAYS)
    const first = await endpoints(STAYS)
    for (const found of first) assert.ok(found.length === 1 && BOTH.includes(found[0] as string), JSON.stringify(first))
    assert.equal(new Set(first.flat()).size, 2, 'clients are spread')
    lab.put(serviceObject('shop/more', 30), ...sliceObjects('shop/more', [A]), ...sliceObjects('shop/stays', [A, B, NEAR]))
    await lab.settle()
    assert.deepEqual(await endpoints(STAYS), first)
    await lab.agents.stop('n1', 'SIGKILL')
    await lab.agents.start('n1', FLAGS)
    await lab.settle()
    assert.deepEqual(await endpoints(STAYS), first)
    // Whoever had the endpoint that leaves comes to the other one.
    lab.put(...sliceObjects('shop/stays', [B]))
    await lab.settle()
    // Within milliseconds behind the commit; where a packet that was on its way was remembered meanwhile, within a second or two.
    let found = await endpoints(STAYS)
    for (let round = 0; round < 5 && found.some((one) => one.join() !== 'shop/b'); round++) {
      await new Promise((resolve) => setTimeout(resolve, 500))
      found = await endpoints(STAYS)
    }
    assert.deepEqual(found, found.map(() => ['shop/b']))
    // Over with its time.
    const seen: Readonly<Record<Family, Set<string>>> = { 4: new Set(), 6: new Set() }
    for (let round = 0; round < 12 && FAMILIES.some((family) => seen[family].size < 2); round++) {
      for (const family of FAMILIES) for (const name of Object.keys((await ask('outside', VIP(FLASH, family), 'TCP', 80, 1)).by)) seen[family].add(name)
      await new Promise((resolve) => setTimeout(resolve, 2_100))
    }
    for (const family of FAMILIES) assert.deepEqual([...seen[family]].sort(), BOTH)
    lab.drop('Service shop/stays', 'Service shop/flash', 'Service shop/more')
    await lab.settle()
  })

  it('a restart of the agent writes no endpoint anew', async () => {
    const before = lab.listing('n1')
    const maps = (listing: string): string => [...listing.matchAll(/map (?:service-ids|endpoints-(?:tcp|udp|sctp))-v[46] \{[^}]*\}\s*\}/g)].map(([text]) => text).join('\n')
    assert.ok(maps(before).length > 1_000)
    await lab.agents.stop('n1')
    await lab.agents.start('n1', FLAGS)
    await lab.settle()
    assert.equal(maps(lab.listing('n1')), maps(before))
  })

  it("others' bits of the mark survive, for services and for all else, and packets are translated whatever bits are ours", async () => {
    for (const [mask, bits] of [['0xffffff00', 0x81], ['0x003fffff', 0x8040_0000], ['0xffffffff', 0]] as const) {
      if (mask !== '0xffffff00') await restart('--service-mark-mask', mask)
      if (bits !== 0) lab.nft('n1', `table inet others { chain bits { type filter hook prerouting priority -150; meta l4proto tcp ct state new ct mark set ct mark or ${bits}; }; }`)
      const before = marked(bits)
      await inBoth((family, own) => [
        expect('shop/near', VIP(WEB, family), 'TCP', 80, BOTH, [lab.addressOf('shop/near', family)]),
        expect('outside', own, 'TCP', nodePortOf(WEB, 'TCP'), BOTH, [own]),
        expect('outside', own, 'TCP', nodePortOf(LOCAL, 'TCP'), ['shop/a'], [lab.addressOf('outside', family)]),
        expect('shop/near', lab.addressOf('shop/b', family), 'TCP', 8080, ['shop/b'], [lab.addressOf('shop/near', family)], 1),
      ])
      if (bits === 0) continue
      lab.nft('n1', 'delete table inet others')
      // 61 of each family are asked for.
      assert.ok(marked(bits) >= before + 120, `${mask}: ${marked(bits) - before} entries`)
    }
    await restart()
  })

  async function restart(...flags: readonly string[]): Promise<void> {
    await lab.agents.stop('n1')
    await lab.agents.start('n1', [...FLAGS, ...flags])
    await lab.settle()
  }

  /** Entries of conntrack with these bits of all that are not Picket's under any of the masks. */
  const marked = (bits: number): number => [...lab.run('n1', ['cat', '/proc/net/nf_conntrack']).matchAll(/tcp .* mark=(\d+)/g)].filter(([, mark]) => (Number(mark) & bits) === (bits | 0) && bits !== 0).length
})
