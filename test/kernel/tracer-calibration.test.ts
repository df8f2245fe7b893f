// The packet tracer against the kernel: every rule shape with every packet, and the verdicts that lead through chains.
//
// A router namespace between two others holds a table in which each rule shape counts what it matches. Each packet is
// really sent; the counters that moved must be those that the tracer says, by the text that was loaded and by the
// text that the kernel lists. **Invariant:** only namespaces of this run's prefix are made, and they are removed.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { Tracer, type TracePacket } from '../support/tracer.ts'
import { CONTROL_FLOW, SHAPE_SETS, SHAPES } from './calibration-shapes.ts'
import { echo, gre, sctp, tcp, udp, unreachable } from './packet-bytes.ts'
import type { RawPacket } from './send-packets.ts'

const PREFIX = `pkcal${process.pid}`
const A = `${PREFIX}-a`
const R = `${PREFIX}-r`
const B = `${PREFIX}-b`
const SENDER = path.join(import.meta.dirname, 'send-packets.ts')

interface Sent extends Pick<TracePacket, 'sourcePort' | 'destinationPort' | 'protocol'> {
  readonly title: string
  readonly way: 'a-b' | 'b-a' | 'a-r' | 'r-b'
  readonly six?: boolean
  readonly payload: Buffer
  readonly state: TracePacket['ctState']
  readonly direction?: TracePacket['ctDirection']
  readonly icmpType?: number
  readonly about?: TracePacket['about']
}

const HOST = { a: ['10.90.1.2', 'fd90:1::2'], b: ['10.90.2.2', 'fd90:2::2'], ra: ['10.90.1.1', 'fd90:1::1'], rb: ['10.90.2.1', 'fd90:2::1'] } as const
const WAYS = {
  'a-b': { from: 'a', to: 'b', netns: A, path: 'forward', iif: 'ra', oif: 'rb' },
  'b-a': { from: 'b', to: 'a', netns: B, path: 'forward', iif: 'rb', oif: 'ra' },
  'a-r': { from: 'a', to: 'ra', netns: A, path: 'input', iif: 'ra', oif: null },
  'r-b': { from: 'rb', to: 'b', netns: R, path: 'output', iif: null, oif: 'rb' },
} as const

const ports = (sourcePort: number, destinationPort: number): Pick<Sent, 'sourcePort' | 'destinationPort'> => ({ sourcePort, destinationPort })
const GRE_PORTS = ports(0, 80)

const REQUEST = { source: '10.90.1.2', destination: '10.90.2.2', protocol: 17, ...ports(68, 53) }
const REQUEST6 = { source: 'fd90:1::2', destination: 'fd90:2::2', protocol: 17, ...ports(68, 67) }

/** In this order: a reply needs its request before it. */
const PACKETS: readonly Sent[] = [
  { title: 'TCP 80', way: 'a-b', protocol: 6, ...ports(4001, 80), payload: tcp(4001, 80, 2), state: 'new' },
  { title: 'TCP 85', way: 'a-b', protocol: 6, ...ports(4002, 85), payload: tcp(4002, 85, 2), state: 'new' },
  { title: 'TCP 80 over IPv6', way: 'a-b', six: true, protocol: 6, ...ports(4003, 80), payload: tcp(4003, 80, 2), state: 'new' },
  { title: 'TCP with SYN and RST', way: 'a-b', protocol: 6, ...ports(4004, 80), payload: tcp(4004, 80, 6), state: 'invalid' },
  { title: 'UDP 53', way: 'a-b', protocol: 17, ...ports(68, 53), payload: udp(68, 53), state: 'new' },
  { title: 'UDP 53, again', way: 'a-b', protocol: 17, ...ports(68, 53), payload: udp(68, 53), state: 'new' },
  { title: 'UDP 53, the reply', way: 'b-a', protocol: 17, ...ports(53, 68), payload: udp(53, 68), state: 'established', direction: 'reply' },
  { title: 'UDP 53, after the reply', way: 'a-b', protocol: 17, ...ports(68, 53), payload: udp(68, 53), state: 'established' },
  { title: 'UDP 67 over IPv6', way: 'a-b', six: true, protocol: 17, ...ports(68, 67), payload: udp(68, 67), state: 'new' },
  { title: 'ICMP error about a request', way: 'b-a', protocol: 1, ...ports(0, 0), payload: unreachable('10.90.1.2', '10.90.2.2', 17, udp(68, 53)), state: 'related', direction: 'reply', icmpType: 3, about: REQUEST },
  { title: 'ICMP error about a reply', way: 'a-b', protocol: 1, ...ports(0, 0), payload: unreachable('10.90.2.2', '10.90.1.2', 17, udp(53, 68)), state: 'related', icmpType: 3, about: REQUEST },
  { title: 'ICMP error about a request over IPv6', way: 'b-a', six: true, protocol: 58, ...ports(0, 0), payload: unreachable('fd90:1::2', 'fd90:2::2', 17, udp(68, 67)), state: 'related', direction: 'reply', icmpType: 1, about: REQUEST6 },
  { title: 'ICMP error about a reply over IPv6', way: 'a-b', six: true, protocol: 58, ...ports(0, 0), payload: unreachable('fd90:2::2', 'fd90:1::2', 17, udp(67, 68)), state: 'related', icmpType: 1, about: REQUEST6 },
  { title: 'echo request', way: 'a-b', protocol: 1, ...ports(0x0800, 0), payload: echo(false), state: 'new', icmpType: 8 },
  { title: 'echo request over IPv6', way: 'a-b', six: true, protocol: 58, ...ports(0x8000, 0), payload: echo(true), state: 'new', icmpType: 128 },
  { title: 'SCTP 80', way: 'a-b', protocol: 132, ...ports(4005, 80), payload: sctp(4005, 80), state: 'new' },
  { title: 'GRE that looks like port 80', way: 'a-b', protocol: 47, ...GRE_PORTS, payload: gre(80), state: 'new' },
  { title: 'UDP 53 to the router', way: 'a-r', protocol: 17, ...ports(4006, 53), payload: udp(4006, 53), state: 'new' },
  { title: 'TCP 80 to the router over IPv6', way: 'a-r', six: true, protocol: 6, ...ports(4007, 80), payload: tcp(4007, 80, 2), state: 'new' },
  { title: 'UDP 53 from the router', way: 'r-b', protocol: 17, ...ports(4008, 53), payload: udp(4008, 53), state: 'new' },
  { title: 'TCP 80 from the router over IPv6', way: 'r-b', six: true, protocol: 6, ...ports(4009, 80), payload: tcp(4009, 80, 2), state: 'new' },
]

function run(command: readonly string[], input = ''): string {
  return execFileSync(command[0] as string, command.slice(1), { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'inherit'] })
}

const inside = (netns: string, ...command: readonly string[]): string[] => ['ip', 'netns', 'exec', netns, ...command]

/** Nothing is found out while packets are counted: addresses of the links are given, neighbours are written down. */
function makeNamespaces(): void {
  for (const netns of [A, R, B]) run(['ip', 'netns', 'add', netns])
  run(inside(R, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1', 'net.netfilter.nf_conntrack_checksum=0'))
  for (const [netns, number, link, own, router] of [[A, 1, 'ra', HOST.a, HOST.ra], [B, 2, 'rb', HOST.b, HOST.rb]] as const) {
    const [near, far] = [`02:00:00:00:0${number}:01`, `02:00:00:00:0${number}:02`]
    run(['ip', '-n', R, 'link', 'add', link, 'address', near, 'type', 'veth', 'peer', 'name', 'eth0', 'address', far, 'netns', netns])
    for (const [where, name, addresses] of [[netns, 'eth0', own], [R, link, router]] as const) {
      run(['ip', '-n', where, 'addr', 'add', `${addresses[0]}/24`, 'dev', name])
      run(['ip', '-n', where, 'addr', 'add', `${addresses[1]}/64`, 'dev', name, 'nodad'])
      run(['ip', '-n', where, 'link', 'set', name, 'up'])
    }
    for (const address of router) run(['ip', '-n', netns, 'neigh', 'add', address, 'lladdr', near, 'dev', 'eth0'])
    for (const address of own) run(['ip', '-n', R, 'neigh', 'add', address, 'lladdr', far, 'dev', link])
    for (const via of router) run(['ip', '-n', netns, 'route', 'add', 'default', 'via', via])
    run(inside(netns, 'nft', '-f', '-'), SILENCE)
  }
}

/** Nobody answers: an answer would be counted, too. */
const SILENCE = 'add table inet silence\nadd chain inet silence input { type filter hook input priority 300; policy drop; }\n'

function tracePacket(sent: Sent): TracePacket {
  const way = WAYS[sent.way]
  const family = sent.six === true ? 1 : 0
  const link = (name: string | null): TracePacket['iif'] => (name === null ? null : { name, kind: 'veth' })
  const { protocol, sourcePort, destinationPort, icmpType } = sent
  const icmp = { ...(icmpType === undefined ? {} : { icmpType }), ...(sent.about === undefined ? {} : { about: sent.about }) }
  return { path: way.path, iif: link(way.iif), oif: link(way.oif), source: HOST[way.from][family], destination: HOST[way.to][family], protocol, sourcePort, destinationPort, ...icmp, ctState: sent.state, ctDirection: sent.direction ?? 'original', hopLimit: 64 }
}

/** Sends it, and says which named counters moved. */
function counted(sent: Sent): readonly string[] {
  const way = WAYS[sent.way]
  run(inside(R, 'nft', 'reset', 'counters'))
  const raw: RawPacket = { destination: HOST[way.to][sent.six === true ? 1 : 0], protocol: sent.protocol, payload: sent.payload.toString('hex') }
  run(inside(way.netns, process.execPath, SENDER, JSON.stringify([raw])))
  const listed = JSON.parse(run(inside(R, 'nft', '-j', 'list', 'counters'))) as { nftables: { counter?: { name: string; packets: number } }[] }
  return listed.nftables.flatMap(({ counter }) => (counter !== undefined && counter.packets > 0 ? [counter.name] : [])).sort()
}

/** Counts per hook: a shape is asked once in prerouting (before conntrack), and once in each of forward, input and output. */
function shapesTable(): string {
  const hooks = [['prerouting', 'raw'], ['forward', 'filter - 10'], ['input', 'filter - 10'], ['output', 'filter - 10']] as const
  const lines = ['add table inet cal', ...SHAPE_SETS]
  for (const [hook, priority] of hooks) {
    lines.push(`add chain inet cal ${hook} { type filter hook ${hook} priority ${priority}; policy accept; }`)
    lines.push(`add rule inet cal ${hook} ${NOISE}`)
    for (const [i, shape] of SHAPES.entries()) {
      lines.push(`add counter inet cal ${hook}-${i}`, `add rule inet cal ${hook} ${shape} counter name "${hook}-${i}"`)
    }
  }
  return lines.join('\n')
}

/** What the kernels of the three namespaces say to each other by themselves. */
const NOISE = 'icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report } accept'

function compare(text: string, listed: string, sent: Sent, explain: (counter: string) => string): void {
  const moved = counted(sent)
  for (const [which, source] of [['what was loaded', text], ['what the kernel lists', listed]] as const) {
    const traced = [...new Set(new Tracer(source).trace(tracePacket(sent)).counters)].sort()
    assert.deepEqual(traced.map(explain), moved.map(explain), `the tracer by ${which}, against the kernel`)
  }
}

describe('tracer: calibrated against the kernel', function () {
  this.timeout(60_000)
  before(makeNamespaces)
  after(() => {
    for (const netns of [A, R, B]) run(['ip', 'netns', 'del', netns])
  })
  const load = (text: string): string => {
    run(inside(R, 'nft', '-f', '-'), `flush ruleset\n${SILENCE}${text}\n`)
    return run(inside(R, 'nft', 'list', 'table', 'inet', 'cal'))
  }

  describe(`${SHAPES.length} shapes`, () => {
    let listed = ''
    before(() => void (listed = load(shapesTable())))
    for (const sent of PACKETS) {
      it(sent.title, () => compare(shapesTable(), listed, sent, (counter) => `${counter}: ${SHAPES[Number(counter.split('-')[1])] ?? ''}`))
    }
  })

  for (const [title, lines] of Object.entries(CONTROL_FLOW)) {
    it(`control flow: ${title}`, () => {
      const text = lines.join('\n')
      const listed = load(text)
      for (const sent of PACKETS.filter((p) => WAYS[p.way].path === 'forward' && p.direction !== 'reply')) compare(text, listed, sent, (counter) => `${sent.title}: ${counter}`)
    })
  }
})
