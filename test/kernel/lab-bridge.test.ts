// The lab's pods on bridges, without agents: who reaches whom, and that a node's own pods talk over its bridge.
//
// **Invariant:** counters are read before and after the packets that they count, so that none passes without packets.
import assert from 'node:assert/strict'
import { RealCluster } from '../support/real-cluster.ts'
import { realPod } from '../support/real-objects.ts'

const A = realPod('shop/a', 'n1', 1)
const B = realPod('shop/b', 'n1', 2)
const C = realPod('shop/c', 'n2', 3)
/** Of no range that the others are in. */
const D = realPod('shop/d', 'n2', 4, null, { addresses: ['172.30.9.9', 'fd00:9::9'] })
const PODS = [A, B, C, D].map((pod) => pod.key)
const [A4 = '', A6 = ''] = A.addresses
const [B4 = '', B6 = ''] = B.addresses
const [C4 = '', C6 = ''] = C.addresses
const PAIRS = { v4: `ip saddr ${A4} ip daddr ${B4}`, v6: `ip6 saddr ${A6} ip6 daddr ${B6}` }
const FAR = { v4: `ip saddr ${A4} ip daddr ${C4}`, v6: `ip6 saddr ${A6} ip6 daddr ${C6}` }

describe('the lab with pods on bridges', function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [A, B, C, D], agents: false, attachment: 'bridge' })
  })
  after(() => lab.close())

  const packets = (name: string): number => {
    const [family = '', counter = ''] = name.split(' ')
    return Number(/packets (\d+)/.exec(lab.run('n1', ['nft', 'list', 'counter', family, 'watch', counter]))?.[1])
  }

  it('every pod reaches every pod, both nodes and outside, and they reach it', async () => {
    const all = [...PODS, 'n1', 'n2', 'outside']
    const ports = (to: string): readonly string[] => (PODS.includes(to) ? ['8080/TCP', '8080/UDP', '8080/SCTP'] : ['7061/TCP', '7061/UDP', '7061/SCTP'])
    const pairs = all.flatMap((from) => all.filter((to) => to !== from).map((to) => [from, to] as const))
    await lab.check({ allowed: pairs.flatMap(([from, to]) => ports(to).map((port) => `${from} -> ${to} ${port}`)) })
  })

  it('packets of one node\'s pods are bridged, and pass inet forward from cni0 to cni0; others are routed', async () => {
    const rules = Object.entries(PAIRS).map(([name, match]) => `iifname cni0 oifname cni0 ${match} counter name ${name}`)
    const far = Object.entries(FAR).map(([name, match]) => `iifname cni0 oifname uplink ${match} counter name far${name}`)
    lab.nft('n1', `table inet watch {
      counter v4 { }; counter v6 { }; counter farv4 { }; counter farv6 { }
      chain forward { type filter hook forward priority 0; ${[...rules, ...far].join('; ')}; }
    }
    table bridge watch {
      counter v4 { }; counter v6 { }
      chain forward { type filter hook forward priority 0; ${Object.entries(PAIRS).map(([name, match]) => `iifname ${lab.testbed.hostInterface(A.key)} oifname ${lab.testbed.hostInterface(B.key)} ${match} counter name ${name}`).join('; ')}; }
    }`)
    const names = ['inet v4', 'inet v6', 'bridge v4', 'bridge v6', 'inet farv4', 'inet farv6']
    assert.deepEqual(names.map(packets), names.map(() => 0))
    await lab.check({ allowed: ['shop/a -> shop/b', 'shop/a -> shop/c'] })
    for (const name of names) assert.ok(packets(name) > 0, `${name} counted nothing`)
    assert.deepEqual([packets('bridge v4'), packets('bridge v6')], [packets('inet v4'), packets('inet v6')])
    lab.nft('n1', 'delete table inet watch; delete table bridge watch')
  })

  it('pods and nodes find each other by ARP and neighbour discovery: no pod\'s neighbour is permanent', async () => {
    await lab.check({ allowed: ['shop/a -> shop/b', 'shop/a -> outside 7061/TCP', 'n1 -> shop/a'] })
    const inPod = lab.run('shop/a', ['ip', 'neighbor', 'show', 'dev', 'eth0'])
    for (const address of [B4, B6, '169.254.1.1']) assert.match(inPod, new RegExp(`^${address} lladdr 02:`, 'm'))
    assert.doesNotMatch(inPod + lab.run('n1', ['ip', 'neighbor', 'show', 'dev', 'cni0']), /PERMANENT/)
  })

  it('a pod that ends leaves nothing, and another one takes its addresses, on its node and on the other', async () => {
    const port = lab.testbed.hostInterface(B.key)
    const links = (): string => lab.run('n1', ['ip', 'link', 'show', 'master', 'cni0'])
    assert.ok(links().includes(port))
    await lab.endPod(B.key)
    assert.ok(!links().includes(port))
    for (const where of ['n1', 'n2', 'outside', 'shop/a', 'shop/c']) {
      const known = lab.run(where, ['ip', 'route']) + lab.run(where, ['ip', '-6', 'route']) + lab.run(where, ['ip', 'neighbor'])
      assert.ok(!known.split(/\s/).some((word) => word === B4 || word === B6), `${where} still knows it:\n${known}`)
    }
    for (const node of ['n1', 'n2']) {
      const next = realPod(`shop/next-${node}`, node, 2)
      await lab.runPod(next)
      await lab.check({ allowed: ['shop/a', 'shop/c', 'n1', 'n2', 'outside'].flatMap((other) => [`${other} -> ${next.key} 8080/*`, ...(other.startsWith('shop/') ? [`${next.key} -> ${other} 8080/*`] : [])]) })
      await lab.endPod(next.key)
    }
  })

  it('pods that come and go all at once know each other', async () => {
    const many = Array.from({ length: 6 }, (_, index) => realPod(`shop/m${index}`, 'n1', 20 + index))
    await Promise.all(many.map((pod) => lab.runPod(pod)))
    await lab.check({ allowed: many.flatMap((from) => many.filter((to) => to !== from).map((to) => `${from.key} -> ${to.key}`)) })
    for (const from of many) {
      const onLink = lab.run(from.key, ['ip', 'route', 'show', 'scope', 'link'])
      for (const to of many) if (to !== from) assert.ok(onLink.includes(`${to.addresses[0]} dev eth0`), `${from.key} has no route on the link to ${to.key}`)
    }
    await Promise.all(many.map((pod) => lab.endPod(pod.key)))
    assert.doesNotMatch(lab.run('shop/a', ['ip', 'route']), /10\.88\.0\.2\d/)
  })

  it('an address that a pod of the other node takes while its holder lives is the new pod\'s, and stays so', async () => {
    const old = realPod('shop/old', 'n1', 6)
    const taker = realPod('shop/taker', 'n2', 6)
    await lab.runPod(old)
    await lab.runPod(taker)
    const reached = ['shop/a', 'shop/c', 'n1', 'outside'].map((from) => `${from} -> shop/taker`)
    await lab.check({ allowed: reached })
    await lab.endPod(old.key)
    await lab.check({ allowed: reached })
    await lab.endPod(taker.key)
  })
})
