// The check from outside, against an API server on loopback with kubelets of the tests: what is read, and pods that are made.
//
// **Invariant:** after every run nothing is left of what was made, whatever went wrong in it.
import assert from 'node:assert/strict'
import { checkCluster, type ClusterCheckOptions, type ClusterReport } from '../../../src/check/cluster.ts'
import { nodeReport } from '../../../src/check/node-report.ts'
import { transportFor } from '../../../src/kube/source.ts'
import type { Transport } from '../../../src/kube/transport.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { CheckStage, type MadePod, type PodFate } from '../../support/check-stage.ts'
import { kubeconfigText, PODS, POLICIES, TemporaryFolder } from '../../support/cluster-follower.ts'
import { GOOD, link } from './facts.ts'

const NAMESPACES = '/api/v1/namespaces'
const DAEMON_SETS = '/apis/apps/v1/daemonsets'
const IMAGE = 'picket:test'

describe('check: from outside', () => {
  let folder: TemporaryFolder
  let stage: CheckStage
  let transport: Transport
  let told: string[]

  beforeEach(async () => {
    folder = await TemporaryFolder.make()
    stage = await CheckStage.start()
    stage.run = async () => report()
    stage.put(NAMESPACES, '', 'shop')
    stage.node('n1')
    stage.node('n2')
    told = []
    transport = transportFor({ kubeconfig: await folder.write('kubeconfig', kubeconfigText(stage.server.url)), context: null, apiServers: [] }, systemClock)
  })
  afterEach(async () => {
    assert.deepEqual(stage.left, [])
    await transport.close()
    await stage.close()
    await folder.remove()
  })

  const report = (changes: Partial<typeof GOOD> = {}, status = 0): PodFate => ({ log: `${JSON.stringify(nodeReport({ ...GOOD, time: Date.now(), ...changes }, '0.1.0'))}\n`, status })
  const check = (options: Partial<ClusterCheckOptions> = {}): Promise<ClusterReport> =>
    checkCluster({ transport, image: null, usualImage: IMAGE, nodes: 'all', signal: AbortSignal.timeout(15_000), announce: (text) => told.push(text), ...options })
  const trouble = ({ findings }: ClusterReport): readonly string[] => findings.flatMap(({ level, node, check: name, found }) => (level === 'ok' ? [] : [`${level} ${node ?? '-'} ${name}: ${found}`]))
  const container = ({ spec }: MadePod): Readonly<Record<string, unknown>> => (spec['containers'] as readonly Readonly<Record<string, unknown>>[])[0] ?? {}
  const daemonSet = (namespace: string, name: string, image: string, labels = {}): void => stage.put(DAEMON_SETS, namespace, name, { metadata: { labels }, spec: { template: { spec: { containers: [{ image }] } } } })

  it('a good cluster: everything is ok, one pod a node, in a namespace of its own, announced and removed', async () => {
    const answer = await check()
    assert.deepEqual(trouble(answer), [])
    assert.deepEqual([...new Set(answer.findings.map(({ node }) => node))], [null, 'n1', 'n2'])
    assert.deepEqual(stage.made.map(({ node }) => node).sort(), ['n1', 'n2'])
    assert.ok(stage.made.every(({ namespace }) => /^picket-check-[0-9a-f]{8}$/.test(namespace)))
    assert.match(told.join('\n'), /makes namespace picket-check-.*\n.*2 short-lived pods in namespace picket-check-\S+, one on each node, image picket:test.*\n.*removed the pods and namespace picket-check-/)
  })
  it('the pods have the network of the node, NET_ADMIN and nothing else, and tolerate everything', async () => {
    await check({ nodes: ['n1'] })
    const [pod, ...others] = stage.made
    assert.deepEqual(others, [])
    assert.ok(pod !== undefined)
    const { spec } = pod
    assert.deepEqual([spec['hostNetwork'], spec['automountServiceAccountToken'], spec['restartPolicy'], spec['tolerations'], spec['volumes']], [true, false, 'Never', [{ operator: 'Exists' }], undefined])
    const { securityContext, args, image } = container(pod) as { securityContext: { capabilities: unknown; readOnlyRootFilesystem: boolean }; args: unknown; image: string }
    assert.deepEqual([securityContext.capabilities, securityContext.readOnlyRootFilesystem, args, image], [{ drop: ['ALL'], add: ['NET_ADMIN'] }, true, ['check', '--local', '--output', 'json'], IMAGE])
  })
  it('where Picket is installed: its namespace stays, its image is used, and a node without a pod of it is told', async () => {
    stage.put(NAMESPACES, '', 'picket-system')
    const component = (name: string): Readonly<Record<string, string>> => ({ 'app.kubernetes.io/name': 'picket', 'app.kubernetes.io/component': name })
    const labels = component('agent')
    daemonSet('picket-system', 'a-picket-uninstall', 'registry/picket:8', component('uninstall'))
    stage.put(PODS, 'picket-system', 'picket-uninstall-2', { metadata: { labels: component('uninstall') }, spec: { nodeName: 'n2', hostNetwork: true }, status: { phase: 'Running' } })
    daemonSet('picket-system', 'picket-agent', 'registry/picket:9', labels)
    stage.put(PODS, 'picket-system', 'picket-agent-1', { metadata: { labels }, spec: { nodeName: 'n1', hostNetwork: true }, status: { phase: 'Running' } })
    const answer = await check()
    assert.deepEqual(trouble(answer), ['warning n2 agent: DaemonSet picket-system/picket-agent is there, and no pod of it is on this node'])
    const made = stage.made.map((pod) => [pod.node, pod.namespace, container(pod)['image'], container(pod)['volumeMounts'] !== undefined].join(' '))
    assert.deepEqual(made.sort(), ['n1 picket-system registry/picket:9 true', 'n2 picket-system registry/picket:9 false'])
  })
  it('what a node says is told of that node, and pods that nothing leads to', async () => {
    for (const [name, ip] of [['here', '10.0.0.5'], ['lost', '10.0.0.6']] as const) stage.put(PODS, 'shop', name, { spec: { nodeName: 'n1' }, status: { phase: 'Running', podIPs: [{ ip }] } })
    stage.run = async ({ node }) => (node === 'n1' ? report() : report({ links: [link('kube-ipvs0')] }, 1))
    const found = trouble(await check())
    assert.match(found[0] ?? '', /^error n1 attachment: no interface with a route and no bridge leads to shop\/lost/)
    assert.match(found[1] ?? '', /^error n2 kube-proxy: IPVS/)
    assert.equal(found.length, 2)
    // One that is gone, or is on its way, before its node was looked at is not missing there.
    stage.run = async ({ node }) => {
      if (node === 'n1') stage.server.remove(PODS, 'shop/lost')
      return report()
    }
    assert.deepEqual(trouble(await check()), [])
  })
  it('a clock that is wrong', async () => {
    stage.run = async () => report({ time: Date.now() - 120_000 })
    assert.deepEqual(trouble(await check({ nodes: ['n1'] })), ["warning n1 clock: its clock differs from this machine's by 120 s"])
  })
  it('pods that do not start, say nothing, or say something else: named, and the others are not held up', async () => {
    const fates: Readonly<Record<string, PodFate>> = {
      n1: { waiting: 'ImagePullBackOff', message: 'Back-off pulling image "picket:test"' },
      n2: { log: 'picket: no right to change nftables\n', status: 2 },
      n3: { log: '', status: 1 },
      n4: report(),
    }
    for (const name of ['n3', 'n4']) stage.node(name)
    stage.run = async ({ node }) => fates[node] ?? null
    assert.deepEqual(trouble(await check()), [
      'error n1 pods: its pod does not start: ImagePullBackOff: Back-off pulling image "picket:test"',
      'error n2 pods: its pod gave no report: it said "picket: no right to change nftables"',
      'error n3 pods: its pod said nothing: Error',
    ])
  })
  it('time that is over: nodes that did not answer are named, what was made is removed', async () => {
    stage.run = async ({ node }) => (node === 'n1' ? report() : null)
    assert.deepEqual(trouble(await check({ signal: AbortSignal.timeout(1_500) })), ['error n2 pods: its pod did not answer in time: it was pending (ContainerCreating)'])
  })
  it('at most twenty pods at a time', async () => {
    for (let i = 3; i <= 30; i++) stage.node(`n${i}`)
    assert.deepEqual(trouble(await check()), [])
    assert.deepEqual([stage.made.length, stage.most <= 20], [30, true])
  })
  it('nodes that are not ready or not Linux are told, and no pod is made there; an unknown name is refused', async () => {
    stage.node('n3', { ready: false })
    stage.node('n4', { os: 'windows' })
    assert.deepEqual(trouble(await check()), ['warning - nodes: n4 (windows): Picket enforces on Linux only', 'warning - nodes: n3: not ready'])
    assert.equal(stage.made.length, 2)
    await assert.rejects(check({ nodes: ['n9'] }), { code: 'NoSuchNode', message: /n9: expected a Node of the cluster: n1, n2/ })
  })
  it('rights that are missing: each is named with its verb, and what may be asked is', async () => {
    stage.instead = ({ method, path }) => (method === 'POST' || path === DAEMON_SETS || path === POLICIES ? { status: 403, body: '{}' } : null)
    const found = trouble(await check())
    assert.match(found[0] ?? '', /^error - rights: networkpolicies cannot be read: the role lacks the verb "list" on the resource "networkpolicies" of the group networking.k8s.io, in all namespaces/)
    assert.match(found[1] ?? '', /^warning - rights: daemonsets cannot be read: /)
    assert.match(found[2] ?? '', /^error n1 pods: no namespace for the pods: the role lacks the verb "create" on the resource "namespaces" of the core group \(403\)/)
    assert.equal(found.length, 4)
    stage.put(NAMESPACES, '', 'picket-system')
    stage.instead = ({ method }) => (method === 'POST' ? { status: 403, body: JSON.stringify({ message: 'violates PodSecurity "restricted"' }) } : null)
    assert.match(trouble(await check())[0] ?? '', /^error n1 pods: its pod: the role lacks the verb "create" on the resource "pods".*violates PodSecurity/)
  })
  it('a new namespace whose service account is not there yet is waited for', async () => {
    let refusals = 3
    stage.instead = ({ method, path }) => (method === 'POST' && path.endsWith('/pods') && refusals-- > 0 ? { status: 403, body: JSON.stringify({ message: 'error looking up service account picket-check/default: serviceaccount "default" not found' }) } : null)
    assert.deepEqual(trouble(await check()), [])
  })
  it('what cannot be removed is named, with the command that removes it', async () => {
    stage.put(NAMESPACES, '', 'picket-system')
    stage.instead = ({ method }) => (method === 'DELETE' ? { status: 500, body: '{}' } : null)
    await check({ nodes: ['n1'] })
    const run = /could not remove everything \(.*500.*kubectl delete pods,namespaces -A -l (picket\.dev\/check=[0-9a-f]{8})$/.exec(told.at(-1) ?? '')?.[1]
    assert.ok(run !== undefined, told.join('\n'))
    stage.instead = () => null
    stage.forget()
  })
  it('other engines, kube-proxy in IPVS mode, an old server', async () => {
    stage.server.behaviour.version = 'v1.30.2'
    daemonSet('kube-system', 'cilium', 'quay.io/cilium/cilium:v1.16@sha256:00')
    daemonSet('kube-system', 'calico-node', 'docker.io/calico/node:v3.28')
    stage.put('/api/v1/namespaces/kube-system/configmaps/kube-proxy', 'kube-system', 'kube-proxy')
    stage.instead = ({ path }) => (path.endsWith('/configmaps/kube-proxy') ? { status: 200, body: JSON.stringify({ data: { 'config.conf': 'kind: KubeProxyConfiguration\nmode: "ipvs"\n' } }) } : null)
    const found = trouble(await check({ nodes: 'none' }))
    assert.equal(stage.made.length, 0)
    assert.match(found[0] ?? '', /^warning - api-server: found Kubernetes v1\.30\.2/)
    assert.match(found[1] ?? '', /^error - policy-engine: Cilium: DaemonSet kube-system\/cilium/)
    assert.match(found[2] ?? '', /^warning - policy-engine: Calico: DaemonSet kube-system\/calico-node/)
    assert.match(found[3] ?? '', /^error - kube-proxy: mode ipvs/)
    assert.equal(found.length, 4)
  })
  it('a server that is not there, or refuses the credentials, is an error at once', async () => {
    stage.instead = () => ({ status: 401, body: '{}' })
    await assert.rejects(check(), { code: 'CredentialsRefused' })
    await stage.close()
    await assert.rejects(check(), { code: 'Unreachable' })
    stage = await CheckStage.start()
  })
})
