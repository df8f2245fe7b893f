// What the agent knows of itself -> the conditions of its NodeEnforcement: Ready, Programmed, TableIntact, AuditHealthy.
//
// **Invariant:** True is said only of what was seen: a table by its packets or, without a canary, by its reading; what nobody can say
// is Unknown. A message says what to do where there is something to do.
import type { Condition } from '../crd/shared.ts'
import type { Problem } from '../lib/problem.ts'
import type { AuditHealth } from './audit-health.ts'
import type { CanaryState } from './canary.ts'

type Said = Omit<Condition, 'type' | 'lastTransitionTime'>

export interface ConditionFacts {
  /** The kernel holds a whole ruleset of this agent. */
  readonly isHeld: boolean
  /** What is missing otherwise. */
  readonly missing: string | null
  /** What the committer says. */
  readonly kernel: readonly Problem[]
  /** Of code NotEnforced. */
  readonly unenforced: readonly Problem[]
  /** What the API server does not let the agent read any more. */
  readonly unread: readonly Problem[]
  /** Null with canary: false. */
  readonly canary: CanaryState | null
  /** Null: nothing is known of it yet. */
  readonly audit: AuditHealth | null
  /** As this agent, or the one before it, last said. */
  readonly before: readonly Condition[]
}

export function conditionsOf(facts: ConditionFacts): ReadonlyMap<string, Said> {
  const programmed = programmedOf(facts)
  const intact = intactOf(facts)
  return new Map([
    ['Ready', readyOf(facts, programmed, intact)],
    ['Programmed', programmed],
    ['TableIntact', intact],
    ...auditOf(facts),
  ])
}

function programmedOf({ isHeld, missing, kernel }: ConditionFacts): Said {
  const of = (code: string): readonly Problem[] => kernel.filter((problem) => problem.code === code)
  const [unknown] = of('KernelUnknown')
  if (unknown !== undefined) return said('Unknown', 'KernelUnknown', unknown.message)
  const [refused] = of('CommitRefused')
  if (refused !== undefined) return said('False', 'CommitRefused', named(refused))
  if (!isHeld) return said('False', 'Starting', missing ?? 'the first complete ruleset is being written')
  const quarantined = of('Quarantined')
  if (quarantined.length > 0) return said('False', 'Quarantined', first(quarantined))
  return said('True', 'Programmed', '')
}

function intactOf({ canary, kernel, isHeld, before }: ConditionFacts): Said {
  if (canary === null) return byReading(kernel, isHeld)
  const { result, message } = canary
  switch (result) {
    case 'ok':
      return said('True', 'PacketsProve', message)
    case 'leaked':
      return said('False', 'PacketsLeaked', message)
    case 'dropped':
      return said('False', 'PacketsDropped', message)
    case 'pending': {
      // The first round follows the first commit within moments: what was said before this agent started stays until then.
      const old = before.find(({ type }) => type === 'TableIntact')
      return old === undefined ? said('Unknown', 'NotProvenYet', message) : said(old.status, old.reason, old.message)
    }
    case 'blocked':
    case 'failed':
    case 'skipped':
      return said('Unknown', 'NothingProven', message)
  }
}

/** Until this agent knows, what was said before it started stays. */
function auditOf({ audit, before }: ConditionFacts): [string, Said][] {
  const known = audit ?? before.find(({ type }) => type === 'AuditHealthy')
  return known === undefined ? [] : [['AuditHealthy', said(known.status, known.reason, known.message)]]
}

function byReading(kernel: readonly Problem[], isHeld: boolean): Said {
  const trouble = kernel.find(({ code }) => code === 'KernelUnknown' || code === 'CommitRefused')
  if (trouble !== undefined) return said('Unknown', 'NotComparable', trouble.message)
  if (!isHeld) return said('Unknown', 'NotProvenYet', 'the first complete ruleset is being written')
  return said('True', 'ReadBack', 'the table is read back and put right; no packets prove it (canary: false)')
}

function readyOf({ isHeld, missing, unenforced, unread }: ConditionFacts, programmed: Said, intact: Said): Said {
  if (!isHeld && programmed.reason === 'Starting') return said('False', 'Starting', missing ?? programmed.message)
  if (programmed.reason === 'KernelUnknown') return programmed
  if (!isHeld || programmed.reason === 'CommitRefused') return said('False', 'NotProgrammed', programmed.message)
  if (unenforced.length > 0) return said('False', 'NotEnforced', first(unenforced))
  if (intact.status === 'False') return said('False', 'TableNotIntact', intact.message)
  if (unread.length > 0) return said('False', 'NotRead', first(unread))
  return said('True', 'Enforcing', '')
}

function said(status: Condition['status'], reason: string, message: string): Said {
  return { status, reason, message: [...message].slice(0, 1000).join('') }
}

function first(problems: readonly Problem[]): string {
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
  return `${named(problems[0] as Problem)}${more}`
}

function named({ object, message }: Problem): string {
  return `${object}: ${message}`
}
