// Scenarios of Services as tests: each of a file of test/cases on real packets, as `picket lab run` does it.
//
// **Invariant:** in namespaces of this run's own; `leaveNothing` is asked at the end of each file.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { parseCaseFile } from '../../src/lab/case-file.ts'
import { placesOf } from '../../src/lab/places.ts'
import { endLeftovers } from '../../src/lab/remains.ts'
import { runScenarios, type ScenarioRun } from '../../src/lab/run-services.ts'
import type { Scenario } from '../../src/lab/service-case-types.ts'
import type { PodAttachment } from '../../src/lab/testbed.ts'

const places = placesOf(`sc${process.pid}`)

export const SCENARIO_FILES = ['services.json', 'services-more.json'] as const

export function scenariosOf(name: (typeof SCENARIO_FILES)[number]): readonly Scenario[] {
  const file = parseCaseFile(readFileSync(new URL(`../cases/${name}`, import.meta.url), 'utf8'), name)
  assert.ok(file.kind === 'service')
  return file.scenarios
}

export async function runOf(scenario: Scenario, attachment: PodAttachment, command?: readonly string[]): Promise<ScenarioRun> {
  const options = { places, attachment, onProgress: () => {}, ...(command === undefined ? {} : { command }) }
  for await (const run of runScenarios([scenario], options, new AbortController().signal)) return run
  throw new Error('nothing was run')
}

/** Fails where a flow is not as expected, the agent has a problem, or nothing was observed. */
export async function expectAsTold(scenario: Scenario, attachment: PodAttachment): Promise<void> {
  const run = await runOf(scenario, attachment)
  assert.equal(run.unusable, null)
  assert.deepEqual(run.problems, [])
  assert.deepEqual(run.flows.filter(({ mismatches }) => mismatches.length > 0).map(({ flow, mismatches }) => `${flow.name}: ${mismatches.join('; ')}`), [])
}

export async function leaveNothing(): Promise<void> {
  assert.equal(await endLeftovers(places), false)
}
