// explain against the oracle: who is denied at which end, in random clusters, and why by every rule.
//
// **Invariant:** pods, nodes and addresses outside, both families, every protocol with ports, damaged policies too.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Half } from '../../src/explain/answer.ts'
import { clusterSketch, clusterWith, damagedPolicySketch } from '../support/generate.ts'
import { asked, worldOf } from '../support/explain-world.ts'
import type { RawCluster } from '../support/manifests.ts'
import { judge, type Stage } from '../support/oracle.ts'
import { addressesIn, portsIn } from '../support/probes.ts'
import { report, runs } from '../support/runs.ts'
import { materialise } from '../support/states.ts'

const CLUSTERS = 45
const MIN_CHECKS = 10_000
/** One in so many questions is asked; a prime, so that it is another one for each pair. */
const EVERY = 13

/** Whoever denies says of each rule why; the plan's own word and the policy's text never differ. */
function checkHalf(half: Half, stage: Stage, title: string): void {
  assert.equal(half.kind === 'denied', stage === 'deny', `${title}: ${half.kind}, the oracle: ${stage}`)
  if (half.kind !== 'denied') return
  assert.ok(half.isolatedBy.length > 0, title)
  for (const { rule, why } of half.nearest) {
    const text = `${title}: ${rule.name}[${rule.index}] ${rule.text}`
    assert.ok(why.length > 0, text)
    assert.ok(why.every(({ kind }) => kind !== 'compiled'), text)
  }
}

function check(cluster: RawCluster, salt: number): number {
  const world = worldOf(cluster.values())
  const addresses = addressesIn(cluster)
  const questions = addresses.flatMap((source) => addresses.flatMap((destination) => portsIn(cluster).flatMap((port) => (['TCP', 'UDP', 'SCTP'] as const).map((protocol) => ({ source, destination, port, protocol })))))
  const chosen = questions.filter(({ source, destination }, at) => source.includes(':') === destination.includes(':') && (at + salt) % EVERY === 0)
  for (const packet of chosen) {
    const title = `${packet.source} -> ${packet.destination}:${packet.port}/${packet.protocol}`
    const [leg] = asked(world, packet.source, packet.destination, `${packet.port}/${packet.protocol}`).flows.flatMap(({ legs }) => legs)
    assert.ok(leg !== undefined, title)
    const { egress, ingress } = judge(cluster, packet)
    checkHalf(leg.egress, egress, `${title} egress`)
    checkHalf(leg.ingress, ingress, `${title} ingress`)
  }
  return chosen.length
}

describe('explain: random clusters', () => {
  it('denies what the oracle denies, at the same end, and has a reason for each rule', function () {
    this.timeout(0)
    let checks = 0
    for (const sketch of [clusterSketch, clusterWith(damagedPolicySketch)]) {
      fc.assert(
        fc.property(sketch, fc.nat({ max: 1000 }), (cluster, salt) => {
          checks += check(materialise(cluster), salt)
        }),
        runs(CLUSTERS),
      )
    }
    report('explained packets', checks)
    if (runs(CLUSTERS).numRuns >= CLUSTERS) assert.ok(checks >= MIN_CHECKS, `only ${checks} checks`)
  })
})
