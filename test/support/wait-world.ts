// A cluster around `picket status --wait`, step by step: an API with a history, nodes that lag, an operator that lags, a garbage collector.
//
// Nodes follow the API's events in order, and write as agents do: when a policy that selects a pod there is committed, or one of a
// namespace with pods there is gone. Whoever waits sees it all late. **Invariant:** what the kernels hold is known to the test only.
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import type { NodeFacts, PolicyFacts, ToldFacts } from '../../src/status/facts.ts'
import { Wait } from '../../src/status/wait.ts'
import { condition, policyStatus } from './enforcements.ts'

interface Policy extends PolicyFacts {
  readonly version: number
  /** Names of nodes with a pod that it selects. */
  readonly selects: readonly string[]
}

interface Event {
  readonly version: number
  readonly policy: Policy
  readonly gone: boolean
}

interface Agent {
  readonly name: string
  readonly namespaces: ReadonlySet<string>
  /** How many events of the history it has taken in. */
  seen: number
  readonly kernel: Map<string, number>
  isDue: boolean
}

/** What each watch of whoever waits has still to be told. */
type View = 'policy' | 'told' | 'node'

export const NAMESPACES = ['a', 'b'] as const
export const NAMES = ['x', 'y'] as const
export const NODES = ['n1', 'n2', 'n3'] as const

export class WaitWorld {
  #version = 100
  #made = 0
  readonly #policies = new Map<string, Policy>()
  readonly #history: Event[] = []
  readonly #agents: readonly Agent[] = [
    { name: 'n1', namespaces: new Set(['a']), seen: 0, kernel: new Map(), isDue: true },
    { name: 'n2', namespaces: new Set(['a', 'b']), seen: 0, kernel: new Map(), isDue: true },
    { name: 'n3', namespaces: new Set(['b']), seen: 0, kernel: new Map(), isDue: true },
  ]
  readonly #reports = new Map<string, NodeFacts>()
  readonly #told = new Map<string, { readonly uid: string; readonly facts: ToldFacts }>()
  /** Version at which the operator first saw a generation. */
  readonly #firstSeen = new Map<string, number>()
  #operatorSeen = 0
  readonly #queues: Record<View, (() => void)[]> = { policy: [], told: [], node: [] }
  readonly #opened = new Set<View>()
  #listed: readonly Policy[] = []
  #listVersion = 0
  wait: Wait | null = null

  constructor() {
    for (const { name } of this.#agents) this.report(name)
  }

  put(namespace: string, name: string, selects: readonly string[]): void {
    const before = this.#policies.get(`${namespace}/${name}`)
    const here = this.#agents.filter((agent) => agent.namespaces.has(namespace) && selects.includes(agent.name)).map((agent) => agent.name)
    const uid = before?.uid ?? `uid-${++this.#made}`
    const policy = { namespace, name, uid, generation: (before?.generation ?? 0) + 1, version: ++this.#version, selects: here }
    this.#policies.set(`${namespace}/${name}`, policy)
    this.#history.push({ version: policy.version, policy, gone: false })
    this.#queue('policy', (wait) => wait.policy(uid))
  }

  remove(namespace: string, name: string): void {
    const policy = this.#policies.get(`${namespace}/${name}`)
    if (policy === undefined) return
    this.#policies.delete(`${namespace}/${name}`)
    this.#history.push({ version: ++this.#version, policy, gone: true })
    this.#queue('policy', (wait) => wait.policyGone(policy.uid))
  }

  /** Something else changed in the cluster. */
  pass(): void {
    this.#version += 1
  }

  /** The agent takes in some events in one turn, and commits. */
  commit(name: string, events: number): void {
    const agent = this.#agents.find((one) => one.name === name) as Agent
    for (const { policy, gone } of this.#history.slice(agent.seen, agent.seen + events)) {
      if (gone) {
        agent.kernel.delete(policy.uid)
        agent.isDue ||= agent.namespaces.has(policy.namespace)
      } else if (policy.selects.includes(name)) {
        agent.kernel.set(policy.uid, policy.generation)
        agent.isDue = true
      } else if (agent.kernel.delete(policy.uid)) agent.isDue = true
    }
    agent.seen = Math.min(this.#history.length, agent.seen + events)
  }

  /** Writes its NodeEnforcement, if that is due. */
  report(name: string): void {
    const agent = this.#agents.find((one) => one.name === name) as Agent
    if (!agent.isDue) return
    agent.isDue = false
    const committed = [...agent.kernel].map(([uid, generation]) => ({ uid, generation, latencyMs: 1 }))
    const observed = this.#history[agent.seen - 1]?.version ?? 100
    const status: NodeEnforcementStatus = { observedResourceVersions: { networkpolicies: String(observed) }, committed, conditions: [condition('Reporting')] }
    const facts = { name, status }
    this.#version += 1
    this.#reports.set(name, facts)
    this.#queue('node', (wait) => wait.node(facts))
  }

  /** The operator takes in some events, and writes what it makes of them and of the reports. */
  operate(events: number): void {
    const taken = this.#history.slice(this.#operatorSeen, this.#operatorSeen + events)
    this.#operatorSeen += taken.length
    const known = new Map<string, Policy>()
    for (const { policy, gone } of this.#history.slice(0, this.#operatorSeen)) {
      const key = `${policy.namespace}/${policy.name}`
      if (gone) known.delete(key)
      else known.set(key, policy)
    }
    for (const { policy } of taken) this.#firstSeen.set(`${policy.uid} ${policy.generation}`, policy.version)
    for (const [key, { uid, facts }] of this.#told) if (known.get(key)?.uid !== facts.policyUid) this.#untell(key, uid)
    for (const policy of known.values()) this.#tell(policy)
  }

  #tell(policy: Policy): void {
    const firstSeen = this.#firstSeen.get(`${policy.uid} ${policy.generation}`) as number
    const isProgrammed = policy.selects.every((node) => {
      const { observedResourceVersions, committed = [] } = (this.#reports.get(node) as NodeFacts).status
      return Number(observedResourceVersions?.['networkpolicies']) >= firstSeen || committed.some(({ uid, generation }) => uid === policy.uid && generation === policy.generation)
    })
    const said = isProgrammed ? condition('Programmed') : condition('Programmed', { status: 'False', reason: 'Reconciling' })
    const policyRef = { name: policy.name, uid: policy.uid, resourceVersion: String(firstSeen) }
    const status = policyStatus({ policyGeneration: policy.generation, policyRef, conditions: [condition('Accepted'), said] })
    const facts = { namespace: policy.namespace, name: policy.name, policyUid: policy.uid, status }
    const key = `${policy.namespace}/${policy.name}`
    const before = this.#told.get(key)
    if (JSON.stringify(before?.facts) === JSON.stringify(facts)) return
    const uid = before?.uid ?? `status-${++this.#made}`
    this.#version += 1
    this.#told.set(key, { uid, facts })
    this.#queue('told', (wait) => wait.told(uid, facts))
  }

  #untell(key: string, uid: string): void {
    this.#version += 1
    this.#told.delete(key)
    this.#queue('told', (wait) => wait.toldGone(uid))
  }

  /** The garbage collector: at once, whatever the nodes have. */
  collect(): void {
    const uids = new Set([...this.#policies.values()].map(({ uid }) => uid))
    for (const [key, { uid, facts }] of this.#told) if (!uids.has(facts.policyUid)) this.#untell(key, uid)
  }

  /** The call: one list, the past up to it, and watches that begin later, with what there is then. */
  begin(): void {
    this.#listed = [...this.#policies.values()]
    this.#listVersion = this.#version
    const wait = new Wait(this.#listed)
    this.wait = wait
    const oldest = Math.min(...[...this.#reports.values()].map(({ status }) => Number(status.observedResourceVersions?.['networkpolicies'])))
    const gone = this.#history.filter((one) => one.gone && one.version > oldest && one.version <= this.#listVersion)
    wait.past({ removals: gone.map(({ version, policy: { namespace, name, uid } }) => ({ namespace, name, uid, version: String(version) })), from: String(oldest), isKnown: true })
    this.#queue('policy', () => {
      for (const { uid } of this.#policies.values()) wait.policy(uid)
      wait.synced('policy')
    })
    this.#queue('told', () => {
      for (const { uid, facts } of this.#told.values()) wait.told(uid, facts)
      wait.synced('told')
    })
    this.#queue('node', () => {
      for (const node of this.#reports.values()) wait.node(node)
      wait.synced('node')
    })
  }

  #queue(view: View, tell: (wait: Wait) => void): void {
    const { wait } = this
    if (wait !== null) this.#queues[view].push(() => tell(wait))
  }

  /** Whoever waits hears of so many changes. */
  hear(view: View, changes: number): void {
    if (this.wait === null) return
    const queue = this.#queues[view]
    // A watch begins with what there is when it is opened.
    const isFirst = !this.#opened.has(view) && queue.length > 0
    this.#opened.add(view)
    for (const tell of isFirst ? queue.splice(0).slice(0, 1) : queue.splice(0, changes)) tell()
    for (const namespace of this.wait?.unplaced() ?? []) this.wait?.placed(namespace, new Set(this.#agents.filter((one) => one.namespaces.has(namespace)).map(({ name }) => name)))
  }

  get isDone(): boolean {
    return this.wait?.missing().length === 0
  }

  /** What the wait promises and the kernels do not hold. */
  broken(): readonly string[] {
    const broken: string[] = []
    for (const { uid, namespace, name, generation } of this.#listed) {
      const now = this.#policies.get(`${namespace}/${name}`)
      if (now?.uid !== uid) continue
      // A node that a later generation lets go need not have had this one.
      for (const agent of this.#agents) if (now.selects.includes(agent.name) && this.#alwaysSelected(uid, agent.name, generation) && (agent.kernel.get(uid) ?? 0) < generation) broken.push(`${agent.name} has not ${namespace}/${name} at ${generation}`)
    }
    for (const { gone, version, policy } of this.#history) {
      if (!gone || version > this.#listVersion) continue
      for (const agent of this.#agents) if (agent.kernel.has(policy.uid)) broken.push(`${agent.name} still has ${policy.namespace}/${policy.name} (${policy.uid})`)
    }
    return broken
  }

  #alwaysSelected(uid: string, node: string, from: number): boolean {
    return this.#history.every(({ policy, gone }) => gone || policy.uid !== uid || policy.generation < from || policy.selects.includes(node))
  }

  /** Everything comes to rest. */
  settle(): void {
    for (const { name } of this.#agents) {
      this.commit(name, Infinity)
      this.report(name)
    }
    this.operate(Infinity)
    this.collect()
    for (const view of ['policy', 'told', 'node'] as const) this.hear(view, Infinity)
  }
}
