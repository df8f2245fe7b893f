// The overlay `full` on a cluster without kube-proxy: DNS, the API server and Services of real pods through Picket alone.
//
// After bridge.test.ts, whose installation it replaces. **Invariant:** nothing else on these nodes translates anything.
import assert from 'node:assert/strict'
import type { Address } from '../../src/model/ip.ts'
import type { Question } from '../../src/lab/round.ts'
import { agentPod, agentStatus, proven, settled, untilOtherAgent } from './agents.ts'
import { api, ask, type KubeObject } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { DNS_ADDRESSES } from './layout.ts'
import { FOR_SERVICES, OwnInstallation, restartAgents } from './own-installation.ts'
import { pidOf, RealPods } from './pods.ts'
import { runIn, until } from './processes.ts'

const NS = 'services'
const PORT = { protocol: 'TCP', port: 8080 } as const
const DATAGRAMS = { protocol: 'UDP', port: 8080 } as const

/** Asks each server for a name of the cluster, and prints the addresses. */
const LOOK_UP = `
const { Resolver } = require('node:dns').promises
Promise.all(process.argv.slice(1).map(async (server) => {
  const resolver = new Resolver({ timeout: 1500, tries: 2 })
  resolver.setServers([server.includes(':') ? '[' + server + ']:53' : server])
  return resolver.resolve4('kubernetes.default.svc.cluster.local')
})).then((found) => console.log(JSON.stringify(found.flat())), (error) => { console.error(String(error)); process.exit(1) })
`

describe('the overlay full, without kube-proxy', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let pods: RealPods
  let own: OwnInstallation

  before(async () => {
    cluster = await openCluster(() => undefined)
    assert.equal(cluster.options.kubeProxy, false)
    own = new OwnInstallation(cluster, 'full', FOR_SERVICES)
    pods = await RealPods.open(cluster.nodes)
  })

  after(async () => {
    await pods?.close()
    await ask('DELETE', `/api/v1/namespaces/${NS}`)
    own?.remove()
  })

  it('rolls out with the addresses of the API server, and is told that it translates', async () => {
    await own.apply()
    await restartAgents(cluster)
    for (const node of cluster.nodes) {
      const status = await agentStatus(node)
      assert.deepEqual(status?.problems, [])
      assert.ok(status?.cluster.resources.some(({ resource, synced }) => resource === 'endpointslices' && synced))
    }
    await proven(cluster.nodes)
  })

  it('pods find names through the ClusterIPs of DNS, over both families, on every node', async () => {
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NS } })
    const [node1 = '', node2 = ''] = cluster.nodes.map(({ name }) => name)
    await pods.add([
      { namespace: NS, name: 'a', node: node1, labels: { app: 'web' }, serve: [PORT, DATAGRAMS] },
      { namespace: NS, name: 'b', node: node2, labels: { app: 'web' }, serve: [PORT, DATAGRAMS] },
      { namespace: NS, name: 'client', node: node1, labels: { app: 'client' } },
      { namespace: NS, name: 'other', node: node2, labels: { app: 'other' } },
    ])
    for (const name of ['client', 'other']) await namesResolve(name)
  })

  it('rule 71: pods reach the API server by the address of the Service kubernetes', async () => {
    for (const name of ['client', 'other']) {
      const { stdout } = await runIn(null, ['nsenter', `--net=${pods.get(`${NS}/${name}`).netns}`, 'curl', '-sSk', '-m', '5', `https://${await clusterIp('default', 'kubernetes')}/version`])
      assert.match(stdout, /gitVersion|Unauthorized|forbidden/)
    }
  })

  it('a Service of real pods: both endpoints by its ClusterIPs and node ports, as its slices come and go', async () => {
    await api.create({
      apiVersion: 'v1', kind: 'Service', metadata: { namespace: NS, name: 'web' },
      spec: { type: 'NodePort', ipFamilyPolicy: 'RequireDualStack', selector: { app: 'web' }, ports: [{ name: 't', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30080 }, { name: 'u', protocol: 'UDP', port: 80, targetPort: 8080, nodePort: 30081 }] },
    })
    await untilEndpoints(['a', 'b'])
    const spec = (await api.get('v1', 'Service', NS, 'web'))['spec'] as { readonly clusterIPs: readonly Address[] }
    const [node1, node2] = cluster.nodes
    assert.ok(node1 !== undefined && node2 !== undefined && spec.clusterIPs.length === 2)
    for (const protocol of ['TCP', 'UDP'] as const) {
      for (const address of spec.clusterIPs) assert.deepEqual(await answering({ from: { kind: 'pod', key: `${NS}/client` }, address, protocol, port: 80 }), ['a', 'b'])
      const port = protocol === 'TCP' ? 30080 : 30081
      for (const address of Object.values(node1.addresses)) assert.deepEqual(await answering({ from: { kind: 'node', name: node2.name }, address, protocol, port }), ['a', 'b'])
    }
    await pods.remove([`${NS}/b`])
    await untilEndpoints(['a'])
    for (const address of spec.clusterIPs) assert.deepEqual(await answering({ from: { kind: 'pod', key: `${NS}/other` }, address, protocol: 'TCP', port: 80 }), ['a'])
  })

  it('under default deny only what is allowed: DNS by its pods and port, a Service by its pods', async () => {
    const policy = (name: string, spec: object): Promise<KubeObject> => api.create({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: NS, name }, spec })
    const made = await policy('deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] })
    await settled(cluster.nodes, { networkpolicies: made.metadata.resourceVersion })
    await assert.rejects(namesResolve('client'))
    const web = await clusterIp(NS, 'web') as Address
    assert.deepEqual(await answering({ from: { kind: 'pod', key: `${NS}/client` }, address: web, protocol: 'TCP', port: 80 }), [])
    await policy('dns', { podSelector: {}, egress: [{ to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } }], ports: [{ protocol: 'UDP', port: 53 }, { protocol: 'TCP', port: 53 }] }] })
    await policy('out', { podSelector: { matchLabels: { app: 'client' } }, egress: [{ to: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 8080 }] }] })
    const last = await policy('in', { podSelector: { matchLabels: { app: 'web' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }] })
    await settled(cluster.nodes, { networkpolicies: last.metadata.resourceVersion })
    await namesResolve('client')
    assert.deepEqual(await answering({ from: { kind: 'pod', key: `${NS}/client` }, address: web, protocol: 'TCP', port: 80 }), ['a'])
    assert.deepEqual(await answering({ from: { kind: 'pod', key: `${NS}/other` }, address: web, protocol: 'TCP', port: 80 }), [])
  })

  it('rule 101: the table deleted and the agent killed, the node comes back by itself', async () => {
    const [node] = cluster.nodes
    assert.ok(node !== undefined)
    const pid = pidOf(await agentPod(node))
    process.kill(pid, 'SIGSTOP')
    await runIn(cluster.roomOf(node.name), ['nft', 'delete', 'table', 'inet', 'picket'])
    process.kill(pid, 'SIGKILL')
    await untilOtherAgent(node, pid)
    await settled(cluster.nodes)
    await namesResolve('client')
    assert.deepEqual((await agentStatus(node))?.problems, [])
  })

  async function namesResolve(name: string): Promise<void> {
    const { stdout, stderr, status } = await runIn(null, ['nsenter', `--net=${pods.get(`${NS}/${name}`).netns}`, process.execPath, '-e', LOOK_UP, ...Object.values(DNS_ADDRESSES)], { timeout: 30_000 })
    const address = await clusterIp('default', 'kubernetes')
    assert.deepEqual([status, stdout.trim()], [0, JSON.stringify([address, address])], stderr)
  }

  function clusterIp(namespace: string, name: string): Promise<string> {
    return cluster.mustKubectl(['-n', namespace, 'get', 'service', name, '-o', 'jsonpath={.spec.clusterIP}'])
  }

  /** Which pods answered, of 24 questions; each of its own connection. */
  async function answering({ from, address, protocol, port }: Pick<Question, 'from' | 'address' | 'protocol' | 'port'>): Promise<readonly string[]> {
    const found = new Set<string>()
    for (let round = 0; round < (protocol === 'UDP' ? 12 : 1); round++) {
      const requests = Array.from({ length: protocol === 'UDP' ? 1 : 24 }, () => ({ from, address, protocol, port }))
      for (const result of await pods.prober.probe(requests, 1_500)) if (result.kind === 'answered') found.add(result.by.replace(`${NS}/`, ''))
    }
    return [...found].sort()
  }

  /** Waits until the slices of web name these pods, and every agent has them in its kernel. */
  async function untilEndpoints(names: readonly string[]): Promise<void> {
    const slices = await until(`the slices of web name ${names.join(', ')}`, 30_000, async () => {
      const found = (await api.list('discovery.k8s.io/v1', 'EndpointSlice', NS, '?labelSelector=kubernetes.io/service-name%3Dweb')) as readonly (KubeObject & { readonly endpoints?: readonly { readonly targetRef?: { readonly name: string }; readonly conditions?: { readonly ready?: boolean } }[] })[]
      const right = found.length === 2 && found.every(({ endpoints = [] }) => endpoints.filter(({ conditions }) => conditions?.ready === true).map(({ targetRef }) => targetRef?.name ?? '').sort().join() === names.join() && endpoints.length === names.length)
      return right ? found : null
    })
    const newest = slices.map(({ metadata }) => BigInt(metadata.resourceVersion as string)).sort((a, b) => (a < b ? 1 : -1))[0]
    await settled(cluster.nodes, { endpointslices: String(newest) })
  }
})
