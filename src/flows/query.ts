// What is asked of an agent's stream: GET /flows?follow=1&since=5m&last=20&pod=shop/web..., by the names of the options of `picket observe`.
//
// `picket observe` writes it, serve/ reads it. **Invariant:** a parameter that is not known is refused: nobody gets more than what was meant
// to be asked for.
import { parseDuration } from '../lib/duration.ts'
import { show } from '../lib/show.ts'
import { FilterError, parseFilter, type Filter } from './filter.ts'

export interface FlowQuery {
  /** Goes on with what comes. Alone: with nothing of before. */
  readonly follow: boolean
  /** Milliseconds since 1970: records whose `time` is that or later; null: all that are remembered. */
  readonly since: number | null
  /** At most so many of those that are remembered, the newest; null: all. */
  readonly last: number | null
  readonly filter: Filter
}

const OWN = ['follow', 'since', 'last'] as const
export const MOST_LAST = 1_000_000

/** `now`: milliseconds since 1970. Throws FilterError, which names the parameter and what was expected. */
export function parseQuery(parameters: URLSearchParams, now: number): FlowQuery {
  const one = (name: (typeof OWN)[number]): string | null => {
    const [value, ...more] = parameters.getAll(name)
    if (more.length > 0) throw new FilterError(name, 'found more than once, expected one value')
    return value ?? null
  }
  const [follow, since, last] = OWN.map(one)
  if (!['1', '0', null].includes(follow ?? null)) throw new FilterError('follow', `found ${show(follow)}, expected 1 or 0`)
  return {
    follow: follow === '1',
    since: typeof since === 'string' ? parseSince(since, now) : null,
    last: typeof last === 'string' ? parseLast(last) : null,
    filter: parseFilter(parameters, OWN),
  }
}

/** A duration before `now`, or a time; milliseconds since 1970. Throws FilterError. */
export function parseSince(text: string, now: number): number {
  const duration = parseDuration(text)
  if (duration !== null) return now - duration
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw new FilterError('since', `found ${show(text)}, expected a duration such as 5m, or a time such as 2026-11-27T12:00:00Z`)
  return time
}

/** Throws FilterError. */
export function parseLast(text: string): number {
  const last = /^\d{1,7}$/.test(text) ? Number(text) : MOST_LAST + 1
  if (last > MOST_LAST) throw new FilterError('last', `found ${show(text)}, expected a number from 0 to ${MOST_LAST}`)
  return last
}
