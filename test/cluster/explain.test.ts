// `picket explain` from outside against real packets on a real cluster, and its agents' word on what their kernels hold.
//
// On the installation of install.test.ts, Services translated by kube-proxy. **Invariant:** for each question the packets are sent,
// and what is answered is what they did; the rights are those of the page deploy/docs/rbac.md, and no more.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import type { Answer, Flow, Half } from '../../src/explain/answer.ts'
import { ownCommand } from '../../src/lab/places.ts'
import { askRound, reaches, type Question } from '../../src/lab/round.ts'
import type { Address } from '../../src/model/ip.ts'
import { TemporaryFolder } from '../support/cluster-follower.ts'
import { pageGrants } from '../tidy/access-rules.ts'
import { agentPod, settled } from './agents.ts'
import { api, type KubeObject } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { CONTROL, FILES, type NodePlace } from './layout.ts'
import { HOST_PORTS, pidOf, RealPods } from './pods.ts'
import { runIn, until, type Ended } from './processes.ts'
import { tokenOf } from './tokens.ts'

const NS = 'explain-test'
const RBAC = 'rbac.authorization.k8s.io/v1'
const TCP = (port: number): { readonly protocol: 'TCP'; readonly port: number } => ({ protocol: 'TCP', port })

const POLICIES: readonly KubeObject[] = [
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: NS, name: 'web' }, spec: { podSelector: { matchLabels: { app: 'web' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }], ports: [{ port: 8080 }] }] } },
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: NS, name: 'closed' }, spec: { podSelector: { matchLabels: { app: 'closed' } }, policyTypes: ['Egress'] } },
]
const SERVICE: KubeObject = {
  apiVersion: 'v1', kind: 'Service', metadata: { namespace: NS, name: 'web' },
  spec: { selector: { app: 'web' }, ipFamilyPolicy: 'RequireDualStack', ports: [{ port: 80, targetPort: 8080 }] },
}

describe('picket explain on a real cluster', function () {
  this.timeout(240_000)
  let cluster: TestCluster
  let pods: RealPods
  let folder: TemporaryFolder
  let clusterIps: readonly Address[]
  const [first, second] = [(): NodePlace => cluster.nodes[0] as NodePlace, (): NodePlace => cluster.nodes[1] as NodePlace]

  before(async () => {
    cluster = await openCluster(() => undefined)
    pods = await RealPods.open(cluster.nodes)
    folder = await TemporaryFolder.make()
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NS } })
    await pods.add([
      { namespace: NS, name: 'web', node: first().name, labels: { app: 'web' }, serve: [TCP(8080), TCP(9090)] },
      { namespace: NS, name: 'friend', node: second().name, labels: { app: 'friend' }, serve: [TCP(8080)] },
      { namespace: NS, name: 'other', node: first().name, labels: { app: 'other' } },
      { namespace: NS, name: 'closed', node: second().name, labels: { app: 'closed' } },
    ])
    clusterIps = ((await api.create(SERVICE))['spec'] as { readonly clusterIPs: readonly Address[] }).clusterIPs
    let version: string | undefined
    for (const policy of POLICIES) version = (await api.create(policy)).metadata.resourceVersion
    await until('the Service has its endpoint in both families', 30_000, async () => {
      const slices = await api.list('discovery.k8s.io/v1', 'EndpointSlice', NS)
      return slices.length === 2 && slices.every((slice) => (slice['endpoints'] as readonly { readonly conditions: { readonly ready: boolean } }[] | null)?.[0]?.conditions.ready === true) ? true : null
    })
    await settled(cluster.nodes, { networkpolicies: version })
  })
  after(async () => {
    await pods?.close()
    await folder?.remove()
    for (const kind of ['ClusterRoleBinding', 'ClusterRole'] as const) await api.remove(RBAC, kind, null, NS)
    for (const kind of ['RoleBinding', 'Role'] as const) await api.remove(RBAC, kind, 'picket-system', NS)
    await api.remove('v1', 'Namespace', null, NS)
  })

  const explain = (...args: readonly string[]): Promise<Ended> => runIn({ netns: CONTROL }, [...ownCommand(), 'explain', '-n', NS, ...args], { timeout: 60_000 })
  const asAdmin = (...args: readonly string[]): Promise<Ended> => explain('--kubeconfig', FILES.kubeconfig, ...args)

  async function answered(from: string, to: string, port: string): Promise<Answer> {
    const { stdout, stderr, status } = await asAdmin('--from', from, '--to', to, '--port', port, '-o', 'json')
    assert.notEqual(stdout, '', stderr)
    const answer = JSON.parse(stdout) as Answer
    assert.deepEqual([status, stderr], [answer.verdict === 'allowed' ? 0 : 1, ''])
    return answer
  }

  /** Which of the flows the packets took: each is sent as it was called. */
  async function taken(from: string, key: string, node: string | null, flows: readonly Flow[]): Promise<readonly boolean[]> {
    const questions = flows.map(({ called, protocol, ports }): Question => ({ from: { kind: 'pod', key: `${NS}/${from}` }, fromNode: pods.get(`${NS}/${from}`).node, to: { key, node: null }, address: called, protocol, port: ports.first }))
    const round = await askRound(pods.prober, questions)
    assert.ok(round.kind === 'measured', round.kind === 'unusable' ? round.reason : '')
    assert.ok(node === null || flows.every(({ legs }) => legs.every(({ destination }) => destination.node === node)))
    return round.results.map((result) => reaches(result, { key, node: null }))
  }

  interface Case {
    readonly from: string
    readonly to: string
    readonly port: string
    /** Who answers. */
    readonly by: string
    readonly allowed: boolean
    readonly why?: RegExp
  }
  const web = `${NS}/web`
  const CASES: readonly Case[] = [
    { from: 'friend', to: 'web', port: '8080/tcp', by: web, allowed: true },
    { from: 'friend', to: 'web', port: '9090/tcp', by: web, allowed: false, why: /"kind":"port","text":"port 9090 not in \[8080\]"/ },
    { from: 'other', to: 'web', port: '8080/tcp', by: web, allowed: false, why: /"kind":"pod-labels","text":"pod explain-test\/other does not match app=friend"/ },
    { from: 'friend', to: 'svc/web', port: '80/tcp', by: web, allowed: true },
    { from: 'other', to: 'svc/web', port: '80/tcp', by: web, allowed: false, why: /"kind":"pod-labels"/ },
    { from: 'closed', to: 'friend', port: '8080/tcp', by: `${NS}/friend`, allowed: false, why: /"isolatedBy":\[\{"namespace":"explain-test","name":"closed"\}\]/ },
    { from: 'other', to: 'friend', port: '8080/tcp', by: `${NS}/friend`, allowed: true },
  ]

  for (const { from, to, port, by, allowed, why } of CASES) {
    it(`${from} -> ${to} on ${port}: ${allowed ? 'allowed' : 'denied'}, in both families, and the packets say the same`, async () => {
      const answer = await answered(from, to, port)
      assert.deepEqual(answer.flows.map(({ family, verdict }) => `${family} ${verdict}`).toSorted(), [4, 6].map((family) => `${family} ${allowed ? 'allowed' : 'denied'}`))
      assert.deepEqual(await taken(from, by, pods.get(by).node, answer.flows), answer.flows.map(() => allowed))
      if (to.startsWith('svc/')) assert.deepEqual(answer.flows.map(({ called }) => called).toSorted(), clusterIps.toSorted())
      if (why !== undefined) assert.match(JSON.stringify(answer.flows), why)
      // Each end by the agent of its own node.
      const words = answer.flows.flatMap(({ legs }) => legs.flatMap(({ egress, ingress }) => [wordOf(egress), wordOf(ingress)]))
      assert.deepEqual([...new Set(words)].toSorted(), [...new Set([`programmed ${pods.get(`${NS}/${from}`).node}`, `programmed ${pods.get(by).node}`])].toSorted(), JSON.stringify(answer.flows))
    })
  }

  it('to an address of a node: the egress half only, and the packets say the same', async () => {
    for (const [from, allowed] of [['friend', true], ['closed', false]] as const) {
      const { name, addresses } = first()
      for (const address of [addresses[4], addresses[6]]) {
        const answer = await answered(from, address, `${HOST_PORTS[0]?.port}/tcp`)
        const kinds = answer.flows.flatMap(({ legs }) => legs.map(({ ingress }) => ingress.kind))
        assert.deepEqual([answer.verdict, kinds], [allowed ? 'allowed' : 'denied', ['no-policy']])
        assert.deepEqual(await taken(from, name, name, answer.flows), [allowed])
      }
    }
  })

  it('for people it says which node has programmed it; on a node, its agent says it itself', async () => {
    const { stdout, status } = await asAdmin('--from', 'other', '--to', 'svc/web', '--port', '80/tcp')
    assert.equal(status, 1)
    assert.match(stdout, /^ +nearest explain-test\/web ingress\[0\]: from pods app=friend of namespace explain-test; ports 8080\/TCP\n +pod explain-test\/other does not match app=friend\n +programmed on node \S+ \(revision \d+ of \S+Z\)$/m)
    const pod = (await agentPod(first())).metadata.name
    const inside = await cluster.kubectl(['-n', 'picket-system', 'exec', pod, '--', 'picket', 'explain', '--source', 'socket', '--from', `${NS}/other`, '--to', `${NS}/web`, '--port', '8080/tcp'])
    assert.equal(inside.status, 1, inside.stderr)
    assert.match(inside.stdout, new RegExp(`isolated by ${NS}/web for ingress[^]*\\n +programmed on node ${first().name} \\(revision `))
    console.log(stdout.trimEnd().split('\n').map((line) => `      ${line}`).join('\n'))
  })

  it('an agent that does not answer is named, and the verdict stands', async () => {
    const pid = pidOf(await agentPod(first()))
    process.kill(pid, 'SIGSTOP')
    try {
      const { stdout, status } = await asAdmin('--from', 'friend', '--to', 'web', '--port', '8080/tcp')
      assert.equal(status, 0)
      assert.match(stdout, new RegExp(`node ${first().name}: not asked: pod picket-system/picket-agent-\\w+ says: [^\\n]*no answer within 8000 ms`))
      assert.match(stdout, new RegExp(`programmed on node ${second().name} `))
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await settled(cluster.nodes)
  })

  it('the rights of the page are enough; without exec in the agents\' pods the missing one is named, and the verdict stands', async () => {
    await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: NS, name: 'asker' } })
    const kubeconfig = await kubeconfigOf(await tokenOf(NS, 'asker'))
    const ask = (): Promise<Ended> => explain('--kubeconfig', kubeconfig, '--from', 'friend', '--to', 'web', '--port', '8080/tcp')
    const none = await ask()
    assert.deepEqual([none.status, none.stdout], [2, ''])
    assert.match(none.stderr, /the role lacks the verb "list" on the resource "\w+"/)
    await grant()
    const allowed = await ask()
    assert.deepEqual([allowed.status, allowed.stderr], [0, ''])
    assert.doesNotMatch(allowed.stdout, /not asked/)
    for (const verbs of [[], ['get']]) {
      await api.patch(RBAC, 'Role', 'picket-system', NS, { rules: rulesIn('picket-system').map((rule) => (rule.resources[0] === 'pods/exec' ? { ...rule, verbs, ...(verbs.length === 0 ? { verbs: ['get'], resourceNames: ['nobody'] } : {}) } : rule)) })
      await until(`pods/exec is limited to ${verbs.join(', ') || 'nothing'}`, 10_000, async () => (/not asked/.test((await ask()).stdout) ? true : null))
      const { stdout, stderr, status } = await ask()
      assert.deepEqual([status, stderr], [0, ''])
      for (const { name } of cluster.nodes) assert.match(stdout, new RegExp(`node ${name}: not asked: pods/exec in picket-system is forbidden to system:serviceaccount:${NS}:asker; it takes get and create there`))
    }
  })

  interface Rule {
    readonly apiGroups: readonly string[]
    readonly resources: readonly string[]
    readonly resourceNames?: readonly string[]
    readonly verbs: readonly string[]
  }
  function rulesIn(namespace: string | null): readonly Rule[] {
    return pageGrants('## Whoever asks `picket explain`').filter((one) => one.namespace === namespace).map(({ resource, verbs, names }) => {
      const [plural = '', ...group] = resource.split('.')
      return { apiGroups: [group.join('.')], resources: [plural], verbs, ...(names.length === 0 ? {} : { resourceNames: names }) }
    })
  }
  async function grant(): Promise<void> {
    const subjects = [{ kind: 'ServiceAccount', namespace: NS, name: 'asker' }]
    await api.create({ apiVersion: RBAC, kind: 'ClusterRole', metadata: { name: NS }, rules: rulesIn(null) })
    await api.create({ apiVersion: RBAC, kind: 'ClusterRoleBinding', metadata: { name: NS }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: NS }, subjects })
    await api.create({ apiVersion: RBAC, kind: 'Role', metadata: { namespace: 'picket-system', name: NS }, rules: rulesIn('picket-system') })
    await api.create({ apiVersion: RBAC, kind: 'RoleBinding', metadata: { namespace: 'picket-system', name: NS }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: NS }, subjects })
  }
  async function kubeconfigOf(token: string): Promise<string> {
    const config = JSON.parse(await cluster.mustKubectl(['config', 'view', '--raw', '--minify', '-o', 'json'])) as { readonly users: readonly { readonly name: string }[] }
    const file = await folder.write('kubeconfig', '')
    writeFileSync(file, JSON.stringify({ ...config, users: config.users.map(({ name }) => ({ name, user: { token } })) }))
    return file
  }
})

/** `programmed node1` */
function wordOf({ programmed }: Half): string {
  return `${programmed?.state} ${programmed?.node}`
}
