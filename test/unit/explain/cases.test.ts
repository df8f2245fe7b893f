// explain against every case of test/cases/networkpolicy.json: what the case expects of packets is what it answers.
//
// **Invariant:** each pair of pods, each family, port and protocol of each step is asked; none is left out.
import assert from 'node:assert/strict'
import type { Flow, Half, Leg } from '../../../src/explain/answer.ts'
import { Judge } from '../../../src/policy/judge.ts'
import { CaseCluster, policyCases } from '../../support/case-cluster.ts'
import { asked, worldOf } from '../../support/explain-world.ts'
import type { World } from '../../../src/explain/world.ts'
import type { Protocol } from '../../../src/model/objects.ts'

interface Counts {
  asked: number
  denied: number
}

/** Every isolating policy is named, and of each rule why it did not allow this. */
function checkDenial(world: World, half: Half, title: string): void {
  if (half.kind !== 'denied') return
  assert.ok(half.isolatedBy.length > 0, title)
  const rules = half.isolatedBy.flatMap(({ namespace, name }) => {
    const policy = [...world.snapshot.policies.where('namespace', namespace)].find((one) => one.name === name)
    return policy?.[half.text.includes('for ingress') ? 'ingress' : 'egress'].map(({ index }) => `${name}[${index}]`) ?? []
  })
  assert.deepEqual(half.nearest.map(({ rule }) => `${rule.name}[${rule.index}]`).sort(), rules.sort(), title)
  for (const { rule, why } of half.nearest) {
    assert.ok(why.length > 0, title)
    assert.deepEqual(why.filter(({ kind }) => kind === 'compiled'), [], `${title}: ${rule.text}`)
  }
}

/** The judge by itself, with the plans of both nodes. */
function judged(world: World, leg: Leg, source: string, protocol: Protocol): boolean {
  const packet = { source, destination: leg.destination.address, protocol, port: leg.port }
  const pods = [source, leg.destination.address].flatMap((address) => [...world.snapshot.pods.where('address', address)])
  return pods.every((pod) => new Judge(world.planFor(pod), world.snapshot, { nodeEgress: 'allow' }).judge(packet).allowed)
}

function checkFlow(world: World, flow: Flow, expected: boolean, title: string, counts: Counts): void {
  const [leg] = flow.legs
  assert.ok(leg !== undefined && flow.legs.length === 1, title)
  assert.equal(flow.verdict, expected ? 'allowed' : 'denied', title)
  assert.equal(judged(world, leg, flow.source, flow.protocol), expected, `${title}: the judge`)
  checkDenial(world, leg.egress, title)
  checkDenial(world, leg.ingress, title)
  counts.asked++
  if (!expected) counts.denied++
}

function checkStep(cluster: CaseCluster, pods: readonly string[], expect: Readonly<Record<string, readonly string[]>>, id: string, counts: Counts): void {
  const world = worldOf(cluster.objects.values())
  const ports = [...new Set(Object.keys(expect).map((key) => key.split(' ')[1] as string))]
  pods.forEach((from, i) => pods.forEach((to, j) => ports.forEach((port) => {
    const { flows } = asked(world, from, to, port)
    assert.equal(flows.length, Object.keys(expect).length / ports.length)
    for (const flow of flows) checkFlow(world, flow, expect[`v${flow.family} ${port}`]?.[i]?.[j] === '1', `${id}: ${from} -> ${to} v${flow.family} ${port}`, counts)
  })))
}

describe('explain: the cases of test/cases/networkpolicy.json', () => {
  it('answers every pair, family, port and protocol as the case expects, with a reason for each rule that denies', function () {
    this.timeout(0)
    const counts = { asked: 0, denied: 0 }
    for (const one of policyCases()) {
      const cluster = new CaseCluster(one)
      one.steps.forEach(({ actions, pods, expect }, step) => {
        for (const action of actions) cluster.play(action)
        checkStep(cluster, pods, expect, `${one.id}, step ${step}`, counts)
      })
    }
    assert.ok(counts.asked > 50_000, `only ${counts.asked} questions`)
    assert.ok(counts.denied > 10_000, `only ${counts.denied} denials`)
  })
})
