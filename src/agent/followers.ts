// What is done beside the table once the kernel holds a plan: connections that are denied are cut.
//
//   turn: planned(revision, what changed) -> commit -> held(revision): the follower's part begins
//
// **Invariant:** nothing is done for a plan that the kernel does not hold yet.
import { ConntrackReader } from '../kernel/conntrack.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import type { Revision } from '../model/changes.ts'
import type { AgentConfig } from '../settings.ts'
import type { Log } from '../telemetry/log.ts'
import { Cutter } from './cutter.ts'
import type { Measures } from './measures.ts'
import type { ProblemParts } from './problem-parts.ts'
import type { OnPlanned, Turns } from './turn.ts'

export interface PlanFollower {
  readonly planned: OnPlanned
  /** The kernel holds that revision. */
  held(revision: Revision): void
}

export interface FollowersOptions {
  readonly kernel: Kernel
  readonly config: AgentConfig
  readonly clock: Clock
  readonly log: Log
  readonly turns: Turns
  readonly measures: Measures
  readonly problems: ProblemParts
  readonly planSettled: () => Promise<void>
}

export interface Followers {
  /** Null with establishedConnections: keep. */
  readonly cutter: Cutter | null
  readonly followers: readonly PlanFollower[]
  readonly closables: readonly { close(): Promise<void> }[]
}

export function startFollowers(options: FollowersOptions): Followers {
  if (options.config.establishedConnections !== 'cut') return { cutter: null, followers: [], closables: [] }
  const conntrack = new ConntrackReader()
  const cutter = startCutter(options, conntrack)
  return { cutter, followers: [cutter], closables: [conntrack, cutter] }
}

function startCutter({ kernel, config, clock, log, turns, measures, problems, planSettled }: FollowersOptions, conntrack: ConntrackReader): Cutter {
  const cutter: Cutter = new Cutter({
    kernel,
    conntrack,
    clock,
    turns,
    nodeEgress: config.nodeEgress,
    planSettled,
    onCut: (report) => {
      measures.cut(report)
      log.info({ ...report, ms: Math.round(report.ms), inForce: cutter.size }, 'connections cut')
    },
    onProblems: (found) => problems.set('cutting', found),
  })
  return cutter
}
