// How records read: the compact line of issue 8 to the letter, rows of a table, Hubble's form, and that hostile text stays harmless.
//
// **Invariant:** every kind of record is shown in each form.
import assert from 'node:assert/strict'
import { compactLine, NO_INK, type Ink } from '../../../src/flows/compact.ts'
import { hubbleResponse } from '../../../src/flows/hubble.ts'
import { readLine } from '../../../src/flows/read-line.ts'
import { REASONS, type AuditRecord, type FlowRecord } from '../../../src/flows/record.ts'
import { safeJson, safeLine } from '../../../src/flows/safe-json.ts'
import { TABLE_HEADERS, tableRow } from '../../../src/flows/table.ts'
import { agentRecord, allowedRecord, flowRecord, lostRecord, OUTSIDE, podEnd, randomFlow } from '../../support/flow-records.ts'
import { randomFrom } from '../../support/random.ts'

const compact = (record: AuditRecord): string => compactLine(record, NO_INK)
const base = flowRecord()
const hubble = (record: AuditRecord): Record<string, unknown> => JSON.parse(safeJson(hubbleResponse(record))) as Record<string, unknown>
const flowOf = (record: FlowRecord): Record<string, unknown> => hubble(record)['flow'] as Record<string, unknown>

describe('the compact form', () => {
  it('is that of the example', () => {
    assert.equal(compact(base), '12:00:01.123 shop/web-6d(web):57050 -> pay/api-5f:80 TCP SYN DROPPED ingress isolated-by pay/default-deny (+3) nearest pay/allow-web: port 80 not in [8080] x12')
  })
  it('says what allowed, and through which Service', () => {
    assert.equal(compact(allowedRecord()), '12:00:01.123 shop/web-6d(web):57050 -> pay/api-5f:80 via pay/svc/api:8443 TCP SYN FORWARDED ingress allowed-by pay/allow-web[1] (+1)')
    assert.equal(compact(allowedRecord({ also: [], policy: { ...(allowedRecord().policy as NonNullable<FlowRecord['policy']>), kind: 'ClusterNetworkPolicy', namespace: null } })).split(' FORWARDED ')[1], 'ingress allowed-by allow-web[1]')
  })
  it('names ends that are no pods by what they are, in both families', () => {
    const none = { isolated_by: null, nearest_miss: null, count: 1, direction: null } as const
    const outside = flowRecord({ ...none, reason: 'SPOOFED', ip: { source: '192.0.2.1', destination: '10.244.2.9', family: 4 }, source: OUTSIDE })
    assert.equal(compact(outside), '12:00:01.123 192.0.2.1:57050 -> pay/api-5f:80 TCP SYN DROPPED SPOOFED')
    const six = flowRecord({ ...none, reason: 'INVALID', ip: { source: '2001:db8::1', destination: 'fd00::9', family: 6 }, source: OUTSIDE, destination: { ...OUTSIDE, kind: 'node', node: 'node-b', service: null } })
    assert.equal(compact(six), '12:00:01.123 [2001:db8::1]:57050 -> node/node-b:80 TCP SYN DROPPED INVALID')
    const icmp = { protocol: 'ICMPv6', source_port: null, destination_port: null, tcp_flags: null, icmp: { type: 128, code: 0 } }
    assert.equal(compact(flowRecord({ ...none, reason: 'CUT', l4: icmp, ip: six.ip, source: OUTSIDE })), '12:00:01.123 2001:db8::1 -> pay/api-5f ICMPv6 128/0 DROPPED CUT')
    const service = flowRecord({ ...none, reason: 'NO_ENDPOINT', destination: { ...OUTSIDE, kind: 'service', service: { namespace: 'pay', name: 'api', port: 80, cluster_ip: '10.96.0.1' } } })
    assert.equal(compact(service), '12:00:01.123 shop/web-6d(web):57050 -> pay/svc/api:80 TCP SYN DROPPED NO_ENDPOINT')
  })
  it('says what is unusual: replies, what could not be decided, samples, labels', () => {
    const record = flowRecord({ is_reply: true, undecided: [{ field: 'source', why: 'ambiguous' }, { field: 'policy', why: 'unresolved' }], sampled: 100, label: 'pci', isolated_by: { total: 2, policies: [] }, nearest_miss: null, tier: 'admin' })
    assert.match(compact(record), / DROPPED ingress reply isolated-by 2 policies tier admin ambiguous source unresolved policy sampled 1\/100 label "pci" x12$/)
    assert.match(compact(flowRecord({ isolated_by: null, nearest_miss: null })), / DROPPED ingress POLICY_DENIED x12$/)
  })
  it('tells what was lost and what happens to agents', () => {
    assert.equal(compact(lostRecord()), '12:00:02.000 lost 532 (kernel) on node-a, 12:00:01.123 to 12:00:01.900')
    assert.equal(compact(lostRecord({ stage: 'sink', name: 'file /var/log/a.log', count: 1 })), '12:00:02.000 lost 1 (sink file /var/log/a.log) on node-a, 12:00:01.123 to 12:00:01.900')
    assert.equal(compact(agentRecord()), '12:00:00.000 agent started on node-a: audit stream of version 0.1.0')
  })
  it('has colours where it is asked for them, and the same words', () => {
    const ink: Ink = (colour, text) => `<${colour}>${text}</>`
    assert.match(compactLine(base, ink), /^<faint>12:00:01\.123<\/> shop\/.* <bad>DROPPED<\/> ingress .* <faint>x12<\/>$/)
    assert.match(compactLine(allowedRecord(), ink), / <good>FORWARDED<\/> /)
    for (const record of [base, allowedRecord(), lostRecord(), agentRecord()]) assert.equal(compactLine(record, ink).replaceAll(/<\/?[a-z]*>/g, ''), compact(record).replaceAll(/<\/?[a-z]*>/g, ''))
  })
})

describe('the table', () => {
  it('has a cell for each header, of each kind of record', () => {
    for (const record of [base, allowedRecord(), lostRecord(), agentRecord()]) assert.equal(tableRow(record).length, TABLE_HEADERS.length)
    assert.deepEqual(tableRow(base), ['12:00:01.123', 'node-a', 'shop/web-6d(web):57050', 'pay/api-5f:80', '-', 'TCP SYN', 'DROPPED', 'ingress', '12', 'isolated-by pay/default-deny (+3) nearest pay/allow-web: port 80 not in [8080]'])
    assert.deepEqual(tableRow(lostRecord()).slice(6), ['lost', '-', '532', 'lost 532 (kernel), 12:00:01.123 to 12:00:01.900'])
  })
})

describe("Hubble's form", () => {
  it('is that of its API', () => {
    const label = (name: string): readonly string[] => ['derived-from=NetworkPolicy', `name=${name}`, 'namespace=pay', `uid=uid-${name}`].map((text) => `k8s:io.cilium.k8s.policy.${text}`)
    assert.deepEqual(hubble(base), {
      flow: {
        time: '2026-01-05T12:00:01.123Z', verdict: 'DROPPED', drop_reason: 133,
        IP: { source: '10.244.1.7', destination: '10.244.2.9', ipVersion: 'IPv4' },
        l4: { TCP: { source_port: 57050, destination_port: 80, flags: { SYN: true } } },
        source: { namespace: 'shop', labels: ['k8s:app=web'], pod_name: 'web-6d', workloads: [{ name: 'web', kind: 'Deployment' }] },
        destination: { namespace: 'pay', labels: ['k8s:app=api'], pod_name: 'api-5f' },
        Type: 'L3_L4', node_name: 'node-a', event_type: { type: 1, sub_type: 133 }, traffic_direction: 'INGRESS', drop_reason_desc: 'POLICY_DENIED', is_reply: false, Summary: 'TCP Flags: SYN',
        ingress_denied_by: [{ name: 'default-deny', namespace: 'pay', labels: label('default-deny') }, { name: 'allow-web', namespace: 'pay', labels: label('allow-web') }],
      },
      node_name: 'node-a', time: '2026-01-05T12:00:01.123Z',
    })
  })
  it('of what is allowed names what allows, and the Service', () => {
    const flow = flowOf(allowedRecord({ direction: 'egress' }))
    assert.deepEqual((flow['egress_allowed_by'] as readonly { readonly name: string }[]).map(({ name }) => name), ['allow-web', 'allow-shop'])
    assert.deepEqual(flow['destination_service'], { name: 'api', namespace: 'pay' })
    assert.deepEqual([flow['verdict'], flow['traffic_direction'], flow['event_type']], ['FORWARDED', 'EGRESS', { type: 5 }])
    for (const key of ['drop_reason', 'drop_reason_desc', 'ingress_denied_by', 'egress_denied_by']) assert.ok(!(key in flow), key)
  })
  it('of other protocols and ends', () => {
    const six = { source: 'fd00::1', destination: 'fd00::2', family: 6 } as const
    const icmp = { protocol: 'ICMPv6', source_port: null, destination_port: null, tcp_flags: null, icmp: { type: 128, code: 0 } }
    const flow = flowOf(flowRecord({ ip: six, l4: icmp, source: OUTSIDE, destination: { ...OUTSIDE, kind: 'node', node: 'node-a', service: null }, direction: null }))
    assert.deepEqual([flow['l4'], flow['IP'], flow['Summary']], [{ ICMPv6: { type: 128, code: 0 } }, { source: 'fd00::1', destination: 'fd00::2', ipVersion: 'IPv6' }, 'ICMPv6 type 128 code 0'])
    assert.deepEqual([flow['source'], flow['destination']], [{ identity: 2, labels: ['reserved:world'] }, { identity: 1, labels: ['reserved:host'] }])
    assert.equal(flow['traffic_direction'], 'TRAFFIC_DIRECTION_UNKNOWN')
    assert.deepEqual(flowOf(flowRecord({ l4: { ...icmp, protocol: 'ICMP', icmp: { type: 8, code: 0 } } }))['l4'], { ICMPv4: { type: 8, code: 0 } })
    assert.deepEqual(flowOf(flowRecord({ l4: { protocol: 'UDP', source_port: 1, destination_port: 53, tcp_flags: null, icmp: null } }))['l4'], { UDP: { source_port: 1, destination_port: 53 } })
    assert.deepEqual((flowOf(flowRecord({ destination: { ...OUTSIDE, kind: 'node', node: 'node-b', service: null } }))['destination'] as { readonly labels: unknown }).labels, ['reserved:remote-node'])
    assert.ok(!('l4' in flowOf(flowRecord({ l4: { protocol: '47', source_port: null, destination_port: null, tcp_flags: null, icmp: null } }))))
  })
  it('has a reason of its own words for each of ours', () => {
    // Of flow.proto.
    const known: Readonly<Record<string, number>> = { INVALID_SOURCE_IP: 132, POLICY_DENIED: 133, INVALID_PACKET_DROPPED: 134, SERVICE_BACKEND_NOT_FOUND: 158, DENIED_BY_LB_SRC_RANGE_CHECK: 177, POLICY_DENY: 181, DROP_EP_NOT_READY: 203 }
    for (const reason of REASONS.filter((one) => one !== 'POLICY_ALLOW')) {
      const flow = flowOf(flowRecord({ reason }))
      assert.equal(flow['drop_reason'], known[flow['drop_reason_desc'] as string], reason)
      assert.deepEqual(flow['event_type'], { type: 1, sub_type: flow['drop_reason'] }, reason)
    }
  })
  it('tells what was lost and what happens to agents', () => {
    assert.deepEqual(hubble(lostRecord()), { lost_events: { source: 'PERF_EVENT_RING_BUFFER', num_events_lost: '532' }, node_name: 'node-a', time: '2026-01-05T12:00:02.000Z' })
    assert.deepEqual(hubble(agentRecord({ event: 'sink-failed', message: 'disk full' }))['node_status'], { state_change: 'NODE_ERROR', node_names: ['node-a'], message: 'sink-failed: disk full' })
  })
})

/** Escape sequences of both kinds, a bidirectional override, a line feed, a tag character. */
const HOSTILE = 'a\u001b[2J\u009b31m\u202eb\nc\u0007\u{e0041}\u2028\u007f'
const DANGEROUS = /[\p{C}\u2028\u2029]/u

describe('hostile text', () => {
  const hostile: readonly AuditRecord[] = [
    flowRecord({
      node: HOSTILE, verdict: HOSTILE as never, reason: HOSTILE as never, direction: HOSTILE as never, label: HOSTILE, tier: HOSTILE, undecided: [{ field: HOSTILE, why: HOSTILE as never }],
      ip: { source: HOSTILE, destination: HOSTILE, family: 6 }, l4: { protocol: HOSTILE, source_port: 1, destination_port: 2, tcp_flags: [HOSTILE], icmp: null },
      source: podEnd(HOSTILE, HOSTILE, HOSTILE, { [HOSTILE]: HOSTILE }), destination: { ...podEnd(HOSTILE, HOSTILE), service: { namespace: HOSTILE, name: HOSTILE, port: 1, cluster_ip: HOSTILE } },
      isolated_by: { total: 1, policies: [{ kind: HOSTILE as never, namespace: HOSTILE, name: HOSTILE, uid: HOSTILE }] },
      nearest_miss: { policy: { kind: 'NetworkPolicy', namespace: HOSTILE, name: HOSTILE, uid: '' }, rule: 0, why: HOSTILE },
    }),
    allowedRecord({ source: OUTSIDE, ip: { source: HOSTILE, destination: HOSTILE, family: 4 }, destination: { ...OUTSIDE, kind: 'service', service: { namespace: HOSTILE, name: HOSTILE, port: 1, cluster_ip: null } }, policy: { kind: 'NetworkPolicy', namespace: HOSTILE, name: HOSTILE, uid: '', generation: 1, direction: 'ingress', index: 0 } }),
    lostRecord({ node: HOSTILE, stage: HOSTILE as never, name: HOSTILE }),
    agentRecord({ node: HOSTILE, event: HOSTILE as never, message: HOSTILE }),
  ]
  it('is escaped in every form', () => {
    for (const record of hostile) {
      const line = JSON.stringify(record)
      for (const text of [compact(record), ...tableRow(record), safeLine(line, record), safeJson(hubbleResponse(record))]) assert.doesNotMatch(text, DANGEROUS)
      assert.match(compact(record), /\\u\{1b\}\[2J/)
    }
  })
  it('of JSON says the same value afterwards, and harmless lines stay as they are', () => {
    for (const record of hostile) assert.deepEqual(JSON.parse(safeLine(JSON.stringify(record), record)), record)
    const spaced = ' {"b": 1.0,  "a":"\u00e9"} '
    assert.equal(safeLine(spaced, JSON.parse(spaced)), spaced)
    // White space between values is no text: it cannot be escaped where it stands.
    assert.equal(safeLine('{"a":\t1}\r', { a: 1 }), '{"a":1}')
  })
  it('cannot make a line endless', () => {
    const long = 'x'.repeat(100_000)
    const record = flowRecord({ source: podEnd(long, long, long), nearest_miss: { policy: { kind: 'NetworkPolicy', namespace: long, name: long, uid: '' }, rule: 0, why: long } })
    assert.ok(compact(record).length < 4096)
  })
})

describe('a line that is read', () => {
  it('is the record that was written', () => {
    const random = randomFrom(4)
    for (const record of [base, allowedRecord(), lostRecord(), agentRecord(), ...Array.from({ length: 100 }, () => randomFlow(random))]) assert.deepEqual(readLine(JSON.stringify(record)), { record, wrong: null })
  })
  it('may have more than we know', () => {
    assert.equal(readLine(JSON.stringify({ ...base, more: 1 })).wrong, null)
  })
  it('is refused with the field that is wrong', () => {
    for (const [line, message] of [
      ['', /^expected a record of picket\.flow\/v1 as JSON, found ""$/],
      ['{', /^expected a record/],
      ['\u001b[2J', /^expected a record of picket\.flow\/v1 as JSON, found "\\u\{1b\}\[2J"$/],
      ['null', /^expected a mapping, found nothing$/],
      ['[]', /^expected a mapping/],
      ['{}', /^schema: expected one of picket\.flow\/v1, found nothing$/],
      [JSON.stringify({ ...base, type: 'other' }), /^type: expected one of verdict, lost, agent, found "other"$/],
      [JSON.stringify({ ...base, type: 'constructor' }), /^type: /],
      [JSON.stringify({ ...base, time: 'now' }), /^time: expected a time/],
      [JSON.stringify({ ...base, count: '12' }), /^count: expected a number, found "12"$/],
      [JSON.stringify({ ...base, source: null }), /^source: expected a mapping/],
      [JSON.stringify({ ...base, source: { ...base.source, labels: { a: 1 } } }), /^source\.labels\.a: expected a text, found 1$/],
      [JSON.stringify({ ...base, isolated_by: { total: 1, policies: [{ name: 'x' }] } }), /^isolated_by\.policies\[0\]\.kind: expected a text, found nothing$/],
      [JSON.stringify({ ...base, l4: { ...base.l4, tcp_flags: [1] } }), /^l4\.tcp_flags\[0\]: /],
      [JSON.stringify(lostRecord({ first: 1 as never })), /^first: /],
    ] as const) {
      const { record, wrong } = readLine(line)
      assert.equal(record, null, line)
      assert.match(wrong ?? '', message)
    }
  })
  it('never breaks what shows it, whichever field is taken from it', () => {
    for (const whole of [base, allowedRecord(), lostRecord(), agentRecord()]) {
      for (const changed of variants(whole)) {
        const { record } = readLine(JSON.stringify(changed))
        if (record === null) continue
        assert.doesNotThrow(() => [compact(record), tableRow(record), hubbleResponse(record)], JSON.stringify(changed))
      }
    }
  })
})

/** With each value below it once null, once missing and once of another type. */
function variants(value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => {
    const put = (one: unknown): unknown => (Array.isArray(value) ? value.with(Number(key), one) : { ...value, [key]: one })
    const { [key]: _, ...without } = value as Record<string, unknown>
    return [put(null), put(7), put('x'), put([]), put({}), ...(Array.isArray(value) ? [] : [without]), ...variants(inner).map(put)]
  })
}
