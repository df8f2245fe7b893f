// The node, hosts and the pod itself (rules 58-68), other networks of the node, and other tables, on real packets.
//
// n1 lets pods talk to their node, n2 enforces egress policy there. **Invariant:** each test replaces all policies.
import assert from 'node:assert/strict'
import { RealCluster } from '../support/real-cluster.ts'
import { denyAll, egress, ingress, realPod } from '../support/real-objects.ts'
import { echoRequest, udpPacket } from '../support/real-packets.ts'
import { forge, WireWatch } from '../support/real-wire.ts'
import { attachments, sampled } from '../support/sample.ts'

const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
const API = realPod('shop/api', 'n2', 2, { app: 'api' })
const FREE = realPod('other/free', 'n2', 3, {})
const NEAR = realPod('other/near', 'n1', 4, {})
const ENFORCED = realPod('guard/one', 'n3', 5, { app: 'one' })

for (const attachment of attachments()) describe(`node, host and self, on real packets, pods on ${attachment}`, function () {
  this.timeout(60_000)
  let lab: RealCluster

  before(async () => {
    // Controls from a pod to its own node would be denied on n3.
    lab = await RealCluster.open({ attachment, nodes: 3, agents: false, nodeControls: false, namespaces: { shop: {}, other: {}, guard: {} }, pods: [DB, API, FREE, NEAR, ENFORCED] })
    await lab.agents.start('n1')
    await lab.agents.start('n2')
    await lab.agents.start('n3', ['--node-egress', 'enforce'])
    await lab.settle()
  })
  after(() => lab.close())

  const tests: Readonly<Record<string, () => Promise<void>>> = {
    'rule 58: under deny-all a pod answers its own node, on all ports and protocols, and rule 60: no other node': async () => {
      await lab.policies(denyAll('shop'))
      await lab.check({
        allowed: ['n1 -> shop/db 8080/* 9090/*', 'n2 -> shop/api 8080/*'],
        denied: ['n2 -> shop/db 8080/* 9090/*', 'n1 -> shop/api', 'n3 -> shop/api', 'outside -> shop/db', 'other/near -> shop/db'],
      })
    },
    'rule 59: the exemption is for the node itself, not for what is routed there with its address': async () => {
      await lab.policies(denyAll('shop'))
      const ends = { from: lab.nodeAddress('n1', 4), to: '10.88.0.1' }
      const watch = new WireWatch(lab, 'shop/db', { forged: 'udp dport 8080 udp sport 4001', own: 'udp dport 8080 udp sport 4002' })
      // A packet that comes over the wire with the node's own address, and one of a pod.
      forge(lab, 'outside', udpPacket(ends, { source: 4001, destination: 8080 }))
      forge(lab, 'other/near', udpPacket(ends, { source: 4001, destination: 8080 }))
      forge(lab, 'n1', udpPacket(ends, { source: 4002, destination: 8080 }))
      await watch.expect({ own: 1, forged: 0 })
      watch.close()
    },
    'rule 60: an ipBlock of another node\'s address allows it, and no pod there': async () => {
      const blocks = [`${lab.nodeAddress('n2', 4)}/32`, `${lab.nodeAddress('n2', 6)}/128`].map((cidr) => ({ ipBlock: { cidr } }))
      await lab.policies(ingress('shop/in', { app: 'db' }, { from: blocks }))
      await lab.check({ allowed: ['n1 -> shop/db', 'n2 -> shop/db'], denied: ['n3 -> shop/db', 'other/free -> shop/db', 'outside -> shop/db'] })
    },
    'rule 61: under deny-all a pod reaches its own node, and no other': async () => {
      await lab.policies(denyAll('shop'))
      await lab.check({ allowed: ['shop/db -> n1 7061/*'], denied: ['shop/db -> n2 7061/*', 'shop/db -> n3 7061', 'shop/db -> outside 7061'] })
    },
    'rule 61: nodeEgress enforce makes egress policy apply to the own node too': async () => {
      await lab.policies()
      await lab.check({ allowed: ['guard/one -> n3 7061/*', 'n3 -> guard/one'] })
      await lab.policies(denyAll('guard'))
      await lab.check({ allowed: ['n3 -> guard/one 8080/*'], denied: ['guard/one -> n3 7061/*', 'guard/one -> n1 7061'] })
      await lab.policies(egress('guard/out', {}, { to: [{ ipBlock: { cidr: `${lab.nodeAddress('n3', 4)}/32` } }], ports: [{ port: 7061 }] }))
      await lab.check({ allowed: ['guard/one -> n3 7061 v4'], denied: ['guard/one -> n3 7061/UDP v4', 'guard/one -> n3 7061 v6', 'guard/one -> n2 7061'] })
    },
    'rule 62: under deny-all a pod reaches itself': async () => {
      await lab.policies(denyAll('shop'), denyAll('guard'))
      await lab.check({ allowed: ['shop/db -> shop/db 8080/* 9090/*', 'guard/one -> guard/one 8080/*'], denied: ['shop/db -> shop/api'] })
    },
    'rule 62: a packet of a pod to itself by way of its node passes, one from another pod does not': async () => {
      await lab.policies(denyAll('shop'))
      const watch = new WireWatch(lab, 'shop/db', { back: 'iifname eth0 udp dport 8080 udp sport 4100' })
      // As a service without address translation of its own does it: the node sends the packet back where it came from.
      lab.run('shop/db', ['ip', 'rule', 'add', 'pref', '1', 'to', '10.88.0.1', 'lookup', '77'])
      lab.run('shop/db', ['ip', 'route', 'add', 'table', '77', 'default', 'via', '169.254.1.1', 'dev', 'eth0', 'onlink'])
      lab.run('shop/db', ['ip', 'rule', 'del', 'pref', '0'])
      lab.run('shop/db', ['ip', 'rule', 'add', 'pref', '2', 'lookup', 'local'])
      lab.run('shop/db', ['sysctl', '-qw', 'net.ipv4.conf.eth0.accept_local=1'])
      forge(lab, 'shop/db', udpPacket({ from: '10.88.0.1', to: '10.88.0.1' }, { source: 4100, destination: 8080 }))
      forge(lab, 'other/near', udpPacket({ from: '10.88.0.4', to: '10.88.0.1' }, { source: 4100, destination: 8080 }))
      await watch.expect({ back: 1 })
      for (const rule of ['1', '2']) lab.run('shop/db', ['ip', 'rule', 'del', 'pref', rule])
      lab.run('shop/db', ['ip', 'rule', 'add', 'pref', '0', 'lookup', 'local'], { mayFail: true })
      watch.close()
    },
    'rule 68: hosts among themselves are never filtered': async () => {
      await lab.policies(denyAll('shop'), denyAll('other'), denyAll('guard'))
      await lab.check({ allowed: ['n1 -> n2 7061/*', 'n2 -> outside 7061/*', 'outside -> n3 7061/*'] })
    },
    'rule 68: the node itself forwards for others as before': async () => {
      await lab.policies(denyAll('shop'), denyAll('other'), denyAll('guard'))
      const watch = new WireWatch(lab, 'n2', { through: 'ip saddr 192.168.61.200 udp dport 7061 udp sport 4200' })
      lab.run('outside', ['ip', 'route', 'add', '192.168.61.12/32', 'via', lab.nodeAddress('n1', 4)])
      forge(lab, 'outside', udpPacket({ from: '192.168.61.200', to: '192.168.61.12' }, { source: 4200, destination: 7061 }))
      await watch.expect({ through: 1 })
      lab.run('outside', ['ip', 'route', 'del', '192.168.61.12/32'])
      watch.close()
    },
    'rule 109: another table\'s drop drops what we accept, and its accept does not save what we drop': async () => {
      await lab.policies(ingress('shop/in', { app: 'db' }, { ports: [{ port: 8080 }, { port: 9090 }] }))
      const table = (hook: string, rules: string): string => `table inet foreign {\nchain c {\ntype filter hook ${hook} priority 10; policy accept;\n${rules}\n}\n}\n`
      lab.nft('n1', table('forward', 'tcp dport 9090 drop\nudp dport 8080 accept'))
      await lab.check({ allowed: ['shop/api -> shop/db 8080'], denied: ['shop/api -> shop/db 9090 8080/UDP'] })
      lab.nft('n1', 'delete table inet foreign\n')
      lab.nft('n1', table('forward', 'accept').replace('priority 10', 'priority -300'))
      await lab.check({ allowed: ['shop/api -> shop/db 9090'], denied: ['shop/api -> shop/db 8080/UDP'] })
      lab.nft('n1', 'delete table inet foreign\n')
    },
    'rule 109: the table is hooked behind translation of destinations, in front of that of sources': async () => {
      await lab.policies(ingress('shop/in', { app: 'db' }, { ports: [{ port: 8080 }] }))
      lab.nft('n1', 'table ip foreign {\nchain d {\ntype nat hook prerouting priority dstnat\nip daddr 198.51.100.1 tcp dport { 80, 8080 } dnat to 10.88.0.1:8080\nip daddr 198.51.100.1 tcp dport 81 dnat to 10.88.0.1:9090\n}\n}\n')
      lab.run('outside', ['ip', 'route', 'add', '198.51.100.1/32', 'via', lab.nodeAddress('n1', 4)])
      const results = await lab.testbed.probe([80, 81].map((port) => ({ from: { kind: 'outside' }, address: '198.51.100.1', protocol: 'TCP', port })), 1_000)
      assert.deepEqual(results.map((one) => (one.kind === 'answered' ? one.by : one.kind)), ['shop/db', 'silent'])
      lab.run('outside', ['ip', 'route', 'del', '198.51.100.1/32'])
      lab.nft('n1', 'delete table ip foreign\n')
    },
    'rule 109: whatever other tables hold stays as it is': async () => {
      lab.nft('n1', 'table inet other {\nset s { type ipv4_addr; elements = { 10.88.0.1, 10.88.0.4 }; }\nchain c { type filter hook forward priority 3; counter comment "kept"; }\n}\ntable bridge picked { }\ntable ip picket {\nchain c { }\n}\n')
      const others = (): string => ['inet other', 'bridge picked', 'ip picket'].map((name) => lab.listing('n1', name)).join('').replaceAll(/packets \d+ bytes \d+/g, '')
      const before = others()
      await lab.policies(denyAll('shop'), denyAll('other'))
      await lab.agents.stop('n1')
      await lab.agents.start('n1')
      await lab.policies(denyAll('guard'))
      assert.equal(others(), before)
      for (const name of ['inet other', 'bridge picked', 'ip picket']) lab.nft('n1', `delete table ${name}\n`)
    },
    'rule 90: newPods deny leaves bridges, their ports and a veth with a network behind it alone': async () => {
      await lab.policies(denyAll('shop'))
      const [bridged, routed] = ['bridged', 'routed'].map((name) => `${lab.places.prefix}${name}`) as [string, string]
      lab.run('n1', ['ip', '-batch', '-'], { input: [
        `netns add ${bridged}`, `netns add ${routed}`,
        'link add dock0 type bridge', 'address add 172.30.0.1/24 dev dock0', 'link set dock0 up',
        `link add dock1 type veth peer name eth0 netns ${bridged}`, 'link set dock1 master dock0 up',
        `link add vm0 type veth peer name eth0 netns ${routed}`, 'address add 172.31.0.1/24 dev vm0', 'link set vm0 up',
      ].join('\n') })
      const watch = new WireWatch(lab, 'outside', { bridged: 'ip saddr 172.30.0.2 udp dport 7061', routed: 'ip saddr 172.31.0.2 udp dport 7061' })
      for (const [netns, subnet] of [[bridged, '172.30.0'], [routed, '172.31.0']] as const) {
        const inside = `/run/netns/${netns}`
        const counted = new WireWatch(lab, inside, { back: 'udp sport 7061' })
        lab.run(inside, ['ip', '-batch', '-'], { input: `link set lo up\naddress add ${subnet}.2/24 dev eth0\nlink set eth0 up\nroute add default via ${subnet}.1` })
        lab.run('outside', ['ip', 'route', 'add', `${subnet}.0/24`, 'via', lab.nodeAddress('n1', 4)])
        const packet = udpPacket({ from: `${subnet}.2`, to: '192.168.61.200' }, { source: 4300, destination: 7061 })
        forge(lab, inside, packet)
        await counted.expect({ back: 1 })
        // Nor does it make anybody a pod's friend.
        const knock = new WireWatch(lab, 'shop/db', { knock: `ip saddr ${subnet}.2` })
        forge(lab, inside, udpPacket({ from: `${subnet}.2`, to: '10.88.0.1' }, { source: 4300, destination: 8080 }))
        await knock.expect({ knock: 0 })
        knock.close()
        lab.run('outside', ['ip', 'route', 'del', `${subnet}.0/24`])
      }
      await watch.expect({ bridged: 1, routed: 1 })
      watch.close()
      lab.run('n1', ['ip', '-batch', '-'], { input: `link del dock0\nlink del dock1\nlink del vm0\nnetns del ${bridged}\nnetns del ${routed}` })
    },
    'rules 90, 66: pods reach each other through a tunnel between nodes as policy says, and its addresses are no exemption': async () => {
      await lab.policies(ingress('shop/in', { app: 'db' }, { from: [{ podSelector: { matchLabels: { app: 'api' } } }] }))
      const [one, two] = [lab.nodeAddress('n1', 4), lab.nodeAddress('n2', 4)]
      for (const [node, own, peer, last, other] of [['n1', one, two, 1, '10.88.0.2'], ['n2', two, one, 2, '10.88.0.1']] as const) {
        lab.run(node, ['ip', '-batch', '-'], { input: `link add vx0 type vxlan id 7 local ${own} remote ${peer} dstport 4789 dev uplink\naddress add 10.77.0.${last}/24 dev vx0\nlink set vx0 up\nroute replace ${other}/32 via 10.77.0.${3 - last} dev vx0` })
      }
      const watch = new WireWatch(lab, 'n1', { tunnel: 'iifname vx0' })
      await lab.check({ allowed: ['shop/api -> shop/db v4', 'shop/db -> shop/api v4', 'n1 -> shop/db'], denied: ['n2 -> shop/db v4', 'other/free -> shop/db'] })
      assert.ok((watch.counts()['tunnel'] ?? 0) > 3)
      watch.close()
      for (const [node, other, via] of [['n1', '10.88.0.2', two], ['n2', '10.88.0.1', one]] as const) {
        lab.run(node, ['ip', '-batch', '-'], { input: `link del vx0\nroute replace ${other}/32 via ${via} dev uplink` })
      }
    },
    'rule 76: a node pings its own pods under deny-all, and another node does not': async () => {
      await lab.policies(denyAll('shop'))
      const watch = new WireWatch(lab, 'shop/db', { four: 'icmp type echo-request', six: 'icmpv6 type echo-request' })
      for (const [node, counts] of [['n1', { four: 1, six: 1 }], ['n2', { four: 1, six: 1 }]] as const) {
        forge(lab, node, echoRequest({ from: lab.nodeAddress(node, 4), to: '10.88.0.1' }, 7), echoRequest({ from: lab.nodeAddress(node, 6), to: 'fd00:88::1' }, 7))
        await watch.expect(counts)
      }
      watch.close()
    },
  }
  const every = Object.keys(tests).filter((title) => /^rule (58|61: nodeEgress|109: another)\b/.test(title))
  for (const title of sampled(Object.keys(tests), { every })) it(title, () => tests[title]?.())
})
