// The stage of bench audit: a node with a real agent, a pod that floods, one that downloads, and what is read before and behind.
//
// **Invariant:** everything is in namespaces of this run's own; counts are differences, so that one flood has nothing of another.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AuditRecord } from '../../src/flows/record.ts'
import type { RealCluster } from '../support/real-cluster.ts'
import { realPod } from '../support/real-objects.ts'
import { udpPacket } from '../support/real-packets.ts'
import { forge, pause } from '../support/real-wire.ts'

export const DB = realPod('shop/db', 'n1', 1, { app: 'db' })
export const WEB = realPod('shop/web', 'n1', 2, { app: 'web' })
export const FLOODER = realPod('shop/flooder', 'n1', 3, { app: 'flooder' })
export const STREAM_PORT = 7100
export const FLOOD_PORT = 7200
export const STREAM = fileURLToPath(new URL('./audit-stream.ts', import.meta.url))
const SENDER = fileURLToPath(new URL('../support/send-frames.ts', import.meta.url))
const UNLIMITED = ['--audit-node-limit', '1000000', '--audit-pod-limit', '1000000', '--audit-source-limit', '1000000']
export const VARIANTS = { off: ['--audit-log', 'none'], limited: [], unlimited: UNLIMITED } as const
export type Variant = keyof typeof VARIANTS

export interface Measured {
  /** Packets a second that the sender sent. */
  readonly rate: number
  /** Bytes a second. */
  readonly throughput: number
  /** Of the agent. */
  readonly cores: number
  /** Bytes, before and behind the flood. */
  readonly memory: readonly [number, number]
  /** CPU of the agent for each packet that the kernel logged. Seconds. */
  readonly cpuEach: number
  /** Denied packets that came to the server all the same. */
  readonly leaked: number
  readonly denied: number
  readonly logged: number
  readonly recorded: number
  readonly lost: number
}

export class AuditStage {
  readonly lab: RealCluster
  readonly #ms: number
  readonly #rate: number

  /** `rate`: denied packets a second, as many as the machine can send at most. */
  constructor(lab: RealCluster, seconds: number, rate: number) {
    this.lab = lab
    this.#ms = seconds * 1_000
    this.#rate = rate
  }

  counters(name: RegExp): number {
    const listing = this.lab.run('n1', ['nft', 'list', 'counters', 'table', 'inet', 'picket'])
    return [...listing.matchAll(/counter (\S+) \{[^}]*?packets (\d+)/gs)].filter(([, one = '']) => name.test(one)).reduce((sum, [, , packets]) => sum + Number(packets), 0)
  }

  /** Counts what comes to the server, and shows that it does: before any agent, a packet of each family must arrive. */
  watch(): void {
    const rule = `udp dport ${FLOOD_PORT} counter`
    this.lab.nft(DB.key, `table inet bench-watch {\n chain arrivals {\n type filter hook prerouting priority -300\n ${rule}\n }\n}\n`)
    forge(this.lab, FLOODER.key, ...FLOODER.addresses.map((from, index) => udpPacket({ from, to: DB.addresses[index] as string }, { source: 5_000, destination: FLOOD_PORT })))
    if (this.#arrived() !== DB.addresses.length) throw new Error(`${this.#arrived()} of ${DB.addresses.length} packets came to the server before anything was denied: leaks would not be seen`)
  }

  #arrived(): number {
    return Number(/counter packets (\d+)/.exec(this.lab.run(DB.key, ['nft', 'list', 'table', 'inet', 'bench-watch']))?.[1] ?? NaN)
  }

  /** Packets that were sent, of both families in turn. */
  async flood(): Promise<number> {
    const mac = (where: string, link: string): string => (JSON.parse(this.lab.run(where, ['ip', '-j', 'link', 'show', link])) as [{ address: string; ifindex: number }])[0].address.replaceAll(':', '')
    const inPod = (JSON.parse(this.lab.run(FLOODER.key, ['ip', '-j', 'link', 'show'])) as { ifname: string; ifindex: number; address: string }[]).find(({ ifname }) => ifname !== 'lo')
    if (inPod === undefined) throw new Error('the flooder has no interface')
    const macs = `${mac('n1', this.lab.testbed.hostInterface(FLOODER.key))}${inPod.address.replaceAll(':', '')}`
    const flows = FLOODER.addresses.map((from, index) => {
      const { bytes } = udpPacket({ from, to: DB.addresses[index] as string }, { source: 5_000, destination: FLOOD_PORT }, 32)
      return { index: inPod.ifindex, frame: `${macs}${index === 0 ? '0800' : '86dd'}${Buffer.from(bytes).toString('hex')}`, rate: this.#rate / FLOODER.addresses.length }
    })
    const child = spawn('nsenter', [`--net=${this.lab.testbed.netnsOf(this.lab.source(FLOODER.key))}`, '--', process.execPath, SENDER], { stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin.end(JSON.stringify({ seconds: this.#ms / 1_000 + 1.5, flows }))
    let out = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => (out += part))
    await once(child, 'close')
    return (JSON.parse(out) as readonly number[]).reduce((sum, one) => sum + one, 0)
  }

  /** Leaves the rules of a variant in the kernel, and nobody who reads what they log. */
  async leave(variant: Variant): Promise<void> {
    await this.lab.agents.start('n1', VARIANTS[variant])
    await this.lab.settle()
    await this.lab.agents.stop('n1')
  }

  async measure(variant: Variant): Promise<Measured> {
    const file = path.join(this.lab.places.folder, `flows-${variant}.log`)
    rmSync(file, { force: true })
    await this.lab.agents.start('n1', [...VARIANTS[variant], '--audit-sinks', `file:${file}?maxSize=1Gi`])
    await this.lab.settle()
    await pause(1_500)
    const [denied, logged] = [this.counters(/^denied\/ingress\/shop/), this.counters(/^logged\/ingress\/shop/)]
    const [cpu, rss, arrived] = [cpuOf(this.lab.agents.pid('n1')), memoryOf(this.lab.agents.pid('n1')), this.#arrived()]
    const start = performance.now()
    const flooding = this.flood()
    await pause(300)
    const stream = spawn('nsenter', [`--net=${this.lab.testbed.netnsOf(this.lab.source(WEB.key))}`, '--', process.execPath, STREAM, 'client', DB.addresses[0] as string, String(STREAM_PORT), String(this.#ms)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    stream.stdout.setEncoding('utf8').on('data', (part: string) => (out += part))
    const [sent] = await Promise.all([flooding, once(stream, 'close')])
    const seconds = (performance.now() - start) / 1_000
    const used = cpuOf(this.lab.agents.pid('n1')) - cpu
    const after = memoryOf(this.lab.agents.pid('n1'))
    // What the kernel lost last shows with the next packet only.
    forge(this.lab, WEB.key, udpPacket({ from: WEB.addresses[0] as string, to: DB.addresses[0] as string }, { source: 5_001, destination: FLOOD_PORT }))
    await pause(500)
    const counts = { denied: this.counters(/^denied\/ingress\/shop/) - denied, logged: this.counters(/^logged\/ingress\/shop/) - logged }
    const leaked = this.#arrived() - arrived
    await this.lab.agents.stop('n1')
    const { bytes, ms } = JSON.parse(out) as { bytes: number; ms: number }
    return { rate: sent / seconds, throughput: (bytes / ms) * 1_000, cores: used / seconds, cpuEach: used / Math.max(1, counts.logged), memory: [rss, after], leaked, ...counts, ...told(file) }
  }
}

/** Of the flood: packets in records, and those that records of type lost tell of. What a sink lost is records, not packets: it is not made up for. */
function told(file: string): { readonly recorded: number; readonly lost: number } {
  const records = readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as AuditRecord)
  const recorded = records.reduce((sum, one) => sum + (one.type === 'verdict' && one.l4.destination_port === FLOOD_PORT ? one.count : 0), 0)
  return { recorded, lost: records.reduce((sum, one) => sum + (one.type === 'lost' && (one.stage === 'kernel' || one.stage === 'queue') ? one.count : 0), 0) }
}

/** Seconds of CPU, all threads. */
export function cpuOf(pid: number): number {
  const [user = '0', system = '0'] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ').slice(11, 13)
  return (Number(user) + Number(system)) / 100
}

function memoryOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
}

/** Whether the program is there, installed from Debian's package where it is not. */
export function isInstalled(program: string, debian: string): boolean {
  if (existsSync(program)) return true
  return spawnSync('apt-get', ['install', '-y', '-q', debian], { stdio: 'ignore' }).status === 0 && existsSync(program)
}
