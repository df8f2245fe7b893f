// The metrics by Prometheus' conventions, and what a scrape says of a made-up agent.
import assert from 'node:assert/strict'
import { Metrics } from '../../../src/telemetry/metrics.ts'
import type { Reading } from '../../../src/telemetry/readings.ts'
import { parseExposition } from '../../support/exposition.ts'
import { exposedMetrics, isOurs } from '../../tidy/metrics-page.ts'

const READING: Reading = {
  synced: true, ready: true, enforced: false, appliedRevision: 3, wantedRevision: 4, appliedAt: 5.5,
  sizes: { objects: { pod: 7 }, localPods: 2, isolatedPods: { ingress: 1, egress: 0 }, pendingPods: 0, profiles: 1, services: 0, chains: 9, rules: 20, sets: 4, elements: 11, cutConnections: 0 },
  problems: [],
  watches: [],
  events: { pod: 70 },
  decodeErrors: { pod: 1 },
  audit: { reading: true, records: { made: 12, ambiguous: 1, unresolved: 2, foreign: 3 }, lost: { kernel: 4, queue: 5 }, suppression: { denied: { logged: 13, suppressed: 14 } }, historyBytes: 600, readers: 7, sinks: [{ name: 'stdout', written: 8, lost: 9, queued: 10, failed: true }] },
  counted: { series: [], overflow: { allowed: { packets: 0, bytes: 0 }, dropped: { packets: 0, bytes: 0 } }, leftOut: 0 },
}
const BUILD = { version: '1', node: '24', kernel: 'k "1"\n\\' }
const LABELS = ['kind', 'direction', 'code', 'severity', 'resource', 'reason', 'table', 'outcome', 'stage', 'cause', 'version', 'node_version', 'kernel_access', 'family', 'result', 'why', 'sink', 'event']

function made(reading: () => Reading = () => READING): Metrics {
  return new Metrics(reading, BUILD, ['inet picket'])
}

async function scraped(metrics: Metrics): Promise<ReturnType<typeof parseExposition>> {
  return parseExposition(await metrics.text())
}

describe('metrics', () => {
  const ours = exposedMetrics().filter(isOurs)

  it('are ours by name, with the process\'s and Node\'s beside them', () => {
    const others = exposedMetrics().filter((one) => !isOurs(one))
    assert.ok(ours.length >= 25 && others.length >= 10)
    for (const { name } of others) assert.match(name, /^(process|nodejs)_/)
  })
  it('end in _total where they are counters, and nowhere else', () => {
    for (const { name, type } of ours) assert.equal(name.endsWith('_total'), type === 'counter', `${name} is a ${type}`)
  })
  it('have base units, and say so', () => {
    for (const { name, type, help } of ours) {
      assert.doesNotMatch(name, /_(ms|millis|milliseconds|minutes|us|ns|kb|mb|percent)(_|$)/)
      if (type === 'histogram' || /duration|silence|timestamp/.test(name)) assert.match(name, /_seconds$/)
      if (/seconds since/i.test(help)) assert.match(name, /_seconds$/)
    }
  })
  it('have help of a sentence, without what breaks a table', () => {
    for (const { name, help } of exposedMetrics()) assert.match(help, /^[A-Z][^|\n]{10,}$/, name)
    for (const { name, help } of ours) assert.match(help, /\.$/, name)
  })
  it('have labels of few values only: no names of objects, no addresses, no messages', () => {
    // Those that a setting caps have the names of policies and pods.
    const capped = /^picket_(policy|pod_dropped)_(packets|bytes)_total$/
    for (const { name, labelNames } of ours) if (!capped.test(name)) for (const label of labelNames) assert.ok(LABELS.includes(label), `${name}: ${label}`)
    assert.equal(ours.filter(({ name }) => capped.test(name)).length, 4)
  })
  it('say that timestamps of the API are whole seconds', () => {
    assert.match(ours.find(({ name }) => name === 'picket_policy_enforcement_duration_seconds')?.help ?? '', /whole seconds/)
  })
  it('of the audit are where they belong, scrape after scrape', async () => {
    const metrics = made()
    await scraped(metrics)
    const page = await scraped(metrics)
    const value = (name: string, labels = {}): number | undefined => page.value(`picket_audit_${name}`, labels)
    assert.deepEqual([value('reading'), value('records_total'), value('foreign_flows_total'), value('history_bytes'), value('readers')], [1, 12, 3, 600, 7])
    assert.deepEqual(['ambiguous', 'unresolved'].map((why) => value('undecided_records_total', { why })), [1, 2])
    assert.deepEqual(['kernel', 'queue'].map((stage) => value('lost_packets_total', { stage })), [4, 5])
    assert.deepEqual(['logged', 'suppressed'].map((result) => value('logged_packets_total', { event: 'denied', result })), [13, 14])
    const sink = 'stdout'
    assert.deepEqual([...['written', 'lost'].map((result) => value('sink_records_total', { sink, result })), value('sink_queued_records', { sink }), value('sink_failed', { sink })], [8, 9, 10, 1])
  })
  it('are read at a scrape, and go where the reading goes', async () => {
    let reading = { ...READING, problems: [{ code: 'NotCut', severity: 'error' as const, object: 'o', message: 'm' }] }
    const metrics = made(() => reading)
    const first = await scraped(metrics)
    assert.deepEqual([first.value('picket_objects', { kind: 'pod' }), first.value('picket_ready'), first.value('picket_enforced'), first.value('picket_rules')], [7, 1, 0, 20])
    assert.deepEqual([first.value('picket_events_total', { kind: 'pod' }), first.value('picket_problems', { code: 'NotCut', severity: 'error' })], [70, 1])
    reading = { ...READING, problems: [], events: { pod: 71 }, ready: false }
    const second = await scraped(metrics)
    assert.deepEqual([second.value('picket_events_total', { kind: 'pod' }), second.value('picket_ready')], [71, 0])
    assert.equal(second.value('picket_problems', { code: 'NotCut', severity: 'error' }), 0, 'the end of a problem is seen')
  })
  it('have what was counted by rule and pod, and one sum of what has no series', async () => {
    const series = [
      { kind: 'allowed', labels: { namespace: 'shop', policy: 'web', direction: 'ingress', rule: '0' }, packets: 3, bytes: 180 },
      { kind: 'dropped', labels: { namespace: 'shop', pod: 'db', direction: 'egress' }, packets: 4, bytes: 240 },
    ] as const
    let counted: Reading['counted'] = { series, overflow: { allowed: { packets: 5, bytes: 50 }, dropped: { packets: 0, bytes: 0 } }, leftOut: 2 }
    const metrics = made(() => ({ ...READING, counted }))
    const all = await scraped(metrics)
    const [rule, pod, overflow] = [series[0].labels, series[1].labels, { overflow: 'true' }]
    assert.deepEqual([all.value('picket_policy_packets_total', rule), all.value('picket_policy_bytes_total', rule), all.value('picket_pod_dropped_packets_total', pod), all.value('picket_pod_dropped_bytes_total', pod)], [3, 180, 4, 240])
    assert.deepEqual([all.value('picket_policy_packets_total', overflow), all.value('picket_policy_bytes_total', overflow), all.value('picket_pod_dropped_packets_total', overflow), all.value('picket_counters_left_out')], [5, 50, 0, 2])
    counted = READING.counted
    assert.equal((await scraped(metrics)).value('picket_policy_packets_total', rule), undefined, 'what is not counted any more has no series')
  })
  it('have watches by resource, and errors by reason', async () => {
    const watches = [{ resource: 'pods', synced: true, silence: 1.5, lists: 2, reconnects: 3, errors: { Unreachable: 4 } }]
    const all = await scraped(made(() => ({ ...READING, watches })))
    const of = { resource: 'pods' }
    assert.deepEqual([all.value('picket_watch_synced', of), all.value('picket_watch_silence_seconds', of), all.value('picket_watch_lists_total', of), all.value('picket_watch_reconnects_total', of)], [1, 1.5, 2, 3])
    assert.equal(all.value('picket_watch_errors_total', { ...of, reason: 'Unreachable' }), 4)
  })
  it('count what happens', async () => {
    const metrics = made()
    metrics.eventsHeld(0.02, 3)
    metrics.policyEnforced(1.2)
    metrics.committed('inet picket', 'refused', 0.004)
    metrics.staged('store', 0.0002)
    metrics.connectionsCut(5, 2)
    metrics.canaryRound(6, 'leaked')
    const all = await scraped(metrics)
    assert.deepEqual(['0.01', '0.025', '+Inf'].map((le) => all.value('picket_event_commit_duration_seconds_bucket', { le })), [0, 3, 3])
    assert.ok(Math.abs((all.value('picket_event_commit_duration_seconds_sum') ?? 0) - 0.06) < 1e-9)
    assert.equal(all.value('picket_policy_enforcement_duration_seconds_count'), 1)
    assert.equal(all.value('picket_commits_total', { table: 'inet picket', outcome: 'refused' }), 1)
    assert.equal(all.value('picket_commits_total', { table: 'inet picket', outcome: 'acknowledged' }), 0, 'there from the start, so that a rate sees the first one')
    assert.equal(all.value('picket_commit_duration_seconds_count', { table: 'inet picket', outcome: 'refused' }), 1)
    assert.deepEqual([4, 6].map((family) => all.value('picket_canary_rounds_total', { family: String(family), result: 'leaked' })), [0, 1])
    assert.equal(all.value('picket_turn_stage_duration_seconds_count', { stage: 'store' }), 1)
    assert.deepEqual([all.value('picket_connections_cut_total'), all.value('picket_connections_restored_total')], [5, 2])
  })
  it('tell at most so many programs apart', async () => {
    const metrics = made()
    for (let i = 0; i < 1_000; i += 1) metrics.repaired(`p${i}`)
    metrics.repaired(null)
    const all = await scraped(metrics)
    const causes = all.series.filter(({ name }) => name === 'picket_repairs_total')
    assert.ok(causes.length <= 17, String(causes.length))
    assert.equal(causes.reduce((sum, { value }) => sum + value, 0), 1_001)
    assert.deepEqual([all.value('picket_repairs_total', { cause: 'unknown' }), all.value('picket_repairs_total', { cause: 'p3' })], [1, 1])
  })
  it('escape what labels hold', async () => {
    assert.equal((await scraped(made())).value('picket_build_info', { version: '1', node_version: '24', kernel_access: BUILD.kernel }), 1)
  })
  it('fail as a scrape alone where the reading fails, and work again', async () => {
    let broken = true
    const metrics = made(() => {
      if (broken) throw new Error('broken')
      return READING
    })
    await assert.rejects(metrics.text(), /broken/)
    broken = false
    assert.match(await metrics.text(), /picket_ready 1/)
  })
})
