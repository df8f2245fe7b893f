// What `picket explain` says of each probe of a step, asked of the very manifests that the lab's agents read: beside what packets did.
//
// **Invariant:** it sees the folder alone, as the command does with --source manifests:DIR; a port that a pod does not serve says
// nothing, since there packets are not answered either way.
import assert from 'node:assert/strict'
import { readFolder } from '../../src/cli/explain-folder.ts'
import { explain } from '../../src/explain/explain.ts'
import { World } from '../../src/explain/world.ts'
import type { Rows } from '../../src/lab/case-matrix.ts'
import { parseProbeName, type ProbeName } from '../../src/lab/probe-name.ts'
import type { StepResult } from '../../src/lab/run-cases.ts'
import { systemClock } from '../../src/lib/clock.ts'

/** While the step is the newest: the folder is as the agents had it. Resolves to how many probes it compared. */
export async function explainsAs({ observed, case: id, step }: StepResult, pods: readonly string[], manifests: string): Promise<number> {
  assert.ok(observed !== undefined)
  const { events, problems } = await readFolder(manifests, systemClock)
  assert.deepEqual(problems, [])
  return compare(new World(events), observed, pods, `${id}, step ${step}`)
}

function compare(world: World, observed: Rows, pods: readonly string[], title: string): number {
  let compared = 0
  const wrong: string[] = []
  for (const name of Object.keys(observed) as ProbeName[]) {
    const probe = parseProbeName(name)
    assert.ok(probe !== null)
    const { family, protocol, port } = probe
    const serving = pods.map((key) => podOf(world, key).ports.some((one) => one.protocol === protocol && one.port === port))
    pods.forEach((from, row) => pods.forEach((to, column) => {
      if (serving[column] !== true) return
      const flow = explain(world, { from, to, ports: { port, protocol }, via: null }).flows.find((one) => one.family === family)
      if (flow === undefined) return
      compared++
      const said = flow.verdict === 'allowed' ? '1' : '0'
      if (said !== observed[name]?.[row]?.[column]) wrong.push(`${from} -> ${to} ${name}: explain says ${flow.verdict}, the packets ${observed[name]?.[row]?.[column]}`)
    }))
  }
  assert.deepEqual(wrong.slice(0, 5), [], `${title}: ${wrong.length} of ${compared}`)
  return compared
}

function podOf(world: World, key: string): { readonly ports: readonly { readonly protocol: string; readonly port: number }[] } {
  const [namespace = '', name] = key.split('/')
  const pod = [...world.snapshot.pods.where('namespace', namespace)].find((one) => one.name === name)
  assert.ok(pod !== undefined, key)
  return pod
}
