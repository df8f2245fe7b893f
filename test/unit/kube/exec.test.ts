// Programs in pods over WebSockets: what its messages come to, against a server of its own on loopback.
//
// **Invariant:** the server checks what the API server would: the path, the protocol, the credentials.
import assert from 'node:assert/strict'
import { run } from '../../../src/kube/exec.ts'
import { execEvent } from '../../../src/kube/exec-channels.ts'
import { ExecServer, message as frame, NO_UPGRADE } from '../../support/exec-server.ts'

describe('messages of pods/exec', () => {
  it('are output, or how it ended', () => {
    assert.deepEqual(execEvent(frame(1, 'é\n')), { kind: 'output', stream: 'stdout', bytes: Buffer.from('é\n') })
    assert.deepEqual(execEvent(frame(2, 'x')), { kind: 'output', stream: 'stderr', bytes: Buffer.from('x') })
    for (const message of [frame(1, ''), frame(3, ''), Buffer.from([255, 1])]) assert.deepEqual(execEvent(message), { kind: 'nothing' })
    assert.deepEqual(execEvent(frame(3, '{"status":"Success"}')), { kind: 'ended', status: 0, message: '' })
    const failed = { status: 'Failure', reason: 'NonZeroExitCode', message: 'exit\u001b[31m 2', details: { causes: [{ reason: 'ExitCode', message: '2' }] } }
    assert.deepEqual(execEvent(frame(3, JSON.stringify(failed))), { kind: 'ended', status: 2, message: 'exit\\u{1b}[31m 2' })
    assert.deepEqual(execEvent(frame(3, '{"status":"Failure","reason":"InternalError","message":"no such container"}')), { kind: 'ended', status: null, message: 'no such container' })
  })
  it('are wrong in any other form', () => {
    for (const message of [Buffer.alloc(0), frame(0, 'x'), frame(9, 'x'), frame(3, 'x'), frame(3, 'null'), frame(3, '[')]) assert.equal(execEvent(message).kind, 'wrong')
  })
})

describe('a program in a pod', () => {
  let server: ExecServer
  beforeEach(async () => {
    server = await ExecServer.start()
  })
  afterEach(() => server.close())

  async function ask(signal: AbortSignal = AbortSignal.timeout(5_000)): Promise<readonly [result: unknown, output: string]> {
    let output = ''
    const request = { namespace: 'picket', pod: 'agent-1', container: 'agent', command: ['picket', 'observe', '--pod', 'a/b c'], onOutput: (stream: string, bytes: Buffer) => (output += `${stream}:${bytes.toString()}`) }
    const result = await run(server.transport, request, signal).catch((error: unknown) => error)
    return [result, output]
  }

  it('is heard until it ends', async () => {
    server.program = () => [frame(1, ''), frame(1, '{}\n'), frame(1, 'x'.repeat(1000)), frame(2, 'picket: hm\n'), frame(3, '{"status":"Success"}')]
    assert.deepEqual(await ask(), [{ status: 0, message: '' }, `stdout:{}\nstdout:${'x'.repeat(1000)}stderr:picket: hm\n`])
    const url = '/api/v1/namespaces/picket/pods/agent-1/exec?container=agent&stdout=true&stderr=true&command=picket&command=observe&command=--pod&command=a%2Fb+c'
    assert.deepEqual(server.handshakes, [{ url, protocol: 'v5.channel.k8s.io', authorization: 'Bearer secret' }])
  })
  it('is told as broken off where the connection ends before it', async () => {
    server.program = () => [frame(1, 'x')]
    const [error] = await ask()
    assert.match(String(error), /broke off pods\/exec in picket\/agent-1: closed with \d+ before the program ended/)
  })
  it('is left when nobody waits any more', async () => {
    server.program = () => 'hang'
    assert.deepEqual(await ask(AbortSignal.abort('enough')), ['enough', ''])
    const late = AbortSignal.timeout(200)
    assert.deepEqual(await ask(late), [late.reason, ''])
  })
  it('names the right that is missing: get, or from 1.35 on create, of which a refused handshake says nothing', async () => {
    const forbidden = [403, { kind: 'Status', status: 'Failure', reason: 'Forbidden', message: 'no', code: 403 }] as const
    server.plain.GET = forbidden
    assert.match(String((await ask())[0]), /the role lacks the verb "get" on the resource "pods\/exec" of the core group/)
    assert.deepEqual(server.handshakes, [])
    server.plain = { GET: NO_UPGRADE, POST: forbidden }
    server.program = () => null
    assert.match(String((await ask())[0]), /the role lacks the verb "create" on the resource "pods\/exec" of the core group/)
    server.plain.POST = NO_UPGRADE
    assert.match(String((await ask())[0]), /broke off pods\/exec in picket\/agent-1/)
  })
})
