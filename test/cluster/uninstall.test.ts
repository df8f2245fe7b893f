// Uninstall as the install page says it, from an installation with the gate: in order, and after a careless delete.
//
// Runs last: nothing is installed afterwards. **Invariant:** what is typed is what the page says, and a clean node has no table, no
// CNI entry and no program of ours, and lets new pods reach each other.
import assert from 'node:assert/strict'
import path from 'node:path'
import { askRound } from '../../src/lab/round.ts'
import { api, ask } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { RealPods } from './pods.ts'
import { runIn } from './processes.ts'

const root = path.resolve(import.meta.dirname, '../..')
const PORT = { protocol: 'TCP', port: 8080 } as const
const FAMILIES = [4, 6] as const

describe('uninstall', function () {
  this.timeout(300_000)
  let cluster: TestCluster
  /** One a test: a namespace takes its time to go. */
  let namespace = ''
  let turn = 0

  before(async () => {
    cluster = await openCluster(() => undefined)
  })
  beforeEach(async () => {
    await kubectl('apply', '-k', at('policy-only-gate'))
    await rollout('picket-agent')
    namespace = `afterwards-${++turn}`
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
    for (const { name } of cluster.nodes) {
      assert.match(await on(name, ['nft', 'list', 'tables']), /table inet picket/)
      assert.match(await on(name, ['sh', '-c', 'cat /etc/cni/net.d/*']), /picket-cni/)
    }
  })
  afterEach(() => ask('DELETE', `/api/v1/namespaces/${namespace}`))

  const at = (name: string): string => path.join(root, 'deploy', name)
  const kubectl = (...args: readonly string[]): Promise<string> => cluster.mustKubectl(args, { timeout: 200_000 })
  const rollout = (name: string): Promise<string> => kubectl('-n', 'picket-system', 'rollout', 'status', `daemonset/${name}`, '--timeout=150s')
  const on = (node: string, command: readonly string[]): Promise<string> => runIn(cluster.roomOf(node), command).then(({ stdout }) => stdout)

  it('in order: every node says what it removed, and is clean', async () => {
    await kubectl('apply', '-k', at('uninstall'))
    await kubectl('-n', 'picket-system', 'delete', 'deployment/picket-operator', 'daemonset/picket-agent', '--ignore-not-found')
    await rollout('picket-uninstall')
    const said = await kubectl('-n', 'picket-system', 'logs', '-l', 'app.kubernetes.io/component=uninstall', '--prefix', '--tail=-1', '--max-log-requests=1000')
    for (const line of ['entry removed', 'picket-cni: removed', 'table inet picket: removed', 'picket-canary3: removed', 'this node is clean']) {
      assert.equal(said.split('\n').filter((one) => one.endsWith(line)).length, cluster.nodes.length, `${line}: ${said}`)
    }
    await kubectl('delete', '-k', at('uninstall'))
    await kubectl('delete', '-k', at('policy-only'), '--ignore-not-found')
    await nothingLeft()
  })

  it('after a careless delete one command repairs it', async () => {
    await kubectl('delete', '-k', at('policy-only-gate'))
    for (const { name } of cluster.nodes) assert.match(await on(name, ['nft', 'list', 'tables']), /table inet picket/)
    await kubectl('apply', '-k', at('uninstall'))
    await rollout('picket-uninstall')
    await kubectl('delete', '-k', at('uninstall'))
    await nothingLeft()
  })

  async function nothingLeft(): Promise<void> {
    for (const { name } of cluster.nodes) {
      assert.doesNotMatch(await on(name, ['nft', 'list', 'tables']), /picket/)
      assert.doesNotMatch(await on(name, ['ip', '-o', 'link']), /picket/)
      assert.equal(await on(name, ['sh', '-c', 'grep -l picket /etc/cni/net.d/*; ls /opt/cni/bin | grep picket; ls -A /run/picket']), '')
    }
    for (const kind of ['ClusterRole', 'ClusterRoleBinding', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding', 'CustomResourceDefinition']) assert.doesNotMatch(await kubectl('get', kind, '-o', 'name'), /picket/)
    assert.doesNotMatch(await kubectl('get', 'namespaces', '-o', 'name'), /picket-system/)
    await newPodsReachEachOther()
  }

  async function newPodsReachEachOther(): Promise<void> {
    const pods = await RealPods.open(cluster.nodes)
    try {
      const names = cluster.nodes.map(({ name }, index) => ({ namespace, name: `pod-${index}`, node: name, serve: [PORT] }))
      await pods.add(names)
      const pairs = names.flatMap((from) => names.filter((to) => to !== from).flatMap((to) => FAMILIES.map((family) => ({ from, to, family }))))
      const round = await askRound(pods.prober, pairs.map(({ from, to, family }) => ({
        from: { kind: 'pod', key: `${namespace}/${from.name}` }, fromNode: from.node, to: { key: `${namespace}/${to.name}`, node: to.node },
        address: pods.addressOf(`${namespace}/${to.name}`, family), ...PORT,
      })))
      assert.ok(round.kind === 'measured', round.kind === 'unusable' ? round.reason : '')
      assert.deepEqual(round.results.map((one) => one?.kind), pairs.map(() => 'answered'))
    } finally {
      await pods.close()
    }
  }
})
