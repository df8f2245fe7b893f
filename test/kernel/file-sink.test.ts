// A file of records on a disk that is full: what is dropped and told, and that it goes on by itself. The disk is a tmpfs of this test.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openFile } from '../../src/sinks/file.ts'
import { numbered, readNumbers } from '../support/record-lines.ts'
import { HeardEvents } from '../support/sink-events.ts'

describe('file sink on a full disk', () => {
  let dir = ''

  beforeEach(async () => {
    dir = await fs.mkdtemp(path.join(tmpdir(), 'picket-full-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'picket-test', dir])
  })
  afterEach(async () => {
    execFileSync('umount', ['-l', dir])
    await fs.rm(dir, { recursive: true, force: true })
  })

  it('drops and tells, leaves whole lines only, and recovers when there is room', async () => {
    const file = path.join(dir, 'audit.log')
    const ballast = path.join(dir, 'ballast')
    await fs.writeFile(ballast, Buffer.alloc(30_000))
    const events = new HeardEvents()
    const sink = openFile({ file, maxSize: 1e6, maxAge: 3_600_000, keep: 1, compress: true }, events, { limits: { records: 20, bytes: 1e6 }, pauses: [20, 50] })
    for (let i = 0; i < 200; i++) {
      sink.write(numbered(i))
      await sleep(1)
    }
    await sleep(100)
    assert.equal(events.told.length, 1)
    assert.match(events.told[0] ?? '', /^failed: ENOSPC: no space left on device/)
    const { written, lost, queued, failure } = sink.state()
    assert.deepEqual([written + lost + queued, failure === null], [200, false])
    assert.ok(written > 0 && lost > 100, `${written} ${lost}`)
    assert.equal(readNumbers((await fs.readFile(file, 'utf8')).trimEnd().split('\n')).numbers.length, written)
    await fs.rm(ballast)
    for (let i = 0; i < 100 && sink.state().queued > 0; i++) await sleep(20)
    sink.write(numbered(200))
    await sink.close()
    assert.deepEqual([events.told.length, events.told[1], sink.state().failure], [2, 'recovered', null])
    const { numbers } = readNumbers((await fs.readFile(file, 'utf8')).trimEnd().split('\n'))
    assert.deepEqual([numbers.length + events.lost, new Set(numbers).size, numbers.at(-1)], [201, numbers.length, 200])
  })
  it('rotates on a full disk: what is kept gives room for what comes', async () => {
    const file = path.join(dir, 'audit.log')
    const events = new HeardEvents()
    const sink = openFile({ file, maxSize: 20_000, maxAge: 3_600_000, keep: 1, compress: false }, events, { limits: { records: 1000, bytes: 1e7 }, pauses: [20, 50] })
    for (let i = 0; i < 500; i++) {
      sink.write(numbered(i))
      if (i % 10 === 0) await sleep(5)
    }
    await sink.close()
    const { numbers } = readNumbers((await fs.readFile(file, 'utf8')).trimEnd().split('\n'))
    assert.deepEqual([numbers.at(-1), events.lost, sink.state().written], [499, 0, 500])
  })
})
