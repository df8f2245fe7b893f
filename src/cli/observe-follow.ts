// The agents of several nodes followed at once: each stream is taken up again by itself, also by the agent that replaces another.
//
// Which agents there are, and where the pods in question run, is asked again now and then. **Invariant:** one node that fails holds up no
// other; when nobody is left who could be asked, it ends.
import type { Transport } from '../kube/transport.ts'
import { ApiFailure } from '../kube/failures.ts'
import { PicketError } from '../lib/errors.ts'
import { refusalOf } from './agent-exec.ts'
import { targetsOf, type AgentPod, type Targets } from './observe-agents.ts'
import type { ClusterQuestion } from './observe-cluster.ts'
import { execObserve, OTHER_VERSION } from './observe-exec.ts'
import { Window } from './observe-merge.ts'
import { argumentsOf } from './observe-options.ts'
import { MOST_AT_ONCE, Slots } from './observe-slots.ts'
import { follow, type Opening } from './observe-stream.ts'

type Question = Omit<ClusterQuestion, 'access'>

/** Milliseconds. */
const WINDOW = 1_000
const REFRESH = 10_000
/** Agents are not listed more often than that, whoever asks. */
const FRESH = 1_000
/** An agent's program says something every BEAT of it (observe.ts). */
const SILENCE = 45_000
/** Of the program in the agent's pod: nothing tells it for sure that we have gone. */
const LEASE = '5m'

/** Resolves to the nodes that could not be asked, when nobody else is left, or when `signal` is aborted. */
export async function followCluster(transport: Transport, targets: Targets, question: Question, signal: AbortSignal): Promise<readonly string[]> {
  const all = new FollowedCluster(transport, question, signal)
  try {
    return await all.run(targets)
  } finally {
    all.close()
  }
}

class FollowedCluster {
  readonly #transport: Transport
  readonly #question: Question
  readonly #signal: AbortSignal
  readonly #window: Window
  readonly #slots = new Slots(MOST_AT_ONCE)
  readonly #agents = new Map<string, AgentPod>()
  /** By node; those that have ended without hope are not begun again. */
  readonly #followed = new Set<string>()
  /** Nodes whose stream has been opened before. */
  readonly #opened = new Set<string>()
  readonly #unreached: string[] = []
  #listedAt: number
  #listing: Promise<void> | null = null
  #cancel: () => void = () => undefined
  #left = 0
  #end: () => void = () => undefined

  constructor(transport: Transport, question: Question, signal: AbortSignal) {
    this.#transport = transport
    this.#question = question
    this.#signal = signal
    this.#window = new Window(question.clock, WINDOW, (shown) => void question.onRecord(shown))
    this.#listedAt = question.clock.now()
  }

  async run({ agents }: Targets): Promise<readonly string[]> {
    const ended = new Promise<void>((resolve) => {
      this.#end = resolve
      this.#signal.addEventListener('abort', () => resolve(), { once: true })
    })
    if (agents.length === 0 || this.#signal.aborted) return []
    this.#take(agents)
    this.#again()
    await ended
    return this.#unreached
  }

  close(): void {
    this.#cancel()
    this.#window.end()
  }

  #again(): void {
    this.#cancel = this.#question.clock.after(REFRESH, () => void this.#list().then(() => this.#again()))
  }

  #take(agents: readonly AgentPod[]): void {
    for (const agent of agents) {
      this.#agents.set(agent.node, agent)
      if (this.#followed.has(agent.node)) continue
      this.#followed.add(agent.node)
      void this.#follow(agent.node)
    }
  }

  /** As fresh as FRESH; what fails leaves all as it was. */
  async #list(): Promise<void> {
    if (this.#question.clock.now() - this.#listedAt < FRESH || this.#signal.aborted) return this.#listing ?? undefined
    this.#listing ??= this.#listNow().finally(() => {
      this.#listing = null
      this.#listedAt = this.#question.clock.now()
    })
    return this.#listing
  }

  async #listNow(): Promise<void> {
    try {
      const { agents, isEverybody } = await targetsOf(this.#question.asked.filter, this.#transport, AbortSignal.any([this.#signal, AbortSignal.timeout(REFRESH)]))
      // The pod in question has gone: where it may come up again is not known yet.
      this.#take(isEverybody ? agents.filter(({ node }) => this.#followed.has(node)) : agents)
    } catch {
      // The streams tell what is wrong with the way.
    }
  }

  async #follow(node: string): Promise<void> {
    const { clock, note } = this.#question
    const ofNode = (text: string): void => note(`node ${node}: ${text}`)
    this.#left += 1
    try {
      await follow({
        open: (opening) => this.#open(node, opening, ofNode),
        clock,
        isFinal: (error) => (error instanceof ApiFailure && error.code === 'PermissionMissing') || (error instanceof PicketError && error.code === OTHER_VERSION),
        onRecord: (shown) => this.#window.add(shown),
        note: ofNode,
      }, this.#signal)
    } catch (error) {
      this.#unreached.push(node)
      ofNode(`not asked: ${await refusalOf(error, this.#transport)}`)
    }
    this.#left -= 1
    if (this.#left === 0) this.#end()
  }

  async #open(node: string, { since, signal, answers, onLine }: Opening, ofNode: (text: string) => void): Promise<void> {
    if (this.#opened.has(node)) await this.#list()
    this.#opened.add(node)
    const agent = this.#agents.get(node) as AgentPod
    const free = await this.#slots.take()
    try {
      const { asked } = this.#question
      const args = [...argumentsOf(since === null ? asked : { ...asked, since, last: null }), '--lease', LEASE]
      let order = Promise.resolve()
      const failed = new AbortController()
      await execObserve({
        transport: this.#transport, agent, args, patience: SILENCE, onNote: ofNode,
        onLine: (line) => {
          free()
          answers(agent.pod)
          order = order.then(() => onLine(line)).catch((error: unknown) => failed.abort(error))
        },
      }, AbortSignal.any([signal, failed.signal]))
      await order
    } finally {
      free()
    }
  }
}
