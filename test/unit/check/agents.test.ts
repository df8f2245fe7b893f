// The check from outside, of a cluster whose agents translate Services: kube-proxy beside them, and the API server they start by.
//
// **Invariant:** each fault has a setting that differs in it alone and is fine.
import assert from 'node:assert/strict'
import { agentSettings } from '../../../src/check/agent-settings.ts'
import { checkCluster } from '../../../src/check/cluster.ts'
import type { PlacedFinding } from '../../../src/check/finding.ts'
import { transportFor } from '../../../src/kube/source.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { CheckStage } from '../../support/check-stage.ts'
import { kubeconfigText, TemporaryFolder } from '../../support/cluster-follower.ts'

const DAEMON_SETS = '/apis/apps/v1/daemonsets'
const CONFIG_MAP = '/api/v1/namespaces/picket-system/configmaps/picket-agent'
const LABELS = { 'app.kubernetes.io/name': 'picket', 'app.kubernetes.io/component': 'agent' }

describe('check: agents that translate Services', () => {
  let folder: TemporaryFolder
  let stage: CheckStage
  /** Of the ConfigMap; null: there is none; 403: nobody may read it. */
  let settings: string | null | 403

  beforeEach(async () => {
    folder = await TemporaryFolder.make()
    stage = await CheckStage.start()
    settings = 'apiServer: ["https://10.0.0.10:6443"]\nserviceCIDRs: ["10.96.0.0/16"]\n'
    stage.instead = ({ path }) => {
      if (path !== CONFIG_MAP || settings === null) return null
      return settings === 403 ? { status: 403, body: '{}' } : { status: 200, body: JSON.stringify({ data: { 'agent.yaml': settings } }) }
    }
    stage.node('n1')
    stage.put('/api/v1/services', 'default', 'kubernetes', { spec: { clusterIP: '10.97.0.1', clusterIPs: ['10.97.0.1', 'fd00:97::1'], ports: [{ port: 443 }] } })
    install(['agent', '--config', '/etc/picket/agent.yaml', '--service-proxy=picket'])
  })
  afterEach(async () => {
    await stage.close()
    await folder.remove()
  })

  function install(args: readonly string[]): void {
    stage.put(DAEMON_SETS, 'picket-system', 'picket-agent', { metadata: { labels: LABELS }, spec: { template: { spec: { containers: [{ image: 'picket:1', args }] } } }, status: { desiredNumberScheduled: 1 } })
  }
  function kubeProxy(image: string, nodes: number): void {
    stage.put(DAEMON_SETS, 'kube-system', 'kube-proxy', { spec: { template: { spec: { containers: [{ image }] } } }, status: { desiredNumberScheduled: nodes } })
  }
  async function found(check: PlacedFinding['check']): Promise<readonly string[]> {
    const transport = transportFor({ kubeconfig: await folder.write('kubeconfig', kubeconfigText(stage.server.url)), context: null, apiServers: [] }, systemClock)
    try {
      const { findings } = await checkCluster({ transport, image: null, usualImage: 'picket:1', nodes: 'none', signal: AbortSignal.timeout(15_000), announce: () => undefined })
      return findings.filter((one) => one.check === check).map((one) => `${one.level}: ${one.found}${one.advice === undefined ? '' : `; ${one.advice}`}`)
    } finally {
      await transport.close()
    }
  }

  it('no kube-proxy beside them is ok; one that runs is to be stopped, and one that wants no node is', async () => {
    assert.deepEqual(await found('kube-proxy'), ['ok: Picket translates Services (DaemonSet picket-system/picket-agent), and no DaemonSet of kube-proxy runs beside it'])
    kubeProxy('registry.k8s.io/kube-proxy:v1.37.0', 1)
    const [ok, warning] = await found('kube-proxy')
    assert.equal(ok, 'ok: Picket translates Services (DaemonSet picket-system/picket-agent)')
    assert.match(warning ?? '', /^warning: DaemonSet kube-system\/kube-proxy runs as well.*kubectl -n kube-system delete daemonset kube-proxy/)
    kubeProxy('registry.k8s.io/kube-proxy:v1.37.0', 0)
    assert.match((await found('kube-proxy')).join(), /^ok: .*no DaemonSet of kube-proxy/)
    kubeProxy('registry/kube-proxy-operator-of-others/x', 1)
    assert.match((await found('kube-proxy')).join(), /^ok: .*no DaemonSet of kube-proxy/)
  })
  it('where kube-proxy translates, it is looked at as before, and no API server is asked for', async () => {
    settings = null
    for (const args of [['agent'], ['agent', '--service-proxy', 'none']]) {
      install(args)
      assert.deepEqual(await found('kube-proxy'), ['ok: ConfigMap kube-system/kube-proxy is not there or says nothing; each node tells what it sees'])
      assert.equal((await found('api-server')).length, 1)
    }
    settings = 'serviceProxy: picket\n'
    assert.match((await found('kube-proxy')).join(), /^ok: ConfigMap kube-system/, 'a flag wins')
    install(['agent'])
    assert.match((await found('kube-proxy')).join(), /^ok: Picket translates/)
  })
  it('an API server by its own address is ok', async () => {
    assert.deepEqual((await found('api-server')).slice(1), ['ok: agents reach it without a Service (https://10.0.0.10:6443)'])
  })
  it('none, a ClusterIP in either family, one in serviceCIDRs, a name of the Service: an error as the agent says it', async () => {
    const refused: readonly [string, RegExp][] = [
      ['serviceCIDRs: []\n', /apiServer is not set: Picket itself serves the API server's ClusterIP/],
      ['apiServer: ["https://10.97.0.1:443"]\n', /https:\/\/10\.97\.0\.1:443: it is the ClusterIP of Service default\/kubernetes, and Picket itself serves/],
      ['apiServer: ["https://10.0.0.10:6443", "https://[fd00:97:0::1]:443"]\n', /it is the ClusterIP of Service default\/kubernetes/],
      ['apiServer: ["https://10.96.0.1:443"]\nserviceCIDRs: ["fd00::/16", "10.96.0.0/16"]\n', /it lies in serviceCIDRs/],
      ['apiServer: ["https://kubernetes.default.svc:443"]\n', /it is a name of the Service/],
      ['odd: [', /apiServer is not set/],
    ]
    for (const [text, why] of refused) {
      settings = text
      const [, fault, ...others] = await found('api-server')
      assert.deepEqual(others, [])
      assert.match(fault ?? '', why)
      assert.match(fault ?? '', /^error: apiServer.*; set apiServer in the ConfigMap picket-system\/picket-agent to addresses of the API servers themselves/)
    }
  })
  it('is not asked for where agents have a kubeconfig, or where the ConfigMap may not be read, which is told', async () => {
    settings = 'kubeconfig: /etc/k\n'
    assert.equal((await found('api-server')).length, 1)
    settings = 403
    assert.equal((await found('api-server')).length, 1)
    assert.match((await found('rights')).join(), /^warning: configmaps of picket-system cannot be read: the role lacks the verb "get" on the resource "configmaps"/)
    install(['agent', '--service-proxy=picket', '--api-server=https://kubernetes:443'])
    assert.match((await found('api-server'))[1] ?? '', /^error: apiServer: https:\/\/kubernetes:443: it is a name/)
  })
  it('settings: flags in both forms win over the file, which wins over the default', () => {
    const file = { data: { 'agent.yaml': 'serviceCIDRs: ["fd00::/112"]\napiServer: ["https://a:1"]\n' } }
    assert.deepEqual(agentSettings(['agent', '--api-server', 'https://b:1,https://c:1', '--api-server=https://d:1', '--service-proxy'], file), {
      serviceProxy: 'none', source: 'kube', kubeconfig: '', apiServer: ['https://b:1', 'https://c:1', 'https://d:1'], serviceCIDRs: ['fd00::/112'],
    })
    assert.deepEqual(agentSettings([], null).apiServer, [])
    assert.deepEqual(agentSettings([], { data: { 'agent.yaml': '- x' } }).serviceProxy, 'none')
  })
})
