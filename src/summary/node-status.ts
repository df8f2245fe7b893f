// What an agent knows of its node -> the status of its NodeEnforcement, and whether that is worth a write.
//
// Both sides of a NodeEnforcement are in this folder: this is who writes, node-report.ts who reads.
// **Invariant:** the status is of constant size; a watermark alone never causes a write, and whatever a policy's status depends on does.
import { LISTED_COMMITS, LISTED_FAILURES, type NodeEnforcementStatus, type NodeFailure, type PolicyCommit } from '../crd/node-enforcement.ts'
import { MESSAGE_LENGTH, type Condition } from '../crd/shared.ts'
import { clipped } from '../lib/clipped.ts'
import { by } from '../lib/sorting.ts'
import type { PolicyUid } from '../model/objects.ts'
import { timed, type Time } from './conditions.ts'

export interface NodeFacts {
  readonly agentVersion: string
  readonly kernel: string
  readonly nftables: string
  readonly ruleset: { readonly revision: number; readonly hash: string }
  /** By the plural of the resource, of the last committed revision. */
  readonly observed: Readonly<Record<string, string>>
  /** Null before it was. */
  readonly programmedAt: Time | null
  readonly counts: Required<NodeEnforcementStatus>['counts']
  /** All there are. */
  readonly failures: readonly NodeFailure[]
  /** Ready, Programmed, TableIntact, AuditHealthy: status, reason and message. */
  readonly conditions: ReadonlyMap<string, Omit<Condition, 'type' | 'lastTransitionTime'>>
}

/** The last policy generations that the kernel took, each once with its first latency; the newest last. */
export class CommitRing {
  #commits: readonly PolicyCommit[] = []

  note(uid: PolicyUid, generation: number, latencyMs: number): void {
    if (this.#commits.some((one) => one.uid === uid && one.generation === generation)) return
    this.#commits = [...this.#commits, Object.freeze({ uid, generation, latencyMs })].slice(-LISTED_COMMITS)
  }

  /** What the agent before this one told: older than what this one noted. */
  seed(before: readonly PolicyCommit[]): void {
    const known = new Set(this.#commits.map(({ uid, generation }) => `${uid} ${generation}`))
    this.#commits = [...before.filter(({ uid, generation }) => !known.has(`${uid} ${generation}`)), ...this.#commits].slice(-LISTED_COMMITS)
  }

  list(): readonly PolicyCommit[] {
    return this.#commits
  }
}

/** `before`: the conditions as this agent last made them; times of those whose status stays are kept. */
export function nodeStatusOf(facts: NodeFacts, committed: readonly PolicyCommit[], before: readonly Condition[], now: Time): NodeEnforcementStatus {
  const { pods } = facts.counts
  // The same ones in every write, whoever failed first: a policy that is unlisted in one write and listed in the next flips.
  const failures = facts.failures.toSorted(by(({ ref, since }) => `${since} ${ref.kind} ${ref.namespace}/${ref.name}`))
  return {
    agentVersion: clipped(facts.agentVersion, 64),
    kernel: clipped(facts.kernel, 128),
    nftables: clipped(facts.nftables, 128),
    ruleset: { revision: facts.ruleset.revision, hash: clipped(facts.ruleset.hash, 64) },
    observedResourceVersions: facts.observed,
    ...(facts.programmedAt === null ? {} : { lastProgrammedTime: facts.programmedAt }),
    counts: facts.counts,
    failures: failures.slice(0, LISTED_FAILURES).map((one) => ({ ...one, message: clipped(one.message, MESSAGE_LENGTH) })),
    failuresTotal: failures.length,
    committed,
    conditions: timed(facts.conditions, before, now),
    summary: { pods: `${pods.isolated}/${pods.isolated + pods.open + pods.pending}` },
  }
}

/**
 * "a node writes when a failure begins or ends, a policy that selects its own pods is committed, or a count changed"; when a
 * condition is another one, too. Not for counts of rules and elements alone, which change with every pod elsewhere in the cluster.
 */
export function isWorthWriting(written: NodeEnforcementStatus | null, wanted: NodeEnforcementStatus): boolean {
  return written === null || worthOf(written) !== worthOf(wanted)
}

function worthOf({ failures = [], failuresTotal = 0, committed = [], counts, conditions = [], agentVersion, kernel, nftables }: NodeEnforcementStatus): string {
  const begun = failures.map(({ ref, reason }) => [ref.kind, ref.namespace, ref.name, ref.uid ?? '', reason])
  const commits = committed.map(({ uid, generation }) => [uid, generation])
  const pods = counts === undefined ? [] : [counts.pods.isolated, counts.pods.open, counts.pods.pending, counts.policies, counts.services]
  const said = conditions.filter(({ type }) => type !== 'Reporting').map(({ type, status, reason }) => [type, status, reason]).sort(by(String))
  return JSON.stringify([begun, failuresTotal, commits, pods, said, agentVersion, kernel, nftables])
}
