// One round of the soak: a random cluster on real nodes, its traffic, and for a while edits, replaced pods, kills and foreign
// changes at random moments; then everything must be as if nothing had happened.
//
// **Invariant:** what happens follows from the seed but for its moments; what is judged is judged by the oracle, which
// knows nothing of the agent.
import type { PodAttachment } from '../../src/lab/testbed.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { pause } from '../support/real-wire.ts'
import { OUTSIDE } from '../support/states.ts'
import { grownTable, wrongReachability } from './aftermath.ts'
import { Fleet, type Sample } from './fleet.ts'
import { planFlows, slotEnd, type End } from './flows.ts'
import { History, keyOf } from './history.ts'
import { Judge, type Wrong } from './judge.ts'
import { Lives } from './lives.ts'
import { Mishaps, realPodOf } from './mishaps.ts'
import { Timeline } from './timeline.ts'
import { Traffic } from './traffic.ts'
import { SLOTS, World, type Slot } from './world.ts'

export interface RoundOptions {
  readonly seed: number
  readonly attachment: PodAttachment
  readonly ms: number
  /** Between two datagrams of a flow. */
  readonly intervalMs: number
  /** Of every agent. */
  readonly flags: readonly string[]
  readonly onProgress: (text: string) => void
}

export interface RoundResult {
  readonly seed: number
  readonly attachment: PodAttachment
  readonly judge: Judge
  readonly edits: number
  readonly replaced: number
  readonly kills: number
  readonly foreign: number
  readonly longestRepairMs: number
  readonly longestStartMs: number
  readonly longestHoldMs: number
  /** Of the agent that nobody stopped. */
  readonly samples: readonly Sample[]
  /** The first ones told in full; `wrong` counts all. */
  readonly faults: readonly string[]
  readonly wrong: number
}

const NODES = ['n1', 'n2'] as const
const SAMPLE_MS = 2_000
const PROGRESS_MS = 10_000
/** Of what goes along with an edit. */
const CHANCES = { foreign: 0.2, replaced: 0.1, burst: 0.15, kill: 0.15 } as const
const FAULTS_ENOUGH = 20
/** Each so many is told with what happened around it. */
const TOLD_EACH = 5

export async function runRound(options: RoundOptions): Promise<RoundResult> {
  const { attachment } = options
  const lab = await RealCluster.open({ nodes: NODES.length, namespaces: {}, pods: [], attachment, outsideAddresses: OUTSIDE, agents: false })
  const round = new Round(lab, options)
  try {
    await round.begin()
    await round.disturb()
    return await round.end()
  } finally {
    round.close()
    await lab.close()
  }
}

class Round {
  readonly #lab: RealCluster
  readonly #options: RoundOptions
  readonly #world: World
  readonly #lives = new Lives()
  readonly #history: History
  readonly #fleet: Fleet
  readonly #ends: readonly End[]
  readonly #traffic: Traffic
  readonly #judge: Judge
  readonly #mishaps: Mishaps
  readonly #faults: string[] = []
  readonly #background = new Set<Promise<void>>()
  /** The one whose agent is killed; the other's memory is watched. */
  readonly #victim: string
  readonly #watched: string
  #timer: NodeJS.Timeout | undefined
  #looked = 0

  constructor(lab: RealCluster, options: RoundOptions) {
    const { seed, attachment } = options
    this.#lab = lab
    this.#options = options
    this.#world = new World(seed, lab.testbed.nodes)
    this.#victim = NODES[seed % 2] as string
    this.#watched = NODES[1 - (seed % 2)] as string
    const timeline = new Timeline()
    const fault = (why: string): void => this.#fault(why)
    this.#fleet = new Fleet(lab, options.flags, timeline, fault)
    this.#history = new History(lab, this.#world, timeline, (state, digest) => this.#fleet.wrote(state, digest))
    const hosts = lab.testbed.nodes.map(({ name, addresses }) => ({ name, node: name, addresses }))
    const outside = { name: 'outside', node: 'outside', addresses: [OUTSIDE[0], OUTSIDE[2]] }
    const flows = planFlows(seed, hosts, outside)
    this.#ends = [...SLOTS.map(({ number }) => slotEnd(number)), ...hosts, outside]
    this.#judge = new Judge(timeline, this.#history.states, flows, this.#lives)
    this.#traffic = new Traffic(flows, options.intervalMs, (told) => this.#judge.take(told), fault)
    const parts = { lab, attachment, world: this.#world, timeline, history: this.#history, lives: this.#lives, fleet: this.#fleet, traffic: this.#traffic }
    this.#mishaps = new Mishaps({ ...parts, fault, behind: (what) => this.#behind(what) })
  }

  async begin(): Promise<void> {
    this.#options.onProgress(`seed ${this.#options.seed}, pods on ${this.#options.attachment}: a cluster of two nodes`)
    const keys = new Map<string, string>()
    for (const slot of SLOTS) {
      const pod = this.#world.podOf(slot)
      if (pod === null) continue
      keys.set(slotEnd(slot.number).name, keyOf(pod))
      await this.#lab.runPod(realPodOf(slot, pod))
    }
    await this.#history.begin()
    for (const node of NODES) await this.#fleet.start(node)
    await this.#fleet.settled()
    for (const { name } of this.#ends) this.#lives.gone(name, 0)
    await Promise.all(this.#ends.map(({ name }) => this.#traffic.start(name, this.#lab.testbed.netnsOf(this.#lab.source(keys.get(name) ?? name)))))
    for (const { name } of this.#ends) this.#lives.there(name, Date.now())
    this.#timer = setInterval(() => {
      this.#fleet.sample()
      this.#judge.settle(Date.now())
      void this.#lookAtOnce()
    }, SAMPLE_MS)
  }

  async disturb(): Promise<void> {
    const { random } = this.#world
    const until = Date.now() + this.#options.ms
    let told = Date.now()
    while (Date.now() < until && this.#count() < FAULTS_ENOUGH) {
      await pause(100 + random() * 1_200)
      if (random() < CHANCES.foreign) this.#behind(this.#mishaps.change(NODES[Math.floor(random() * NODES.length)] as string))
      if (random() < CHANCES.replaced) await this.#mishaps.replace(SLOTS[Math.floor(random() * SLOTS.length)] as Slot)
      for (let burst = random() < CHANCES.burst ? 3 : 1; burst > 0; burst--) {
        await this.#history.commit(this.#world.edit())
        await pause(random() * 40)
      }
      if (random() < CHANCES.kill) this.#behind(this.#mishaps.kill(this.#victim))
      await this.#fleet.settled()
      if (Date.now() - told < PROGRESS_MS) continue
      told = Date.now()
      this.#tellProgress(until - told)
    }
    await Promise.all(this.#background)
    await this.#fleet.settled()
    await pause(2_000)
  }

  /** Stops the traffic, judges the rest, then looks at what is left. */
  async end(): Promise<RoundResult> {
    const kills = this.#fleet.kills
    const samples = this.#fleet.samples(this.#watched)
    this.#traffic.stop()
    await pause(2_000)
    this.#judge.settle(Infinity)
    this.#traffic.close()
    const tables = ['inet picket', ...(this.#options.attachment === 'bridge' ? ['bridge picket'] : [])]
    const left = [await wrongReachability(this.#lab, this.#world)]
    for (const node of NODES) left.push(await grownTable(this.#lab, this.#fleet, this.#history, node, tables))
    for (const why of left) if (why !== null) this.#fault(why)
    return this.#result(kills, samples)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#traffic.close()
    this.#fleet.close()
  }

  #result(kills: number, samples: readonly Sample[]): RoundResult {
    const wrong = this.#judge.wrong.slice(0, FAULTS_ENOUGH).map(({ at, what }, index) => (index % TOLD_EACH === 0 ? `${what}${this.#history.around(at)}${this.#logsAround(at)}` : what))
    const { seed, attachment } = this.#options
    const { longestStartMs, longestHoldMs } = this.#fleet
    const { replaced, foreign, longestRepairMs } = this.#mishaps
    const { edits } = this.#history
    return { seed, attachment, judge: this.#judge, edits, replaced, kills, foreign, longestRepairMs, longestStartMs, longestHoldMs, samples, faults: [...this.#faults, ...wrong], wrong: this.#count() }
  }

  /** What the kernel and the agents say of a flow that went wrong, while it may still go wrong. */
  async #lookAtOnce(): Promise<void> {
    for (; this.#looked < Math.min(this.#judge.wrong.length, FAULTS_ENOUGH); this.#looked++) {
      const { flow } = this.#judge.wrong[this.#looked] as Wrong
      for (const node of NODES) {
        const elements = ['cut-flows-v4', 'cut-flows-v6'].flatMap((set) => this.#lab.run(node, ['nft', 'list', 'set', 'inet', 'picket', set], { mayFail: true }).match(/\b[0-9a-f]+[.:][0-9a-f.:]+ \. [^,}]+/g) ?? [])
        const its = elements.filter((element) => element.includes(flow.source) && element.includes(flow.destination)).map((element) => element.trim())
        const status = await this.#lab.agents.status(node).catch(() => null)
        this.#history.tell(`flow ${flow.id} on ${node}: ${elements.length} connections cut in the kernel, ${status?.counts['cutConnections'] ?? '?'} known; of these addresses: ${its.join('; ')}`)
      }
    }
  }

  /** What the agents logged around that moment. */
  #logsAround(at: number): string {
    const lines = NODES.flatMap((node) => this.#lab.agents.log(node).split('\n').filter((line) => {
      const time = Date.parse(/"time":"([^"]+)"/.exec(line)?.[1] ?? '')
      return time > at - 2_000 && time < at + 2_000
    }))
    return lines.map((line) => `\n    ${line.slice(0, 600)}`).join('')
  }

  #tellProgress(leftMs: number): void {
    const left = leftMs > 0 ? `${Math.ceil(leftMs / 1000)} s to go` : 'at the end'
    const { foreign } = this.#mishaps
    this.#options.onProgress(`${left}: ${this.#judge.packets} packets, ${this.#history.edits} edits, ${this.#fleet.kills} kills, ${foreign} foreign changes, ${this.#count()} wrong`)
  }

  #count(): number {
    return this.#faults.length + this.#judge.wrong.length
  }

  #fault(why: string): void {
    this.#history.tell(why)
    this.#faults.push(`${why}${this.#history.around(Date.now())}`)
  }

  #behind(what: Promise<void>): void {
    const one = what.catch((error: unknown) => this.#fault(String(error))).finally(() => this.#background.delete(one))
    this.#background.add(one)
  }
}
