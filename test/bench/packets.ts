// What policies cost a packet: throughput and new connections with 0, 1, 100 and 2,000 policies on the receiving pod,
// against an empty table with connection tracking on, in the same run.
//
// Two pods and a node between them, in namespaces of their own; segments of 500 bytes, so that the cost of a packet
// shows. **Invariant:** each figure is the median of ratios to an empty table measured just before and just after; the
// rules that a packet visits are counted on the very text that the kernel got.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Policy } from '../../src/model/policy.ts'
import { podSelector } from '../../src/model/selector.ts'
import { cidr, hostInterface, namespace, pod, policy, selector } from '../support/builders.ts'
import { upsert } from '../support/cluster-feed.ts'
import { Pipeline } from '../support/pipeline.ts'
import { Tracer } from '../support/tracer.ts'
import { median, type Bench, type Figure } from './bench.ts'

const PREFIX = `picket-bench-${process.pid}`
const NODE = `${PREFIX}-node`
const CLIENT = `${PREFIX}-client`
const SERVER = `${PREFIX}-server`
const ADDRESS = { client: '10.91.0.1', server: '10.91.0.2' }
const VARIANTS = [0, 1, 100, 2_000] as const
/** One more than count: the first warms up. */
const ROUNDS = 10
const MS = 300

/** One rule that needs connection tracking, and nothing else. */
const EMPTY = `add table inet picket
add chain inet picket forward { type filter hook forward priority filter; policy accept; }
add rule inet picket forward ct state invalid drop
`

/** Every policy selects the server: pods and ipBlocks on its port, other ports in between; the last one allows the client. */
function policies(count: number): Policy[] {
  return Array.from({ length: count }, (_, i) => {
    const app = i === count - 1 ? 'client' : `other${i}`
    const pods = { kind: 'pods' as const, selector: podSelector({ kind: 'named', name: 'bench' }, selector({ app })) }
    const block = { kind: 'ipBlock' as const, cidr: cidr(`172.${16 + (i >> 8)}.${i & 255}.0/25`), except: [] }
    const port = i % 3 === 1 ? 9_000 + i : 8080
    const ports = [{ kind: 'range' as const, protocol: 'TCP' as const, first: port, last: port }]
    const peers = i % 3 === 2 && i < count - 1 ? [block] : [pods]
    return policy({ namespace: 'bench', name: `policy-${String(i).padStart(4, '0')}`, pods: 'app=server', ingress: [{ peers, ports: i === count - 1 ? [...ports, { ...ports[0]!, first: 8080, last: 8080 }] : ports }] })
  })
}

function compiled(count: number): string {
  const pipeline = new Pipeline({ nodeName: 'n1' })
  const local = (name: 'client' | 'server') => pod({ namespace: 'bench', name, node: 'n1', addresses: [ADDRESS[name]], labels: { app: name } })
  const remote = Array.from({ length: 500 }, (_, i) =>
    pod({ namespace: 'bench', name: `r${i}`, node: 'n2', addresses: [`10.92.${i >> 8}.${i & 255}`], labels: { app: `other${i}` } }),
  )
  upsert(pipeline.turns.inbox, 'namespace', namespace({ name: 'bench' }))
  upsert(pipeline.turns.inbox, 'pod', local('client'), local('server'), ...remote)
  upsert(pipeline.turns.inbox, 'interface', ...(['client', 'server'] as const).map((name, i) => hostInterface({ index: 10 + i, name, hostRoutes: [ADDRESS[name]] })))
  upsert(pipeline.turns.inbox, 'policy', ...policies(count))
  pipeline.turn()
  return pipeline.text()
}

function visited(text: string): number {
  const link = (name: string) => ({ name, kind: 'veth' })
  const trace = new Tracer(text).trace({
    path: 'forward', iif: link('client'), oif: link('server'), source: ADDRESS.client, destination: ADDRESS.server,
    protocol: 6, sourcePort: 40_000, destinationPort: 8080, ctState: 'established', ctDirection: 'original',
  })
  if (trace.verdict !== 'accept') throw new Error(`the table denies what it should allow: ${trace.by}`)
  return trace.visited.length
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

function inside(netns: string, args: readonly string[]): [string, string[]] {
  return ['ip', ['netns', 'exec', netns, ...args]]
}

function setUp(): void {
  for (const netns of [NODE, CLIENT, SERVER]) ip('netns', 'add', netns)
  for (const [netns, name, address] of [[CLIENT, 'client', ADDRESS.client], [SERVER, 'server', ADDRESS.server]] as const) {
    ip('-n', NODE, 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns)
    for (const [where, link] of [[NODE, name], [netns, 'eth0']] as const) ip('-n', where, 'link', 'set', link, 'up')
    ip('-n', netns, 'addr', 'add', `${address}/32`, 'dev', 'eth0')
    ip('-n', NODE, 'addr', 'add', '169.254.1.1/32', 'dev', name)
    ip('-n', NODE, 'route', 'add', address, 'dev', name)
    ip('-n', netns, 'route', 'add', '169.254.1.1', 'dev', 'eth0')
    ip('-n', netns, 'route', 'add', 'default', 'via', '169.254.1.1', 'advmss', '500')
  }
  execFileSync(...inside(NODE, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']))
}

function tearDown(loads: readonly Load[]): void {
  for (const { child } of loads) child.kill('SIGKILL')
  for (const netns of [NODE, CLIENT, SERVER]) execFileSync('sh', ['-c', `ip netns del ${netns} 2>/dev/null || true`])
}

function load(text: string): void {
  execFileSync(...inside(NODE, ['nft', '-f', '-']), { input: `table inet picket\ndelete table inet picket\n${text}` })
}

const LOAD = fileURLToPath(new URL('load.ts', import.meta.url))

/** A load process that answers one line for each line that it is given. */
class Load {
  readonly child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(netns: string, mode: 'server' | 'client') {
    const child = spawn(...inside(netns, [process.execPath, LOAD, mode, ADDRESS.server]), { stdio: ['pipe', 'pipe', 'inherit'] })
    this.child = child
    this.#lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    const next = await this.#lines.next()
    if (next.done === true) throw new Error('a load process ended')
    return next.value
  }

  async measure(what: 'bytes' | 'connections'): Promise<number> {
    this.child.stdin?.write(`${what} ${MS}\n`)
    return Number(await this.line())
  }
}

type Figures = Readonly<Record<'bytes' | 'connections', number[]>>

async function run(note: (text: string) => void): Promise<readonly Figure[]> {
  const texts = new Map(VARIANTS.map((n) => [n, compiled(n)] as const))
  const empty: Figures = { bytes: [], connections: [] }
  const ratios = new Map<number, Figures>(VARIANTS.map((n) => [n, { bytes: [], connections: [] }]))
  const loads: Load[] = []
  const clean = (): void => tearDown(loads)
  process.once('exit', clean)
  for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143]] as const) process.once(signal, () => process.exit(status))
  setUp()
  for (const [netns, mode] of [[SERVER, 'server'], [CLIENT, 'client']] as const) loads.push(new Load(netns, mode))
  for (const one of loads) await one.line()
  const client = loads[1] as Load
  for (let round = 0; round < ROUNDS; round++) {
    for (const n of VARIANTS) {
      for (const what of ['bytes', 'connections'] as const) {
        // The empty table before and after: what else the machine does meanwhile weighs on both alike.
        load(EMPTY)
        const before = await client.measure(what)
        load(texts.get(n) as string)
        const with_ = await client.measure(what)
        load(EMPTY)
        const after = await client.measure(what)
        if (round === 0) continue
        empty[what].push(before, after)
        ratios.get(n)?.[what].push((2 * with_) / (before + after))
      }
    }
    note(round === 0 ? 'warmed up' : `round ${round} of ${ROUNDS - 1}`)
  }
  clean()
  const lost = (n: number, what: 'bytes' | 'connections'): number => 100 * (1 - median(ratios.get(n)?.[what] ?? []))
  return [
    { name: 'throughput with an empty table', value: median(empty.bytes) / 1e9, unit: 'Gbit/s', aim: '' },
    { name: 'new connections with an empty table', value: median(empty.connections), unit: '1/s', aim: '' },
    ...VARIANTS.flatMap((n): Figure[] => [
      { name: `throughput lost with ${n} policies`, value: lost(n, 'bytes'), unit: '%', aim: n === 2_000 ? '< 5' : '' },
      { name: `connections lost with ${n} policies`, value: lost(n, 'connections'), unit: '%', aim: n === 2_000 ? '< 10' : '' },
      { name: `rules that a packet visits with ${n} policies`, value: visited(texts.get(n) as string), unit: 'rules', aim: '' },
    ]),
  ]
}

export const bench: Bench = {
  name: 'packets',
  about: `TCP between two pods of one node, segments of 500 bytes; medians of ${ROUNDS - 1} ratios to an empty table, ${MS} ms each`,
  run,
}
