// How `picket status` shows a cluster on one screen: counts, then what is not enforced, the worst first, then who is slow, and warnings.
//
// **Invariant:** of a cluster of any size at most a screen of lines; what is not shown is counted, with the command that shows it.
import { keyOf } from '../lib/names.ts'
import { clipped } from '../lib/clipped.ts'
import type { NotEnforced, StatusReport } from '../status/report.ts'
import { formatTable } from './output.ts'

/** Of lines, where nothing else is known of the screen. */
const USUAL_HEIGHT = 40
const MOST_FAILED_NODES = 2
const MOST_PACES = 3

export interface Screen {
  readonly width: number
  readonly height: number
}

/** A table, of which as much is shown as there is room for. */
interface Section {
  readonly headers: readonly string[]
  readonly rows: readonly (readonly (string | number)[])[]
  /** The line below it; empty for none. `shown`: rows. */
  readonly rest: (shown: number) => string
}

/** `now`: milliseconds since 1970. `screen`: null where it is none: lines may be as long as they are. */
export function reportText(report: StatusReport, now: number, screen: Screen | null): string {
  const summary = summaryOf(report)
  // In the order in which they get room; shown in this order, too.
  const sections = [policiesOf(report, now), nodesOf(report, now), warningsOf(report), pacesOf(report)].filter(({ rows }) => rows.length > 0)
  // The prompt has a line, and each section a blank one, its headers and its rest.
  const room = (screen?.height ?? USUAL_HEIGHT) - 1 - summary.length - 3 * sections.length
  const shares = sharesOf(sections.map(({ rows }) => rows.length), room)
  const parts = [summary, ...sections.map(({ headers, rows, rest }, index) => {
    const shown = shares[index] as number
    const below = shown < rows.length ? rest(shown) : ''
    return [formatTable(headers, rows.slice(0, shown)), ...(below === '' ? [] : [below])]
  })]
  const lines = parts.map((part) => part.join('\n')).join('\n\n').split('\n')
  return lines.map((line) => (screen === null ? line : clipped(line, screen.width))).join('\n')
}

/** One row for each, then what is left to the first ones. */
function sharesOf(wanted: readonly number[], room: number): readonly number[] {
  let left = room - wanted.length
  return wanted.map((rows) => {
    const more = Math.max(0, Math.min(rows - 1, left))
    left -= more
    return 1 + more
  })
}

function summaryOf({ enforced, nodes, policies, pods, scope, notEnforced }: StatusReport): readonly string[] {
  const { total, ...states } = policies
  const told = Object.entries(states).toReversed().filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}`)
  const where = [scope.namespace === null ? '' : ` in ${scope.namespace}`, scope.policy === null ? '' : ` named ${scope.policy}`].join('')
  const isUntold = total > 0 && policies.untold === total && notEnforced.every(({ reason }) => reason === 'NotTold')
  return [
    `enforced   ${enforced ? 'yes' : 'no'}`,
    `policies   ${total}${where}${told.length === 0 ? '' : `: ${told.join(', ')}`}`,
    ...(nodes === null ? ['nodes      not allowed to read them (list on nodeenforcements of the group picket.dev)'] : [`nodes      ${nodes.total}: ${nodes.reporting} reporting, ${nodes.ready} ready`]),
    ...(pods === null ? [] : [`pods       ${pods.isolated + pods.open + pods.pending}: ${pods.isolated} isolated, ${pods.open} open, ${pods.pending} pending`]),
    ...(isUntold ? ['No policy is spoken of: does the operator run? kubectl -n picket-system get deployment picket-operator'] : []),
  ]
}

function policiesOf({ notEnforced, scope }: StatusReport, now: number): Section {
  return {
    headers: ['not enforced', 'reason', 'since', 'why'],
    rows: notEnforced.map((one) => [keyOf(one), one.reason, ageOf(one.since, now), whyOf(one)]),
    rest: (shown) => `and ${notEnforced.length - shown} more: ${moreCommand(notEnforced.slice(shown), scope.namespace)}`,
  }
}

/** The namespace with most of them; in one namespace, all of them as JSON. */
function moreCommand(more: readonly NotEnforced[], namespace: string | null): string {
  if (namespace !== null) return `picket status -n ${namespace} -o json`
  const counts = new Map<string, number>()
  for (const one of more) counts.set(one.namespace, (counts.get(one.namespace) ?? 0) + 1)
  const [[most, count] = ['', 0]] = [...counts].sort(([, a], [, b]) => b - a)
  return count === more.length ? `picket status -n ${most}` : `picket status -n ${most} (${count} of them), or -o json`
}

/** The condition's message names failed nodes with what they say, a few of them; where it does not, they are named here. */
function whyOf({ message, failedNodes, moreFailedNodes }: NotEnforced): string {
  const unnamed = failedNodes.filter(({ name }) => !message.includes(name))
  if (failedNodes.length === 0 || unnamed.length < failedNodes.length) return message
  const named = unnamed.slice(0, MOST_FAILED_NODES).map(({ name, reason, message: says }) => `${name} (${reason}${says === '' ? '' : `: ${says}`})`)
  const more = failedNodes.length + moreFailedNodes - named.length
  return `${message === '' ? '' : `${message}: `}${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function nodesOf({ nodeTroubles }: StatusReport, now: number): Section {
  return {
    headers: ['node', 'condition', 'since', 'why'],
    rows: nodeTroubles.map(({ node, condition, status, since, reason, message }) => [node, `${condition}=${status}`, ageOf(since, now), `${reason}${message === '' ? '' : `: ${message}`}`]),
    rest: (shown) => `and ${nodeTroubles.length - shown} more: kubectl get nodeenf`,
  }
}

function warningsOf({ warnings, scope }: StatusReport): Section {
  return {
    headers: ['warning', 'type', 'what'],
    rows: warnings.map((one) => [keyOf(one), one.type, one.message]),
    rest: (shown) => `and ${warnings.length - shown} more: kubectl get polenf ${scope.namespace === null ? '-A' : `-n ${scope.namespace}`}`,
  }
}

function pacesOf({ paces }: StatusReport): Section {
  return {
    headers: ['slowest nodes', 'p50', 'max', 'commits'],
    rows: paces.slice(0, MOST_PACES).map(({ node, p50Ms, maxMs, commits }) => [node, `${p50Ms}ms`, `${maxMs}ms`, commits]),
    rest: () => '',
  }
}

/** As kubectl shows ages: `12s`, `5m`, `3h`, `2d`; `-` where nobody said since when. */
export function ageOf(since: string | null, now: number): string {
  const seconds = since === null ? Number.NaN : Math.max(0, Math.round((now - Date.parse(since)) / 1000))
  if (Number.isNaN(seconds)) return '-'
  const [unit, size] = ([['d', 86_400], ['h', 3600], ['m', 60], ['s', 1]] as const).find(([, least]) => seconds >= 2 * least) ?? ['s', 1]
  return `${Math.floor(seconds / size)}${unit}`
}
