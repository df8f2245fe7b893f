// `picket lab run SERVICES.json`: scenarios with real packets, topology in the compiler.
//
// ServiceCases -> a line a flow and a topology case, as they are done. **Invariant:** exit status 0 only if everything that was
// expected was observed; 1 for a mismatch, 2 for a scenario that says nothing.
import type { ServiceCases } from '../lab/service-case-types.ts'
import { endKilledRuns } from '../lab/remains.ts'
import { placesOf } from '../lab/places.ts'
import type { PodAttachment } from '../lab/testbed.ts'
import { runScenarios, type ScenarioRun } from '../lab/run-services.ts'
import { progressOnStderr } from './lab-options.ts'
import { flowLine, flowTable, scenarioLine, servicesSummary, topologyLine, topologyText } from './lab-service-report.ts'
import { answerTopology, topologyMismatches } from './lab-topology.ts'
import { print, printJson } from './output.ts'

export interface ServiceRunOptions {
  readonly attachment: PodAttachment
  readonly output: string
}

/** `interrupt` ends it at once. The exit status. */
export async function runServiceCases({ scenarios, topology }: ServiceCases, { attachment, output }: ServiceRunOptions, interrupt: AbortSignal): Promise<0 | 1 | 2> {
  const places = placesOf(`r${process.pid}`)
  const table = output === 'table'
  const runs: ScenarioRun[] = []
  const started = performance.now()
  const progress = progressOnStderr()
  const onProgress = (text: string): void => (runs.length === 0 ? progress(text) : undefined)
  if (scenarios.length > 0) await endKilledRuns()
  for await (const run of runScenarios(scenarios, { places, attachment, onProgress }, interrupt)) {
    runs.push(run)
    if (!table) {
      for (const result of run.flows) printJson(flowLine(run, result), 'line')
      continue
    }
    print(scenarioLine(run, runs.length, scenarios.length))
    for (const problem of run.problems) print(`    ${problem}`)
    const shown = flowTable(run)
    if (shown !== null) print(shown)
  }
  let wrong = 0
  for (const one of topology) {
    const answer = answerTopology(one)
    const mismatches = topologyMismatches(one, answer)
    if (mismatches.length > 0) wrong += 1
    print(table ? topologyText(one, answer, mismatches) : JSON.stringify(topologyLine(one, answer)))
  }
  if (table) print(`\n${servicesSummary(runs, { cases: topology.length, wrong }, performance.now() - started)}`)
  if (runs.some(({ unusable }) => unusable !== null)) return 2
  return wrong > 0 || runs.some(({ flows }) => flows.some(({ mismatches }) => mismatches.length > 0)) ? 1 : 0
}
