// The soak's traffic: an end-program in each namespace, started, replaced and stopped; what they tell goes to the judge.
//
// **Invariant:** a program that ends although nobody ended it fails the soak.
import { spawn, type ChildProcess } from 'node:child_process'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { EndOrders, Told } from './end-program.ts'
import type { FlowPlan } from './flows.ts'
import { TRAFFIC_PORTS } from './world.ts'

const PROGRAM = fileURLToPath(new URL('./end-program.ts', import.meta.url))

export class Traffic {
  readonly #flows: readonly FlowPlan[]
  readonly #intervalMs: number
  readonly #take: (told: Told) => void
  readonly #fail: (why: string) => void
  readonly #programs = new Map<string, ChildProcess>()
  readonly #lives = new Map<string, number>()

  constructor(flows: readonly FlowPlan[], intervalMs: number, take: (told: Told) => void, fail: (why: string) => void) {
    this.#flows = flows
    this.#intervalMs = intervalMs
    this.#take = take
    this.#fail = fail
  }

  /** Resolves when it serves and sends: with what it told first. */
  async start(end: string, netns: string): Promise<void> {
    const life = (this.#lives.get(end) ?? 0) + 1
    this.#lives.set(end, life)
    const child = spawn('nsenter', [`--net=${netns}`, '--', process.execPath, PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#programs.set(end, child)
    child.once('exit', (code, signal) => this.#programs.get(end) === child && this.#fail(`the traffic of ${end} ended by itself: ${signal ?? `status ${code}`}`))
    child.stdin.on('error', () => undefined)
    const flows = this.#flows.filter((flow) => flow.from.name === end)
    const orders: EndOrders = { life, ports: TRAFFIC_PORTS, flows, intervalMs: this.#intervalMs }
    child.stdin.write(`${JSON.stringify(orders)}\n`)
    const lines = readline.createInterface({ input: child.stdout })
    lines.on('line', (line) => this.#take(JSON.parse(line) as Told))
    await new Promise((resolve) => lines.once('line', resolve))
  }

  /** What it has not told yet is lost. */
  end(end: string): void {
    const child = this.#programs.get(end)
    this.#programs.delete(end)
    child?.kill('SIGKILL')
  }

  /** No end sends any more; all go on receiving and telling. */
  stop(): void {
    for (const child of this.#programs.values()) child.stdin?.write('stop\n')
  }

  close(): void {
    for (const end of [...this.#programs.keys()]) this.end(end)
  }
}
