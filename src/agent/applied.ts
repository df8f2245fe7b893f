// What the kernel holds, in words: the last applied revision, what it covers, and the log line about it.
//
// Turns go on while a commit is in flight, so a commit may hold several turns: their reports are summed up.
// **Invariant:** `covers` never says more than the kernel holds.
import type { Covers } from '../manifests/watch.ts'
import { KINDS, type Kind, type Revision } from '../model/changes.ts'
import type { CommitReport } from './committer.ts'
import type { TurnReport, Turns } from './turn.ts'

export interface AppliedReport {
  readonly revision: Revision
  /** Milliseconds since 1970. */
  readonly at: number
}

const NAMED_OBJECTS = 8

export class Applied {
  report: AppliedReport | null = null
  covers: Covers | null = null
  #waiting: { report: TurnReport; covers: Covers | null }[] = []

  turned(report: TurnReport, covers: Covers | null): void {
    this.#waiting.push({ report, covers })
  }

  /** The log line of what is held now; null where nothing new is. */
  held(commit: CommitReport, at: number): object | null {
    const count = this.#waiting.findLastIndex((w) => w.report.revision <= commit.revision) + 1
    const held = this.#waiting.splice(0, count)
    const first = this.report === null
    this.report = { revision: commit.revision, at }
    this.covers = held.at(-1)?.covers ?? this.covers
    const reports = held.map((h) => h.report)
    if (!first && commit.operations === 0 && reports.every((r) => KINDS.every((kind) => r.changed[kind] === 0))) return null
    return {
      revision: commit.revision,
      changed: Object.fromEntries(KINDS.map((kind) => [kind, sum(reports, (r) => r.changed[kind])]).filter(([, n]) => n !== 0)) as Record<Kind, number>,
      objects: reports.flatMap((r) => r.objects).slice(0, NAMED_OBJECTS),
      rows: sum(reports, (r) => r.rowsTouched),
      commits: commit.steps,
      operations: commit.operations,
      ms: {
        store: round(sum(reports, (r) => r.ms.store)),
        policy: round(sum(reports, (r) => r.ms.policy)),
        translate: round(sum(reports, (r) => r.ms.translate)),
        diff: round(commit.ms.diff),
        commit: round(commit.ms.commit),
      },
    }
  }

  counts(turns: Turns, cutConnections: number): Readonly<Record<string, number>> {
    const attachments = [...turns.plan.locals.values()].map((local) => local.attachment)
    const { state } = turns.translator.wanted
    return {
      localPods: attachments.length,
      isolatedPods: attachments.filter((a) => a.ingress !== 'open' || a.egress !== 'open').length,
      pendingPods: attachments.filter((a) => a.by.length === 0).length,
      profiles: turns.plan.profiles.size,
      services: turns.nat.services?.services.size ?? 0,
      chains: state.chains.size,
      sets: state.sets.size,
      cutConnections,
    }
  }
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0)
}

/** Two digits behind the point. */
function round(ms: number): number {
  return Math.round(ms * 100) / 100
}
