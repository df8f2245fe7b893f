// A thousand nodes with their agents' words, and what goes on in the cluster: pods that come and go, edits, failures, silence.
//
// An agent here is its schedule, its ring of commits and its counts, which are the product's own; it has everything in its kernel at
// once. **Invariant:** the same seed gives the same story.
import type { NodeFailure } from '../../src/crd/node-enforcement.ts'
import type { Decoded } from '../../src/model/changes.ts'
import type { Pod } from '../../src/model/objects.ts'
import type { Policy } from '../../src/model/policy.ts'
import type { OperatorEvent } from '../../src/operator/resources.ts'
import { NodeSchedule } from '../../src/report/node-schedule.ts'
import { CommitRing, isWorthWriting, nodeStatusOf, type NodeFacts } from '../../src/summary/node-status.ts'
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import { bigCluster, onePod } from '../support/big-cluster.ts'
import { node as nodeRow } from '../support/builders.ts'
import type { BudgetApi } from './budget-api.ts'
import type { BudgetClock } from './budget-clock.ts'

export const SIZE = { nodes: 1_000, pods: 50_000 }
export type Size = Readonly<typeof SIZE>

export type Say = (event: OperatorEvent) => void

const good = <Row>(row: Row): Decoded<Row> => ({ kind: 'good', row, problems: [] })
/** What each policy of big-cluster.ts selects. */
const SELECTS: Readonly<Record<string, readonly string[] | null>> = { 'default-deny': null, egress: null, web: ['web'], api: ['api'], db: ['db', 'cache'] }
const WELL: NodeFacts['conditions'] = new Map(['Ready', 'Programmed', 'TableIntact'].map((type) => [type, { status: 'True', reason: type, message: '' } as const]))

class Agent {
  readonly name: string
  readonly commits = new CommitRing()
  readonly failures = new Map<string, NodeFailure>()
  readonly schedule: NodeSchedule
  pods = 0
  #written: NodeEnforcementStatus | null = null
  readonly #api: BudgetApi
  readonly #clock: BudgetClock
  readonly #observed: () => string

  constructor(name: string, nodes: number, clock: BudgetClock, api: BudgetApi, random: () => number, observed: () => string) {
    this.name = name
    this.#api = api
    this.#clock = clock
    this.#observed = observed
    this.schedule = new NodeSchedule({ clock: clock.simulated, random, write: () => Promise.resolve(clock.simulate(() => this.#write())) })
    this.schedule.nodes(nodes)
  }

  changed(what: 'failure' | 'policy' | 'count'): void {
    if (isWorthWriting(this.#written, this.#status())) this.schedule.change(what)
  }

  /** Bytes of what it last wrote. */
  get held(): number {
    return JSON.stringify(this.#written).length
  }

  #write(): true {
    const status = this.#status()
    this.#written = status
    this.#api.nodeWrites(this.name, `node/${this.name}`, status)
    return true
  }

  #status(): NodeEnforcementStatus {
    const now = timeOf(this.#clock.wallTime())
    const observed = this.#observed()
    return nodeStatusOf(
      {
        agentVersion: '0.1.0',
        kernel: '6.12.0',
        nftables: '1.1.6',
        ruleset: { revision: Number(observed), hash: 'f00d' },
        observed: { networkpolicies: observed, pods: observed, namespaces: observed, services: observed, nodes: observed, endpointslices: observed },
        programmedAt: now,
        counts: { pods: { isolated: this.pods, open: 0, pending: 0 }, policies: this.pods * 3, rules: 900, setElements: 20_000, services: 0 },
        failures: [...this.failures.values()],
        conditions: WELL,
      },
      this.commits.list(),
      this.#written?.conditions ?? [],
      now,
    )
  }
}

export function timeOf(wall: number): string {
  return new Date(wall).toISOString().replace(/\.\d+/, '')
}

export class BudgetCluster {
  readonly agents: readonly Agent[]
  readonly policies: Policy[]
  onEdit: (policy: Policy) => void = () => {}
  readonly #pods: Pod[]
  readonly #size: Size
  readonly #api: BudgetApi
  readonly #clock: BudgetClock
  readonly #random: () => number
  readonly #say: Say
  /** By namespace, of each pod its place. */
  readonly #places = new Map<string, number[]>()
  #made: number
  #version = '1000'
  #isOn = false

  constructor(size: Size, clock: BudgetClock, api: BudgetApi, random: () => number, say: Say) {
    const { namespaces, pods, policies } = bigCluster({ pods: size.pods, local: 1 })
    this.#size = size
    this.#clock = clock
    this.#api = api
    this.#random = random
    this.#say = say
    this.#made = size.pods
    this.policies = [...policies]
    this.agents = Array.from({ length: size.nodes }, (_, index) => new Agent(`node${index}`, size.nodes, clock, api, random, () => this.#version))
    this.#pods = pods.map((one, index) => this.#placed(one, index % size.nodes))
    for (const [index, { namespace }] of pods.entries()) this.#places.set(namespace, [...(this.#places.get(namespace) ?? []), index])
    const all = <Row extends { readonly uid: string }>(rows: readonly Row[]): ReadonlyMap<string, Decoded<Row>> => new Map(rows.map((row) => [row.uid, good(row)]))
    say({ verb: 'replace', kind: 'namespace', rows: all(namespaces) })
    say({ verb: 'replace', kind: 'pod', rows: all(this.#pods) })
    for (const kind of ['namespace', 'pod', 'service', 'dns', 'report', 'status'] as const) say({ verb: 'synced', kind })
    for (const policy of this.policies) this.#sayPolicy(policy)
    say({ verb: 'synced', kind: 'policy' })
    for (const [index, { name }] of this.agents.entries()) {
      const ready = { isReady: true, since: 0 }
      say({ verb: 'upsert', kind: 'node', key: `node/${name}`, decoded: good({ row: good(nodeRow({ name, addresses: [`172.16.${index >> 8}.${index & 255}`] })), name, ready }) })
      this.#sayAgent(name, true)
    }
    for (const kind of ['node', 'agent'] as const) say({ verb: 'synced', kind })
  }

  /** Every agent tells what it has for the first time, over the rest of a write. */
  beginAgents(withinMs: number): void {
    for (const [index, agent] of this.agents.entries()) this.#later((index / this.#size.nodes) * withinMs, () => agent.changed('count'))
  }

  /** Goes on until stop(). A second: 25 pods that go and 25 that come, an edit; now and then a node that fails at a policy, or is silent. */
  churn(): void {
    this.#isOn = true
    this.#every(40, () => this.#replacePod())
    this.#every(1_000, () => this.edit(this.#pick(this.policies.length)))
    this.#every(20_000, () => this.#fail(60_000))
    this.#every(300_000, () => this.#silence(45_000))
  }

  stop(): void {
    this.#isOn = false
  }

  /** Another generation of a policy; the nodes with its pods have it in their kernels 20 to 200 ms later. */
  edit(index: number): Policy {
    const policy = Object.freeze({ ...(this.policies[index] as Policy), generation: (this.policies[index] as Policy).generation + 1 })
    this.policies[index] = policy
    this.#sayPolicy(policy)
    this.onEdit(policy)
    for (const agent of this.#agentsOf(policy)) {
      const ms = 20 + Math.floor(this.#random() * 180)
      this.#later(ms, () => {
        agent.commits.note(policy.uid, policy.generation, ms)
        agent.changed('policy')
      })
    }
    return policy
  }

  /** Half of the nodes and one more lose their agents together. */
  silenceHalf(forMs: number): void {
    for (const { name } of this.agents.slice(0, this.#size.nodes / 2 + 1)) {
      this.#sayAgent(name, false)
      this.#later(forMs, () => this.#sayAgent(name, true))
    }
  }

  #replacePod(): void {
    const index = this.#pick(this.#pods.length)
    const before = this.#pods[index] as Pod
    const [from, to] = [this.#agentOf(before), this.agents[this.#pick(this.#size.nodes)] as Agent]
    this.#made += 1
    const fresh = Object.freeze({ ...onePod(index, false), uid: `pod-${this.#made}`, createdAt: this.#made })
    this.#say({ verb: 'delete', kind: 'pod', key: before.uid })
    from.pods -= 1
    from.changed('count')
    this.#say({ verb: 'upsert', kind: 'pod', key: fresh.uid, decoded: good(Object.freeze({ ...fresh, node: null, addresses: [] })) })
    const placed = Object.freeze({ ...fresh, node: to.name })
    this.#pods[index] = placed
    to.pods += 1
    this.#later(500, () => {
      this.#say({ verb: 'upsert', kind: 'pod', key: placed.uid, decoded: good(placed) })
      to.changed('count')
    })
  }

  #fail(forMs: number): void {
    const policy = this.policies[this.#pick(this.policies.length)] as Policy
    const [agent] = this.#agentsOf(policy)
    if (agent === undefined) return
    const { uid, namespace, name } = policy
    agent.failures.set(uid, { ref: { kind: 'NetworkPolicy', namespace, name, uid }, reason: 'CommitRefused', message: 'the kernel does not take it', since: timeOf(this.#clock.wallTime()) })
    agent.changed('failure')
    this.#later(forMs, () => {
      agent.failures.delete(uid)
      agent.changed('failure')
    })
  }

  #silence(forMs: number): void {
    const { name } = this.agents[this.#pick(this.#size.nodes)] as Agent
    this.#sayAgent(name, false)
    this.#later(forMs, () => this.#sayAgent(name, true))
  }

  #agentsOf({ namespace, name }: Policy): ReadonlySet<Agent> {
    const apps = SELECTS[name] ?? null
    const pods = (this.#places.get(namespace) ?? []).map((index) => this.#pods[index] as Pod)
    return new Set(pods.filter(({ labels }) => apps === null || apps.includes(labels.get('app') ?? '')).map((pod) => this.#agentOf(pod)))
  }

  #agentOf({ node }: Pod): Agent {
    return this.agents[Number((node ?? '').slice('node'.length))] as Agent
  }

  #placed(pod: Pod, at: number): Pod {
    const agent = this.agents[at] as Agent
    agent.pods += 1
    return Object.freeze({ ...pod, node: agent.name })
  }

  #sayPolicy(policy: Policy): void {
    this.#version = this.#api.nextVersion()
    const version = { uid: policy.uid, generation: policy.generation, resourceVersion: this.#version }
    this.#say({ verb: 'upsert', kind: 'policy', key: policy.uid, decoded: good({ row: good(policy), version }) })
  }

  #sayAgent(node: string, isReady: boolean): void {
    this.#say({ verb: 'upsert', kind: 'agent', key: `agent/${node}`, decoded: good({ node, ready: { isReady, since: this.#clock.wallTime() } }) })
  }

  #pick(count: number): number {
    return Math.floor(this.#random() * count)
  }

  #later(ms: number, action: () => void): void {
    this.#clock.simulated.after(ms, action)
  }

  #every(ms: number, action: () => void): void {
    this.#later(ms, () => {
      if (!this.#isOn) return
      action()
      this.#every(ms, action)
    })
  }
}
