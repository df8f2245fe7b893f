// explain against every case of test/cases/networkpolicy.json: what the case expects of packets is what it answers.
//
// **Invariant:** each pair of pods, each family, port and protocol of each step is asked; none is left out.
import assert from 'node:assert/strict'
import type { Flow, Half, Leg } from '../../../src/explain/answer.ts'
import { Judge } from '../../../src/policy/judge.ts'
import { CaseCluster, policyCases } from '../../support/case-cluster.ts'
import { asked, worldOf } from '../../support/explain-world.ts'
import type { Planned } from '../../../src/explain/planned.ts'
import type { World } from '../../../src/explain/world.ts'
import type { Pod, Protocol } from '../../../src/model/objects.ts'
import type { Profile, ProfileId } from '../../../src/policy/plan.ts'
import type { PolicyPlan } from '../../../src/policy/step.ts'

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

/** The same world, with every compiled rule changed. */
function withRules(world: World, change: (rules: Profile['rules']) => Profile['rules']): Planned {
  const planFor = (pod: Pod): PolicyPlan => {
    const plan = world.planFor(pod)
    const profiles = replaced(plan.profiles, 'get', (id: ProfileId) => {
      const profile = plan.profiles.get(id)
      return profile && { ...profile, rules: change(profile.rules) }
    })
    return replaced(plan, 'profiles', profiles)
  }
  return { snapshot: world.snapshot, settings: world.settings, entrance: null, planFor, servicesOn: (node) => world.servicesOn(node), problemsOf: (objects) => world.problemsOf(objects) }
}

function replaced<T extends object, K extends keyof T>(of: T, name: K, value: T[K]): T {
  const own = (found: unknown): unknown => (typeof found === 'function' ? (found.bind(of) as unknown) : found)
  return new Proxy(of, { get: (_, asked) => (asked === name ? value : own(Reflect.get(of, asked, of))) })
}

/** Each half that a rule allowed is denied without rules, and each that was denied is allowed by one of everything. */
function checkChanged(world: World, pods: readonly string[], title: string): number {
  const none = withRules(world, () => [])
  const all = withRules(world, (rules) => rules.map((rule) => ({ ...rule, ports: 'all', peers: 'all' })))
  const kinds = (planned: Planned, from: string, to: string): readonly string[] => asked(planned, from, to, '80/TCP').flows.flatMap(({ legs }) => legs.flatMap(({ egress, ingress }) => [egress.kind, ingress.kind]))
  let changed = 0
  for (const from of pods) {
    for (const to of pods) {
      const now = kinds(world, from, to)
      const [without, withAll] = [kinds(none, from, to), kinds(all, from, to)]
      assert.deepEqual(without, now.map((kind) => (kind === 'allowed' ? 'denied' : kind)), `${title}: ${from} -> ${to} without rules`)
      // A profile without rules denies, whatever its rules would say.
      withAll.forEach((kind, at) => assert.ok(kind === now[at] || (now[at] === 'denied' && kind === 'allowed'), `${title}: ${from} -> ${to}: ${now[at]}, with rules of everything ${kind}`))
      changed += now.filter((kind, at) => kind !== without[at]).length + now.filter((kind, at) => kind !== withAll[at]).length
    }
  }
  return changed
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

  it('answers otherwise as soon as the compiled rules are others, though the policies are the same', function () {
    this.timeout(0)
    let changed = 0
    for (const one of policyCases()) {
      const cluster = new CaseCluster(one)
      for (const { actions } of one.steps) for (const action of actions) cluster.play(action)
      changed += checkChanged(worldOf(cluster.objects.values()), one.steps.at(-1)?.pods ?? [], one.id)
    }
    assert.ok(changed > 2_000, `only ${changed} halves changed`)
  })
})
