// How the audit is -> the condition AuditHealthy of the node's NodeEnforcement, and problems.
//
// **Invariant:** True only while the kernel's log is read and nothing of it is lost; the message says what to do. What is enforced never
// depends on it.
import type { Condition } from '../crd/shared.ts'
import type { Problem } from '../lib/problem.ts'

export type AuditHealth = Omit<Condition, 'type' | 'lastTransitionTime'>

export interface AuditFacts {
  /** Why the kernel takes no log rule; null: it does. */
  readonly cannotLog: string | null
  readonly reader: ReaderState
  /** Sinks that cannot write now, with why. */
  readonly failedSinks: readonly { readonly name: string; readonly failure: string }[]
  /** Milliseconds since packets were lost between the kernel's log and a record; Infinity: never. */
  readonly sinceLoss: number
}

export type ReaderState = { readonly kind: 'starting' } | { readonly kind: 'reading' } | { readonly kind: 'failed'; readonly code: string; readonly message: string }

/** So long a loss is told: the node's status is not written at every burst. Milliseconds. */
export const LOSS_TOLD_MS = 300_000

/** Null: it begins, and nothing is known yet. */
export function auditHealth({ cannotLog, reader, failedSinks, sinceLoss }: AuditFacts): AuditHealth | null {
  if (cannotLog !== null) return { status: 'False', reason: 'CannotLog', message: `the kernel takes no log rule: ${cannotLog}; load the module nfnetlink_log and start the agent again` }
  if (reader.kind === 'starting') return null
  if (reader.kind === 'failed') return { status: 'False', reason: reader.code, message: reader.message }
  const [sink, ...others] = failedSinks
  if (sink !== undefined) return { status: 'False', reason: 'SinkFailed', message: `${sink.name}: ${sink.failure}${others.length === 0 ? '' : ` (and ${others.length} more)`}` }
  if (sinceLoss < LOSS_TOLD_MS) return { status: 'False', reason: 'Losing', message: 'packets were logged and lost before they were read or told in the last five minutes: records of type lost say how many; log less (auditLog, auditNodeLimit), or give the agent more CPU' }
  return { status: 'True', reason: 'Reading', message: '' }
}

/** Of what the condition says. */
export function auditProblems(nodeName: string, health: AuditHealth | null): readonly Problem[] {
  // CannotLog is told by whoever found it out (log-probe.ts).
  if (health?.status !== 'False' || health.reason === 'CannotLog' || health.reason === 'Losing') return []
  const code = health.reason === 'SinkFailed' ? 'AuditSinkFailed' : health.reason
  return [Object.freeze({ code, severity: 'warning', object: `node ${nodeName}`, message: `audit: ${health.message}; what policies say is enforced all the same` })]
}
