// A cluster whose pods sit on bridges and whose nodes have no kube-proxy: installed through a kustomization of one's own,
// as the install page says under "Options" and "Without kube-proxy".
//
// A cluster of its own, after the others. **Invariant:** the only way to the API server is the one that the ConfigMap names.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { parseCases } from '../../src/lab/cases.ts'
import { agentPod, agentStatus, settled, untilOtherAgent } from './agents.ts'
import { runCase } from './case-run.ts'
import { CaseObjects } from './case-objects.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { agentsRolledOut, ITS_OWN_ADDRESS, OwnInstallation } from './own-installation.ts'
import { pidOf, RealPods } from './pods.ts'
import { runIn, until } from './processes.ts'

const FILE = 'networkpolicy.json'
const CASES = parseCases(readFileSync(new URL(`../cases/${FILE}`, import.meta.url), 'utf8'), FILE)
/** One in so many: all of them run where pods have veths of their own, and in the lab on bridges. */
const SAMPLE = 9

describe('pods on bridges, without kube-proxy', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let own: OwnInstallation

  before(async () => {
    cluster = await openCluster(() => undefined)
    assert.deepEqual(cluster.options, { nodes: 2, attachment: 'bridge', kubeProxy: false })
    own = new OwnInstallation(cluster, 'policy-only', ITS_OWN_ADDRESS)
  })

  after(() => own?.remove())

  it('nothing translates the address of the Service kubernetes', async () => {
    const [node] = cluster.nodes
    const { status } = await runIn(cluster.roomOf(node?.name ?? ''), ['curl', '-sSk', '-m', '2', 'https://kubernetes.default.svc.cluster.local/livez', '--resolve', `kubernetes.default.svc.cluster.local:443:${await clusterIpOf('kubernetes')}`])
    assert.notEqual(status, 0)
  })

  it('rolls out through a kustomization beside the clone, and every bridge has its table', async () => {
    await own.apply()
    await agentsRolledOut(cluster)
    for (const node of cluster.nodes) {
      const status = await agentStatus(node)
      assert.deepEqual([status?.problems, status?.enforced], [[], true])
    }
  })

  describe('policy cases', () => {
    let pods: RealPods
    let objects: CaseObjects

    before(async () => {
      pods = await RealPods.open(cluster.nodes)
      objects = new CaseObjects(pods, cluster.nodes)
      await objects.start(CASES[0] ?? assert.fail('no cases'))
    })
    after(async () => {
      await objects?.end()
      await pods?.close()
    })

    it('the pods are behind bridges', async () => {
      for (const node of cluster.nodes) {
        await until(`the tables of ${node.name}`, 10_000, async () => {
          const { stdout } = await runIn(cluster.roomOf(node.name), ['nft', 'list', 'tables'])
          return /^table bridge picket$/m.test(stdout) && /^table inet picket$/m.test(stdout) ? true : null
        })
      }
    })

    for (const one of CASES.filter((_, index) => index % SAMPLE === 0)) it(`${one.id}: ${one.title}`, () => runCase(one, objects, pods, cluster.nodes))
  })

  it('rule 101: an agent that is killed comes back by the same way', async () => {
    const [node] = cluster.nodes
    assert.ok(node !== undefined)
    const pid = pidOf(await agentPod(node))
    process.kill(pid, 'SIGKILL')
    await untilOtherAgent(node, pid)
    await settled(cluster.nodes)
    assert.deepEqual((await agentStatus(node))?.problems, [])
  })

  async function clusterIpOf(name: string): Promise<string> {
    return cluster.mustKubectl(['get', 'service', name, '-o', 'jsonpath={.spec.clusterIP}'])
  }
})
