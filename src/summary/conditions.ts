// The conditions of a policy, and of a node: which status and reason applies, and since when it is so.
//
// **Invariant:** a status that stays keeps its time, whatever its reason and message become; another generation that is programmed
// counts as a new time, even where nobody saw it not programmed.
import type { Condition } from '../crd/shared.ts'
import { MESSAGE_LENGTH } from '../crd/shared.ts'
import type { NodeCounts } from '../crd/policy-enforcement.ts'
import type { Problem } from '../lib/problem.ts'
import { clipped } from '../lib/clipped.ts'
import { byText } from '../lib/sorting.ts'
import type { NodeReport } from './node-report.ts'
import type { Places } from './places.ts'

type Said = Omit<Condition, 'lastTransitionTime' | 'type'>

/** RFC 3339 in whole seconds: `2026-01-31T12:00:00Z`. */
export type Time = string

export interface Liveness {
  readonly isAlive: boolean
  /** `AgentReady`; else why it counts as silent: `AgentNotReady`, `NodeNotReady`. */
  readonly reason: string
  readonly message: string
}

const UNHEARD: Liveness = { isAlive: false, reason: 'NoAgent', message: 'no agent is known to run on the node' }
const NAMED_NODES = 3

/** What is wrong with the policy itself, as the decoder tells it. */
export function acceptedOf(problems: readonly Problem[]): Said {
  const sorted = problems.toSorted((a, b) => byText(textOf(a), textOf(b)))
  const errors = sorted.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) return { status: 'False', reason: 'Invalid', message: first(errors) }
  const unknown = sorted.filter(({ code }) => code === 'UnknownField')
  if (unknown.length > 0) return { status: 'False', reason: 'Unsupported', message: first(unknown) }
  return { status: 'True', reason: 'Accepted', message: sorted.length === 0 ? '' : first(sorted) }
}

function first(problems: readonly Problem[]): string {
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
  return `${clipped(textOf(problems[0] as Problem), MESSAGE_LENGTH - more.length)}${more}`
}

function textOf({ field, message }: Problem): string {
  return field === undefined ? message : `${field}: ${message}`
}

/** "`Programmed` is the first that applies: False/NodeFailures, False/Reconciling, Unknown/NoReport, True (0 of 0 too)." */
export function programmedOf({ failed, pending, stale }: NodeCounts): Omit<Said, 'message'> {
  if (failed > 0) return { status: 'False', reason: 'NodeFailures' }
  if (pending > 0) return { status: 'False', reason: 'Reconciling' }
  if (stale > 0) return { status: 'Unknown', reason: 'NoReport' }
  return { status: 'True', reason: 'Programmed' }
}

export function programmedMessage(places: Places): string {
  const { desired, programmed, failed, pending, stale } = places.nodes
  const named = (state: 'failed' | 'pending' | 'stale'): string => {
    const nodes = places.in(state)
    const names = nodes.slice(0, NAMED_NODES).map(([name, { failure }]) => (failure === null ? name : `${name} (${failure.reason}: ${failure.message})`))
    return clipped(`${names.join(', ')}${nodes.length > NAMED_NODES ? ` and ${nodes.length - NAMED_NODES} more` : ''}`, MESSAGE_LENGTH - 100)
  }
  if (failed > 0) return `${failed} of ${desired} nodes cannot enforce it: ${named('failed')}`
  if (pending > 0) return `${pending} of ${desired} nodes have not said yet that they enforce it: ${named('pending')}`
  if (stale > 0) return `${stale} of ${desired} nodes do not report: ${named('stale')}`
  return desired === 0 ? 'no node has a pod that it selects' : `${programmed} of ${desired} nodes enforce it`
}

/** Status and reason of each condition of a policy, without times and without the message that costs something. */
export function saidOf(accepted: Said, nodes: NodeCounts): ReadonlyMap<string, Said> {
  const programmed = programmedOf(nodes)
  const said = new Map<string, Said>([['Accepted', accepted], ['Programmed', { ...programmed, message: '' }]])
  // One of the two at most: whoever waits by kstatus takes the first that it finds.
  if (accepted.status === 'False') said.set('Stalled', { status: 'True', reason: accepted.reason, message: 'the policy has to be corrected' })
  else if (nodes.failed > 0) said.set('Stalled', { status: 'True', reason: 'NodeFailures', message: 'see Programmed and failedNodes' })
  // A silent node is waited for: nobody may take it for done.
  else if (programmed.status !== 'True') said.set('Reconciling', { status: 'True', reason: programmed.reason, message: 'see Programmed' })
  return said
}

/** With times: of `before` where the status is the same, else `now`. `renewed`: types that are new whatever they were. */
export function timed(said: ReadonlyMap<string, Said>, before: readonly Condition[], now: Time, renewed: readonly string[] = []): readonly Condition[] {
  return [...said].map(([type, one]) => {
    const old = before.find((condition) => condition.type === type)
    const stays = old?.status === one.status && !renewed.includes(type)
    return { type, ...one, lastTransitionTime: stays ? old.lastTransitionTime : now }
  })
}

/** The operator's condition on a NodeEnforcement; null where it already says so. */
export function reportingOf({ reporting }: NodeReport, liveness: Liveness = UNHEARD, now: Time): Condition | null {
  const { isAlive, reason, message } = liveness
  const said = { status: isAlive ? 'True' : 'False', reason, message } as const
  if (reporting !== null && reporting.status === said.status && reporting.reason === reason && reporting.message === message) return null
  return timed(new Map([['Reporting', said]]), reporting === null ? [] : [reporting], now)[0] as Condition
}
