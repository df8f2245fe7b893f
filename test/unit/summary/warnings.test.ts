// Each warning by the sentence that defines it: where it holds, where it does not, and that it comes and goes with its cause.
import assert from 'node:assert/strict'
import { WARNING_TYPES, type WarningType } from '../../../src/crd/warnings.ts'
import type { Pod } from '../../../src/model/objects.ts'
import type { Policy, PolicyRule } from '../../../src/model/policy.ts'
import type { DnsService } from '../../../src/summary/dns.ts'
import { ipBlock, namespace, node, pod, podPeer, podsIn, podsOf, policy, port, service } from '../../support/builders.ts'
import { SummaryWorld, warningsIn } from '../../support/summary-world.ts'

const WEB = { namespace: 'default', labels: { app: 'web' }, addresses: ['10.0.0.1', 'fd00::1'] }
const web = (fields: Partial<Pod> = {}): Pod => pod({ name: 'web', ...WEB, ...fields } as Parameters<typeof pod>[0])
const db = pod({ name: 'db', labels: { app: 'db' }, addresses: ['10.0.0.2'], ports: [{ name: 'sql', protocol: 'TCP', port: 5432 }] })
const dnsPod = pod({ name: 'dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, addresses: ['10.0.0.53', 'fd00::53'], ports: [{ name: 'dns', protocol: 'UDP', port: 5353 }] })
const DNS: DnsService = { namespace: 'kube-system', selector: new Map([['k8s-app', 'kube-dns']]), targets: [{ protocol: 'UDP', port: 'dns' }, { protocol: 'TCP', port: 5353 }] }

function world(row: Policy, ...pods: readonly Pod[]): SummaryWorld {
  const made = new SummaryWorld().namespaces(namespace(), namespace({ name: 'kube-system' })).policies(row).pods(...pods)
  made.step()
  return made
}
const warned = (made: SummaryWorld, type: WarningType): boolean => warningsIn(made.status()).includes(type)
const messageOf = (made: SummaryWorld, type: WarningType): string => made.status().warnings.find((one) => one.type === type)?.message ?? ''
/** After one more step, in which the policy must be told wherever the warning turns. */
function turned(made: SummaryWorld, type: WarningType): boolean {
  const before = JSON.stringify(made.status().warnings)
  const { changed } = made.step()
  if (JSON.stringify(made.status().warnings) !== before) assert.ok(changed.has('policy/default/policy'), 'it is told')
  return warned(made, type)
}

/** One test a type: the table is whole, or this file does not compile. */
const TESTS: Readonly<Record<WarningType, () => void>> = {
  SelectsNoPods() {
    const made = world(policy({ pods: 'app=web' }), db, web({ name: 'h', hostNetwork: true }), web({ name: 'f', finished: true }))
    assert.ok(warned(made, 'SelectsNoPods'))
    assert.equal(messageOf(made, 'SelectsNoPods'), 'podSelector: app=web')
    assert.ok(!turned(made.pods(web()), 'SelectsNoPods'))
    assert.ok(turned(made.remove('pod', web().uid), 'SelectsNoPods'))
  },
  HostNetworkPodSelected() {
    const made = world(policy({ pods: 'app=web' }), web(), db)
    assert.ok(!warned(made, 'HostNetworkPodSelected'))
    assert.ok(turned(made.pods(web({ name: 'h', uid: 'h', hostNetwork: true })), 'HostNetworkPodSelected'))
    assert.match(messageOf(made, 'HostNetworkPodSelected'), /^1 pod;/)
    assert.ok(!turned(made.pods(web({ name: 'h', uid: 'h', hostNetwork: true, finished: true })), 'HostNetworkPodSelected'), 'a finished one')
    assert.ok(!turned(made.pods(web({ name: 'o', uid: 'o', hostNetwork: true, namespace: 'kube-system' })), 'HostNetworkPodSelected'), 'another namespace')
  },
  EmptyPeer() {
    const made = world(policy({ ingress: [{ peers: [podPeer(podsIn('team=a', 'app=db')), ipBlock('10.0.0.0/8')] }, {}] }), web(), db)
    assert.equal(messageOf(made, 'EmptyPeer'), 'spec.ingress[0].from: namespaces team=a, pods app=db')
    assert.ok(!turned(made.namespaces(namespace({ labels: { team: 'a' } })), 'EmptyPeer'))
    assert.ok(turned(made.remove('pod', db.uid), 'EmptyPeer'))
    const egress = world(policy({ egress: [{ peers: [podPeer(podsOf('default', 'app=none')), podPeer(podsOf('default', 'app=web'))] }] }), web())
    assert.equal(messageOf(egress, 'EmptyPeer'), 'spec.egress[0].to: namespace default, pods app=none', 'one of two peers')
  },
  NamedPortUnresolved() {
    const ingress = world(policy({ pods: 'app=web', ingress: [{ ports: [port('http')] }] }), web(), db)
    assert.equal(messageOf(ingress, 'NamedPortUnresolved'), 'spec.ingress[0].ports: http/TCP')
    const named = (protocol: 'TCP' | 'UDP'): Pod => web({ name: 'b', uid: 'b', ports: [{ name: 'http', protocol, port: 80 }] })
    assert.ok(turned(ingress.pods(named('UDP')), 'NamedPortUnresolved'), 'of another protocol')
    assert.ok(!turned(ingress.pods(named('TCP')), 'NamedPortUnresolved'))
    assert.ok(turned(ingress.remove('pod', 'b'), 'NamedPortUnresolved'))
    assert.ok(!turned(ingress.remove('pod', web().uid), 'NamedPortUnresolved'), 'no pod is concerned: SelectsNoPods tells it')

    const egress = (peers: Policy['egress'][number]['peers']): SummaryWorld => world(policy({ pods: 'app=web', egress: [{ peers, ports: [port('sql')] }] }), web(), db)
    assert.ok(!warned(egress([podPeer(podsOf('default', 'app=db'))]), 'NamedPortUnresolved'), 'the port is the peers\', not the selected pods\'')
    assert.ok(warned(egress([podPeer(podsOf('default', 'app=web'))]), 'NamedPortUnresolved'))
    assert.ok(!warned(egress([podPeer(podsOf('default', 'app=none'))]), 'NamedPortUnresolved'), 'EmptyPeer tells it')
    assert.ok(warned(egress([ipBlock('10.0.0.0/8')]), 'NamedPortUnresolved'), 'toward ipBlocks a name means nothing (rule 42)')
    const every = egress('all')
    assert.ok(!warned(every, 'NamedPortUnresolved'))
    assert.ok(turned(every.remove('pod', db.uid), 'NamedPortUnresolved'), 'of every pod')
  },
  ServiceAddressInIPBlock() {
    for (const [cidr, inside, other] of [['10.96.0.0/12', '10.96.0.10', '10.0.0.1'], ['fd00:96::/112', 'fd00:96::10', 'fd00::1']] as const) {
      const made = world(policy({ egress: [{ peers: [ipBlock(cidr), ipBlock('192.168.0.0/16')] }] }), web())
      assert.ok(!warned(made, 'ServiceAddressInIPBlock'), 'no Service')
      assert.ok(turned(made.services(service({ clusterIps: [inside] })), 'ServiceAddressInIPBlock'))
      assert.equal(messageOf(made, 'ServiceAddressInIPBlock'), cidr)
      assert.ok(!turned(made.pods(pod({ name: 'in', addresses: [inside.replace(/10$/, '99')] })), 'ServiceAddressInIPBlock'), 'a pod is in it')
      assert.ok(!turned(made.nodes(node({ addresses: [inside.replace(/10$/, '98')] })), 'ServiceAddressInIPBlock'), 'a Node too')
      assert.ok(!turned(made.remove('pod', 'pod/default/in'), 'ServiceAddressInIPBlock'), 'the Node still is')
      assert.ok(turned(made.remove('node', 'node/node1'), 'ServiceAddressInIPBlock'))
      assert.ok(!turned(made.services(service({ clusterIps: [other] })), 'ServiceAddressInIPBlock'), 'the Service has another address')
    }
    const except = world(policy({ ingress: [{ peers: [ipBlock('10.96.0.0/12', '10.96.0.0/24')] }] })).services(service())
    assert.ok(!turned(except, 'ServiceAddressInIPBlock'), 'excepts are left out')
    const everything = world(policy({ ingress: [{ peers: [ipBlock('0.0.0.0/0')] }] }), web()).services(service())
    assert.ok(!turned(everything, 'ServiceAddressInIPBlock'))
  },
  DNSEgressBlocked() {
    const row = policy({ pods: 'app=web', egress: [{ peers: [podPeer(podsOf('default', 'app=db'))] }] })
    const made = world(row, web(), db, dnsPod)
    assert.ok(!warned(made, 'DNSEgressBlocked'), 'no DNS Service is known')
    made.dns = [DNS]
    assert.ok(turned(made, 'DNSEgressBlocked'))
    assert.match(messageOf(made, 'DNSEgressBlocked'), /^1 pod;/)
    const allow = policy({ name: 'dns', egress: [{ peers: [podPeer(podsIn('', 'k8s-app=kube-dns'))], ports: [port(5353, 'UDP')] }] })
    assert.ok(!turned(made.policies(allow), 'DNSEgressBlocked'), 'policies add up: another one leads there')
    assert.ok(turned(made.remove('policy', allow.uid), 'DNSEgressBlocked'))
    made.dns = []
    assert.ok(!turned(made, 'DNSEgressBlocked'))
    made.dns = [DNS]
    assert.ok(!turned(made.remove('pod', dnsPod.uid), 'DNSEgressBlocked'), 'no pod is behind it')
    assert.ok(turned(made.pods(dnsPod), 'DNSEgressBlocked'))
    assert.ok(!turned(made.remove('pod', web().uid), 'DNSEgressBlocked'), 'nobody is selected')
  },
}

describe('the warning', () => {
  for (const type of WARNING_TYPES) it(type, TESTS[type])

  it('DNSEgressBlocked knows every way that a rule can lead to the DNS', () => {
    const blocked = (rule: Partial<PolicyRule>): boolean => {
      const made = world(policy({ pods: 'app=web', egress: [rule] }), web(), dnsPod)
      made.dns = [DNS]
      return turned(made, 'DNSEgressBlocked')
    }
    const toDns = [podPeer(podsIn('kubernetes.io/metadata.name=kube-system'))]
    for (const rule of [{}, { ports: [port('*', 'UDP')] }, { ports: [port('5000-6000')] }, { ports: [port('dns', 'UDP')] }, { peers: toDns }, { peers: [ipBlock('10.0.0.53')] }, { peers: [ipBlock('fd00::/64')] }]) {
      assert.ok(!blocked(rule), JSON.stringify(rule, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)))
    }
    for (const rule of [{ ports: [port(53, 'UDP')] }, { ports: [port('*', 'SCTP')] }, { ports: [port('dns')] }, { peers: [podPeer(podsOf('default'))] }, { peers: [ipBlock('10.0.0.0/8', '10.0.0.53'), ipBlock('10.96.0.0/12')] }, { peers: [] }]) {
      assert.ok(blocked(rule), JSON.stringify(rule, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)))
    }
  })
  it('DNSEgressBlocked is not told of ingress policies, nor of the DNS pods themselves', () => {
    const ingress = world(policy({ ingress: [] }), web(), dnsPod)
    ingress.dns = [DNS]
    assert.ok(!turned(ingress, 'DNSEgressBlocked'))
    const itself = policy({ namespace: 'kube-system', egress: [] })
    const made = world(itself, dnsPod)
    made.dns = [DNS]
    made.step()
    assert.deepEqual(warningsIn(made.status('policy', 'kube-system')), [])
  })
  it('DNSEgressBlocked follows a DNS pod that comes into a peer by the labels of its namespace', () => {
    const made = world(policy({ pods: 'app=web', egress: [{ peers: [podPeer(podsIn('team=dns'))] }] }), web(), dnsPod)
    made.dns = [DNS]
    assert.ok(turned(made, 'DNSEgressBlocked'))
    assert.ok(!turned(made.namespaces(namespace({ name: 'kube-system', labels: { team: 'dns' } })), 'DNSEgressBlocked'))
  })
  it('follows an edit of its policy', () => {
    const made = world(policy({ pods: 'app=none' }), web())
    assert.deepEqual(warningsIn(made.status()), ['SelectsNoPods'])
    made.policies(policy({ generation: 2, pods: 'app=web' })).step()
    assert.deepEqual(warningsIn(made.status()), [])
    assert.equal(made.status().summary.warnings, '<none>')
  })
  it('of several kinds stands in the order of the table, with three parts each', () => {
    const peers = ['a', 'b', 'c', 'd'].map((name) => podPeer(podsOf('default', `app=${name}`)))
    const made = world(policy({ pods: 'app=none', ingress: [{ peers }] }), web({ name: 'h', labels: new Map([['app', 'none']]), hostNetwork: true }))
    assert.equal(made.status().summary.warnings, 'SelectsNoPods,HostNetworkPodSelected,EmptyPeer')
    assert.match(messageOf(made, 'EmptyPeer'), /pods app=c and 1 more$/)
  })
})
