// The canary of every agent on a real cluster: it proves the table beside kube-proxy, and tells a way past it.
//
// **Invariant:** the agents run from the manifests alone, with NET_ADMIN and a read-only root; nothing is set for the test.
import assert from 'node:assert/strict'
import type { NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import { API_VERSION } from '../../src/crd/schema.ts'
import { CANARY_CLIENT, CANARY_LINKS, CANARY_SERVER } from '../../src/model/canary.ts'
import { agentStatus, proven } from './agents.ts'
import { api } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { untilEvent } from './enforcement-objects.ts'
import { runIn, until } from './processes.ts'

describe('canary', function () {
  this.timeout(180_000)
  let cluster: TestCluster

  before(async () => {
    cluster = await openCluster(() => undefined)
  })

  const on = async (node: string, command: readonly string[]): Promise<string> => (await runIn(cluster.roomOf(node), command)).stdout

  it('proves the table of every node, in both families', async () => {
    await proven(cluster.nodes)
    for (const node of cluster.nodes) {
      const metrics = await on(node.name, ['curl', '-sS', '-m', '5', `http://${node.addresses[4]}:9655/metrics`])
      for (const family of [4, 6]) {
        assert.match(metrics, new RegExp(`^picket_canary_rounds_total\\{family="${family}",result="ok"\\} [1-9]`, 'm'))
        for (const bad of ['leaked', 'dropped']) assert.match(metrics, new RegExp(`^picket_canary_rounds_total\\{family="${family}",result="${bad}"\\} 0$`, 'm'))
      }
      for (const link of CANARY_LINKS) assert.match(await on(node.name, ['ip', '-o', 'link', 'show', link]), /NOARP,UP/)
    }
  })

  it('tells within a minute and a few rounds that packets go past the table, and that it is over', async () => {
    const [node] = cluster.nodes
    assert.ok(node !== undefined)
    const past = `table netdev past { chain c { type filter hook ingress device "${CANARY_CLIENT.link}" priority 0; fwd to "${CANARY_SERVER.link}"; }; }`
    assert.equal((await runIn(cluster.roomOf(node.name), ['nft', past])).status, 0)
    const result = (wanted: string, timeout: number): Promise<unknown> => until(`${node.name}: ${wanted}`, timeout, async () => (await agentStatus(node))?.canary?.result === wanted || null)
    try {
      await result('leaked', 75_000)
      assert.deepEqual((await agentStatus(node))?.problems.map(({ code }) => code), ['CanaryLeaked'])
      await until(`${node.name}: TableIntact is False`, 20_000, async () => {
        const { conditions = [] } = ((await api.get(API_VERSION, 'NodeEnforcement', null, node.name))['status'] ?? {}) as NodeEnforcementStatus
        return conditions.some(({ type, status, reason }) => type === 'TableIntact' && status === 'False' && reason === 'PacketsLeaked') ? true : null
      })
      await untilEvent('default', node.name, 'NotEnforced', /TableIntact is False \(PacketsLeaked\)/, 20_000)
    } finally {
      await on(node.name, ['nft', 'delete table netdev past'])
    }
    await result('ok', 20_000)
    assert.deepEqual((await agentStatus(node))?.problems, [])
  })
})
