// A record in the form that Hubble's tools read: one GetFlowsResponse of its API (flow.proto, observer.proto), by protobuf's mapping to JSON.
//
// `hubble observe --input-file` skips a line with a field or a word that its version does not know: nothing but what is old there is used.
// How many packets a record stands for has no place in it. **Invariant:** names of fields and words of enums are those of the published form.
import type { AgentRecord, AuditRecord, FlowEnd, FlowPolicy, FlowReason, FlowRecord, FlowService, LostRecord, LostStage } from './record.ts'

/** Name and number of flow.DropReason. */
const DROP_REASONS: Readonly<Record<FlowReason, readonly [word: string, number: number]>> = {
  POLICY_ALLOW: ['DROP_REASON_UNKNOWN', 0],
  POLICY_DENIED: ['POLICY_DENIED', 133],
  POLICY_DENY: ['POLICY_DENY', 181],
  NOT_READY: ['DROP_EP_NOT_READY', 203],
  SPOOFED: ['INVALID_SOURCE_IP', 132],
  INVALID: ['INVALID_PACKET_DROPPED', 134],
  // Of a connection that policies no longer allow.
  CUT: ['POLICY_DENIED', 133],
  SOURCE_RANGE: ['DENIED_BY_LB_SRC_RANGE_CHECK', 177],
  NO_ENDPOINT: ['SERVICE_BACKEND_NOT_FOUND', 158],
}
/** flow.LostEventSource */
const LOST_SOURCES: Readonly<Record<LostStage, string>> = { kernel: 'PERF_EVENT_RING_BUFFER', queue: 'OBSERVER_EVENTS_QUEUE', client: 'HUBBLE_RING_BUFFER', sink: 'UNKNOWN_LOST_EVENT_SOURCE' }
/** relay.NodeState */
const NODE_STATES: Readonly<Record<AgentRecord['event'], string>> = { started: 'NODE_CONNECTED', stopped: 'NODE_UNAVAILABLE', 'sink-failed': 'NODE_ERROR', 'sink-recovered': 'NODE_CONNECTED' }
/** Of Cilium's monitor API. */
const DROP_EVENT = 1
const POLICY_VERDICT_EVENT = 5
/** Reserved identities of Cilium. */
const HOST = { identity: 1, labels: ['reserved:host'] }
const WORLD = { identity: 2, labels: ['reserved:world'] }
const REMOTE_NODE = { identity: 6, labels: ['reserved:remote-node'] }
/** TCP flags that it knows. */
const FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR', 'NS']

/** To be written as JSON: what is undefined is left out. */
export function hubbleResponse(record: AuditRecord): object {
  const common = { node_name: record.node, time: record.time }
  switch (record.type) {
    case 'verdict':
      return { flow: flowOf(record), ...common }
    case 'lost':
      return { lost_events: lostOf(record), ...common }
    case 'agent':
      return { node_status: { state_change: NODE_STATES[record.event] ?? 'UNKNOWN_NODE_STATE', node_names: [record.node], message: `${record.event}: ${record.message}` }, ...common }
  }
}

function flowOf(record: FlowRecord): object {
  const { time, verdict, reason, direction, ip, node, source, destination, is_reply: isReply } = record
  const [word, number] = DROP_REASONS[reason] ?? ['DROP_REASON_UNKNOWN', 0]
  const dropped = verdict === 'DROPPED'
  return {
    time,
    verdict,
    ...(dropped ? { drop_reason: number } : {}),
    IP: { source: ip.source, destination: ip.destination, ipVersion: ip.family === 4 ? 'IPv4' : 'IPv6' },
    l4: layer4Of(record),
    source: endpointOf(source, node),
    destination: endpointOf(destination, node),
    Type: 'L3_L4',
    node_name: node,
    event_type: dropped ? { type: DROP_EVENT, sub_type: number } : { type: POLICY_VERDICT_EVENT },
    destination_service: serviceOf(destination.service),
    traffic_direction: direction === 'ingress' ? 'INGRESS' : direction === 'egress' ? 'EGRESS' : 'TRAFFIC_DIRECTION_UNKNOWN',
    ...(dropped ? { drop_reason_desc: word } : {}),
    is_reply: isReply,
    Summary: summaryOf(record),
    ...policiesOf(record),
  }
}

function layer4Of({ l4 }: FlowRecord): object | undefined {
  const { protocol, tcp_flags: flags, icmp } = l4
  const ports = { source_port: l4.source_port ?? undefined, destination_port: l4.destination_port ?? undefined }
  if (protocol === 'TCP') return { TCP: { ...ports, flags: Object.fromEntries((flags ?? []).filter((flag) => FLAGS.includes(flag)).map((flag) => [flag, true])) } }
  if (protocol === 'UDP' || protocol === 'SCTP') return { [protocol]: ports }
  if (protocol === 'ICMP') return { ICMPv4: icmp ?? {} }
  return protocol === 'ICMPv6' ? { ICMPv6: icmp ?? {} } : undefined
}

/** As Hubble words it. */
function summaryOf({ l4: { protocol, tcp_flags: flags, icmp } }: FlowRecord): string {
  if (protocol === 'TCP') return `TCP Flags: ${(flags ?? []).join(', ')}`
  if (icmp !== null) return `${protocol === 'ICMP' ? 'ICMPv4' : protocol} type ${icmp.type} code ${icmp.code}`
  return protocol
}

function endpointOf({ kind, namespace, pod, node, workload, labels }: FlowEnd, capturedOn: string): object {
  if (kind === 'external') return WORLD
  if (kind === 'node') return (node ?? pod) === capturedOn ? HOST : REMOTE_NODE
  if (kind === 'service') return { namespace: namespace ?? undefined }
  return {
    namespace: namespace ?? undefined,
    labels: Object.entries(labels).map(([key, value]) => (value === '' ? `k8s:${key}` : `k8s:${key}=${value}`)),
    pod_name: pod ?? undefined,
    ...(workload === null ? {} : { workloads: [{ name: workload.name, kind: workload.kind }] }),
  }
}

function serviceOf(service: FlowService | null): object | undefined {
  return service === null ? undefined : { name: service.name, namespace: service.namespace }
}

/** Those that allow, or that isolate, in the direction in which they judged. */
function policiesOf({ verdict, direction, policy, also, isolated_by: isolating }: FlowRecord): object {
  if (direction !== 'ingress' && direction !== 'egress') return {}
  const policies = verdict === 'DROPPED' ? (isolating?.policies ?? []) : [...(policy === null ? [] : [policy]), ...also]
  return policies.length === 0 ? {} : { [`${direction}_${verdict === 'DROPPED' ? 'denied' : 'allowed'}_by`]: policies.map(policyOf) }
}

function policyOf({ kind, namespace, name, uid }: FlowPolicy): object {
  const label = (key: string, value: string): string => `k8s:io.cilium.k8s.policy.${key}=${value}`
  const labels = [label('derived-from', kind), label('name', name), ...(namespace === null ? [] : [label('namespace', namespace)]), label('uid', uid)]
  return { name, namespace: namespace ?? undefined, labels }
}

function lostOf({ stage, count }: LostRecord): object {
  // 64 bits are a text in protobuf's JSON.
  return { source: LOST_SOURCES[stage] ?? 'UNKNOWN_LOST_EVENT_SOURCE', num_events_lost: String(count) }
}
