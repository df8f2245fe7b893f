// What the agents of the installation tell of their nodes on a real API server: objects, policies with their times, failures, idleness.
//
// **Invariant:** leaves the agents enforcing, with no namespace, policy or table of its own.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { NODE_ENFORCEMENT, type NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import { faultOf } from '../../src/crd/read.ts'
import { API_VERSION } from '../../src/crd/schema.ts'
import { agentPod, agentStatus, settled } from './agents.ts'
import { api, ask, type KubeObject } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { untilEvent, untilPolicy } from './enforcement-objects.ts'
import { netnsPath, type NodePlace } from './layout.ts'
import { pidOf, RealPods } from './pods.ts'
import { sleep, until } from './processes.ts'

const NS = 'nodeenf-test'
const LONGEST_WAIT_MS = 40_000
const IDLE_MS = 30_000

describe('what agents tell of their nodes', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let pods: RealPods
  let node1: NodePlace
  let node2: NodePlace

  before(async () => {
    cluster = await openCluster(() => undefined)
    ;[node1, node2] = cluster.nodes as unknown as [NodePlace, NodePlace]
    pods = await RealPods.open(cluster.nodes)
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NS } })
    await pods.add([
      { namespace: NS, name: 'web', node: node1.name, labels: { app: 'web' } },
      { namespace: NS, name: 'other', node: node2.name, labels: { app: 'other' } },
    ])
  })
  after(async () => {
    await pods?.close()
    await ask('DELETE', `/api/v1/namespaces/${NS}`)
  })

  const objectOf = ({ name }: NodePlace): Promise<KubeObject | null> => api.find(API_VERSION, 'NodeEnforcement', null, name)
  const statusIn = (object: KubeObject | null): NodeEnforcementStatus => (object?.['status'] ?? {}) as NodeEnforcementStatus
  const said = ({ conditions = [] }: NodeEnforcementStatus, type: string): string => conditions.flatMap((one) => (one.type === type ? [`${one.status} ${one.reason}`] : [])).join()
  const failed = ({ failures = [] }: NodeEnforcementStatus): readonly string[] => failures.map(({ ref }) => `${ref.kind} ${ref.namespace}/${ref.name}`)
  const policy = (name: string, app: string, port: number): KubeObject => ({
    apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: NS, name },
    spec: { podSelector: { matchLabels: { app } }, ingress: [{ ports: [{ port }] }] },
  })

  async function untilTold(node: NodePlace, what: string, condition: (status: NodeEnforcementStatus) => boolean): Promise<KubeObject> {
    let last: KubeObject | null = null
    return until(`${node.name} tells: ${what}`, LONGEST_WAIT_MS, async () => {
      last = await objectOf(node)
      return last !== null && condition(statusIn(last)) ? last : null
    }, () => JSON.stringify(statusIn(last)).slice(0, 1500))
  }

  it('each node has its object, owned by the Node, ready, and proven by packets', async () => {
    for (const place of cluster.nodes) {
      const object = await untilTold(place, 'it is ready', (status) => said(status, 'Ready') === 'True Enforcing' && said(status, 'TableIntact') === 'True PacketsProve')
      const node = await api.get('v1', 'Node', null, place.name)
      assert.deepEqual(object.metadata['ownerReferences'], [{ apiVersion: 'v1', kind: 'Node', name: place.name, uid: node.metadata.uid }])
      assert.equal(faultOf(NODE_ENFORCEMENT.status, statusIn(object), 'status'), null)
      assert.equal(said(statusIn(object), 'Programmed'), 'True Programmed')
    }
    assert.match(await cluster.mustKubectl(['get', 'nodeenf', node1.name, '--no-headers']), /^node1 +(True|False)? +True +\d+ +\d+\/\d+ +0 +True +\S+\s*$/)
  })

  it('a policy is told by the node of its pods, with its time, and as observed', async () => {
    const { metadata: { uid, resourceVersion } } = await api.create(policy('told', 'web', 80))
    const ofIt = ({ committed = [] }: NodeEnforcementStatus): readonly number[] => committed.filter((one) => one.uid === uid && one.generation === 1).map(({ latencyMs }) => latencyMs)
    const status = statusIn(await untilTold(node1, 'it is committed', (one) => ofIt(one).length === 1))
    const [latency = -1] = ofIt(status)
    assert.ok(latency >= 0 && latency < 5_000, `${latency} ms`)
    assert.ok(BigInt(status.observedResourceVersions?.['networkpolicies'] ?? '0') >= BigInt(resourceVersion as string), JSON.stringify(status.observedResourceVersions))
    await settled([node2], { networkpolicies: resourceVersion })
    assert.deepEqual(ofIt(statusIn(await objectOf(node2))), [], 'node2 has no pod of it')
    const { metadata: { generation } } = await api.patch('networking.k8s.io/v1', 'NetworkPolicy', NS, 'told', { spec: { ingress: [{ ports: [{ port: 81 }] }] } })
    assert.equal(generation, 2)
    await untilTold(node1, 'the edit is committed, too', ({ committed = [] }) => committed.some((one) => one.uid === uid && one.generation === 2))
  })

  it('a node whose commits fail lists the policy of its pods, and no longer when it is mended', async () => {
    // A table of that name that another process owns: the kernel lets nobody else read or write it.
    const nft = spawn('nsenter', [`--net=${netnsPath(node1.netns)}`, 'nft', '-i'], { stdio: ['pipe', 'ignore', 'ignore'] })
    try {
      nft.stdin.write('delete table inet picket; add table inet picket { flags owner; }\n')
      await until('the agent notices', LONGEST_WAIT_MS, async () => ((await agentStatus(node1))?.problems.some(({ code }) => code === 'KernelUnknown') === true ? true : null))
      await api.create(policy('late', 'web', 82))
      const status = statusIn(await untilTold(node1, 'it fails', (one) => failed(one).includes(`NetworkPolicy ${NS}/late`)))
      assert.ok(failed(status).includes(`NetworkPolicy ${NS}/told`))
      assert.match(said(status, 'Programmed'), /^(Unknown KernelUnknown|False CommitRefused)$/)
      assert.doesNotMatch(said(status, 'Ready'), /^True/)
      assert.equal(said(statusIn(await objectOf(node2)), 'Ready'), 'True Enforcing')
      const { status: told } = await untilPolicy(NS, 'late', 'the operator tells of the node', (one) => one.failedNodes.some(({ name }) => name === node1.name), LONGEST_WAIT_MS)
      const programmed = told.conditions.find(({ type }) => type === 'Programmed')
      assert.deepEqual([programmed?.status, programmed?.reason, told.nodes.failed], ['False', 'NodeFailures', 1])
      assert.match(programmed?.message ?? '', new RegExp(node1.name))
      await untilEvent(NS, 'late', 'ProgrammingFailed', new RegExp(node1.name), LONGEST_WAIT_MS)
    } finally {
      nft.stdin.end()
      await once(nft, 'exit')
    }
    await untilTold(node1, 'it is mended', (one) => failed(one).length === 0 && said(one, 'Ready') === 'True Enforcing' && said(one, 'Programmed') === 'True Programmed' && said(one, 'TableIntact') === 'True PacketsProve')
    await untilPolicy(NS, 'late', 'the operator tells that it is programmed', (one) => one.conditions.some(({ type, status }) => type === 'Programmed' && status === 'True'), LONGEST_WAIT_MS)
  })

  it(`nothing is written for ${IDLE_MS / 1000} s in which only watermarks and labels of policies change, and an agent that is killed writes nothing but a watermark`, async () => {
    await sleep(6_000)
    const objects = (): Promise<readonly (KubeObject | null)[]> => Promise.all(cluster.nodes.map((node) => objectOf(node)))
    // Policies of the namespace were edited since node2 last wrote: an agent that starts cannot know whether one went meanwhile, and says up to where it is.
    const withoutWatermark = (object: KubeObject | null | undefined): unknown => {
      const { observedResourceVersions, ruleset, lastProgrammedTime, ...rest } = statusIn(object ?? null)
      void [observedResourceVersions, ruleset, lastProgrammedTime]
      return rest
    }
    const before = await objects()
    await api.patch('networking.k8s.io/v1', 'NetworkPolicy', NS, 'told', { metadata: { labels: { looked: 'at' } } })
    const pid = pidOf(await agentPod(node2))
    process.kill(pid, 'SIGKILL')
    await sleep(IDLE_MS)
    await settled(cluster.nodes)
    const after = await objects()
    assert.equal(after[0]?.metadata.resourceVersion, before[0]?.metadata.resourceVersion, JSON.stringify([before[0]?.['status'], after[0]?.['status']]))
    assert.deepEqual(withoutWatermark(after[1]), withoutWatermark(before[1]))
    assert.notEqual(pidOf(await agentPod(node2)), pid)
    for (const node of cluster.nodes) assert.deepEqual((await agentStatus(node))?.problems, [])
  })

  it('an object that goes with its Node comes back under the new one', async () => {
    const before = await objectOf(node2)
    const node = await api.get('v1', 'Node', null, node2.name)
    // As the controller manager sees a Node that was made anew: an owner of the same name with another UID.
    await api.patch(API_VERSION, 'NodeEnforcement', null, node2.name, { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: node2.name, uid: 'gone' }] } })
    await until('the garbage collector takes it', LONGEST_WAIT_MS, async () => ((await objectOf(node2))?.metadata.uid === before?.metadata.uid ? null : true))
    await api.create(policy('again', 'other', 83))
    const object = await untilTold(node2, 'it is there again', (status) => said(status, 'Ready') === 'True Enforcing')
    assert.deepEqual((object.metadata['ownerReferences'] as readonly { readonly uid: string }[]).map(({ uid }) => uid), [node.metadata.uid])
  })
})
