// What a node's facts mean: one fact is changed at a time, and the finding names it with what to do.
//
// **Invariant:** every check has a node that it is content with, and one that it is not.
import assert from 'node:assert/strict'
import type { Finding } from '../../../src/check/finding.ts'
import { judgeNode } from '../../../src/check/judge-node.ts'
import type { ForeignChain, NodeFacts } from '../../../src/check/node-facts.ts'
import { GOOD, link } from './facts.ts'

const judged = (changes: Partial<NodeFacts>): readonly Finding[] => judgeNode({ ...GOOD, ...changes }).filter(({ level }) => level !== 'ok')
const one = (changes: Partial<NodeFacts>): Finding => {
  const [found, ...others] = judged(changes)
  assert.deepEqual(others, [])
  return found ?? assert.fail('nothing was found')
}
const chain = (table: string, name: string, hook: string | null = null, policy: string | null = null): ForeignChain => ({ table, name, hook, policy })
const works = (trial: Partial<Extract<NodeFacts['access'], { kind: 'works' }>['trial']>): Pick<NodeFacts, 'access'> => ({
  access: { kind: 'works', description: 'libnftables 1.0.6', trial: { inet: null, bridge: null, log: null, missing: [], ...trial } },
})
const setting = (name: string, value: string | null): Pick<NodeFacts, 'settings'> => ({ settings: { ...GOOD.settings, [name]: value } })

function expect(changes: Partial<NodeFacts>, level: Finding['level'], check: Finding['check'], found: RegExp, advice: RegExp): void {
  const finding = one(changes)
  assert.deepEqual([finding.level, finding.check], [level, check])
  assert.match(finding.found, found)
  assert.match(finding.advice ?? '', advice)
}

describe('check: a node', () => {
  it('that is as it should be is ok in every check, each one told', () => {
    const findings = judgeNode(GOOD)
    assert.deepEqual(findings.map(({ level, check }) => [level, check]), ['kernel', 'conntrack', 'attachment', 'policy-engine', 'kube-proxy', 'firewall', 'sysctl', 'agent'].map((check) => ['ok', check]))
    assert.match(findings[0]?.found ?? '', /Linux 6\.18\.0, libnftables 1\.0\.6: takes the trial transaction/)
    assert.match(findings[2]?.found ?? '', /1 interface with routes to a pod/)
  })
  it('whose kernel lacks something: what, and the module', () => {
    expect(works({ inet: 'x', missing: [{ feature: 'verdict maps', module: 'nf_tables', reason: 'Not supported' }] }), 'error', 'kernel', /refuses verdict maps \(nf_tables\): Not supported/, /load/)
    expect(works({ inet: 'No space left' }), 'error', 'kernel', /trial transaction is refused: No space left/, /newer kernel/)
    expect(works({ bridge: 'Not supported' }), 'warning', 'kernel', /family bridge: Not supported/, /nf_tables_bridge/)
    expect(works({ log: 'No such file or directory' }), 'warning', 'kernel', /takes no log rules: No such file or directory/, /nfnetlink_log.*enforced/)
    expect({ access: { kind: 'fails', message: 'there is no nft' } }, 'error', 'kernel', /there is no nft/, /libnftables/)
  })
  it('whose connections cannot be read, or are nearly too many', () => {
    expect({ conntrackFault: 'EPROTONOSUPPORT' }, 'error', 'conntrack', /EPROTONOSUPPORT/, /nf_conntrack_netlink/)
    expect(setting('net/netfilter/nf_conntrack_count', '250000'), 'warning', 'conntrack', /250000 of at most 262144/, /nf_conntrack_max/)
  })
  it('with pods on a bridge that inet does not see: an error for each family', () => {
    const links = [link('cni0', { index: 3, kind: 'bridge' }), link('veth1', { index: 5, master: 3 }), link('veth2', { index: 6, master: 3 })]
    assert.deepEqual(judged({ links }), [])
    assert.match(judgeNode({ ...GOOD, links })[2]?.found ?? '', /2 ports on cni0/)
    expect({ links, ...setting('net/bridge/bridge-nf-call-ip6tables', '0') }, 'error', 'attachment', /ip6tables: it is 0: IPv6 policies do not hold/, /sysctl -w/)
    expect({ links, ...setting('net/bridge/bridge-nf-call-iptables', null) }, 'error', 'attachment', /IPv4/, /modprobe br_netfilter/)
    // Without ports there is nothing that it is needed for.
    assert.deepEqual(judged({ links: [link('docker0', { index: 3, kind: 'bridge' })], ...setting('net/bridge/bridge-nf-call-iptables', '0') }), [])
  })
  it('with what bypasses the forward hook: macvlan, flowtables on pods\' interfaces, IPVS, eBPF', () => {
    expect({ links: [link('mv0', { kind: 'macvlan' })] }, 'warning', 'attachment', /mv0 \(macvlan\)/, /veth/)
    expect({ flowtables: [{ table: 'inet fast', name: 'ft', devices: ['eth0', 'veth1'] }] }, 'error', 'attachment', /flowtable ft of table inet fast: it offloads veth1/, /remove/)
    assert.deepEqual(judged({ flowtables: [{ table: 'inet fast', name: 'ft', devices: ['eth0'] }] }), [])
    expect({ links: [link('kube-ipvs0', { kind: 'dummy' })] }, 'error', 'kube-proxy', /IPVS/, /mode nftables/)
    expect({ links: [link('cilium_host')] }, 'error', 'policy-engine', /Cilium: interface cilium_host/, /forward hook/)
  })
  it('with another engine: by its chains, tables, interfaces and processes', () => {
    const seen: readonly [Partial<NodeFacts>, RegExp][] = [
      [{ chains: [...GOOD.chains, chain('ip filter', 'cali-FORWARD')] }, /Calico: chain cali-FORWARD in ip filter/],
      [{ tables: [...GOOD.tables, 'ip calico'] }, /Calico: table ip calico/],
      [{ chains: [...GOOD.chains, chain('ip filter', 'KUBE-NWPLCY-ABC'), chain('ip filter', 'KUBE-ROUTER-FORWARD')] }, /kube-router: chain KUBE-NWPLCY-ABC in ip filter and 1 more/],
      [{ chains: [...GOOD.chains, chain('ip filter', 'WEAVE-NPC')] }, /Weave Net/],
      [{ tables: [...GOOD.tables, 'inet kube-network-policies'] }, /kube-network-policies: table/],
      [{ programs: ['bash', 'calico-node'] }, /Calico: process calico-node/],
    ]
    for (const [changes, found] of seen) expect(changes, 'warning', 'policy-engine', found, /switch off its network policies/)
    expect({ links: [link('antrea-gw0', { kind: 'openvswitch' })] }, 'error', 'policy-engine', /Antrea/, /Antrea carries packets past/)
  })
  it('by kube-proxy: its mode, two modes, none', () => {
    const text = (changes: Partial<NodeFacts>): string => judgeNode({ ...GOOD, ...changes }).find(({ check }) => check === 'kube-proxy')?.found ?? ''
    assert.equal(text({}), 'mode nftables')
    const iptables = { tables: ['ip nat'], chains: [chain('ip nat', 'KUBE-SERVICES')] }
    assert.equal(text(iptables), 'mode iptables')
    expect({ tables: ['ip nat', 'ip kube-proxy'], chains: iptables.chains }, 'warning', 'kube-proxy', /nftables and of mode iptables/, /--cleanup/)
    expect({ tables: [], chains: [] }, 'warning', 'kube-proxy', /no rules of it/, /eBPF/)
    expect({ tables: [], chains: [], legacyTables: ['nat'] }, 'warning', 'kube-proxy', /iptables-legacy has a table nat/, /who translates/)
  })
  it('whose firewall drops what is forwarded', () => {
    expect({ chains: [...GOOD.chains, chain('ip filter', 'FORWARD', 'forward', 'drop')] }, 'warning', 'firewall', /FORWARD of table ip filter/, /allows the pods/)
    assert.deepEqual(judged({ chains: [...GOOD.chains, chain('ip filter', 'FORWARD', 'forward', 'accept'), chain('inet f', 'in', 'input', 'drop')] }), [])
    expect({ legacyTables: ['filter'] }, 'warning', 'firewall', /iptables-legacy/, /iptables-legacy -S/)
  })
  it('that forwards nothing', () => expect(setting('net/ipv4/ip_forward', '0'), 'warning', 'sysctl', /net\.ipv4\.ip_forward is 0/, /sysctl -w net\.ipv4\.ip_forward=1/))
  it('with an agent: ready, waiting, with problems; and with what one left', () => {
    const tables = [...GOOD.tables, 'inet picket']
    const agent = { version: '0.1.0', ready: true, waitingFor: null, problems: [] }
    const text = judgeNode({ ...GOOD, tables, agent }).at(-1)
    assert.deepEqual([text?.level, text?.found], ['ok', 'version 0.1.0: ready, no problems'])
    expect({ tables, agent: { ...agent, ready: false, waitingFor: 'pods not read yet' } }, 'error', 'agent', /not ready: pods not read yet/, /log/)
    const problem = (severity: 'error' | 'warning', message: string) => ({ code: 'X', severity, object: 'NetworkPolicy a/b', message })
    expect({ tables, agent: { ...agent, problems: [problem('warning', 'w'), problem('error', 'e')] } }, 'error', 'agent', /2 problems: NetworkPolicy a\/b: e \(and 1 more\)/, /status/)
    expect({ tables, agent: { ...agent, problems: [problem('warning', 'w')] } }, 'warning', 'agent', /1 problem/, /status/)
    expect({ tables: [...tables, 'bridge picket'] }, 'warning', 'agent', /none answers, and table inet picket, table bridge picket is in force/, /picket cleanup/)
    assert.deepEqual(judged({ tables: [...GOOD.tables, 'inet pickets', 'ip picket'] }), [])
  })
})
