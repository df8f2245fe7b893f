// `picket check` against a real API server, with its pods on real kubelets: every node answers, and nothing is left behind.
//
// The image is the one that the cluster has: the installed DaemonSet's, else that of this version.
// **Invariant:** after every test no pod and no namespace of a check is there, and no policy of these tests.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { ClusterReport } from '../../src/check/cluster.ts'
import { ownCommand } from '../../src/lab/places.ts'
import { api, type KubeObject } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { CONTROL, FILES, netnsPath } from './layout.ts'
import { runIn, until, type Ended } from './processes.ts'

const NAMESPACE = 'picket-check-test'
const LABEL = 'picket.dev/check'

describe('picket check on a real cluster', function () {
  this.timeout(180_000)
  let cluster: TestCluster

  before(async () => {
    cluster = await openCluster(() => undefined)
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
  })
  afterEach(async () => {
    for (const kind of ['Pod', 'Namespace']) assert.deepEqual((await api.list('v1', kind, null, `?labelSelector=${LABEL}`)).map(({ metadata }) => metadata.name), [], kind)
  })
  after(() => api.remove('v1', 'Namespace', null, NAMESPACE))

  const command = (args: readonly string[]): readonly string[] => [...ownCommand(), 'check', '--kubeconfig', FILES.kubeconfig, ...args]
  const check = (...args: readonly string[]): Promise<Ended> => runIn({ netns: CONTROL }, command(args), { timeout: 150_000 })
  const reportOf = ({ status, stdout, stderr }: Ended): ClusterReport => {
    assert.ok(status === 0 || status === 1, stderr)
    return JSON.parse(stdout) as ClusterReport
  }
  const policy = (name: string, spec: object): KubeObject => ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: NAMESPACE, name }, spec })

  it('every node is looked at from inside, none has an error, and all that was made is announced and removed', async () => {
    const ended = await check('-o', 'json')
    const { findings } = reportOf(ended)
    assert.deepEqual(findings.filter(({ level }) => level === 'error'), [])
    assert.equal(ended.status, 0)
    for (const { name } of cluster.nodes) {
      const checks = new Map(findings.filter(({ node }) => node === name).map((one) => [one.check, one]))
      assert.match(checks.get('kernel')?.found ?? '', /takes the trial transaction$/, name)
      assert.equal(checks.get('attachment')?.level, 'ok', name)
      assert.match(checks.get('kube-proxy')?.found ?? '', cluster.options.kubeProxy ? /^mode nftables$/ : /^(no rules of it are seen|Picket translates Services)/, name)
    }
    assert.match(ended.stderr, new RegExp(`makes ${cluster.nodes.length} short-lived pods in namespace picket-`))
    assert.match(ended.stderr, /removed the pods( and namespace \S+)?\n$/)
  })
  it('what policies would do is told, with what their authors may not expect', async () => {
    await api.create(policy('typo', { podSelector: { matchLabels: { app: 'wbe' } }, ingress: [] }))
    await api.create(policy('services', { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: [{ ipBlock: { cidr: '10.96.0.10/32' } }] }] }))
    const { findings, policies } = reportOf(await check('--no-pods', '-o', 'json'))
    const ours = policies.filter(({ namespace }) => namespace === NAMESPACE)
    assert.deepEqual(ours.map(({ name, pods, isolates, serviceBlocks }) => [name, pods, isolates, serviceBlocks]), [['services', 0, ['egress'], ['10.96.0.10/32']], ['typo', 0, ['ingress'], []]])
    const found = findings.filter(({ check: name, level }) => name === 'policies' && level === 'warning').map((one) => one.found).join('\n')
    assert.match(found, /select no pod: .*picket-check-test\/typo/)
    assert.match(found, /ipBlock of Services' addresses: .*picket-check-test\/services/)
  })
  it('an image that is nowhere is an error of the node, and an interruption removes what was made', async () => {
    const args = ['--image', 'picket.invalid/none:1', '--node', cluster.nodes[0]?.name ?? '']
    const { findings } = reportOf(await check(...args, '-o', 'json'))
    assert.match(findings.find(({ level }) => level === 'error')?.found ?? '', /^its pod does not start: (ImagePullBackOff|InvalidImageName)/)
    const child = spawn('nsenter', [`--net=${netnsPath(CONTROL)}`, ...command(args)], { stdio: ['ignore', 'pipe', 'pipe'] })
    const ended = once(child, 'close')
    await until('a pod of the check is there', 30_000, async () => ((await api.list('v1', 'Pod', null, `?labelSelector=${LABEL}`)).length > 0 ? true : null))
    child.kill('SIGINT')
    assert.equal((await ended)[0], 2)
  })
})
