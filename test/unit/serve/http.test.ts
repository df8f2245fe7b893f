// HTTP of the agent on loopback: health answers, addresses that cannot be had, and those who ask wrong.
import assert from 'node:assert/strict'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { openHealth } from '../../../src/serve/health.ts'
import { listen, type Listener } from '../../../src/serve/http.ts'

/** One that was free a moment ago. */
async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function ask(port: number, path: string, { method = 'GET', host = '127.0.0.1' } = {}): Promise<{ readonly status: number; readonly type: string; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path, method, agent: false }, (response) => {
      let body = ''
      response.on('data', (chunk) => (body += String(chunk)))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body }))
    })
    request.on('error', reject).end()
  })
}

describe('http', () => {
  const open: Listener[] = []
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close()
  })

  it('tells live and ready, or what is missing', async () => {
    const port = await freePort()
    let [stuck, missing]: (string | null)[] = [null, 'waiting for "x"']
    open.push(await openHealth(`127.0.0.1:${port}`, { stuck: () => stuck ?? null, notReady: () => missing ?? null }))
    assert.deepEqual(await ask(port, '/livez'), { status: 200, type: 'application/json', body: '{"live":true}\n' })
    assert.deepEqual(await ask(port, '/readyz?verbose'), { status: 503, type: 'application/json', body: '{"ready":false,"reason":"waiting for \\"x\\""}\n' })
    ;[stuck, missing] = ['stuck', null]
    assert.deepEqual([(await ask(port, '/livez')).status, (await ask(port, '/readyz')).body], [503, '{"ready":true}\n'])
    assert.deepEqual(await ask(port, '/readyz', { method: 'HEAD' }), { status: 200, type: 'application/json', body: '' })
  })
  it('says what it expects to who asks wrong, and goes on', async () => {
    const port = await freePort()
    open.push(await listen('x', `127.0.0.1:${port}`, { '/a': () => Promise.reject(new Error('broken')), '/b': () => ({ status: 200, type: 'text/plain', body: 'ü' }) }))
    assert.deepEqual([(await ask(port, '/livez')).status, (await ask(port, '/constructor')).status, (await ask(port, '/b', { method: 'POST' })).status], [404, 404, 405])
    assert.match((await ask(port, '/')).body, /expected \/a or \/b/)
    assert.deepEqual(await ask(port, '/a'), { status: 500, type: 'application/json', body: '{"error":"broken"}\n' })
    const garbage = net.connect(port, '127.0.0.1')
    garbage.end('nonsense\r\n\r\n')
    await new Promise((resolve) => garbage.on('close', resolve).resume())
    assert.equal((await ask(port, '/b')).body, 'ü')
  })
  it('names setting and address where it cannot listen', async () => {
    const port = await freePort()
    open.push(await listen('healthAddress', `127.0.0.1:${port}`, {}))
    await assert.rejects(listen('metricsAddress', `127.0.0.1:${port}`, {}), { code: 'AddressInUse', message: new RegExp(`^metricsAddress 127\\.0\\.0\\.1:${port}: another program listens there .*set another metricsAddress$`) })
    await assert.rejects(listen('metricsAddress', `[::]:${port}`, {}), { code: 'AddressInUse' })
    await assert.rejects(listen('metricsAddress', '192.0.2.1:9655', {}), { code: 'AddressFailed', message: /^metricsAddress 192\.0\.2\.1:9655: expected an address of this machine; set another metricsAddress$/ })
    await assert.rejects(listen('metricsAddress', 'no-such-name.invalid:9655', {}), { code: 'AddressFailed', message: /^metricsAddress no-such-name\.invalid:9655: .*set another metricsAddress$/ })
  })
  it('listens on [::] for both families, and is gone after close', async () => {
    const port = await freePort('::')
    const listener = await listen('metricsAddress', `[::]:${port}`, { '/': () => ({ status: 200, type: 'text/plain', body: '' }) })
    assert.deepEqual([(await ask(port, '/')).status, (await ask(port, '/', { host: '::1' })).status], [200, 200])
    const idle = net.connect(port, '127.0.0.1')
    await new Promise((resolve) => idle.once('connect', resolve))
    await listener.close()
    await assert.rejects(ask(port, '/'), { code: 'ECONNREFUSED' })
    idle.destroy()
  })
})
