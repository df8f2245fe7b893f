// GET /healthz and /livez for cloud load balancers that spread over nodes (externalTrafficPolicy Cluster), as kube-proxy tells them.
//
// /healthz is 503 also while the node is about to go, so that load balancers send no new connections to it; /livez speaks of
// the agent only. **Invariant:** whatever is wrong with the node, /livez does not say it: a restart would not cure it.
import type { Clock } from '../lib/clock.ts'
import { messageOf } from '../lib/errors.ts'
import type { Problem } from '../lib/problem.ts'
import { json, listen, type Answer, type Listener } from './http.ts'

export interface NodeHealthAnswers {
  /** Whether the kernel holds what Services need. */
  readonly healthy: () => boolean
  /** Whether the Node is known, is not being deleted, and is not about to be (decode/node.ts: `leaving`). */
  readonly eligible: () => boolean
  /** Milliseconds since 1970: now, and when the kernel last took something; null: never yet. */
  readonly now: () => number
  readonly updatedAt: () => number | null
}

export interface NodeHealthOptions {
  readonly clock: Clock
  readonly nodeName: string
  /** HOST:PORT, of the setting nodeHealthAddress. */
  readonly address: string
  readonly answers: NodeHealthAnswers
  readonly onProblems: (problems: readonly Problem[]) => void
}

const SETTING = 'nodeHealthAddress'
/** While one moves from kube-proxy to Picket, the address becomes free at some moment. */
const RETRY_MS = 2_000

/** Answers as soon as the address can be had, which is a problem until then. */
export class NodeHealthServer {
  readonly #options: NodeHealthOptions
  #opening: Promise<void>
  #listener: Listener | null = null
  #timer: (() => void) | null = null
  #closed = false

  constructor(options: NodeHealthOptions) {
    this.#options = options
    this.#opening = this.#open()
  }

  /** Resolves when the attempt that is under way is over. */
  settled(): Promise<void> {
    return this.#opening
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.()
    await this.#opening
    await this.#listener?.close()
  }

  async #open(): Promise<void> {
    const { clock, address, answers, nodeName, onProblems } = this.#options
    try {
      this.#listener = await openNodeHealth(SETTING, address, answers)
      onProblems([])
    } catch (error) {
      if (this.#closed) return
      onProblems([notHeard(nodeName, messageOf(error))])
      this.#timer = clock.after(RETRY_MS, () => {
        this.#opening = this.#open()
      })
    }
  }
}

/** `setting` is the name of the one that says `address`. Throws a PicketError that names both where nobody can listen there. */
export function openNodeHealth(setting: string, address: string, answers: NodeHealthAnswers): Promise<Listener> {
  return listen(setting, address, { '/healthz': () => told(answers, answers.eligible()), '/livez': () => told(answers, null) })
}

/** `eligible` null: it does not matter. What is healthy is up to date: it says the present time, as kube-proxy does. */
function told({ healthy, now, updatedAt }: NodeHealthAnswers, eligible: boolean | null): Answer {
  const isHealthy = healthy()
  const isGood = isHealthy && eligible !== false
  const currentTime = now()
  const lastUpdated = isGood ? currentTime : (updatedAt() ?? 0)
  const body = {
    lastUpdated: new Date(lastUpdated).toISOString(),
    currentTime: new Date(currentTime).toISOString(),
    ...(eligible === null ? {} : { nodeEligible: eligible }),
    healthy: isHealthy,
  }
  return { ...json(isGood ? 200 : 503, body), headers: { 'X-Content-Type-Options': 'nosniff' } }
}

/** A warning: kube-proxy, where it is that which listens, tells load balancers the same. */
function notHeard(nodeName: string, message: string): Problem {
  return {
    code: 'NodeHealthPort',
    severity: 'warning',
    object: `Node ${nodeName}`,
    message: `${message}; whoever listens there answers load balancers that ask for this node (kube-proxy, while it still runs); it is tried again`,
  }
}
