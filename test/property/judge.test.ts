// The judge against the table: what it says of a packet is what the tracer finds in the text that the kernel would get.
//
// **Invariant:** random clusters as in policy.test.ts, every protocol; at least MIN_CHECKS packets in the default run.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Protocol } from '../../src/model/objects.ts'
import { Judge } from '../../src/policy/judge.ts'
import { lossesOf } from '../../src/policy/losses.ts'
import { BY_ADDRESS, compiled } from '../support/check-cluster.ts'
import { clusterSketch, clusterWith, damagedPolicySketch } from '../support/generate.ts'
import type { RawCluster } from '../support/manifests.ts'
import { probesOf } from '../support/probes.ts'
import { interfaceEvents, interfacesOf, sourceEvent } from '../support/events.ts'
import { report, runs } from '../support/runs.ts'
import { eventsBetween, materialise } from '../support/states.ts'
import { Tracer } from '../support/tracer.ts'

const CLUSTERS = 55
const MIN_CHECKS = 10_000
const EVERY = 12

function check(cluster: RawCluster, node: string, salt: number, nodeEgress: 'allow' | 'enforce'): number {
  const pipeline = compiled(cluster, node, { nodeEgress, ...(salt % 3 === 0 ? BY_ADDRESS : {}) })
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

/** Whoever loses something by going from one state to the other is among the losses; says how many packets were lost. */
function checkLosses(from: RawCluster, to: RawCluster, node: string, salt: number): number {
  const pipeline = compiled(from, node)
  const { turns } = pipeline
  const judgeNow = (): Judge => {
    assert.ok(turns.snapshot !== null)
    return new Judge(turns.plan, turns.snapshot, { nodeEgress: 'allow' })
  }
  const packets = probesOf(from, node, salt, EVERY).flatMap(({ asked }) => {
    const protocol = asked.protocol === 'ICMP' || asked.protocol === 'GRE' ? null : asked.protocol
    return [{ source: asked.source, destination: asked.destination, protocol, port: protocol === null ? 0 : asked.port }]
  })
  const before = judgeNow()
  const allowed = packets.filter((packet) => before.judge(packet).allowed)
  pipeline.push(eventsBetween(from, to).map(sourceEvent))
  pipeline.push(interfaceEvents(interfacesOf(from, node), interfacesOf(to, node)))
  pipeline.turn()
  assert.ok(pipeline.planned !== null)
  const { pods, nothing } = lossesOf(pipeline.planned, turns.plan)
  const after = judgeNow()
  const lost = allowed.map((packet) => [packet, after.judge(packet)] as const).filter(([, judgement]) => !judgement.allowed)
  for (const [packet, { egress, ingress }] of lost) {
    const losers = [egress, ingress].flatMap((side) => ('pod' in side && side.kind !== 'open' && side.kind !== 'allowed' ? [side.pod.pod] : []))
    const isFound = losers.some((uid) => pods.has(uid))
    assert.ok(!nothing && isFound, `nobody looks at ${JSON.stringify(packet)} of ${losers.join(', ')}`)
  }
  return lost.length
}

describe('losses: from one random cluster to the next (rules 78, 79)', () => {
  it('no pod that lost an allowance is left out', function () {
    this.timeout(0)
    let lost = 0
    fc.assert(
      fc.property(clusterSketch, clusterSketch, fc.nat({ max: 1000 }), (from, to, salt) => {
        // Other policies, other labels, and another cluster altogether.
        const relabelled = from.pods.map((pod, i) => (pod === null || pod.node === 1 ? pod : { ...pod, labels: to.pods[i]?.labels ?? {} }))
        for (const next of [{ ...from, policies: to.policies }, { ...from, pods: relabelled }, { ...from, namespaces: to.namespaces }, to]) lost += checkLosses(materialise(from), materialise(next), 'n1', salt)
      }),
      runs(CLUSTERS),
    )
    report('allowances that were lost', lost)
    if (runs(CLUSTERS).numRuns >= CLUSTERS) assert.ok(lost >= 500, `only ${lost} allowances were lost`)
  })
})

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
