// Every policy case on real packets: agents on two nodes, nine pods, 972 probes a step, as `picket lab run` does it.
//
// Pods have an interface of their own, or sit on a bridge (rule 70). `npm test` runs a sample on one of both, by the seed: one
// case for each thing that can happen to a cluster and each form of peer and port, and a rotating tenth of the others.
// Beside what the case expects, `picket explain` of the same manifests has to say of each probe what its packets did.
// **Invariant:** one lab for all cases of an attachment, in namespaces of this run's own.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { parseCases } from '../../src/lab/cases.ts'
import type { PolicyCase } from '../../src/lab/case-types.ts'
import { placesOf } from '../../src/lab/places.ts'
import { endLeftovers } from '../../src/lab/remains.ts'
import { runCases, type StepResult } from '../../src/lab/run-cases.ts'
import { explainsAs } from '../support/explained-rows.ts'
import { attachments, sampled } from '../support/sample.ts'

const FILE = 'networkpolicy.json'
const CASES = parseCases(readFileSync(new URL(`../cases/${FILE}`, import.meta.url), 'utf8'), FILE)
/** What a small sample must not miss: lifecycle, denying and allowing all, ipBlock with except, named ports, both directions. */
const EVERY = ['g7', 'g9', 'g20', 'g22', 'g32', 'g137', 'g149', 'g168', 'g183', 'g191', 'g194', 'g195', 'g196', 'g197', 'g198', 'g199', 'g205']
/** A step with 972 probes: the aim is 1,000, on a machine that has nothing else to do. */
const MOST_PROBE_MS = 10_000

for (const attachment of attachments()) describe(`cases of test/cases/${FILE}, on real packets, attachment ${attachment}`, function () {
  this.timeout(90_000)
  const chosen = new Set(sampled(CASES.map((one) => one.id), { every: EVERY }))
  const cases = CASES.filter((one) => chosen.has(one.id))
  const interrupt = new AbortController()
  const places = placesOf(`${attachment.slice(0, 1)}c${process.pid}`)
  const runs = runCases(cases, { places, nodes: 2, attachment, onProgress: () => {} }, interrupt.signal)
  const results: StepResult[] = []
  let explained = 0

  /** Goes on until that case is done. */
  async function resultsOf(one: PolicyCase): Promise<readonly StepResult[]> {
    for (;;) {
      const own = results.filter((result) => result.case === one.id)
      if (own.length === one.steps.length) return own
      const next = await runs.next()
      assert.ok(next.done !== true, `the run ended before case ${one.id} was done`)
      const { result, step } = next.value
      results.push(result)
      // Now, while the manifests are those of the step.
      if (result.observed !== undefined) explained += await explainsAs(result, step.pods, places.manifests)
    }
  }

  after(async () => {
    interrupt.abort(new Error('the tests are over'))
    await runs.return(undefined)
    await endLeftovers(places)
  })

  for (const one of cases) {
    it(`${one.id}: ${one.title}`, async () => {
      for (const result of await resultsOf(one)) {
        assert.equal(result.unusable, undefined, `step ${result.step}`)
        assert.deepEqual(result.mismatches.slice(0, 5), [], `step ${result.step}: ${result.mismatches.length} mismatches`)
        assert.ok(result.probe_ms <= MOST_PROBE_MS, `step ${result.step} took ${result.probe_ms} ms to probe, expected at most ${MOST_PROBE_MS}`)
      }
    })
  }

  it('explain was asked about every probe', () => assert.ok(explained > 700 * cases.length, `only ${explained} of ${cases.length} cases`))

  it('leaves nothing behind', async () => {
    assert.equal((await runs.next()).done, true)
    assert.equal(await endLeftovers(places), false)
  })

  it('an agent that ends makes its steps unusable, by name and with the end of its log', async () => {
    const [one] = CASES.filter(({ id }) => id === 'g196')
    assert.ok(one !== undefined)
    const command = [process.execPath, '-e', 'console.error("no luck today"); process.exit(3)', '--']
    const results: StepResult[] = []
    for await (const { result } of runCases([one], { places, nodes: 2, attachment, onProgress: () => {}, command }, interrupt.signal)) results.push(result)
    assert.equal(results.length, one.steps.length)
    for (const { unusable, observed } of results) {
      assert.match(unusable ?? '', /^agent of node n[12] ended \(status 3\).*\n +no luck today$/)
      assert.equal(observed, undefined)
    }
  })
})
