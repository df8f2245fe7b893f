// What `picket lab run` says to people: a line a case, the matrices that were not as expected, a summary.
//
// StepResults -> text. **Invariant:** pure; a wrong cell is marked so that it can be read without colours.
import type { CaseRun } from '../lab/run-cases.ts'
import { formatTable } from './output.ts'

/** `[ 3/112] ok        g3     allow from namespace` */
export function caseLine(runs: readonly CaseRun[], number: number, total: number): string {
  const [{ of }] = runs as [CaseRun]
  const mismatches = runs.reduce((sum, { result }) => sum + result.mismatches.length, 0)
  const unusable = runs.find(({ result }) => result.unusable !== undefined)
  const expected = runs.some(({ step }) => step.expect !== null)
  const verdict = unusable !== undefined ? 'unusable' : mismatches > 0 ? 'MISMATCH' : expected ? 'ok' : 'observed'
  const place = `[${String(number).padStart(String(total).length)}/${total}]`
  const times = `settle ${runs.map(({ result }) => result.settle_ms).join('+')} ms, probe ${runs.map(({ result }) => result.probe_ms).join('+')} ms`
  const why = unusable === undefined ? '' : `\n    step ${unusable.result.step}: ${unusable.result.unusable}`
  return `${place} ${verdict.padEnd(8)} ${of.id.padEnd(6)} ${of.title} (${times})${why}`
}

/** The matrices of a step that are not as expected; all of them where nothing was expected. Equal ones are shown once. */
export function mismatchTables({ result, step }: CaseRun): readonly string[] {
  const wrong = new Set(result.mismatches.map((one) => `${one.probe} ${one.from} ${one.to}`))
  const byText = new Map<string, { readonly names: string[]; readonly rows: readonly (readonly string[])[]; readonly count: number }>()
  for (const [name, observed] of Object.entries(result.observed ?? {})) {
    const count = result.mismatches.filter((one) => one.probe === name).length
    if (step.expect !== null && count === 0) continue
    const rows = observed.map((row, index) => {
      const from = step.pods[index] as string
      return [`${index + 1} ${from}`, ...[...row].map((cell, column) => (wrong.has(`${name} ${from} ${step.pods[column]}`) ? `${cell}!` : cell))]
    })
    const text = JSON.stringify(rows)
    const same = byText.get(text)
    if (same === undefined) byText.set(text, { names: [name], rows, count })
    else same.names.push(name)
  }
  return [...byText.values()].map(({ names, rows, count }) => {
    const title = `  step ${result.step}, ${names.join(', ')}${count === 0 ? '' : `: ${count} of ${step.pods.length ** 2} cells are not as expected (marked !)`}`
    const table = formatTable(['from \\ to', ...step.pods.map((_, index) => String(index + 1))], rows)
    return `${title}\n${table.replaceAll(/^/gm, '    ')}`
  })
}

/** What the agents reported at that step, a line each. */
export function problemLines({ result, problems }: CaseRun): readonly string[] {
  return problems.map((one) => `    step ${result.step}: ${one}`)
}

export function summaryOf(runs: readonly CaseRun[], ms: number): string {
  const cases = new Set(runs.map((one) => one.of))
  const bad = new Set(runs.filter(({ result }) => result.unusable !== undefined || result.mismatches.length > 0).map((one) => one.of))
  const unusable = runs.filter(({ result }) => result.unusable !== undefined).length
  const mismatches = runs.reduce((sum, { result }) => sum + result.mismatches.length, 0)
  const probes = runs.reduce((sum, { result, step }) => sum + Object.keys(result.observed ?? {}).length * step.pods.length ** 2, 0)
  const parts = [
    `${cases.size - bad.size} of ${cases.size} cases as expected`,
    ...(mismatches > 0 ? [`${mismatches} mismatches`] : []),
    ...(unusable > 0 ? [`${unusable} unusable steps`] : []),
  ]
  const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
  const times = `median settle ${median(runs.map(({ result }) => result.settle_ms))} ms, probe ${median(runs.map(({ result }) => result.probe_ms))} ms`
  return `${parts.join(', ')}; ${probes} probes in ${runs.length} steps, ${(ms / 1000).toFixed(1)} s; ${times}`
}
