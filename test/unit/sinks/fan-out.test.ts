// All sinks together: filters, and what is told of one that fails; real files and servers, and sinks that do as they are told.
import assert from 'node:assert/strict'
import fs from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseSinks } from '../../../src/flows/sink-text.ts'
import type { AuditRecord, LostRecord } from '../../../src/flows/record.ts'
import { FanOut, type FanOutOptions } from '../../../src/sinks/fan-out.ts'
import type { RecordLine, SinkEvents } from '../../../src/sinks/sink.ts'
import { agentRecord, allowedRecord, flowRecord, lostRecord } from '../../support/flow-records.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { lineOf, numbered, readNumbers, timeAt } from '../../support/record-lines.ts'

describe('sinks together', function () {
  this.timeout(15_000)
  let dir = ''
  let told: AuditRecord[] = []

  const open = (texts: readonly string[], options: Partial<FanOutOptions> = {}): FanOut =>
    FanOut.open({ specs: parseSinks(texts), node: 'node-a', onRecord: ({ record }) => told.push(record), sinkOptions: { pauses: [20, 50] }, ...options })
  const read = async (file: string): Promise<readonly string[]> => (await fs.readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
  const agentEvents = (records: readonly AuditRecord[]): readonly string[] => records.flatMap((record) => (record.type === 'agent' ? [`${record.event} ${record.message}`] : []))

  async function until(done: () => boolean | Promise<boolean>, what: string): Promise<void> {
    for (let i = 0; i < 500 && !(await done()); i++) await sleep(10)
    assert.ok(await done(), what)
  }

  /** Sinks that hold what they get, and fail when they are told to. */
  function steered(texts: readonly string[]) {
    const got = new Map<string, AuditRecord[]>()
    const events = new Map<string, SinkEvents>()
    const failures = new Map<string, string | null>()
    const fanOut = open(texts, {
      clock: new FakeClock(),
      open: (spec, its) => {
        const name = spec.kind === 'file' ? `file ${spec.file}` : spec.kind
        got.set(name, [])
        events.set(name, its)
        return {
          name,
          write: ({ record }: RecordLine) => void got.get(name)?.push(record),
          state: () => ({ written: 0, lost: 0, queued: 0, failure: failures.get(name) ?? null }),
          close: () => Promise.resolve(its.onLost({ count: 1, first: timeAt(0), last: timeAt(0) })),
        }
      },
    })
    const fail = (name: string): void => {
      failures.set(name, 'broken')
      events.get(name)?.onFailed('broken')
    }
    const recover = (name: string): void => {
      failures.set(name, null)
      events.get(name)?.onRecovered()
    }
    return { fanOut, got: (name: string) => got.get(name) ?? [], lose: (name: string, count: number, from: number, to: number) => events.get(name)?.onLost({ count, first: timeAt(from), last: timeAt(to) }), fail, recover }
  }

  beforeEach(async () => {
    dir = await fs.mkdtemp(path.join(tmpdir(), 'picket-sinks-'))
    told = []
  })
  afterEach(() => fs.rm(dir, { recursive: true, force: true }))

  it('gives each sink what its own filter lets through, and tells of loss whatever the filter', async () => {
    const [all, denied, other] = ['all', 'denied', 'other'].map((name) => path.join(dir, name)) as [string, string, string]
    const fanOut = open([`file:${all}`, `file:${denied}?filter=verdict=DROPPED`, `file:${other}?filter=from-ns=nobody`])
    const records = [flowRecord(), allowedRecord(), lostRecord(), agentRecord()].map(lineOf)
    for (const record of records) fanOut.write(record)
    await fanOut.close()
    const lines = records.map(({ line }) => line)
    assert.deepEqual(await read(all), lines)
    assert.deepEqual(await read(denied), [lines[0], lines[2], lines[3]])
    assert.deepEqual(await read(other), [lines[2], lines[3]])
    assert.deepEqual([told, [...fanOut.states()].map(([name, { written }]) => [name, written])], [[], [[`file ${all}`, 4], [`file ${denied}`, 3], [`file ${other}`, 2]]])
  })
  it('opens what cannot be opened as failed, tells the others, and has it work once it can', async () => {
    const [good, blocked] = [path.join(dir, 'good'), path.join(dir, 'folder', 'audit.log')]
    await fs.writeFile(path.join(dir, 'folder'), 'no folder')
    const fanOut = open([`file:${good}`, `file:${blocked}`])
    fanOut.write(numbered(1))
    await until(() => fanOut.states().get(`file ${blocked}`)?.failure !== null, 'it fails')
    await until(async () => (await read(good)).length === 2, 'the other one tells it')
    const failed = told.find((record) => record.type === 'agent')
    assert.match(failed?.type === 'agent' ? `${failed.event} ${failed.message}` : '', new RegExp(`^sink-failed file ${blocked}: E`))
    assert.deepEqual((await read(good))[1], JSON.stringify(failed))
    await fs.rm(path.join(dir, 'folder'))
    await until(() => fanOut.states().get(`file ${blocked}`)?.written === 1, 'it works')
    await fanOut.close()
    assert.deepEqual([await read(blocked), agentEvents(told)[1]], [[numbered(1).line], `sink-recovered file ${blocked}: records are written again`])
  })
  it('lets none hold another back: beside one that is never read, all gets into a file', async () => {
    const sockets: net.Socket[] = []
    const server = net.createServer((socket) => void sockets.push(socket.on('error', () => undefined).pause()))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const file = path.join(dir, 'all')
    const fanOut = open([`syslog+tcp://127.0.0.1:${port}`, `file:${file}`])
    for (let i = 0; i < 30_000; i++) {
      fanOut.write(numbered(i))
      if (i % 200 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => fanOut.states().get(`file ${file}`)?.queued === 0, 'the file has all')
    const before = Date.now()
    await fanOut.close()
    assert.ok(Date.now() - before < 2000)
    const { numbers } = readNumbers(await read(file))
    const ofFile = fanOut.states().get(`file ${file}`)
    assert.equal(numbers.length + (ofFile?.lost ?? 0), 30_000)
    const lost = told.flatMap((record) => (record.type === 'lost' && record.name === `syslog tcp://127.0.0.1:${port}` ? [record] : []))
    const state = fanOut.states().get(`syslog tcp://127.0.0.1:${port}`)
    assert.ok((state?.lost ?? 0) > 1000)
    assert.deepEqual([lost.reduce((sum, { count }) => sum + count, 0), lost.every(({ stage }) => stage === 'sink')], [state?.lost, true])
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  it('tells what a sink lost to the stream and the others at once, and to itself once it works', () => {
    const { fanOut, got, lose, fail, recover } = steered(['file:/a', 'file:/b?filter=from-ns=nobody'])
    fail('file /a')
    lose('file /a', 5, 10, 20)
    lose('file /a', 2, 5, 15)
    assert.deepEqual(got('file /a'), [])
    const told5: LostRecord = { ...lostRecord(), time: '1970-01-01T00:00:00.000Z', stage: 'sink', name: 'file /a', count: 5, first: timeAt(10), last: timeAt(20) }
    assert.deepEqual(got('file /b').slice(1), [told5, { ...told5, count: 2, first: timeAt(5), last: timeAt(15) }])
    assert.deepEqual(told, got('file /b'))
    recover('file /a')
    assert.deepEqual(got('file /a'), [{ ...told5, count: 7, first: timeAt(5), last: timeAt(20) }])
    assert.deepEqual(agentEvents(got('file /b')), ['sink-failed file /a: broken', 'sink-recovered file /a: records are written again'])
    // One that is only slow.
    lose('file /a', 1, 30, 30)
    assert.deepEqual(got('file /a')[1], { ...told5, count: 1, first: timeAt(30), last: timeAt(30) })
    fanOut.write(numbered(1))
    assert.equal(got('file /a').length, 3)
  })
  it('does not send word of two that fail back and forth', () => {
    const { got, lose, fail, recover } = steered(['file:/a', 'file:/b', 'file:/c'])
    fail('file /a')
    fail('file /b')
    for (let i = 0; i < 10; i++) {
      lose('file /a', 1, i, i)
      lose('file /b', 2, i, i)
    }
    assert.deepEqual([got('file /a').length, got('file /c').filter(({ type }) => type === 'lost').length], [0, 20])
    const before = got('file /b').length
    recover('file /b')
    const counts = got('file /b').slice(before).flatMap((record) => (record.type === 'lost' ? [[record.name, record.count]] : []))
    assert.deepEqual(counts, [['file /a', 10], ['file /b', 20]])
    assert.equal(got('file /a').length, 0)
  })
  it('tells at its end what did not get through, to the stream alone', async () => {
    const { fanOut, got } = steered(['file:/a', 'file:/b'])
    await fanOut.close()
    assert.deepEqual(told.map((record) => (record.type === 'lost' ? [record.name, record.count] : [])), [['file /a', 1], ['file /b', 1]])
    assert.deepEqual([got('file /a'), got('file /b')], [[], []])
  })
})
