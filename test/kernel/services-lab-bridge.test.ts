// The scenarios of services-lab.test.ts with the node's pods on a bridge, as `picket lab run --attachment bridge` does it.
//
// **Invariant:** in namespaces of this run's own, which are gone at the end.
import { expectAsTold, leaveNothing, SCENARIO_FILES, scenariosOf } from '../support/scenarios.ts'

for (const name of SCENARIO_FILES) {
  describe(`scenarios of test/cases/${name}, on real packets, pods on a bridge`, function () {
    this.timeout(60_000)
    for (const scenario of scenariosOf(name)) it(`${scenario.number}: ${scenario.title}`, () => expectAsTold(scenario, 'bridge'))
  })
}

describe('runs of scenarios with pods on a bridge', () => {
  it('leave nothing behind', leaveNothing)
})
