// A file of records: rotation, compression, what is kept, rights, links, crashes, and others who move the file.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { openFile, type FileOptions } from '../../../src/sinks/file.ts'
import type { SinkOptions } from '../../../src/sinks/queued-sink.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { numbered, readNumbers } from '../../support/record-lines.ts'
import { HeardEvents } from '../../support/sink-events.ts'

const BYTES = Buffer.byteLength(`${numbered(1000).line}\n`)

describe('sink file', () => {
  let dir = ''
  let file = ''
  let events = new HeardEvents()

  const open = (changes: Partial<FileOptions> = {}, options: SinkOptions = {}) =>
    openFile({ file, maxSize: 1e6, maxAge: 3_600_000, keep: 5, compress: false, ...changes }, events, { pauses: [10, 20], ...options })
  const linesOf = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '')
  const read = async (name = file): Promise<readonly string[]> => linesOf(await fs.readFile(name, 'utf8'))
  const names = async (): Promise<readonly string[]> => (await fs.readdir(path.dirname(file))).sort()
  const modeOf = async (name: string): Promise<number> => (await fs.stat(name)).mode & 0o777

  async function until(done: () => boolean | Promise<boolean>, what: string): Promise<void> {
    for (let i = 0; i < 300 && !(await done()); i++) await sleep(10)
    assert.ok(await done(), what)
  }

  const settle = (sink: ReturnType<typeof open>): Promise<void> => until(() => sink.state().queued === 0, 'all is written')

  /** Of all parts, the oldest first. */
  async function everything(): Promise<readonly string[]> {
    const parts = (await names()).filter((name) => name !== path.basename(file))
    const texts = await Promise.all(parts.map(async (name) => {
      const bytes = await fs.readFile(path.join(path.dirname(file), name))
      return name.endsWith('.gz') ? gunzipSync(bytes).toString() : bytes.toString()
    }))
    return [...texts.flatMap(linesOf), ...(await read())]
  }

  beforeEach(async () => {
    dir = await fs.mkdtemp(path.join(tmpdir(), 'picket-file-'))
    file = path.join(dir, 'log', 'audit.log')
    events = new HeardEvents()
  })
  afterEach(() => fs.rm(dir, { recursive: true, force: true }))

  it('makes file and folder for the owner only, and adds to what is there', async () => {
    const before = process.umask(0)
    try {
      const sink = open()
      sink.write(numbered(1))
      await sink.close()
      const next = open()
      next.write(numbered(2))
      await next.close()
    } finally {
      process.umask(before)
    }
    assert.deepEqual(await read(), [numbered(1).line, numbered(2).line])
    assert.deepEqual([await modeOf(file), await modeOf(path.dirname(file)), events.told], [0o600, 0o700, []])
  })
  it('takes a file that others may read from them', async () => {
    await fs.mkdir(path.dirname(file))
    await fs.writeFile(file, '', { mode: 0o644 })
    const sink = open()
    sink.write(numbered(1))
    await sink.close()
    assert.equal(await modeOf(file), 0o600)
  })
  it('rotates before the size is passed, in order, and keeps so many parts', async () => {
    const sink = open({ maxSize: 10 * BYTES, keep: 3 })
    for (let i = 1000; i < 1095; i++) sink.write(numbered(i))
    await settle(sink)
    await until(async () => (await names()).length === 4, 'the oldest are gone')
    await sink.close()
    for (const name of await names()) {
      assert.ok((await fs.stat(path.join(path.dirname(file), name))).size <= 10 * BYTES)
      assert.match(name, /^audit\.log(\.\d{8}T\d{6}\.\d{3}Z)?$/)
    }
    assert.deepEqual(readNumbers(await everything()).numbers, Array.from({ length: 35 }, (_, i) => 1060 + i))
  })
  it('compresses older parts, owner-only, and finishes what a crash left of that', async () => {
    await fs.mkdir(path.dirname(file))
    await fs.writeFile(`${file}.20200101T000000.000Z`, `${numbered(998).line}\n`)
    await fs.writeFile(`${file}.20200101T000000.000Z.gz.part`, 'half')
    await fs.writeFile(`${file}.20200102T000000.000Z.gz.part`, 'half')
    const sink = open({ maxSize: 10 * BYTES, compress: true, keep: 10 })
    for (let i = 1000; i < 1025; i++) sink.write(numbered(i))
    await settle(sink)
    await until(async () => (await names()).filter((name) => name.endsWith('.gz')).length >= 1 && !(await names()).some((name) => name.endsWith('.part')), 'packed')
    await sink.close()
    const next = open({ maxSize: 10 * BYTES, compress: true, keep: 10 })
    next.write(numbered(1025))
    await until(async () => (await names()).filter((name) => name.endsWith('Z.gz')).length === 3 && (await names()).length === 4, 'all are packed')
    await next.close()
    assert.deepEqual(readNumbers(await everything()).numbers, [998, ...Array.from({ length: 26 }, (_, i) => 1000 + i)])
    for (const name of await names()) assert.equal(await modeOf(path.join(path.dirname(file), name)), 0o600)
  })
  it('touches nothing beside it that bears another name', async () => {
    await fs.mkdir(path.dirname(file))
    const others = ['audit.log.1', 'audit.log.20200101T000000.000Z.bak', 'audit.log2', 'other.20200101T000000.000Z']
    for (const name of others) await fs.writeFile(path.join(path.dirname(file), name), 'x')
    const sink = open({ maxSize: BYTES, keep: 0, compress: true })
    for (let i = 1000; i < 1010; i++) sink.write(numbered(i))
    await settle(sink)
    await until(async () => (await names()).length === 5, 'older parts are gone')
    await sink.close()
    assert.deepEqual(await names(), ['audit.log', ...others].sort())
  })
  it('rotates by age, by the time at which the file was begun, over restarts', async () => {
    let ahead = 0
    const clock = { ...systemClock, wallTime: () => Date.now() + ahead }
    const first = open({ maxAge: 60_000 }, { clock })
    first.write(numbered(1))
    await first.close()
    ahead = 50_000
    const sink = open({ maxAge: 60_000 }, { clock })
    sink.write(numbered(2))
    await settle(sink)
    assert.equal((await names()).length, 1)
    ahead = 61_000
    sink.write(numbered(3))
    await sink.close()
    assert.deepEqual([readNumbers(await everything()).numbers, readNumbers(await read()).numbers], [[1, 2, 3], [3]])
  })
  it('ends what a crash left of a line', async () => {
    await fs.mkdir(path.dirname(file))
    await fs.writeFile(file, `${numbered(1).line}\n{"schema":"pick`)
    const sink = open()
    sink.write(numbered(2))
    await sink.close()
    assert.deepEqual(await read(), [numbered(1).line, '{"schema":"pick', numbered(2).line])
  })
  it('follows no link, opens no device and no pipe; tells so, and writes once that is gone', async () => {
    await fs.mkdir(path.dirname(file))
    const target = path.join(dir, 'target')
    await fs.writeFile(target, 'precious')
    await fs.symlink(target, file)
    const sink = open()
    sink.write(numbered(1))
    await until(() => events.told.length === 1, 'the link is told')
    assert.equal(events.told[0], 'failed: a symbolic link is there, expected a regular file; remove it, or name another file')
    assert.equal(sink.state().failure, events.told[0]?.slice('failed: '.length))
    await fs.rm(file)
    await settle(sink)
    assert.deepEqual([await fs.readFile(target, 'utf8'), await read(), events.told.at(-1)], ['precious', [numbered(1).line], 'recovered'])
    await sink.close()
    await fs.rm(file)
    execFileSync('mkfifo', [file])
    const next = open()
    next.write(numbered(2))
    await until(() => events.told.length === 3, 'the pipe is told')
    assert.match(events.told[2] ?? '', /^failed: something else than a regular file is there/)
    await next.close()
    assert.equal(events.lost, 1)
  })
  it('opens the file anew where it was moved, deleted or emptied by others', async function () {
    this.timeout(10_000)
    const sink = open()
    sink.write(numbered(1))
    await settle(sink)
    await fs.rename(file, `${file}.moved`)
    await sleep(1050)
    sink.write(numbered(2))
    await settle(sink)
    assert.deepEqual([await read(`${file}.moved`), await read()], [[numbered(1).line], [numbered(2).line]])
    await fs.rm(path.dirname(file), { recursive: true })
    await sleep(1050)
    sink.write(numbered(3))
    await settle(sink)
    await fs.truncate(file)
    sink.write(numbered(4))
    await sink.close()
    assert.deepEqual([await read(), events.told], [[numbered(4).line], []])
  })
})
