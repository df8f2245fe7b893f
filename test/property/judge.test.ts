// The judge against the table: what it says of a packet is what the tracer finds in the text that the kernel would get.
//
// **Invariant:** random clusters as in policy.test.ts, every protocol; at least MIN_CHECKS packets in the default run.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Protocol } from '../../src/model/objects.ts'
import { Judge } from '../../src/policy/judge.ts'
import { compiled } from '../support/check-cluster.ts'
import { clusterSketch, clusterWith, damagedPolicySketch } from '../support/generate.ts'
import type { RawCluster } from '../support/manifests.ts'
import { probesOf } from '../support/probes.ts'
import { report, runs } from '../support/runs.ts'
import { materialise } from '../support/states.ts'
import { Tracer } from '../support/tracer.ts'

const CLUSTERS = 80
const MIN_CHECKS = 10_000
const EVERY = 12

function check(cluster: RawCluster, node: string, salt: number, nodeEgress: 'allow' | 'enforce'): number {
  const pipeline = compiled(cluster, node, { nodeEgress })
  const tracer = new Tracer(pipeline.text())
  const { plan, snapshot } = pipeline.turns
  assert.ok(snapshot !== null)
  const judge = new Judge(plan, snapshot, { nodeEgress })
  const probes = probesOf(cluster, node, salt, EVERY)
  for (const { asked, packet, title } of probes) {
    const { verdict, by } = tracer.trace({ ...packet, ctState: 'new', ctDirection: 'original', ...(packet.icmpType === undefined ? {} : { icmpType: packet.protocol === 58 ? 128 : 8 }) })
    const protocol = asked.protocol === 'ICMP' || asked.protocol === 'GRE' ? null : (asked.protocol satisfies Protocol)
    const judgement = judge.judge({ source: asked.source, destination: asked.destination, protocol, port: protocol === null ? 0 : asked.port })
    assert.equal(judgement.allowed, verdict === 'accept', `${title}: ${JSON.stringify(judgement, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}; the table: ${verdict} ${by}`)
  }
  return probes.length
}

describe('judge: random clusters (rules 1-62, 72, 88)', () => {
  it('allows what the table accepts, and nothing else', function () {
    this.timeout(0)
    let checks = 0
    for (const sketch of [clusterSketch, clusterWith(damagedPolicySketch)]) {
      fc.assert(
        fc.property(sketch, fc.nat({ max: 1000 }), fc.boolean(), (cluster, salt, enforce) => {
          for (const node of ['n1', 'n2']) checks += check(materialise(cluster), node, salt, enforce ? 'enforce' : 'allow')
        }),
        runs(CLUSTERS),
      )
    }
    report('judged packets', checks)
    if (runs(CLUSTERS).numRuns >= CLUSTERS) assert.ok(checks >= MIN_CHECKS, `only ${checks} checks`)
  })
})
