// Agents of the DaemonSet that are killed, rolled out and deleted under load: 0 leaked, 0 wrongly dropped (rules 101-103).
//
// 20 kills, 10 roll-outs, 10 forced deletions here; the rest of the hundred restarts is the lab's (test/kernel/gapless.test.ts).
// **Invariant:** every restart is one that happened: the process is another one afterwards, and it is ready.
import assert from 'node:assert/strict'
import { api } from './api.ts'
import { agentPod, untilOtherAgent } from './agents.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { Load } from './load.ts'
import { pidOf, RealPods } from './pods.ts'

const KILLS = 20
const ROLLOUTS = 10
const DELETIONS = 10
const NS = 'picket-system'
const DAEMONSET = ['apps/v1', 'DaemonSet', NS, 'picket-agent'] as const

describe('restarts under load', function () {
  this.timeout(600_000)
  let cluster: TestCluster
  let pods: RealPods
  let load: Load

  before(async () => {
    cluster = await openCluster(() => undefined)
    pods = await RealPods.open(cluster.nodes)
    load = new Load(cluster, pods, 'restarts')
    await load.start()
  })

  after(async () => {
    await load?.remove()
    await pods?.close()
  })

  it(`rule 101: ${KILLS} kills of the process, each in the middle of edits`, async () => {
    const edits = editing()
    for (let kill = 0; kill < KILLS; kill += cluster.nodes.length) {
      await Promise.all(cluster.nodes.map(async (node) => {
        const pid = pidOf(await agentPod(node))
        process.kill(pid, 'SIGKILL')
        await untilOtherAgent(node, pid)
      }))
      await load.check(`after kill ${kill + cluster.nodes.length}`)
    }
    await edits.stop()
  })

  it(`rule 101: ${DELETIONS} forced deletions of the pod`, async () => {
    for (let deletion = 0; deletion < DELETIONS; deletion += cluster.nodes.length) {
      await Promise.all(cluster.nodes.map(async (node) => {
        const pod = await agentPod(node)
        const pid = pidOf(pod)
        await api.remove('v1', 'Pod', NS, pod.metadata.name, 0)
        await untilOtherAgent(node, pid)
      }))
      await load.check(`after deletion ${deletion + cluster.nodes.length}`)
    }
  })

  it(`rule 101: ${ROLLOUTS} roll-outs`, async () => {
    for (let rollout = 1; rollout <= ROLLOUTS; rollout++) {
      const before = new Map<string, number>()
      for (const node of cluster.nodes) before.set(node.name, pidOf(await agentPod(node)))
      await api.patch(...DAEMONSET, { spec: { template: { metadata: { annotations: { rollout: String(rollout) } } } } })
      await cluster.mustKubectl(['-n', NS, 'rollout', 'status', 'daemonset/picket-agent', '--timeout=90s'], { timeout: 120_000 })
      for (const node of cluster.nodes) await untilOtherAgent(node, before.get(node.name) as number)
      await load.check(`after roll-out ${rollout}`)
    }
  })

  it('no packet was lost or leaked', async () => {
    const packets = await load.end()
    console.log(`      ${packets} packets`)
    assert.ok(packets > 50_000, `only ${packets} packets were sent`)
  })

  /** Policies of the load's namespace that come and go, so that kills meet agents at work. */
  function editing(): { stop(): Promise<void> } {
    let stopped = false
    const work = (async () => {
      for (let turn = 0; !stopped; turn++) {
        const policy = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: load.namespace, name: `edit-${turn % 5}` }, spec: { podSelector: { matchLabels: { app: 'server' } }, ingress: [{ from: [{ ipBlock: { cidr: `192.0.2.${turn % 250}/32` } }] }] } }
        await api.create(policy)
        await api.remove('networking.k8s.io/v1', 'NetworkPolicy', load.namespace, `edit-${turn % 5}`)
      }
    })()
    return {
      async stop() {
        stopped = true
        await work
      },
    }
  }
})
