// What a node's facts mean for Services, where Picket translates them: kube-proxy beside it, marks, settings, routes.
//
// **Invariant:** each finding has a node that has it, and one that differs in that alone and is content.
import assert from 'node:assert/strict'
import type { Finding } from '../../../src/check/finding.ts'
import { judgeNode } from '../../../src/check/judge-node.ts'
import type { MarkWriter } from '../../../src/check/mark-writers.ts'
import type { ForeignChain, NodeFacts } from '../../../src/check/node-facts.ts'
import { rangesOf, type Translation } from '../../../src/check/translation.ts'
import { parseCidr } from '../../../src/model/ip.ts'
import { GOOD, link } from './facts.ts'

const cidrs = (...texts: readonly string[]) => texts.map((text) => parseCidr(text) ?? assert.fail(text))
const TRANSLATION: Translation = { mask: 0xffffff00, serviceCidrs: cidrs('10.96.0.0/16', 'fd00:96::/112'), markWriters: [], unreadTables: [] }
const agent = { version: '0.1.0', ready: true, waitingFor: null, problems: [] }
const translating: NodeFacts = {
  ...GOOD,
  tables: ['inet picket'],
  chains: [{ table: 'inet picket', name: 'nat-prerouting', hook: 'prerouting', policy: 'accept' }],
  links: [...GOOD.links, link('eth0', { index: 2, kind: '', addresses: ['192.0.2.1', 'fd00::1'] })],
  settings: { ...GOOD.settings, 'net/netfilter/nf_conntrack_tcp_timeout_established': '432000', 'net/netfilter/nf_conntrack_tcp_timeout_close_wait': '3600' },
  translation: TRANSLATION,
  agent,
}
const chain = (table: string, name: string): ForeignChain => ({ table, name, hook: null, policy: null })
const of = (check: Finding['check'], changes: Partial<NodeFacts> = {}): readonly Finding[] => judgeNode({ ...translating, ...changes }).filter((one) => one.check === check)
const only = (check: Finding['check'], changes: Partial<NodeFacts>): Finding => {
  const [found, ...others] = of(check, changes).filter(({ level }) => level !== 'ok')
  assert.deepEqual(others, [])
  return found ?? assert.fail(`nothing was found by ${check}`)
}
const writes = (...markWriters: readonly MarkWriter[]): Partial<NodeFacts> => ({ translation: { ...TRANSLATION, markWriters } })

describe('check: a node whose Services Picket translates', () => {
  it('that is as it should be is ok in every check, each one told', () => {
    const findings = judgeNode(translating)
    assert.deepEqual(findings.filter(({ level }) => level !== 'ok'), [])
    assert.deepEqual(findings.map(({ check }) => check), ['kernel', 'conntrack', 'attachment', 'policy-engine', 'kube-proxy', 'conntrack-mark', 'sysctl', 'routes', 'firewall', 'sysctl', 'agent'])
    assert.equal(of('kube-proxy')[0]?.found, 'Picket translates Services; no rules and no process of kube-proxy')
  })
  it('from inside a pod nothing is said of processes', () => {
    assert.equal(of('kube-proxy', { seesProcesses: false })[0]?.found, 'Picket translates Services; no rules of kube-proxy')
  })
  it('with a kube-proxy that runs beside it: stop it', () => {
    const { level, found, advice } = only('kube-proxy', { programs: ['kube-proxy'], tables: ['inet picket', 'ip kube-proxy'] })
    assert.equal(level, 'warning')
    assert.match(found, /kube-proxy runs as well/)
    assert.match(advice ?? '', /^stop it \(of kubeadm: kubectl -n kube-system delete daemonset kube-proxy/)
    assert.equal(of('kube-proxy', { programs: ['kube-proxy'] })[0]?.found, 'Picket translates Services')
  })
  it('with what kube-proxy left: the commands that remove it', () => {
    const tables = ['inet picket', 'ip kube-proxy', 'ip6 kube-proxy']
    const nftables = only('kube-proxy', { tables })
    assert.match(nftables.found, /^left of kube-proxy, of which no process is seen: table ip kube-proxy, table ip6 kube-proxy$/)
    assert.equal(nftables.advice, 'remove it: nft delete table ip kube-proxy; nft delete table ip6 kube-proxy')
    const names = ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-SVC-ERIFXISQEP7F7OF4']
    const iptables = only('kube-proxy', { chains: [...translating.chains, ...names.map((name) => chain('ip nat', name)), chain('ip6 filter', 'KUBE-FORWARD')] })
    assert.match(iptables.found, /: chain KUBE-SERVICES and 2 more in ip nat, chain KUBE-FORWARD in ip6 filter$/)
    assert.match(iptables.advice ?? '', /^remove it: iptables-nft-save \| grep -vwE '.*' \| iptables-nft-restore; ip6tables-nft-save .* \| ip6tables-nft-restore$/)
    const ipvs = only('kube-proxy', { links: [...translating.links, link('kube-ipvs0', { kind: 'dummy' })] })
    assert.deepEqual([ipvs.level, ipvs.advice], ['warning', 'remove it: ip link delete kube-ipvs0; ipvsadm --clear'])
    const legacy = only('kube-proxy', { legacyTables: ['nat'] })
    assert.match(legacy.found, /iptables-legacy has a table nat/)
  })
  it('with such rules, seen from inside a pod: that kube-proxy does not run is not said', () => {
    const { found, advice } = only('kube-proxy', { tables: ['inet picket', 'ip kube-proxy'], seesProcesses: false })
    assert.match(found, /rules of kube-proxy are here as well: table ip kube-proxy; whether it still runs is not seen/)
    assert.match(advice ?? '', /stop it if it runs .*; then, on the node: nft delete table ip kube-proxy$/)
  })
  it("chains of kubelet and kube-router are not taken for kube-proxy's", () => {
    const chains = ['KUBE-FIREWALL', 'KUBE-KUBELET-CANARY', 'KUBE-IPTABLES-HINT', 'KUBE-ROUTER-FORWARD', 'KUBE-POD-FW-ABC', 'CNI-HOSTPORT-DNAT'].map((name) => chain('ip filter', name))
    assert.deepEqual(of('kube-proxy', { chains: [...translating.chains, ...chains] }).map(({ level }) => level), ['ok'])
  })

  it('with rules that write bits of ours: which, and a mask that leaves them theirs', () => {
    const { level, found, advice } = only('conntrack-mark', writes({ table: 'inet mesh', chain: 'in', bits: 0xf0 }, { table: 'inet other', chain: 'out', bits: 0x180 }))
    assert.equal(level, 'error')
    assert.match(found, /^chain out of table inet other sets bits 0x00000180, of which 0x00000100 are Picket's \(serviceMarkMask 0xffffff00\)/)
    assert.match(advice ?? '', /^set serviceMarkMask: "0xfffffe00", which leaves them their bits/)
    assert.match(only('conntrack-mark', writes({ table: 'ip mangle', chain: 'PREROUTING', bits: 0x80000000 })).advice ?? '', /^set serviceMarkMask: "0x7fffffff"/)
    const whole = only('conntrack-mark', writes({ table: 'ip mangle', chain: 'PREROUTING', bits: 0xffffffff }))
    assert.match(whole.found, /chain PREROUTING of table ip mangle sets the whole mark, of which 0xffffff00 are/)
    assert.match(whole.advice ?? '', /^give that program other bits/)
  })
  it('with rules that keep to the bits beside the mask: ok, and told; the default where the mask is not known', () => {
    const text = (changes: Partial<NodeFacts>): readonly string[] => of('conntrack-mark', changes).map(({ level, found }) => `${level}: ${found}`)
    assert.deepEqual(text({}), ["ok: no other rule sets connections' marks (serviceMarkMask 0xffffff00)"])
    assert.deepEqual(text(writes({ table: 'inet mesh', chain: 'in', bits: 0xf0 })), ['ok: chain in of table inet mesh sets bits 0x000000f0: outside serviceMarkMask 0xffffff00'])
    const low = { table: 'inet mesh', chain: 'in', bits: 0x80000000 }
    assert.match(text({ translation: { ...TRANSLATION, mask: 0x3fffff, markWriters: [low] } })[0] ?? '', /^ok: .*outside serviceMarkMask 0x003fffff$/)
    assert.match(text({ translation: { ...TRANSLATION, mask: null, markWriters: [low] } })[0] ?? '', /^error: .*serviceMarkMask 0xffffff00/)
  })
  it('with rules whose bits cannot be known, tables that cannot be read, and iptables-legacy: warnings', () => {
    const four = only('conntrack-mark', writes({ table: 'ip mangle', chain: 'PREROUTING', bits: null }))
    assert.deepEqual([four.level, /CONNMARK, whose bits/.test(four.found), /: iptables-nft-save \| grep CONNMARK/.test(four.advice ?? '')], ['warning', true, true])
    assert.match(only('conntrack-mark', writes({ table: 'ip6 mangle', chain: 'PREROUTING', bits: null })).advice ?? '', /: ip6tables-nft-save \|/)
    assert.equal(only('conntrack-mark', writes({ table: 'bridge x', chain: 'c', bits: null })).level, 'warning')
    assert.match(only('conntrack-mark', { translation: { ...TRANSLATION, unreadTables: ['ip odd'] } }).found, /table ip odd cannot be read/)
    assert.match(only('conntrack-mark', { legacyTables: ['mangle'] }).found, /iptables-legacy has a table mangle/)
  })

  it('whose connections are fewer or shorter than kube-proxy would have them: the lines to write', () => {
    const settings = { ...translating.settings, 'net/netfilter/nf_conntrack_max': '65536', 'net/netfilter/nf_conntrack_tcp_timeout_established': '3600', 'net/netfilter/nf_conntrack_tcp_timeout_close_wait': '60' }
    const { level, found, advice } = only('sysctl', { settings })
    assert.equal(level, 'warning')
    assert.match(found, /nf_conntrack_max is 65536 \(kube-proxy: 131072\), .*established is 3600 \(kube-proxy: 86400\), .*close_wait is 60 \(kube-proxy: 3600\)$/)
    const lines = "'net.netfilter.nf_conntrack_max = 131072' 'net.netfilter.nf_conntrack_tcp_timeout_established = 86400' 'net.netfilter.nf_conntrack_tcp_timeout_close_wait = 3600'"
    assert.equal(advice, `printf '%s\\n' ${lines} >> /etc/sysctl.d/90-picket.conf && sysctl -p /etc/sysctl.d/90-picket.conf`)
    // Where kube-proxy translates, it sets them.
    assert.deepEqual(judgeNode({ ...GOOD, settings }).filter(({ level: one, check }) => check === 'sysctl' && one !== 'ok'), [])
  })
  it('with many cores: as many connections as kube-proxy would ask for, and never more', () => {
    const least = (cores: number): number => Number(/nf_conntrack_max = (\d+)/.exec(only('sysctl', { cores, settings: { ...translating.settings, 'net/netfilter/nf_conntrack_max': '1' } }).advice ?? '')?.[1])
    assert.deepEqual([1, 4, 8, 16, 32, 64].map(least), [131_072, 131_072, 262_144, 524_288, 1_048_576, 1_048_576])
    assert.deepEqual(of('sysctl', { settings: { ...translating.settings, 'net/netfilter/nf_conntrack_max': null } }).map(({ level }) => level), ['ok', 'ok'])
  })

  it('without a route for what the node itself sends: each family that it has', () => {
    const { level, found, advice } = only('routes', { routes: cidrs('0.0.0.0/0', 'fd00::/64') })
    assert.deepEqual([level, advice], ['warning', 'add one, such as ip -6 route add fd00:96::/112 dev INTERFACE'])
    assert.match(found, /^no default route of IPv6, and none that covers fd00:96::\/112: what the node itself sends/)
    assert.match(only('routes', { routes: cidrs('192.0.2.0/24', '::/0') }).advice ?? '', /such as ip route add 10\.96\.0\.0\/16 dev/)
    assert.deepEqual(of('routes', { routes: cidrs('10.96.0.0/12', '::/0') }).map((one) => one.level), ['ok'])
    const unnamed = { translation: { ...TRANSLATION, serviceCidrs: [] } }
    assert.match(only('routes', { ...unnamed, routes: cidrs('10.96.0.0/12', '::/0') }).found, /^no default route of IPv4: /)
    // No address of that family, no Services of it.
    assert.deepEqual(of('routes', { routes: cidrs('0.0.0.0/0'), links: [link('eth0', { addresses: ['192.0.2.1'] })] }).map((one) => one.level), ['ok'])
  })
  it('reads ranges of a set, however nft lists them', () => {
    const listing = JSON.stringify({ nftables: [{ set: { elem: ['10.0.0.1', { range: ['10.1.0.0', '10.1.0.9'] }, { prefix: { addr: 'fd00::', len: 16 } }, null, { odd: 1 }] } }] })
    assert.deepEqual(rangesOf(listing).map(({ text }) => text), ['10.0.0.1/32', '10.1.0.0-10.1.0.9', 'fd00::/16'])
  })
})
