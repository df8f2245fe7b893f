// The matrix of a step: which questions fill its cells, and where it is not what was expected.
//
// (step, world) -> cells; (step, observed rows) -> mismatches. **Invariant:** a cell that cannot be asked, because one
// of its pods lacks the family, is "0".
import { familyOf, FAMILIES, type Address, type Family } from '../model/ip.ts'
import type { Step } from './case-types.ts'
import type { World, WorldPod } from './case-world.ts'
import { parseProbeName, probeName, type Probe, type ProbeName } from './probe-name.ts'
import type { Question } from './round.ts'

export interface Mismatch {
  readonly from: string
  readonly to: string
  readonly probe: ProbeName
  /** `1` or `0`, as in the matrix. */
  readonly expected: string
  readonly observed: string
}

export type Rows = Readonly<Record<ProbeName, readonly string[]>>

/** What a step asks: the probes that it expects something of; without expectations all families and all ports of its pods. */
export function probesOf(step: Step, world: World): readonly ProbeName[] {
  if (step.expect !== null) return [...step.expect.keys()]
  const pods = step.pods.map((key) => world.pods.get(key) as WorldPod)
  const families = FAMILIES.filter((family) => pods.some((pod) => pod.addresses.some((one) => familyOf(one) === family)))
  const ports = new Map(pods.flatMap((pod) => pod.ports).map((one) => [`${one.port}/${one.protocol}`, one]))
  return families.flatMap((family) => [...ports.values()].map(({ protocol, port }) => probeName({ family, protocol, port })))
}

export interface Cell {
  readonly probe: ProbeName
  readonly row: number
  readonly column: number
  readonly question: Question
}

/** Each cell that can be asked: both pods have the family. The others stay "0". */
export function cellsOf(names: readonly ProbeName[], keys: readonly string[], world: World, nodeOf: (key: string) => string | null): readonly Cell[] {
  const pods = keys.map((key) => ({ key, pod: world.pods.get(key) as WorldPod, node: nodeOf(key) }))
  const cells: Cell[] = []
  for (const probe of names) {
    const { family, protocol, port } = parseProbeName(probe) as Probe
    for (const [row, from] of pods.entries()) {
      if (addressOf(from.pod, family) === null) continue
      for (const [column, to] of pods.entries()) {
        const address = addressOf(to.pod, family)
        if (address === null) continue
        // A port that the pod does not serve has no control: its own node could not reach it either.
        const served = to.pod.ports.some((one) => one.protocol === protocol && one.port === port)
        const party = { key: to.key, node: served ? to.node : null }
        cells.push({ probe, row, column, question: { from: { kind: 'pod', key: from.key }, fromNode: from.node, to: party, address, protocol, port } })
      }
    }
  }
  return cells
}

function addressOf(pod: WorldPod, family: Family): Address | null {
  return pod.addresses.find((one) => familyOf(one) === family) ?? null
}

export function mismatchesOf(step: Step, observed: Rows): readonly Mismatch[] {
  const found: Mismatch[] = []
  for (const [probe, rows] of step.expect ?? []) {
    for (const [row, text] of rows.entries()) {
      for (const [column, expected] of [...text].entries()) {
        const seen = observed[probe]?.[row]?.[column] ?? '0'
        if (seen !== expected) found.push({ from: step.pods[row] as string, to: step.pods[column] as string, probe, expected, observed: seen })
      }
    }
  }
  return found
}
