// Records of the audit stream for tests: one that is whole, and others by what they differ in.
//
// **Invariant:** keys stand in the order of src/flows/record.ts, and none is missing.
import { SCHEMA, type AgentRecord, type FlowEnd, type FlowRecord, type LostRecord } from '../../src/flows/record.ts'
import type { Random } from './random.ts'

export type Changes<Of> = { readonly [Key in keyof Of]?: Of[Key] }

const TIME = '2026-01-05T12:00:01.123Z'

export function podEnd(namespace: string, pod: string, workload: string | null = null, labels: Readonly<Record<string, string>> = {}): FlowEnd {
  return { kind: 'pod', namespace, pod, uid: `uid-${namespace}-${pod}`, node: 'node-a', workload: workload === null ? null : { kind: 'Deployment', name: workload }, labels, labels_omitted: 0 }
}

export const OUTSIDE: FlowEnd = { kind: 'external', namespace: null, pod: null, uid: null, node: null, workload: null, labels: {}, labels_omitted: 0 }

/** The example of issue 8: shop/web-6d calls port 80 of pay/api-5f, which nothing allows. */
export function flowRecord(changes: Changes<FlowRecord> = {}): FlowRecord {
  const policy = (name: string) => ({ kind: 'NetworkPolicy', namespace: 'pay', name, uid: `uid-${name}` }) as const
  return {
    schema: SCHEMA,
    type: 'verdict',
    time: TIME,
    first_seen: TIME,
    last_seen: '2026-01-05T12:00:05.001Z',
    count: 12,
    bytes: 720,
    node: 'node-a',
    verdict: 'DROPPED',
    reason: 'POLICY_DENIED',
    direction: 'ingress',
    is_reply: false,
    ip: { source: '10.244.1.7', destination: '10.244.2.9', family: 4 },
    l4: { protocol: 'TCP', source_port: 57050, destination_port: 80, tcp_flags: ['SYN'], icmp: null },
    source: podEnd('shop', 'web-6d', 'web', { app: 'web' }),
    destination: { ...podEnd('pay', 'api-5f', null, { app: 'api' }), service: null },
    policy: null,
    also: [],
    isolated_by: { total: 4, policies: [policy('default-deny'), policy('allow-web')] },
    nearest_miss: { policy: policy('allow-web'), rule: 0, why: 'port 80 not in [8080]' },
    tier: null,
    ruleset_revision: 41,
    undecided: [],
    sampled: 1,
    label: null,
    ...changes,
  }
}

/** shop/web-6d calls Service pay/api, which a rule allows. */
export function allowedRecord(changes: Changes<FlowRecord> = {}): FlowRecord {
  const base = flowRecord()
  return {
    ...base,
    verdict: 'FORWARDED',
    reason: 'POLICY_ALLOW',
    count: 1,
    destination: { ...base.destination, service: { namespace: 'pay', name: 'api', port: 8443, cluster_ip: '10.96.0.20' } },
    policy: { kind: 'NetworkPolicy', namespace: 'pay', name: 'allow-web', uid: 'uid-allow-web', generation: 3, direction: 'ingress', index: 1 },
    also: [{ kind: 'NetworkPolicy', namespace: 'pay', name: 'allow-shop', uid: 'uid-allow-shop', generation: 1, direction: 'ingress', index: 0 }],
    isolated_by: null,
    nearest_miss: null,
    ...changes,
  }
}

export function lostRecord(changes: Changes<LostRecord> = {}): LostRecord {
  return { schema: SCHEMA, type: 'lost', time: '2026-01-05T12:00:02.000Z', node: 'node-a', stage: 'kernel', name: null, count: 532, first: TIME, last: '2026-01-05T12:00:01.900Z', ...changes }
}

export function agentRecord(changes: Changes<AgentRecord> = {}): AgentRecord {
  return { schema: SCHEMA, type: 'agent', time: '2026-01-05T12:00:00.000Z', node: 'node-a', event: 'started', message: 'audit stream of version 0.1.0', ...changes }
}

/** Few names, so that filters of the same few names match some. */
export function randomFlow(random: Random): FlowRecord {
  const one = <Of>(...list: readonly Of[]): Of => list[Math.floor(random() * list.length)] as Of
  const end = (): FlowEnd => one<() => FlowEnd>(
    () => podEnd(one('shop', 'shop-2', 'pay'), one('web', 'web-6d', 'api')),
    () => OUTSIDE,
    () => ({ ...OUTSIDE, kind: 'node', pod: one('web', 'node-a'), node: one('web', 'node-a') }),
  )()
  const policy = () => ({ kind: 'NetworkPolicy', namespace: one('shop', 'pay'), name: one('deny', 'deny-all', 'web'), uid: 'u' }) as const
  const rule = () => ({ ...policy(), generation: 1, direction: 'ingress', index: 0 }) as const
  const family = one(4, 6) as 4 | 6
  const address = (): string => (family === 4 ? one('10.0.0.1', '10.0.0.2', '10.0.1.1') : one('fd00::1', 'fd00::1:1'))
  const protocol = one('TCP', 'UDP', 'SCTP', 'ICMP')
  const port = (): number | null => (protocol === 'ICMP' ? null : one(80, 443, 57050))
  return flowRecord({
    node: one('node-a', 'node-b'),
    verdict: one('FORWARDED', 'DROPPED'),
    reason: one('POLICY_ALLOW', 'POLICY_DENIED', 'INVALID'),
    direction: one('ingress', 'egress', null),
    ip: { source: address(), destination: address(), family },
    l4: { protocol, source_port: port(), destination_port: port(), tcp_flags: null, icmp: null },
    source: end(),
    destination: { ...end(), service: one(null, { namespace: one('shop', 'pay'), name: one('api', 'web'), port: one(80, null), cluster_ip: one(address(), null) }) },
    policy: one(null, rule()),
    also: one([], [rule()]),
    isolated_by: one(null, { total: 1, policies: [policy()] }),
    nearest_miss: one(null, { policy: policy(), rule: 0, why: 'port 80 not in [8080]' }),
  })
}
