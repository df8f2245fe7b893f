// Runs cases with real packets: for each step change the manifests, wait for the agents, probe, compare.
//
// PolicyCases -> one StepResult a step, as it is done. Pods that the next case has in the same form stay; everything
// else of a case is gone before the next begins. **Invariant:** what a step expects is looked at only after everything
// about it was observed.
import { messageOf, PicketError } from '../lib/errors.ts'
import { formatProblem } from '../lib/problem.ts'
import { wantedOf } from './case-manifests.ts'
import { cellsOf, mismatchesOf, probesOf, type Mismatch, type Rows } from './case-matrix.ts'
import type { PolicyCase, Step } from './case-types.ts'
import { applyAction, worldOf, type World } from './case-world.ts'
import { Cluster, type ClusterOptions } from './cluster.ts'
import { labUid, timestamp } from './kube-objects.ts'
import type { ProbeName } from './probe-name.ts'
import { askRound, reaches } from './round.ts'

export interface StepResult {
  readonly case: string
  /** From 0. */
  readonly step: number
  /** Rows and columns in the order of the step's pods; absent where the step is unusable. */
  readonly observed?: Rows
  /** Why nothing was observed. */
  readonly unusable?: string
  readonly mismatches: readonly Mismatch[]
  /** From the moment the manifests are written until every agent enforces them. */
  readonly settle_ms: number
  readonly probe_ms: number
}

export interface CaseRun {
  readonly result: StepResult
  readonly of: PolicyCase
  readonly step: Step
  /** What the agents report, as people read it. */
  readonly problems: readonly string[]
}

/** Yields each step's result as soon as it is there. Ends the lab it made, whatever happens; `signal` ends it at once. */
export async function* runCases(cases: readonly PolicyCase[], options: ClusterOptions, signal: AbortSignal): AsyncGenerator<CaseRun> {
  const runner = new CaseRunner(options)
  const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))
  aborted.catch(() => {})
  try {
    for (const one of cases) {
      const runs = runner.run(one)
      for (;;) {
        signal.throwIfAborted()
        const next = runs.next()
        // What is under way when somebody interrupts fails as the lab goes; nobody wants to know.
        next.catch(() => {})
        const run = await Promise.race([next, aborted])
        if (run.done === true) break
        yield run.value
      }
    }
  } finally {
    await runner.close()
  }
}

class CaseRunner {
  readonly #options: ClusterOptions
  #opening: Promise<Cluster> | null = null
  #cluster: Cluster | null = null
  #previous: World | null = null
  #serial = 0
  /** When this run began: every object's creation time. */
  readonly #createdAt = timestamp(Date.now())

  constructor(options: ClusterOptions) {
    this.#options = options
  }

  async *run(one: PolicyCase): AsyncGenerator<CaseRun> {
    let world = worldOf(one, () => labUid(this.#serial++), this.#previous)
    let trouble = await this.#settle(world)
    for (const [index, step] of one.steps.entries()) {
      for (const action of step.actions) world = applyAction(world, action, one)
      const result = await this.#runStep(one.id, index, step, world, trouble.reason)
      if (result.failed) trouble = { ms: 0, reason: result.step.unusable ?? null }
      const problems = (await this.#cluster?.agents.problems()) ?? []
      yield { result: result.step, of: one, step, problems: problems.map(({ problem }) => formatProblem(problem)) }
    }
    this.#previous = world
    // A lab in which agents did not follow is of no use to the next case.
    if (trouble.reason !== null) await this.close()
  }

  async close(): Promise<void> {
    const opening = this.#opening
    this.#opening = null
    this.#cluster = null
    this.#previous = null
    // One that is being made is waited for: it removes itself if that fails.
    const cluster = await opening?.catch(() => null)
    await cluster?.close()
  }

  async #runStep(id: string, index: number, step: Step, world: World, trouble: string | null): Promise<{ readonly step: StepResult; readonly failed: boolean }> {
    const head = { case: id, step: index }
    const settled = trouble === null ? await this.#settle(world) : { ms: 0, reason: trouble }
    const cluster = this.#cluster
    if (settled.reason !== null || cluster === null) {
      return { step: { ...head, unusable: settled.reason ?? 'there is no lab', mismatches: [], settle_ms: settled.ms, probe_ms: 0 }, failed: true }
    }
    const names = probesOf(step, world)
    const cells = cellsOf(names, step.pods, world, (key) => cluster.pods.get(key)?.node ?? null)
    const round = await askRound(cluster.prober, cells.map((cell) => cell.question))
    if (round.kind === 'unusable') {
      return { step: { ...head, unusable: round.reason, mismatches: [], settle_ms: settled.ms, probe_ms: round.ms }, failed: false }
    }
    const reached = new Set(cells.flatMap(({ probe, row, column, question }, at) => (reaches(round.results[at], question.to) ? [`${probe} ${row} ${column}`] : [])))
    const rowOf = (name: ProbeName, row: number): string => step.pods.map((_, column) => (reached.has(`${name} ${row} ${column}`) ? '1' : '0')).join('')
    const observed: Rows = Object.fromEntries(names.map((name) => [name, step.pods.map((_, row) => rowOf(name, row))]))
    return { step: { ...head, observed, mismatches: mismatchesOf(step, observed), settle_ms: settled.ms, probe_ms: round.ms }, failed: false }
  }

  /** Brings the lab to `world`, making it first if there is none; `reason` says why that failed. */
  async #settle(world: World): Promise<{ readonly ms: number; readonly reason: string | null }> {
    const started = performance.now()
    try {
      this.#opening ??= Cluster.open(this.#options)
      this.#cluster = await this.#opening
      return { ms: await this.#cluster.converge(wantedOf(world, this.#cluster.nodes, this.#cluster.pods, this.#createdAt)), reason: null }
    } catch (error) {
      // Anything but an agent that does not follow is ours or the machine's, and would fail every other case too.
      if (!(error instanceof PicketError) || error.code !== 'AgentNotReady') throw error
      return { ms: Math.round(performance.now() - started), reason: messageOf(error) }
    }
  }
}
