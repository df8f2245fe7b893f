// One policy case on the pods of a real cluster.
//
// The pods' addresses are what the network plugin gave them, so the cases' ipBlocks are told in those. **Invariant:** what
// a step expects is looked at only after everything about it was observed, with every agent settled on the step's last
// version.
import assert from 'node:assert/strict'
import { cellsOf, mismatchesOf, type Rows } from '../../src/lab/case-matrix.ts'
import type { PolicyCase, Step } from '../../src/lab/case-types.ts'
import { applyAction, worldOf, type World } from '../../src/lab/case-world.ts'
import type { ProbeName } from '../../src/lab/probe-name.ts'
import { askRound, reaches } from '../../src/lab/round.ts'
import { settled } from './agents.ts'
import type { CaseObjects } from './case-objects.ts'
import type { NodePlace } from './layout.ts'
import type { RealPods } from './pods.ts'

/** AssertionError with the first five cells that are not as the case says; SCTP's are left out. */
export async function runCase(one: PolicyCase, objects: CaseObjects, pods: RealPods, nodes: readonly NodePlace[]): Promise<void> {
  let serial = 0
  let world = worldOf(one, () => String(serial++))
  await settled(nodes, await objects.become(world))
  for (const [index, step] of one.steps.entries()) {
    for (const action of step.actions) world = applyAction(world, action, one)
    await settled(nodes, await objects.become(world))
    const observed = await observe(step, objects.inReality(world), pods)
    const wanted = { ...step, expect: new Map([...(step.expect ?? [])].filter(([name]) => !name.includes('SCTP'))) }
    const mismatches = mismatchesOf(wanted, observed)
    assert.deepEqual(mismatches.slice(0, 5), [], `step ${index}: ${mismatches.length} mismatches`)
  }
}

async function observe(step: Step, world: World, pods: RealPods): Promise<Rows> {
  const names = [...(step.expect?.keys() ?? [])].filter((name) => !name.includes('SCTP')) as ProbeName[]
  const cells = cellsOf(names, step.pods, world, (key) => pods.get(key).node)
  const round = await askRound(pods.prober, cells.map((cell) => cell.question))
  assert.ok(round.kind === 'measured', round.kind === 'unusable' ? round.reason : '')
  const reached = new Set(cells.flatMap(({ probe, row, column, question }, at) => (reaches(round.results[at], question.to) ? [`${probe} ${row} ${column}`] : [])))
  const rowOf = (name: ProbeName, row: number): string => step.pods.map((_, column) => (reached.has(`${name} ${row} ${column}`) ? '1' : '0')).join('')
  return Object.fromEntries(names.map((name) => [name, step.pods.map((_, row) => rowOf(name, row))]))
}
