// The agents of a lab, one process a node: started, waited for, ended.
//
// **Invariant:** `enforced` resolves only when every agent has said that the kernel holds exactly the manifests of that
// digest; an agent that ends or says nothing is an error that names it and shows the end of its log.
import fs from 'node:fs'
import { messageOf, PicketError } from '../lib/errors.ts'
import { formatProblem, type Problem } from '../lib/problem.ts'
import { agentStatus, waitForDigest, type AgentStatus } from './agent-status.ts'
import { ownCommand, type LabPlaces } from './places.ts'
import type { LabProcess, Testbed } from './testbed.ts'

/** How long agents may take to enforce a change. */
export const SETTLE_TIMEOUT_MS = 30_000
/** How often a socket that is not there yet is tried. */
const RETRY_MS = 10
const LOG_LINES = 8

interface RunningAgent {
  readonly node: string
  readonly process: LabProcess
  /** How it ended; null while it runs. */
  end: string | null
}

export class Agents {
  readonly #testbed: Pick<Testbed, 'start'>
  readonly #places: LabPlaces
  readonly #command: readonly string[]
  readonly #flags: readonly string[]
  readonly #running: RunningAgent[] = []

  /** `flags`: settings of every agent, beside those that the lab gives it. */
  constructor(testbed: Pick<Testbed, 'start'>, places: LabPlaces, command: readonly string[] = ownCommand(), flags: readonly string[] = []) {
    this.#testbed = testbed
    this.#flags = flags
    this.#places = places
    this.#command = command
  }

  async start(node: string): Promise<void> {
    const socket = this.#places.agentSocket(node)
    fs.rmSync(socket, { force: true })
    const command = [...this.#command, 'agent', '--node-name', node, '--source', `manifests:${this.#places.manifests}`, '--socket', socket, ...this.#flags]
    const process = await this.#testbed.start(node, command, { logFile: this.#places.agentLog(node) })
    const agent: RunningAgent = { node, process, end: null }
    void process.ended.then(({ code, signal }) => {
      agent.end = signal === null ? `status ${code}` : signal
    })
    this.#running.push(agent)
  }

  get nodes(): readonly string[] {
    return this.#running.map((one) => one.node)
  }

  /** Starts agents that ended again, as a kubelet would. */
  async restartEnded(): Promise<void> {
    for (const { node, end } of [...this.#running]) if (end !== null) await this.restart(node)
  }

  /** Ends the agent of a node with SIGKILL, as the machine's lack of memory would; `restartEnded` starts it again. */
  async kill(node: string): Promise<void> {
    const agent = this.#running.find((one) => one.node === node)
    if (agent === undefined) throw new PicketError('UnknownNode', `node ${node}: has no agent; there are ${this.nodes.join(', ')}`)
    agent.process.kill('SIGKILL')
    await agent.process.ended
  }

  /** Ends and starts the agent of a node again. */
  async restart(node: string): Promise<void> {
    const index = this.#running.findIndex((one) => one.node === node)
    const [agent] = index < 0 ? [] : this.#running.splice(index, 1)
    if (agent === undefined) throw new PicketError('UnknownNode', `node ${node}: has no agent; there are ${this.nodes.join(', ')}`)
    if (agent.end === null) agent.process.kill('SIGTERM')
    await agent.process.ended
    await this.start(node)
  }

  /** Resolves when the kernel of every node holds the manifests of that digest; throws a PicketError after `timeoutMs`. */
  async enforced(digest: string, timeoutMs = SETTLE_TIMEOUT_MS): Promise<void> {
    const until = performance.now() + timeoutMs
    await Promise.all(this.#running.map((agent) => this.#waitFor(agent, digest, until, timeoutMs)))
  }

  async #waitFor(agent: RunningAgent, digest: string, until: number, timeoutMs: number): Promise<void> {
    const socket = this.#places.agentSocket(agent.node)
    let last = ''
    for (;;) {
      if (agent.end !== null) throw await this.#failure(agent, `ended (${agent.end})`)
      const left = until - performance.now()
      if (left <= 0) throw await this.#failure(agent, `does not enforce the current manifests after ${timeoutMs / 1000} s${last}`)
      try {
        // Short waits, so that an agent that ends is noticed.
        if (await waitForDigest(socket, digest, Math.min(left, 2_000))) return
      } catch (error) {
        last = `; ${messageOf(error)}`
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }

  /** What the agents report, each problem once, with the nodes that report it. */
  async problems(): Promise<readonly { readonly problem: Problem; readonly nodes: readonly string[] }[]> {
    const found = new Map<string, { readonly problem: Problem; readonly nodes: string[] }>()
    for (const { node } of this.#running) {
      for (const problem of await this.#problemsOf(node)) {
        const key = formatProblem(problem)
        const entry = found.get(key) ?? { problem, nodes: [] }
        if (!entry.nodes.includes(node)) entry.nodes.push(node)
        found.set(key, entry)
      }
    }
    return [...found.values()]
  }

  /** What the agent of a node says of itself. Throws a PicketError where it says nothing. */
  async status(node: string): Promise<AgentStatus> {
    try {
      return await agentStatus(this.#places.agentSocket(node), 5_000)
    } catch (error) {
      throw new PicketError('AgentNotReady', `agent of node ${node}: ${messageOf(error)}`)
    }
  }

  async #problemsOf(node: string): Promise<readonly Problem[]> {
    try {
      return (await agentStatus(this.#places.agentSocket(node), 1_000)).problems
    } catch {
      return []
    }
  }

  async #failure(agent: RunningAgent, what: string): Promise<PicketError> {
    const problems = agent.end === null ? (await this.#problemsOf(agent.node)).map(formatProblem) : []
    const log = lastLines(this.#places.agentLog(agent.node), LOG_LINES)
    const details = [...problems.slice(0, LOG_LINES), ...log].map((line) => `\n  ${line.slice(0, 400)}`).join('')
    return new PicketError('AgentNotReady', `agent of node ${agent.node} ${what}${details === '' ? '; its log is empty' : `; problems and the end of its log:${details}`}`)
  }
}

function lastLines(file: string, count: number): readonly string[] {
  try {
    return fs.readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).filter((line) => line !== '')
  } catch {
    return []
  }
}
