// Every scenario of test/cases/services.json and services-more.json on real packets, as `picket lab run` does it.
//
// Each has a world of its own: a node with exactly its addresses, its pods, and everybody else behind it.
// **Invariant:** in namespaces of this run's own, which are gone at the end.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { parseCaseFile } from '../../src/lab/case-file.ts'
import { placesOf } from '../../src/lab/places.ts'
import { endLeftovers } from '../../src/lab/remains.ts'
import { runScenarios, type ScenarioRun } from '../../src/lab/run-services.ts'
import type { Scenario } from '../../src/lab/service-case-types.ts'

const places = placesOf(`sc${process.pid}`)

function scenariosOf(name: string): readonly Scenario[] {
  const file = parseCaseFile(readFileSync(new URL(`../cases/${name}`, import.meta.url), 'utf8'), name)
  assert.ok(file.kind === 'service')
  return file.scenarios
}

async function runOf(scenario: Scenario, command?: readonly string[]): Promise<ScenarioRun> {
  const options = { places, onProgress: () => {}, ...(command === undefined ? {} : { command }) }
  for await (const run of runScenarios([scenario], options, new AbortController().signal)) return run
  throw new Error('nothing was run')
}

for (const name of ['services.json', 'services-more.json']) {
  describe(`scenarios of test/cases/${name}, on real packets`, function () {
    this.timeout(60_000)
    for (const scenario of scenariosOf(name)) {
      it(`${scenario.number}: ${scenario.title}`, async () => {
        const run = await runOf(scenario)
        assert.equal(run.unusable, null)
        assert.deepEqual(run.problems, [])
        assert.deepEqual(run.flows.filter(({ mismatches }) => mismatches.length > 0).map(({ flow, mismatches }) => `${flow.name}: ${mismatches.join('; ')}`), [])
      })
    }
  })
}

describe('runs of scenarios', function () {
  this.timeout(60_000)
  const [scenario] = scenariosOf('services.json').slice(1)

  it('see what is not as expected', async () => {
    assert.ok(scenario !== undefined)
    const flows = scenario.flows.map((flow, index) => (index === 0 ? { ...flow, fate: ['10.31.0.1:80'] } : index === 1 ? { ...flow, masquerade: false } : flow))
    const run = await runOf({ ...scenario, flows })
    assert.deepEqual(run.flows.map(({ mismatches }) => mismatches.length), [1, 1, 0, 0])
  })

  it('say nothing of a scenario whose agent ends, but by name and with the end of its log', async () => {
    assert.ok(scenario !== undefined)
    const run = await runOf(scenario, [process.execPath, '-e', 'console.error("no luck today"); process.exit(3)', '--'])
    assert.match(run.unusable ?? '', /^agent of node node-a ended \(status 3\).*\n +no luck today$/)
    assert.ok(run.flows.every(({ observed }) => observed === null))
  })

  it('leave nothing behind', async () => {
    assert.equal(await endLeftovers(places), false)
  })
})
