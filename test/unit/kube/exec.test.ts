// Programs in pods over WebSockets: what its messages come to, against a server of its own on loopback.
//
// **Invariant:** the server checks what the API server would: the path, the protocol, the credentials.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Credentials } from '../../../src/kube/credentials.ts'
import { run } from '../../../src/kube/exec.ts'
import { execEvent } from '../../../src/kube/exec-channels.ts'
import { Transport, USUAL_LIMITS } from '../../../src/kube/transport.ts'

const frame = (channel: number, text: string): Buffer => Buffer.concat([Buffer.from([channel]), Buffer.from(text)])

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
  let server: http.Server
  let transport: Transport
  let plain: readonly [status: number, body: unknown]
  let messages: readonly Buffer[]
  const asked: string[] = []
  const sockets: Socket[] = []

  beforeEach(async () => {
    plain = [400, { kind: 'Status', message: 'you must specify at least 1 of stdin, stdout, stderr: Upgrade request required' }]
    server = http.createServer((_request, response) => {
      response.writeHead(plain[0], { 'content-type': 'application/json' })
      response.end(JSON.stringify(plain[1]))
    })
    server.on('connection', (socket) => sockets.push(socket))
    server.on('upgrade', (request, socket) => {
      const { 'sec-websocket-key': key, 'sec-websocket-protocol': protocol, authorization } = request.headers
      asked.push(`${request.url} ${protocol} ${authorization}`)
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`)
      for (const message of messages) socket.write(Buffer.concat([Buffer.from([0x82, message.length]), message]))
      if (messages.at(-1)?.[0] !== 3) socket.end(Buffer.from([0x88, 0]))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const access = { server: url, headers: { authorization: 'Bearer secret' }, tls: {}, proxy: null, shown: 'a token' }
    const credentials = { current: async () => access, forget: () => undefined } as unknown as Credentials
    transport = new Transport({ credentials, apiServers: [], limits: USUAL_LIMITS })
  })
  afterEach(async () => {
    await transport.close()
    for (const socket of sockets.splice(0)) socket.destroy()
    server.close()
  })

  async function observe(): Promise<readonly [result: unknown, output: string]> {
    let output = ''
    const request = { namespace: 'picket', pod: 'agent-1', container: 'agent', command: ['picket', 'observe', '--pod', 'a/b c'], onOutput: (stream: string, bytes: Buffer) => (output += `${stream}:${bytes.toString()}`) }
    const result = await run(transport, request, AbortSignal.timeout(5_000)).catch((error: unknown) => error)
    return [result, output]
  }

  it('is heard until it ends', async () => {
    messages = [frame(1, ''), frame(1, '{}\n'), frame(2, 'picket: hm\n'), frame(3, '{"status":"Success"}')]
    assert.deepEqual(await observe(), [{ status: 0, message: '' }, 'stdout:{}\nstderr:picket: hm\n'])
    assert.deepEqual(asked, ['/api/v1/namespaces/picket/pods/agent-1/exec?container=agent&stdout=true&stderr=true&command=picket&command=observe&command=--pod&command=a%2Fb+c v5.channel.k8s.io Bearer secret'])
  })
  it('is told as broken off where the connection ends before it', async () => {
    messages = [frame(1, 'x')]
    const [error] = await observe()
    assert.match(String(error), /broke off pods\/exec in picket\/agent-1: closed with \d+ before the program ended/)
  })
  it('names the right that is missing', async () => {
    plain = [403, { kind: 'Status', status: 'Failure', reason: 'Forbidden', message: 'no', code: 403 }]
    const [error] = await observe()
    assert.match(String(error), /the role lacks the verb "get" on the resource "pods\/exec" of the core group/)
  })
})
