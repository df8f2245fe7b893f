// The filters of `picket observe` as options: in the order in which they were given, since --not is about the one that follows.
//
//   --pod shop/web --not --verdict FORWARDED --> [[pod, shop/web], [not, verdict=FORWARDED]] --> a Filter, a query, arguments
//
// **Invariant:** what goes on to an agent is what was given here, in the words of its own options.
import { Option, type Command } from 'commander'
import { DIRECTIONS } from '../model/policy.ts'
import { FILTER_NAMES, type FilterName } from '../flows/conditions.ts'
import { FilterError, parseFilter, type Filter } from '../flows/filter.ts'
import { parseLast, parseSince } from '../flows/query.ts'
import { REASONS, VERDICTS } from '../flows/record.ts'
import { PicketError } from '../lib/errors.ts'
import { allNamespacesOption, namespaceOption } from './options.ts'

/** `[name, value]`, as in the query of GET /flows; of what is inverted `['not', 'NAME=VALUE']`. */
export type FilterPair = readonly [name: string, value: string]

/** What is asked, of whomever. */
export interface Asked {
  readonly pairs: readonly FilterPair[]
  readonly filter: Filter
  readonly follow: boolean
  /** As it was given. */
  readonly since: string | null
  readonly last: number | null
}

const HELP: Readonly<Record<Exclude<FilterName, 'namespace'>, readonly [value: string, help: string]>> = {
  pod: ['pod', 'from or to this pod: NAMESPACE/POD, or POD (of -n, else of any namespace); shop/web-* is every one that begins so'],
  'from-pod': ['pod', 'from this pod'],
  'to-pod': ['pod', 'to this pod'],
  'from-ns': ['namespace', 'from pods of this namespace'],
  'to-ns': ['namespace', 'to pods of this namespace'],
  service: ['service', 'through this Service: NAMESPACE/NAME or NAME'],
  ip: ['address', 'from or to this address or CIDR, or through a Service of this address'],
  port: ['port', 'from or to this port, or to a Service on it: 80/tcp; 80: every protocol; /tcp: every port'],
  verdict: [VERDICTS.join('|'), 'what became of it'],
  reason: [REASONS.join('|'), 'why'],
  direction: [DIRECTIONS.join('|'), 'whose policies judged it: egress, those of the source; ingress, those of the destination'],
  policy: ['policy', 'that this policy allowed, isolates from or nearly allowed: NAMESPACE/NAME or NAME'],
  node: ['node', 'that this node saw; from outside, its agent is asked'],
}

/** Adds -n, -A, each filter and --not. What is returned says what was given, once the arguments are parsed. */
export function addFilterOptions(command: Command): () => readonly FilterPair[] {
  const pairs: FilterPair[] = []
  let inverted = false
  const refuse = (found: string): never => {
    throw new PicketError('Usage', `--not: found ${found}, expected the filter that it inverts right behind it: --not --verdict FORWARDED`)
  }
  command.addOption(namespaceOption('from or to pods of this namespace'))
  command.addOption(allNamespacesOption())
  for (const name of FILTER_NAMES) {
    if (name !== 'namespace') command.addOption(new Option(`--${name} <${HELP[name][0]}>`, HELP[name][1]))
    command.on(`option:${name}`, (value: string) => {
      pairs.push(inverted ? ['not', `${name}=${value}`] : [name, value])
      inverted = false
    })
  }
  command.addOption(new Option('--not', 'leave out what the filter that follows matches; once for each'))
  command.on('option:not', () => {
    if (inverted) refuse('another --not behind it')
    inverted = true
  })
  return () => (inverted ? refuse('no filter behind it') : pairs)
}

/** Throws PicketError (Usage), which names the option. */
export function askedOf(pairs: readonly FilterPair[], { follow = false, since, last }: { readonly follow?: boolean; readonly since?: string; readonly last?: string }, now: number): Asked {
  try {
    if (since !== undefined) parseSince(since, now)
    return { pairs, filter: parseFilter(pairs), follow, since: since ?? null, last: last === undefined ? null : parseLast(last) }
  } catch (error) {
    throw error instanceof FilterError ? new PicketError('Usage', `--${error.message}`) : error
  }
}

/** For GET /flows. */
export function queryOf({ pairs, follow, since, last }: Omit<Asked, 'filter'>): string {
  const own: FilterPair[] = [...(follow ? [['follow', '1'] as const] : []), ...(since === null ? [] : [['since', since] as const]), ...(last === null ? [] : [['last', String(last)] as const])]
  return new URLSearchParams([...own, ...pairs].map(([name, value]): [string, string] => [name, value])).toString()
}

/** For `picket observe` somewhere else. */
export function argumentsOf({ pairs, follow, since, last }: Omit<Asked, 'filter'>): readonly string[] {
  const filters = pairs.flatMap(([name, value]) => {
    if (name !== 'not') return [`--${name}`, value]
    const at = value.indexOf('=')
    return ['--not', `--${value.slice(0, at)}`, value.slice(at + 1)]
  })
  return [...(follow ? ['--follow'] : []), ...(since === null ? [] : ['--since', since]), ...(last === null ? [] : ['--last', String(last)]), ...filters]
}
