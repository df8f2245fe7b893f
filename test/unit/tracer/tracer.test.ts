// The packet tracer on a table written by hand: fates of flows, and what it must refuse to read.
//
// **Invariant:** every flow says which rule decided, so that a right verdict for a wrong reason fails.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Tracer, type TracePacket } from '../../support/tracer.ts'

const tracer = new Tracer(readFileSync(new URL('./node-policy.nft', import.meta.url), 'utf8'))

const WEB = { name: 'veth-web', kind: 'veth' }
const API = { name: 'veth-api', kind: 'veth' }
const DB = { name: 'veth-db', kind: 'veth' }
const UPLINK = { name: 'uplink', kind: 'veth' }
const TCP = 6
const UDP = 17

function packet(fields: Partial<TracePacket> & Pick<TracePacket, 'source' | 'destination'>): TracePacket {
  return { path: 'forward', iif: UPLINK, oif: WEB, protocol: TCP, sourcePort: 40000, destinationPort: 80, ctState: 'new', ctDirection: 'original', ...fields }
}

interface Flow {
  readonly title: string
  readonly packet: TracePacket
  readonly verdict: 'accept' | 'drop'
  /** The named counters, in order. */
  readonly counters: readonly string[]
}

const ALLOWED_3 = 'allowed/shop/web/ingress/3'
const DENIED_WEB = 'denied/ingress/shop/W3BH1N9K'

const flows: readonly Flow[] = [
  { title: 'a range', packet: packet({ iif: API, source: '10.61.1.11', destination: '10.61.1.10', destinationPort: 7005 }), verdict: 'accept', counters: ['allowed/shop/web/ingress/2'] },
  { title: 'the end of a range, included', packet: packet({ iif: API, source: 'fd00:61:1::11', destination: 'fd00:61:1::10', destinationPort: 7010 }), verdict: 'accept', counters: ['allowed/shop/web/ingress/2'] },
  { title: 'one beyond the range', packet: packet({ iif: API, source: '10.61.1.11', destination: '10.61.1.10', destinationPort: 7011 }), verdict: 'drop', counters: [DENIED_WEB] },
  { title: 'a wrong peer in the range', packet: packet({ source: '10.61.2.10', destination: '10.61.1.10', destinationPort: 7005 }), verdict: 'drop', counters: [DENIED_WEB] },
  { title: 'an exact port, by jump', packet: packet({ source: '192.168.61.20', destination: '10.61.1.10', destinationPort: 9443 }), verdict: 'accept', counters: [ALLOWED_3] },
  { title: 'the address after an except', packet: packet({ source: '192.168.61.41', destination: '10.61.1.10', destinationPort: 9443 }), verdict: 'accept', counters: [ALLOWED_3] },
  { title: 'an excepted address', packet: packet({ source: '192.168.61.40', destination: '10.61.1.10', destinationPort: 9443 }), verdict: 'drop', counters: [DENIED_WEB] },
  { title: 'a whole protocol', packet: packet({ iif: API, source: '10.61.1.11', destination: '10.61.1.10', protocol: UDP, destinationPort: 6000 }), verdict: 'accept', counters: ['allowed/shop/web/ingress/4'] },
  { title: 'pairs of a named port', packet: packet({ iif: WEB, oif: UPLINK, source: '10.61.1.10', destination: '10.61.2.10', destinationPort: 9200 }), verdict: 'accept', counters: ['allowed/shop/web/egress/1'] },
  { title: 'no cross product of pairs', packet: packet({ iif: WEB, oif: UPLINK, source: '10.61.1.10', destination: '10.61.2.10', destinationPort: 9100 }), verdict: 'drop', counters: ['denied/egress/shop/W3B5E6X0'] },
  { title: 'other protocols where th dport would fit', packet: packet({ source: '10.61.2.10', destination: '10.61.1.10', protocol: 47, destinationPort: 8080 }), verdict: 'drop', counters: [DENIED_WEB] },
  { title: 'a reply of a denied direction', packet: packet({ iif: DB, oif: UPLINK, source: '10.61.1.12', destination: '10.61.2.10', ctState: 'established', ctDirection: 'reply' }), verdict: 'accept', counters: [] },
  { title: 'the original direction of an established connection', packet: packet({ iif: DB, oif: UPLINK, source: '10.61.1.12', destination: '10.61.2.10', ctState: 'established' }), verdict: 'drop', counters: ['denied/egress/pay/D3NY0A11'] },
  { title: 'a related ICMP error', packet: packet({ iif: DB, oif: UPLINK, source: '10.61.1.12', destination: '10.61.2.10', protocol: 1, icmpType: 3, ctState: 'related' }), verdict: 'accept', counters: [] },
  { title: 'related, not ICMP', packet: packet({ iif: DB, oif: UPLINK, source: '10.61.1.12', destination: '10.61.2.10', ctState: 'related' }), verdict: 'drop', counters: ['denied/egress/pay/D3NY0A11'] },
  { title: 'INVALID', packet: packet({ source: '10.61.2.10', destination: '10.61.1.10', ctState: 'invalid' }), verdict: 'drop', counters: ['invalid'] },
  { title: 'a pod to its node', packet: packet({ path: 'input', iif: DB, oif: null, source: '10.61.1.12', destination: '192.168.61.11' }), verdict: 'accept', counters: [] },
  { title: 'the node to a pod', packet: packet({ path: 'output', iif: null, oif: DB, source: '192.168.61.11', destination: '10.61.1.12' }), verdict: 'accept', counters: [] },
  { title: 'a pod to itself', packet: packet({ iif: DB, oif: DB, source: '10.61.1.12', destination: '10.61.1.12' }), verdict: 'accept', counters: [] },
  { title: 'a spoofed source', packet: packet({ iif: DB, source: '10.61.1.11', destination: '10.61.1.10' }), verdict: 'drop', counters: ['spoofed'] },
  { title: 'neighbour discovery from link-local', packet: packet({ path: 'input', iif: DB, oif: null, source: 'fe80::1', destination: 'ff02::1', protocol: 58, icmpType: 135, hopLimit: 255, ctState: 'untracked' }), verdict: 'accept', counters: [] },
  { title: 'neighbour discovery that was routed', packet: packet({ path: 'input', iif: DB, oif: null, source: 'fe80::1', destination: 'ff02::1', protocol: 58, icmpType: 135, hopLimit: 254, ctState: 'untracked' }), verdict: 'drop', counters: ['spoofed'] },
  { title: 'DHCP', packet: packet({ path: 'input', iif: DB, oif: null, source: '0.0.0.0', destination: '255.255.255.255', protocol: UDP, sourcePort: 68, destinationPort: 67 }), verdict: 'accept', counters: [] },
  { title: 'an interface that nobody knows', packet: packet({ iif: { name: 'veth-new', kind: 'veth' }, source: '10.61.1.99', destination: '10.61.1.11', oif: API }), verdict: 'drop', counters: ['unknown-interface'] },
  { title: 'hardware has no kind', packet: packet({ iif: { name: 'eth7', kind: '' }, source: '192.168.61.20', destination: '10.61.1.10', destinationPort: 8080 }), verdict: 'accept', counters: ['allowed/shop/web/ingress/1'] },
  { title: 'an address that the known interface does not have', packet: packet({ source: '192.168.61.20', destination: '10.61.1.99' }), verdict: 'drop', counters: ['unknown-address'] },
]

describe('tracer: flows of a table written by hand', () => {
  for (const flow of flows) {
    it(`${flow.verdict}: ${flow.title}`, () => {
      const trace = tracer.trace(flow.packet)
      assert.deepEqual({ verdict: trace.verdict, counters: trace.counters }, { verdict: flow.verdict, counters: flow.counters }, trace.visited.join('\n'))
    })
  }

  it('a denial meets its log rule first, and says which rule denied', () => {
    const trace = tracer.trace(packet({ iif: DB, oif: UPLINK, source: '10.61.1.12', destination: '10.61.2.10' }))
    assert.deepEqual(trace.logs, ['deny egress/pay/D3NY0A11 1'])
    assert.equal(trace.by, 'egress/pay/D3NY0A11: counter name "denied/egress/pay/D3NY0A11" drop')
  })
})

const chain = (...rules: readonly string[]): string =>
  ['add table inet t', 'add chain inet t c { type filter hook forward priority filter; policy accept; }', ...rules].join('\n')

describe('tracer: commands', () => {
  it('reads what `nft -f` takes', () => {
    const text = chain(
      'add set inet t nets { typeof ip saddr; flags interval; }',
      'add element inet t nets { 10.0.0.0/8, 192.0.2.1-192.0.2.9 }',
      'add map inet t ports { type inet_proto . inet_service : verdict; }',
      'add chain inet t web',
      'add element inet t ports { tcp . 80 : goto web, udp . 53 : drop }',
      'add rule inet t web ip saddr @nets accept',
      'add rule inet t web drop',
      'add rule inet t c meta l4proto . th dport vmap @ports',
    )
    const read = new Tracer(text)
    assert.equal(read.trace(packet({ source: '192.0.2.9', destination: '10.0.0.1' })).verdict, 'accept')
    assert.equal(read.trace(packet({ source: '192.0.2.10', destination: '10.0.0.1' })).verdict, 'drop')
    assert.equal(read.trace(packet({ source: '192.0.2.9', destination: '10.0.0.1', protocol: UDP, destinationPort: 53 })).verdict, 'drop')
  })

  it('lower priority first, and accept ends one base chain only', () => {
    const text = ['add table inet t', 'add chain inet t late { type filter hook forward priority filter; }', 'add chain inet t early { type filter hook forward priority filter - 10; }', 'add rule inet t early accept', 'add rule inet t late drop']
    assert.deepEqual(new Tracer(text.join('\n')).trace(packet({ source: '10.0.0.1', destination: '10.0.0.2' })).visited, ['early: accept', 'late: drop'])
  })
})

describe('tracer: fails on what it does not know', () => {
  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['a field', chain('add rule inet t c fib saddr type local accept'), /does not know 'fib'/],
    ['a statement', chain('add rule inet t c meta priority set 1'), /does not know 'meta'/],
    ['a name of a protocol', chain('add rule inet t c meta l4proto { tcp, mobility } accept'), /'mobility'/],
    ['a kind of object', 'table inet t {\n flowtable f {\n }\n}', /'flowtable'/],
    ['a command', 'flush ruleset', /'flush'/],
    ['another family', 'add table bridge t', /inet/],
    ['a set that is not there', chain('add rule inet t c ip saddr @nobody accept'), /set nobody is not there/],
    ['a chain that is not there', chain('add rule inet t c goto nowhere'), /nowhere/],
    ['a counter that is not there', chain('add rule inet t c counter name "n" drop'), /counter n is not there/],
    ['a set of another key', chain('add set inet t s { typeof ip6 saddr; }', 'add rule inet t c ip saddr @s accept'), /asks for ipv4_addr/],
    ['a limit that decides', chain('add rule inet t c limit rate 1/second accept'), /limit/],
    ['overlapping intervals', chain('add set inet t s { typeof ip saddr; flags interval; }', 'add element inet t s { 10.0.0.0/8, 10.1.0.0/16 }'), /conflicting intervals/],
    ['a range in a set without intervals', chain('add set inet t s { typeof ip saddr; }', 'add element inet t s { 10.0.0.0/8 }'), /no flag interval/],
    ['a map element with another value', chain('add map inet t m { typeof iifname : verdict; }', 'add element inet t m { "a" : accept }', 'add element inet t m { "a" : drop }'), /File exists/],
    ['a loop', chain('add chain inet t a', 'add rule inet t a jump a', 'add rule inet t c jump a'), /loop/],
    ['a chain nobody has sent a packet to', chain('add chain inet t a', 'add rule inet t a socket wildcard 0', 'add rule inet t c tcp dport 1 jump a'), /'socket'/],
  ]
  for (const [title, text, message] of refused) it(title, () => assert.throws(() => new Tracer(text), message))
})
