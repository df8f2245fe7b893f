// Records to OpenTelemetry collectors: over HTTP and HTTPS, of both families, and to servers that refuse, hang, reset, or say too much.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openOtlp, type OtlpOptions } from '../../../src/sinks/otlp.ts'
import type { QueuedSink, SinkOptions } from '../../../src/sinks/queued-sink.ts'
import { certificate } from '../../support/certificates.ts'
import { agentRecord, allowedRecord, flowRecord, lostRecord } from '../../support/flow-records.ts'
import { OtlpServer, type Answering } from '../../support/otlp-server.ts'
import { lineOf, numbered, readNumbers, timeAt } from '../../support/record-lines.ts'
import { HeardEvents } from '../../support/sink-events.ts'

describe('sink otlp', function () {
  this.timeout(20_000)
  let events = new HeardEvents()
  let servers: OtlpServer[] = []
  let sinks: QueuedSink[] = []
  let dir = ''

  const listen = async (options: Parameters<typeof OtlpServer.listen>[0] = {}): Promise<OtlpServer> => {
    const server = await OtlpServer.listen(options)
    servers.push(server)
    return server
  }
  // Below the pause of the exporter's own second attempt, so that one attempt of the sink is one request.
  const open = (url: string, changes: Partial<OtlpOptions> = {}, options: SinkOptions = {}): QueuedSink => {
    const sink = openOtlp({ name: 'otlp', url, ca: null, patience: 500, ...changes }, events, { pauses: [20, 50], ...options })
    sinks.push(sink)
    return sink
  }
  const saying = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answering => (response) => void response.writeHead(status, headers).end(body)

  async function until(done: () => boolean, what: string): Promise<void> {
    for (let i = 0; i < 800 && !done(); i++) await sleep(10)
    assert.ok(done(), `${what}: ${events.told.join(', ')}`)
  }

  /** Everything that was offered is somewhere, once. */
  function conserved(sink: QueuedSink, offered: number): void {
    const { written, lost, queued } = sink.state()
    assert.equal(written + lost + queued, offered)
  }

  beforeEach(async () => {
    events = new HeardEvents()
    servers = []
    sinks = []
    dir = await fs.mkdtemp(path.join(tmpdir(), 'picket-otlp-'))
  })
  afterEach(async () => {
    for (const sink of sinks) await sink.close()
    for (const server of servers) await server.close()
    await fs.rm(dir, { recursive: true, force: true })
  })

  for (const host of ['127.0.0.1', '::1']) {
    it(`sends each record as a log record to ${host}`, async () => {
      const server = await listen({ host })
      const sink = open(server.url)
      const records = [lineOf(flowRecord({ label: 'grün\n\u001b' })), lineOf(allowedRecord()), lineOf(lostRecord()), lineOf(agentRecord({ event: 'sink-failed' }))]
      for (const record of records) sink.write(record)
      await until(() => server.accepted.length === records.length, 'all came')
      assert.deepEqual([server.bodies, server.faults, events.told], [records.map(({ line }) => line), [], []])
      const [denied, allowed, lost, agent] = server.accepted
      assert.deepEqual(denied?.resource, { 'service.name': 'picket', 'host.name': 'node-a', 'k8s.node.name': 'node-a' })
      assert.deepEqual(server.accepted.map(({ raw }) => [raw['eventName'], raw['severityNumber'], raw['severityText']]), [['picket.verdict', 10, 'NOTICE'], ['picket.verdict', 9, 'INFO'], ['picket.lost', 13, 'WARN'], ['picket.agent', 13, 'WARN']])
      assert.deepEqual(denied?.attributes, {
        'picket.verdict': 'DROPPED', 'picket.reason': 'POLICY_DENIED', 'picket.direction': 'ingress', 'picket.count': 12,
        'source.address': '10.244.1.7', 'source.port': 57050, 'destination.address': '10.244.2.9', 'destination.port': 80, 'network.type': 'ipv4', 'network.transport': 'tcp',
        'picket.source.kind': 'pod', 'picket.source.namespace': 'shop', 'picket.source.pod': 'web-6d', 'picket.destination.kind': 'pod', 'picket.destination.namespace': 'pay', 'picket.destination.pod': 'api-5f',
        'picket.label': 'grün\n\u001b',
      })
      assert.deepEqual([allowed?.attributes['picket.destination.service'], allowed?.attributes['picket.policy']], ['pay/api', 'pay/allow-web'])
      assert.deepEqual([lost?.attributes['picket.count'], agent?.attributes], [lostRecord().count, { 'picket.event': 'sink-failed' }])
      const [seconds, ms] = [Date.parse(flowRecord().first_seen) / 1000, Date.parse(flowRecord().time)]
      assert.deepEqual([denied?.raw['timeUnixNano'], denied?.raw['observedTimeUnixNano']], [BigInt(Math.round(seconds * 1000)) * 1_000_000n, BigInt(ms) * 1_000_000n].map(String))
      await until(() => sink.state().written === records.length, 'all are acknowledged')
      assert.deepEqual(sink.state(), { written: records.length, lost: 0, queued: 0, failure: null })
    })
  }
  it('goes over HTTPS to who proves to be the server, by its own authority, of both families', async () => {
    const authority = certificate('authority')
    const ca = path.join(dir, 'ca.pem')
    await fs.writeFile(ca, authority.cert)
    for (const host of ['127.0.0.1', '::1']) {
      const server = await listen({ host, secret: certificate('server', { issuer: authority, addresses: [host] }) })
      const sink = open(server.url, { ca, patience: 5000 })
      for (let i = 0; i < 500; i++) sink.write(numbered(i))
      await until(() => server.accepted.length === 500, 'all came')
      assert.deepEqual([readNumbers(server.bodies).numbers, events.told], [Array.from({ length: 500 }, (_, i) => i), []])
      // One connection for all.
      assert.equal(server.sockets.size, 1)
    }
  })
  it('sends nothing over HTTPS to anybody else, and tells why', async () => {
    const authority = certificate('authority')
    const ca = path.join(dir, 'ca.pem')
    await fs.writeFile(ca, authority.cert)
    const cases = [
      ['a stranger', certificate('authority', { addresses: ['127.0.0.1'] }), ca, /^failed: .*(self-signed|verify|signature)/],
      ['a server of another address', certificate('server', { issuer: authority, addresses: ['127.0.0.2'] }), ca, /^failed: .*127\.0\.0\.1 is not in the cert's list/],
      ['one whose time is over', certificate('server', { issuer: authority, addresses: ['127.0.0.1'], until: Date.now() - 1000 }), ca, /^failed: .*expired/],
      ['one of no authority that Node.js knows', certificate('server', { issuer: authority, addresses: ['127.0.0.1'] }), null, /^failed: unable to/],
      ['a file that is not there', certificate('server', { issuer: authority, addresses: ['127.0.0.1'] }), path.join(dir, 'none.pem'), /^failed: ca: ENOENT.*none\.pem'; expected a readable file in PEM$/],
    ] as const
    for (const [what, secret, file, told] of cases) {
      events = new HeardEvents()
      const server = await listen({ secret })
      const sink = open(server.url, { ca: file })
      sink.write(numbered(1))
      await until(() => events.told.length > 0, what)
      assert.match(events.told[0] ?? '', told, what)
      assert.deepEqual(server.requests, [], what)
      await sink.close()
      conserved(sink, 1)
    }
  })
  it('waits for a server that is not there yet, or cannot take records now, and loses nothing that fits into the queue', async () => {
    const early = await listen()
    const { port, url } = early
    await early.close()
    servers = []
    const sink = open(url)
    for (let i = 0; i < 300; i++) sink.write(numbered(i))
    await until(() => events.told.length > 0, 'it is told')
    assert.match(events.told[0] ?? '', /^failed: connect ECONNREFUSED 127\.0\.0\.1:\d+$/)
    const server = await listen({ port, answer: saying(503, 'busy', { 'retry-after': '1' }) })
    await until(() => server.requests.length > 2, 'it is asked again')
    assert.match(sink.state().failure ?? '', /^the server cannot take records now, it answered HTTP 429, 502, 503 or 504$/)
    conserved(sink, 300)
    server.answer = null
    await until(() => sink.state().written === 300, 'all are acknowledged')
    assert.deepEqual([readNumbers(server.bodies).numbers, events.told.length, events.told.at(-1), sink.state().lost], [Array.from({ length: 300 }, (_, i) => i), 2, 'recovered', 0])
  })
  for (const status of [401, 404, 500, 302]) {
    it(`keeps records for a server that answers ${status}, whose words harm nothing`, async () => {
      const server = await listen({ answer: saying(status, 'no\u001b[31m way', { location: 'http://127.0.0.1:1/' }) })
      const sink = open(server.url)
      for (let i = 0; i < 5; i++) sink.write(numbered(i))
      await until(() => server.requests.length > 2, 'it is asked again')
      assert.match(events.told.join(), new RegExp(`^failed: the server answered HTTP ${status} [A-Za-z ]+: no\\\\u\\{1b\\}\\[31m way$`))
      assert.equal(sink.state().queued, 5)
      await sink.close()
      assert.deepEqual([sink.state().lost, events.lost], [5, 5])
    })
  }
  it('finds the one record that a server will never take, and loses that one only', async () => {
    const poison = 37
    const server: OtlpServer = await listen({ answer: (response, logs) => {
      if (logs.some(({ attributes }) => attributes['picket.count'] === poison)) saying(400, 'bad record')(response, logs, response.req)
      else server.accept(response, logs)
    } })
    const sink = open(server.url)
    for (let i = 0; i < 100; i++) sink.write(numbered(i))
    await until(() => sink.state().written === 99, 'all others came')
    await sink.close()
    assert.deepEqual(readNumbers(server.bodies).numbers, Array.from({ length: 100 }, (_, i) => i).filter((i) => i !== poison))
    assert.deepEqual(events.losses, [{ count: 1, first: timeAt(poison), last: timeAt(poison) }])
    assert.deepEqual(events.told, ['failed: the server answered HTTP 400 Bad Request: bad record', 'recovered'])
    conserved(sink, 100)
  })
  it('sends less at once to a server for which it is too much', async () => {
    const server: OtlpServer = await listen({ answer: (response, logs, request) => (logs.length > 10 ? saying(413, '')(response, logs, request) : server.accept(response, logs)) })
    const sink = open(server.url)
    for (let i = 0; i < 100; i++) sink.write(numbered(i))
    await until(() => sink.state().written === 100, 'all came')
    assert.deepEqual([readNumbers(server.bodies).numbers, events.told, sink.state().lost], [Array.from({ length: 100 }, (_, i) => i), [], 0])
  })
  it('counts what a server took and rejected as lost, with whatever number it claims', async () => {
    const cases: readonly (readonly [unknown, number])[] = [[3, 3], ['4', 4], [0, 0], [-5, 0], [1e300, 10], ['x', 0], [null, 0], [2.9, 2], [{}, 0]]
    for (const [claimed, rejected] of cases) {
      events = new HeardEvents()
      const server = await listen({ answer: saying(200, JSON.stringify({ partialSuccess: { rejectedLogRecords: claimed, errorMessage: 'too\u001b old' } })) })
      const sink = open(server.url)
      for (let i = 0; i < 10; i++) sink.write(numbered(i))
      await until(() => sink.state().queued === 0, 'all were sent')
      const { written, lost, failure } = sink.state()
      assert.deepEqual([written, lost], [10 - rejected, rejected], String(claimed))
      assert.equal(failure, rejected === 10 ? 'the server rejected 10 of 10 records: too\\u{1b} old' : null)
      await sink.close()
      assert.deepEqual(events.losses, rejected === 0 ? [] : [{ count: rejected, first: timeAt(0), last: timeAt(9) }])
      assert.equal(server.requests.length, 1)
    }
  })
  it('tells apart what servers of two sinks rejected', async () => {
    const bad = await listen({ answer: saying(200, '{"partialSuccess":{"rejectedLogRecords":"1"}}') })
    const good = await listen()
    const [first, second] = [open(bad.url), open(good.url)]
    for (let i = 0; i < 40; i++) {
      first.write(numbered(i))
      second.write(numbered(i))
      await sleep(2)
    }
    await until(() => first.state().queued + second.state().queued === 0, 'all were sent')
    assert.equal(first.state().lost, bad.requests.length)
    assert.deepEqual([second.state().written, second.state().lost], [40, 0])
    conserved(first, 40)
  })
  const hanging: readonly (readonly [string, Answering, RegExp])[] = [
    ['hangs', () => undefined, /^failed: no whole answer within 0\.5 s$/],
    ['answers a byte at a time', (response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write(' '), 50)
      response.on('close', () => clearInterval(timer))
    }, /^failed: no whole answer within 0\.5 s$/],
    ['resets', (response) => void response.req.socket.resetAndDestroy(), /^failed: .*(ECONNRESET|socket hang up)/],
    ['answers without end', (response) => {
      response.writeHead(200)
      const more = (): void => {
        while (!response.destroyed) if (!response.write(Buffer.alloc(65_536, 'x'))) return void response.once('drain', more)
      }
      more()
    }, /^failed: OTLP export response body exceeded size limit of 4194304 bytes$/],
    ['is none of HTTP', (response) => void response.req.socket.end('220 mail.example ESMTP\r\n\u001b[31m'), /^failed: Parse Error/],
  ]
  for (const [what, answer, told] of hanging) {
    it(`drops and tells where a server ${what}, holding nobody back`, async () => {
      const server = await listen({ answer })
      const sink = open(server.url, {}, { limits: { records: 200, bytes: 1e6 } })
      let number = 0
      let longest = 0
      const start = Date.now()
      while ((events.told.length === 0 || events.lost === 0) && Date.now() - start < 10_000) {
        const before = performance.now()
        for (let i = 0; i < 50; i++) sink.write(numbered(number++))
        longest = Math.max(longest, performance.now() - before)
        conserved(sink, number)
        await sleep(1)
      }
      assert.match(events.told[0] ?? '', told)
      assert.ok(longest < 500)
      const closing = Date.now()
      await sink.close()
      assert.ok(Date.now() - closing < 1500)
      conserved(sink, number)
      const { written, lost, queued } = sink.state()
      assert.deepEqual([written, queued, lost], [0, 0, number])
      assert.equal(events.lost, lost)
      await until(() => server.sockets.size === 0, 'no connection is left')
    })
  }
  it('takes an answer that it cannot read for what its status says', async () => {
    const server = await listen({ answer: saying(200, '{"partialSuccess": [[[[') })
    const sink = open(server.url)
    sink.write(numbered(1))
    await until(() => sink.state().written === 1, 'it is acknowledged')
    assert.deepEqual(events.told, [])
  })
  it('sends the headers of its environment, for collectors that want a token', async () => {
    process.env['OTEL_EXPORTER_OTLP_HEADERS'] = 'authorization=Bearer%20abc'
    try {
      const server = await listen()
      open(server.url).write(numbered(1))
      await until(() => server.accepted.length === 1, 'it came')
      assert.equal(server.headers[0]?.authorization, 'Bearer abc')
    } finally {
      delete process.env['OTEL_EXPORTER_OTLP_HEADERS']
    }
  })
  it('asks nobody any more after it is closed', async () => {
    const server = await listen({ answer: saying(503, '') })
    const sink = open(server.url, { patience: 5000 }) // Long enough for attempts of the exporter's own.
    sink.write(numbered(1))
    await until(() => server.requests.length > 0, 'it was asked')
    await sink.close()
    await sleep(300) // What was on its way already.
    const { length } = server.requests
    await sleep(3000)
    assert.equal(server.requests.length, length)
    assert.deepEqual([events.lost, sink.state().queued], [1, 0])
  })
  it('ends within about a second, with what could still be sent', async () => {
    const server = await listen()
    const sink = open(server.url)
    for (let i = 0; i < 1000; i++) sink.write(numbered(i))
    await sink.close()
    assert.deepEqual([server.accepted.length, sink.state().written, sink.state().lost], [1000, 1000, 0])
    await until(() => server.sockets.size === 0, 'the connection is over')
  })
  it('loads the packages of OpenTelemetry with the first record that is sent, and not before', () => {
    const script = `
      import { registerHooks } from 'node:module'
      const loaded = new Set()
      registerHooks({ load: (url, context, next) => { if (url.includes('opentelemetry')) loaded.add(url); return next(url, context) } })
      const { openSink } = await import('./src/sinks/open-sink.ts')
      const { parseSink } = await import('./src/flows/sink-text.ts')
      const events = { onLost() {}, onFailed() {}, onRecovered() {} }
      const sink = openSink(parseSink('otlp:http://127.0.0.1:1/v1/logs'), events)
      await new Promise((resolve) => setTimeout(resolve, 50))
      const before = loaded.size
      sink.write({ record: { type: 'agent', time: '2026-01-05T12:00:00.000Z', node: 'n', event: 'started' }, line: '{}' })
      await sink.close()
      console.log(before, loaded.size > 10)`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    assert.equal(stdout, '0 true\n', stderr)
  })
})
