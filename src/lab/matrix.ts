// Who reaches whom: the questions of a matrix, and its cells from their answers.
//
// Parties and a port -> questions -> cells; playground.ts asks them. **Invariant:** a cell says null where nothing was
// asked: the two have no family in common, or the destination does not serve the port.
import { familyOf, FAMILIES, type Address, type Family } from '../model/ip.ts'
import { portText, type Port } from './probe-name.ts'
import { reaches, type Party, type Question } from './round.ts'
import type { ProbeResult, ProbeSource } from './testbed.ts'

/** Somebody who sends and is sent to: a pod, a node or the outside host. */
export interface Somebody {
  /** As people write it: `shop/web`, `node:n1`, `outside`. */
  readonly label: string
  readonly source: ProbeSource
  readonly party: Party
  readonly addresses: readonly Address[]
  /** What it serves. */
  readonly ports: readonly Port[]
}

export interface MatrixCell {
  readonly from: string
  readonly to: string
  /** `8080/tcp` */
  readonly port: string
  /** In every family that was asked; null where none was. */
  readonly reaches: boolean | null
  readonly v4: boolean | null
  readonly v6: boolean | null
}

interface Place {
  readonly from: Somebody
  readonly to: Somebody
  readonly port: Port
}

/** The port that a destination is asked on if none is said: the first that it serves. */
function portOf(to: Somebody, port: Port | null): Port | null {
  return port ?? to.ports[0] ?? null
}

export function serves(to: Somebody, port: Port): boolean {
  return to.ports.some((one) => one.port === port.port && one.protocol === port.protocol)
}

/** One question a family that both have. */
export function questionsBetween(from: Somebody, to: Somebody, port: Port): readonly (Question & { readonly family: Family })[] {
  return to.addresses.flatMap((address) => {
    const family = familyOf(address)
    if (!from.addresses.some((one) => familyOf(one) === family)) return []
    return [{ from: from.source, fromNode: from.source.kind === 'pod' ? from.party.node : null, to: to.party, address, ...port, family }]
  })
}

export interface MatrixPlan {
  readonly questions: readonly Question[]
  /** The cells, row by row, from the questions' results. */
  readonly cells: (results: readonly ProbeResult[]) => readonly MatrixCell[]
}

/** `port` null: each destination on the first port that it serves. */
export function planMatrix(rows: readonly Somebody[], columns: readonly Somebody[], port: Port | null): MatrixPlan {
  const places: Place[] = []
  for (const from of rows) {
    for (const to of columns) {
      const asked = portOf(to, port)
      if (asked !== null) places.push({ from, to, port: asked })
    }
  }
  const asked = places.map(({ from, to, port: one }) => (serves(to, one) ? questionsBetween(from, to, one) : []))
  const cells = (results: readonly ProbeResult[]): readonly MatrixCell[] => {
    let next = 0
    return places.map(({ from, to, port: one }, index) => {
      const by: Record<Family, boolean | null> = { 4: null, 6: null }
      for (const question of asked[index] ?? []) by[question.family] = reaches(results[next++], question.to)
      const known = FAMILIES.map((family) => by[family]).filter((value) => value !== null)
      return { from: from.label, to: to.label, port: portText(one), reaches: known.length === 0 ? null : known.every(Boolean), v4: by[4], v6: by[6] }
    })
  }
  return { questions: asked.flat(), cells }
}
