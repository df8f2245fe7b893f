// What policies cost a packet: throughput and new connections with 0, 1, 100 and 2,000 policies on the receiving pod,
// against an empty table with connection tracking on, in the same run.
//
// Two pods and a node between them, in namespaces of their own; segments of 500 bytes, so that the cost of a packet
// shows. Variants take turns, round by round. **Invariant:** each figure is a ratio of medians of the
// same run; the rules that a packet visits are counted on the very text that the kernel got.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Policy } from '../../src/model/policy.ts'
import { podSelector } from '../../src/model/selector.ts'
import { hostInterface, namespace, pod, policy, selector } from '../support/builders.ts'
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
const ROUNDS = 7
const MS = 700

/** One rule that needs connection tracking, and nothing else. */
const EMPTY = `add table inet picket
add chain inet picket forward { type filter hook forward priority filter; policy accept; }
add rule inet picket forward ct state invalid drop
`

/** Every policy selects the server; each allows other peers, the last one the client. */
function policies(count: number): Policy[] {
  return Array.from({ length: count }, (_, i) => {
    const app = i === count - 1 ? 'client' : `other${i}`
    const peer = { kind: 'pods' as const, selector: podSelector({ kind: 'named', name: 'bench' }, selector({ app })) }
    const ports = [{ kind: 'range' as const, protocol: 'TCP' as const, first: 8080, last: 8080 }]
    return policy({ namespace: 'bench', name: `policy-${String(i).padStart(4, '0')}`, pods: 'app=server', ingress: [{ peers: [peer], ports }] })
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

function tearDown(server: ChildProcess | null): void {
  server?.kill('SIGKILL')
  for (const netns of [NODE, CLIENT, SERVER]) execFileSync('sh', ['-c', `ip netns del ${netns} 2>/dev/null || true`])
}

function load(text: string): void {
  execFileSync(...inside(NODE, ['nft', '-f', '-']), { input: `table inet picket\ndelete table inet picket\n${text}` })
}

const LOAD = fileURLToPath(new URL('load.ts', import.meta.url))

function measured(mode: 'bytes' | 'connections'): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(...inside(CLIENT, [process.execPath, LOAD, mode, ADDRESS.server, String(MS)]), { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (data: Buffer) => (text += data.toString()))
    child.once('close', (code) => (code === 0 ? resolve(Number(text)) : reject(new Error(`load ${mode} ended with ${code}`))))
  })
}

async function startServer(): Promise<ChildProcess> {
  const child = spawn(...inside(SERVER, [process.execPath, LOAD, 'server', ADDRESS.server]), { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('close', (code) => reject(new Error(`server ended with ${code}`)))
  })
  return child
}

async function run(note: (text: string) => void): Promise<readonly Figure[]> {
  const texts = new Map<string, string>([['empty', EMPTY], ...VARIANTS.map((n) => [String(n), compiled(n)] as const)])
  const bytes = new Map([...texts.keys()].map((name) => [name, [] as number[]]))
  const connections = new Map([...texts.keys()].map((name) => [name, [] as number[]]))
  let server: ChildProcess | null = null
  const clean = (): void => tearDown(server)
  process.once('exit', clean)
  for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143]] as const) process.once(signal, () => process.exit(status))
  setUp()
  server = await startServer()
  for (let round = 0; round < ROUNDS; round++) {
    // Another order each round, so that whoever comes first has no advantage.
    const names = [...texts.keys()]
    for (const name of [...names.slice(round % names.length), ...names.slice(0, round % names.length)]) {
      load(texts.get(name) as string)
      bytes.get(name)?.push(await measured('bytes'))
      connections.get(name)?.push(await measured('connections'))
    }
    note(`round ${round + 1} of ${ROUNDS}`)
  }
  clean()
  const of = (map: Map<string, number[]>, name: string): number => median(map.get(name) ?? [])
  return [
    { name: 'throughput with an empty table', value: of(bytes, 'empty') / 1e9, unit: 'Gbit/s', aim: '' },
    { name: 'new connections with an empty table', value: of(connections, 'empty'), unit: '1/s', aim: '' },
    ...VARIANTS.flatMap((n): Figure[] => [
      { name: `throughput lost with ${n} policies`, value: 100 * (1 - of(bytes, String(n)) / of(bytes, 'empty')), unit: '%', aim: n === 2_000 ? '< 5' : '' },
      { name: `connections lost with ${n} policies`, value: 100 * (1 - of(connections, String(n)) / of(connections, 'empty')), unit: '%', aim: n === 2_000 ? '< 10' : '' },
      { name: `rules that a packet visits with ${n} policies`, value: visited(texts.get(String(n)) as string), unit: 'rules', aim: '' },
    ]),
  ]
}

export const bench: Bench = {
  name: 'packets',
  about: `TCP between two pods of one node, segments of 500 bytes; medians of ${ROUNDS} rounds of ${MS} ms`,
  run,
}
