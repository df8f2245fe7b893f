// The answer to GET /status: what the kernel holds, what that covers, and what is wrong.
//
// **Invariant:** stable keys; programs read it (the lab, picket status).
import manifest from '../../package.json' with { type: 'json' }
import type { ClusterState } from '../kube/source.ts'
import type { Problem } from '../lib/problem.ts'
import type { Applied } from './applied.ts'
import type { AuditHealth } from './audit-health.ts'
import type { CanaryState } from './canary.ts'
import type { Repairs } from './repairs.ts'

export interface StatusInput {
  readonly nodeName: string
  readonly kernel: string
  readonly applied: Applied
  readonly wanted: number
  /** Nothing that the sources said waits for a turn. */
  readonly drained: boolean
  readonly counts: Readonly<Record<string, number>>
  readonly problems: readonly Problem[]
  readonly repairs: Repairs
  readonly missing: string | null
  /** Null where the objects come from a folder. */
  readonly cluster: ClusterState | null
  /** Null where there is none. */
  readonly canary: CanaryState | null
  /** Null: nothing is known of it yet. */
  readonly audit: AuditHealth | null
}

/** At most so many problems are listed; `problemsTotal` counts all. */
const LISTED_PROBLEMS = 200

export function statusOf(input: StatusInput): unknown {
  const { applied } = input
  const notEnforced = input.problems.some((p) => p.code === 'NotEnforced')
  return {
    node: input.nodeName,
    version: manifest.version,
    ready: applied.report !== null,
    ...(input.missing === null ? {} : { waitingFor: input.missing }),
    enforced: applied.report !== null && !notEnforced,
    revision: applied.report?.revision ?? 0,
    wantedRevision: input.wanted,
    settled: input.drained && applied.report?.revision === input.wanted,
    programmedAt: applied.report === null ? null : new Date(applied.report.at).toISOString(),
    covers: { manifests: applied.covers },
    ...(input.cluster === null ? {} : { cluster: clusterOf(input.cluster) }),
    kernel: input.kernel,
    counts: input.counts,
    repairs: input.repairs.count,
    lastRepair: input.repairs.last,
    ...(input.canary === null ? {} : { canary: canaryOf(input.canary) }),
    ...(input.audit === null ? {} : { audit: { healthy: input.audit.status === 'True', reason: input.audit.reason, message: input.audit.message } }),
    problems: input.problems.slice(0, LISTED_PROBLEMS),
    problemsTotal: input.problems.length,
  }
}

function canaryOf({ since, lastRound, ...rest }: CanaryState): unknown {
  return { ...rest, since: timeOf(since), lastRound: timeOf(lastRound) }
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

function clusterOf({ serverVersion, watchList, resources }: ClusterState): unknown {
  const shown = resources.map(({ lastEventAt, lastHeardAt, ...rest }) => ({ ...rest, lastEventAt: timeOf(lastEventAt), lastHeardAt: timeOf(lastHeardAt) }))
  return { serverVersion, watchList, resources: shown }
}
