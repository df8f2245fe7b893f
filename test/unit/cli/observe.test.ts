// `picket observe` of a file and of a node's socket: what is shown, in which form, and with which exit status.
//
// **Invariant:** the socket and the stream on it are an agent's, the file is a real file; following is tried on the real program.
import assert from 'node:assert/strict'
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditRecord } from '../../../src/flows/record.ts'
import { agentRecord, allowedRecord, flowRecord, lostRecord } from '../../support/flow-records.ts'
import { FlowServer } from '../../support/flow-server.ts'
import { picket } from '../../support/picket-command.ts'

const MAIN = path.resolve(import.meta.dirname, '../../../src/main.ts')
const RECORDS: readonly AuditRecord[] = [agentRecord(), flowRecord(), allowedRecord(), lostRecord()]
const lineOf = (record: AuditRecord): string => JSON.stringify(record)
const textOf = (...records: readonly AuditRecord[]): string => records.map((record) => `${lineOf(record)}\n`).join('')

describe('picket observe of a file', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-observe-'))
  after(() => rmSync(folder, { recursive: true }))
  const file = (name: string, content: string | Buffer): string => {
    const place = path.join(folder, name)
    writeFileSync(place, content)
    return place
  }
  const all = file('all.log', textOf(...RECORDS))

  it('shows compact lines, where no other form is asked for', async () => {
    const { status, stdout, stderr } = await picket('observe', '--input-file', all)
    assert.deepEqual([status, stderr], [0, ''])
    assert.deepEqual(stdout.split('\n'), [
      '12:00:00.000 agent started on node-a: audit stream of version 0.1.0',
      '12:00:01.123 shop/web-6d(web):57050 -> pay/api-5f:80 TCP SYN DROPPED ingress isolated-by pay/default-deny (+3) nearest pay/allow-web: port 80 not in [8080] x12',
      '12:00:01.123 shop/web-6d(web):57050 -> pay/api-5f:80 via pay/svc/api:8443 TCP SYN FORWARDED ingress allowed-by pay/allow-web[1] (+1)',
      '12:00:02.000 lost 532 (kernel) on node-a, 12:00:01.123 to 12:00:01.900',
      '',
    ])
  })

  it('shows every record in every form', async () => {
    const json = await picket('observe', '--input-file', all, '-o', 'json')
    assert.equal(json.stdout, textOf(...RECORDS))
    const hubble = (await picket('observe', '--input-file', all, '-o', 'hubble')).stdout.trimEnd().split('\n').map((line) => Object.keys(JSON.parse(line) as object)[0])
    assert.deepEqual(hubble, ['node_status', 'flow', 'flow', 'lost_events'])
    const table = (await picket('observe', '--input-file', all, '-o', 'table')).stdout.trimEnd().split('\n')
    assert.equal(table.length, RECORDS.length + 1)
    assert.match(table[0] ?? '', /^TIME +NODE +SOURCE +DESTINATION +SERVICE +PROTOCOL +VERDICT +DIRECTION +COUNT +WHY$/)
    assert.match(table[2] ?? '', /^12:00:01\.123 +node-a +shop\/web-6d\(web\):57050 +pay\/api-5f:80 +- +TCP SYN +DROPPED +ingress +12 +isolated-by /)
  })

  it('reads gzip, whatever the name, and lines without an end', async () => {
    for (const name of ['a.log.gz', 'b.log']) assert.equal((await picket('observe', '--input-file', file(name, gzipSync(textOf(...RECORDS))), '-o', 'json')).stdout, textOf(...RECORDS))
    assert.equal((await picket('observe', '--input-file', file('short.log', textOf(...RECORDS).trimEnd()), '-o', 'json')).stdout, textOf(...RECORDS))
    assert.deepEqual(await picket('observe', '--input-file', file('empty.log', '')), { status: 0, stdout: '', stderr: '' })
  })

  it('filters, inverts the filter behind --not, and ends with 1 where nothing matches', async () => {
    const shown = async (...args: readonly string[]): Promise<readonly string[]> => (await picket('observe', '--input-file', all, '-o', 'json', ...args)).stdout.trimEnd().split('\n').map((line) => (JSON.parse(line) as { readonly verdict?: string; readonly type: string }).verdict ?? line.slice(34, 40))
    const verdicts = async (...args: readonly string[]): Promise<readonly string[]> => (await shown(...args)).filter((one) => /^[A-Z]+$/.test(one))
    assert.deepEqual(await verdicts('--verdict', 'dropped'), ['DROPPED'])
    assert.deepEqual(await verdicts('--not', '--verdict', 'DROPPED'), ['FORWARDED'])
    assert.deepEqual(await verdicts('--not', '--verdict', 'DROPPED', '--pod', 'shop/web-*'), ['FORWARDED'])
    assert.deepEqual(await verdicts('--service', 'pay/api'), ['FORWARDED'])
    assert.deepEqual(await verdicts('-n', 'shop', '--from-pod', 'web-6d', '--to-ns', 'pay', '--port', '80/tcp', '--node', 'node-*', '--direction', 'ingress', '--policy', 'pay/allow-web', '--ip', '10.244.0.0/16', '--reason', 'POLICY_ALLOW,POLICY_DENIED'), ['DROPPED', 'FORWARDED'])
    assert.deepEqual(await verdicts('-A'), ['DROPPED', 'FORWARDED'])
    const none = await picket('observe', '--input-file', all, '--pod', 'shop/other', '-o', 'json')
    assert.deepEqual([none.status, none.stdout], [1, textOf(agentRecord(), lostRecord())])
  })

  it('--last and --since take the newest', async () => {
    assert.equal((await picket('observe', '--input-file', all, '--last', '2', '-o', 'json')).stdout, textOf(...RECORDS.slice(2)))
    assert.equal((await picket('observe', '--input-file', all, '--since', '2026-01-05T12:00:01.124Z', '-o', 'json')).stdout, textOf(lostRecord()))
    const now = flowRecord({ time: new Date().toISOString() })
    assert.equal((await picket('observe', '--input-file', file('now.log', textOf(...RECORDS, now)), '--since', '1h', '-o', 'json')).stdout, textOf(now))
  })

  it('names wrong lines with their number, and goes on', async () => {
    const wrong = file('wrong.log', `${lineOf(flowRecord())}\n\u001b[2Jboo\n\n{"schema":"picket.flow/v1"}\n${'x'.repeat(100_000)}\n${lineOf(lostRecord())}\n`)
    const { status, stdout, stderr } = await picket('observe', '--input-file', wrong, '-o', 'json')
    assert.deepEqual([status, stdout], [0, textOf(flowRecord(), lostRecord())])
    assert.deepEqual(stderr.split('\n').map((line) => line.replace(folder, '')), [
      'picket observe: /wrong.log:2: expected a record of picket.flow/v1 as JSON, found "\\u{1b}[2Jboo"; skipped',
      'picket observe: /wrong.log:4: type: expected one of verdict, lost, agent, found nothing; skipped',
      'picket observe: /wrong.log:5: expected a record, found a line of more than 65536 bytes; skipped',
      '',
    ])
    const many = await picket('observe', '--input-file', file('many.log', 'x\n'.repeat(50)))
    assert.equal(many.stderr.trimEnd().split('\n').length, 22)
    assert.match(many.stderr, /many\.log: 30 more lines are no records\n/)
    assert.equal(many.status, 2, 'another file was meant')
    assert.match(many.stderr, /\npicket: --input-file \S+many\.log: no line of it is a record; expected lines of the audit stream, as a sink or -o json writes them\n$/)
    assert.equal((await picket('observe', '--input-file', file('empty.log', ''))).status, 0, 'a file that was just begun')
  })

  it('says what it cannot read, and shows what came before', async () => {
    const gone = await picket('observe', '--input-file', path.join(folder, 'gone'))
    assert.deepEqual([gone.status, gone.stdout], [2, ''])
    assert.match(gone.stderr, /^picket: --input-file \S+\/gone: ENOENT/)
    const cut = await picket('observe', '--input-file', file('cut.gz', gzipSync(textOf(...Array.from({ length: 2000 }, (_, count) => flowRecord({ count })))).subarray(0, 4000)), '-o', 'json')
    assert.equal(cut.status, 2)
    assert.ok(cut.stdout.startsWith(`${lineOf(flowRecord({ count: 0 }))}\n`), cut.stderr)
    assert.match(cut.stderr, /unexpected end of file; read as far as line \d+\n$/)
  })

  it('refuses what it cannot do, by the option', async () => {
    for (const [args, message] of [
      [['--pod', 'Shop/Web'], /^picket: --pod: found "Shop\/Web", expected NAMESPACE\/NAME or NAME/],
      [['-n', 'a/b'], /^picket: --namespace: found "a\/b"/],
      [['--port', '80/http'], /^picket: --port: found "80\/http", expected PORT\/PROTOCOL/],
      [['--not'], /^picket: --not: found no filter behind it, expected the filter that it inverts/],
      [['--not', '--not', '--pod', 'a'], /^picket: --not: found another --not behind it/],
      [['--since', 'yesterday'], /^picket: --since: found "yesterday"/],
      [['--last', 'few'], /^picket: --last: found "few"/],
      [['-n', 'shop', '-A'], /cannot be used with/],
      [['--follow'], /cannot be used with/],
      [['-o', 'yaml'], /Allowed choices are compact, table, json, hubble/],
      [['--lease', '1s', '--socket', '/nowhere'], /cannot be used with/],
    ] as const) {
      const { status, stdout, stderr } = await picket('observe', '--input-file', all, ...args)
      assert.deepEqual([status, stdout], [2, ''], args.join(' '))
      assert.match(stderr, message)
    }
  })
})

describe('picket observe of a node', function () {
  this.timeout(20_000)
  const folder = mkdtempSync(path.join(os.tmpdir(), 'picket-observe-'))
  const socket = path.join(folder, 'agent.sock')
  let server: FlowServer
  const children: ChildProcessWithoutNullStreams[] = []
  beforeEach(async () => (server = await FlowServer.listen(socket)))
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
    await server.close()
  })
  after(() => rmSync(folder, { recursive: true }))

  it('shows what its agent remembers, by the same filters', async () => {
    server.add(...RECORDS)
    const { status, stdout, stderr } = await picket('observe', '--socket', socket, '-o', 'json', '--verdict', 'DROPPED', '--not', '--pod', 'shop/nobody', '-n', 'shop')
    assert.deepEqual([status, stdout, stderr], [0, textOf(agentRecord(), flowRecord(), lostRecord()), ''])
    assert.deepEqual(server.asked, ['/flows?last=1000&verdict=DROPPED&not=pod%3Dshop%2Fnobody&namespace=shop'])
    assert.equal((await picket('observe', '--socket', socket, '--last', '1', '-o', 'json')).stdout, textOf(lostRecord()))
    assert.equal((await picket('observe', '--socket', socket, '--pod', 'no/body')).status, 1)
  })
  it('ends with 0 where there is nothing, and says so where more is remembered than is shown', async () => {
    assert.deepEqual(await picket('observe', '--socket', socket), { status: 0, stdout: '', stderr: '' })
    server.add(...Array.from({ length: 1001 }, (_, count) => flowRecord({ count: count + 1 })))
    const { stdout, stderr } = await picket('observe', '--socket', socket, '-o', 'json')
    assert.equal(stdout.trimEnd().split('\n').length, 1000)
    assert.match(stderr, /^picket observe: the newest 1000 are shown; --last or --since shows others\n$/)
  })
  it('says who does not answer, or not as an agent does', async () => {
    const nobody = await picket('observe', '--socket', path.join(folder, 'nobody.sock'))
    assert.equal(nobody.status, 2)
    assert.match(nobody.stderr, /^picket: socket \S+nobody\.sock: no agent answers \(.*ENOENT.*\); expected one on this node: is it running, and are you root\?\n$/)
    for (const [answer, message] of [[[404, '{"error":"path /flows: expected /status"}'], /answered 404 .*expected the audit stream of an agent of this version/], [[503, '{"error":"the audit stream is off\\u001b[2J"}'], /: the audit stream is off\\u\{1b\}\[2J\n$/], [[500, 'oops'], /answered 500 "oops"/]] as const) {
      server.answer = answer
      for (const more of [[], ['-f']]) {
        const { status, stderr } = await picket('observe', '--socket', socket, ...more)
        assert.equal(status, 2)
        assert.match(stderr, message)
      }
    }
  })

  interface Program {
    readonly child: ChildProcessWithoutNullStreams
    readonly said: { stdout: string; stderr: string }
  }
  async function started(...args: readonly string[]): Promise<Program> {
    const child = spawn(process.execPath, [MAIN, 'observe', '--socket', socket, '-f', ...args])
    children.push(child)
    const said = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) child[name].on('data', (text: Buffer) => (said[name] += text.toString()))
    await until(() => server.readers === 1, () => said.stderr)
    return { child, said }
  }

  it('goes on until it is interrupted, which ends it with 0', async () => {
    server.add(flowRecord({ count: 99 }))
    const { child, said } = await started('-o', 'json')
    for (const record of RECORDS) {
      server.add(record)
      await until(() => said.stdout.endsWith(textOf(record)), () => said.stdout)
    }
    child.kill('SIGINT')
    const [status] = (await once(child, 'exit')) as [number | null]
    assert.deepEqual([status, said], [0, { stdout: textOf(...RECORDS), stderr: '' }])
  })
  it('takes a broken stream up again: nothing twice, nothing missing', async () => {
    const { said } = await started('-o', 'json')
    const record = (count: number): AuditRecord => flowRecord({ time: new Date().toISOString(), count })
    const sent: AuditRecord[] = []
    for (let round = 1; round <= 3; round += 1) {
      for (let i = 0; i < 3; i += 1) sent.push(record(round * 10 + i))
      server.add(...sent.slice(-3))
      await until(() => said.stdout === textOf(...sent), () => said.stdout)
      server.cut()
      sent.push(record(round * 100))
      server.add(...sent.slice(-1))
      await until(() => server.readers === 1, () => said.stderr)
    }
    await until(() => said.stdout === textOf(...sent), () => said.stdout)
    assert.equal(said.stderr, '')
  })
  it('tells a gap where the agent no longer has what was seen last', async () => {
    const { said } = await started('-o', 'json')
    const [before, next] = [flowRecord({ time: new Date().toISOString() }), flowRecord({ time: new Date(Date.now() + 1).toISOString(), count: 2 })]
    server.add(before)
    await until(() => said.stdout === textOf(before), () => said.stdout)
    server.forget()
    server.add(next)
    await until(() => said.stdout === textOf(before, next), () => said.stdout + said.stderr)
    assert.equal(said.stderr, `picket observe: records between ${before.time} and ${next.time} may be missing: the stream was broken, and the agent no longer has what was seen last\n`)
  })
  it('waits for an agent that is started anew, and says so when that takes long', async () => {
    const { said } = await started('-o', 'json')
    await server.close()
    await until(() => said.stderr !== '', () => said.stderr, 8_000)
    assert.match(said.stderr, /^picket observe: socket \S+: no agent answers \(.*\); .*; it is tried again\n$/)
    server = await FlowServer.listen(socket)
    await until(() => server.readers === 1, () => said.stderr, 12_000)
    server.add(flowRecord())
    await until(() => said.stdout === textOf(flowRecord()), () => said.stdout)
    assert.match(said.stderr, /picket observe: answers again\n$/)
  })
  it('skips lines that are no records, and says so a few times', async () => {
    const { said } = await started('-o', 'compact')
    server.write('\u001b[2J\n'.repeat(5))
    server.add(flowRecord())
    await until(() => said.stdout.includes('shop/web'), () => said.stdout)
    assert.equal(said.stderr, 'picket observe: a line that is no record: expected a record of picket.flow/v1 as JSON, found "\\u{1b}[2J": is it of this version?\n'.repeat(3))
  })
  it('shows a table as it comes', async () => {
    const { said } = await started('-o', 'table')
    server.add(flowRecord(), flowRecord({ source: { ...flowRecord().source, pod: 'a-pod-with-a-much-longer-name' } }), flowRecord())
    await until(() => said.stdout.trimEnd().split('\n').length === 4, () => said.stdout)
    assert.match(said.stdout, /^TIME +NODE +SOURCE +DESTINATION/)
  })
  it('for whoever asks from outside: beats while it is quiet, and ends when its lease is over', async () => {
    const { child, said } = await started('-o', 'json', '--lease', '1s')
    const [status] = (await once(child, 'exit')) as [number | null]
    assert.deepEqual([status, said], [0, { stdout: '\n', stderr: '' }])
  })
  it('waits where stdout is not read, and loses nothing', async () => {
    const child = spawn(process.execPath, [MAIN, 'observe', '--socket', socket, '-f', '-o', 'json'])
    children.push(child)
    child.stdout.pause()
    await until(() => server.readers === 1, () => '')
    // It reads on when stdout is read: until then the agent keeps it, which tells slow readers itself.
    for (let count = 1; count <= 2000; count += 1) server.add(flowRecord({ count }))
    await sleep(500)
    let text = ''
    child.stdout.on('data', (part: Buffer) => (text += part.toString()))
    child.stdout.resume()
    await until(() => text.trimEnd().split('\n').length === 2000, () => String(text.split('\n').length))
    assert.equal(text, textOf(...Array.from({ length: 2000 }, (_, i) => flowRecord({ count: i + 1 }))))
  })
})

async function until(holds: () => boolean, found: () => string, patience = 5_000): Promise<void> {
  for (const end = Date.now() + patience; !holds(); await sleep(20)) if (Date.now() > end) assert.fail(`not within ${patience} ms: ${found()}`)
}
