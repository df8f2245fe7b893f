// A round of probes: many questions "does this reach that?", asked all at once, with controls in the same window.
//
// Questions -> answers, or the reason why there are none. Silence means denied only if the path and the servers were
// well at that moment: controls that no policy can deny (rules 58, 61) go out with the probes, to every destination from
// its own node and from every source pod to its own node.
// **Invariant:** how long to wait and whether to ask again depends on controls and answer times, never on what is expected.
import { familyOf, type Address, type Family } from '../model/ip.ts'
import type { Protocol } from '../model/objects.ts'
import type { ProbeRequest, ProbeResult, ProbeSource } from './testbed.ts'

/** A pod, or a host (a node, the outside host) where `own` is null. */
export interface Party {
  /** Whom the reply's token must name: key of the pod, name of the host. */
  readonly key: string
  /** Where a pod runs; null for hosts, which need no control. */
  readonly node: string | null
}

export interface Question {
  readonly from: ProbeSource
  /** Node of the source, where it is a pod. */
  readonly fromNode: string | null
  readonly to: Party
  readonly address: Address
  readonly protocol: Protocol
  readonly port: number
}

export type Round =
  | { readonly kind: 'measured'; readonly results: readonly ProbeResult[]; readonly ms: number }
  /** Nothing can be said: `reason` names the control that failed, or the probe that could not be sent. */
  | { readonly kind: 'unusable'; readonly reason: string; readonly ms: number }

/** What a round needs of the lab. */
export interface Prober {
  probe(requests: readonly ProbeRequest[], deadlineMs: number): Promise<readonly ProbeResult[]>
  /** Address of a node, for the control from its pods; null where it has none of that family. */
  nodeAddress(node: string, family: Family): Address | null
  readonly hostPorts: readonly { readonly protocol: Protocol; readonly port: number }[]
}

/** How long the first round waits for answers, in ms: on an idle machine a thousand answers take a sixth of that. */
const FIRST_DEADLINE_MS = 600
/** A second round waits by the slowest answer of the first, within these: both together stay within 4 s for some 1,000 probes. */
const SECOND_DEADLINE_MS = { least: 900, most: 2_000 } as const
const SECOND_BY_SLOWEST = 2.5
/**
 * A round counts only if its slowest answer took less than this part of the deadline: where answers come close to it,
 * some may have missed it, and their silence would be taken for denied.
 */
const COMFORTABLE = { first: 0.7, second: 0.9 } as const

/** Whether a result is a reply by the very party that was meant. */
export function reaches(result: ProbeResult | undefined, to: Party): boolean {
  return result?.kind === 'answered' && result.by === to.key
}

/** Asks all questions at once, with their controls; once more where the first time said nothing certain. */
export async function askRound(prober: Prober, questions: readonly Question[]): Promise<Round> {
  const started = performance.now()
  const controls = controlsFor(prober, questions)
  const requests = [...questions, ...controls].map(({ from, address, protocol, port }) => ({ from, address, protocol, port }))
  const asked = [...questions, ...controls]
  const first = await prober.probe(requests, FIRST_DEADLINE_MS)
  const measured = (results: readonly ProbeResult[]): Round => ({ kind: 'measured', results: results.slice(0, questions.length), ms: Math.round(performance.now() - started) })
  if (doubtOf(asked, questions.length, first, FIRST_DEADLINE_MS * COMFORTABLE.first) === null) return measured(first)
  const deadline = secondDeadline(first)
  const second = await prober.probe(requests, deadline)
  const reason = doubtOf(asked, questions.length, second, deadline * COMFORTABLE.second)
  return reason === null ? measured(second) : { kind: 'unusable', reason, ms: Math.round(performance.now() - started) }
}

function secondDeadline(first: readonly ProbeResult[]): number {
  const silent = first.every((one) => one.kind !== 'answered')
  const slowest = Math.max(0, ...first.map((one) => (one.kind === 'answered' ? one.ms : 0)))
  const { least, most } = SECOND_DEADLINE_MS
  return silent ? most : Math.min(most, Math.max(least, slowest * SECOND_BY_SLOWEST))
}

/** Why these results say nothing certain; null if they do. */
function doubtOf(asked: readonly Question[], count: number, results: readonly ProbeResult[], slowest: number): string | null {
  const failed: string[] = []
  for (const [index, question] of asked.entries()) {
    const result = results[index]
    if (result === undefined || result.kind === 'failed') return `probe ${textOf(question)} could not be sent: ${result === undefined ? 'no result' : result.message}`
    if (result.kind === 'answered' && result.ms > slowest) return `probe ${textOf(question)} took ${Math.round(result.ms)} ms: the machine is too busy`
    if (index >= count && !reaches(result, question.to)) failed.push(`${textOf(question)} (${resultText(result)})`)
  }
  if (failed.length === 0) return null
  return `${failed.length} of ${asked.length - count} control probes failed, which no policy denies, such as ${failed.slice(0, 3).join(', ')}`
}

function resultText(result: ProbeResult): string {
  switch (result.kind) {
    case 'answered':
      return `answered by ${result.by}`
    case 'silent':
      return 'no answer'
    default:
      return result.message
  }
}

function textOf({ from, to, address, protocol, port }: Question): string {
  const source = from.kind === 'pod' ? from.key : from.kind === 'node' ? `node ${from.name}` : 'outside'
  return `${source} -> ${to.key} ${familyOf(address) === 4 ? address : `[${address}]`} ${port}/${protocol}`
}

/** To each destination (address, protocol, port) from its own node; from each source pod (family, protocol) to its own node. */
function controlsFor(prober: Prober, questions: readonly Question[]): readonly Question[] {
  const controls = new Map<string, Question>()
  for (const question of questions) {
    const { from, fromNode, to, address, protocol, port } = question
    if (to.node !== null) {
      const key = `to ${address} ${protocol} ${port}`
      if (!controls.has(key)) controls.set(key, { from: { kind: 'node', name: to.node }, fromNode: null, to, address, protocol, port })
    }
    if (from.kind !== 'pod' || fromNode === null) continue
    const key = `from ${from.key} ${familyOf(address)} ${protocol}`
    if (controls.has(key)) continue
    const host = prober.nodeAddress(fromNode, familyOf(address))
    const served = prober.hostPorts.find((one) => one.protocol === protocol)
    if (host === null || served === undefined) continue
    controls.set(key, { from, fromNode: null, to: { key: fromNode, node: null }, address: host, protocol, port: served.port })
  }
  return [...controls.values()]
}
