// What the audit stream says: one record a line, of verdicts, of what was lost, and of the agent itself.
//
//   audit/ makes them -> sinks/ and GET /flows carry them -> `picket observe` shows them
//
// Published as JSON Schema (crds/); keys stand in this order, and none is left out: what does not apply is null.
// **Invariant:** a record says everything by itself: nobody has to look anything up to read it.
import type { Address, Family } from '../model/ip.ts'
import type { Direction } from '../model/policy.ts'

export const SCHEMA = 'picket.flow/v1'

/** A line with its end is at most so long. Bytes. */
export const MAX_LINE = 4096

export type AuditRecord = FlowRecord | LostRecord | AgentRecord

export const VERDICTS = ['FORWARDED', 'DROPPED'] as const
export type FlowVerdict = (typeof VERDICTS)[number]

export const REASONS = [
  'POLICY_ALLOW',
  /** Isolated, and nothing allows it. */
  'POLICY_DENIED',
  /** An explicit deny of ClusterNetworkPolicy. */
  'POLICY_DENY',
  /** newPods: deny. */
  'NOT_READY',
  'SPOOFED',
  'INVALID',
  'CUT',
  'SOURCE_RANGE',
  'NO_ENDPOINT',
] as const
export type FlowReason = (typeof REASONS)[number]

/** Packets of one source, destination, ports, protocol, direction and verdict within a few seconds. Times are RFC 3339 with milliseconds, UTC. */
export interface FlowRecord {
  readonly schema: typeof SCHEMA
  readonly type: 'verdict'
  /** When it was made; the packets' own are first_seen and last_seen. */
  readonly time: string
  readonly first_seen: string
  readonly last_seen: string
  /** Packets that the kernel logged. */
  readonly count: number
  /** Of those packets, from the IP header on. */
  readonly bytes: number
  readonly node: string
  readonly verdict: FlowVerdict
  readonly reason: FlowReason
  /** Whose policies judged it: egress, the source's; ingress, the destination's. Null where nobody's did. */
  readonly direction: Direction | null
  readonly is_reply: boolean
  readonly ip: { readonly source: Address; readonly destination: Address; readonly family: Family }
  readonly l4: FlowL4
  readonly source: FlowEnd
  readonly destination: FlowEnd & { readonly service: FlowService | null }
  /** The rule that allowed it. */
  readonly policy: FlowRule | null
  /** Other rules that allow it, too. */
  readonly also: readonly FlowRule[]
  /** The policies that isolate the pod in that direction; at most a few by name, `total` says how many there are. */
  readonly isolated_by: { readonly total: number; readonly policies: readonly FlowPolicy[] } | null
  /** The rule that came nearest to allowing it, with what kept it from doing so. */
  readonly nearest_miss: { readonly policy: FlowPolicy; readonly rule: number; readonly why: string } | null
  /** Null, until there are tiers. */
  readonly tier: string | null
  /** Of the ruleset that judged it, by the packet's time and the commits' times; null where that is not known. */
  readonly ruleset_revision: number | null
  /** What could not be decided: `ambiguous` (more than one answer), `unresolved` (older than what is remembered). By field: `source`, `policy`. */
  readonly undecided: readonly { readonly field: string; readonly why: 'ambiguous' | 'unresolved' }[]
  /** One of so many packets was logged; 1: each. */
  readonly sampled: number
  /** audit.picket.dev/label of what had it logged. */
  readonly label: string | null
}

export interface FlowL4 {
  /** `TCP`, `UDP`, `SCTP`, `ICMP`, `ICMPv6`, or the number. */
  readonly protocol: string
  readonly source_port: number | null
  readonly destination_port: number | null
  /** Of the first packet: `['SYN']`; null where it is not TCP. */
  readonly tcp_flags: readonly string[] | null
  readonly icmp: { readonly type: number; readonly code: number } | null
}

export const END_KINDS = ['pod', 'node', 'external', 'service'] as const

export interface FlowEnd {
  readonly kind: (typeof END_KINDS)[number]
  readonly namespace: string | null
  /** Of the pod or node; null for what is outside. */
  readonly pod: string | null
  readonly uid: string | null
  readonly node: string | null
  readonly workload: { readonly kind: string; readonly name: string } | null
  /** Of the pod; cut where the line would become too long, `labels_omitted` says how many are missing. */
  readonly labels: Readonly<Record<string, string>>
  readonly labels_omitted: number
}

/** Through which it came. */
export interface FlowService {
  readonly namespace: string
  readonly name: string
  /** As called. */
  readonly port: number | null
  readonly cluster_ip: Address | null
}

export interface FlowPolicy {
  readonly kind: 'NetworkPolicy' | 'ClusterNetworkPolicy'
  /** Null for what has none. */
  readonly namespace: string | null
  readonly name: string
  readonly uid: string
}

export interface FlowRule extends FlowPolicy {
  /** metadata.generation; null where a manifest has none. */
  readonly generation: number | null
  readonly direction: Direction
  /** Its place in the policy, from 0. */
  readonly index: number
}

export const LOST_STAGES = ['kernel', 'queue', 'client', 'sink'] as const
export type LostStage = (typeof LOST_STAGES)[number]

/** Records, or packets of which there would have been some, that did not get through a stage. At most one a second for each stage, and each sink or client. */
export interface LostRecord {
  readonly schema: typeof SCHEMA
  readonly type: 'lost'
  readonly time: string
  readonly node: string
  /** kernel: logged, and not read in time. queue: read, and not aggregated. client: a reader of GET /flows is slow. sink: so is a sink. */
  readonly stage: LostStage
  /** Which sink or client; null where there is one only. */
  readonly name: string | null
  /** Exact. */
  readonly count: number
  readonly first: string
  readonly last: string
}

export const AGENT_EVENTS = ['started', 'stopped', 'sink-failed', 'sink-recovered'] as const

export interface AgentRecord {
  readonly schema: typeof SCHEMA
  readonly type: 'agent'
  readonly time: string
  readonly node: string
  readonly event: (typeof AGENT_EVENTS)[number]
  /** For people, without control characters. */
  readonly message: string
}
