// Random clusters: raw objects through decode, store, plan and ruleset to the text of each node's table, which the tracer
// reads, against the oracle, which reads the specification.
//
// **Invariant:** at least MIN_CHECKS packets are judged in the default run, or the test fails.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { CaseCluster, policyCases } from '../support/case-cluster.ts'
import { assertCluster } from '../support/check-cluster.ts'
import { clusterSketch, clusterWith, damagedPolicySketch } from '../support/generate.ts'
import { report, runs } from '../support/runs.ts'
import { materialise } from '../support/states.ts'

const CLUSTERS = 110
const DAMAGED = 60
const MIN_CHECKS = 20_000
/** One probe in so many is asked of each cluster: more clusters find more than more probes of one. */
const EVERY = 12

describe('policy: random clusters (rules 1-62, 68, 72-77, 80-82, 87-90)', () => {
  it('every packet meets the fate that the specification gives it', function () {
    this.timeout(0)
    let checks = 0
    fc.assert(
      fc.property(clusterSketch, fc.nat({ max: 1000 }), (sketch, salt) => {
        const cluster = materialise(sketch)
        for (const node of ['n1', 'n2']) checks += assertCluster(cluster, node, salt, EVERY)
      }),
      runs(CLUSTERS),
    )
    report('random clusters', checks)
    if (runs(CLUSTERS).numRuns >= CLUSTERS) assert.ok(checks >= MIN_CHECKS, `only ${checks} checks`)
  })
})

describe('policy: parts that cannot be read (rules 25, 33, 57)', () => {
  it('they open nothing, and the rest of the policy stands', function () {
    this.timeout(0)
    let checks = 0
    fc.assert(
      fc.property(clusterWith(damagedPolicySketch), fc.nat({ max: 1000 }), (sketch, salt) => {
        checks += assertCluster(materialise(sketch), 'n1', salt, EVERY)
      }),
      runs(DAMAGED),
    )
    report('damaged policies', checks)
  })
})

describe('policy: the cases', () => {
  it('every state of every case, seen from each of two nodes', function () {
    this.timeout(0)
    let checks = 0
    for (const [number, c] of policyCases().entries()) {
      const cluster = new CaseCluster(c)
      for (const step of c.steps) {
        for (const action of step.actions) cluster.play(action)
        for (const node of ['n1', 'n2']) checks += assertCluster(new Map(cluster.objects), node, number, 150)
      }
    }
    report('cases', checks)
  })
})
