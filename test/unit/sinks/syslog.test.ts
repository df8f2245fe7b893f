// Records to syslog servers: over TCP and TLS, of both families, and to servers that read nothing, reset, talk, or are somebody else.
import assert from 'node:assert/strict'
import fs from 'node:fs/promises'
import type net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { QueuedSink, SinkOptions } from '../../../src/sinks/queued-sink.ts'
import { openSyslog, type SyslogOptions } from '../../../src/sinks/syslog.ts'
import { certificate } from '../../support/certificates.ts'
import { agentRecord, allowedRecord, lostRecord } from '../../support/flow-records.ts'
import { lineOf, numbered, readNumbers, timeAt } from '../../support/record-lines.ts'
import { HeardEvents } from '../../support/sink-events.ts'
import { SyslogServer } from '../../support/syslog-server.ts'

describe('sink syslog', function () {
  this.timeout(15_000)
  let events = new HeardEvents()
  let servers: SyslogServer[] = []
  let sinks: QueuedSink[] = []
  let dir = ''

  const listen = async (options: Parameters<typeof SyslogServer.listen>[0] = {}): Promise<SyslogServer> => {
    const server = await SyslogServer.listen(options)
    servers.push(server)
    return server
  }
  const open = (port: number, changes: Partial<SyslogOptions> = {}, options: SinkOptions = {}): QueuedSink => {
    const sink = openSyslog({ name: 'syslog', tls: false, host: '127.0.0.1', port, ca: null, ...changes }, events, { pauses: [20, 50], ...options })
    sinks.push(sink)
    return sink
  }

  async function until(done: () => boolean, what: string): Promise<void> {
    for (let i = 0; i < 500 && !done(); i++) await sleep(10)
    assert.ok(done(), `${what}: ${events.told.join(', ')}`)
  }

  beforeEach(async () => {
    events = new HeardEvents()
    servers = []
    sinks = []
    dir = await fs.mkdtemp(path.join(tmpdir(), 'picket-syslog-'))
  })
  afterEach(async () => {
    for (const sink of sinks) await sink.close()
    for (const server of servers) await server.close()
    await fs.rm(dir, { recursive: true, force: true })
  })

  for (const host of ['127.0.0.1', '::1']) {
    it(`sends each record as a message of its own to ${host}`, async () => {
      const server = await listen({ host })
      const sink = open(server.port, { host })
      const records = [numbered(1, { label: 'grün "1 <9>1\n' }), lineOf(allowedRecord()), lineOf(lostRecord()), lineOf(agentRecord({ event: 'sink-failed' })), lineOf(agentRecord({ node: 'no de\u001b' }))]
      for (const record of records) sink.write(record)
      await until(() => server.received.length === records.length, 'all came')
      assert.deepEqual([server.lines, server.faults, events.told], [records.map(({ line }) => line), [], []])
      assert.equal(server.received[0]?.header, `<133>1 ${timeAt(1)} node-a picket ${process.pid} verdict -`)
      assert.deepEqual(server.received.map(({ header }) => header.replace(/1 \S+ /, '').replace(String(process.pid), 'PID')), ['<133>node-a picket PID verdict -', '<134>node-a picket PID verdict -', '<132>node-a picket PID lost -', '<132>node-a picket PID agent -', '<133>no?de? picket PID agent -'])
      assert.deepEqual(sink.state(), { written: records.length, lost: 0, queued: 0, failure: null })
    })
  }
  it('goes over TLS to who proves to be the server, by its own authority, of both families', async () => {
    const authority = certificate('authority')
    const ca = path.join(dir, 'ca.pem')
    await fs.writeFile(ca, authority.cert)
    for (const host of ['127.0.0.1', '::1']) {
      const server = await listen({ host, secret: certificate('server', { issuer: authority, addresses: [host] }) })
      const sink = open(server.port, { tls: true, host, ca })
      for (let i = 0; i < 500; i++) sink.write(numbered(i))
      await until(() => server.received.length === 500, 'all came')
      assert.deepEqual([server.faults, events.told], [[], []])
    }
  })
  it('sends nothing over TLS to anybody else, and tells why', async () => {
    const authority = certificate('authority')
    const ca = path.join(dir, 'ca.pem')
    const cases = [
      ['a stranger', certificate('authority', { addresses: ['127.0.0.1'] }), /^failed: .*(self-signed|verify|signature)/],
      ['a server of another address', certificate('server', { issuer: authority, addresses: ['127.0.0.2'] }), /^failed: .*127\.0\.0\.1 is not in the cert's list/],
      ['one whose time is over', certificate('server', { issuer: authority, addresses: ['127.0.0.1'], until: Date.now() - 1000 }), /^failed: .*expired/],
    ] as const
    for (const [what, secret, told] of cases) {
      events = new HeardEvents()
      await fs.writeFile(ca, authority.cert)
      const server = await listen({ secret })
      const sink = open(server.port, { tls: true, ca })
      sink.write(numbered(1))
      await until(() => events.told.length > 0, what)
      assert.match(events.told[0] ?? '', told)
      assert.deepEqual(server.received, [], what)
      await sink.close()
    }
    // Without an authority of its own, those of Node.js count.
    events = new HeardEvents()
    const server = await listen({ secret: certificate('server', { issuer: authority, addresses: ['127.0.0.1'] }) })
    open(server.port, { tls: true }).write(numbered(1))
    await until(() => events.told.length > 0, 'unknown')
    assert.deepEqual(server.received, [])
    events = new HeardEvents()
    open(server.port, { tls: true, ca: path.join(dir, 'none.pem') }).write(numbered(1))
    await until(() => events.told.length > 0, 'no such file')
    assert.match(events.told[0] ?? '', /^failed: ca: ENOENT.*none\.pem'; expected a readable file in PEM$/)
  })
  it('waits for a server that is not there yet, and loses nothing that fits into the queue', async () => {
    const early = await listen()
    const { port } = early
    await early.close()
    servers = []
    const sink = open(port)
    for (let i = 0; i < 100; i++) sink.write(numbered(i))
    await until(() => events.told.length > 0, 'it is told')
    assert.match(events.told[0] ?? '', /^failed: connect ECONNREFUSED 127\.0\.0\.1:\d+$/)
    const server = await listen({ port })
    await until(() => server.received.length === 100, 'all came')
    assert.deepEqual([readNumbers(server.lines).numbers, events.told.at(-1), sink.state().lost], [Array.from({ length: 100 }, (_, i) => i), 'recovered', 0])
  })
  it('takes up again with a server that was restarted, or that ends a connection', async () => {
    const first = await listen()
    const { port } = first
    const sink = open(port)
    sink.write(numbered(1))
    await until(() => first.received.length === 1, 'the first came')
    for (const socket of first.connections) socket.end()
    await until(() => first.connections.size === 0, 'the connection is over')
    await sleep(50)
    sink.write(numbered(2))
    await until(() => first.received.length === 2, 'the second came')
    assert.equal(first.accepted, 2)
    await first.close()
    servers = []
    await sleep(50)
    const second = await listen({ port })
    sink.write(numbered(3))
    await until(() => second.received.length === 1, 'the third came')
  })
  for (const secret of [null, certificate('server', { addresses: ['127.0.0.1'] })]) {
    it(`drops and tells where a server accepts and never reads${secret === null ? '' : ', over TLS'}`, async () => {
      const server = await listen({ secret, onConnection: (socket) => socket.pause() })
      const ca = path.join(dir, 'ca.pem')
      if (secret !== null) await fs.writeFile(ca, secret.cert)
      const sink = open(server.port, { patience: 300, tls: secret !== null, ca: secret === null ? null : ca }, { limits: { records: 200, bytes: 1e6 } })
      let number = 0
      let longest = 0
      const start = Date.now()
      while (events.told.length === 0 && Date.now() - start < 10_000) {
        const before = performance.now()
        for (let i = 0; i < 100; i++) sink.write(numbered(number++))
        longest = Math.max(longest, performance.now() - before)
        await sleep(1)
      }
      assert.deepEqual(events.told, ['failed: nothing was taken within 0.3 s'])
      assert.ok(longest < 500)
      await sink.close()
      const { written, lost, queued } = sink.state()
      assert.deepEqual([written + lost, queued, events.lost], [number, 0, lost])
      assert.ok(lost > 0)
    })
  }
  it('gives up on a server that never ends the handshake', async () => {
    const server = await listen({ onConnection: (socket) => socket.resume() })
    open(server.port, { tls: true, patience: 200 }).write(numbered(1))
    await until(() => events.told.length > 0, 'it is told')
    assert.deepEqual(events.told, ['failed: no connection within 0.2 s'])
  })
  it('is not disturbed by one that resets, and tells it once', async () => {
    let resets = 0
    const server = await listen({ onConnection: (socket) => {
      resets += 1
      socket.resetAndDestroy()
    } })
    const sink = open(server.port)
    const writing = setInterval(() => sink.write(numbered(1)), 5)
    await until(() => resets > 3, 'it is tried again')
    clearInterval(writing)
    await sink.close()
    const { written, lost, queued } = sink.state()
    assert.deepEqual([queued, lost], [0, events.lost])
    assert.ok(written + lost > 3)
    for (const [index, told] of events.told.entries()) assert.match(told, index % 2 === 0 ? /^failed: / : /^recovered$/)
  })
  it('reads and forgets what a server says, and leaves one that says too much', async () => {
    const polite = await listen({ onConnection: (socket) => {
      socket.resume()
      socket.write('hello\u001b[31m'.repeat(1000))
    } })
    const sink = open(polite.port)
    sink.write(numbered(1))
    await sleep(100)
    sink.write(numbered(2))
    await until(() => sink.state().written === 2, 'it goes on')
    assert.deepEqual([polite.accepted, events.told], [1, []])
    let sent = 0
    const garbage = Buffer.alloc(16_384, 'x')
    const loud = await listen({ onConnection: (socket: net.Socket) => {
      const more = (): void => {
        while (!socket.destroyed) {
          sent += garbage.length
          if (!socket.write(garbage)) return void socket.once('drain', more)
        }
      }
      more()
    } })
    open(loud.port).write(numbered(1))
    await until(() => loud.accepted > 0 && loud.connections.size === 0, 'it is left')
    assert.ok(sent < 1e8)
  })
  it('ends within about a second, with what could still be sent', async () => {
    const server = await listen()
    const sink = open(server.port)
    for (let i = 0; i < 1000; i++) sink.write(numbered(i))
    await sink.close()
    await until(() => server.received.length === 1000, 'all came')
    await until(() => server.connections.size === 0, 'the connection is over')
    const nobody = open(1)
    nobody.write(numbered(1))
    const before = Date.now()
    await nobody.close()
    assert.ok(Date.now() - before < 1500)
    assert.deepEqual([events.lost, nobody.state().queued], [1, 0])
  })
})
