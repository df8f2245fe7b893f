// What is done beside the table once the kernel holds a plan: connections that are denied are cut; what is done for Services is in
// service-followers.ts.
//
//   turn: planned(revision, what changed) -> commit -> held(revision): the follower's part begins
//
// **Invariant:** nothing is done for a plan that the kernel does not hold yet.
import { ConntrackReader, type Conntrack, type StaleEntries } from '../kernel/conntrack.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Clock } from '../lib/clock.ts'
import type { MarkLayout } from '../ruleset/marks.ts'
import type { AgentConfig } from '../settings.ts'
import type { Log } from '../telemetry/log.ts'
import { startCanary, type Canary } from './canary.ts'
import { Cutter } from './cutter.ts'
import type { Closable, PlanFollower } from './follower.ts'
import type { Measures } from './measures.ts'
import type { ProblemParts } from './problem-parts.ts'
import { startServiceFollowers, type ServiceFollowers } from './service-followers.ts'
import type { Turns } from './turn.ts'

export interface FollowersOptions {
  readonly kernel: Kernel
  readonly config: AgentConfig
  readonly clock: Clock
  readonly log: Log
  readonly turns: Turns
  /** Null where Services are somebody else's. */
  readonly mark: MarkLayout | null
  readonly measures: Measures
  readonly problems: ProblemParts
  readonly planSettled: () => Promise<void>
  /** The table is to be read back now. */
  readonly recheck: () => void
}

export interface Followers {
  /** Null with establishedConnections: keep. */
  readonly cutter: Cutter | null
  /** Null with canary: false. */
  readonly canary: Canary | null
  readonly followers: readonly PlanFollower[]
  readonly closables: readonly Closable[]
}

/** `open` is called for each that reads conntrack on its own. */
export function startFollowers(options: FollowersOptions, open: () => Conntrack & StaleEntries = () => new ConntrackReader()): Followers {
  const conntrack = options.config.establishedConnections === 'cut' ? open() : null
  const cutter = conntrack === null ? null : startCutter(options, conntrack)
  const services = startServices(options, cutter, open)
  const canary = startCanary({
    ...options,
    onProblems: (found) => options.problems.set('canary', found),
    onRound: (family, result) => options.measures.canaryRound(family, result),
  })
  const proof: PlanFollower[] = canary === null ? [] : [{ planned: () => undefined, held: () => canary.held() }]
  return {
    cutter,
    canary,
    followers: [...(cutter === null ? [] : [cutter]), ...services.followers, ...proof],
    closables: [...(conntrack === null || cutter === null ? [] : [conntrack, cutter]), ...services.closables, ...(canary === null ? [] : [canary])],
  }
}

/** With establishedConnections: keep nothing is cut first: what was allowed once goes on, also as the one who answers. */
function startServices(options: FollowersOptions, cutter: Cutter | null, open: () => Conntrack & StaleEntries): ServiceFollowers {
  const { mark, turns } = options
  const plan = turns.nat.services
  if (plan === null || mark === null) return { followers: [], closables: [] }
  // While it deletes, the cutter reads.
  return startServiceFollowers({ ...options, mark, plan, conntrack: open(), cutDenied: async (keys) => (await cutter?.cutDenied(keys)) ?? null })
}

function startCutter({ kernel, config, clock, log, turns, measures, problems, planSettled }: FollowersOptions, conntrack: Conntrack): Cutter {
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
