// An agent on an API server of the tests' own, both in a network namespace that nothing leaves: started, asked, waited for, ended.
//
// **Invariant:** whatever was started ends with close(), and a wait that is over says what the agent said last.
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { getOver } from '../../src/lab/agent-status.ts'
import { ownCommand } from '../../src/lab/places.ts'
import type { Problem } from '../../src/lib/problem.ts'
import type { ApiObject } from './api-server.ts'
import { kubeconfigText, podObject, PODS, POLICIES, TemporaryFolder } from './cluster-follower.ts'
import { parseExposition, type Exposition } from './exposition.ts'
import { STAGE_PORT, type StageOrder } from './kube-stage.ts'

export const SERVER = `http://127.0.0.1:${STAGE_PORT}`
export const HEALTH = 'http://127.0.0.1:9654'
export const METRICS = 'http://127.0.0.1:9655/metrics'
const LONGEST_WAIT_MS = 20_000

export interface KubeStatus {
  readonly ready: boolean
  readonly enforced: boolean
  readonly settled: boolean
  readonly waitingFor?: string
  readonly counts: { readonly localPods: number; readonly isolatedPods: number }
  readonly problems: readonly Problem[]
  readonly cluster: { readonly serverVersion: string | null; readonly resources: readonly { readonly resource: string; readonly synced: boolean }[] }
}

export interface Answer {
  readonly status: number
  readonly body: string
}

/** Of namespace shop: isolates every pod for ingress. `spec`: in place of that. */
export function policyObject(name: string, more: { readonly spec?: unknown; readonly createdAt?: string } = {}): ApiObject {
  const created = more.createdAt === undefined ? {} : { creationTimestamp: more.createdAt }
  return { metadata: { namespace: 'shop', name, uid: `uid-${name}`, ...created }, spec: more.spec ?? { podSelector: {}, policyTypes: ['Ingress'] } }
}

export class KubeAgent {
  readonly folder: TemporaryFolder
  readonly #stage: ChildProcess
  #agent: ChildProcess | null = null

  private constructor(folder: TemporaryFolder, stage: ChildProcess) {
    this.folder = folder
    this.#stage = stage
  }

  /** With namespace shop, node n1, pod shop/web and policy shop/one; the server is not open yet, and no agent runs. */
  static async open(): Promise<KubeAgent> {
    const folder = await TemporaryFolder.make()
    const script = path.join(import.meta.dirname, 'kube-stage.ts')
    const stage = spawn('unshare', ['--net', process.execPath, script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    await once(stage, 'message')
    const world = new KubeAgent(folder, stage)
    await world.writeKubeconfig()
    await world.order({ do: 'put', path: '/api/v1/namespaces', object: { metadata: { name: 'shop', uid: 'uid-shop', labels: {} } } })
    await world.order({ do: 'put', path: '/api/v1/nodes', object: { metadata: { name: 'n1', uid: 'uid-n1', labels: {} } } })
    await world.order({ do: 'put', path: PODS, object: podObject('web') })
    await world.order({ do: 'put', path: POLICIES, object: policyObject('one') })
    return world
  }

  async close(): Promise<void> {
    await this.stop('SIGKILL')
    this.#stage.kill()
    await this.folder.remove()
  }

  async writeKubeconfig(text = kubeconfigText(SERVER)): Promise<void> {
    await this.folder.write('kubeconfig', text)
  }

  async order(one: StageOrder): Promise<void> {
    this.#stage.send(one)
    await once(this.#stage, 'message')
  }

  get socket(): string {
    return path.join(this.folder.dir, 'agent.sock')
  }

  /** The arguments of nsenter for a command in the namespace. */
  inside(command: readonly string[]): string[] {
    return [`--net=/proc/${this.#stage.pid}/ns/net`, '--', ...command]
  }

  command(...flags: readonly string[]): string[] {
    const kubeconfig = path.join(this.folder.dir, 'kubeconfig')
    return this.inside([...ownCommand(), 'agent', '--node-name', 'n1', '--kubeconfig', kubeconfig, '--socket', this.socket, '--log-level', 'fatal', ...flags])
  }

  start(...flags: readonly string[]): void {
    this.#agent = spawn('nsenter', this.command(...flags), { stdio: ['ignore', 'inherit', 'inherit'] })
  }

  /** An agent that is expected to end by itself. */
  run(...flags: readonly string[]): { readonly status: number | null; readonly err: string } {
    const { status, stderr } = spawnSync('nsenter', this.command(...flags), { encoding: 'utf8', timeout: 20_000 })
    return { status, err: stderr }
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const agent = this.#agent
    this.#agent = null
    if (agent === null || agent.exitCode !== null) return
    agent.kill(signal)
    await once(agent, 'exit')
  }

  /** Null where nobody answers yet. */
  async status(): Promise<KubeStatus | null> {
    try {
      return JSON.parse((await getOver(this.socket, '/status', 5_000)).body) as KubeStatus
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'ECONNRESET') return null
      throw error
    }
  }

  async until(what: string, condition: (status: KubeStatus) => boolean): Promise<KubeStatus> {
    const end = performance.now() + LONGEST_WAIT_MS
    for (let last: KubeStatus | null = null; ; ) {
      last = await this.status()
      if (last !== null && condition(last)) return last
      if (performance.now() > end) assert.fail(`not within ${LONGEST_WAIT_MS} ms: ${what}; ${JSON.stringify(last)}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** GET over TCP, asked from inside the namespace; null where nobody listens. */
  get(url: string): Answer | null {
    const script = 'const [url] = process.argv.slice(1); try { const r = await fetch(url); console.log(JSON.stringify({ status: r.status, body: await r.text() })) } catch { console.log("null") }'
    const text = execFileSync('nsenter', this.inside([process.execPath, '--input-type=module', '-e', script, url]), { encoding: 'utf8' })
    return JSON.parse(text) as Answer | null
  }

  metrics(): Exposition {
    const answer = this.get(METRICS)
    assert.equal(answer?.status, 200, JSON.stringify(answer))
    return parseExposition(answer.body)
  }

  /** What the kernel holds, without counters' values. */
  table(): string {
    return execFileSync('nsenter', this.inside(['nft', '-nn', 'list', 'ruleset']), { encoding: 'utf8' }).replaceAll(/ packets \d+ bytes \d+/g, '')
  }
}
