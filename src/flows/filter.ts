// Which records somebody wants: read from the options of `picket observe`, the query of GET /flows, or a sink's settings, all by the same names.
//
//   pod=shop/web-*&port=80/tcp&not=verdict=FORWARDED --> parseFilter() --> matches(filter, record)
//
// Values of one name, repeated or in a list with commas, are alternatives; different names must all match. `not=NAME=VALUES` leaves out what
// NAME=VALUES matches. **Invariant:** what was lost, and what an agent says of itself, is held back by nothing but `node`.
import { PicketError } from '../lib/errors.ts'
import { show } from '../lib/show.ts'
import { conditionOf, FILTER_NAMES, type Condition, type FilterName } from './conditions.ts'
import type { AuditRecord } from './record.ts'

export interface Filter {
  /** Each must match. */
  readonly wanted: readonly Condition[]
  /** None may. */
  readonly unwanted: readonly Condition[]
}

export const EVERYTHING: Filter = { wanted: [], unwanted: [] }

/** `message` is `pod: found "x", expected ...`: a command puts `--` before it. */
export class FilterError extends PicketError {
  constructor(parameter: string, detail: string) {
    super('InvalidFilter', `${parameter}: ${detail}`)
    this.name = 'FilterError'
  }
}

export function isFilterName(text: string): text is FilterName {
  return (FILTER_NAMES as readonly string[]).includes(text)
}

/**
 * Of `[name, value]` pairs, as URLSearchParams is. `others`: names that stand among them and are no filters (`follow`, `since`).
 * Names of pods, Services and policies without a namespace are of the namespaces that `namespace` names, else of any.
 * Throws FilterError, which names the parameter and what was expected.
 */
export function parseFilter(parameters: Iterable<readonly [string, string]>, others: readonly string[] = []): Filter {
  const wanted = new Map<FilterName, string[]>()
  const unwanted: (readonly [FilterName, readonly string[]])[] = []
  for (const [name, value] of parameters) {
    if (isFilterName(name)) wanted.set(name, [...(wanted.get(name) ?? []), ...listed(name, value)])
    else if (name === 'not') unwanted.push(inverted(value))
    else if (!others.includes(name)) throw new FilterError(show(name).slice(1, -1), `no such parameter; expected one of ${[...FILTER_NAMES, 'not', ...others].join(', ')}`)
  }
  const namespaces = wanted.get('namespace') ?? []
  return {
    wanted: [...wanted].map(([name, values]) => condition(name, values, namespaces)),
    unwanted: unwanted.map(([name, values]) => condition(name, values, namespaces)),
  }
}

export function matches(filter: Filter, record: AuditRecord): boolean {
  const applies = ({ name }: Condition): boolean => record.type === 'verdict' || name === 'node'
  return filter.wanted.every((one) => !applies(one) || one.test(record)) && !filter.unwanted.some((one) => applies(one) && one.test(record))
}

function listed(name: string, value: string): readonly string[] {
  const values = value.split(',')
  if (values.includes('')) throw new FilterError(name, `found ${show(value)}, expected a value, or several with commas between them`)
  return values
}

function inverted(value: string): readonly [FilterName, readonly string[]] {
  const [, name = '', rest = ''] = /^([a-z-]+)=(.*)$/s.exec(value) ?? []
  if (!isFilterName(name)) throw new FilterError('not', `found ${show(value)}, expected NAME=VALUE with one of ${FILTER_NAMES.join(', ')}`)
  return [name, listed(name, rest)]
}

function condition(name: FilterName, values: readonly string[], namespaces: readonly string[]): Condition {
  const found = conditionOf(name, values, namespaces)
  if ('test' in found) return found
  throw new FilterError(name, `found ${show(found.wrong)}, expected ${found.expected}`)
}
