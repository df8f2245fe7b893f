// What an operator exposes to Prometheus, scraped.
//
// **Invariant:** figures are compared with what was handed in, by name and labels.
import assert from 'node:assert/strict'
import { joinedEvents, type EventCounts } from '../../../src/report/event-recorder.ts'
import type { PublishCounts } from '../../../src/report/publish-counts.ts'
import { joined } from '../../../src/report/publish-counts.ts'
import { OperatorMetrics, type OperatorReading } from '../../../src/telemetry/operator-metrics.ts'

const READING: OperatorReading = {
  leads: true,
  synced: true,
  quiet: false,
  terms: 2,
  mistakes: 1,
  objects: { policies: 5, nodes: 2, pods: 9 },
  policies: { actions: { create: 1, apply: 7, delete: 0 }, setbacks: { conflict: 3, missing: 0, refused: 0, away: 0 }, waiting: 4 },
  nodes: { actions: { create: 0, apply: 2, delete: 1 }, setbacks: { conflict: 0, missing: 0, refused: 0, away: 0 }, waiting: 0 },
  events: null,
  watches: [
    { resource: 'pods', synced: true, silence: 1.5, lists: 1, reconnects: 0, errors: {} },
    { resource: 'pods (agents)', synced: true, silence: 2.5, lists: 1, reconnects: 0, errors: { Hung: 1 } },
  ],
}

async function lines(reading: OperatorReading, metrics = new OperatorMetrics(() => reading, { version: '0.1.0', node: '24' })): Promise<readonly string[]> {
  return (await metrics.text()).split('\n').filter((line) => line.startsWith('picket_'))
}

describe('the metrics of the operator', () => {
  it('say who leads, what is known and what was written', async () => {
    const found = await lines(READING)
    for (const line of [
      'picket_operator_leader 1', 'picket_operator_synced 1', 'picket_operator_quiet 0', 'picket_operator_terms_total 2', 'picket_operator_mistakes_total 1',
      'picket_operator_objects{kind="policies"} 5', 'picket_operator_waiting{object="PolicyEnforcement"} 4',
      'picket_operator_writes_total{object="PolicyEnforcement",action="apply"} 7', 'picket_operator_writes_total{object="NodeEnforcement",action="delete"} 1',
      'picket_operator_setbacks_total{object="PolicyEnforcement",setback="conflict"} 3',
      'picket_operator_watch_silence_seconds{resource="pods"} 1.5', 'picket_operator_watch_silence_seconds{resource="pods (agents)"} 2.5',
      'picket_operator_watch_errors_total{resource="pods (agents)",reason="Hung"} 1', 'picket_operator_build_info{version="0.1.0",node="24"} 1',
    ]) assert.ok(found.includes(line), `${line}\n${found.join('\n')}`)
  })
  it('are scraped twice with the same counters, and count steps', async () => {
    const metrics = new OperatorMetrics(() => READING, { version: '0.1.0', node: '24' })
    metrics.stepped(0.02)
    const first = await lines(READING, metrics)
    assert.deepEqual(await lines(READING, metrics), first)
    assert.ok(first.includes('picket_operator_step_duration_seconds_count 1'))
  })
  it('are those of a standby without a term', async () => {
    const none = { actions: {}, setbacks: {}, waiting: 0 }
    const found = await lines({ ...READING, leads: false, synced: false, objects: {}, policies: none, nodes: none, watches: [] })
    assert.ok(found.includes('picket_operator_leader 0'))
    assert.ok(!found.some((line) => line.startsWith('picket_operator_objects{')))
  })
})

describe('counts of two terms', () => {
  const counts = (n: number): PublishCounts => ({
    objects: n, waiting: n, writing: n, offers: n, coalesced: n, writes: n, transitions: n, refreshes: n, taken: n,
    actions: { create: n, apply: n, delete: n }, setbacks: { conflict: n, missing: n, refused: n, away: n },
  })
  it('add up, but for what is now', () => {
    const both = joined(counts(1), counts(10))
    assert.deepEqual([both.objects, both.waiting, both.writing], [10, 10, 10])
    assert.deepEqual([both.offers, both.coalesced, both.writes, both.transitions, both.refreshes, both.taken], [11, 11, 11, 11, 11, 11])
    assert.deepEqual([both.actions, both.setbacks], [{ create: 11, apply: 11, delete: 11 }, { conflict: 11, missing: 11, refused: 11, away: 11 }])
    assert.deepEqual(joined(null, counts(3)), counts(3))
  })
  it('add up for Events too, and wait for nothing once nobody leads', () => {
    const events = (n: number): EventCounts => ({ waiting: n, series: n, recorded: n, repeated: n, superseded: n, created: n, patched: n, failed: n, dropped: n })
    assert.deepEqual(joinedEvents(events(1), events(10)), { ...events(11), waiting: 10, series: 10 })
    assert.deepEqual(joinedEvents(events(3), null), { ...events(3), waiting: 0, series: 0 })
  })
})
