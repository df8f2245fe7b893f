// The parts of the reflector that need no server: reading a watch, pauses, calm, what failures say.
import assert from 'node:assert/strict'
import { Attempts } from '../../../src/kube/attempts.ts'
import { Backoff } from '../../../src/kube/backoff.ts'
import { Calm } from '../../../src/kube/calm.ts'
import { ApiFailure, problemOf, type FailureCode } from '../../../src/kube/failures.ts'
import { RESOURCES, type Resource } from '../../../src/kube/resources.ts'
import { statusFailure } from '../../../src/kube/statuses.ts'
import { WatchReader } from '../../../src/kube/watch-reader.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import type { SourceEvent } from '../../../src/model/changes.ts'
import { podObject } from '../../support/cluster-follower.ts'
import { encodeMessage, wrapped } from '../../support/protobuf.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const pods = RESOURCES.find(({ plural }) => plural === 'pods') as Resource

function line(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`
}

function pod(name: string, resourceVersion: string): unknown {
  const object = podObject(name)
  return { ...object, metadata: { ...object.metadata, resourceVersion } }
}

function bookmark(resourceVersion: string, end: boolean): unknown {
  return { metadata: { resourceVersion, ...(end ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}) } }
}

class Reading {
  readonly reader: WatchReader
  readonly events: SourceEvent[] = []

  constructor(version: string | null) {
    this.reader = new WatchReader(pods, version)
  }

  read(text: string): this {
    this.reader.read(Buffer.from(text), this.events)
    return this
  }

  texts(): readonly string[] {
    return this.events.map((event) => {
      if (event.verb === 'replace') return `replace ${[...event.rows.keys()].join(' ')}`
      return event.verb === 'synced' ? 'synced' : `${event.verb} ${event.key}`
    })
  }
}

describe('kube: reading a watch', () => {
  it('rule 103: initial events are one replace, at the marked bookmark and not before, with the changes that came in between', () => {
    const reading = new Reading(null)
    reading.read(line('ADDED', pod('a', '9')) + line('ADDED', pod('b', '5')) + line('ADDED', pod('c', '7')))
    reading.read(line('BOOKMARK', bookmark('10', false)))
    assert.deepEqual([reading.texts(), reading.reader.version], [[], null])
    reading.read(line('DELETED', pod('b', '11')) + line('MODIFIED', pod('c', '12')) + line('BOOKMARK', bookmark('12', true)) + line('ADDED', pod('d', '13')))
    assert.deepEqual([reading.texts(), reading.reader.version], [['replace uid-a uid-c', 'upsert uid-d'], '13'])
  })
  it('the version is that of the last event or bookmark', () => {
    const reading = new Reading('10').read(line('ADDED', pod('a', '11')))
    assert.equal(reading.reader.version, '11')
    assert.equal(reading.read(line('BOOKMARK', bookmark('20', false))).reader.version, '20')
    assert.equal(reading.read(line('DELETED', pod('a', '21')).slice(0, -1)).reader.version, '20')
    assert.equal(reading.read('\n').reader.version, '21')
    assert.equal(reading.reader.heard, 3)
  })
  it('what came before an error stands', () => {
    for (const bad of ['nonsense\n', line('SURPRISE', {}), line('ADDED', null), '7\n', 'null\n', line('ERROR', { code: 500 })]) {
      const reading = new Reading('10')
      assert.throws(() => reading.read(line('ADDED', pod('a', '11')) + bad + line('ADDED', pod('b', '12'))), ApiFailure)
      assert.deepEqual([reading.texts(), reading.reader.version], [['upsert uid-a'], '11'], bad)
    }
  })
  it('410 in every form is Gone', () => {
    for (const status of [{ code: 410 }, { reason: 'Expired' }, { reason: 'Gone', code: 500 }]) {
      assert.throws(() => new Reading('10').read(line('ERROR', status)), { code: 'Gone' })
    }
  })
  it('versions are compared as numbers of any length', () => {
    const long = '99999999999999999999'
    assert.equal(new Reading(long).read(line('ADDED', pod('a', `${long}0`))).reader.version, `${long}0`)
    assert.throws(() => new Reading('100').read(line('ADDED', pod('a', '99'))), { code: 'Gone' })
    assert.equal(new Reading('100').read(line('ADDED', pod('a', 'opaque'))).reader.version, 'opaque')
  })
})

describe('kube: pauses', () => {
  it('double from the first to the longest, and lie between half and the whole', () => {
    for (const [random, factor] of [[0, 0.5], [0.5, 0.75], [1, 1]] as const) {
      const backoff = new Backoff(500, 3_000, () => random)
      assert.deepEqual(Array.from({ length: 5 }, () => backoff.next()), [500, 1_000, 2_000, 3_000, 3_000].map((ms) => ms * factor))
      assert.equal(backoff.failures, 5)
      backoff.reset()
      assert.equal(backoff.next(), 500 * factor)
    }
  })
  it('stay at the longest after any number of failures', () => {
    const backoff = new Backoff(500, 30_000, () => 1)
    for (let i = 0; i < 5_000; i += 1) assert.ok(backoff.next() <= 30_000)
  })
  it('calm is told once, after its time, and never after the end', async () => {
    const clock = new FakeClock()
    let told = 0
    const calm = new Calm(clock, 100, () => (told += 1))
    await clock.advance(200)
    calm.begin()
    await clock.advance(99)
    calm.begin()
    assert.deepEqual([told, calm.reached], [0, false])
    await clock.advance(1)
    assert.deepEqual([told, calm.reached], [1, true])
    const other = new Calm(clock, 100, () => (told += 1))
    other.begin()
    other.end()
    await clock.advance(200)
    assert.deepEqual([told, other.reached], [1, false])
  })
})

describe('kube: answers that are errors', () => {
  const said = (body: Buffer): string => statusFailure(403, body, 'https://s', { verb: 'list', resource: pods }, 'nothing').message
  const status = { status: 'Failure', message: 'pods is forbidden', reason: 'Forbidden', code: 403 }
  const message = wrapped('Status', encodeMessage('Status', status))

  it('say why, in JSON, in protobuf, and in whatever words', () => {
    for (const body of [Buffer.from(JSON.stringify(status)), message, Buffer.from('pods is forbidden\n')]) assert.match(said(body), / \(403\) \(it says: pods is forbidden\)$/)
  })
  it('say nothing where nothing can be read', () => {
    for (const body of [Buffer.from(''), Buffer.from('null'), Buffer.from('{"message":7}'), message.subarray(0, 20), wrapped('Pod', Buffer.from([0xff])), Buffer.from('k8s\0')]) assert.match(said(body), / \(403\)$/)
  })
})

describe('kube: problems', () => {
  it('are told at once, but for what happens every day, and say what holds now', () => {
    const unreachable = new ApiFailure('Unreachable', 'nobody is there')
    assert.equal(problemOf(unreachable, 'pods', 1, false)?.message, 'nobody is there; nothing is written until they are read, and it is tried again')
    assert.equal(problemOf(unreachable, 'pods', 1, true)?.message, 'nobody is there; what was read before stays in force, and it is tried again')
    for (const code of ['Gone', 'Cut', 'Hung', 'Ended'] as const) {
      const problems = [1, 2, 3].map((failures) => problemOf(new ApiFailure(code, 'x'), 'pods', failures, true)?.code ?? null)
      assert.deepEqual(problems, [null, null, `Api${code}`])
    }
  })
})

describe('kube: attempts', () => {
  const pauses = { first: 1000, longest: 64_000, calm: 0 }
  const pausesOf = (...codes: FailureCode[]): number[] => {
    const attempts = new Attempts(systemClock, pauses, () => 1, new AbortController().signal)
    return codes.map((code) => attempts.failed(new ApiFailure(code, 'x'), false).pauseMs)
  }

  it('wait longer after each failure', () => {
    assert.deepEqual(pausesOf('Unreachable', 'Unreachable', 'Unreachable', 'ServerError'), [1000, 2000, 4000, 2000])
    assert.deepEqual(pausesOf('ServerError', 'ServerError', 'ServerError', 'Overloaded'), [1000, 2000, 4000, 8000])
  })
  it('rule 104: a server that was away and answers is not waited for as long as one that is away', () => {
    const away = Array.from({ length: 8 }, (): FailureCode => 'Unreachable')
    assert.deepEqual(pausesOf(...away, 'PermissionMissing', 'PermissionMissing').slice(-2), [2000, 4000])
    assert.deepEqual(pausesOf(...away, 'Gone', 'Gone', 'Gone').slice(-3), [0, 2000, 4000])
  })
})
