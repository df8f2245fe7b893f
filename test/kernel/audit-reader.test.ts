// The reader of NFLOG on the real kernel: what is logged comes as flows, promptly; what is lost is counted to the packet.
//
// Log rules of the test's own, in a namespace of its own, with a named counter beside each.
// **Invariant:** nothing outside of the namespace is touched, and it is gone afterwards.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readdirSync, readlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { LoggedFlow, LostPackets } from '../../src/audit/logged-flow.ts'
import { openReader, type AuditReader, type ReaderOptions, type ReaderState } from '../../src/audit/reader.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { dup2 } from '../../src/netlink/libc.ts'
import { ipPacket } from '../support/real-packets.ts'
import { pause } from '../support/real-wire.ts'

const NETNS = `picket-reader-${process.pid}`
const PATH = `/run/netns/${NETNS}`
const GROUP = 61
const OTHER_READER = fileURLToPath(new URL('../support/read-nflog.ts', import.meta.url))
const run = (...args: string[]): string => execFileSync('nsenter', [`--net=${PATH}`, ...args], { encoding: 'utf8' })
const FORGE = fileURLToPath(new URL('../support/forge.ts', import.meta.url))
const sum = (counted: readonly { readonly count: number }[]): number => counted.reduce((all, { count }) => all + count, 0)

const TABLE = `table inet logged {
  counter sent {}
  chain out {
    type filter hook output priority 0;
    meta l4proto { tcp, udp } th dport 1000-9999 counter name sent log prefix "picket/test" group ${GROUP}
    icmp type echo-request counter name sent meta mark set 0xabcd00 log prefix "picket/ping" group ${GROUP}
    icmpv6 type echo-request counter name sent meta mark set 0xabcd00 log prefix "picket/ping" group ${GROUP}
  }
}
`

class Heard {
  readonly flows: LoggedFlow[] = []
  readonly lost: LostPackets[] = []
  readonly states: ReaderState[] = []
  readonly reader: AuditReader

  constructor(options: Partial<ReaderOptions> = {}) {
    this.reader = openReader({
      group: GROUP, clock: systemClock, netns: PATH,
      onFlows: (flows) => this.flows.push(...flows),
      onLost: (lost) => this.lost.push(lost),
      onState: (state) => this.states.push(state),
      ...options,
    })
  }

  async until(what: string, is: () => boolean, ms = 5_000): Promise<void> {
    for (const end = Date.now() + ms; !is(); await pause(5)) if (Date.now() > end) assert.fail(`not within ${ms} ms: ${what}; ${JSON.stringify([this.states, this.lost, this.flows.length])}`)
  }

  async reading(): Promise<void> {
    await this.until('reading', () => this.states.at(-1)?.kind === 'reading')
  }
}

/** So many UDP packets to so many ports, from a process in the namespace; as fast as it can. */
function flood(packets: number, ports = 1): void {
  const script = `const s=require('dgram').createSocket('udp4');const n=${packets};let i=0,open=0;const b=Buffer.alloc(10);
const more=()=>{while(i<n&&open<64){open++;s.send(b,2000+(i++%${ports}),'127.0.0.1',()=>{open--;more()})}if(i>=n&&open===0)s.close()};s.bind(999,'127.0.0.1',more)`
  run(process.execPath, '-e', script)
}
function sendPing(address: string): void {
  const { bytes } = ipPacket({ from: address, to: address }, address === '::1' ? 58 : 1, Buffer.from([address === '::1' ? 128 : 8, 0, 0, 0, 0, 1, 0, 1]))
  execFileSync('nsenter', [`--net=${PATH}`, process.execPath, FORGE], { input: JSON.stringify([[address, bytes.toString('hex')]]) })
}

/** This process's descriptor of the socket that reads in the namespace. */
function readersDescriptor(): number {
  const inodes = run('cat', '/proc/thread-self/net/netlink').split('\n').map((line) => line.trim().split(/\s+/)).filter(([, protocol]) => protocol === '12').map((columns) => `socket:[${columns.at(-1)}]`)
  const found = readdirSync('/proc/self/fd').find((fd) => {
    try {
      return inodes.includes(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      return false
    }
  })
  return Number(found ?? assert.fail('no socket of the reader'))
}

const counter = (): number => Number(/packets (\d+)/.exec(run('nft', 'list', 'counter', 'inet', 'logged', 'sent'))?.[1])

describe('audit: the reader of NFLOG, on the kernel', function () {
  this.timeout(60_000)
  let heard: Heard | null = null
  before(() => {
    execFileSync('ip', ['netns', 'add', NETNS])
    run('ip', 'link', 'set', 'lo', 'up')
  })
  beforeEach(() => void execFileSync('nsenter', [`--net=${PATH}`, 'nft', '-f', '-'], { input: `flush ruleset\n${TABLE}` }))
  afterEach(async () => {
    await heard?.reader.close()
    heard = null
  })
  after(() => void execFileSync('ip', ['netns', 'delete', NETNS]))

  for (const [family, address] of [[4, '127.0.0.1'], [6, '::1']] as const) {
    it(`IPv${family}: TCP, UDP and ICMP say who, what and through where, within 200 ms`, async () => {
      const { reader, flows } = (heard = new Heard())
      await heard.reading()
      const start = Date.now()
      run('bash', '-c', `exec 3>/dev/udp/${address}/5353; echo x >&3`)
      let prompt = Infinity
      // The machine may be busy: the quickest of a few counts.
      for (let i = 0; i < 4; i++) {
        if (i > 0) run('bash', '-c', `exec 3>/dev/udp/${address}/${5353 + i}; echo x >&3`)
        const sent = Date.now()
        await heard.until('the first packet of a key', () => flows.length > i)
        prompt = Math.min(prompt, Date.now() - sent)
      }
      assert.ok(prompt < 200, `${prompt} ms`)
      const [udp] = flows
      assert.deepEqual([udp?.prefix, udp?.family, udp?.source, udp?.destination, udp?.protocol, udp?.destinationPort, udp?.count, udp?.bytes, udp?.tcpFlags], ['picket/test', family, address, address, 17, 5353, 1, (family === 4 ? 20 : 40) + 10, null])
      assert.deepEqual([udp?.inInterface, udp?.outInterface, udp?.icmp, udp?.mark], [0, 1, null, 0])
      assert.ok(udp !== undefined && udp.first >= start - 5 && udp.last <= Date.now() + 5 && udp.first === udp.last)
      run('bash', '-c', `(exec 3>/dev/tcp/${address}/4443) 2>/dev/null || true`)
      sendPing(address)
      await reader.flush()
      const tcp = flows.find(({ protocol }) => protocol === 6)
      assert.deepEqual([tcp?.destinationPort, (tcp?.tcpFlags ?? 0) & 0x3f, tcp?.family], [4443, 2, family])
      const ping = flows.find(({ prefix }) => prefix === 'picket/ping')
      assert.deepEqual([ping?.icmp, ping?.sourcePort, ping?.protocol, ping?.mark, ping?.source], [{ type: family === 4 ? 8 : 128, code: 0 }, null, family === 4 ? 1 : 58, 0xabcd00, address])
      assert.deepEqual([sum(flows), heard.lost], [counter(), []])
    })
  }

  it('packets of one key come as one at the end of the window, and all are counted', async () => {
    const { reader, flows } = (heard = new Heard({ windowMs: 1_000 }))
    await heard.reading()
    flood(500)
    await heard.until('the rest', () => sum(flows) === 500, 3_000)
    assert.ok(flows.length <= 4, `${flows.length} flows`)
    await reader.flush()
    assert.deepEqual([sum(flows), counter(), heard.lost], [500, 500, []])
  })

  for (const hook of ['bridge', 'inet'] as const) {
    it(`what comes by a bridge says which of its ports, in a chain of ${hook}`, async () => {
      const pod = `${NETNS}-pod`
      execFileSync('ip', ['netns', 'add', pod])
      try {
        for (const line of [
          'ip link add br0 type bridge', `ip link add port0 type veth peer name eth0 netns ${pod}`, 'ip link set port0 master br0 up', 'ip addr add 10.77.0.1/24 dev br0',
          'ip addr add fd77::1/64 dev br0 nodad', 'ip link set br0 up', `ip -n ${pod} addr add 10.77.0.2/24 dev eth0`, `ip -n ${pod} addr add fd77::2/64 dev eth0 nodad`, `ip -n ${pod} link set eth0 up`,
          'sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1',
        ]) run(...line.split(' '))
        const rule = `udp dport 1000-9999 log prefix "picket/bridge" group ${GROUP}`
        execFileSync('nsenter', [`--net=${PATH}`, 'nft', '-f', '-'], { input: `table ${hook} ports { chain pre { type filter hook prerouting priority 0; ${rule}; }; }` })
        const { flows } = (heard = new Heard())
        await heard.reading()
        const [{ ifindex: index }] = JSON.parse(run('ip', '-json', 'link', 'show', 'port0')) as [{ readonly ifindex: number }]
        for (const address of ['10.77.0.1', 'fd77::1']) execFileSync('nsenter', [`--net=/run/netns/${pod}`, 'bash', '-c', `exec 3>/dev/udp/${address}/5353; echo x >&3`])
        await heard.until('both', () => flows.length === 2)
        assert.deepEqual(flows.map(({ source, destination, destinationPort, inInterface }) => [source, destination, destinationPort, inInterface]), [['10.77.0.2', '10.77.0.1', 5353, index], ['fd77::2', 'fd77::1', 5353, index]])
      } finally {
        run('ip', 'link', 'delete', 'br0')
        execFileSync('ip', ['netns', 'delete', pod])
      }
    })
  }

  it('what a full receive buffer loses is told to the packet', async () => {
    const { reader, flows, lost } = (heard = new Heard({ receiveBufferBytes: 4_096 }))
    await heard.reading()
    for (let round = 0; round < 20 && sum(lost) === 0; round++) {
      flood(20_000, 50)
      await pause(300)
      // The gap is known at the next packet.
      flood(1)
      await reader.flush()
    }
    assert.ok(sum(lost) > 0 && lost.every(({ stage, first, last }) => stage === 'kernel' && first <= last), JSON.stringify(lost))
    assert.equal(sum(flows) + sum(lost), counter())
  })

  it('it reads on while this thread stalls: more keys than it may hold are lost in the queue, to the packet', async () => {
    const { reader, flows, lost } = (heard = new Heard({ mostKeys: 300 }))
    await heard.reading()
    // Blocks this thread until all is sent.
    flood(50_000, 5_000)
    assert.equal(flows.length, 0)
    await reader.flush()
    assert.ok(sum(lost.filter(({ stage }) => stage === 'queue')) > 0)
    assert.deepEqual(lost.filter(({ stage }) => stage === 'kernel'), [])
    assert.deepEqual([sum(flows) + sum(lost), counter()], [50_000, 50_000])
  })

  it('a group that another program reads: says which setting, and reads as soon as it is free', async () => {
    const other = spawn('nsenter', [`--net=${PATH}`, process.execPath, OTHER_READER, String(GROUP)], { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(other.stdout, 'data')
    heard = new Heard({ takenPauseMs: 300 })
    await heard.until('failed', () => heard?.states.length === 1)
    const [state] = heard.states
    assert.ok(state?.kind === 'failed')
    assert.equal(state.code, 'AuditGroupTaken')
    assert.match(state.message, /NFLOG group 61 .*auditGroup/)
    await pause(1_500)
    assert.equal(heard.states.length, 1, 'told once')
    other.stdin.end()
    await once(other, 'exit')
    await heard.reading()
    flood(10)
    await heard.reader.flush()
    assert.equal(sum(heard.flows), 10)
  })

  it('a thread that ends by itself is told, started again, and what it had taken and not told is counted', async () => {
    const { flows, lost, states } = (heard = new Heard({ takenPauseMs: 300 }))
    await heard.reading()
    flood(1)
    await heard.until('the first', () => sum(flows) === 1)
    flood(200)
    await pause(300)
    assert.equal(sum(flows), 1)
    dup2(openSync('/dev/null', 'r'), readersDescriptor())
    await heard.until('reading again', () => states.length >= 3 && states.at(-1)?.kind === 'reading')
    assert.ok(states[1]?.kind === 'failed' && states[1].code === 'AuditReaderEnded', JSON.stringify(states))
    assert.deepEqual([sum(flows), lost.map(({ stage, count }) => [stage, count])], [1, [['queue', 200]]])
    flood(5)
    await heard.reader.flush()
    assert.equal(sum(flows) + sum(lost), counter())
  })

  it('close() counts what it takes along', async () => {
    const { reader, flows, lost } = (heard = new Heard())
    await heard.reading()
    flood(300)
    await pause(300)
    await reader.close()
    assert.ok(sum(flows) < 300 && lost.every(({ stage, first, last }) => stage === 'queue' && first <= last), JSON.stringify(lost))
    assert.equal(sum(flows) + sum(lost), 300)
  })

  it('close() gives the group back, and what is not there fails by its state, not by an exception', async () => {
    for (let i = 0; i < 3; i++) {
      const one = new Heard()
      await one.reading()
      await one.reader.close()
    }
    assert.equal(run('cat', '/proc/thread-self/net/netfilter/nfnetlink_log').trim(), '')
    heard = new Heard({ netns: '/run/netns/nobody-made-this' })
    await heard.until('failed', () => heard?.states[0]?.kind === 'failed')
    await heard.reader.flush()
  })
})
