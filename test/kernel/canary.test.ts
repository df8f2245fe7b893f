// The canary's packets through a real table: what each kind of damage shows, and what is others' doing; no agent repairs anything.
//
// **Invariant:** each test begins with an intact table and the stage that the last one left.
import assert from 'node:assert/strict'
import type { FamilyRound } from '../../src/canary/verdict.ts'
import { CANARY_CLIENT, CANARY_LINKS, CANARY_SERVER } from '../../src/model/canary.ts'
import { CanaryNode } from '../support/canary-node.ts'
import { pause } from '../support/real-wire.ts'

const OTHERS = ['inet other', 'ip other', 'netdev other']

describe("the canary's packets", function () {
  this.timeout(60_000)
  let node: CanaryNode

  before(async () => (node = await CanaryNode.open()))
  after(() => node.close())
  beforeEach(() => {
    for (const table of OTHERS) node.nft(`table ${table}\ndelete table ${table}`)
    node.writeTable()
  })
  const result = async (): Promise<string> => (await node.verdict()).result

  it('all do what they should in an intact table, three of each kind, in both families', async () => {
    const round = await node.round()
    assert.ok(typeof round !== 'string', String(round))
    for (const family of [4, 6] as const) {
      const one: FamilyRound = round.families[family]
      assert.equal(one.kind, 'sent', JSON.stringify(one))
      if (one.kind !== 'sent') return
      const none = { spoofed: 0, egress: 0, ingress: 0, allowed: 0, unknown: 0 }
      const seen = (left: number, counted: object) => ({ sent: 3, refusal: null, arrived: 3, left, counted: { ...none, ...counted } })
      assert.deepEqual(one.evidence, { spoofed: seen(0, { spoofed: 3 }), egressDenied: seen(0, { egress: 3 }), ingressDenied: seen(0, { ingress: 3 }), allowed: seen(3, { allowed: 3 }) })
    }
    assert.equal(round.quiet, true)
    assert.deepEqual(await node.verdict(), { result: 'ok', message: '' })
  })

  it('count nothing of what pods spoof or of unknown pods', async () => {
    await result()
    for (const name of ['spoofed', 'unknown-interface', 'unknown-address', 'invalid', 'cut']) assert.match(node.run(`nft list counter inet picket ${name}`), /packets 0 /, name)
  })

  it('take over what is there, and send nothing besides', async () => {
    assert.equal(await result(), 'ok')
    const before = node.links()
    assert.deepEqual([...before.keys()].filter((name) => name !== 'lo' && !/^(tunl|sit|ip6|gre|erspan|ip_vti)/.test(name)).sort(), [...CANARY_LINKS].sort())
    const counted = (): string => node.run(`for i in ${CANARY_LINKS.join(' ')}; do cat /proc/net/dev | grep $i; done`)
    const quiet = counted()
    await pause(1_500)
    assert.equal(counted(), quiet)
    assert.equal(await result(), 'ok')
    assert.deepEqual(node.links(), before)
  })

  const damage: readonly (readonly [what: string, how: string, result: string])[] = [
    ['the chain of spoofed packets flushed', 'flush chain inet picket filter-prerouting-spoof', 'leaked'],
    ['the egress stage flushed', 'flush chain inet picket filter-forward-egress', 'leaked'],
    ['the ingress stage flushed', 'flush chain inet picket filter-forward-ingress', 'leaked'],
    ['the ingress stage deleted', 'flush chain inet picket filter-forward-ingress\ndelete chain inet picket filter-forward-ingress', 'leaked'],
    ['a profile flushed', 'flush chain inet picket canary/ingress', 'leaked'],
    ['the rule that drops, of a profile, deleted', 'delete rule inet picket canary/egress handle HANDLE', 'leaked'],
    ['a rule in front that accepts', 'insert rule inet picket filter-forward-egress accept', 'leaked'],
    ['everything flushed', 'flush table inet picket', 'leaked'],
    ['the table deleted', 'delete table inet picket', 'leaked'],
    ['a peer taken out', `delete element inet picket pod-addresses-v4 { "${CANARY_CLIENT.link}" . ${CANARY_CLIENT.addresses[4]} }`, 'dropped'],
    ['a port taken out', 'delete element inet picket ports/canary/egress { udp . 6101 }', 'dropped'],
    ['an interface unknown', `delete element inet picket known-interfaces { "${CANARY_SERVER.link}" }`, 'dropped'],
  ]
  for (const [what, how, expected] of damage) {
    it(`show ${what}: ${expected}`, async () => {
      const [, handle = ''] = /counter name "denied.canary.egress" drop # handle (\d+)/.exec(node.run('nft -a list chain inet picket canary/egress')) ?? []
      node.nft(how.replace('HANDLE', handle))
      const { result: shown, message } = await node.verdict()
      assert.equal(shown, expected, message)
    })
  }

  const drop = (family: string, hook: string, priority: string): string => `table ${family} other { chain c { type filter hook ${hook} priority ${priority}; policy drop; }; }`

  it('tell a firewall of the node behind the table apart: the table is proven all the same', async () => {
    node.nft(drop('inet', 'forward', 'filter'))
    const { result: shown, message } = await node.verdict()
    assert.equal(shown, 'ok')
    assert.match(message, /IPv4: .*another firewall.*; IPv6: .*another firewall/)
  })

  for (const stage of ['filter-prerouting-spoof', 'filter-forward-egress', 'filter-forward-ingress']) {
    it(`show a hole in ${stage} that only a firewall behind the table covers`, async () => {
      node.nft(drop('inet', 'forward', 'filter'))
      node.nft(`flush chain inet picket ${stage}`)
      const { result: shown, message } = await node.verdict()
      assert.equal(shown, 'leaked', message)
    })
  }

  it('prove nothing where something in front of the table drops them', async () => {
    for (const [hook, priority] of [['prerouting', '-500'], ['forward', '-200'], ['output', 'filter']] as const) {
      node.nft(drop('inet', hook, priority))
      const { result: shown, message } = await node.verdict()
      assert.equal(shown, 'blocked', `${hook}: ${message}`)
      node.nft('delete table inet other')
    }
  })

  it('show a way past the table that no reading of it would', async () => {
    assert.equal(await result(), 'ok')
    node.nft(`table netdev other { chain c { type filter hook ingress device "${CANARY_CLIENT.link}" priority 0; fwd to "${CANARY_SERVER.link}"; }; }`)
    assert.equal(await result(), 'leaked')
  })

  for (const [where, level] of [['all', 1], ['all', 2], ['default', 1], [CANARY_CLIENT.link, 1], [CANARY_SERVER.link, 2]] as const) {
    it(`do not mind a reverse path filter: rp_filter ${level} of ${where}`, async () => {
      assert.equal(await result(), 'ok')
      node.run(`echo ${level} > /proc/sys/net/ipv4/conf/${where}/rp_filter`)
      try {
        assert.deepEqual(await node.verdict(), { result: 'ok', message: '' })
        node.nft('flush chain inet picket filter-prerouting-spoof')
        assert.equal(await result(), 'leaked')
      } finally {
        node.run(`echo 0 > /proc/sys/net/ipv4/conf/${where}/rp_filter`)
      }
    })
  }

  const others: readonly (readonly [who: string, chains: string])[] = [
    ['who drop what the node is sent', 'chain c { type filter hook input priority -500; policy drop; };'],
    ['who look where a source is, as firewalld does', 'chain c { type filter hook prerouting priority filter + 10; fib saddr . mark . iif oif missing drop; };'],
    ['who drop what conntrack calls invalid or does not follow', 'chain c { type filter hook forward priority -200; ct state { invalid, untracked } drop; }; chain d { type filter hook output priority 0; ct state invalid drop; };'],
    ['who follow no connection', 'chain c { type filter hook prerouting priority raw; notrack; };'],
    ['who give what leaves the address of the node, as ip-masq-agent does', 'chain c { type nat hook postrouting priority srcnat; masquerade; };'],
    ["who name that address, as Amazon's VPC CNI does", 'chain c { type nat hook postrouting priority srcnat; snat ip to 10.9.9.9; };'],
  ]
  for (const [who, chains] of others) {
    it(`are no matter of others ${who}`, async () => {
      node.run('ip link show away || { ip link add away type veth peer name behind && ip addr add 10.9.9.9/24 dev away && ip addr add fd09::9/64 nodad dev away && ip link set away up && ip link set behind up; }')
      try {
        node.nft(`table inet other { ${chains} }`)
        assert.deepEqual(await node.verdict(), { result: 'ok', message: '' })
      } finally {
        node.run('ip link del away')
      }
    })
  }

  it('leave out a family that the node does not forward, and prove nothing where it forwards neither', async () => {
    node.sysctl('net.ipv6.conf.all.forwarding', 0)
    try {
      const round = await node.round()
      assert.deepEqual(typeof round === 'string' ? round : round.families[6], { kind: 'skipped', reason: 'the node does not forward IPv6' })
      assert.deepEqual(await node.verdict(), { result: 'ok', message: 'IPv6: the node does not forward IPv6' })
      node.sysctl('net.ipv4.ip_forward', 0)
      assert.deepEqual(await node.verdict(), { result: 'skipped', message: 'IPv4: the node does not forward IPv4; IPv6: the node does not forward IPv6' })
    } finally {
      node.sysctl('net.ipv4.ip_forward', 1)
      node.sysctl('net.ipv6.conf.all.forwarding', 1)
    }
    assert.deepEqual(await node.verdict(), { result: 'ok', message: '' })
  })

  it('do without IPv6 while the node has it turned off', async () => {
    assert.equal(await result(), 'ok')
    node.sysctl('net.ipv6.conf.all.disable_ipv6', 1)
    try {
      assert.deepEqual(await node.verdict(), { result: 'ok', message: 'IPv6: the node has no IPv6 (EACCES)' })
    } finally {
      node.sysctl('net.ipv6.conf.all.disable_ipv6', 0)
    }
    assert.deepEqual(await node.verdict(), { result: 'ok', message: '' })
    assert.doesNotMatch(node.run('ip -6 address show scope link'), /picket/)
  })
})

describe("the canary's stage", function () {
  this.timeout(60_000)
  let node: CanaryNode

  beforeEach(async () => (node = await CanaryNode.open()))
  afterEach(() => node.close())
  const ok = async (): Promise<void> => assert.deepEqual(await node.verdict(), { result: 'ok', message: '' })

  it('is made anew where somebody changed it', async () => {
    await ok()
    const [client, end, server] = [CANARY_CLIENT.link, CANARY_CLIENT.end, CANARY_SERVER.link]
    const changes = [
      `ip link del ${client}`, `ip link del ${server}`, `ip link set ${client} down`, `ip link set ${server} down`, `ip link set ${end} arp on`,
      `ip link set ${server} multicast on`, `ip link set ${client} address 02:00:00:00:00:01`, `ip link add br9 type bridge && ip link set ${client} master br9`,
      `ip link set ${end} down && ip link set ${end} name elsewhere && ip link set elsewhere up`,
      `ip route del ${CANARY_SERVER.addresses[4]} dev ${server}`, `ip -6 route flush dev ${server}`, `ip -6 route flush dev ${end}`, `ip neigh flush dev ${end} nud all`, `ip -6 neigh del ${CANARY_SERVER.addresses[6]} dev ${end}`,
    ]
    for (const change of changes) {
      node.run(change)
      assert.deepEqual(await node.verdict(), { result: 'ok', message: '' }, change)
    }
  })

  it('sends nothing where another has the address, and leaves that one alone', async () => {
    node.run(`ip link add other type veth peer name behind && ip link set other up && ip link set behind up`)
    node.run(`ip route add ${CANARY_SERVER.addresses[4]} dev other && ip -6 route add ${CANARY_SERVER.addresses[6]} dev other metric 1`)
    await pause(2_500)
    const packets = (): string => node.run('grep behind /proc/net/dev')
    const before = packets()
    const { result, message } = await node.verdict()
    assert.equal(result, 'failed')
    assert.match(message, /IPv4: a route or rule of the node leads 192\.0\.2\.242 out of interface \d+.*IPv6: a route/)
    assert.equal(packets(), before)
    assert.match(node.run('ip route'), /192\.0\.2\.242 dev other/)
  })

  it('is none where lo is down: nothing would be sent as the client', async () => {
    node.run('ip link set lo down')
    assert.deepEqual(await node.verdict(), { result: 'failed', message: 'interface lo is down, so that the node sends nothing with the source that it should' })
    assert.doesNotMatch(node.run('ip link'), /picket/)
    node.run('ip link set lo up')
    await ok()
  })

  it('takes no interface of another kind away', async () => {
    node.run(`ip link add ${CANARY_CLIENT.link} type bridge`)
    const { result, message } = await node.verdict()
    assert.equal(result, 'failed')
    assert.match(message, /interface picket-canary0: it is of kind bridge and not the canary's; rename it/)
    assert.match(node.run(`ip -d link show ${CANARY_CLIENT.link}`), /bridge/)
  })

  it('is of IPv4 alone where new interfaces have no IPv6', async () => {
    node.sysctl('net.ipv6.conf.default.disable_ipv6', 1)
    const round = await node.round()
    assert.ok(typeof round !== 'string')
    assert.equal(round.families[4].kind, 'sent')
    assert.equal(round.families[6].kind, 'skipped', JSON.stringify(round.families[6]))
    await node.verdict().then(({ result }) => assert.equal(result, 'ok'))
  })

  it('is gone with its routes and neighbours when the links are taken away, and nothing else is', async () => {
    node.run('ip link add other type veth peer name behind')
    const before = node.run('ip -o link; ip route show table all; ip -6 route show table all; ip neigh')
    await ok()
    node.run(`${process.execPath} -e "import('${new URL('../../src/canary/stage.ts', import.meta.url).href}').then((m) => console.log(m.removeStage().length))"`)
    const withoutCounts = (text: string): string => text
    assert.equal(withoutCounts(node.run('ip -o link; ip route show table all; ip -6 route show table all; ip neigh')), before)
  })
})
