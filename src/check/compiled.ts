// Objects -> the plan that enforces them, compiled once and for every pod: what a cluster's policies come to.
//
// The same inbox, store and plan as the agent's, for all nodes at once, and with pods known by their addresses alone.
// **Invariant:** nothing here reads the specification: what a policy means is what the agent would enforce.
import type { Problem } from '../lib/problem.ts'
import { KINDS, type SourceEvent } from '../model/changes.ts'
import type { PlanDelta } from '../policy/plan.ts'
import { PolicyPlan } from '../policy/step.ts'
import { Inbox } from '../store/inbox.ts'
import type { Snapshot, SnapshotDelta } from '../store/snapshot.ts'
import { Store } from '../store/store.ts'

export interface Compiled {
  readonly snapshot: Snapshot
  readonly plan: PolicyPlan
  readonly delta: PlanDelta
  /** Every row as a change: snapshots cannot be listed. */
  readonly rows: SnapshotDelta
  /** Of the objects. */
  readonly problems: readonly Problem[]
}

/** `nodeName` null: for every pod. Never throws for what the objects say. */
export function compile(events: readonly SourceEvent[], nodeName: string | null = null): Compiled {
  const inbox = new Inbox(() => undefined)
  for (const event of events) inbox.push(event)
  for (const kind of KINDS) inbox.push({ verb: 'synced', kind })
  const turn = new Store().apply(inbox.drain())
  const plan = new PolicyPlan({
    isLocal: (pod) => nodeName === null || pod.node === nodeName,
    nodeName,
    podInterfaces: [],
    podAttachment: nodeName === null ? 'address' : 'auto',
    sourcePrefixNamespaces: [],
  })
  const delta = plan.step(turn.snapshot, turn.delta)
  const problems = [...turn.problems.values(), ...delta.problems.values()].flatMap(({ after }) => after ?? [])
  return { snapshot: turn.snapshot, plan, delta, rows: turn.delta, problems }
}
