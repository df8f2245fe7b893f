// From kube-proxy to Picket and back on live nodes, as the page on Services says it: no established connection is dropped.
//
// **Invariant:** connections go on through each step, and after each step new ones come to every endpoint.
import assert from 'node:assert/strict'
import path from 'node:path'
import type { Flow } from '../../src/lab/testbed.ts'
import type { Address } from '../../src/model/ip.ts'
import { api, ask } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { endKubeProxies, kubeProxies, startKubeProxy } from './kube-proxy.ts'
import { FOR_SERVICES, OwnInstallation, restartAgents } from './own-installation.ts'
import { RealPods } from './pods.ts'
import { runIn, sleep, until } from './processes.ts'

const root = path.resolve(import.meta.dirname, '../..')
const NS = 'moving'
const SERVE = [{ protocol: 'TCP', port: 8080 }, { protocol: 'UDP', port: 8080 }] as const

describe('from kube-proxy to Picket and back', function () {
  this.timeout(240_000)
  let cluster: TestCluster
  let pods: RealPods
  let own: OwnInstallation
  let addresses: readonly Address[] = []
  let flows: readonly Flow[] = []

  before(async () => {
    cluster = await openCluster(() => undefined)
    assert.equal(cluster.options.kubeProxy, true)
    own = new OwnInstallation(cluster, 'full', FOR_SERVICES)
    pods = await RealPods.open(cluster.nodes)
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NS } })
    const [node1 = '', node2 = ''] = cluster.nodes.map(({ name }) => name)
    await pods.add([
      { namespace: NS, name: 'a', node: node1, labels: { app: 'web' }, serve: SERVE },
      { namespace: NS, name: 'b', node: node2, labels: { app: 'web' }, serve: SERVE },
      { namespace: NS, name: 'client', node: node1, labels: { app: 'client' } },
    ])
    await api.create({
      apiVersion: 'v1', kind: 'Service', metadata: { namespace: NS, name: 'web' },
      spec: { ipFamilyPolicy: 'RequireDualStack', selector: { app: 'web' }, ports: [{ name: 't', port: 80, targetPort: 8080 }, { name: 'u', protocol: 'UDP', port: 80, targetPort: 8080 }] },
    })
    addresses = ((await api.get('v1', 'Service', NS, 'web'))['spec'] as { readonly clusterIPs: readonly Address[] }).clusterIPs
  })

  after(async () => {
    for (const flow of flows) await flow.stop().catch(() => undefined)
    await pods?.close()
    await ask('DELETE', `/api/v1/namespaces/${NS}`)
    own?.remove()
  })

  it('kube-proxy alone: connections are open', async () => {
    assert.deepEqual([...kubeProxies().keys()].toSorted(), cluster.nodes.map(({ name }) => name))
    await untilBothAnswer()
    flows = await Promise.all(addresses.flatMap((address) => (['TCP', 'UDP'] as const).flatMap((protocol) => [1, 2].map(() => pods.openFlowTo(`${NS}/client`, address, protocol, 80, { packetsPerSecond: 100 })))))
    await goOn('at the start')
  })

  it('the overlay full beside it', async () => {
    await own.apply()
    await restartAgents(cluster)
    for (const { name } of cluster.nodes) assert.match((await runIn(cluster.roomOf(name), ['nft', 'list', 'chain', 'inet', 'picket', 'nat-prerouting'])).stdout, /type nat hook prerouting/)
    await goOn('beside kube-proxy')
    await untilBothAnswer()
    // kube-proxy has the port, and the agents run all the same.
    for (const { name } of cluster.nodes) assert.deepEqual([(await healthz(name)) !== null, await lacksPort(name)], [true, true])
  })

  it('kube-proxy ends, and what it left is removed', async () => {
    await endKubeProxies(cluster.nodes)
    for (const { name } of cluster.nodes) for (const family of ['ip', 'ip6']) assert.equal((await runIn(cluster.roomOf(name), ['nft', 'delete', 'table', family, 'kube-proxy'])).status, 0)
    await goOn('without kube-proxy')
    await untilBothAnswer()
    for (const { name } of cluster.nodes) await until(`Picket answers load balancers of ${name}`, 10_000, async () => ((await healthz(name))?.includes('"nodeEligible":true') === true && !(await lacksPort(name)) ? true : null))
  })

  it('and back: kube-proxy again, then policy-only', async () => {
    for (const place of cluster.nodes) startKubeProxy(place, cluster.roomOf(place.name), cluster.programs)
    for (const { name } of cluster.nodes) for (const family of ['ip', 'ip6']) await until(`kube-proxy of ${name} translates`, 30_000, async () => ((await translates(name, family)) ? true : null))
    await goOn('with kube-proxy again')
    await cluster.mustKubectl(['apply', '-k', path.join(root, 'deploy/policy-only')])
    await restartAgents(cluster)
    for (const { name } of cluster.nodes) assert.doesNotMatch((await runIn(cluster.roomOf(name), ['nft', 'list', 'table', 'inet', 'picket'])).stdout, /service-ids|nat-prerouting/)
    await goOn('at the end')
    await untilBothAnswer()
    for (const flow of flows) assert.deepEqual(await flow.stop().then(({ lost, broken }) => [lost, broken]), [0, null])
    flows = []
  })

  /** Whether kube-proxy does. Its own /healthz cannot be asked while Picket has the port. */
  async function translates(node: string, family: string): Promise<boolean> {
    const { status, stdout } = await runIn(cluster.roomOf(node), ['nft', 'list', 'map', family, 'kube-proxy', 'service-ips'])
    return status === 0 && addresses.some((address) => stdout.includes(`${address} . tcp . 80 :`))
  }

  /** What load balancers hear of the node, from whoever has the port; null: nothing. */
  async function healthz(node: string): Promise<string | null> {
    return await curl(node, 'http://127.0.0.1:10256/healthz')
  }

  /** Whether the agent says that another program has the port. */
  async function lacksPort(node: string): Promise<boolean> {
    const metrics = await curl(node, 'http://127.0.0.1:9655/metrics')
    assert.match(metrics ?? '', /^picket_ready 1$/m)
    return /^picket_problems\{code="NodeHealthPort",severity="warning"\} 1$/m.test(metrics ?? '')
  }

  async function curl(node: string, url: string): Promise<string | null> {
    const { status, stdout } = await runIn(cluster.roomOf(node), ['curl', '-sf', '-m', '2', url])
    return status === 0 ? stdout : null
  }

  async function goOn(when: string): Promise<void> {
    const before = await Promise.all(flows.map((flow) => flow.stats()))
    await sleep(1_200)
    for (const [index, flow] of flows.entries()) {
      const { answered, lost, broken } = await flow.stats()
      assert.deepEqual([lost, broken], [0, null], `${when}: flow ${index}`)
      assert.ok(answered > (before[index]?.answered ?? 0) + 50, `${when}: flow ${index} goes on`)
    }
  }

  /** New connections, both families and protocols, reach both endpoints. */
  async function untilBothAnswer(): Promise<void> {
    for (const address of addresses) {
      for (const protocol of ['TCP', 'UDP'] as const) {
        const found = new Set<string>()
        await until(`a and b answer at ${address} over ${protocol}`, 20_000, async () => {
          const [result] = await pods.prober.probe([{ from: { kind: 'pod', key: `${NS}/client` }, address, protocol, port: 80 }], 1_000)
          if (result?.kind === 'answered') found.add(result.by)
          return found.size === 2 ? true : null
        }, () => [...found].join())
      }
    }
  }
})
