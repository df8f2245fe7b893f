// The agents of the soak: what each says that it holds, its repairs, its kills, its memory.
//
// **Invariant:** the timeline learns of a state's writing before any agent can read it, and of its being held only after
// the kernel holds it. An agent that runs and does not hold the last state in STUCK_MS fails the soak.
import { readdirSync, readFileSync } from 'node:fs'
import { agentStatus, waitForDigest } from '../../src/lab/agent-status.ts'
import type { LabProcess } from '../../src/lab/testbed.ts'
import type { RealCluster } from '../support/real-cluster.ts'
import { pause } from '../support/real-wire.ts'
import type { Timeline } from './timeline.ts'

const STUCK_MS = 20_000
const POLL_MS = 50

export interface Sample {
  readonly at: number
  readonly rssKb: number
  readonly files: number
}

interface Agent {
  process: LabProcess | null
  pid: number
  startedAt: number
  /** The number of the last state that it said it holds; -1 before the first. */
  held: number
  samples: Sample[]
  busy: boolean
}

export class Fleet {
  readonly #lab: RealCluster
  readonly #flags: readonly string[]
  readonly #timeline: Timeline
  readonly #fail: (why: string) => void
  readonly #agents = new Map<string, Agent>()
  #latest = { state: -1, digest: '', at: 0 }
  #closed = false
  kills = 0
  longestStartMs = 0
  longestHoldMs = 0

  constructor(lab: RealCluster, flags: readonly string[], timeline: Timeline, fail: (why: string) => void) {
    this.#lab = lab
    this.#flags = flags
    this.#timeline = timeline
    this.#fail = fail
  }

  async start(node: string): Promise<void> {
    const startedAt = Date.now()
    const process = await this.#lab.agents.start(node, this.#flags)
    const agent: Agent = this.#agents.get(node) ?? { process: null, pid: 0, startedAt, held: -1, samples: [], busy: false }
    Object.assign(agent, { process, pid: process.pid, startedAt, held: -1, samples: [] })
    if (!this.#agents.has(node)) void this.#follow(node, agent)
    this.#agents.set(node, agent)
    void process.ended.then(({ code, signal }) => agent.process === process && this.#fail(`the agent of ${node} ended by itself: ${signal ?? `status ${code}`}`))
  }

  /** Nobody says what the node holds until it is started again. */
  async kill(node: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#agent(node).process = null
    this.#timeline.ended(node, Date.now())
    this.kills++
    await this.#lab.agents.stop(node, signal)
  }

  /** The folder holds the state now. */
  wrote(state: number, digest: string): void {
    this.#latest = { state, digest, at: Date.now() }
  }

  runs(node: string): boolean {
    return this.#agent(node).process !== null
  }

  /** Taken by whoever disturbs the node: one at a time. */
  async disturb(node: string, how: () => Promise<void>): Promise<void> {
    const agent = this.#agent(node)
    if (agent.busy) return
    agent.busy = true
    try {
      await how()
    } finally {
      agent.busy = false
    }
  }

  /** Resolves when the node's agent holds that state, or a later one. */
  async holds(node: string, state: number): Promise<void> {
    while (this.#agent(node).held < state && !this.#closed) await pause(POLL_MS)
  }

  /** Resolves when every agent that runs holds the last state. */
  async settled(): Promise<void> {
    const state = this.#latest.state
    while (!this.#closed && [...this.#agents.values()].some((one) => one.process !== null && one.held < state)) await pause(POLL_MS)
  }

  async repairs(node: string): Promise<number> {
    return (await agentStatus(this.#lab.agents.socket(node), 5_000)).repairs
  }

  /** Of the agent that runs now, since its start. */
  samples(node: string): readonly Sample[] {
    return this.#agent(node).samples
  }

  sample(): void {
    for (const agent of this.#agents.values()) {
      if (agent.process === null) continue
      try {
        const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${agent.pid}/status`, 'utf8'))?.[1]
        if (rss !== undefined) agent.samples.push({ at: Date.now(), rssKb: Number(rss), files: readdirSync(`/proc/${agent.pid}/fd`).length })
      } catch {
        // It was killed between two lines.
      }
    }
  }

  close(): void {
    this.#closed = true
    for (const agent of this.#agents.values()) agent.process = null
  }

  async #follow(node: string, agent: Agent): Promise<void> {
    while (!this.#closed) {
      const { state, digest, at } = this.#latest
      const { process } = agent
      if (process === null || agent.held >= state) {
        await pause(POLL_MS / 10)
        continue
      }
      const since = Math.max(at, agent.startedAt)
      if (Date.now() - since > STUCK_MS) return this.#fail(`the agent of ${node} does not hold state ${state} after ${STUCK_MS} ms; its log ends:\n${this.#lab.agents.log(node).slice(-3_000)}`)
      const isHeld = await waitForDigest(this.#lab.agents.socket(node), digest, 500).catch(() => pause(10).then(() => false))
      // The answer came within this millisecond; a packet of its beginning may have been before it.
      if (!isHeld || agent.process !== process) continue
      const now = Date.now() + 1
      this.#timeline.held(node, state, now)
      if (agent.held === -1) {
        this.#timeline.repaired(node, now)
        this.longestStartMs = Math.max(this.longestStartMs, now - agent.startedAt)
      } else this.longestHoldMs = Math.max(this.longestHoldMs, now - at)
      agent.held = state
    }
  }

  #agent(node: string): Agent {
    const agent = this.#agents.get(node)
    if (agent === undefined) throw new Error(`no agent was started on ${node}`)
    return agent
  }
}
