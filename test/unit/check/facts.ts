// A node that is as it should be, for tests that change one thing of it.
//
// **Invariant:** judged as it stands, everything is ok.
import assert from 'node:assert/strict'
import type { NodeFacts } from '../../../src/check/node-facts.ts'
import { parseCidr } from '../../../src/model/ip.ts'
import type { HostInterface } from '../../../src/model/objects.ts'

export function link(name: string, fields: Partial<HostInterface> = {}): HostInterface {
  return { index: 10, name, kind: 'veth', master: 0, addresses: [], hostRoutes: [], hasWiderRoutes: false, networks: [], behind: null, ...fields }
}

export const GOOD: NodeFacts = {
  kernel: '6.18.0',
  access: { kind: 'works', description: 'libnftables 1.0.6', trial: { inet: null, bridge: null, log: null, missing: [] } },
  tables: ['ip kube-proxy'],
  chains: [{ table: 'ip kube-proxy', name: 'services', hook: null, policy: null }],
  flowtables: [],
  legacyTables: [],
  links: [link('lo', { index: 1, kind: '' }), link('veth1', { index: 5, hostRoutes: ['10.0.0.5'] })],
  conntrackFault: null,
  settings: {
    'net/ipv4/ip_forward': '1', 'net/ipv6/conf/all/forwarding': '1', 'net/netfilter/nf_conntrack_count': '7', 'net/netfilter/nf_conntrack_max': '262144',
    'net/bridge/bridge-nf-call-iptables': '1', 'net/bridge/bridge-nf-call-ip6tables': '1',
  },
  programs: [],
  seesProcesses: true,
  cores: 4,
  routes: ['0.0.0.0/0', '::/0'].map((text) => parseCidr(text) ?? assert.fail(text)),
  translation: null,
  agent: null,
  time: 0,
}
