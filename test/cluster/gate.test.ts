// The first packets of new pods, without the pod-start gate and with it, on real kubelets (rules 90, 91).
//
// Each pod calls an allowed and a denied server from its first moment on, both families, TCP and UDP.
// **Invariant:** a denied call is never answered, with or without the gate; with it the very first allowed one is.
import assert from 'node:assert/strict'
import path from 'node:path'
import type { Family } from '../../src/model/ip.ts'
import { api, ask } from './api.ts'
import { AGENT_PODS, agentStatus, settled } from './agents.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { POD_IMAGE } from './images.ts'
import { podObject, RealPods, statusOf } from './pods.ts'
import { until } from './processes.ts'

const root = path.resolve(import.meta.dirname, '../..')
const NS = 'gated'
const ROUNDS = 4
const PLACES = ['8080/tcp', '8080/udp'] as const
const SERVERS = ['allowed', 'denied'] as const
const FAMILIES: readonly Family[] = [4, 6]

interface Called {
  readonly server: (typeof SERVERS)[number]
  readonly family: Family
  readonly place: string
  readonly answered: readonly boolean[]
}

describe('first packets of new pods', function () {
  this.timeout(240_000)
  let cluster: TestCluster
  let pods: RealPods

  before(async () => {
    cluster = await openCluster(() => undefined)
    pods = await RealPods.open(cluster.nodes)
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NS } })
    const serve = [{ protocol: 'TCP', port: 8080 }, { protocol: 'UDP', port: 8080 }] as const
    await pods.add(SERVERS.map((name, index) => ({ namespace: NS, name, node: cluster.nodes[index]?.name ?? '', labels: { app: name }, serve })))
    const made = await api.create({
      apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: NS, name: 'callers' },
      spec: { podSelector: { matchLabels: { app: 'caller' } }, policyTypes: ['Ingress', 'Egress'], egress: [{ to: [{ podSelector: { matchLabels: { app: 'allowed' } } }] }] },
    })
    await settled(cluster.nodes, { networkpolicies: made.metadata.resourceVersion })
  })

  after(async () => {
    await pods?.close()
    await api.remove('v1', 'Namespace', null, NS)
  })

  it('rule 91: without the gate nothing denied passes, and what is allowed does in the end', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const { server, family, place, answered } of await callsOf(`without-${round}`, cluster.nodes[round % cluster.nodes.length]?.name ?? '')) {
        const what = `${server} v${family} ${place}`
        if (server === 'denied') assert.deepEqual([what, answered.filter((one) => one).length], [what, 0])
        else assert.deepEqual([what, answered.at(-1)], [what, true])
      }
    }
  })

  it('the gate is installed by its overlay', async () => {
    await cluster.mustKubectl(['apply', '-k', path.join(root, 'deploy/policy-only-gate')])
    await cluster.mustKubectl(['-n', 'picket-system', 'rollout', 'status', 'daemonset/picket-agent', '--timeout=120s'], { timeout: 150_000 })
    await settled(cluster.nodes)
  })

  it('rule 90: with the gate the first packet is judged: what is allowed passes at once', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const { server, family, place, answered } of await callsOf(`with-${round}`, cluster.nodes[round % cluster.nodes.length]?.name ?? '')) {
        const what = `${server} v${family} ${place}`
        assert.deepEqual([what, answered.filter((one) => one).length], [what, server === 'denied' ? 0 : answered.length])
      }
    }
  })

  it('without an agent a pod does not start, its events say why, and it starts when the agent is back', async () => {
    const daemonset = ['apps/v1', 'DaemonSet', 'picket-system', 'picket-agent'] as const
    await api.patch(...daemonset, { spec: { template: { spec: { nodeSelector: { nowhere: 'yes' } } } } })
    await until('no agent runs', 60_000, async () => {
      for (const node of cluster.nodes) if ((await agentStatus(node)) !== null) return null
      return (await api.list('v1', 'Pod', 'picket-system', `?${AGENT_PODS}`)).length === 0 ? true : null
    })
    await api.create(podObject({ namespace: NS, name: 'waiting', node: cluster.nodes[0]?.name ?? '', labels: { app: 'caller' } }))
    const message = await until('an event says why the pod does not start', 60_000, async () => {
      const events = await api.list('v1', 'Event', NS, '?fieldSelector=involvedObject.name%3Dwaiting')
      return events.map((event) => String(event['message'])).find((text) => text.includes('picket')) ?? null
    })
    assert.match(message, /agent/)
    assert.notEqual(statusOf(await api.get('v1', 'Pod', NS, 'waiting')).phase, 'Running')
    await api.patch(...daemonset, { spec: { template: { spec: { nodeSelector: { nowhere: null } } } } })
    await cluster.mustKubectl(['-n', 'picket-system', 'rollout', 'status', 'daemonset/picket-agent', '--timeout=120s'], { timeout: 150_000 })
    await until('the pod runs', 60_000, async () => (statusOf(await api.get('v1', 'Pod', NS, 'waiting')).phase === 'Running' ? true : null))
  })

  /** Starts a pod that calls both servers from its first moment, one container for each address. */
  async function callsOf(name: string, node: string): Promise<readonly Called[]> {
    const calls = SERVERS.flatMap((server) => FAMILIES.map((family) => ({ server, family, container: `${server}-v${family}` })))
    const containers = calls.map(({ server, family, container }) => ({
      name: container, image: POD_IMAGE, imagePullPolicy: 'Never', args: ['call', pods.addressOf(`${NS}/${server}`, family), ...PLACES],
    }))
    await api.create(podObject({ namespace: NS, name, node, labels: { app: 'caller' }, spec: { containers } }))
    const found = await Promise.all(calls.map(async ({ server, family, container }) => {
      const lines = await until(`${name}: ${container} has called`, 60_000, async () => {
        const { status, body } = await ask('GET', `/api/v1/namespaces/${NS}/pods/${name}/log?container=${container}`)
        const all = String(body).split('\n').filter((line) => line.startsWith('{"place"'))
        return status === 200 && all.length === PLACES.length ? all : null
      })
      return lines.map((line) => ({ server, family, ...(JSON.parse(line) as Pick<Called, 'place' | 'answered'>) }))
    }))
    await api.remove('v1', 'Pod', NS, name, 0)
    return found.flat()
  }
})
