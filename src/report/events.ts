// What people hear as Events: how a policy's, or a node's, status was written before and is written now -> the events that follow.
//
// An Event is news and is forgotten within an hour; the status is the truth and has all of it. Both statuses are as the API has
// them, so that neither another operator nor a relist tells anything twice.
// **Invariant:** what is told follows from the two statuses alone; of one generation of a policy Programmed is told once, since the
// status itself remembers it (programmedGeneration).
import type { PolicyEnforcementStatus } from '../crd/policy-enforcement.ts'
import type { Condition } from '../crd/shared.ts'
import { byText } from '../lib/sorting.ts'

export type EventReason = 'Invalid' | 'ProgrammingFailed' | 'Programmed' | 'NotEnforced'

/** What it is about. */
export interface Regarding {
  readonly apiVersion: string
  readonly kind: 'NetworkPolicy' | 'Node'
  /** Null where it has none. */
  readonly namespace: string | null
  readonly name: string
  readonly uid: string
  /** Empty where it is not known. */
  readonly resourceVersion: string
}

export interface WantedEvent {
  readonly regarding: Regarding
  readonly type: 'Normal' | 'Warning'
  readonly reason: EventReason
  /** What was done, or failed, in one word for programs. */
  readonly action: string
  readonly note: string
  /** Of one object and reason: with the same one it is the same event once more. */
  readonly key: string
}

type Standing = Pick<PolicyEnforcementStatus, 'policyGeneration' | 'policyRef' | 'programmedGeneration' | 'conditions'>

const NAMED_NODES = 3
/** Of one node's message, so that three of them fit. */
const NODE_MESSAGE = 200

/** The status as it is to be written: with the last generation that was ever programmed. `written`: what is there now. */
export function remembered(written: Standing | null, wanted: PolicyEnforcementStatus): PolicyEnforcementStatus {
  const before = written?.policyRef.uid === wanted.policyRef.uid ? lastProgrammed(written) : undefined
  const last = lastProgrammed(wanted) ?? before
  return last === undefined ? wanted : { ...wanted, programmedGeneration: last }
}

/** `before` null: there was no status. */
export function eventsOf(before: Standing | null, after: PolicyEnforcementStatus, namespace: string): readonly WantedEvent[] {
  const { name, uid, resourceVersion } = after.policyRef
  const old = before?.policyRef.uid === uid ? before : null
  const regarding: Regarding = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', namespace, name, uid, resourceVersion }
  return [invalid(old, after), failed(old, after), programmed(old, after)].flatMap((event) => (event === null ? [] : [{ regarding, ...event }]))
}

type Event = Omit<WantedEvent, 'regarding'>

/** Another message is news too: somebody corrected one mistake, and there is another. */
function invalid(before: Standing | null, after: Standing): Event | null {
  const accepted = conditionOf(after, 'Accepted')
  const old = conditionOf(before, 'Accepted')
  if (accepted?.status !== 'False' || (old?.status === 'False' && old.message === accepted.message)) return null
  return { type: 'Warning', reason: 'Invalid', action: 'Accept', note: accepted.message, key: accepted.message }
}

/** One series whatever the generation, for as long as nodes give the same reasons. */
function failed(before: Standing | null, after: PolicyEnforcementStatus): Event | null {
  const isFailing = (status: Standing | null): boolean => conditionOf(status, 'Programmed')?.reason === 'NodeFailures'
  if (!isFailing(after) || (isFailing(before) && before?.policyGeneration === after.policyGeneration)) return null
  const { nodes, failedNodes, policyGeneration } = after
  const named = failedNodes.slice(0, NAMED_NODES).map(({ name, reason, message }) => `${name} (${reason}: ${message.length > NODE_MESSAGE ? `${message.slice(0, NODE_MESSAGE)}...` : message})`)
  const more = nodes.failed - named.length
  const note = `${nodes.failed} of ${nodes.desired} nodes cannot enforce generation ${policyGeneration}: ${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
  const reasons = [...new Set(failedNodes.map(({ reason }) => reason))].sort(byText)
  return { type: 'Warning', reason: 'ProgrammingFailed', action: 'Program', note, key: reasons.join(' ') }
}

function programmed(before: Standing | null, after: PolicyEnforcementStatus): Event | null {
  const { policyGeneration, nodes, timeToEnforce, summary } = after
  if (conditionOf(after, 'Programmed')?.status !== 'True' || lastProgrammed(before) === policyGeneration) return null
  const told = timeToEnforce === undefined ? '' : ` in ${summary.timeToEnforce}`
  const done = nodes.desired === 0 ? 'no node has a pod that it selects' : `${summary.nodes} nodes enforce it${told}`
  const rest = conditionOf(after, 'Accepted')?.status === 'False' ? '; it is not accepted as it is written' : ''
  return { type: 'Normal', reason: 'Programmed', action: 'Program', note: `generation ${policyGeneration}: ${done}${rest}`, key: String(policyGeneration) }
}

/** A status of an operator that did not remember it says it by its condition. */
function lastProgrammed(status: Standing | null): number | undefined {
  return conditionOf(status, 'Programmed')?.status === 'True' ? status?.policyGeneration : status?.programmedGeneration
}

/** In the order in which they are told; the operator's own is the first. */
const OF_NODE = ['Reporting', 'Ready', 'Programmed', 'TableIntact'] as const

/** Conditions of a NodeEnforcement. `before` null: there was none; of one that is not known, tell nothing. */
export function nodeEventsOf(before: readonly Condition[] | null, after: readonly Condition[], node: { readonly name: string; readonly uid: string }): readonly WantedEvent[] {
  const isFalse = (conditions: readonly Condition[] | null, type: string): boolean => conditions?.find((one) => one.type === type)?.status === 'False'
  const begun = OF_NODE.filter((type) => isFalse(after, type) && !isFalse(before, type)).flatMap((type) => after.filter((one) => one.type === type))
  if (begun.length === 0) return []
  const note = begun.map(({ type, reason, message }) => `${type === 'Reporting' ? 'the node does not report' : `${type} is False`} (${reason})${message === '' ? '' : `: ${message}`}`).join('; ')
  const regarding: Regarding = { apiVersion: 'v1', kind: 'Node', namespace: null, ...node, resourceVersion: '' }
  return [{ regarding, type: 'Warning', reason: 'NotEnforced', action: 'Enforce', note, key: begun.map(({ type, reason }) => `${type}/${reason}`).join(' ') }]
}

function conditionOf(status: Pick<Standing, 'conditions'> | null, type: string): Condition | undefined {
  return status?.conditions.find((one) => one.type === type)
}
