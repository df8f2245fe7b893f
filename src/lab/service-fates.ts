// What a flow is expected to come to, and what its tries came to: which endpoints answered, how often, and what source they saw.
//
// (Flow, results) -> Observed -> mismatches. **Invariant:** pure; how often a flow is tried depends on its Services, never on what is expected.
import type { Address } from '../model/ip.ts'
import type { Fate, Flow, Scenario } from './service-case-types.ts'
import { bySocket } from './service-fields.ts'
import type { ProbeResult } from './testbed.ts'
import { socketText } from './wire.ts'

export interface Observed {
  /** A list with a word in it (`DROP`) where tries came to different things. */
  readonly fate: Fate
  /** Whether the endpoint saw another address than the client's; null where packets cannot tell. */
  readonly masquerade: boolean | null
  /** Endpoint -> which part of the answers was its own; empty where none answered. */
  readonly shares: Readonly<Record<string, number>>
  /** Endpoint -> its answers. */
  readonly counts: Readonly<Record<string, number>>
  /** Some endpoints saw the client's address, others another one. */
  readonly mixed: boolean
}

/** To miss one of n endpoints in 20 n tries is as likely as to win a lottery (n e^-20). */
const TRIES_PER_ENDPOINT = 20
const MOST_TRIES = 20_000

/** From the Services that have the flow's port as port or node port. */
export function triesOf({ protocol, port }: Flow, { services, slices }: Scenario): number {
  const counts = services
    .filter(({ ports }) => ports.some((one) => one.protocol === protocol && (one.port === port || one.nodePort === port)))
    .map(({ namespace, name }) => {
      const own = slices.filter((slice) => slice.namespace === namespace && slice.service === name)
      return new Set(own.flatMap(({ endpoints, ports }) => endpoints.flatMap(({ address }) => ports.map((one) => socketText(address, one.port))))).size
    })
  return Math.min(MOST_TRIES, TRIES_PER_ENDPOINT * Math.max(1, ...counts))
}

/** Whether one client is led to one endpoint, so that it need not see the others. */
export function isSticky({ protocol, port }: Flow, { services }: Scenario): boolean {
  return services.some(({ affinity, ports }) => affinity && ports.some((one) => one.protocol === protocol && (one.port === port || one.nodePort === port)))
}

/** `results`: of at least one try. `isNode`: the client is the node itself. */
export function observe(flow: Flow, results: readonly ProbeResult[], isNode: boolean): Observed {
  const asked = socketText(flow.destination, flow.port)
  const counts = new Map<string, number>()
  const sources: { readonly at: string; readonly changed: boolean }[] = []
  let direct = 0
  const words = new Set<'REJECT' | 'DROP'>()
  for (const result of results) {
    if (result.kind === 'answered') {
      sources.push({ at: result.at, changed: result.source !== flow.source })
      if (result.at === asked) direct += 1
      else counts.set(result.at, (counts.get(result.at) ?? 0) + 1)
    } else words.add(result.kind === 'silent' ? 'DROP' : 'REJECT')
  }
  const endpoints = [...counts.keys()].sort(bySocket)
  const kinds = Number(endpoints.length > 0) + Number(direct > 0) + words.size
  const [word] = words
  // A packet that kept its destination stands in a mixture as that.
  const fate = kinds > 1 ? [...endpoints, ...(direct > 0 ? [asked] : []), ...words] : direct > 0 ? '' : (word ?? endpoints)
  const total = results.filter(({ kind }) => kind === 'answered').length - direct
  return {
    fate,
    ...masqueradeOf(sources, flow.source, isNode),
    counts: Object.fromEntries(endpoints.map((one) => [one, counts.get(one) ?? 0])),
    shares: Object.fromEntries(endpoints.map((one) => [one, Math.round(((counts.get(one) ?? 0) / total) * 1000) / 1000])),
  }
}

/** A pod that was led to itself sees another address in any case (hairpin): it counts only where nobody else answered. */
function masqueradeOf(answers: readonly { readonly at: string; readonly changed: boolean }[], client: Address, isNode: boolean): Pick<Observed, 'masquerade' | 'mixed'> {
  const others = answers.filter(({ at }) => at !== socketText(client, Number(/\d+$/.exec(at)?.[0])))
  const telling = others.length > 0 ? others : answers
  if (isNode || telling.length === 0) return { masquerade: null, mixed: false }
  const changed = telling.filter((one) => one.changed).length
  return { masquerade: changed > 0, mixed: changed > 0 && changed < telling.length }
}

/** In words; empty where everything is as expected, or nothing is. `sticky`: one endpoint of those expected is enough. */
export function mismatchesOf(flow: Flow, observed: Observed, sticky: boolean): readonly string[] {
  const found: string[] = []
  const { fate, masquerade } = flow
  if (fate !== null) {
    const [expected, seen] = [fateText(fate), fateText(observed.fate)]
    const enough = sticky && typeof fate !== 'string' && typeof observed.fate !== 'string' && observed.fate.length === 1 && fate.includes(observed.fate[0] as string)
    if (expected !== seen && !enough) found.push(`expected ${expected}, observed ${seen}`)
    else if (!sticky && typeof fate !== 'string' && !isEven(Object.values(observed.counts))) found.push(`expected about the same number of answers from each, observed ${countsText(observed.counts)}`)
  }
  if (masquerade !== null && observed.masquerade !== null && (observed.mixed || observed.masquerade !== masquerade)) {
    found.push(`expected that the endpoint sees ${masquerade ? 'another address than the client\'s' : 'the client\'s address'}, observed ${observed.mixed ? 'both' : 'the opposite'}`)
  }
  return found
}

export function fateText(fate: Fate): string {
  if (fate === '') return 'untranslated'
  return typeof fate === 'string' ? fate : fate.length === 0 ? 'no endpoint' : fate.join(' ')
}

function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).map(([endpoint, count]) => `${endpoint} ${count}`).join(', ')
}

/** Chi-squared at one in a million, by the approximation of Wilson and Hilferty. */
function isEven(counts: readonly number[]): boolean {
  const freedom = counts.length - 1
  if (freedom < 1) return true
  const mean = counts.reduce((sum, one) => sum + one, 0) / counts.length
  const chi = counts.reduce((sum, one) => sum + (one - mean) ** 2 / mean, 0)
  const spread = 2 / (9 * freedom)
  return chi <= freedom * (1 - spread + ONE_IN_A_MILLION * Math.sqrt(spread)) ** 3
}

/** The normal distribution is above this once in a million times. */
const ONE_IN_A_MILLION = 4.753
