// The policy cases on a real cluster: written through the API, probed between real pods, both families, TCP and UDP.
//
// SCTP is the lab's. The nine pods of the cases are made once; their addresses are what the network plugin gave them, so
// that the cases' ipBlocks are told in those. **Invariant:** what a step expects is looked at only after everything about
// it was observed, with every agent settled on the step's last version.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { parseCases } from '../../src/lab/cases.ts'
import { cellsOf, mismatchesOf, type Rows } from '../../src/lab/case-matrix.ts'
import type { Step } from '../../src/lab/case-types.ts'
import { applyAction, worldOf, type World } from '../../src/lab/case-world.ts'
import type { ProbeName } from '../../src/lab/probe-name.ts'
import { askRound, reaches } from '../../src/lab/round.ts'
import { settled } from './agents.ts'
import { CaseObjects } from './case-objects.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { RealPods } from './pods.ts'

const FILE = 'networkpolicy.json'
const CASES = parseCases(readFileSync(new URL(`../cases/${FILE}`, import.meta.url), 'utf8'), FILE)

describe('policy cases on a real cluster', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let pods: RealPods
  let objects: CaseObjects

  before(async () => {
    cluster = await openCluster(() => undefined)
    pods = await RealPods.open(cluster.nodes)
    objects = new CaseObjects(pods, cluster.nodes)
    const [first] = CASES
    assert.ok(first !== undefined)
    await objects.start(first)
  })

  after(async () => {
    await objects?.end()
    await pods?.close()
  })

  it('there are at least 40 of them', () => assert.ok(CASES.length >= 40))

  for (const one of CASES) {
    it(`${one.id}: ${one.title}`, async () => {
      let serial = 0
      let world = worldOf(one, () => String(serial++))
      await settled(cluster.nodes, await objects.become(world))
      for (const [index, step] of one.steps.entries()) {
        for (const action of step.actions) world = applyAction(world, action, one)
        await settled(cluster.nodes, await objects.become(world))
        const observed = await observe(step, world)
        const wanted = { ...step, expect: new Map([...(step.expect ?? [])].filter(([name]) => !name.includes('SCTP'))) }
        const mismatches = mismatchesOf(wanted, observed)
        assert.deepEqual(mismatches.slice(0, 5), [], `step ${index}: ${mismatches.length} mismatches`)
      }
    })
  }

  async function observe(step: Step, world: World): Promise<Rows> {
    const names = [...(step.expect?.keys() ?? [])].filter((name) => !name.includes('SCTP')) as ProbeName[]
    const cells = cellsOf(names, step.pods, objects.inReality(world), (key) => pods.get(key).node)
    const round = await askRound(pods.prober, cells.map((cell) => cell.question))
    assert.ok(round.kind === 'measured', round.kind === 'unusable' ? round.reason : '')
    const reached = new Set(cells.flatMap(({ probe, row, column, question }, at) => (reaches(round.results[at], question.to) ? [`${probe} ${row} ${column}`] : [])))
    const rowOf = (name: ProbeName, row: number): string => step.pods.map((_, column) => (reached.has(`${name} ${row} ${column}`) ? '1' : '0')).join('')
    return Object.fromEntries(names.map((name) => [name, step.pods.map((_, row) => rowOf(name, row))]))
  }
})

