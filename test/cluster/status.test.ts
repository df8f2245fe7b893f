// `picket status` against a real cluster: what it shows, and that --wait ends when the kernels hold an edit, or no longer a deleted policy.
//
// On the installation of install.test.ts, with agents on every node and operators. **Invariant:** what the kernel holds is read from
// the kernel, at once after the wait has ended.
import assert from 'node:assert/strict'
import { ownCommand } from '../../src/lab/places.ts'
import type { StatusReport } from '../../src/status/report.ts'
import { agentPod } from './agents.ts'
import { api, ask, type KubeObject } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { webOnEachNode } from './enforcement-objects.ts'
import { CONTROL, FILES, type NodePlace } from './layout.ts'
import { pidOf } from './pods.ts'
import { mustRun, runIn, type Ended } from './processes.ts'

const NS = 'status-test'
const NETWORKING = 'networking.k8s.io/v1'

describe('picket status on a real cluster', function () {
  this.timeout(240_000)
  let cluster: TestCluster

  before(async () => {
    cluster = await openCluster(() => undefined)
    await webOnEachNode(cluster, NS)
  })
  after(() => api.remove('v1', 'Namespace', null, NS))

  const status = (...args: readonly string[]): Promise<Ended> => runIn({ netns: CONTROL }, [...ownCommand(), 'status', '--kubeconfig', FILES.kubeconfig, ...args], { timeout: 100_000 })
  const policy = (name: string, port: number, app = 'web'): KubeObject => ({
    apiVersion: NETWORKING, kind: 'NetworkPolicy', metadata: { namespace: NS, name }, spec: { podSelector: { matchLabels: { app } }, ingress: [{ ports: [{ protocol: 'TCP', port }] }] },
  })
  /** Whether the port stands in the node's table. */
  async function holds({ netns }: NodePlace, port: number): Promise<boolean> {
    return new RegExp(`\\b${port}\\b`).test(await mustRun({ netns }, ['nft', 'list', 'table', 'inet', 'picket']))
  }
  const holding = async (port: number): Promise<readonly boolean[]> => Promise.all(cluster.nodes.map((node) => holds(node, port)))
  async function waited(...args: readonly string[]): Promise<Ended> {
    const ended = await status('--wait', '-n', NS, '--timeout', '60s', ...args)
    assert.equal(ended.status, 0, `${ended.stdout}${ended.stderr}`)
    return ended
  }
  const all = <T>(value: T): readonly T[] => cluster.nodes.map(() => value)

  it('--wait ends when every kernel holds the policy, and each of its edits', async () => {
    await api.create(policy('edited', 21_000))
    await waited()
    assert.deepEqual(await holding(21_000), all(true))
    for (let port = 21_001; port < 21_004; port += 1) {
      await api.patch(NETWORKING, 'NetworkPolicy', NS, 'edited', { spec: { ingress: [{ ports: [{ protocol: 'TCP', port }] }] } })
      const { stdout } = await waited('--policy', 'edited')
      assert.deepEqual([await holding(port), await holding(port - 1), stdout], [all(true), all(false), '1 policy is enforced\n'])
    }
  })
  it('--wait ends when a policy that was deleted before is gone from every kernel, recreated or not', async () => {
    for (let port = 22_000; port < 22_003; port += 1) {
      await api.create(policy('brief', port))
      await waited()
      await api.remove(NETWORKING, 'NetworkPolicy', NS, 'brief')
      if (port === 22_002) await api.create(policy('brief', 22_100))
      await waited()
      assert.deepEqual(await holding(port), all(false))
    }
    assert.deepEqual(await holding(22_100), all(true))
    await api.remove(NETWORKING, 'NetworkPolicy', NS, 'brief')
    await waited()
  })
  it('a policy that selects no pod, or came and went within a moment, is waited for, too', async () => {
    await api.create(policy('nobody', 23_000, 'nobody'))
    await waited()
    await api.remove(NETWORKING, 'NetworkPolicy', NS, 'nobody')
    await waited()
    await api.create(policy('moment', 23_001))
    await api.remove(NETWORKING, 'NetworkPolicy', NS, 'moment')
    await waited()
    assert.deepEqual(await holding(23_001), all(false))
  })
  it('a node that does not take in a deletion is named when the time is over', async () => {
    const [node] = cluster.nodes
    assert.ok(node !== undefined)
    await api.create(policy('held', 24_000))
    await waited()
    const pid = pidOf(await agentPod(node))
    process.kill(pid, 'SIGSTOP')
    try {
      await api.remove(NETWORKING, 'NetworkPolicy', NS, 'held')
      const ended = await status('--wait', '-n', NS, '--timeout', '8s', '-o', 'json')
      assert.equal(ended.status, 1, ended.stderr)
      const { missing } = JSON.parse(ended.stdout) as { readonly missing: readonly { readonly name: string; readonly reason: string; readonly message: string }[] }
      assert.deepEqual(missing.map(({ name, reason }) => `${name} ${reason}`), ['held NotObserved'])
      assert.match(missing[0]?.message ?? '', new RegExp(`${node.name} has not said yet`))
      assert.equal(await holds(node, 24_000), true)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await waited()
    assert.equal(await holds(node, 24_000), false)
  })
  it('the API server says how far its history goes back, where it no longer has what is asked for', async () => {
    // Of a custom resource the history begins with its definition.
    const { body } = await ask('GET', '/apis/picket.dev/v1alpha1/policyenforcements?watch=true&resourceVersion=1&timeoutSeconds=2')
    assert.match(JSON.stringify(body), /too old resource version: 1 \(\d+\)/)
  })
  it('shows what is enforced, and on a node what its agent says', async () => {
    await cluster.mustKubectl(['wait', '--for=condition=Reporting', 'nodeenf', '--all', '--timeout=60s'], { timeout: 70_000 })
    const { stdout, status: exit } = await status('-n', NS)
    assert.equal(exit, 0, stdout)
    assert.match(stdout, new RegExp(`^enforced +yes\\npolicies +1 in ${NS}: 1 programmed\\nnodes +${cluster.nodes.length}: ${cluster.nodes.length} reporting, `))
    const report = JSON.parse((await status('-n', NS, '-o', 'json')).stdout) as StatusReport
    assert.equal(report.paces.length, cluster.nodes.length)
    const pod = (await agentPod(cluster.nodes[0] as NodePlace)).metadata.name
    assert.match(await cluster.mustKubectl(['-n', 'picket-system', 'exec', pod, '--', 'picket', 'status']), new RegExp(`^node +${cluster.nodes[0]?.name}\\n`))
    for (const args of [['get', 'polenf', '-A'], ['get', 'nodeenf']]) console.log(indented(await cluster.mustKubectl(args)))
    console.log(indented((await status()).stdout))
  })
})

function indented(text: string): string {
  return text.trimEnd().split('\n').map((line) => `      ${line}`).join('\n')
}
