// How the parts of a record read: ends, ports, policies and why, in words that are the same in each form of output.
//
// **Invariant:** whatever stands in a record, what comes out is printable and of bounded length.
import { printable } from '../lib/show.ts'
import type { FlowEnd, FlowPolicy, FlowRecord, FlowRule, LostRecord } from './record.ts'

/** Of names and sentences; a line has a few of them. */
const LONGEST = 256

export const safe = (text: string): string => printable(text, LONGEST)

/** `12:00:01.123`, UTC. */
export function clockOf(time: string): string {
  const [, clock = '', fraction = ''] = /T(\d\d:\d\d:\d\d)(?:\.(\d+))?Z$/.exec(time) ?? []
  return `${clock}.${fraction.padEnd(3, '0').slice(0, 3)}`
}

/** `shop/web-6d(web):57050`, `node/node-a:80`, `pay/svc/api:80`, `192.0.2.1:443`, `[2001:db8::1]:443`; without a port where there is none. */
export function sourceOf({ source, ip, l4 }: FlowRecord): string {
  return endOf(source, ip.source, l4.source_port)
}

/** As sourceOf(). */
export function destinationOf({ destination, ip, l4 }: FlowRecord): string {
  const { kind, service } = destination
  if (kind === 'service' && service !== null) return withPort(`${safe(service.namespace)}/svc/${safe(service.name)}`, l4.destination_port)
  return endOf(destination, ip.destination, l4.destination_port)
}

/** `pay/svc/api:8443`, through which it came; null where it came through none, or where that is where it ended. */
export function serviceOf({ destination: { kind, service } }: FlowRecord): string | null {
  if (service === null || kind === 'service') return null
  return withPort(`${safe(service.namespace)}/svc/${safe(service.name)}`, service.port)
}

function endOf({ kind, namespace, pod, node, workload }: FlowEnd, address: string, port: number | null): string {
  if (kind === 'pod' && pod !== null) return withPort(`${safe(namespace ?? '')}/${safe(pod)}${workload === null ? '' : `(${safe(workload.name)})`}`, port)
  if (kind === 'node' && (node ?? pod) !== null) return withPort(`node/${safe(node ?? pod ?? '')}`, port)
  return withPort(address.includes(':') && port !== null ? `[${safe(address)}]` : safe(address), port)
}

function withPort(name: string, port: number | null): string {
  return port === null ? name : `${name}:${port}`
}

/** `TCP SYN`, `UDP`, `ICMPv6 128/0`. */
export function protocolOf({ l4 }: FlowRecord): string {
  const { protocol, tcp_flags: flags, icmp } = l4
  if (icmp !== null) return `${safe(protocol)} ${icmp.type}/${icmp.code}`
  return `${safe(protocol)}${flags === null || flags.length === 0 ? '' : ` ${safe(flags.join(','))}`}`
}

/** `pay/default-deny`; of what has no namespace the name alone. */
export function policyName({ namespace, name }: FlowPolicy): string {
  return namespace === null ? safe(name) : `${safe(namespace)}/${safe(name)}`
}

/** `pay/allow-web[1]` */
export function ruleName(rule: FlowRule): string {
  return `${policyName(rule)}[${rule.index}]`
}

/** What decided: `isolated-by pay/default-deny (+3) nearest pay/allow-web: port 80 not in [8080]`, `allowed-by pay/allow-web[1] (+1)`, `SPOOFED`. */
export function whyOf({ reason, policy, also, isolated_by: isolating, nearest_miss: nearest }: FlowRecord): string {
  const more = (count: number): string => (count > 0 ? ` (+${count})` : '')
  const parts: string[] = []
  // What the rest says is not said twice.
  if (reason === 'POLICY_ALLOW' && policy !== null) parts.push(`allowed-by ${ruleName(policy)}${more(also.length)}`)
  else if (reason !== 'POLICY_DENIED' || isolating === null || isolating.total === 0) parts.push(safe(reason))
  if (policy !== null && reason !== 'POLICY_ALLOW') parts.push(`by ${ruleName(policy)}`)
  if (isolating !== null && isolating.total > 0) {
    const [first] = isolating.policies
    parts.push(first === undefined ? `isolated-by ${isolating.total} policies` : `isolated-by ${policyName(first)}${more(isolating.total - 1)}`)
  }
  if (nearest !== null) parts.push(`nearest ${policyName(nearest.policy)}: ${safe(nearest.why)}`)
  return parts.join(' ')
}

/** What else is to be known, and mostly is not there: `sampled 1/100`, `label "x"`, `ambiguous source`. */
export function remarksOf({ sampled, label, undecided, tier }: FlowRecord): readonly string[] {
  return [
    ...(tier === null ? [] : [`tier ${safe(tier)}`]),
    ...undecided.map(({ field, why }) => `${safe(why)} ${safe(field)}`),
    ...(sampled > 1 ? [`sampled 1/${sampled}`] : []),
    ...(label === null ? [] : [`label "${safe(label)}"`]),
  ]
}

/** `lost 532 (kernel)`, `lost 4 (sink file /var/log/picket/audit.log)` */
export function lossOf({ count, stage, name }: LostRecord): string {
  return `lost ${count} (${safe(stage)}${name === null ? '' : ` ${safe(name)}`})`
}
