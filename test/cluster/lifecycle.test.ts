// Pods and namespaces that come and go on real kubelets, under policy: rules 58 and 90-104 on a real cluster.
//
// **Invariant:** who is denied is shown by packets, each beside one that must pass.
import assert from 'node:assert/strict'
import type { Family } from '../../src/model/ip.ts'
import { api, type KubeObject } from './api.ts'
import { agentStatus, settled } from './agents.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { pidOf, podObject, RealPods, runningPod, statusOf } from './pods.ts'
import { runIn, sleep, until } from './processes.ts'

const PORT = { protocol: 'TCP', port: 8080 } as const
const NS = 'lifecycle'
const FAMILIES: readonly Family[] = [4, 6]

function policy(name: string, namespace: string, spec: unknown): KubeObject {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace, name }, spec }
}

describe('lifecycle', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let pods: RealPods
  let node1 = ''
  let node2 = ''

  before(async () => {
    cluster = await openCluster(() => undefined)
    pods = await RealPods.open(cluster.nodes)
    ;[node1 = '', node2 = ''] = cluster.nodes.map(({ name }) => name)
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NS } })
  })

  after(async () => {
    await pods?.close()
    await api.remove('v1', 'Namespace', null, NS)
  })

  async function reaches(from: string, to: string, family: Family): Promise<boolean> {
    const [result] = await pods.prober.probe([{ from: { kind: 'pod', key: from }, address: pods.addressOf(to, family), ...PORT }], 800)
    return result?.kind === 'answered' && result.by === to
  }

  it('rule 58: kubelet\'s probes reach a pod that everything is denied to', async () => {
    const deny = await api.create(policy('deny-all', NS, { podSelector: { matchLabels: { app: 'probed' } }, policyTypes: ['Ingress', 'Egress'] }))
    await settled(cluster.nodes, { networkpolicies: deny.metadata.resourceVersion })
    const probe = { httpGet: { port: 8080, path: '/' }, periodSeconds: 1, failureThreshold: 2 }
    const wish = { namespace: NS, name: 'probed', node: node1, labels: { app: 'probed' }, container: { args: ['serve', '8080/tcp'], readinessProbe: probe, livenessProbe: probe } }
    await api.create(podObject(wish))
    await until('the probed pod is ready', 30_000, async () => (statusOf(await api.get('v1', 'Pod', NS, 'probed')).containerStatuses?.[0]?.ready === true ? true : null))
    await sleep(4000)
    const { containerStatuses } = statusOf(await api.get('v1', 'Pod', NS, 'probed'))
    assert.deepEqual([containerStatuses?.[0]?.ready, containerStatuses?.[0]?.restartCount], [true, 0])
    // And of both families, from the node itself.
    const { podIPs } = statusOf(await api.get('v1', 'Pod', NS, 'probed'))
    for (const { ip } of podIPs ?? []) {
      const url = `http://${ip.includes(':') ? `[${ip}]` : ip}:8080/`
      assert.equal((await runIn(cluster.roomOf(node1), ['curl', '-sS', '-g', '-m', '3', url])).stdout.trim(), 'probed')
      const elsewhere = await runIn(cluster.roomOf(node2), ['curl', '-sS', '-g', '-m', '1', url])
      assert.notEqual(elsewhere.status, 0, `${node2} reached a pod of ${node1} that denies everything`)
    }
    await api.remove('v1', 'Pod', NS, 'probed', 0)
  })

  it('rule 93: what a finished pod was allowed, its address is no longer allowed', async () => {
    const allow = policy('from-job', NS, { podSelector: { matchLabels: { app: 'server' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'job' } } }] }] })
    const made = await api.create(allow)
    await pods.add([
      { namespace: NS, name: 'server', node: node1, labels: { app: 'server' }, serve: [PORT] },
      { namespace: NS, name: 'job', node: node2, labels: { app: 'job' }, spec: { restartPolicy: 'Never' } },
      { namespace: NS, name: 'stranger', node: node2 },
    ])
    await settled(cluster.nodes, { networkpolicies: made.metadata.resourceVersion, pods: await versionOf('job') })
    for (const family of FAMILIES) assert.deepEqual([await reaches(`${NS}/job`, `${NS}/server`, family), await reaches(`${NS}/stranger`, `${NS}/server`, family)], [true, false])
    const addresses = pods.get(`${NS}/job`).addresses
    await pods.forget([`${NS}/job`])
    process.kill(pidOf(await runningPod(NS, 'job')), 'SIGTERM')
    await until('the job is finished', 30_000, async () => (['Succeeded', 'Failed'].includes(statusOf(await api.get('v1', 'Pod', NS, 'job')).phase ?? '') ? true : null))
    await settled(cluster.nodes, { pods: await versionOf('job') })
    assert.deepEqual((statusOf(await api.get('v1', 'Pod', NS, 'job')).podIPs ?? []).map(({ ip }) => ip), addresses, 'the API still tells its addresses')
    const { stdout } = await runIn(cluster.roomOf(node1), ['nft', 'list', 'table', 'inet', 'picket'])
    // Connections that it had are cut, by their addresses.
    const sets = stdout.split(/\n\t(?=set |map |chain )/).filter((part) => !/^set (cut|restored)-/.test(part))
    const words = new Set(sets.flatMap((part) => part.split(/[\s,]+/)))
    for (const address of addresses) assert.ok(!words.has(address), `${address} of a finished pod is still in the table of ${node1}`)
    await api.remove('v1', 'Pod', NS, 'job', 0)
  })

  it('rule 96: a pod that is terminating stays enforced, and allowed, as before', async () => {
    const allow = policy('to-leaving', NS, { podSelector: { matchLabels: { app: 'leaving' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }] }] })
    const made = await api.create(allow)
    // It ignores SIGTERM's wish to end for ten seconds: a finalizer keeps the object, a preStop hook the process.
    const preStop = { sleep: { seconds: 8 } }
    await pods.add([
      { namespace: NS, name: 'leaving', node: node1, labels: { app: 'leaving' }, serve: [PORT], container: { lifecycle: { preStop } }, spec: { terminationGracePeriodSeconds: 12 } },
      { namespace: NS, name: 'friend', node: node2, labels: { app: 'friend' } },
    ])
    await settled(cluster.nodes, { networkpolicies: made.metadata.resourceVersion, pods: await versionOf('friend') })
    await api.remove('v1', 'Pod', NS, 'leaving', 12)
    const leaving = await api.get('v1', 'Pod', NS, 'leaving')
    assert.ok(typeof leaving.metadata['deletionTimestamp'] === 'string')
    await settled(cluster.nodes, { pods: leaving.metadata.resourceVersion })
    for (const family of FAMILIES) {
      assert.deepEqual([await reaches(`${NS}/friend`, `${NS}/leaving`, family), await reaches(`${NS}/stranger`, `${NS}/leaving`, family)], [true, false])
    }
    await pods.forget([`${NS}/leaving`])
    await until('the pod is gone', 40_000, async () => ((await api.find('v1', 'Pod', NS, 'leaving')) === null ? true : null))
  })

  it('rule 99: a namespace goes in its order: pods stay enforced until they are gone, and nothing of it is left', async () => {
    const going = `${NS}-going`
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: going } })
    const deny = await api.create(policy('deny', going, { podSelector: {} }))
    const preStop = { sleep: { seconds: 5 } }
    await pods.add([{ namespace: going, name: 'server', node: node1, serve: [PORT], container: { lifecycle: { preStop } }, spec: { terminationGracePeriodSeconds: 10 } }])
    await settled(cluster.nodes, { networkpolicies: deny.metadata.resourceVersion })
    await api.remove('v1', 'Namespace', null, going)
    const end = Date.now() + 4000
    while (Date.now() < end && (await api.find('v1', 'Pod', going, 'server')) !== null) {
      for (const family of FAMILIES) assert.equal(await reaches(`${NS}/stranger`, `${going}/server`, family), false, 'the namespace is going, the pod is still there, and open')
    }
    await pods.forget([`${going}/server`])
    await until('the namespace is gone', 60_000, async () => ((await api.find('v1', 'Namespace', null, going)) === null ? true : null))
    await settled(cluster.nodes, { namespaces: (await api.patch('v1', 'Namespace', null, NS, { metadata: { annotations: { after: going } } })).metadata.resourceVersion })
    for (const node of cluster.nodes) assert.deepEqual((await agentStatus(node))?.problems, [])
  })

  async function versionOf(name: string): Promise<string | undefined> {
    return (await api.get('v1', 'Pod', NS, name)).metadata.resourceVersion
  }
})
