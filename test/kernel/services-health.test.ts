// What load balancers hear of a node, over TCP from outside, from the real agent: healthCheckNodePort of a Service, /healthz of the node.
//
// **Invariant:** asked at the node's addresses of both families; each answer is seen to change.
import assert from 'node:assert/strict'
import { FAMILIES, type Address, type Family } from '../../src/model/ip.ts'
import type { LabProcess } from '../../src/lab/testbed.ts'
import { RealCluster } from '../support/real-cluster.ts'
import { nodeObject, realPod, type PlainObject } from '../support/real-objects.ts'
import { pause } from '../support/real-wire.ts'
import { serviceObject, sliceObjects } from '../support/service-objects.ts'

const A = realPod('shop/a', 'n1', 1)
const B = realPod('shop/b', 'n1', 2)
const C = realPod('shop/c', 'n2', 3)
const FLAGS = ['--service-proxy', 'picket', '--service-cidrs', '10.96.0.0/16,fd00:96::/112']
const [HEALTH, OTHER, NODE] = [32_100, 32_101, 10_256]
const ASK = `
const answers = await Promise.all(process.argv.slice(1).map((url) => fetch(url).then(async (one) => ({ status: one.status, weight: one.headers.get('x-load-balancing-endpoint-weight'), body: await one.json() }), () => null)))
console.log(JSON.stringify(answers))`
const LISTEN = "require('node:http').createServer((_, response) => response.end('{}')).listen(Number(process.argv[1]), '::')"

interface Heard {
  readonly status: number
  readonly weight: string | null
  readonly body: Readonly<Record<string, unknown>>
}

describe('what load balancers hear of Services and nodes, from the real agent', function () {
  this.timeout(60_000)
  let lab: RealCluster
  const others: LabProcess[] = []

  before(async () => {
    lab = await RealCluster.open({ namespaces: { shop: {} }, pods: [A, B, C], agents: false })
  })
  after(() => lab.close())
  afterEach(async () => {
    for (const one of others.splice(0)) {
      one.kill('SIGKILL')
      await one.ended
    }
  })

  const balanced = (key: string, number: number, port: number): PlainObject => serviceObject(key, number, { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: port })
  const url = (address: Address, port: number, path = '/'): string => `http://${address.includes(':') ? `[${address}]` : address}:${port}${path}`

  /** At the node's address of each family; null: nobody answers. */
  function hear(node: string, port: number, path = '/'): readonly (Heard | null)[] {
    const urls = FAMILIES.map((family: Family) => url(lab.nodeAddress(node, family), port, path))
    return JSON.parse(lab.run('outside', [process.execPath, '--input-type=module', '-e', ASK, ...urls])) as readonly (Heard | null)[]
  }

  /** The same at both: ports open and close a moment after the kernel holds the change. */
  async function expect(node: string, port: number, path: string, expected: (one: Heard | null) => boolean): Promise<void> {
    for (const until = Date.now() + 6_000; ; await pause(50)) {
      const heard = hear(node, port, path)
      if (heard.length === 2 && heard.every(expected)) return
      assert.ok(Date.now() < until, `${node} ${port}${path}: ${JSON.stringify(heard)}`)
    }
  }

  const told = (status: number, name: string, localEndpoints: number) => (one: Heard | null) =>
    one?.status === status && one.weight === String(localEndpoints) && JSON.stringify(one.body) === JSON.stringify({ service: { namespace: 'shop', name }, localEndpoints, serviceProxyHealthy: true })

  const codes = async (node: string): Promise<readonly string[]> => (await lab.agents.status(node)).problems.map(({ code, object }) => `${code} ${object}`)

  async function untilCodes(node: string, expected: readonly string[]): Promise<void> {
    for (const until = Date.now() + 10_000; ; await pause(50)) {
      const found = await codes(node)
      if (found.join() === expected.join()) return
      assert.ok(Date.now() < until, found.join())
    }
  }

  /** Another program listens there. */
  async function occupy(node: string, port: number): Promise<LabProcess> {
    const process_ = await lab.testbed.start(node, [process.execPath, '-e', LISTEN, String(port)], { logFile: `${lab.places.folder}/listener-${port}.log`, env: {} })
    others.push(process_)
    await expect(node, port, '/', (one) => one?.status === 200 && one.weight === null)
    return process_
  }

  it('/healthz: another program has the address when the agent starts, as kube-proxy has: a problem, and taken over once it ends', async () => {
    const kubeProxy = await occupy('n1', NODE)
    await lab.agents.start('n1', FLAGS)
    await lab.agents.start('n2', FLAGS)
    await lab.settle()
    await untilCodes('n1', ['NodeHealthPort Node n1'])
    await untilCodes('n2', [])
    assert.deepEqual(hear('n1', NODE, '/healthz').map((one) => one?.body), [{}, {}])
    kubeProxy.kill('SIGKILL')
    await kubeProxy.ended
    await untilCodes('n1', [])
    for (const node of ['n1', 'n2']) await expect(node, NODE, '/healthz', (one) => one?.status === 200 && one.body['nodeEligible'] === true && one.body['healthy'] === true)
  })

  for (const [what, change] of [
    ['is being deleted', { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }],
    ["has the autoscaler's taint", { spec: { taints: [{ key: 'ToBeDeletedByClusterAutoscaler', value: '1', effect: 'NoSchedule' }] } }],
  ] as const) {
    it(`/healthz: 503 while the Node ${what}; /livez is 200 all the same`, async () => {
      const node = nodeObject('n1', FAMILIES.map((family) => lab.nodeAddress('n1', family)))
      lab.put({ ...node, metadata: { ...node.metadata, ...('metadata' in change ? change.metadata : {}) }, ...('spec' in change ? { spec: change.spec } : {}) })
      await lab.settle()
      await expect('n1', NODE, '/healthz', (one) => one?.status === 503 && one.body['nodeEligible'] === false && one.body['healthy'] === true)
      await expect('n1', NODE, '/livez', (one) => one?.status === 200)
      await expect('n2', NODE, '/healthz', (one) => one?.status === 200)
      lab.put(node)
      await lab.settle()
      await expect('n1', NODE, '/healthz', (one) => one?.status === 200)
    })
  }

  it('healthCheckNodePort: 200 where the node has endpoints, with their number; 503 where it has none; closed with its Service', async () => {
    lab.put(balanced('shop/web', 20, HEALTH), ...sliceObjects('shop/web', [A, B, C]))
    await lab.settle()
    await expect('n1', HEALTH, '/', told(200, 'web', 2))
    await expect('n2', HEALTH, '/any/path', told(200, 'web', 1))
    lab.put(...sliceObjects('shop/web', [A, { pod: C, conditions: { ready: false, serving: true, terminating: true } }]))
    await lab.settle()
    await expect('n1', HEALTH, '/', told(200, 'web', 1))
    await expect('n2', HEALTH, '/', told(503, 'web', 0))
    lab.put(balanced('shop/web', 20, OTHER))
    await lab.settle()
    await expect('n1', OTHER, '/', told(200, 'web', 1))
    await expect('n1', HEALTH, '/', (one) => one === null)
    lab.drop('Service shop/web')
    await lab.settle()
    await expect('n1', OTHER, '/', (one) => one === null)
  })

  it('a port that another program has is a problem of its Service, costs nobody else, and is taken over once it is free', async () => {
    const foreign = await occupy('n1', HEALTH)
    lab.put(balanced('shop/web', 20, HEALTH), balanced('shop/api', 21, OTHER), ...sliceObjects('shop/api', [B]))
    await lab.settle()
    await untilCodes('n1', ['HealthPort Service shop/web'])
    await expect('n1', OTHER, '/', told(200, 'api', 1))
    foreign.kill('SIGKILL')
    await foreign.ended
    await untilCodes('n1', [])
    await expect('n1', HEALTH, '/', told(200, 'web', 1))
  })

  it('after a restart of the agent, and nobody answers where Services are another program\'s', async () => {
    await lab.agents.stop('n1', 'SIGKILL')
    assert.deepEqual([hear('n1', HEALTH), hear('n1', NODE)], [[null, null], [null, null]])
    await lab.agents.start('n1', FLAGS)
    await lab.settle()
    await expect('n1', HEALTH, '/', told(200, 'web', 1))
    await expect('n1', NODE, '/healthz', (one) => one?.status === 200)
    await lab.agents.stop('n1')
    await lab.agents.start('n1')
    await lab.settle()
    assert.deepEqual([hear('n1', HEALTH), hear('n1', NODE)], [[null, null], [null, null]])
  })
})
