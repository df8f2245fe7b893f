// GET /flows over real sockets: what is asked for, and readers that are slow, dead, stalled, too many, or mean harm.
//
// **Invariant:** what a reader got and what it was told to have lost is what was written, to the record.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FlowStream, type FlowStreamOptions } from '../../../src/serve/flows.ts'
import { openSocket, type AgentSocket } from '../../../src/serve/socket.ts'
import { agentRecord, lostRecord } from '../../support/flow-records.ts'
import { lineOf, numbered, readNumbers, timeAt } from '../../support/record-lines.ts'

interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly lines: readonly string[]
}

/** Many times what the kernel keeps of a connection, and the stream for all of them. */
const FLOOD = 20_000

describe('flow stream', () => {
  let dir = ''
  let file = ''
  let socket: AgentSocket | null = null
  let stream = new FlowStream({ node: 'node-a' })
  const open: { destroy(): unknown }[] = []

  async function serve(options: Partial<FlowStreamOptions> = {}): Promise<FlowStream> {
    stream = new FlowStream({ node: 'node-a', ...options })
    socket = await openSocket(file, {
      status: () => null, notReady: () => null, covers: () => false, asked: {},
      streams: { '/flows': (request, response) => stream.handle(request, response) },
    })
    return stream
  }

  function ask(query: string): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = http.get({ socketPath: file, path: `/flows${query}`, agent: false }, resolve).on('error', reject)
      open.push(request)
    })
  }

  async function whole(response: http.IncomingMessage): Promise<Answer> {
    let body = ''
    try {
      for await (const chunk of response) body += String(chunk)
    } catch {
      // It was cut off.
    }
    return { status: response.statusCode ?? 0, headers: response.headers, lines: body.split('\n').filter((line) => line !== '') }
  }

  const numbersOf = async (query: string): Promise<readonly number[]> => readNumbers((await whole(await ask(query))).lines).numbers

  async function until(done: () => boolean, what: string): Promise<void> {
    for (let i = 0; i < 500 && !done(); i++) await sleep(10)
    assert.ok(done(), what)
  }

  /** In pieces, as an agent gets them: other things happen in between. */
  async function flood(from: number, to: number): Promise<void> {
    for (let number = from; number < to; number++) {
      stream.write(numbered(number))
      if (number % 500 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Written by hand: it reads nothing before it is told to. */
  async function connect(request: string): Promise<net.Socket> {
    const connection = net.connect(file)
    open.push(connection)
    connection.on('error', () => undefined)
    await once(connection, 'connect')
    connection.pause()
    connection.write(request)
    return connection
  }

  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'picket-flows-'))
    file = path.join(dir, 'agent.sock')
  })
  afterEach(async () => {
    for (const one of open.splice(0)) one.destroy()
    stream.close()
    await socket?.close()
    await rm(dir, { recursive: true, force: true })
  })

  it('gives what it remembers, as asked for, and ends', async () => {
    await serve()
    for (let i = 0; i < 10; i++) stream.write(numbered(i, { verdict: i % 2 === 0 ? 'DROPPED' : 'FORWARDED' }))
    stream.write(lineOf(lostRecord()))
    const all = await whole(await ask(''))
    assert.deepEqual([all.status, all.headers['content-type'], all.headers['picket-forgotten']], [200, 'application/x-ndjson', '0'])
    assert.deepEqual(readNumbers(all.lines).numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert.equal(all.lines[10], JSON.stringify(lostRecord()))
    assert.deepEqual(await numbersOf('?verdict=DROPPED'), [0, 2, 4, 6, 8])
    // The lost record counts among the last.
    assert.deepEqual(await numbersOf('?last=3&verdict=FORWARDED'), [7, 9])
    assert.deepEqual(await numbersOf('?last=0'), [])
    assert.deepEqual(await numbersOf(`?since=${timeAt(7)}`), [7, 8, 9])
    assert.deepEqual(await numbersOf(`?since=${timeAt(2)}&last=5&follow=0&not=verdict=DROPPED`), [3, 5, 7, 9])
  })
  it('goes on with what comes: alone from now on, or after what was asked for of before', async () => {
    await serve()
    for (let i = 0; i < 5; i++) stream.write(numbered(i))
    const answers = await Promise.all(['?follow=1', '?follow=1&last=2', '?follow=1&since=1h', `?follow=1&since=${timeAt(3)}&verdict=DROPPED`].map(ask))
    await until(() => stream.state().readers === 4, 'all read')
    for (let i = 5; i < 8; i++) stream.write(numbered(i))
    stream.write(numbered(8, { verdict: 'FORWARDED' }))
    stream.write(lineOf(agentRecord({ event: 'stopped' })))
    stream.close()
    const all = await Promise.all(answers.map(whole))
    const since1h = all[2]
    assert.deepEqual([all[0], all[1], all[3]].map((one) => readNumbers(one?.lines ?? []).numbers), [[5, 6, 7, 8], [3, 4, 5, 6, 7, 8], [3, 4, 5, 6, 7]])
    // What was long before is of before; what comes is shown whatever time it bears.
    assert.deepEqual(readNumbers(since1h?.lines ?? []).numbers, [5, 6, 7, 8])
    for (const one of all) assert.match(one.lines.at(-1) ?? '', /"stopped"/)
  })
  it('refuses what it does not know, and names the parameter', async () => {
    await serve()
    for (const [query, wrong] of [['?follow=yes', /^follow: found "yes", expected 1 or 0$/], ['?last=-1', /^last: /], ['?since=yesterday', /^since: /], ['?pods=x', /^pods: no such parameter; expected one of .*pod/], ['?pod=%1b%5b31m', /^pod: found "\\u\{1b\}/], ['?last=1&last=2', /^last: found more than once/]] as const) {
      const { status, lines } = await whole(await ask(query))
      assert.equal(status, 400, query)
      assert.match((JSON.parse(lines[0] ?? '') as { error: string }).error, wrong)
    }
    assert.equal(stream.state().readers, 0)
  })
  it('forgets the oldest lines, and says how many', async () => {
    await serve({ bytes: 10 * Buffer.byteLength(`${numbered(1000).line}\n`) })
    for (let i = 1000; i < 1025; i++) stream.write(numbered(i))
    const { headers, lines } = await whole(await ask(''))
    assert.equal(headers['picket-forgotten'], '15')
    assert.deepEqual(readNumbers(lines).numbers, [1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1023, 1024])
    assert.deepEqual({ ...stream.state(), readers: 0, bytes: 0 }, { readers: 0, kept: 10, bytes: 0, forgotten: 15 })
  })
  it('tells a slow reader exactly what it missed, and holds nobody else back for it', async function () {
    this.timeout(60_000)
    await serve()
    const [slow, quick] = [await ask('?follow=1&verdict=DROPPED'), await ask('?follow=1')]
    let got = 0
    const seen: Buffer[] = []
    quick.on('data', (chunk: Buffer) => {
      seen.push(chunk)
      for (const byte of chunk) if (byte === 10) got += 1
    })
    const writeAll = async (count: number, verdict: 'DROPPED' | 'FORWARDED'): Promise<void> => {
      for (let number = 0; number < count; number += 500) {
        const before = got
        for (let i = number; i < number + 500; i++) stream.write(numbered(i, { verdict }))
        await until(() => got === before + 500, 'the quick reader has all at once')
      }
    }
    await until(() => stream.state().readers === 2, 'both read')
    await writeAll(FLOOD, 'DROPPED')
    // Not of its filter: neither sent nor lost.
    await writeAll(5000, 'FORWARDED')
    assert.ok(stream.state().bytes <= 4 * 1024 * 1024)
    const ofSlow = whole(slow)
    await sleep(300)
    stream.write(numbered(FLOOD))
    await sleep(300)
    stream.close()
    const { numbers, lost } = readNumbers((await ofSlow).lines)
    const missing = lost.reduce((sum, { count }) => sum + count, 0)
    assert.ok(missing > 10_000, `${missing} lost`)
    assert.equal(numbers.length + missing, FLOOD + 1)
    assert.deepEqual([new Set(numbers).size, numbers.at(-1)], [numbers.length, FLOOD])
    const { stage, node, name, first, last } = lost[0] ?? lostRecord()
    const firstMissing = numbers.findIndex((number, index) => number !== index)
    assert.deepEqual({ stage, node, name, first }, { stage: 'client', node: 'node-a', name: null, first: timeAt(firstMissing) })
    assert.ok(last > first)
    const other = readNumbers(Buffer.concat(seen).toString().trimEnd().split('\n'))
    assert.deepEqual([other.numbers.length, other.lost], [FLOOD + 5001, []])
  })
  it('tells of loss at most once a second, and all of it in the end', async function () {
    this.timeout(60_000)
    await serve({ bytes: 100_000 })
    const response = await ask('?follow=1')
    const lines: string[] = []
    let rest = ''
    let at = 0
    const tellings: number[] = []
    const start = Date.now()
    let number = 0
    while (Date.now() - start < 2500) {
      for (let i = 0; i < 1500; i++) stream.write(numbered(number++))
      await sleep(10)
      const chunk = response.read() as Buffer | null
      rest += chunk === null ? '' : String(chunk)
      const parts = rest.split('\n')
      rest = parts.pop() ?? ''
      lines.push(...parts)
      for (; at < lines.length; at++) if (lines[at]?.includes('"type":"lost"')) tellings.push(Date.parse((JSON.parse(lines[at] as string) as { time: string }).time))
    }
    stream.close()
    const all = await whole(response)
    const { numbers, lost } = readNumbers([...lines, ...`${rest}${all.lines.join('\n')}`.split('\n').filter((line) => line !== '')])
    assert.ok(lost.length >= 2 && lost.length <= 5, `${lost.length} tellings`)
    // All but the one at the end.
    for (const [index, one] of tellings.entries()) if (index > 0) assert.ok(one - (tellings[index - 1] as number) >= 999, tellings.join())
    assert.equal(numbers.length + lost.reduce((sum, { count }) => sum + count, 0), number)
  })
  it('cuts off who takes nothing for long, and lets who is only without news be', async () => {
    await serve({ patience: 200, bytes: 100_000 })
    const stalled = await connect('GET /flows?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n')
    const idle = await ask('?follow=1&verdict=FORWARDED')
    await until(() => stream.state().readers === 2, 'both read')
    await flood(0, 5000)
    await until(() => stream.state().readers === 1, 'the stalled one is gone')
    stream.write(numbered(7, { verdict: 'FORWARDED' }))
    stream.close()
    assert.deepEqual(readNumbers((await whole(idle)).lines).numbers, [7])
    stalled.destroy()
  })
  it('cuts off who does not take the end, either', async () => {
    await serve({ patience: 200 })
    await flood(0, 4000)
    await connect('GET /flows HTTP/1.1\r\nhost: x\r\n\r\n')
    await until(() => stream.state().readers === 1, 'it reads')
    await until(() => stream.state().readers === 0, 'it is gone')
  })
  it('forgets a reader that died, in the middle of a line, or before its answer', async () => {
    await serve()
    const dying = await ask('?follow=1')
    for (let i = 0; i < 20; i++) (await connect('GET /flows?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n')).destroy()
    await flood(0, 3000)
    dying.destroy()
    await until(() => stream.state().readers === 0, 'all are gone')
    await flood(0, 3000)
    assert.deepEqual(await numbersOf('?last=1'), [2999])
  })
  it('has room for 32, and tells the next one', async () => {
    await serve()
    const first = await ask('?follow=1')
    for (let i = 1; i < 32; i++) await ask('?follow=1')
    const { status, lines } = await whole(await ask(''))
    assert.equal(status, 503)
    assert.match(lines[0] ?? '', /^\{"error":"32 readers follow this agent already, expected fewer; /)
    first.destroy()
    await until(() => stream.state().readers === 31, 'one is gone')
    assert.equal((await whole(await ask(''))).status, 200)
  })
  it('survives who sends nonsense, too much, or many requests at once on one connection', async () => {
    await serve({ patience: 200 })
    const follow = 'GET /flows?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n'
    for (const request of ['nonsense\r\n\r\n', 'GET // HTTP/1.1\r\nhost: x\r\n\r\n', `GET /flows?pod=${'x'.repeat(100_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 'POST /flows HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nabcd', 'GET /flows?%ff%fe HTTP/1.1\r\nhost: x\r\n\r\n', 'GET /flows?follow=1 HTTP/1.1\r\nhost: x\r\ncontent-length: 999999\r\n\r\n', follow.repeat(100)]) {
      await connect(request)
    }
    await sleep(100)
    assert.ok(stream.state().readers <= 32)
    await flood(0, 5000)
    await until(() => stream.state().readers === 0, 'all are cut off')
    assert.deepEqual(await numbersOf('?last=2'), [4998, 4999])
    assert.equal((await new Promise<http.IncomingMessage>((resolve) => http.get({ socketPath: file, path: '/constructor', agent: false }, resolve))).statusCode, 404)
  })
  it('ends with the socket', async () => {
    await serve()
    const response = await ask('?follow=1')
    stream.write(numbered(1))
    const all = whole(response)
    await sleep(50)
    await socket?.close()
    socket = null
    assert.deepEqual(readNumbers((await all).lines).numbers, [1])
    await until(() => stream.state().readers === 0, 'it is gone')
  })
})
