// The shop on its three nodes: a lab of the demo's own that follows a copy of the example's folder.
//
// Saved files -> control plane -> agents, as `picket lab up` does it, but step by step, so that each step can be
// measured. **Invariant:** the example's folder is only read; everything else is below the lab's folder, and close()
// removes that.
import fs from 'node:fs'
import path from 'node:path'
import { PicketError } from '../lib/errors.ts'
import { formatProblem } from '../lib/problem.ts'
import type { AgentStatus } from '../lab/agent-status.ts'
import { Cluster } from '../lab/cluster.ts'
import { ControlPlane, type Decided } from '../lab/control-plane.ts'
import { planMatrix, type MatrixCell, type Somebody } from '../lab/matrix.ts'
import type { LabPlaces } from '../lab/places.ts'
import { parsePort } from '../lab/probe-name.ts'
import { outputInNetns } from '../lab/processes.ts'
import { askRound } from '../lab/round.ts'
import { SourceFolder } from '../lab/source-folder.ts'
import type { Flow } from '../lab/testbed.ts'
import { familyOf, type Address, type Family } from '../model/ip.ts'
import type { FlowPlan } from './demo-flows.ts'
import { SHOP_INTENT } from './demo-reach.ts'

export const NODES = 3
/** Below this folder of the example are the policies, which come later than the pods. */
export const POLICIES_FOLDER = 'policies'
/** A matrix that could not be measured (a busy machine) is tried again so often. */
const MATRIX_TRIES = 3

export interface StageOptions {
  readonly places: LabPlaces
  /** The example's folder. */
  readonly manifests: string
  readonly onProgress: (text: string) => void
}

export interface Reach {
  readonly cells: readonly MatrixCell[]
  /** Probes of the round, and how long it took. */
  readonly probes: number
  readonly ms: number
}

export class Stage {
  readonly #cluster: Cluster
  readonly #example: string
  readonly #folder: string
  readonly #source: SourceFolder
  readonly #plane: ControlPlane
  #decided: Decided | null = null

  private constructor(cluster: Cluster, { places, manifests }: StageOptions) {
    this.#cluster = cluster
    this.#example = manifests
    this.#folder = path.join(places.folder, 'shop')
    this.#source = new SourceFolder(this.#folder)
    this.#plane = new ControlPlane(cluster.nodes, Date.now)
  }

  /** Resolves when the shop's pods run and the agents enforce what there is, which is no policy. */
  static async open(options: StageOptions): Promise<Stage> {
    const { places, manifests, onProgress } = options
    const cluster = await Cluster.open({ places, nodes: NODES, onProgress })
    const stage = new Stage(cluster, options)
    try {
      fs.mkdirSync(path.join(stage.#folder, POLICIES_FOLDER), { recursive: true })
      for (const entry of fs.readdirSync(manifests, { withFileTypes: true })) {
        if (entry.isFile()) fs.copyFileSync(path.join(manifests, entry.name), path.join(stage.#folder, entry.name))
      }
      await stage.settle()
      return stage
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  get nodes(): Cluster['nodes'] {
    return this.#cluster.nodes
  }

  get agents(): Cluster['agents'] {
    return this.#cluster.agents
  }

  /** As in the example's story: customers' way first. */
  get pods(): Decided['pods'] {
    const cast = Object.keys(SHOP_INTENT)
    const place = ({ key }: { readonly key: string }): number => (cast.includes(key) ? cast.indexOf(key) : cast.length)
    return [...(this.#decided?.pods ?? [])].sort((a, b) => place(a) - place(b))
  }

  /** Files of the example's policies, by their path in the folder. */
  examplePolicies(): ReadonlyMap<string, string> {
    const names = fs.readdirSync(path.join(this.#example, POLICIES_FOLDER)).filter((name) => name.endsWith('.yaml')).sort()
    return new Map(names.map((name) => [`${POLICIES_FOLDER}/${name}`, fs.readFileSync(path.join(this.#example, POLICIES_FOLDER, name), 'utf8')]))
  }

  /** Text of a file of the folder as it is now. */
  read(name: string): string {
    return fs.readFileSync(path.join(this.#folder, name), 'utf8')
  }

  /** Saves files, as an editor does, or removes them (null); when that began, in milliseconds since 1970 with fractions. */
  save(files: ReadonlyMap<string, string | null>): number {
    const at = wallTime()
    for (const [name, text] of files) {
      const file = path.join(this.#folder, name)
      if (text === null) fs.rmSync(file)
      else fs.writeFileSync(file, text)
    }
    return at
  }

  /** Passes on what was saved; resolves when every agent says that its kernel holds it: the milliseconds that took. */
  async settle(): Promise<number> {
    const started = performance.now()
    this.#decided = this.#plane.decide(await this.#source.read())
    await this.#cluster.converge(this.#decided.wanted)
    return Math.round(performance.now() - started)
  }

  /** What the agents report, as they word it. */
  async problems(): Promise<readonly string[]> {
    return (await this.#cluster.agents.problems()).map(({ problem }) => formatProblem(problem))
  }

  /** Everybody asks everybody, over both families. Throws a PicketError where nothing could be measured. */
  async matrix(): Promise<Reach> {
    const everybody = [...this.pods.map((pod) => this.#somebody(pod.key)), this.#somebody('outside')]
    const plan = planMatrix(everybody, everybody, null)
    for (let tries = 1; ; tries++) {
      const round = await askRound(this.#cluster.prober, plan.questions)
      if (round.kind === 'measured') return { cells: plan.cells(round.results), probes: plan.questions.length, ms: round.ms }
      if (tries === MATRIX_TRIES) throw new PicketError('Unusable', `who reaches whom could not be measured: ${round.reason}`)
    }
  }

  /** Numbered packets from one to the other, or back, until the flow is stopped. */
  openFlow({ from, to, protocol, port, family, direction = 'echo' }: FlowPlan, packetsPerSecond: number): Promise<Flow> {
    const address = this.#addressOf(this.#somebody(to), family)
    return this.#cluster.testbed.openFlow(this.#somebody(from).source, address, protocol, port, { packetsPerSecond, direction })
  }

  /** Name of the node that a pod runs on. */
  nodeOf(key: string): string {
    const { party } = this.#somebody(key)
    if (party.node === null) throw new PicketError('Unknown', `${key} runs on no node of the demo's lab`)
    return party.node
  }

  /** What the agent of a node says of itself. */
  status(node: string): Promise<AgentStatus> {
    return this.#cluster.agents.status(node)
  }

  /** Runs `nft` in the network of a node, as somebody who works there would. Throws a PicketError where that fails. */
  async nft(node: string, args: readonly string[]): Promise<{ readonly pid: number; readonly out: string }> {
    const { pid, code, out, err } = await outputInNetns(this.#cluster.testbed.netnsOf({ kind: 'node', name: node }), ['nft', ...args])
    if (code !== 0) throw new PicketError('NftFailed', `nft ${args.join(' ')} on ${node}: ${err.trim().split('\n')[0] ?? ''}`)
    return { pid, out }
  }

  close(): Promise<void> {
    return this.#cluster.close()
  }

  #addressOf(who: Somebody, family: Family): Address {
    const address = who.addresses.find((one) => familyOf(one) === family)
    if (address === undefined) throw new PicketError('NoAddress', `${who.label} has no IPv${family} address in the demo's lab`)
    return address
  }

  /** A pod by key, or `outside`. */
  #somebody(label: string): Somebody {
    const { testbed } = this.#cluster
    if (label === 'outside') {
      const party = { key: label, node: null }
      return { label, source: { kind: 'outside' }, party, addresses: testbed.outside.addresses, ports: testbed.hostPorts }
    }
    const pod = this.pods.find((one) => one.key === label)
    if (pod === undefined) {
      throw new PicketError('Unknown', `the demo's folder has no pod ${label}; it needs the pods of deploy/examples/shop`)
    }
    const party = { key: label, node: pod.node }
    return { label, source: { kind: 'pod', key: label }, party, addresses: pod.addresses, ports: pod.ports.map(parsePort) }
  }
}


/** Milliseconds since 1970, with fractions: the clock that flows tell their times by. */
export function wallTime(): number {
  return performance.timeOrigin + performance.now()
}
