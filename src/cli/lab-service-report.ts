// What `picket lab run` says of cases of Services: a line of JSON for programs, a line and a table for people.
//
// ScenarioRuns, TopologyAnswers -> values and text. **Invariant:** pure; a flow that is not as expected is in the table, and says so in words.
import type { FlowResult, ScenarioRun } from '../lab/run-services.ts'
import type { TopologyAnswer, TopologyCase } from '../lab/service-case-types.ts'
import { fateText } from '../lab/service-fates.ts'
import { socketText } from '../lab/wire.ts'
import { formatTable } from './output.ts'
import { valueText } from './lab-topology.ts'

/** A line of JSON. */
export function flowLine({ of, unusable }: ScenarioRun, { flow, observed }: FlowResult): object {
  const head = { scenario: of.number, flow: flow.name }
  if (observed === null) return { ...head, unusable: unusable ?? 'nothing was observed' }
  return { ...head, observed: observed.fate, masq: observed.masquerade, shares: observed.shares }
}

/** A line of JSON. */
export function topologyLine({ number }: TopologyCase, { cluster, local, all, hasAny }: TopologyAnswer): object {
  return { topology: number, cluster, local, all, hasAny }
}

/** `[3/6] ok        2  externalTrafficPolicy Local (7 flows; settle 90 ms, probe 900 ms)` */
export function scenarioLine(run: ScenarioRun, number: number, total: number): string {
  const { of, flows, unusable, settleMs, probeMs } = run
  const expected = flows.some(({ flow }) => flow.fate !== null || flow.masquerade !== null)
  const verdict = unusable !== null ? 'unusable' : wrongOf(run) > 0 ? 'MISMATCH' : expected ? 'ok' : 'observed'
  const place = `[${String(number).padStart(String(total).length)}/${total}]`
  const line = `${place} ${verdict.padEnd(8)} ${String(of.number).padEnd(3)} ${of.title} (${countOf(flows.length, 'flow')}; settle ${settleMs} ms, probe ${probeMs} ms)`
  return unusable === null ? line : `${line}\n    ${unusable}`
}

/** The flows that are not as expected, and those of which nothing is; null where there are none. */
export function flowTable({ flows, unusable }: ScenarioRun): string | null {
  const shown = flows.filter(({ flow, mismatches }) => mismatches.length > 0 || (flow.fate === null && flow.masquerade === null))
  if (unusable !== null || shown.length === 0) return null
  const rows = shown.map(({ flow, observed }) => {
    const to = `${socketText(flow.destination, flow.port)}/${flow.protocol.toLowerCase()}`
    const seen = observed === null ? '' : Object.keys(observed.shares).length > 1 ? sharesText(observed.shares) : fateText(observed.fate)
    return [flow.name, flow.source, to, seen, observed?.masquerade === true ? 'another' : observed?.masquerade === false ? 'kept' : '']
  })
  const table = formatTable(['flow', 'from', 'to', 'observed', 'source'], rows).replaceAll(/^/gm, '    ')
  return [table, ...shown.flatMap(({ flow, mismatches }) => mismatches.map((text) => `    ${flow.name}: ${text}`))].join('\n')
}

function sharesText(shares: Readonly<Record<string, number>>): string {
  return Object.entries(shares).map(([endpoint, share]) => `${endpoint} ${Math.round(share * 100)} %`).join('  ')
}

export function topologyText(one: TopologyCase, answer: TopologyAnswer, mismatches: readonly string[]): string {
  const expected = Object.keys(one.expect).length > 0
  const verdict = mismatches.length > 0 ? 'MISMATCH' : expected ? 'ok' : 'observed'
  const line = `topology ${String(one.number).padEnd(3)} ${verdict.padEnd(8)} ${one.title}`
  if (mismatches.length > 0) return [line, ...mismatches.map((text) => `    ${text}`)].join('\n')
  return expected ? line : `${line}\n    cluster: ${valueText(answer.cluster)}; local: ${valueText(answer.local)}; all: ${valueText(answer.all)}; any: ${answer.hasAny}`
}

export function servicesSummary(runs: readonly ScenarioRun[], topology: { readonly cases: number; readonly wrong: number }, ms: number): string {
  const flows = runs.reduce((sum, run) => sum + run.flows.length, 0)
  const bad = runs.filter((run) => run.unusable !== null || wrongOf(run) > 0).length
  const unusable = runs.filter((run) => run.unusable !== null).length
  const parts = [
    ...(runs.length > 0 ? [`${runs.length - bad} of ${countOf(runs.length, 'scenario')} as expected (${countOf(flows, 'flow')})`] : []),
    ...(topology.cases > 0 ? [`${topology.cases - topology.wrong} of ${countOf(topology.cases, 'topology case')} as expected`] : []),
    ...(unusable > 0 ? [`${unusable} unusable`] : []),
  ]
  return `${parts.join(', ')}; ${(ms / 1000).toFixed(1)} s`
}

function wrongOf({ flows }: ScenarioRun): number {
  return flows.filter(({ mismatches }) => mismatches.length > 0).length
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
