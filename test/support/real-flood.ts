// Floods between pods of one node, counted where the table cannot lose them any more and where it has not seen them yet.
//
// Counters stand in front of everything at the node's hooks and in the receiver's namespace, so that a difference is the
// node's own doing and no socket's. **Invariant:** what the kernel counted is asked for only when all senders have ended.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'
import { FAMILIES, type Family } from '../../src/model/ip.ts'
import type { RealCluster } from './real-cluster.ts'
import { pause, WireWatch } from './real-wire.ts'

const FLOOD = fileURLToPath(new URL('./flood.ts', import.meta.url))
const PORT = 9000
/** Until what is under way has arrived. */
const UNDER_WAY_MS = 300

export interface FloodOptions {
  /** All of one node. */
  readonly to: string
  readonly node: string
  /** Sender -> packets a second and family. */
  readonly senders: Readonly<Record<string, number>>
}

export interface Counted {
  readonly from: string
  readonly family: Family
  readonly sent: number
  /** Seen by the node, before any table. */
  readonly entered: number
  readonly arrived: number
}

export class Floods {
  readonly #cluster: RealCluster
  readonly #options: FloodOptions
  readonly #children = new Map<string, ChildProcess>()
  readonly #watches: readonly WireWatch[]

  constructor(cluster: RealCluster, options: FloodOptions) {
    this.#cluster = cluster
    this.#options = options
    const { to, node, senders } = options
    const matches = Object.keys(senders).flatMap((from) => FAMILIES.map((family) => [nameOf(from, family), matchOf(cluster.addressOf(from, family), family)]))
    this.#watches = [node, to].map((where) => new WireWatch(cluster, where, Object.fromEntries(matches) as Record<string, string>))
    // Nobody listens: without this the receiver answers each packet with an error.
    cluster.nft(to, `table inet mute {\nchain in { type filter hook input priority 0; udp dport ${PORT} drop; }\n}\n`)
    for (const [from, rate] of Object.entries(senders)) {
      const netns = cluster.testbed.netnsOf(cluster.source(from))
      const args = [String(rate), String(PORT), ...FAMILIES.map((family) => cluster.addressOf(to, family))]
      this.#children.set(from, spawn('nsenter', [`--net=${netns}`, '--', process.execPath, FLOOD, ...args], { stdio: ['pipe', 'pipe', 'inherit'] }))
    }
  }

  /** Packets of that sender and family that the node has seen so far. */
  entered(from: string, family: Family): number {
    return this.#watches[0]?.counts()[nameOf(from, family)] ?? 0
  }

  /** Ends all senders. */
  async stop(): Promise<readonly Counted[]> {
    const sent = new Map(await Promise.all([...this.#children].map(async ([from, child]) => [from, await lastWord(child)] as const)))
    await pause(UNDER_WAY_MS)
    const [entered = {}, arrived = {}] = this.#watches.map((watch) => watch.counts())
    this.close()
    return Object.keys(this.#options.senders).flatMap((from) =>
      FAMILIES.map((family) => {
        const name = nameOf(from, family)
        return { from, family, sent: sent.get(from) ?? 0, entered: entered[name] ?? 0, arrived: arrived[name] ?? 0 }
      }),
    )
  }

  close(): void {
    for (const child of this.#children.values()) child.kill('SIGKILL')
    if (this.#children.size === 0) return
    this.#children.clear()
    for (const watch of this.#watches) watch.close()
    this.#cluster.nft(this.#options.to, 'delete table inet mute\n')
  }
}

async function lastWord(child: ChildProcess): Promise<number> {
  child.stdin?.write('end\n')
  for await (const line of readline.createInterface({ input: child.stdout as NodeJS.ReadableStream })) return Number(line)
  return assert.fail('a flood ended by itself')
}

function nameOf(from: string, family: Family): string {
  return `${from.replace('/', '-')}-v${family}`
}

function matchOf(address: string, family: Family): string {
  return `${family === 4 ? 'ip' : 'ip6'} saddr ${address} udp dport ${PORT}`
}
