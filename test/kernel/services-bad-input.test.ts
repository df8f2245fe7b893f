// Services and slices that contradict each other, beside good ones, with the real agent and real packets.
//
// The endpoints of the long lists are addresses of the outside host: a pod has one of each family.
// **Invariant:** whatever is wrong is named by object and field, serves nobody that it should not, and leaves the others alone.
import assert from 'node:assert/strict'
import type { ProbeResult } from '../../src/lab/testbed.ts'
import { byText } from '../../src/lib/sorting.ts'
import { FAMILIES, type Address, type Family } from '../../src/model/ip.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { EVERY_PROTOCOL, realPod, type PlainObject } from '../support/real-objects.ts'
import { attachments } from '../support/sample.ts'
import { nodePortOf, serviceObject, sliceObjects } from '../support/service-objects.ts'

const A = realPod('shop/a', 'n1', 1)
const B = realPod('shop/b', 'n2', 2)
const CLIENT = realPod('shop/client', 'n1', 3)
const FLAGS = ['--service-proxy', 'picket', '--service-cidrs', '10.96.0.0/16,fd00:96::/112']
const [GOOD, FIRST, SECOND, FAMILY, PORTLESS, NUMBERLESS, ODD, FRONT, MANY, SOME] = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
const VIP = (number: number, family: Family): Address => (family === 4 ? `10.96.0.${number}` : `fd00:96::${number.toString(16)}`)
const BALANCER: Readonly<Record<Family, Address>> = { 4: '203.0.113.10', 6: 'fd00:203::10' }
const EXTERNAL: Address = 'fd00:203::20'
/** Lengths that stand as a code in an id's bits, and not as themselves. */
const [MOST, FEWER] = [1_000, 300]
const LONG: Readonly<Record<Family, readonly Address[]>> = {
  4: Array.from({ length: MOST }, (_, n) => `198.18.${1 + (n >> 8)}.${n & 255}`),
  6: Array.from({ length: MOST }, (_, n) => `2001:db8:18::${(n + 1).toString(16)}`),
}

/** The slices of `key`, each with the addresses that `change` makes of it. */
function slices(key: string, change: (family: Family) => Readonly<Record<string, unknown>>): readonly PlainObject[] {
  return sliceObjects(key, [A]).map((slice, index) => ({ ...slice, ...change(FAMILIES[index] as Family) }))
}
const endpoints = (addresses: readonly Address[]): { readonly endpoints: readonly object[] } => ({ endpoints: addresses.map((address) => ({ addresses: [address] })) })

const GOOD_ONES: readonly PlainObject[] = [serviceObject('shop/good', GOOD, { type: 'NodePort' }), ...sliceObjects('shop/good', [A, B])]
const BAD_ONES: readonly PlainObject[] = [
  serviceObject('shop/first', FIRST, { type: 'NodePort' }),
  ...sliceObjects('shop/first', [A]),
  serviceObject('shop/second', SECOND, { type: 'NodePort', ports: (serviceObject('', FIRST, { type: 'NodePort' })['spec'] as { readonly ports: unknown }).ports }),
  ...sliceObjects('shop/second', [B]),
  serviceObject('shop/family', FAMILY, { clusterIPs: [VIP(FAMILY, 4)], externalIPs: [EXTERNAL] }),
  ...slices('shop/family', (family) => endpoints([B.addresses[family === 4 ? 1 : 0] as Address, A.addresses[family === 4 ? 0 : 1] as Address])),
  serviceObject('shop/portless', PORTLESS, { ports: [] }),
  ...sliceObjects('shop/portless', [A]),
  serviceObject('shop/numberless', NUMBERLESS),
  ...slices('shop/numberless', () => ({ ports: [{ name: 'tcp', protocol: 'TCP' }, { name: 'udp', protocol: 'UDP', port: 8080 }] })),
  serviceObject('shop/odd', ODD),
  ...slices('shop/odd', (family) => endpoints([...(family === 4 ? ['127.0.0.1', '224.0.0.1'] : ['::1', 'ff02::1']), VIP(ODD, family), A.addresses[family === 4 ? 0 : 1] as Address])),
  serviceObject('shop/front', FRONT, { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.88.0.0/33', 'everybody'] }, { loadBalancer: { ingress: Object.values(BALANCER).map((ip) => ({ ip })) } }),
  ...sliceObjects('shop/front', [A]),
]
const LONG_ONES: readonly PlainObject[] = [
  serviceObject('shop/many', MANY),
  ...slices('shop/many', (family) => endpoints(LONG[family])),
  serviceObject('shop/some', SOME),
  ...slices('shop/some', (family) => endpoints(LONG[family].slice(-FEWER))),
]

/** Object and field. */
const PROBLEMS: readonly string[] = [
  ...FAMILIES.flatMap((family) => [
    `EndpointSlice shop/family-v${family}: endpoints[0].addresses[0]`,
    `EndpointSlice shop/numberless-v${family}: ports[0].port`,
    ...[0, 1].map((index) => `EndpointSlice shop/odd-v${family}: endpoints[${index}].addresses[0]`),
  ]),
  'Service shop/family: spec.externalIPs',
  ...[0, 1].map((index) => `Service shop/front: spec.loadBalancerSourceRanges[${index}]`),
  // The Service itself is at fault: its slices are not.
  'Service shop/odd: its endpoint',
  'Service shop/portless: spec.ports',
  'Service shop/second: spec.ports',
]

for (const attachment of attachments()) describe(`Services that contradict each other, with the real agent, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [A, B, CLIENT], attachment, flags: FLAGS, outsideAddresses: [...LONG[4], ...LONG[6]] })
    for (const node of ['n1', 'n2', 'outside']) for (const family of FAMILIES) lab.run(node, ['ip', family === 4 ? '-4' : '-6', 'route', 'add', 'default', 'via', lab.nodeAddress(node === 'n1' ? 'n2' : 'n1', family)], { mayFail: true })
    lab.put(...GOOD_ONES, ...BAD_ONES, ...LONG_ONES)
    await lab.settle()
  })
  after(() => lab.close())

  const keyOf = (result: ProbeResult): string => (result.kind === 'answered' ? result.by : result.kind === 'silent' ? '-' : result.kind === 'rejected' ? 'x' : result.message)

  /** Who answers, sorted; `-` where nobody does, `x` where it is rejected. */
  async function ask(from: string, address: Address, port: number, protocols: readonly (typeof EVERY_PROTOCOL)[number][] = EVERY_PROTOCOL): Promise<readonly string[]> {
    const requests = protocols.flatMap((protocol) => Array.from({ length: protocol === 'UDP' ? 1 : 20 }, () => ({ from: lab.source(from), address, protocol, port })))
    return [...new Set((await lab.testbed.probe(requests, 900)).map(keyOf))].sort()
  }

  it('each is named, by object and field, and nothing else is', async () => {
    const { problems } = await lab.agents.status('n1')
    const told = problems.map(({ object, field, message }) => `${object}: ${field ?? message.split(' ').slice(0, 2).join(' ')}`)
    assert.deepEqual([...new Set(told)].toSorted(byText), PROBLEMS.toSorted(byText), JSON.stringify(problems, null, 1))
    const conflicts = problems.filter(({ code }) => code === 'ServiceConflict').map(({ message }) => /^\S+:(\d+\/\S+) belongs to Service shop\/first,/.exec(message)?.[1] ?? message)
    assert.deepEqual([...new Set(conflicts)], EVERY_PROTOCOL.map((protocol) => `${nodePortOf(FIRST, protocol)}/${protocol}`))
    for (const { message } of problems) assert.ok(message.length > 20 && !/\n|undefined|\[object/.test(message), message)
  })

  it('the good one serves, by its addresses and its node ports', async () => {
    for (const family of FAMILIES) {
      assert.deepEqual(await ask('shop/client', VIP(GOOD, family), 80), ['shop/a', 'shop/b'])
      for (const protocol of EVERY_PROTOCOL) {
        const found = await ask('outside', lab.nodeAddress('n1', family), nodePortOf(GOOD, protocol), [protocol])
        assert.ok(found.length > 0 && found.every((one) => ['shop/a', 'shop/b'].includes(one)), `${protocol} ${found.join()}`)
      }
    }
  })

  it('what is wrong costs itself: the older has the node port, what can be read serves, ranges that cannot be let nobody in', async () => {
    const inFamily = async (family: Family): Promise<void> => {
      const own = lab.nodeAddress('n1', family)
      for (const protocol of EVERY_PROTOCOL) assert.deepEqual(await ask('outside', own, nodePortOf(FIRST, protocol), [protocol]), ['shop/a'])
      assert.deepEqual(await ask('shop/client', VIP(SECOND, family), 80), ['shop/b'])
      assert.deepEqual(await ask('shop/client', VIP(FAMILY, family), 80), family === 4 ? ['shop/a'] : ['-'])
      assert.deepEqual(await ask('shop/client', VIP(PORTLESS, family), 80), ['x'])
      assert.deepEqual(await ask('shop/client', VIP(NUMBERLESS, family), 80, ['TCP', 'SCTP']), ['x'])
      assert.deepEqual(await ask('shop/client', VIP(NUMBERLESS, family), 80, ['UDP']), ['shop/a'])
      assert.deepEqual(await ask('shop/client', VIP(ODD, family), 80), ['shop/a'])
      for (const from of ['outside', 'shop/client', 'n1']) assert.deepEqual(await ask(from, BALANCER[family], 80), ['-'], from)
      assert.deepEqual(await ask('shop/client', VIP(FRONT, family), 80), ['shop/a'])
    }
    await Promise.all(FAMILIES.map(inFamily))
  })

  it('1,000 endpoints in a slice serve, all of them, and 300 of another Service beside them', async () => {
    await lab.testbed.serve({ kind: 'outside' }, [{ protocol: 'TCP', port: 8080 }])
    for (const [number, count, least] of [[MANY, MOST, 680], [SOME, FEWER, 285]] as const) {
      for (const family of FAMILIES) {
        const results = await lab.testbed.probe(Array.from({ length: 1_500 }, () => ({ from: lab.source(CLIENT.key), address: VIP(number, family), protocol: 'TCP' as const, port: 80 })), 5_000)
        const at = results.flatMap((result) => (result.kind === 'answered' ? [result.at] : []))
        const its = new Set(LONG[family].slice(-count).map((address) => (family === 4 ? `${address}:8080` : `[${address}]:8080`)))
        assert.deepEqual([...new Set(at)].filter((one) => !its.has(one)), [])
        assert.ok(at.length > 1_450, `${at.length} are answered`)
        // Of 1,500 that are drawn, about 777 of 1,000 and 298 of 300 are different.
        assert.ok(new Set(at).size >= least, `${new Set(at).size} of ${count}`)
      }
    }
  })
})
