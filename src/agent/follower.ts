// What the agent starts beside its loop: parts that follow the plan, and parts that are ended with it.
//
// **Invariant:** a follower does nothing for a plan that the kernel does not hold yet.
import type { Revision, SourceEvent } from '../model/changes.ts'
import type { OnPlanned } from './turn.ts'

export interface PlanFollower {
  /** What sources say, as it comes, before a turn takes it in. */
  arrived?(events: readonly SourceEvent[]): void
  readonly planned: OnPlanned
  /** The kernel holds that revision. */
  held(revision: Revision): void
}

export interface Closable {
  close(): Promise<void>
}
