// healthCheckNodePort and node eligibility over real sockets on loopback: what load balancers get to hear, ports that come, go and
// cannot be had.
import assert from 'node:assert/strict'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { listen, type Listener } from '../../../src/serve/http.ts'
import { NodeHealthServer, openNodeHealth } from '../../../src/serve/node-health.ts'
import { ServiceHealthServers, type ServiceHealth, type ServiceHealthOptions } from '../../../src/serve/service-health.ts'
import type { Problem } from '../../../src/lib/problem.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/** Ones that were free a moment ago. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(Array.from({ length: count }, async () => {
    const server = net.createServer()
    await new Promise<void>((resolve) => server.listen(0, '::', resolve))
    return server
  }))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

interface Heard {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: unknown
}

function ask(port: number, { path = '/healthz', host = '127.0.0.1', method = 'GET', agent = false as false | http.Agent } = {}): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path, method, agent }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text === '' ? null : JSON.parse(text) }))
    })
    request.on('error', reject).end()
  })
}

const isClosed = (port: number): Promise<void> => assert.rejects(ask(port), { code: 'ECONNREFUSED' })
const service = (name: string, port: number, localEndpoints = 1): ServiceHealth => ({ namespace: 'shop', name, port, localEndpoints })

describe('service health', () => {
  const clock = new FakeClock()
  const open: (Listener | ServiceHealthServers)[] = []
  let isHealthy = true
  let problems: readonly Problem[] = []
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close()
    isHealthy = true
  })

  function started(more: Partial<ServiceHealthOptions> = {}): ServiceHealthServers {
    const servers = new ServiceHealthServers({ clock, healthy: () => isHealthy, onProblems: (found) => (problems = found), ...more })
    open.push(servers)
    return servers
  }

  async function set(servers: ServiceHealthServers, ...services: readonly ServiceHealth[]): Promise<void> {
    servers.set(services)
    await servers.settled()
  }

  it('tells what kube-proxy tells: 200 with the number of local endpoints, on any path, to both families', async () => {
    const [port = 0] = await freePorts(1)
    await set(started(), service('web', port, 3))
    for (const [host, path] of [['127.0.0.1', '/'], ['::1', '/healthz'], ['127.0.0.1', '/any/path?x']] as const) {
      const { status, headers, body } = await ask(port, { host, path })
      assert.deepEqual(body, { service: { namespace: 'shop', name: 'web' }, localEndpoints: 3, serviceProxyHealthy: true })
      assert.deepEqual([status, headers['content-type'], headers['x-content-type-options'], headers['x-load-balancing-endpoint-weight']], [200, 'application/json', 'nosniff', '3'])
    }
    assert.deepEqual((await ask(port, { method: 'HEAD' })).body, null)
    assert.equal((await ask(port, { method: 'POST' })).status, 405)
  })
  it('503 without local endpoints, and where Services are not translated, with the same words', async () => {
    const [port = 0] = await freePorts(1)
    const servers = started()
    await set(servers, service('web', port, 0))
    const none = await ask(port)
    assert.deepEqual([none.status, none.headers['x-load-balancing-endpoint-weight'], none.body], [503, '0', { service: { namespace: 'shop', name: 'web' }, localEndpoints: 0, serviceProxyHealthy: true }])
    isHealthy = false
    await set(servers, service('web', port, 2))
    const sick = await ask(port)
    assert.deepEqual([sick.status, sick.headers['x-load-balancing-endpoint-weight'], sick.body], [503, '2', { service: { namespace: 'shop', name: 'web' }, localEndpoints: 2, serviceProxyHealthy: false }])
  })
  it('a port that stays keeps its connections, though its Service and its number change', async () => {
    const [port = 0, other = 0] = await freePorts(2)
    const servers = started()
    await set(servers, service('web', port, 1))
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    let sockets = 0
    agent.on('free', (socket: net.Socket & { seen?: boolean }) => {
      if (socket.seen !== true) sockets++
      socket.seen = true
    })
    await ask(port, { agent })
    await set(servers, service('web', port, 2), service('api', other))
    assert.equal((await ask(port, { agent })).headers['x-load-balancing-endpoint-weight'], '2')
    await set(servers, service('successor', port, 5))
    assert.deepEqual((await ask(port, { agent })).body, { service: { namespace: 'shop', name: 'successor' }, localEndpoints: 5, serviceProxyHealthy: true })
    assert.ok(sockets <= 1, `${sockets} connections`)
    agent.destroy()
  })
  it('ports open and close with the list, whatever comes while they do', async () => {
    const [a = 0, b = 0, c = 0] = await freePorts(3)
    const servers = started()
    servers.set([service('a', a)])
    servers.set([service('a', a), service('b', b)])
    servers.set([service('b', b), service('c', c)])
    await servers.settled()
    assert.deepEqual([(await ask(b)).status, (await ask(c)).status], [200, 200])
    await isClosed(a)
    await set(servers, service('a', a))
    assert.equal((await ask(a)).status, 200)
    await Promise.all([isClosed(b), isClosed(c)])
    await servers.close()
    await isClosed(a)
    await set(servers, service('a', a))
    await isClosed(a)
  })
  it('a port that cannot be had is a problem that names Service and port, costs nobody else, and is tried again', async () => {
    const [taken = 0, free = 0] = await freePorts(2)
    const foreign = await listen('healthAddress', `[::]:${taken}`, {})
    const servers = started()
    await set(servers, service('web', taken), service('api', free))
    assert.equal((await ask(free)).status, 200)
    assert.deepEqual(problems.map(({ code, severity, object, field }) => ({ code, severity, object, field })), [{ code: 'HealthPort', severity: 'error', object: 'Service shop/web', field: 'spec.healthCheckNodePort' }])
    assert.match(problems[0]?.message ?? '', new RegExp(`^port ${taken} of this node: another program listens there; .*tried again$`))
    await clock.advance(1_000)
    await servers.settled()
    assert.equal(problems.length, 1)
    await foreign.close()
    await clock.advance(1_999)
    await servers.settled()
    assert.equal(problems.length, 1)
    await clock.advance(1)
    await servers.settled()
    assert.deepEqual(problems, [])
    assert.equal((await ask(taken)).status, 200)
  })
  it('what comes while it tells of problems, when it is about to be done, is done, too; so is closing then', async () => {
    const [port = 0, other = 0] = await freePorts(2)
    let comes = (): void => undefined
    const servers = started({ onProblems: () => comes() })
    comes = () => {
      comes = () => undefined
      servers.set([service('api', other)])
    }
    await set(servers, service('web', port))
    await isClosed(port)
    assert.equal((await ask(other)).status, 200)
    const closed: Promise<void>[] = []
    comes = () => {
      comes = () => undefined
      closed.push(servers.close())
    }
    await set(servers, service('web', port))
    await Promise.all(closed)
    assert.equal(closed.length, 1)
    await Promise.all([isClosed(port), isClosed(other)])
  })
  it('a problem goes with its Service', async () => {
    const [taken = 0] = await freePorts(1)
    open.push(await listen('healthAddress', `[::]:${taken}`, {}))
    const servers = started()
    await set(servers, service('web', taken))
    assert.equal(problems.length, 1)
    await set(servers)
    assert.deepEqual(problems, [])
  })
  it('of two Services with one port the first has it, and the other\'s problem names it', async () => {
    const [port = 0] = await freePorts(1)
    const servers = started()
    await set(servers, service('web', port), service('api', port, 4))
    assert.equal((await ask(port)).headers['x-load-balancing-endpoint-weight'], '4')
    assert.deepEqual(problems.map(({ object }) => object), ['Service shop/web'])
    assert.match(problems[0]?.message ?? '', /it is that of Service shop\/api, too/)
  })
  it('on the addresses that it is told, on all of them or none', async () => {
    const [port = 0, half = 0] = await freePorts(2)
    const servers = started({ hosts: ['127.0.0.1', '::1'] })
    const foreign = await listen('healthAddress', `[::1]:${half}`, {})
    open.push(foreign)
    await set(servers, service('web', port), service('api', half))
    assert.deepEqual([(await ask(port)).status, (await ask(port, { host: '::1' })).status], [200, 200])
    await assert.rejects(ask(port, { host: '127.0.0.2' }), { code: 'ECONNREFUSED' })
    await isClosed(half)
    assert.deepEqual(problems.map(({ object }) => object), ['Service shop/api'])
  })
})

describe('node health', () => {
  it('/healthz tells load balancers whether the node takes traffic, /livez whether the agent lives', async () => {
    const [port = 0] = await freePorts(1)
    let [isHealthy, isEligible] = [true, true]
    const listener = await openNodeHealth('nodeHealthAddress', `[::]:${port}`, { healthy: () => isHealthy, eligible: () => isEligible, now: () => 60_000, updatedAt: () => 1_000 })
    try {
      const good = await ask(port, { host: '::1' })
      assert.deepEqual([good.status, good.headers['x-content-type-options']], [200, 'nosniff'])
      assert.deepEqual(good.body, { lastUpdated: '1970-01-01T00:01:00.000Z', currentTime: '1970-01-01T00:01:00.000Z', nodeEligible: true, healthy: true })
      isEligible = false
      const leaving = await ask(port)
      assert.deepEqual([leaving.status, leaving.body], [503, { lastUpdated: '1970-01-01T00:00:01.000Z', currentTime: '1970-01-01T00:01:00.000Z', nodeEligible: false, healthy: true }])
      assert.deepEqual([(await ask(port, { path: '/livez' })).status], [200])
      ;[isHealthy, isEligible] = [false, true]
      assert.deepEqual([(await ask(port)).status, (await ask(port, { path: '/livez' })).status], [503, 503])
      assert.deepEqual((await ask(port, { path: '/livez' })).body, { lastUpdated: '1970-01-01T00:00:01.000Z', currentTime: '1970-01-01T00:01:00.000Z', healthy: false })
      assert.equal((await ask(port, { path: '/' })).status, 404)
      await assert.rejects(openNodeHealth('nodeHealthAddress', `[::]:${port}`, { healthy: () => true, eligible: () => true, now: () => 0, updatedAt: () => null }), { code: 'AddressInUse', message: /^nodeHealthAddress / })
    } finally {
      await listener.close()
    }
  })
  it('an address that cannot be had is a problem that names it and the Node, and is taken over as soon as it is free', async () => {
    const [port = 0] = await freePorts(1)
    const address = `[::]:${port}`
    const foreign = await listen('healthAddress', address, {})
    const clock = new FakeClock()
    const told: (readonly Problem[])[] = []
    const server = new NodeHealthServer({ clock, nodeName: 'n1', address, answers: { healthy: () => true, eligible: () => true, now: () => 0, updatedAt: () => 0 }, onProblems: (problems) => told.push(problems) })
    await server.settled()
    assert.deepEqual(told.flat().map(({ code, object }) => ({ code, object })), [{ code: 'NodeHealthPort', object: 'Node n1' }])
    assert.match(told[0]?.[0]?.message ?? '', new RegExp(`^nodeHealthAddress \\[::\\]:${port}: another program listens there .*tried again$`))
    await clock.advance(2_000)
    await server.settled()
    assert.equal(told.length, 2)
    await foreign.close()
    await clock.advance(1_999)
    await isClosed(port)
    await clock.advance(1)
    await server.settled()
    assert.deepEqual(told.at(-1), [])
    assert.equal((await ask(port)).status, 200)
    await server.close()
    await isClosed(port)
  })
  it('closed while the address is another\'s, it does not try again', async () => {
    const [port = 0] = await freePorts(1)
    const foreign = await listen('healthAddress', `[::]:${port}`, {})
    const clock = new FakeClock()
    const server = new NodeHealthServer({ clock, nodeName: 'n1', address: `[::]:${port}`, answers: { healthy: () => true, eligible: () => true, now: () => 0, updatedAt: () => 0 }, onProblems: () => undefined })
    await server.settled()
    await server.close()
    await foreign.close()
    await clock.advance(10_000)
    await isClosed(port)
  })
})
