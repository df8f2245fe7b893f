// Runs scenarios of Services with real packets: for each a world of its own, one agent in it, all flows, one result a flow.
//
// Scenarios -> ScenarioRuns, as they are done. **Invariant:** what a flow expects is looked at only after everything about it was
// observed; whatever happens, nothing of a world is left.
import fs from 'node:fs'
import { messageOf, PicketError } from '../lib/errors.ts'
import { formatProblem } from '../lib/problem.ts'
import { folderDigest } from '../manifests/digest.ts'
import { Agents } from './agents.ts'
import { AgentsFolder } from './agents-folder.ts'
import { timestamp } from './kube-objects.ts'
import { ownCommand, type LabPlaces } from './places.ts'
import { isSticky, mismatchesOf, observe, triesOf, type Observed } from './service-fates.ts'
import type { Flow, Scenario } from './service-case-types.ts'
import { scenarioFiles, scenarioFlags } from './service-objects.ts'
import { askFlows } from './service-round.ts'
import { ServiceTestbed } from './service-testbed.ts'
import type { PodAttachment } from './testbed.ts'
import { clientOf, worldOfScenario } from './service-world.ts'

export interface FlowResult {
  readonly flow: Flow
  /** Null where nothing was observed. */
  readonly observed: Observed | null
  /** In words. */
  readonly mismatches: readonly string[]
}

export interface ScenarioRun {
  readonly of: Scenario
  readonly flows: readonly FlowResult[]
  /** Why nothing was observed; null: it was. */
  readonly unusable: string | null
  /** What the agent reports, as people read it. */
  readonly problems: readonly string[]
  /** From the moment the manifests are there until the agent enforces them. */
  readonly settleMs: number
  readonly probeMs: number
}

export interface ScenarioOptions {
  readonly places: LabPlaces
  /** How the node's pods are attached to it; `veth` unless told. */
  readonly attachment?: PodAttachment
  readonly onProgress: (text: string) => void
  /** The command line of `picket`; this program's own unless told. */
  readonly command?: readonly string[]
}

/** Yields each scenario's run as soon as it is done; `signal` ends it at once. */
export async function* runScenarios(scenarios: readonly Scenario[], options: ScenarioOptions, signal: AbortSignal): AsyncGenerator<ScenarioRun> {
  const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))
  aborted.catch(() => {})
  for (const scenario of scenarios) {
    signal.throwIfAborted()
    const running = new Running(scenario, options)
    try {
      const run = running.run()
      run.catch(() => {})
      yield await Promise.race([run, aborted])
    } finally {
      await running.close()
    }
  }
}

class Running {
  readonly #scenario: Scenario
  readonly #options: ScenarioOptions
  #opening: Promise<ServiceTestbed> | null = null

  constructor(scenario: Scenario, options: ScenarioOptions) {
    this.#scenario = scenario
    this.#options = options
  }

  async run(): Promise<ScenarioRun> {
    const { places, onProgress, attachment = 'veth', command = ownCommand() } = this.#options
    const scenario = this.#scenario
    const world = worldOfScenario(scenario)
    onProgress(`scenario ${scenario.number}: making ${world.hosts.length} hosts`)
    const folder = new AgentsFolder(places.manifests)
    folder.write(scenarioFiles(scenario, world, timestamp(Date.now())))
    this.#opening = ServiceTestbed.open(places.prefix, world, attachment)
    const testbed = await this.#opening
    const agents = new Agents(testbed, places, command, scenarioFlags(scenario))
    const started = performance.now()
    const trouble = await this.#settle(agents, folder)
    const settleMs = Math.round(performance.now() - started)
    if (trouble !== null) return this.#unusable(trouble, [], settleMs, 0)
    const problems = (await agents.problems()).map(({ problem }) => formatProblem(problem))
    const asked = performance.now()
    const round = await askFlows({ probe: (requests, deadline) => testbed.probe(requests, deadline) }, world, scenario.flows.map((flow) => ({ flow, count: triesOf(flow, scenario) })))
    const probeMs = Math.round(performance.now() - asked)
    if (round.kind === 'unusable') return this.#unusable(round.reason, problems, settleMs, probeMs)
    const flows = scenario.flows.map((flow, index): FlowResult => {
      const observed = observe(flow, round.results[index] ?? [], clientOf(world, flow.source).role === 'node')
      return { flow, observed, mismatches: mismatchesOf(flow, observed, isSticky(flow, scenario)) }
    })
    return { of: scenario, flows, unusable: null, problems, settleMs, probeMs }
  }

  /** Why the agent does not follow; null: it does. */
  async #settle(agents: Agents, folder: AgentsFolder): Promise<string | null> {
    try {
      await agents.start(this.#scenario.env.nodeName)
      await agents.enforced(await folderDigest(folder.dir))
      return null
    } catch (error) {
      // Anything else is ours or the machine's, and would fail every other scenario too.
      if (!(error instanceof PicketError) || error.code !== 'AgentNotReady') throw error
      return messageOf(error)
    }
  }

  #unusable(reason: string, problems: readonly string[], settleMs: number, probeMs: number): ScenarioRun {
    const flows = this.#scenario.flows.map((flow) => ({ flow, observed: null, mismatches: [] }))
    return { of: this.#scenario, flows, unusable: reason, problems, settleMs, probeMs }
  }

  async close(): Promise<void> {
    // One that is being made is waited for: it removes itself if that fails.
    const testbed = await this.#opening?.catch(() => null)
    await testbed?.close()
    fs.rmSync(this.#options.places.folder, { recursive: true, force: true })
  }
}
