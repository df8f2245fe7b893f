// A node for the canary alone: a network namespace that forwards, a table with the canary's place in it, and its thread.
//
// No agent: nobody repairs anything, so that each round shows what was changed before it.
// **Invariant:** nothing outside of the namespace is touched; close() ends it.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { CanaryAnswer } from '../../src/canary/canary-worker.ts'
import { judgeRound, type Round, type Verdict } from '../../src/canary/verdict.ts'
import { AskedWorker } from '../../src/kernel/asked-worker.ts'
import { diffAtOnce } from '../../src/nft/diff.ts'
import { render } from '../../src/nft/render.ts'
import { emptyDirty } from '../../src/nft/state.ts'
import { skeleton, TABLE } from '../../src/ruleset/skeleton.ts'

export class CanaryNode {
  readonly #holder: ChildProcess
  readonly #worker: AskedWorker<object, CanaryAnswer>

  private constructor(holder: ChildProcess) {
    this.#holder = holder
    this.#worker = new AskedWorker('canary-worker', `/proc/${holder.pid}/ns/net`)
  }

  static async open(): Promise<CanaryNode> {
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up && echo up && exec sleep infinity'], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(holder.stdout as NodeJS.ReadableStream, 'data')
    const node = new CanaryNode(holder)
    node.sysctl('net.ipv4.ip_forward', 1)
    node.sysctl('net.ipv6.conf.all.forwarding', 1)
    node.writeTable()
    return node
  }

  /** What it says; throws where it fails. */
  run(command: string, input = ''): string {
    const { status, stdout, stderr } = spawnSync('nsenter', [`--net=/proc/${this.#holder.pid}/ns/net`, '--', 'sh', '-c', command], { encoding: 'utf8', input })
    if (status !== 0) throw new Error(`${command}: ${stderr}`)
    return stdout
  }

  /** nsenter keeps /proc, whose /proc/sys/net is that of whoever opens it. */
  sysctl(name: string, value: number): void {
    this.run(`echo ${value} > /proc/sys/${name.replaceAll('.', '/')}`)
  }

  nft(text: string): string {
    return this.run('nft -f -', text)
  }

  /** In place of the one that is there. */
  writeTable(): void {
    const state = skeleton({ newPods: 'deny', nodeEgress: 'allow', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto', canary: true })
    const transaction = diffAtOnce(TABLE, null, state, emptyDirty(), () => [])
    this.nft('table inet picket\ndelete table inet picket')
    if (transaction !== null) this.nft(render(transaction))
  }

  async round(): Promise<Round | string> {
    const answers: CanaryAnswer[] = []
    const lost = await this.#worker.ask({}, { deadline: 30_000, onAnswer: (answer) => answers.push(answer) > 0 })
    const [answer] = answers
    if (answer === undefined) return lost ?? 'no answer'
    return answer.kind === 'done' ? answer.round : answer.message
  }

  async verdict(): Promise<Verdict> {
    const round = await this.round()
    return typeof round === 'string' ? { result: 'failed', message: round } : judgeRound(round)
  }

  /** Name -> index. */
  links(): ReadonlyMap<string, number> {
    const listed = JSON.parse(this.run('ip -j link show')) as readonly { readonly ifname: string; readonly ifindex: number }[]
    return new Map(listed.map(({ ifname, ifindex }) => [ifname, ifindex]))
  }

  async close(): Promise<void> {
    await this.#worker.close()
    this.#holder.kill('SIGKILL')
    if (this.#holder.exitCode === null && this.#holder.signalCode === null) await once(this.#holder, 'exit')
  }
}
