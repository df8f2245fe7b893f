// explain against every flow of the Service cases: where a call leads, and what the endpoint takes for its source.
//
// **Invariant:** all flows of both files are asked, of the node that the case is of.
import assert from 'node:assert/strict'
import type { Flow } from '../../../src/explain/answer.ts'
import { USUAL_SETTINGS } from '../../../src/explain/world.ts'
import { parseCidr, type Cidr } from '../../../src/model/ip.ts'
import { targetKey } from '../../../src/nat/targets.ts'
import type { Fate, Scenario } from '../../../src/lab/service-case-types.ts'
import { scenarioFiles } from '../../../src/lab/service-objects.ts'
import { isLoopback, worldOfScenario } from '../../../src/lab/service-world.ts'
import { asked, worldOf } from '../../support/explain-world.ts'
import { SCENARIO_FILES, scenariosOf } from '../../support/scenarios.ts'

const REJECTED: readonly string[] = ['no-endpoint', 'no-such-port']
const DROPPED: readonly string[] = ['no-local-endpoint', 'source-range', 'no-such-service']

function fateOf({ service, legs, called, ports }: Flow): Fate {
  if (service !== null && REJECTED.includes(service.outcome)) return 'REJECT'
  if (service !== null && DROPPED.includes(service.outcome)) return 'DROP'
  if (service !== null) return legs.map(({ destination, port }) => targetKey({ address: destination.address, port })).sort()
  assert.deepEqual(legs.map(({ destination, port }) => [destination.address, port]), [[called, ports.first]])
  return ''
}

function check(scenario: Scenario): number {
  const { env } = scenario
  const files = scenarioFiles(scenario, worldOfScenario(scenario), '2026-01-01T00:00:00Z')
  const nodePortAddresses = env.nodePortAddresses === null ? USUAL_SETTINGS.nodePortAddresses : env.nodePortAddresses.map((text) => parseCidr(text) as Cidr)
  const world = worldOf([...files.values()].map((text) => JSON.parse(text) as never), { ...USUAL_SETTINGS, masqueradeAll: env.masqueradeAll, serviceCidrs: env.serviceCidrs, nodePortAddresses })
  const flows = scenario.flows.filter(({ source, destination, fate }) => fate !== null && !isLoopback(source) && !isLoopback(destination))
  for (const one of flows) {
    const title = `${scenario.title}: ${one.name} (${one.source} -> ${one.destination}:${one.port}/${one.protocol})`
    const [flow, ...more] = asked(world, one.source, one.destination, `${one.port}/${one.protocol}`, env.nodeName).flows
    assert.ok(flow !== undefined && more.length === 0, title)
    assert.deepEqual(fateOf(flow), typeof one.fate === 'string' ? one.fate : [...(one.fate ?? [])].sort(), `${title}: ${flow.service?.text ?? ''}`)
    // Masquerade of a pod that calls itself is for the way back only, and one on the endpoint's own node comes after policy.
    for (const { destination, seenAs } of flow.legs) {
      if (destination.address === one.source) continue
      assert.equal(seenAs !== one.source, one.masquerade === true && destination.node !== env.nodeName && !env.nodeIps.includes(one.source), `${title}: seen as ${seenAs}`)
    }
  }
  return flows.length
}

describe('explain: the cases of Services', () => {
  for (const name of SCENARIO_FILES) {
    it(`leads every flow of test/cases/${name} where the case expects it`, () => {
      const flows = scenariosOf(name).reduce((sum, scenario) => sum + check(scenario), 0)
      assert.ok(flows >= 40, `only ${flows} flows`)
    })
  }
})
