// The recorder of events on a fake clock, over the API's objects in memory: series, the budget, and what is dropped.
import assert from 'node:assert/strict'
import { Registry } from 'prom-client'
import { USUAL_LIMITS } from '../../../src/report/event-recorder.ts'
import { addEventMetrics } from '../../../src/telemetry/event-metrics.ts'
import { EventStage, programmed, wanted } from '../../support/event-stage.ts'

const MINUTE = 60_000

describe('report: recording events', () => {
  let stage: EventStage
  const pass = (ms: number): Promise<void> => stage.clock.advance(ms)
  const open = (...more: ConstructorParameters<typeof EventStage>): void => void (stage = new EventStage(...more))

  beforeEach(() => open())
  afterEach(async () => {
    const ended = stage.recorder.close()
    await pass(20_000)
    await ended
  })

  it('an event has all fields, in the namespace of what it is about; those of Nodes in default', async () => {
    stage.recorder.record(wanted('web'))
    stage.recorder.record(wanted('n1', { reason: 'NotEnforced', regarding: { apiVersion: 'v1', kind: 'Node', namespace: null, name: 'n1', uid: 'u', resourceVersion: '' } }))
    await pass(0)
    const [event, ofNode] = stage.events()
    const { metadata, ...fields } = event as NonNullable<typeof event>
    assert.match(`${metadata.namespace}/${metadata.name}`, /^shop\/web\.[0-9a-f]{16}$/)
    assert.deepEqual(fields, {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingController: 'picket.dev/operator',
      reportingInstance: 'picket-operator-abc',
      action: 'Program',
      reason: 'ProgrammingFailed',
      type: 'Warning',
      regarding: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: 'web', uid: 'uid-web', namespace: 'shop', resourceVersion: '7' },
      note: 'web fails',
    })
    assert.deepEqual([ofNode?.metadata.namespace, ofNode?.regarding], ['default', { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'u' }])
  })
  it('names and texts of any length are within bounds', async () => {
    open({ reportingInstance: `${'x'.repeat(300)}-abc` })
    const name = `${'a'.repeat(235)}-${'.b'.repeat(8)}`
    stage.recorder.record(wanted(name, { note: '🐧'.repeat(300) }))
    await pass(0)
    const [event] = stage.events()
    assert.match(event?.metadata.name ?? '', /^a{235}\.[0-9a-f]{16}$/)
    assert.match(event?.note ?? '', /^🐧{255}\.\.\.$/u)
    assert.match(event?.reportingInstance ?? '', /^x{124}-abc$/)
  })
  it('the same again is a series: told at the second time, then every half an hour, and at the end', async () => {
    stage.recorder.record(wanted('web'))
    await pass(1_000)
    assert.deepEqual([stage.texts(), stage.requests()], [['web ProgrammingFailed'], ['POST']])
    stage.recorder.record(wanted('web', { note: 'in other words' }))
    await pass(1_000)
    assert.deepEqual([stage.texts(), stage.requests()], [['web ProgrammingFailed x2'], ['PATCH']])
    for (let minute = 1; minute <= 65; minute += 1) {
      for (let i = 0; i < 10; i += 1) stage.recorder.record(wanted('web'))
      await pass(MINUTE)
    }
    assert.deepEqual([stage.texts(), stage.requests()], [['web ProgrammingFailed x602'], ['PATCH', 'PATCH']])
    await pass(5.5 * MINUTE)
    assert.deepEqual([stage.texts(), stage.requests()], [['web ProgrammingFailed x652'], ['PATCH']])
    const [event] = stage.events()
    assert.deepEqual([event?.note, event?.series?.lastObservedTime], ['web fails', '2026-01-01T01:04:02.000000Z'])
    await pass(60 * MINUTE)
    assert.deepEqual([stage.requests(), stage.recorder.counts().series, stage.recorder.counts().recorded], [[], 0, 652])
  })
  it('after six minutes of rest it is another event; another key, reason or object is, too', async () => {
    stage.recorder.record(wanted('web'))
    await pass(5.9 * MINUTE)
    stage.recorder.record(wanted('web'))
    await pass(6.1 * MINUTE)
    for (const event of [wanted('web'), wanted('web', { reason: 'Invalid' }), wanted('api')]) stage.recorder.record(event)
    await pass(1)
    stage.recorder.record(wanted('web', { key: 'Other' }))
    await pass(1_000)
    assert.deepEqual(stage.texts(), ['web ProgrammingFailed x2', 'web ProgrammingFailed', 'web Invalid', 'api ProgrammingFailed', 'web ProgrammingFailed'])
    assert.equal(new Set(stage.events().map(({ metadata }) => metadata.name)).size, 5)
  })
  it('what comes again before it is written is made as a series at once', async () => {
    stage.quietUntil = 10_000
    for (let i = 0; i < 3; i += 1) stage.recorder.record(wanted('web', { note: `try ${i}` }))
    await pass(9_000)
    assert.deepEqual(stage.requests(), [], 'all is quiet')
    await pass(2_000)
    assert.deepEqual([stage.texts(), stage.requests(), stage.events()[0]?.note], [['web ProgrammingFailed x3'], ['POST'], 'try 2'])
    assert.equal(stage.events()[0]?.eventTime, '2026-01-01T00:00:00.000000Z')
  })
  it('of what waits the newest of an object and reason is told, in the place of the first; warnings come first', async () => {
    open({ limits: { ...USUAL_LIMITS, rate: 1, burst: 1 } })
    stage.recorder.record(programmed('z', 1))
    for (const event of [programmed('a', 1), programmed('b', 1), programmed('a', 2), wanted('c'), programmed('a', 3)]) stage.recorder.record(event)
    await pass(20_000)
    assert.deepEqual(stage.events().map(({ regarding, note }) => `${regarding?.name} ${note}`), ['z generation 1', 'c c fails', 'a generation 3', 'b generation 1'])
    assert.deepEqual([stage.recorder.counts().superseded, stage.recorder.counts().dropped], [2, 0])
  })
  it('a storm of 10,000 transitions of 25 policies stays within the budget, and ends in 25 series that count all of them', async () => {
    for (let i = 0; i < 10_000; i += 1) {
      stage.recorder.record(wanted(`p${i % 25}`))
      if (i % 100 === 99) await pass(1_000)
    }
    await pass(10 * MINUTE)
    assert.deepEqual(stage.texts().toSorted(), Array.from({ length: 25 }, (_, index) => `p${index} ProgrammingFailed x400`).toSorted())
    const { created, patched, dropped, failed, waiting, series } = stage.recorder.counts()
    assert.deepEqual({ created, dropped, failed, waiting, series }, { created: 25, dropped: 0, failed: 0, waiting: 0, series: 0 })
    assert.ok(patched <= 50, `${patched} patches`)
    withinBudget()
  })
  it('a storm of 10,000 other ones is told at the same rate: warnings first, the newest rather than the oldest; the rest is dropped and counted', async () => {
    for (let i = 0; i < 5_000; i += 1) {
      stage.recorder.record(programmed(`p${i}`, 1))
      stage.recorder.record(wanted(`p${i}`))
    }
    await pass(MINUTE)
    const inOneMinute = stage.requests().length
    assert.ok(inOneMinute <= USUAL_LIMITS.burst + 3 * 60 && inOneMinute >= 3 * 59, String(inOneMinute))
    await pass(10 * MINUTE)
    const { recorded, created, dropped, waiting } = stage.recorder.counts()
    assert.deepEqual([recorded, waiting, created + dropped], [10_000, 0, 10_000])
    assert.ok(created >= 1_000 && created <= 1_011, String(created))
    assert.ok(stage.texts().includes('p4999 ProgrammingFailed') && stage.texts().filter((text) => text.includes('Programmed')).length <= 1)
    assert.equal(stage.troubles.length, 2, 'told once')
    assert.match(stage.troubles[0] ?? '', /^more than 1000 events wait to be told/)
    assert.equal(stage.troubles[1], null)
  })

  /** In no time of ten seconds more than the bucket gives. */
  function withinBudget(): void {
    const times = stage.memory.requests.map(({ at }) => at)
    for (const [index, from] of times.entries()) {
      const within = times.slice(index).filter((at) => at < from + 10_000).length
      assert.ok(within <= USUAL_LIMITS.burst + 3 * 10, `${within} writes in the 10 s from ${from}`)
    }
  }

  it('a server that is away is asked ever more rarely, one event at a time, and no event more than five times', async () => {
    stage.memory.fate = () => 'refused'
    stage.recorder.record(wanted('web'))
    await pass(10 * MINUTE)
    assert.deepEqual([stage.requests().length, stage.recorder.counts().dropped, stage.recorder.counts().failed], [5, 1, 5])
    assert.deepEqual(stage.troubles, ['memory cannot be reached: nobody listens there'])
    for (let i = 0; i < 100; i += 1) stage.recorder.record(wanted(`p${i}`))
    await pass(10 * MINUTE)
    assert.ok(stage.requests().length < 50)
    stage.memory.fate = () => 'usual'
    await pass(5 * MINUTE)
    assert.equal(stage.troubles.at(-1), null)
    assert.equal(stage.recorder.counts().created + stage.recorder.counts().dropped, 101)
  })
  it('an answer that was lost makes no second event', async () => {
    stage.memory.fate = ({ at }) => (at === 0 ? 'lost' : 'usual')
    stage.recorder.record(wanted('web'))
    stage.recorder.record(wanted('web'))
    await pass(10_000)
    stage.recorder.record(wanted('web'))
    await pass(10 * MINUTE)
    assert.deepEqual([stage.texts(), stage.recorder.counts().dropped], [['web ProgrammingFailed x3'], 0])
  })
  it('what a server asks us to wait is waited', async () => {
    stage.memory.fate = ({ at }) => (at < 10 ? { status: 429, retryAfter: '20' } : 'usual')
    stage.recorder.record(wanted('web'))
    await pass(19_000)
    assert.deepEqual(stage.requests(), ['POST'])
    await pass(2_000)
    assert.deepEqual([stage.requests(), stage.texts()], [['POST'], ['web ProgrammingFailed']])
  })
  it('a namespace that goes, or is gone, costs its events only, and is no trouble', async () => {
    const going = { reason: 'Forbidden', message: 'unable to create new content in namespace shop because it is being terminated', details: { causes: [{ reason: 'NamespaceTerminating' }] } }
    const gone = { reason: 'NotFound', message: 'namespaces "shop" not found', details: { name: 'shop' } }
    stage.memory.fate = ({ body }) => (body.includes('"a.') ? { status: 403, body: going } : body.includes('"b.') ? { status: 404, body: gone } : 'usual')
    for (const name of ['a', 'b', 'c']) stage.recorder.record(wanted(name))
    await pass(MINUTE)
    assert.deepEqual([stage.requests(), stage.texts(), stage.troubles], [['POST', 'POST', 'POST'], ['c ProgrammingFailed'], []])
    assert.deepEqual([stage.recorder.counts().dropped, stage.recorder.counts().series], [2, 1])
  })
  it('a right that is missing is told, and nothing is tried again', async () => {
    stage.memory.fate = () => ({ status: 403, body: { reason: 'Forbidden', message: 'no' } })
    stage.recorder.record(wanted('web'))
    await pass(MINUTE)
    assert.equal(stage.requests().length, 1)
    assert.match(stage.troubles.join(), /^the role lacks the verb "create" on the resource "events" of the group events\.k8s\.io \(403\)/)
  })
  it('an event that the server forgot is not patched into being; the next one is made anew', async () => {
    stage.recorder.record(wanted('web'))
    await pass(1_000)
    stage.forget()
    stage.recorder.record(wanted('web'))
    await pass(1_000)
    assert.deepEqual([stage.texts(), stage.requests(), stage.troubles], [[], ['POST', 'PATCH'], []])
    stage.recorder.record(wanted('web'))
    await pass(1_000)
    assert.deepEqual(stage.texts(), ['web ProgrammingFailed'])
  })
  it('who no longer leads tells nothing, not even what waits', async () => {
    stage.quietUntil = 5_000
    stage.recorder.record(wanted('web'))
    stage.leads = false
    await pass(MINUTE)
    stage.recorder.record(wanted('api'))
    await pass(MINUTE)
    assert.deepEqual([stage.requests(), stage.recorder.counts().dropped, stage.recorder.counts().waiting], [[], 2, 0])
  })
  it('is quiet until woken', async () => {
    stage.quietUntil = Infinity
    stage.recorder.record(wanted('web'))
    await pass(60 * MINUTE)
    stage.quietUntil = 0
    stage.recorder.wake()
    await pass(0)
    assert.deepEqual(stage.requests(), ['POST'])
  })
  it('a new one that comes while an older one is on its way waits for that, and stays where the older one fails', async () => {
    stage.memory.delayMs = () => 100
    stage.memory.fate = ({ at }) => (at === 0 ? { status: 503 } : 'usual')
    stage.recorder.record(programmed('a', 1))
    await pass(50)
    stage.recorder.record(programmed('a', 2))
    await pass(10_000)
    assert.deepEqual([stage.events().map(({ note }) => note), stage.recorder.counts().dropped], [['generation 2'], 1])
  })
  it('closed while a write hangs, it ends after three seconds, and tells nothing more', async () => {
    stage.memory.fate = () => 'hangs'
    for (const name of ['a', 'b']) stage.recorder.record(wanted(name))
    await pass(100)
    let isOver = false
    const ended = stage.recorder.close().then(() => (isOver = true))
    await pass(2_900)
    assert.equal(isOver, false)
    await pass(200)
    await ended
    stage.recorder.record(wanted('c'))
    await pass(MINUTE)
    assert.equal(stage.requests().length, 1)
  })
  it('is read by its metrics', async () => {
    const registry = new Registry()
    let reading: ReturnType<typeof stage.recorder.counts> | null = null
    addEventMetrics(registry, () => reading)
    assert.match(await registry.metrics(), /picket_operator_events_total\{outcome="dropped"\} 0/)
    stage.quietUntil = Infinity
    for (let i = 0; i < 1_003; i += 1) stage.recorder.record(wanted(`p${i}`))
    stage.recorder.record(wanted('p1000'))
    reading = stage.recorder.counts()
    const text = await registry.metrics()
    for (const line of ['events_total{outcome="recorded"} 1004', 'events_total{outcome="repeated"} 1', 'events_total{outcome="dropped"} 3', 'events_waiting 1000', 'event_writes_total{result="created"} 0']) {
      assert.ok(text.includes(`picket_operator_${line}\n`), `${line} in ${text}`)
    }
    reading = null
    assert.ok((await registry.metrics()).includes('picket_operator_events_total{outcome="dropped"} 3\n'), 'who stops leading does not go back')
  })
})
