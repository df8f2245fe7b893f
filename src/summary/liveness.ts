// Which nodes are alive: their agent's Pod and their Node are Ready, or have not been unready for long.
//
// No heartbeats of our own: kubelets and the node controller write readiness already. What looks wrong with half the cluster at once, or
// just after our own watches were cut off, is more likely wrong with what we see: it is believed a minute later.
// **Invariant:** a node is said to be silent only after 20 s of unreadiness, never while held back; it is alive again at once.
import type { Liveness } from './conditions.ts'

export interface Ready {
  readonly isReady: boolean
  /** Milliseconds since 1970, of the condition's lastTransitionTime. */
  readonly since: number
}

export interface Readiness {
  readonly node: Ready
  /** Of the agent's Pod there; null: there is none. */
  readonly agent: Ready | null
}

/** "an agent is alive while its Pod and its Node are Ready, stale after 20 s of not" */
export const SILENT_AFTER_MS = 20_000
/** "When over half the nodes go silent together, or the operator was cut off, nothing is written for 60 s after its own watches are synced." */
export const HOLD_MS = 60_000

interface Unready {
  readonly since: number
  readonly liveness: Liveness
}

const ALIVE: Liveness = Object.freeze({ isAlive: true, reason: 'AgentReady', message: '' })

export class NodeLiveness {
  readonly #unready = new Map<string, Unready | null>()
  readonly #told = new Map<string, Liveness>()
  /** What another operator told before us, for as long as we have not. */
  readonly #before = new Map<string, Liveness>()
  #gone = new Set<string>()
  #heldUntil = -Infinity
  /** Since when over half of the nodes are due to be silent; null while they are not. */
  #massSince: number | null = null

  /** What the API says of a node now; null: its Node is gone. */
  note(node: string, readiness: Readiness | null, now: number): void {
    if (readiness === null) {
      if (this.#unready.delete(node)) this.#gone.add(node)
      this.#told.delete(node)
      this.#before.delete(node)
      return
    }
    this.#gone.delete(node)
    this.#unready.set(node, unreadyOf(readiness, this.#unready.get(node) ?? null, now))
  }

  /** What was last told of a node, by whoever led then: it stands until we know better. */
  toldBefore(node: string, liveness: Liveness): void {
    this.#before.set(node, liveness)
  }

  /** Our own watches were cut off, and are synced again. */
  resynced(now: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, now + HOLD_MS)
  }

  /** What to say of which nodes, since the last call; null: its Node is gone. */
  take(now: number): ReadonlyMap<string, Liveness | null> {
    const said = new Map<string, Liveness | null>([...this.#gone].map((node) => [node, null]))
    this.#gone = new Set()
    const isHeld = this.#isHeld(now)
    for (const [node, unready] of this.#unready) {
      const told = this.#told.get(node)
      const isDue = unready !== null && now >= unready.since + SILENT_AFTER_MS
      // Until it is silent it is alive, also where it was never seen ready: nothing flips because an operator is new.
      const wanted = unready === null ? ALIVE : isDue && !isHeld ? unready.liveness : (told ?? this.#before.get(node) ?? ALIVE)
      if (told?.isAlive === wanted.isAlive && told.reason === wanted.reason) continue
      this.#told.set(node, wanted)
      said.set(node, wanted)
    }
    return said
  }

  /** Milliseconds since 1970 at which `take` may say something without another note; null for never. */
  nextAt(): number | null {
    let next: number | null = null
    for (const [node, unready] of this.#unready) {
      if (unready === null || this.#told.get(node)?.isAlive === false) continue
      const due = Math.max(unready.since + SILENT_AFTER_MS, this.#heldUntil, this.#massSince === null ? -Infinity : this.#massSince + HOLD_MS)
      if (next === null || due < next) next = due
    }
    return next
  }

  #isHeld(now: number): boolean {
    let due = 0
    for (const [node, unready] of this.#unready) if (unready !== null && now >= unready.since + SILENT_AFTER_MS && (this.#told.get(node) ?? this.#before.get(node))?.isAlive !== false) due += 1
    if (due * 2 <= this.#unready.size) this.#massSince = null
    else this.#massSince ??= now
    return now < this.#heldUntil || (this.#massSince !== null && now < this.#massSince + HOLD_MS)
  }
}

/** Null where both are ready. The Node's own trouble is told first: its agent's follows from it. */
function unreadyOf({ node, agent }: Readiness, before: Unready | null, now: number): Unready | null {
  // Another clock than ours wrote the time; and of a Pod that is missing nobody wrote any.
  // One trouble may follow the other: it was not ready all the time.
  const since = (part: Ready | null): number => Math.min(now, part?.since ?? now, before?.since ?? now)
  if (!node.isReady) return { since: since(node), liveness: { isAlive: false, reason: 'NodeNotReady', message: 'the Node is not Ready for 20 s or more' } }
  if (agent === null) return { since: since(agent), liveness: { isAlive: false, reason: 'NoAgent', message: 'there is no pod of the agent on the node' } }
  if (!agent.isReady) return { since: since(agent), liveness: { isAlive: false, reason: 'AgentNotReady', message: 'the pod of the agent is not Ready for 20 s or more' } }
  return null
}
