// Labels and label selectors, and which labels a selector matches (apimachinery's rules).
//
// **Invariant:** labels are Maps, since `constructor` and `__proto__` are legal label keys; a LabelSelector is
// canonical (sorted, without repeats), so that equal selectors have equal text.
import { byText } from '../lib/sorting.ts'

export type Labels = ReadonlyMap<string, string>

export type Operator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'

export interface Requirement {
  readonly key: string
  readonly operator: Operator
  /** Sorted, distinct; empty for Exists and DoesNotExist, never empty for In and NotIn. */
  readonly values: readonly string[]
}

/** All requirements must hold (rule 18); none at all matches everything (rule 20). */
export interface LabelSelector {
  readonly requirements: readonly Requirement[]
  /** Canonical text, the selector's identity: `app=web,tier in (a,b),!old`. Empty for the selector of everything. */
  readonly text: string
}

function requirementText(r: Requirement): string {
  switch (r.operator) {
    case 'In':
      return r.values.length === 1 ? `${r.key}=${r.values[0]}` : `${r.key} in (${r.values.join(',')})`
    case 'NotIn':
      return `${r.key} notin (${r.values.join(',')})`
    case 'Exists':
      return r.key
    case 'DoesNotExist':
      return `!${r.key}`
  }
}

/** Builds the canonical selector. `requirements` must be valid: decode/ is where that is checked and reported. */
export function labelSelector(requirements: readonly Requirement[]): LabelSelector {
  const byTextOf = new Map<string, Requirement>()
  for (const r of requirements) {
    const canonical = Object.freeze({ key: r.key, operator: r.operator, values: Object.freeze([...new Set(r.values)].sort(byText)) })
    byTextOf.set(requirementText(canonical), canonical)
  }
  const texts = [...byTextOf.keys()].sort(byText)
  return Object.freeze({ requirements: Object.freeze(texts.map((t) => byTextOf.get(t) as Requirement)), text: texts.join(',') })
}

export const EVERYTHING: LabelSelector = labelSelector([])

/** Rules 16, 17, 19: NotIn and DoesNotExist match labels that lack the key; `k: ""` is a value, not a missing key. */
export function requirementMatches(r: Requirement, labels: Labels): boolean {
  const value = labels.get(r.key)
  switch (r.operator) {
    case 'In':
      return value !== undefined && r.values.includes(value)
    case 'NotIn':
      return value === undefined || !r.values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
  }
}

export function selectorMatches(selector: LabelSelector, labels: Labels): boolean {
  return selector.requirements.every((r) => requirementMatches(r, labels))
}
