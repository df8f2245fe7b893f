// `picket observe` from outside on a real cluster: real pods are denied while it follows, over an agent that is deleted, and by who has no right.
//
// On the installation of install.test.ts. **Invariant:** each record that is expected is of packets that were really sent, and really not
// answered; the rights are those of the page deploy/docs/rbac.md, and no more.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { readLine } from '../../src/flows/read-line.ts'
import type { FlowRecord } from '../../src/flows/record.ts'
import { ownCommand } from '../../src/lab/places.ts'
import { askRound, reaches } from '../../src/lab/round.ts'
import { familyOf, type Address } from '../../src/model/ip.ts'
import { TemporaryFolder } from '../support/cluster-follower.ts'
import { pageGrants } from '../tidy/access-rules.ts'
import { agentPod, settled, untilOtherAgent } from './agents.ts'
import { api } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { CONTROL, FILES, type NodePlace } from './layout.ts'
import { pidOf, RealPods } from './pods.ts'
import { runIn, until, type Ended } from './processes.ts'
import { tokenOf } from './tokens.ts'

const NS = 'observe-test'
const RBAC = 'rbac.authorization.k8s.io/v1'
const PORT = 8080
/** That no policy allows. */
const OTHER_PORT = 9090
const WEB = `${NS}/web`

describe('picket observe on a real cluster', function () {
  this.timeout(240_000)
  let cluster: TestCluster
  let pods: RealPods
  let folder: TemporaryFolder
  const children: ChildProcess[] = []
  const [first, second] = [(): NodePlace => cluster.nodes[0] as NodePlace, (): NodePlace => cluster.nodes[1] as NodePlace]

  before(async () => {
    cluster = await openCluster(() => undefined)
    pods = await RealPods.open(cluster.nodes)
    folder = await TemporaryFolder.make()
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NS } })
    await pods.add([
      { namespace: NS, name: 'web', node: first().name, labels: { app: 'web' }, serve: [PORT, OTHER_PORT].map((port) => ({ protocol: 'TCP', port })) },
      { namespace: NS, name: 'friend', node: second().name, labels: { app: 'friend' } },
      { namespace: NS, name: 'other', node: second().name, labels: { app: 'other' } },
    ])
    await api.create({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: NS, name: 'deny-all' }, spec: { podSelector: {}, policyTypes: ['Ingress'] } })
    const { metadata } = await api.create({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: NS, name: 'web' }, spec: { podSelector: { matchLabels: { app: 'web' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }], ports: [{ port: PORT }] }] } })
    await settled(cluster.nodes, { networkpolicies: metadata.resourceVersion })
  })
  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    await pods?.close()
    await folder?.remove()
    for (const kind of ['ClusterRoleBinding', 'ClusterRole'] as const) await api.remove(RBAC, kind, null, NS)
    for (const kind of ['RoleBinding', 'Role'] as const) await api.remove(RBAC, kind, 'picket-system', NS)
    await api.remove('v1', 'Namespace', null, NS)
  })

  function addressOf(key: string, family: 4 | 6): Address {
    const address = pods.get(key).addresses.find((one) => familyOf(one) === family)
    assert.ok(address !== undefined, `${key} has no IPv${family}`)
    return address
  }
  /** Whether it was answered; one packet or more are sent. */
  async function call(from: string, family: 4 | 6, port = PORT): Promise<boolean> {
    const address = addressOf(WEB, family)
    const round = await askRound(pods.prober, [{ from: { kind: 'pod', key: `${NS}/${from}` }, fromNode: pods.get(`${NS}/${from}`).node, to: { key: WEB, node: null }, address, protocol: 'TCP', port }])
    assert.ok(round.kind === 'measured', round.kind === 'unusable' ? round.reason : '')
    return reaches(round.results[0], { key: WEB, node: null })
  }

  interface Following {
    readonly child: ChildProcess
    readonly records: () => readonly FlowRecord[]
    readonly said: { stdout: string; stderr: string }
  }
  async function following(...args: readonly string[]): Promise<Following> {
    const child = spawn('ip', ['netns', 'exec', CONTROL, ...ownCommand(), 'observe', '--kubeconfig', FILES.kubeconfig, '-f', '-o', 'json', ...args])
    children.push(child)
    const said = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) child[name].on('data', (text: Buffer) => (said[name] += text.toString()))
    const records = (): readonly FlowRecord[] => said.stdout.split('\n').slice(0, -1).map((line) => readLine(line).record).filter((one) => one?.type === 'verdict')
    // It says nothing when it has begun: calls are made until one is seen.
    await until('observe follows', 60_000, async () => {
      assert.equal(await call('other', 4, OTHER_PORT), false)
      return records().length > 0 ? true : null
    }, () => said.stderr)
    return { child, records, said }
  }
  const observe = (...args: readonly string[]): Promise<Ended> => runIn({ netns: CONTROL }, [...ownCommand(), 'observe', ...args], { timeout: 60_000 })
  const asAdmin = (...args: readonly string[]): Promise<Ended> => observe('--kubeconfig', FILES.kubeconfig, ...args)

  it('tells what is denied as it happens, in both families: who, what isolates, and what came nearest', async () => {
    const { child, records, said } = await following('-n', NS, '--verdict', 'DROPPED')
    for (const family of [4, 6] as const) {
      assert.equal(await call('other', family), false)
      const record = await until(`a record of IPv${family}`, 30_000, async () => records().find(({ ip, l4 }) => ip.family === family && l4.destination_port === PORT) ?? null, () => said.stdout + said.stderr)
      assert.deepEqual([record.verdict, record.reason, record.direction, record.node, record.is_reply], ['DROPPED', 'POLICY_DENIED', 'ingress', first().name, false])
      assert.deepEqual([record.source.namespace, record.source.pod, record.destination.namespace, record.destination.pod], [NS, 'other', NS, 'web'])
      assert.deepEqual([record.ip.source, record.ip.destination], [addressOf(`${NS}/other`, family), addressOf(WEB, family)])
      assert.deepEqual([record.isolated_by?.total, record.isolated_by?.policies.map(({ name }) => name).toSorted()], [2, ['deny-all', 'web']])
      assert.equal(record.nearest_miss?.policy.name, 'web')
    }
    assert.equal(await call('friend', 4), true)
    child.kill('SIGINT')
    assert.deepEqual(await once(child, 'exit'), [0, null], said.stderr)
    assert.deepEqual(records().filter(({ source }) => source.pod === 'friend'), [])
  })

  it('goes on when the agent is replaced', async () => {
    const { child, records, said } = await following('--to-pod', WEB, '--from-pod', `${NS}/other`)
    const pod = await agentPod(first())
    const pid = pidOf(pod)
    await api.remove('v1', 'Pod', 'picket-system', pod.metadata.name)
    await untilOtherAgent(first(), pid)
    await settled(cluster.nodes)
    const before = records().length
    await until('a record of the new agent', 90_000, async () => {
      assert.equal(await call('other', 6), false)
      return records().slice(before).find(({ ip }) => ip.family === 6) ?? null
    }, () => said.stdout + said.stderr)
    const lines = said.stdout.split('\n').slice(0, -1)
    assert.equal(new Set(lines).size, lines.length, 'nothing twice')
    assert.match(said.stderr, new RegExp(`node ${first().name}: another agent answers now`))
    child.kill('SIGINT')
    assert.deepEqual(await once(child, 'exit'), [0, null], said.stderr)
  })

  it('shows what agents remember, for people and for Hubble; with 1 where nothing matches', async () => {
    const compact = await asAdmin('--pod', WEB, '--verdict', 'DROPPED')
    assert.equal(compact.status, 0, compact.stderr)
    assert.match(compact.stdout, new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d{3} ${NS}/other:\\d+ -> ${WEB}:(?:${PORT}|${OTHER_PORT}) TCP SYN DROPPED ingress isolated-by ${NS}/(deny-all|web) \\(\\+1\\) nearest ${NS}/web: \\S`, 'm'))
    console.log(compact.stdout.trimEnd().split('\n').slice(0, 3).map((line) => `      ${line}`).join('\n'))
    const hubble = await asAdmin('--pod', WEB, '--verdict', 'DROPPED', '-o', 'hubble')
    const flows = hubble.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { readonly flow?: { readonly drop_reason_desc: string } }).filter(({ flow }) => flow !== undefined)
    assert.ok(flows.length > 0 && flows.every(({ flow }) => flow?.drop_reason_desc === 'POLICY_DENIED'), hubble.stdout)
    assert.equal((await asAdmin('--from-pod', WEB, '--to-pod', `${NS}/other`)).status, 1)
    // The nodes of the pods in question only: web is not on the second one.
    assert.match((await asAdmin('--to-pod', WEB)).stderr, new RegExp(`asked are the nodes that host ${WEB} \\(${first().name}\\)`))
  })

  it('on a node its agent says it; an agent that does not answer is named', async () => {
    const pod = await agentPod(first())
    const inside = await cluster.kubectl(['-n', 'picket-system', 'exec', pod.metadata.name, '--', 'picket', 'observe', '--pod', WEB, '-o', 'json'])
    assert.equal(inside.status, 0, inside.stderr)
    assert.match(inside.stdout, new RegExp(`"pod":"web"`))
    const pid = pidOf(pod)
    process.kill(pid, 'SIGSTOP')
    try {
      const { status, stderr } = await asAdmin('-n', NS, '--timeout', '8s')
      assert.equal(status, 2)
      assert.match(stderr, new RegExp(`node ${first().name}: not asked: pod picket-system/picket-agent-\\w+ (says: |has not answered)`))
      assert.doesNotMatch(stderr, new RegExp(`node ${second().name}: not asked`))
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await settled(cluster.nodes)
  })

  it('the rights of the page are enough; each that is missing is named', async () => {
    await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: NS, name: 'watcher' } })
    const kubeconfig = await kubeconfigOf(await tokenOf(NS, 'watcher'))
    const ask = (...args: readonly string[]): Promise<Ended> => observe('--kubeconfig', kubeconfig, ...args)
    const none = await ask()
    assert.deepEqual([none.status, none.stdout], [2, ''])
    assert.match(none.stderr, /the role lacks the verb "list" on the resource "pods"/)
    const subjects = [{ kind: 'ServiceAccount', namespace: NS, name: 'watcher' }]
    await api.create({ apiVersion: RBAC, kind: 'Role', metadata: { namespace: 'picket-system', name: NS }, rules: rulesIn('picket-system') })
    await api.create({ apiVersion: RBAC, kind: 'RoleBinding', metadata: { namespace: 'picket-system', name: NS }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: NS }, subjects })
    await until('agents can be listed', 10_000, async () => ((await ask()).status === 2 ? null : true))
    const named = await ask('--pod', WEB)
    assert.deepEqual([named.status, named.stdout], [2, ''])
    assert.match(named.stderr, /the role lacks the verb "list" on the resource "pods"/)
    await api.create({ apiVersion: RBAC, kind: 'ClusterRole', metadata: { name: NS }, rules: rulesIn(null) })
    await api.create({ apiVersion: RBAC, kind: 'ClusterRoleBinding', metadata: { name: NS }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: NS }, subjects })
    await until('pods can be listed', 10_000, async () => ((await ask('--pod', WEB)).status === 2 ? null : true))
    await api.patch(RBAC, 'Role', 'picket-system', NS, { rules: rulesIn('picket-system').filter(({ resources }) => resources[0] !== 'pods/exec') })
    await until('pods/exec is taken away', 10_000, async () => ((await ask()).status === 2 ? true : null))
    for (const more of [[], ['-f']]) {
      const { status, stderr } = await ask(...more)
      assert.equal(status, 2)
      for (const { name } of cluster.nodes) assert.match(stderr, new RegExp(`node ${name}: not asked: pods/exec in picket-system is forbidden to system:serviceaccount:${NS}:watcher; it takes get and create there`))
    }
  })

  function rulesIn(namespace: string | null): readonly { readonly apiGroups: readonly string[]; readonly resources: readonly string[]; readonly verbs: readonly string[] }[] {
    return pageGrants('## Whoever asks `picket observe`').filter((one) => one.namespace === namespace).map(({ resource, verbs }) => ({ apiGroups: [''], resources: [resource], verbs }))
  }
  async function kubeconfigOf(token: string): Promise<string> {
    const config = JSON.parse(await cluster.mustKubectl(['config', 'view', '--raw', '--minify', '-o', 'json'])) as { readonly users: readonly { readonly name: string }[] }
    const file = await folder.write('observe-kubeconfig', '')
    writeFileSync(file, JSON.stringify({ ...config, users: config.users.map(({ name }) => ({ name, user: { token } })) }))
    return file
  }
})
