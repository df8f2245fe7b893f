// Records on a pipe that is read, not read, read late, or broken; the pipes are real, and another process reads them.
import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStdout } from '../../../src/sinks/stdout.ts'
import { numbered, readNumbers } from '../../support/record-lines.ts'
import { HeardEvents } from '../../support/sink-events.ts'

const LIMITS = { records: 100, bytes: 1e6 }

describe('sink stdout', () => {
  let dir = ''
  let fds: number[] = []
  let readers: ChildProcess[] = []

  /** The end that is written to blocks, as standard output does; the other one is there, and nobody reads it. */
  function pipe(): { readonly fd: number; readonly other: number; readonly file: string } {
    const file = path.join(dir, `pipe-${fds.length}`)
    execFileSync('mkfifo', [file])
    const other = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
    const fd = fs.openSync(file, fs.constants.O_WRONLY)
    fds.push(other, fd)
    return { fd, other, file }
  }

  /** In another process, into a file. */
  function read({ file: from }: { readonly file: string }): () => Promise<readonly string[]> {
    const file = `${from}-read`
    const out = fs.openSync(file, 'w')
    readers.push(spawn('cat', [from], { stdio: ['ignore', out, 'ignore'] }))
    fs.closeSync(out)
    return async () => (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
  }

  async function until(done: () => boolean | Promise<boolean>, what: string): Promise<void> {
    for (let i = 0; i < 300 && !(await done()); i++) await sleep(10)
    assert.ok(await done(), what)
  }

  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'picket-stdout-'))
    fds = []
    readers = []
  })
  afterEach(async () => {
    for (const reader of readers) reader.kill('SIGKILL')
    for (const fd of fds) fs.closeSync(fd)
    await rm(dir, { recursive: true, force: true })
  })

  it('writes each record as one line, in order', async () => {
    const end = pipe()
    const lines = read(end)
    const events = new HeardEvents()
    const sink = openStdout(events, { fd: end.fd })
    for (let i = 0; i < 2000; i++) sink.write(numbered(i))
    await until(async () => (await lines()).length === 2000, 'all are read')
    assert.deepEqual(readNumbers(await lines()).numbers, Array.from({ length: 2000 }, (_, i) => i))
    assert.deepEqual([sink.state(), events.told], [{ written: 2000, lost: 0, queued: 0, failure: null }, []])
    await sink.close()
  })
  it('never waits for a pipe that nobody reads: it drops and tells, and goes on once somebody does', async () => {
    const end = pipe()
    const events = new HeardEvents()
    const sink = openStdout(events, { fd: end.fd, limits: LIMITS, stalled: 100, pauses: [20, 50] })
    let longest = 0
    for (let i = 0; i < 1000; i++) {
      const before = performance.now()
      sink.write(numbered(i))
      if (i % 100 === 0) await sleep(5)
      longest = Math.max(longest, performance.now() - before)
    }
    assert.ok(longest < 500, `${longest} ms`)
    await until(() => events.told.length > 0, 'it is told')
    assert.deepEqual(events.told, ['failed: nobody has read standard output for 0.1 s'])
    const { lost, queued } = sink.state()
    assert.ok(lost > 500 && queued > 0 && queued <= 104, `${lost} ${queued}`)
    const lines = read(end)
    await until(() => sink.state().queued === 0, 'it goes on')
    sink.write(numbered(1000))
    await until(() => sink.state().queued === 0, 'and on')
    await sink.close()
    assert.deepEqual(events.told.at(-1), 'recovered')
    await until(async () => (await lines()).at(-1) === numbered(1000).line, 'the last one is read')
    const { numbers } = readNumbers(await lines())
    assert.deepEqual([numbers.length + events.lost, new Set(numbers).size], [1001, numbers.length])
    assert.deepEqual([events.lost, sink.state().written], [sink.state().lost, numbers.length])
  })
  it('ends within about a second though nobody reads, and tells what did not go out', async () => {
    const end = pipe()
    const events = new HeardEvents()
    const sink = openStdout(events, { fd: end.fd, limits: LIMITS })
    for (let i = 0; i < 300; i++) {
      sink.write(numbered(i))
      if (i % 50 === 0) await sleep(5)
    }
    const before = Date.now()
    await sink.close()
    assert.ok(Date.now() - before < 1500)
    const { written, lost, queued } = sink.state()
    assert.deepEqual([written + lost, queued, events.lost], [300, 0, lost])
    assert.ok(lost > 0)
  })
  it('tells that nobody is there any more', async () => {
    const end = pipe()
    fs.closeSync(end.other)
    fds = fds.filter((fd) => fd !== end.other)
    const events = new HeardEvents()
    const sink = openStdout(events, { fd: end.fd, pauses: [10, 20] })
    sink.write(numbered(1))
    await until(() => events.told.length > 0, 'it is told')
    assert.match(events.told[0] ?? '', /^failed: .*(EPIPE|ENXIO)/)
    await sink.close()
    assert.deepEqual([events.lost, events.told.length], [1, 1])
  })
  it('adds to a file behind what is there', async () => {
    const file = path.join(dir, 'out')
    fs.writeFileSync(file, 'before\n')
    const fd = fs.openSync(file, 'a')
    fds.push(fd)
    const sink = openStdout(new HeardEvents(), { fd })
    for (let i = 0; i < 500; i++) sink.write(numbered(i))
    await sink.close()
    const [first, ...rest] = (await readFile(file, 'utf8')).trimEnd().split('\n')
    assert.deepEqual([first, readNumbers(rest).numbers.length, sink.state().written], ['before', 500, 500])
  })
})
