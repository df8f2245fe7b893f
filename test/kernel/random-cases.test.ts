// Random policies on real packets: what the oracle says of every pair of pods, port, protocol and family is what happens, and what explain says.
//
// A few cases by the seed of `npm test`, more in the whole run; a case that fails can be run again by its seed.
// **Invariant:** one lab for all of them, in namespaces of this run's own.
import assert from 'node:assert/strict'
import { parseCases } from '../../src/lab/cases.ts'
import { placesOf } from '../../src/lab/places.ts'
import { endLeftovers } from '../../src/lab/remains.ts'
import { runCases } from '../../src/lab/run-cases.ts'
import { explainsAs } from '../support/explained-rows.ts'
import { randomCases } from '../support/random-cases.ts'

const WHOLE = process.env['PICKET_TEST_WHOLE'] === '1'
const SEED = Number(process.env['PICKET_TEST_SEED'] ?? Math.floor(Date.now() / 1000) % 100_000)

describe('random cases on real packets (rules 1-62)', function () {
  this.timeout(900_000)
  const places = placesOf(`c${process.pid}`)
  after(() => endLeftovers(places))

  it(`seed ${SEED}: everybody reaches whom the specification lets them reach, step by step`, async () => {
    const text = JSON.stringify({ cases: randomCases(SEED, WHOLE ? 30 : 4) })
    const interrupt = new AbortController()
    let steps = 0
    let explained = 0
    for await (const { result, of } of runCases(parseCases(text, 'random'), { places, nodes: 2, onProgress: () => {} }, interrupt.signal)) {
      const what = `${result.case}, step ${result.step}`
      assert.equal(result.unusable, undefined, what)
      assert.deepEqual(result.mismatches.slice(0, 3), [], `${what}: ${result.mismatches.length} mismatches after ${JSON.stringify(of.steps.slice(0, result.step + 1).map((s) => s.actions))}`)
      explained += await explainsAs(result, of.steps[result.step]?.pods ?? [], places.manifests)
      steps++
    }
    assert.equal(steps, (WHOLE ? 30 : 4) * 3)
    assert.ok(explained > steps * 100, `explain was asked about ${explained} probes only`)
  })
})
