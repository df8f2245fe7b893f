// An API server that goes away for half a minute during changes, and one that tells of thousands of pods at once.
//
// Rules 102-104 on a real cluster. **Invariant:** flows between pods run through all of it, and lose and leak nothing.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { api, ask } from './api.ts'
import { agentStatus, runPath, settled } from './agents.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { startApiServer } from './control-plane.ts'
import { CONTROL } from './layout.ts'
import { Load } from './load.ts'
import { pidOf, podObject, RealPods } from './pods.ts'
import { cgroupFolder, runIn, sleep, until } from './processes.ts'
import { getOver } from '../../src/lab/agent-status.ts'

const AWAY_MS = 30_000
const STORM_PODS = 1000
/** Of each pod: made, its addresses told, labelled twice, deleted. */
const EVENTS_A_POD = 5
const AT_ONCE = 24

describe('the API server', function () {
  this.timeout(240_000)
  let cluster: TestCluster
  let pods: RealPods
  let load: Load
  /** Process of each node's agent. */
  const agents = new Map<string, number>()

  before(async () => {
    cluster = await openCluster(() => undefined)
    pods = await RealPods.open(cluster.nodes)
    load = new Load(cluster, pods, 'api-server')
    await load.start()
    // Found while the API can still tell.
    for (const pod of await api.list('v1', 'Pod', 'picket-system', '?labelSelector=app.kubernetes.io/name%3Dpicket,app.kubernetes.io/component%3Dagent')) {
      agents.set((pod['spec'] as { readonly nodeName: string }).nodeName, pidOf(pod))
    }
  })

  after(async () => {
    await load?.remove()
    await pods?.close()
  })

  it(`rules 102, 104: ${STORM_PODS * EVENTS_A_POD} events of pods in a storm`, async () => {
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'storm' } })
    // Each of them becomes a peer of the server while it has the label.
    const policy = await api.create({
      apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: load.namespace, name: 'storm' },
      spec: { podSelector: { matchLabels: { app: 'server' } }, ingress: [{ from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'storm' } }, podSelector: { matchLabels: { wet: 'yes' } } }] }] },
    })
    await settled(cluster.nodes, { networkpolicies: policy.metadata.resourceVersion })
    const began = Date.now()
    let last: string | undefined
    await each(STORM_PODS, async (index) => {
      const name = `p${index}`
      // On a node that does not exist: nobody starts it, and the address is its own as far as the API can say.
      await api.create(podObject({ namespace: 'storm', name, node: 'nowhere' }))
      const ips = [`10.244.${100 + Math.floor(index / 250)}.${index % 250}`, `fd00:244:0:ff::${index.toString(16)}`]
      await api.patch('v1', 'Pod', 'storm', name, { status: { phase: 'Running', podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) } }, '/status')
      await api.patch('v1', 'Pod', 'storm', name, { metadata: { labels: { wet: 'yes' } } })
      last = (await api.patch('v1', 'Pod', 'storm', name, { metadata: { labels: { wet: index % 2 === 0 ? 'no' : 'yes' } } })).metadata.resourceVersion
    })
    const told = Date.now()
    await settled(cluster.nodes, { pods: last }, 15_000)
    const behind = Date.now() - told
    const listed = await runIn(cluster.roomOf('node1'), ['nft', 'list', 'table', 'inet', 'picket'])
    const inSet = [...listed.stdout.matchAll(/\b10\.244\.1\d\d\.\d+\b/g)].length
    assert.equal(inSet, STORM_PODS / 2, 'every second pod of the storm is a peer')
    await each(STORM_PODS, (index) => api.remove('v1', 'Pod', 'storm', `p${index}`, 0))
    await until('the pods of the storm are gone', 60_000, async () => ((await api.list('v1', 'Pod', 'storm')).length === 0 ? true : null))
    await settled(cluster.nodes, { namespaces: (await api.patch('v1', 'Namespace', null, 'storm', { metadata: { annotations: { over: 'yes' } } })).metadata.resourceVersion })
    await until('none of them is a peer any more', 10_000, async () => ((await runIn(cluster.roomOf('node1'), ['nft', 'list', 'table', 'inet', 'picket'])).stdout.includes('10.244.10') ? null : true))
    console.log(`      told in ${told - began} ms, agents behind by ${behind} ms`)
    await load.check('after the storm')
    await ask('DELETE', '/api/v1/namespaces/storm')
  })

  it(`rules 102-104: away for ${AWAY_MS / 1000} s during changes, one agent restarted meanwhile`, async () => {
    const [first, second] = cluster.nodes
    assert.ok(first !== undefined && second !== undefined)
    await stopApiServer()
    const stopped = Date.now()
    process.kill(agents.get(second.name) as number, 'SIGKILL')
    // It starts without an API server: the kernel keeps what it holds, and the agent says what it waits for.
    await until('the restarted agent says what it waits for', 25_000, async () => {
      const answer = await getOver(runPath(second, 'picket/agent.sock'), '/readyz', 2000).catch(() => null)
      return answer?.status === 503 && /API server/.test(answer.body) ? true : null
    })
    assert.match((await runIn(cluster.roomOf(second.name), ['nft', 'list', 'tables'])).stdout, /table inet picket/)
    // The other one goes on as it was, and says that it hears nothing.
    const status = await agentStatus(first)
    assert.equal(status?.ready, true)
    assert.ok(status?.problems.some(({ message }) => /API server|connect/i.test(message)), JSON.stringify(status?.problems))
    await load.check('while the API server is away')
    await sleep(Math.max(0, AWAY_MS - (Date.now() - stopped)))
    await load.check('after half a minute')
    startApiServer(cluster.programs)
    await until('the API server is back', 60_000, async () => ((await runIn({ netns: CONTROL }, cluster.kubectlCommand(['get', '--raw', '/readyz']))).status === 0 ? true : null))
    // What is denied now was allowed: it takes effect as soon as the agents hear again.
    const cut = await api.create({
      apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: load.namespace, name: 'later' },
      spec: { podSelector: { matchLabels: { app: 'other' } }, policyTypes: ['Egress'] },
    })
    await settled(cluster.nodes, { networkpolicies: cut.metadata.resourceVersion }, 60_000)
    for (const node of cluster.nodes) await until(`${node.name} has no problem left`, 20_000, async () => ((await agentStatus(node))?.problems.length === 0 ? true : null))
  })

  it('no packet was lost or leaked', async () => {
    console.log(`      ${await load.end()} packets`)
  })

  async function each(count: number, action: (index: number) => Promise<unknown>): Promise<void> {
    let next = 0
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (next < count) await action(next++)
    }))
  }

  async function stopApiServer(): Promise<void> {
    const pid = daemons().find(({ name }) => name === 'kube-apiserver')?.pid
    assert.ok(pid !== undefined)
    process.kill(pid, 'SIGKILL')
    await until('the API server is gone', 5000, async () => (daemons().every(({ name }) => name !== 'kube-apiserver') ? true : null))
  }

  function daemons(): readonly { readonly pid: number; readonly name: string }[] {
    const pids = readFileSync(path.join(cgroupFolder(), 'daemons/cgroup.procs'), 'utf8').split('\n').filter((line) => line !== '').map(Number)
    return pids.flatMap((pid) => {
      try {
        return [{ pid, name: path.basename(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0] ?? '') }]
      } catch {
        return []
      }
    })
  }
})
