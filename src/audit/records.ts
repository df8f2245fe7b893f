// A logged flow -> a record: who, through which Service, what decided and why.
//
//   LoggedFlow -> log prefix, history, the plan of now -> FlowRecord -> flows/line.ts
//
// **Invariant:** names are those of the packets' time; what cannot be known is null and stands in `undecided`.
import { SCHEMA, type FlowL4, type FlowReason, type FlowRecord } from '../flows/record.ts'
import type { Planned } from '../explain/planned.ts'
import type { Protocol } from '../model/objects.ts'
import type { Direction } from '../model/policy.ts'
import type { Packet } from '../policy/judge.ts'
import { parseLogPrefix, type LogEvent, type LogPrefix } from '../ruleset/log-prefix.ts'
import type { MarkLayout } from '../ruleset/marks.ts'
import { endOf, type FoundEnd, type Undecided } from './ends.ts'
import type { AuditHistory } from './history.ts'
import type { LoggedFlow } from './logged-flow.ts'
import type { Span } from './moments.ts'
import { PlanOfNow } from './records-miss.ts'
import { isolatedBy, rulesOf } from './records-policy.ts'
import { serviceOf, type FoundService } from './services.ts'

export interface RecordMakerOptions {
  readonly history: AuditHistory
  readonly node: string
  /** Null: Services are somebody else's. */
  readonly mark: MarkLayout | null
  /** What `picket explain` would be answered by; null: nothing, now. */
  readonly world: () => Planned | null
}

export interface RecordCounts {
  readonly made: number
  /** Records with something that may have been several. */
  readonly ambiguous: number
  /** Records with something that is older than what is remembered. */
  readonly unresolved: number
  /** Logged to our group by somebody else. */
  readonly foreign: number
}

const REASONS: Readonly<Record<LogEvent, FlowReason>> = {
  denied: 'POLICY_DENIED',
  allowed: 'POLICY_ALLOW',
  spoofed: 'SPOOFED',
  invalid: 'INVALID',
  cut: 'CUT',
  'unknown-interface': 'NOT_READY',
  'unknown-address': 'NOT_READY',
  'source-range': 'SOURCE_RANGE',
  'service-rejected': 'NO_ENDPOINT',
  'service-dropped': 'NO_ENDPOINT',
}
const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6', 132: 'SCTP' }
const WITH_PORTS: Readonly<Record<number, Protocol>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' }
const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR']
const SYN_ACK = 0x12
/** Echo replies, of ICMP and ICMPv6. */
const ECHO_REPLIES: Readonly<Record<number, number>> = { 1: 0, 58: 129 }

/** Of what is judged, and of what is not. */
type Why = Pick<FlowRecord, 'policy' | 'also' | 'isolated_by' | 'nearest_miss'>
const NO_REASON: Why = Object.freeze({ policy: null, also: Object.freeze([]), isolated_by: null, nearest_miss: null })

export class RecordMaker {
  readonly #options: RecordMakerOptions
  readonly #now: PlanOfNow
  readonly #counts = { made: 0, ambiguous: 0, unresolved: 0, foreign: 0 }

  constructor(options: RecordMakerOptions) {
    this.#options = options
    this.#now = new PlanOfNow(options.world, options.history)
  }

  /** Since the start. */
  get counts(): RecordCounts {
    return { ...this.#counts }
  }

  /** `now`: milliseconds since 1970. Between turns only. Null where the prefix is none of ours, which is counted. */
  make(flow: LoggedFlow, now: number): FlowRecord | null {
    const prefix = parseLogPrefix(flow.prefix)
    if (prefix === null) {
      this.#counts.foreign += 1
      return null
    }
    const { history, node, mark } = this.#options
    const span = { first: flow.first, last: flow.last }
    const protocol = WITH_PORTS[flow.protocol] ?? null
    const open = new Map<string, Undecided>()
    const at = protocol === null || flow.destinationPort === null ? null : { protocol, port: flow.destinationPort }
    const source = endOf(history, { address: flow.source, interface: flow.inInterface, at: null, span })
    const destination = endOf(history, { address: flow.destination, interface: flow.outInterface, at, span })
    const service = serviceOf(history, mark, prefix.event, flow, protocol, span)
    for (const [name, end] of [['source', source], ['destination', destination]] as const) {
      if (end.why !== null) open.set(name, end.why)
      if (end.areLabelsOpen) open.set(`${name}.labels`, 'ambiguous')
    }
    if (service.why !== null) open.set('destination.service', service.why)
    const why = this.#why(prefix, flow, { source, destination, service, protocol }, now, open)
    const revision = history.revisionAt(flow.first)
    if (typeof revision === 'string') open.set('ruleset_revision', revision)
    const label = prefix.label === '' ? null : history.labelText(prefix.label, prefix.profile)
    if (prefix.label !== '' && label === null) open.set('label', 'unresolved')
    this.#count(open)
    return {
      schema: SCHEMA,
      type: 'verdict',
      time: timeOf(now),
      first_seen: timeOf(flow.first),
      last_seen: timeOf(flow.last),
      count: flow.count,
      bytes: flow.bytes,
      node,
      verdict: prefix.event === 'allowed' ? 'FORWARDED' : 'DROPPED',
      reason: REASONS[prefix.event],
      direction: directionOf(prefix),
      is_reply: isReply(flow),
      ip: { source: flow.source, destination: flow.destination, family: flow.family },
      l4: l4Of(flow),
      source: source.end,
      destination: { ...destination.end, service: service.service },
      ...why,
      tier: null,
      ruleset_revision: typeof revision === 'string' ? null : revision,
      undecided: [...open].map(([field, one]) => ({ field, why: one })),
      sampled: prefix.sample,
      label,
    }
  }

  #why(prefix: LogPrefix, flow: LoggedFlow, ends: Ends, now: number, open: Map<string, Undecided>): Why {
    const { history } = this.#options
    if (prefix.profile === null) return NO_REASON
    const known = history.profile(prefix.profile, prefix.generation)
    const packet: Packet = { source: flow.source, destination: flow.destination, protocol: ends.protocol, port: flow.destinationPort ?? 0 }
    const span: Span = { first: flow.first, last: flow.last }
    if (prefix.place !== null) {
      const found = rulesOf(history, known, prefix.place, packet, span, (profile, rules, one) => this.#now.matching(profile, rules, one, flow.first, now))
      if (found.why !== null) open.set('policy', found.why)
      if (found.isGenerationOpen) open.set('policy.generation', 'ambiguous')
      return { ...NO_REASON, policy: found.policy, also: found.also }
    }
    if (known === null) {
      open.set('isolated_by', 'unresolved')
      return NO_REASON
    }
    const subject = known.profile.direction === 'ingress' ? ends.destination : ends.source
    const { service } = ends.service
    const called = service === null || service.cluster_ip === null || service.port === null ? null : { address: service.cluster_ip, port: service.port }
    const miss = subject.pod === null ? null : this.#now.nearestMiss({ known, pod: subject.pod, packet, called, since: flow.first }, now)
    return { ...NO_REASON, isolated_by: isolatedBy(known.profile), nearest_miss: miss }
  }

  #count(open: ReadonlyMap<string, Undecided>): void {
    this.#counts.made += 1
    const all = [...open.values()]
    if (all.includes('ambiguous')) this.#counts.ambiguous += 1
    if (all.includes('unresolved')) this.#counts.unresolved += 1
  }
}

interface Ends {
  readonly source: FoundEnd
  readonly destination: FoundEnd
  readonly service: FoundService
  readonly protocol: Protocol | null
}

/** Milliseconds since 1970 -> RFC 3339, UTC. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}

function directionOf({ profile }: LogPrefix): Direction | null {
  if (profile === null) return null
  return profile.startsWith('ingress/') ? 'ingress' : 'egress'
}

/** As far as the packet itself tells: of what policies judge, none is one. */
function isReply({ tcpFlags, icmp, protocol }: LoggedFlow): boolean {
  if (tcpFlags !== null) return (tcpFlags & SYN_ACK) === SYN_ACK
  return icmp !== null && icmp.type === ECHO_REPLIES[protocol]
}

function l4Of({ protocol, sourcePort, destinationPort, tcpFlags, icmp }: LoggedFlow): FlowL4 {
  return {
    protocol: PROTOCOL_NAMES[protocol] ?? String(protocol),
    source_port: sourcePort,
    destination_port: destinationPort,
    tcp_flags: tcpFlags === null ? null : TCP_FLAGS.filter((_, bit) => (tcpFlags & (1 << bit)) !== 0),
    icmp,
  }
}
