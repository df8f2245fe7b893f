// What `picket explain` says of each probe of a step, asked of the very manifests that the lab's agents read: beside what packets did.
//
// **Invariant:** it sees the folder alone, as the command does with --source manifests:DIR; a port that a pod does not serve says
// nothing, since there packets are not answered either way.
import assert from 'node:assert/strict'
import { readFolder } from '../../src/cli/explain-folder.ts'
import { explain } from '../../src/explain/explain.ts'
import { World } from '../../src/explain/world.ts'
import type { Rows } from '../../src/lab/case-matrix.ts'
import { parseProbeName, probeName, type Port } from '../../src/lab/probe-name.ts'
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
  for (const { protocol, port } of portsOf(observed)) {
    for (const [column, to] of pods.entries()) {
      if (!podOf(world, to).ports.some((one) => one.protocol === protocol && one.port === port)) continue
      for (const [row, from] of pods.entries()) {
        for (const { family, verdict } of explain(world, { from, to, ports: { port, protocol }, via: null }).flows) {
          const seen = observed[probeName({ family, protocol, port })]?.[row]?.[column]
          if (seen === undefined) continue
          compared++
          if ((verdict === 'allowed') !== (seen === '1')) wrong.push(`${from} -> ${to} v${family} ${port}/${protocol}: explain says ${verdict}, the packets ${seen}`)
        }
      }
    }
  }
  assert.deepEqual(wrong.slice(0, 5), [], `${title}: ${wrong.length} of ${compared}`)
  return compared
}

/** Each once: an answer is of both families. */
function portsOf(observed: Rows): readonly Port[] {
  const probes = Object.keys(observed).map((name) => parseProbeName(name) ?? assert.fail(name))
  return [...new Map(probes.map(({ protocol, port }) => [`${port}/${protocol}`, { protocol, port }])).values()]
}

function podOf(world: World, key: string): { readonly ports: readonly { readonly protocol: string; readonly port: number }[] } {
  const [namespace = '', name] = key.split('/')
  const pod = [...world.snapshot.pods.where('namespace', namespace)].find((one) => one.name === name)
  assert.ok(pod !== undefined, key)
  return pod
}
