// Every scenario of test/cases/services.json and services-more.json on real packets, as `picket lab run` does it.
//
// Each has a world of its own: a node with exactly its addresses, its pods, and everybody else behind it.
// **Invariant:** in namespaces of this run's own, which are gone at the end.
import assert from 'node:assert/strict'
import { expectAsTold, leaveNothing, runOf, SCENARIO_FILES, scenariosOf } from '../support/scenarios.ts'

for (const name of SCENARIO_FILES) {
  describe(`scenarios of test/cases/${name}, on real packets`, function () {
    this.timeout(60_000)
    for (const scenario of scenariosOf(name)) it(`${scenario.number}: ${scenario.title}`, () => expectAsTold(scenario, 'veth'))
  })
}

describe('runs of scenarios', function () {
  this.timeout(60_000)
  const [scenario] = scenariosOf('services.json').slice(1)

  it('see what is not as expected', async () => {
    assert.ok(scenario !== undefined)
    const flows = scenario.flows.map((flow, index) => (index === 0 ? { ...flow, fate: ['10.31.0.1:80'] } : index === 1 ? { ...flow, masquerade: false } : flow))
    const run = await runOf({ ...scenario, flows }, 'veth')
    assert.deepEqual(run.flows.map(({ mismatches }) => mismatches.length), [1, 1, 0, 0])
  })

  it('say nothing of a scenario whose agent ends, but by name and with the end of its log', async () => {
    assert.ok(scenario !== undefined)
    const run = await runOf(scenario, 'veth', [process.execPath, '-e', 'console.error("no luck today"); process.exit(3)', '--'])
    assert.match(run.unusable ?? '', /^agent of node node-a ended \(status 3\).*\n +no luck today$/)
    assert.ok(run.flows.every(({ observed }) => observed === null))
  })

  it('leave nothing behind', leaveNothing)
})
