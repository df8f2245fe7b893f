// Where one policy has pods, and what each of those nodes says of it: counts that are kept, not counted anew.
//
// **Invariant:** a node is here exactly while a selected pod is on it, and counts in one state only.
import type { NodeCounts, TimeToEnforce } from '../crd/policy-enforcement.ts'
import { byText } from '../lib/sorting.ts'
import { NODE_STATES, type NodeState, type NodeVerdict } from './node-report.ts'

interface Place extends NodeVerdict {
  readonly pods: number
}

const UNJUDGED: NodeVerdict = { state: 'stale', failure: null }

export class Places {
  readonly #places = new Map<string, Place>()
  readonly #counts: Record<NodeState, number> = { programmed: 0, pending: 0, failed: 0, stale: 0 }
  /** Milliseconds that this generation took, by node; outlives the node's own list, and the node. */
  readonly #told = new Map<string, number>()
  /** What an operator before told of this generation; null for nothing. */
  #written: TimeToEnforce | null = null

  get nodes(): NodeCounts {
    return { desired: this.#places.size, ...this.#counts }
  }

  names(): Iterable<string> {
    return this.#places.keys()
  }

  /** A selected pod came to a node (1) or left it (-1). Whether the node is new here, or gone; a new one is stale until it is judged. */
  move(node: string, by: 1 | -1): boolean {
    const before = this.#places.get(node)
    const pods = (before?.pods ?? 0) + by
    if (pods === 0) {
      this.#places.delete(node)
      this.#counts[(before as Place).state] -= 1
    } else this.#places.set(node, { ...(before ?? UNJUDGED), pods })
    if (before === undefined) this.#counts[UNJUDGED.state] += 1
    return before === undefined || pods === 0
  }

  /** Forgets the pods, not what nodes told; the names of the nodes that were here. */
  clear(): readonly string[] {
    const names = [...this.#places.keys()]
    this.#places.clear()
    for (const state of NODE_STATES) this.#counts[state] = 0
    return names
  }

  /** Whether that is another verdict than before. */
  judge(node: string, { state, failure }: NodeVerdict): boolean {
    const before = this.#places.get(node)
    if (before === undefined || (before.state === state && before.failure === failure)) return false
    this.#counts[before.state] -= 1
    this.#counts[state] += 1
    this.#places.set(node, { pods: before.pods, state, failure })
    return before.state !== state || JSON.stringify(before.failure) !== JSON.stringify(failure)
  }

  /** Whether the node had not told it yet. */
  tell(node: string, latencyMs: number): boolean {
    if (this.#told.has(node)) return false
    this.#told.set(node, latencyMs)
    return true
  }

  /** Another generation: nobody has told anything of it, but to an operator before, perhaps. */
  forgetTimes(written: TimeToEnforce | null): void {
    this.#told.clear()
    this.#written = written
  }

  /** "timeToEnforce of this generation (p50 and max over the nodes that told it, and how many)"; null while none did. */
  timeToEnforce(): TimeToEnforce | null {
    const times = [...this.#told.values()].sort((a, b) => a - b)
    // Nodes forget what they told: after a change of the leader, what more of them told before stays.
    if (this.#written !== null && this.#written.nodes >= times.length) return this.#written
    if (times.length === 0) return null
    return { p50Ms: times[Math.ceil(times.length / 2) - 1] as number, maxMs: times.at(-1) as number, nodes: times.length }
  }

  /** The nodes in a state, by name. */
  in(state: NodeState): readonly (readonly [string, NodeVerdict])[] {
    if (this.#counts[state] === 0) return []
    return [...this.#places].filter(([, place]) => place.state === state).sort(([a], [b]) => byText(a, b))
  }

  /** For tests: whether the kept counts are those of the places. */
  isConsistent(): boolean {
    return NODE_STATES.every((state) => this.#counts[state] === [...this.#places.values()].filter((place) => place.state === state).length)
  }
}
