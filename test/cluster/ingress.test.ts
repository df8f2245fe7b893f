// An nginx as ingress before three Services, with the policies that a user would write; and how else pods are reached:
// by environment variables, by the Service kubernetes, by a hostPort of the CNI's portmap plugin.
//
// Real HTTP, from outside, from nodes and from pods, both families. With the overlay full, which it installs.
// **Invariant:** whatever is to be refused has been answered before, by the same way.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { Address, Family } from '../../src/model/ip.ts'
import { agentStatus, settled } from './agents.ts'
import { api, ask, type KubeObject } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { get, type Answer, type Place, type Target } from './http.ts'
import { buildNginx } from './image.ts'
import { backendConf, BACKENDS, configMap, nginxPod, policy, POLICIES, ROUTES, siteObjects, SITES, type Backend } from './ingress-objects.ts'
import { OUTSIDE, OUTSIDE_ADDRESSES } from './layout.ts'
import { FOR_SERVICES, OwnInstallation, restartAgents } from './own-installation.ts'
import { pidOf, RealPods, runningPod, statusOf } from './pods.ts'
import { mustRun, runIn, until } from './processes.ts'

const VISITORS = 'visitors'
const HOST_PORTS = 'host-ports'
const NODE_PORT = 30090
const HOST_PORT = 18080
/** Of nobody: what the load balancer has. */
const BALANCER = { 4: '192.0.2.80', 6: '2001:db8::80' } as const
const FAMILIES: readonly Family[] = [4, 6]
const REFUSED_S = 2

interface Client {
  readonly name: string
  readonly from: Place
}

/** Where the ingress is asked: `through` is the node on which it comes in, where that can be told. */
interface Entry {
  readonly address: string
  readonly port: number
  readonly family: Family
  readonly through: string | null
}

/** One client's request. */
interface Way {
  readonly what: string
  readonly from: Place
  readonly target: Target
}

describe('an nginx as ingress', function () {
  this.timeout(240_000)
  let cluster: TestCluster
  let pods: RealPods
  let own: OwnInstallation
  let node1 = ''
  let node2 = ''
  const outside: Client = { name: 'outside', from: { netns: OUTSIDE } }
  const visitors: Client[] = []
  const clients: Client[] = []
  /** Pid of a container of the sites' namespace that started after the Services were there, and no policy names. */
  let stranger = 0

  before(async function () {
    this.timeout(900_000)
    cluster = await openCluster(() => undefined)
    own = new OwnInstallation(cluster, 'full', FOR_SERVICES)
    await cluster.loadImage((await buildNginx(() => undefined)).archive)
    pods = await RealPods.open(cluster.nodes)
    ;[node1 = '', node2 = ''] = cluster.nodes.map(({ name }) => name)
    await own.apply()
    await restartAgents(cluster)
  })

  after(async () => {
    await pods?.close()
    for (const name of [SITES, VISITORS, HOST_PORTS]) await ask('DELETE', `/api/v1/namespaces/${name}`)
    for (const address of Object.values(BALANCER)) await runIn({ netns: OUTSIDE }, ['ip', 'route', 'del', address])
    own?.remove()
  })

  it('is rolled out as a user does it: ConfigMaps, workloads, Services, an address of the load balancer', async () => {
    for (const name of [SITES, VISITORS]) await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
    await apply(siteObjects({ shop: node1, blog: node2 }, NODE_PORT))
    for (const name of ['daemonset/ingress', 'daemonset/api', 'deployment/shop', 'deployment/blog']) await cluster.mustKubectl(['-n', SITES, 'rollout', 'status', name, '--timeout=120s'], { timeout: 150_000 })
    const ingress = Object.values(BALANCER).map((ip) => ({ ip }))
    await api.patch('v1', 'Service', SITES, 'ingress', { status: { loadBalancer: { ingress } } }, '/status')
    await pods.add([node1, node2].map((node) => ({ namespace: VISITORS, name: `visitor-of-${node}`, node, labels: { app: 'visitor' } })))
    for (const node of [node1, node2]) visitors.push({ name: `pod of ${node}`, from: { path: pods.get(`${VISITORS}/visitor-of-${node}`).netns } })
    clients.push(outside, ...visitors, ...[node1, node2].map((name) => ({ name, from: cluster.roomOf(name) })))
    await balanceOver(node1)
    await untilRight()
    await everyRouteIsRight()
  })

  it('a container has variables for the Services that were there, and what they say is answered', async () => {
    await pods.add([{ namespace: SITES, name: 'stranger', node: node1, labels: { app: 'stranger' }, spec: { automountServiceAccountToken: true } }])
    stranger = pidOf(await runningPod(SITES, 'stranger'))
    const variables = environmentOf(stranger)
    for (const name of BACKENDS) {
      const [host = '', port = ''] = ['HOST', 'PORT'].map((field) => variables.get(`${name.toUpperCase()}_SERVICE_${field}`))
      assert.deepEqual([host, port], [(await clusterIps(name))[4], '80'])
      assert.equal(by(await get(netnsOf(stranger), { address: host, port: Number(port), host: name, path: '/' })), name)
    }
  })

  it('rule 71: a pod reaches the API server as client libraries do: variables, certificate, token', async () => {
    const variables = environmentOf(stranger)
    const [host = '', port = ''] = ['HOST', 'PORT'].map((field) => variables.get(`KUBERNETES_SERVICE_${field}`))
    const account = path.join('/proc', String(stranger), 'root', 'var/run/secrets/kubernetes.io/serviceaccount')
    const { stdout, stderr } = await runIn(null, [
      'nsenter', `--net=/proc/${stranger}/ns/net`, 'curl', '-sS', '--noproxy', '*', '-m', '10', '--cacert', `${account}/ca.crt`, '-H', `Authorization: Bearer ${readFileSync(`${account}/token`, 'utf8')}`,
      '--resolve', `kubernetes.default.svc:${port}:${host}`, `https://kubernetes.default.svc:${port}/version`,
    ])
    assert.equal((JSON.parse(stdout || '{}') as { readonly gitVersion?: string }).gitVersion, cluster.programs.version, stderr)
  })

  it('rule 64: under default deny and what is allowed: the ingress is everybody\'s, the backends are the ingress\'s alone', async () => {
    const direct = await directWays()
    for (const { what, from, target } of direct) assert.equal((await get(from, target)).status, 200, what)
    await apply(Object.values(POLICIES))
    await policiesHold()
    await everyRouteIsRight()
    await noneIsAnswered(direct)
  })

  for (const allow of ['in', 'out'] as const) it(`without the allow ${POLICIES[allow].metadata.name} new requests fail, and with it they are answered again`, async () => {
    await api.remove('networking.k8s.io/v1', 'NetworkPolicy', SITES, POLICIES[allow].metadata.name)
    const fails = (): Promise<readonly boolean[]> => Promise.all(entries().filter(({ through }) => through !== null).flatMap((entry) => ROUTES.map(async (route) => refused(await get(outside.from, { ...entry, ...route })))))
    await until('every request fails', 60_000, async () => ((await fails()).every((one) => one) ? true : null))
    assert.ok((await fails()).every((one) => one))
    await api.create(POLICIES[allow])
    await policiesHold()
    await everyRouteIsRight()
  })

  it('rule 67: with externalTrafficPolicy Local nginx sees the client\'s own address, through either node', async () => {
    for (const { family, ...entry } of entries()) assert.notEqual((await get(outside.from, { ...entry, host: 'shop.example', path: '/' })).client, OUTSIDE_ADDRESSES[family])
    const local = await api.patch('v1', 'Service', SITES, 'ingress', { spec: { externalTrafficPolicy: 'Local' } })
    await settled(cluster.nodes, { services: local.metadata.resourceVersion })
    for (const node of [node1, node2]) {
      await balanceOver(node)
      for (const { family, ...entry } of entries()) for (const { by: expected, ...route } of ROUTES) {
        const answer = await get(outside.from, { ...entry, ...route })
        assert.deepEqual([by(answer), answer.client], [expected, OUTSIDE_ADDRESSES[family]], JSON.stringify([entry, route]))
      }
    }
  })

  it('rule 67: and a policy that allows that address alone lets nobody else in', async () => {
    const blocks = [`${OUTSIDE_ADDRESSES[4]}/32`, `${OUTSIDE_ADDRESSES[6]}/128`].map((cidr) => ({ ipBlock: { cidr } }))
    await api.patch('networking.k8s.io/v1', 'NetworkPolicy', SITES, POLICIES.anybody.metadata.name, { spec: { ingress: [{ from: blocks, ports: [{ port: 'http' }] }] } })
    await policiesHold()
    const route = { host: 'shop.example', path: '/' }
    for (const entry of entries()) assert.equal(by(await get(outside.from, { ...entry, ...route })), 'shop')
    await noneIsAnswered(entries().flatMap((entry) => visitors.map(({ name, from }) => ({ what: `${name} at ${entry.address}`, from, target: { ...entry, ...route } }))))
  })

  it('rule 69: a hostPort of the portmap plugin is answered, and judged by the client\'s own address', async () => {
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: HOST_PORTS } })
    await api.create(configMap(HOST_PORTS, 'backend', backendConf()))
    await pods.add([{ namespace: HOST_PORTS, name: 'shop', node: node1, labels: { app: 'shop' }, spec: nginxPod('backend', { hostPort: HOST_PORT }) }])
    const others: readonly Client[] = [...visitors, { name: node2, from: cluster.roomOf(node2) }]
    const waysOf = (some: readonly Client[]): readonly Way[] => FAMILIES.flatMap((family) => some.map(({ name, from }) => (
      { what: `${name}, v${family}`, from, target: { address: nodeAddress(node1, family), port: HOST_PORT, host: 'any.example', path: '/' } })))
    const [allowed, denied] = [waysOf([outside]), waysOf(others)]
    for (const { what, from, target } of [...allowed, ...denied]) {
      await until(`${what}: the hostPort is answered`, 30_000, async () => (by(await get(from, target, REFUSED_S)) === 'shop' ? true : null))
    }
    await apply([policy(HOST_PORTS, 'deny', { podSelector: {}, policyTypes: ['Ingress'] })])
    await policiesHold()
    await noneIsAnswered([...allowed, ...denied])
    const blocks = Object.values(OUTSIDE_ADDRESSES).map((address: string) => ({ ipBlock: { cidr: `${address}/${address.includes(':') ? 128 : 32}` } }))
    await apply([policy(HOST_PORTS, 'outside', { podSelector: {}, ingress: [{ from: blocks, ports: [{ port: 'http' }] }] })])
    await policiesHold()
    const answers = await Promise.all(allowed.map(({ from, target }) => get(from, target)))
    assert.deepEqual(answers.map((answer) => [by(answer), answer.client]), FAMILIES.map((family) => ['shop', OUTSIDE_ADDRESSES[family]]))
    await noneIsAnswered(denied)
  })

  it('no agent has a problem to tell', async () => {
    for (const node of cluster.nodes) assert.deepEqual((await agentStatus(node))?.problems, [])
  })

  async function apply(objects: readonly KubeObject[]): Promise<void> {
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }) })
  }

  /** Waits until every agent's kernel holds each policy as it is now. */
  async function policiesHold(): Promise<void> {
    const found = [...await api.list('networking.k8s.io/v1', 'NetworkPolicy', SITES), ...await api.list('networking.k8s.io/v1', 'NetworkPolicy', HOST_PORTS)]
    const newest = found.map(({ metadata }) => BigInt(metadata.resourceVersion as string)).reduce((a, b) => (a > b ? a : b))
    await settled(cluster.nodes, { networkpolicies: String(newest) })
  }

  function nodeAddress(name: string, family: Family): string {
    return pods.nodeAddress(name, family) ?? assert.fail(`${name} has no IPv${family} address`)
  }

  function netnsOf(pid: number): Place {
    return { path: `/proc/${pid}/ns/net` }
  }

  async function clusterIps(name: string): Promise<Readonly<Record<Family, Address>>> {
    const { clusterIPs: [four, six] } = (await api.get('v1', 'Service', SITES, name))['spec'] as { readonly clusterIPs: readonly Address[] }
    return { 4: four ?? assert.fail(`${name} has no ClusterIP`), 6: six ?? assert.fail(`${name} has no second ClusterIP`) }
  }

  /** Node ports of every node, and the load balancer's addresses. */
  function entries(): readonly Entry[] {
    return FAMILIES.flatMap((family) => [
      ...[node1, node2].map((through) => ({ address: nodeAddress(through, family), port: NODE_PORT, family, through })),
      { address: BALANCER[family], port: 80, family, through: null },
    ])
  }

  /** What a load balancer, or a router before it, does: its addresses lead to one node. */
  async function balanceOver(node: string): Promise<void> {
    for (const family of FAMILIES) await mustRun({ netns: OUTSIDE }, ['ip', 'route', 'replace', BALANCER[family], 'via', nodeAddress(node, family)])
  }

  /** Each client, at each entry, by each host and path: what was not answered by the right Service. `answering` takes up who answered. */
  async function wrong(answering = new Set<string>()): Promise<readonly string[]> {
    const found: string[] = []
    for (const { name, from } of clients) {
      await Promise.all(entries().flatMap((entry) => ROUTES.map(async ({ by: expected, ...route }) => {
        const answer = await get(from, { ...entry, ...route })
        answering.add(answer.body)
        if (by(answer) !== expected) found.push(`${name}: ${route.host}${route.path} at ${entry.address}: ${answer.status} ${answer.body}`)
      })))
    }
    return found
  }

  /** And both pods of api, one on each node, had their part. */
  async function everyRouteIsRight(): Promise<void> {
    const answering = new Set<string>()
    assert.deepEqual(await wrong(answering), [])
    assert.deepEqual([...answering].map((pod) => pod.replace(/-.*/, '')).sort(), ['api', 'api', 'blog', 'shop'])
  }

  async function untilRight(): Promise<void> {
    let last: readonly string[] = []
    await until('every route is answered by its Service', 60_000, async () => ((last = await wrong()).length === 0 ? true : null), () => last.slice(0, 5).join('; '))
  }

  /** Past the ingress to the backends, from whom it is not allowed. */
  async function directWays(): Promise<readonly Way[]> {
    const ways: Way[] = []
    const add = ({ name, from }: Client, target: Target): number => ways.push({ what: `${name} at ${target.address}`, from, target })
    for (const name of BACKENDS) {
      const addresses = await clusterIps(name)
      const [pod = assert.fail(`no pod of ${name}`)] = await api.list('v1', 'Pod', SITES, `?labelSelector=app%3D${name}`)
      const { podIPs = [] } = statusOf(pod)
      for (const family of FAMILIES) for (const client of [...visitors, { name: 'stranger', from: netnsOf(stranger) }]) add(client, { address: addresses[family], port: 80, host: name, path: '/' })
      for (const { ip } of podIPs) for (const client of [...visitors, outside]) add(client, { address: ip, port: 8080, host: name, path: '/' })
    }
    return ways
  }

  async function noneIsAnswered(ways: readonly Way[]): Promise<void> {
    const answers = await Promise.all(ways.map(({ from, target }) => get(from, target, REFUSED_S)))
    assert.deepEqual(ways.flatMap(({ what }, index) => (answers[index]?.status === 0 ? [] : [what])), [])
  }
})

/** As nginx tells that its backend does not answer; or nothing came for as long as one waits. */
function refused({ status }: Answer): boolean {
  return status === 0 || status === 502 || status === 504
}

/** Of which Service the pod is that answered; the status, where it was none. */
function by({ status, body }: Answer): Backend | string {
  return status === 200 ? body.replace(/-.*$/s, '') : String(status)
}

function environmentOf(pid: number): ReadonlyMap<string, string> {
  return new Map(readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').map((line) => [line.replace(/=.*$/s, ''), line.slice(line.indexOf('=') + 1)]))
}
