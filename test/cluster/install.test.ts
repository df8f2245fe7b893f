// Installs Picket on the cluster as the install page says, and sees that it enforces on real pods.
//
// Everything that runs after this file finds the DaemonSet there. **Invariant:** what is installed comes from the manifests
// alone; nothing is patched for the test.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { api, ask, type KubeObject } from './api.ts'
import { AGENT_PODS, agentStatus, settled } from './agents.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { pidOf, RealPods } from './pods.ts'
import { askRound } from '../../src/lab/round.ts'
import { runIn } from './processes.ts'

const root = path.resolve(import.meta.dirname, '../..')
const PORT = { protocol: 'TCP', port: 8080 } as const

describe('install', function () {
  this.timeout(180_000)
  let cluster: TestCluster

  before(async () => {
    cluster = await openCluster(() => undefined)
  })

  it('one generated file says what the overlay says', async () => {
    const rendered = await cluster.mustKubectl(['kustomize', path.join(root, 'deploy/policy-only')])
    const applied = async (args: readonly string[], input?: string): Promise<string> =>
      cluster.mustKubectl(['create', '--dry-run=client', '--validate=false', '-o', 'yaml', ...args], input === undefined ? {} : { input })
    assert.equal(await applied(['-f', path.join(root, 'deploy/install.yaml')]), await applied(['-f', '-'], rendered))
  })

  it('kubectl apply -k rolls out, on every node', async () => {
    await cluster.mustKubectl(['apply', '-k', path.join(root, 'deploy/policy-only')])
    await cluster.mustKubectl(['-n', 'picket-system', 'rollout', 'status', 'daemonset/picket-agent', '--timeout=120s'], { timeout: 150_000 })
    await settled(cluster.nodes)
    for (const node of cluster.nodes) {
      const status = await agentStatus(node)
      assert.deepEqual(status?.problems, [])
      assert.equal(status?.enforced, true)
    }
  })

  it('no container of the agents is privileged, and what it may do is NET_ADMIN', async () => {
    const pods = await api.list('v1', 'Pod', 'picket-system', `?${AGENT_PODS}`)
    assert.equal(pods.length, cluster.nodes.length)
    for (const pod of pods) {
      const { containers } = pod['spec'] as { readonly containers: readonly { readonly securityContext: Readonly<Record<string, unknown>> }[] }
      for (const { securityContext } of containers) {
        assert.equal(securityContext['readOnlyRootFilesystem'], true)
        assert.equal(securityContext['allowPrivilegeEscalation'], false)
        assert.notEqual(securityContext['privileged'], true)
        assert.deepEqual(securityContext['capabilities'], { add: ['NET_ADMIN'], drop: ['ALL'] })
      }
    }
  })

  it('two operators are ready on two nodes, without root and without a capability, and one leads', async () => {
    await cluster.mustKubectl(['-n', 'picket-system', 'rollout', 'status', 'deployment/picket-operator', '--timeout=60s'], { timeout: 90_000 })
    const pods = await api.list('v1', 'Pod', 'picket-system', '?labelSelector=app.kubernetes.io/component%3Doperator')
    assert.deepEqual(pods.map((pod) => (pod['spec'] as { readonly nodeName: string }).nodeName).sort(), cluster.nodes.slice(0, 2).map(({ name }) => name).sort())
    for (const pod of pods) {
      const status = readFileSync(`/proc/${pidOf(pod)}/status`, 'utf8')
      for (const line of [/^Uid:\t65532\t65532\t65532\t65532$/m, /^CapPrm:\t0+$/m, /^CapBnd:\t0+$/m, /^NoNewPrivs:\t1$/m, /^Seccomp:\t2$/m]) assert.match(status, line)
    }
    const lease = await api.get('coordination.k8s.io/v1', 'Lease', 'picket-system', 'picket-operator')
    const { holderIdentity } = lease['spec'] as { readonly holderIdentity: string }
    assert.ok(pods.some(({ metadata }) => holderIdentity.startsWith(`${metadata.name}_`)), holderIdentity)
  })

  it('health on loopback, metrics on the node', async () => {
    for (const { name, addresses } of cluster.nodes) {
      const get = (url: string): Promise<string> => runIn(cluster.roomOf(name), ['curl', '-sS', '-g', '-m', '5', url]).then(({ stdout }) => stdout)
      assert.match(await get('http://127.0.0.1:9654/readyz'), /"ready":true/)
      assert.match(await get('http://127.0.0.1:9654/livez'), /"live":true/)
      for (const host of [addresses[4], `[${addresses[6]}]`]) assert.match(await get(`http://${host}:9655/metrics`), /^picket_ready 1$/m)
    }
  })

  it('a policy that is applied is enforced on real pods, both families', async () => {
    const pods = await RealPods.open(cluster.nodes)
    try {
      await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'first' } })
      const [node1, node2] = cluster.nodes.map(({ name }) => name)
      await pods.add([
        { namespace: 'first', name: 'server', node: node1 ?? '', labels: { app: 'server' }, serve: [PORT] },
        { namespace: 'first', name: 'friend', node: node2 ?? '', labels: { app: 'friend' } },
        { namespace: 'first', name: 'other', node: node1 ?? '', labels: { app: 'other' } },
      ])
      const policy: KubeObject = {
        apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'first', name: 'friends' },
        spec: { podSelector: { matchLabels: { app: 'server' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }] }] },
      }
      assert.deepEqual(await reached(pods), ['friend 4', 'friend 6', 'other 4', 'other 6'])
      const made = await api.create(policy)
      await settled(cluster.nodes, { networkpolicies: made.metadata.resourceVersion })
      assert.deepEqual(await reached(pods), ['friend 4', 'friend 6'])
    } finally {
      await pods.close()
      await ask('DELETE', '/api/v1/namespaces/first')
    }
  })

  async function reached(pods: RealPods): Promise<readonly string[]> {
    const questions = (['friend', 'other'] as const).flatMap((name) => ([4, 6] as const).map((family) => ({ name, family })))
    const round = await askRound(pods.prober, questions.map(({ name, family }) => ({
      from: { kind: 'pod', key: `first/${name}` }, fromNode: pods.get(`first/${name}`).node, to: { key: 'first/server', node: pods.get('first/server').node },
      address: pods.addressOf('first/server', family), ...PORT,
    })))
    assert.ok(round.kind === 'measured', round.kind === 'unusable' ? round.reason : '')
    return questions.flatMap(({ name, family }, at) => (round.results[at]?.kind === 'answered' ? [`${name} ${family}`] : []))
  }
})
