// ipBlocks (rules 46-57) on real packets: excepts, families, host bits, overlaps, pods by address, and ten thousand of them.
//
// The outside host has addresses in several networks, as clients of one network behind each other.
// **Invariant:** each test replaces all policies, so that none depends on another.
import assert from 'node:assert/strict'
import { RealCluster } from '../support/real-cluster.ts'
import { egress, ingress, realPod, type PlainObject } from '../support/real-objects.ts'
import type { RawPeer, RawPort } from '../support/manifests.ts'
import { sampled } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const API = realPod('shop/api', 'n1', 2, { app: 'api' })
const WEB = realPod('shop/web', 'n2', 3, { app: 'web' })
const FAR = realPod('shop/far', 'n2', 200, { app: 'far' })
const OUTSIDE = ['203.0.113.5', '203.0.113.6', '198.51.100.9', '2001:db8::5', '2001:db8::6', '2001:db8:1::9']

/** How long ten thousand entries may take from the file to the kernel of both nodes, on a busy machine. */
const MANY_MS = 15_000

describe('ipBlocks, on real packets', function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [DB, API, WEB, FAR], outsideAddresses: OUTSIDE })
  })
  after(() => lab.close())

  const block = (cidr: string, ...except: readonly string[]): RawPeer => ({ ipBlock: except.length === 0 ? { cidr } : { cidr, except } })
  const out = (...to: readonly RawPeer[]): PlainObject => egress('shop/out', { app: 'web' }, { to })

  /** What the pod web reaches when its egress names these peers: exactly these of the outside host's addresses. */
  async function reaches(peers: readonly RawPeer[], ...addresses: readonly string[]): Promise<void> {
    await lab.policies(out(...peers))
    await asks(...addresses)
  }

  async function asks(...addresses: readonly string[]): Promise<void> {
    for (const one of addresses) assert.ok(OUTSIDE.includes(one), one)
    const ask = (one: string): string => `shop/web -> outside@${one} 7061`
    await lab.check({ allowed: addresses.map(ask), denied: OUTSIDE.filter((one) => !addresses.includes(one)).map(ask) })
  }

  const tests: Readonly<Record<string, () => Promise<void>>> = {
    'rule 46: except takes away from its own ipBlock only': async () => {
      await reaches([block('203.0.113.0/24', '203.0.113.5/32'), block('2001:db8::/64', '2001:db8::5/128')], '203.0.113.6', '2001:db8::6')
    },
    'rule 47: an excepted address that something else allows is allowed': async () => {
      await reaches([block('203.0.113.0/24', '203.0.113.4/31'), block('203.0.113.5/32')], '203.0.113.5', '203.0.113.6')
      await lab.policies(out(block('203.0.113.0/24', '203.0.113.4/31')), egress('shop/other', {}, { to: [block('203.0.113.5/32'), block('2001:db8::5/128')] }))
      await asks('203.0.113.5', '203.0.113.6', '2001:db8::5')
    },
    'rule 48: an except of one rule does not touch the CIDR of another with other ports': async () => {
      const rule = (ports: readonly RawPort[], peer: RawPeer) => ({ to: [peer], ports })
      await lab.policies(egress('shop/out', { app: 'web' }, rule([{ port: 8080 }], block('10.88.0.0/24', '10.88.0.1/32')), rule([{ port: 9090 }], block('10.88.0.0/29'))))
      await lab.check({
        allowed: ['shop/web -> shop/db 9090 v4', 'shop/web -> shop/api 8080 9090 v4', 'shop/web -> shop/far 8080 v4'],
        denied: ['shop/web -> shop/far 9090 v4', 'shop/web -> shop/db 8080 v4', 'shop/web -> shop/api 8080/UDP v4', 'shop/web -> shop/db 9090 v6'],
      })
      await lab.policies(ingress('shop/in', { app: 'db' }, { from: [block('10.88.0.0/24', '10.88.0.3/32')], ports: [{ port: 8080 }] }, { from: [block('10.88.0.0/24')], ports: [{ port: 9090 }] }))
      await lab.check({ allowed: ['shop/web -> shop/db 9090 v4', 'shop/far -> shop/db 8080 9090 v4'], denied: ['shop/web -> shop/db 8080 v4', 'shop/far -> shop/db v6'] })
    },
    'rule 49: everything except its two halves is nothing; excepts may repeat and overlap': async () => {
      await reaches([block('0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1'), block('::/0', '::/1', '8000::/1')])
      await reaches([block('203.0.113.0/24', '203.0.113.5/32', '203.0.113.5/32', '203.0.113.4/31'), block('2001:db8::/32', '2001:db8::/64', '2001:db8::5/128')], '203.0.113.6', '2001:db8:1::9')
    },
    'rule 50: families never mix': async () => {
      await reaches([block('0.0.0.0/0')], '203.0.113.5', '203.0.113.6', '198.51.100.9')
      await reaches([block('::/0')], '2001:db8::5', '2001:db8::6', '2001:db8:1::9')
      await lab.policies(ingress('shop/in', { app: 'db' }, { from: [block('0.0.0.0/0')] }))
      await lab.check({ allowed: ['shop/web -> shop/db v4', 'outside -> shop/db v4', 'n2 -> shop/db v4'], denied: ['shop/web -> shop/db v6', 'outside -> shop/db v6', 'n2 -> shop/db v6'] })
    },
    'rule 51: host bits are cut off; /32 and /128 are one address': async () => {
      await reaches([block('203.0.113.77/24'), block('2001:db8::ffff/64')], '203.0.113.5', '203.0.113.6', '2001:db8::5', '2001:db8::6')
      await reaches([block('203.0.113.5/32'), block('2001:db8::6/128')], '203.0.113.5', '2001:db8::6')
      await reaches([block('1.2.3.4/0', '203.0.113.99/24')], '198.51.100.9')
    },
    'rule 52: CIDRs may nest, repeat, touch and overlap': async () => {
      const nested = ['203.0.113.0/24', '203.0.113.0/24', '203.0.113.4/30', '203.0.112.0/23', '203.0.113.5/32', '2001:db8::/64', '2001:db8::/48', '2001:db8::5/128'].map((cidr) => block(cidr))
      await reaches(nested, '203.0.113.5', '203.0.113.6', '2001:db8::5', '2001:db8::6')
      await reaches(nested.slice(2).toReversed(), '203.0.113.5', '203.0.113.6', '2001:db8::5', '2001:db8::6')
      await reaches([block('203.0.113.5/32'), block('203.0.113.4/32'), block('203.0.113.7/32')], '203.0.113.5')
    },
    'rule 53: an ipBlock matches pods by their addresses, in both directions': async () => {
      await lab.policies(ingress('shop/in', { app: 'db' }, { from: [block('10.88.0.3/32'), block('fd00:88::c8/128')] }), egress('shop/eg', { app: 'api' }, { to: [block('10.88.0.200/32')] }))
      await lab.check({
        allowed: ['shop/web -> shop/db v4', 'shop/far -> shop/db v6', 'shop/api -> shop/far v4'],
        denied: ['shop/web -> shop/db v6', 'shop/far -> shop/db v4', 'shop/api -> shop/far v6', 'shop/api -> shop/web'],
      })
    },
    'rule 56: pods and ipBlocks of one rule are added up, the same pod by both too': async () => {
      await lab.policies(ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'web' } } }, block('10.88.0.0/29'), block('192.168.61.200/32')] }))
      await lab.check({ allowed: ['shop/web -> shop/db', 'shop/api -> shop/db v4', 'outside -> shop/db v4'], denied: ['shop/far -> shop/db', 'shop/api -> shop/db v6', 'outside -> shop/db v6'] })
      await lab.policies(ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'web' } } }] }))
      await lab.check({ allowed: ['shop/web -> shop/db'], denied: ['shop/api -> shop/db', 'outside -> shop/db'] })
    },
    'rule 57: one invalid CIDR opens nothing, everything beside it stays, and it is reported': async () => {
      await lab.policies(egress('shop/bad', { app: 'web' }, { to: [block('203.0.113.0/33'), block('198.51.100.9/32')] }, { to: [block('203.0.113.5/32')] }), egress('shop/more', {}, { to: [block('2001:db8::5/128')] }))
      await asks('198.51.100.9', '203.0.113.5', '2001:db8::5')
      const problems = (await lab.agents.status('n2')).problems
      const found = problems.filter((one) => one.object === 'NetworkPolicy shop/bad' && one.field === 'spec.egress[0].to[0].ipBlock.cidr')
      assert.equal(found.length, 1, JSON.stringify(problems))
      assert.match(found[0]?.message ?? '', /203\.0\.113\.0\/33/)
    },
    'rule 57: an except that cannot be read voids its own peer, one outside of its CIDR has no effect': async () => {
      await lab.policies(egress('shop/worse', { app: 'web' }, { to: [block('203.0.113.0/24', 'nonsense'), block('198.51.100.0/24', '2001:db8::/64', '203.0.113.0/24')] }))
      await asks('198.51.100.9')
    },
    'rules 52, 110: ten thousand entries with overlaps are applied, and edited': async () => {
      const many = Array.from({ length: 10_000 }, (_, index) => `11.${index >> 8}.${index & 255}.${(index * 37) & 255}/${20 + (index % 13)}`)
      const wanted = [...many, '203.0.113.5/32'].map((cidr) => block(cidr))
      const started = performance.now()
      await reaches(wanted, '203.0.113.5')
      assert.ok(performance.now() - started < MANY_MS, `it took ${Math.round(performance.now() - started)} ms`)
      await reaches([...wanted.slice(5), block('203.0.113.6/32')], '203.0.113.5', '203.0.113.6')
      await reaches([...wanted.slice(5, -1), block('203.0.113.6/32')], '203.0.113.6')
      await reaches([block('203.0.113.5/32')], '203.0.113.5')
    },
  }
  const every = Object.keys(tests).filter((title) => /^rules? (48|50|52, 110)\b/.test(title))
  for (const title of sampled(Object.keys(tests), { every })) it(title, () => tests[title]?.())
})
