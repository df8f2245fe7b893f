// The agents of a test: real processes in the nodes' namespaces, started with any flags, stopped by any signal, asked.
//
// **Invariant:** an agent that ended although nobody stopped it fails whatever waits for it, with the end of its log.
import { readFileSync, rmSync } from 'node:fs'
import { agentStatus, getOver, waitForDigest, type AgentStatus, type HttpAnswer } from '../../src/lab/agent-status.ts'
import { ownCommand, type LabPlaces } from '../../src/lab/places.ts'
import type { LabProcess, Testbed } from '../../src/lab/testbed.ts'
import { messageOf } from '../../src/lib/errors.ts'

interface Running {
  readonly process: LabProcess
  end: string | null
}

export class RealAgents {
  readonly #testbed: Testbed
  readonly #places: LabPlaces
  readonly #running = new Map<string, Running>()

  constructor(testbed: Testbed, places: LabPlaces) {
    this.#testbed = testbed
    this.#places = places
  }

  socket(node: string): string {
    return this.#places.agentSocket(node)
  }

  log(node: string): string {
    return readFileSync(this.#places.agentLog(node), 'utf8')
  }

  /** The command line of an agent of that node. */
  command(node: string, flags: readonly string[]): readonly string[] {
    return [...ownCommand(), 'agent', '--node-name', node, '--source', `manifests:${this.#places.manifests}`, '--socket', this.socket(node), ...flags]
  }

  /** `within`: a command that runs the agent. */
  async start(node: string, flags: readonly string[] = [], env: Readonly<Record<string, string>> = {}, within: readonly string[] = []): Promise<LabProcess> {
    const process = await this.#testbed.start(node, [...within, ...this.command(node, flags)], { logFile: this.#places.agentLog(node), env })
    const running: Running = { process, end: null }
    void process.ended.then(({ code, signal }) => (running.end = signal ?? `status ${code}`))
    this.#running.set(node, running)
    return process
  }

  pid(node: string): number {
    const pid = this.#running.get(node)?.process.pid
    if (pid === undefined) throw new Error(`no agent runs on ${node}`)
    return pid
  }

  /** Resolves when it ended. SIGKILL leaves its socket file behind. */
  async stop(node: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = this.#running.get(node)
    if (running === undefined) throw new Error(`no agent runs on ${node}`)
    this.#running.delete(node)
    running.process.kill(signal)
    await running.process.ended
    if (signal !== 'SIGTERM') return
    rmSync(this.socket(node), { force: true })
  }

  /** Resolves when every agent says that the kernel holds that digest. */
  async hold(digest: string, timeoutMs: number): Promise<void> {
    const until = Date.now() + timeoutMs
    await Promise.all([...this.#running].map(([node, running]) => this.#hold(node, running, digest, until)))
  }

  async #hold(node: string, running: Running, digest: string, until: number): Promise<void> {
    for (let last = ''; ; ) {
      const fault = running.end !== null ? `ended (${running.end})` : Date.now() > until ? `does not hold the manifests in time${last}` : null
      if (fault !== null) throw new Error(`the agent of ${node} ${fault}; its log ends:\n${this.log(node).slice(-3_000)}`)
      try {
        if (await waitForDigest(this.socket(node), digest, 1_000)) return
      } catch (error) {
        last = `; ${messageOf(error)}`
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
  }

  status(node: string): Promise<AgentStatus> {
    return agentStatus(this.socket(node), 5_000)
  }

  /** GET of any path; null where nobody answers. */
  get(node: string, path: string): Promise<HttpAnswer | null> {
    return getOver(this.socket(node), path, 5_000).catch(() => null)
  }
}
