// How `picket check` shows what it found: one line each, by place, and a last line that adds up.
//
// **Invariant:** what is an error or a warning says what to do on the same line; the order is that of the report, worst places
// are not moved.
import { countsOf, type PlacedFinding } from '../check/finding.ts'
import { formatTable } from './output.ts'

/** Columns LEVEL, NODE, CHECK, FOUND and the sum; `-` stands for the cluster. */
export function reportText(findings: readonly PlacedFinding[]): string {
  const rows = findings.map(({ level, node, check, found, advice }) => [level, node ?? '-', check, advice === undefined ? found : `${found}; ${advice}`])
  return `${formatTable(['level', 'node', 'check', 'found'], rows)}\n\n${sum(findings)}`
}

export function sum(findings: readonly PlacedFinding[]): string {
  const { ok, warnings, errors } = countsOf(findings)
  return `${errors} ${errors === 1 ? 'error' : 'errors'}, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}, ${ok} ok`
}
