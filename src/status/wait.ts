// What `picket status --wait` still waits for: a list of policies as of the call, deletions before it, and what is told meanwhile.
//
// A policy of the list is waited for until its own status says that it is programmed, of that generation or a later one, or until
// it is deleted or made anew. One that was deleted before the list is waited for on each node with pods of its namespace, until that
// node's kernel has observed the deletion: an agent writes whenever a policy of such a namespace is gone.
// **Invariant:** nothing is missing only when that holds for all of them; whatever is not known yet is missing.
import { keyOf } from '../lib/names.ts'
import { by } from '../lib/sorting.ts'
import { compareVersions } from '../lib/versions.ts'
import { conditionOf, observedBy, type NodeFacts, type PolicyFacts, type ToldFacts } from './facts.ts'
import type { Past, Removal } from './past.ts'
import { judgePolicy, POLICY_STATES } from './verdict.ts'

export interface Missing {
  readonly namespace: string
  readonly name: string
  /** `deleted`: it was deleted, and is perhaps still enforced. */
  readonly what: 'policy' | 'deleted'
  readonly reason: string
  readonly message: string
}

interface Gone extends Removal {
  /** Names of nodes that may have it in their kernels: all that have not observed its end, then those of them with pods of its namespace. */
  readonly nodes: Set<string>
  isPlaced: boolean
}

const NAMED_NODES = 3

export class Wait {
  /** Of the list, by UID, while they are waited for. */
  readonly #policies: Map<string, PolicyFacts>
  readonly #listed: ReadonlySet<string>
  /** UIDs that there are now. */
  readonly #live = new Set<string>()
  readonly #told = new Map<string, Map<string, ToldFacts>>()
  readonly #nodes = new Map<string, NodeFacts>()
  readonly #unsynced = new Set(['policy', 'told', 'node', 'past'])
  #removals: readonly Removal[] = []
  /** Null while nodes or removals are not known. */
  #gone: readonly Gone[] | null = null

  /** `policies`: the one list, of the scope. */
  constructor(policies: readonly PolicyFacts[]) {
    this.#policies = new Map(policies.map((one) => [one.uid, one]))
    this.#listed = new Set(this.#policies.keys())
  }

  get total(): number {
    return this.#listed.size
  }

  get isSynced(): boolean {
    return this.#unsynced.size === 0
  }

  /** Whether what is missing is worth telling: the past alone may not be known yet. */
  get isHeard(): boolean {
    return [...this.#unsynced].every((what) => what === 'past')
  }

  synced(what: 'policy' | 'told' | 'node'): void {
    if (what === 'policy') for (const uid of this.#policies.keys()) if (!this.#live.has(uid)) this.#policies.delete(uid)
    this.#unsynced.delete(what)
  }

  policy(uid: string): void {
    this.#live.add(uid)
  }

  policyGone(uid: string): void {
    this.#live.delete(uid)
    this.#policies.delete(uid)
  }

  /** `uid`: of the object itself. */
  told(uid: string, told: ToldFacts): void {
    const key = keyOf(told)
    this.#told.set(key, (this.#told.get(key) ?? new Map<string, ToldFacts>()).set(uid, told))
  }

  toldGone(uid: string): void {
    for (const [key, objects] of this.#told) if (objects.delete(uid) && objects.size === 0) this.#told.delete(key)
  }

  node(node: NodeFacts): void {
    this.#nodes.set(node.name, node)
  }

  nodeGone(name: string): void {
    this.#nodes.delete(name)
  }

  past({ removals }: Past): void {
    this.#removals = removals
    this.#unsynced.delete('past')
  }

  /** Namespaces of which it has to be known where they have pods: not every node has observed what was deleted there. */
  unplaced(): ReadonlySet<string> {
    return new Set(this.#stillHeld().filter(({ isPlaced }) => !isPlaced).map(({ namespace }) => namespace))
  }

  /** As read after the list. */
  placed(namespace: string, nodes: ReadonlySet<string>): void {
    for (const one of this.#gone ?? []) {
      if (one.namespace !== namespace || one.isPlaced) continue
      one.isPlaced = true
      for (const name of one.nodes) if (!nodes.has(name)) one.nodes.delete(name)
    }
  }

  /** What a node has observed once, it has: each is looked at until then, and no longer. */
  #stillHeld(): readonly Gone[] {
    if (this.#unsynced.has('node') || this.#unsynced.has('past')) return []
    const gone = this.#gone ?? this.#removals.map((one) => ({ ...one, nodes: new Set(this.#nodes.keys()), isPlaced: false }))
    for (const one of gone) {
      for (const name of one.nodes) {
        const node = this.#nodes.get(name)
        if (node === undefined || hasObserved(node, one)) one.nodes.delete(name)
      }
    }
    this.#gone = gone.filter(({ nodes }) => nodes.size > 0)
    return this.#gone
  }

  /** The worst first; empty: all is as it was asked for. Throws nothing; before everything is synced something is missing. */
  missing(): readonly Missing[] {
    const waiting = this.#unprogrammed()
    const unsynced: readonly Missing[] = this.isSynced || waiting.length > 0 ? [] : [{ namespace: '', name: '', what: 'deleted', reason: 'NotRead', message: this.isHeard ? 'what was deleted before the call is being read' : 'what is told is being read' }]
    return [...waiting, ...this.#held(), ...this.#orphans(), ...unsynced]
  }

  #unprogrammed(): readonly Missing[] {
    const judged = [...this.#policies.values()].map((policy) => ({ policy, verdict: judgePolicy(policy, this.#toldOf(policy)) }))
    return judged
      .filter(({ verdict }) => verdict.state !== 'programmed')
      .sort(by(({ policy, verdict }) => `${POLICY_STATES.indexOf(verdict.state)} ${keyOf(policy)}`))
      .map(({ policy: { namespace, name }, verdict: { reason, message } }) => ({ namespace, name, what: 'policy', reason, message }))
  }

  /** Of several objects under one name, as while one is made anew: that of this policy. */
  #toldOf(policy: PolicyFacts): ToldFacts | null {
    const objects = [...(this.#told.get(keyOf(policy))?.values() ?? [])]
    return objects.find(({ policyUid }) => policyUid === policy.uid) ?? objects[0] ?? null
  }

  #held(): readonly Missing[] {
    return this.#stillHeld().map(({ namespace, name, nodes, isPlaced }) => {
      if (!isPlaced) return { namespace, name, what: 'deleted', reason: 'NotRead', message: 'it was deleted; where its namespace has pods has not been read yet' }
      const lagging = [...nodes].flatMap((node) => this.#nodes.get(node) ?? [])
      return { namespace, name, what: 'deleted', reason: 'NotObserved', message: `it was deleted, and ${named(lagging)} not said yet that it is gone there` }
    })
  }

  /** Statuses of policies that are gone: they are deleted with them, by the garbage collector or the operator. */
  #orphans(): readonly Missing[] {
    const missing: Missing[] = []
    for (const objects of this.#told.values()) {
      for (const { namespace, name, policyUid } of objects.values()) {
        if (policyUid === '' || this.#listed.has(policyUid) || this.#live.has(policyUid)) continue
        missing.push({ namespace, name, what: 'deleted', reason: 'StatusLeft', message: 'it was deleted, and its PolicyEnforcement is still there' })
      }
    }
    return missing.sort(by(keyOf))
  }
}

function hasObserved(node: NodeFacts, { version }: Removal): boolean {
  const observed = observedBy(node)
  const order = observed === null ? null : compareVersions(version, observed)
  return order !== null && order <= 0
}

function named(nodes: readonly NodeFacts[]): string {
  const names = nodes.map((node) => `${node.name}${conditionOf(node.status, 'Reporting')?.status === 'False' ? ' (does not report)' : ''}`).sort(by(String))
  const more = names.length - NAMED_NODES
  return `${names.slice(0, NAMED_NODES).join(', ')}${more > 0 ? ` and ${more} more` : ''} ${names.length === 1 ? 'has' : 'have'}`
}
