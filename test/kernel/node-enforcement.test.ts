// The NodeEnforcement of a real agent: real turns, a real table, and an API server of the tests' own, in a namespace that nothing leaves.
//
// **Invariant:** each test leaves the agent running, its table whole, and the object in the API.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { NODE_ENFORCEMENT, type NodeEnforcementStatus } from '../../src/crd/node-enforcement.ts'
import { faultOf } from '../../src/crd/read.ts'
import type { ApiObject } from '../support/api-server.ts'
import { podObject, PODS, POLICIES } from '../support/cluster-follower.ts'
import { KubeAgent, policyObject, SERVER } from '../support/kube-agent.ts'

const NODES = '/api/v1/nodes'
const OBJECTS = '/apis/picket.dev/v1alpha1/nodeenforcements'
const LONGEST_WAIT_MS = 20_000

interface Stored extends ApiObject {
  readonly metadata: ApiObject['metadata'] & { readonly uid: string; readonly ownerReferences?: readonly { readonly kind: string; readonly uid: string; readonly blockOwnerDeletion?: boolean }[] }
  readonly status?: NodeEnforcementStatus
}

/** Of generation `generation`, for everything in the namespace. */
function policy(name: string, generation: number, spec?: unknown): ApiObject {
  const object = policyObject(name, spec === undefined ? {} : { spec })
  return { ...object, metadata: { ...object.metadata, generation } }
}

describe('the NodeEnforcement of an agent', function () {
  this.timeout(90_000)
  let world: KubeAgent

  before(async () => {
    world = await KubeAgent.open()
    await world.order({ do: 'open' })
    world.start()
  })
  after(() => world.close())

  function stored(): Stored | null {
    const answer = world.get(`${SERVER}${OBJECTS}/n1`)
    return answer?.status === 200 ? (JSON.parse(answer.body) as Stored) : null
  }

  async function until(what: string, condition: (status: NodeEnforcementStatus, object: Stored) => boolean): Promise<Stored> {
    const end = performance.now() + LONGEST_WAIT_MS
    for (;;) {
      const object = stored()
      if (object?.status !== undefined && condition(object.status, object)) return object
      if (performance.now() > end) assert.fail(`not within ${LONGEST_WAIT_MS} ms: ${what}; ${JSON.stringify(object)} ${JSON.stringify(await world.status())}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  const said = ({ conditions = [] }: NodeEnforcementStatus, type: string): string => conditions.flatMap((one) => (one.type === type ? [`${one.status} ${one.reason}`] : [])).join()
  const names = ({ failures = [] }: NodeEnforcementStatus): readonly string[] => failures.map(({ ref, reason }) => `${ref.kind} ${ref.namespace}/${ref.name} ${reason}`)
  const problem = async (): Promise<string> => ((await world.status())?.problems ?? []).filter(({ code }) => code === 'StatusNotWritten').map(({ message }) => message).join()

  it('is made under the Node, tells what the kernel holds, and is as the schema says', async () => {
    const { status = {}, metadata } = await until('it is ready, the table is proven and the log is read', (one) => said(one, 'Ready') === 'True Enforcing' && said(one, 'TableIntact') !== 'Unknown NotProvenYet' && said(one, 'AuditHealthy') === 'True Reading')
    assert.deepEqual(metadata.ownerReferences, [{ apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'uid-n1' }])
    assert.equal(faultOf(NODE_ENFORCEMENT.status, status, 'status'), null)
    assert.equal(said(status, 'Programmed'), 'True Programmed')
    assert.deepEqual(status.counts?.pods, { isolated: 0, open: 0, pending: 1 }, 'the pod has no interface here')
    assert.deepEqual([status.counts?.policies, status.failures, status.failuresTotal, status.committed], [1, [], 0, []], 'of the initial list no latency is known')
    assert.ok((status.counts?.rules ?? 0) > 10 && (status.counts?.setElements ?? 0) > 0, JSON.stringify(status.counts))
    assert.match(status.ruleset?.hash ?? '', /^[0-9a-f]{16}-[0-9A-Z]{16}$/)
    assert.deepEqual(Object.keys(status.observedResourceVersions ?? {}).sort(), ['namespaces', 'networkpolicies', 'nodes', 'pods'])
  })

  it('tells a new generation of a policy with its latency, and has observed it', async () => {
    await world.order({ do: 'put', path: POLICIES, object: policy('two', 1) })
    const { status = {} } = await until('it is committed', ({ committed = [] }) => committed.some(({ uid, generation }) => uid === 'uid-two' && generation === 1))
    const latency = status.committed?.[0]?.latencyMs ?? -1
    assert.ok(latency >= 0 && latency < 5_000, `${latency} ms`)
    const list = JSON.parse(world.get(`${SERVER}${POLICIES}`)?.body ?? '') as { readonly items: readonly ApiObject[] }
    const version = list.items.find(({ metadata }) => metadata.name === 'two')?.metadata['resourceVersion']
    assert.ok(Number(status.observedResourceVersions?.['networkpolicies']) >= Number(version), `${status.observedResourceVersions?.['networkpolicies']} ${String(version)}`)
    assert.equal(status.counts?.policies, 2)
  })

  it('lists an edit that cannot be read, in the same write that has observed it, until it is mended', async () => {
    await world.order({ do: 'put', path: POLICIES, object: policy('two', 2, { podSelector: {}, policyTypes: ['Sideways'] }) })
    const { status = {} } = await until('it fails', (one) => names(one).length === 1)
    assert.deepEqual(names(status), ['NetworkPolicy shop/two InvalidField'])
    assert.match(status.failures?.[0]?.message ?? '', /Sideways.*the last good version stays in force/)
    assert.ok(Number(status.observedResourceVersions?.['networkpolicies']) >= 1)
    await world.order({ do: 'put', path: POLICIES, object: policy('two', 3) })
    await until('it is mended', (one) => names(one).length === 0 && (one.committed ?? []).some(({ generation }) => generation === 3))
  })

  it('lists the policies while nobody knows what the kernel holds, and tells when it is over', async () => {
    // A table of that name that another process owns: the kernel lets nobody else read or write it.
    const nft = spawn('nsenter', world.inside(['nft', '-i']), { stdio: ['pipe', 'ignore', 'ignore'] })
    try {
      nft.stdin.write('delete table inet picket; add table inet picket { flags owner; }\n')
      await world.until('it is noticed', ({ problems }) => problems.some(({ code }) => code === 'KernelUnknown'))
      await world.order({ do: 'put', path: POLICIES, object: policy('three', 1) })
      const { status = {} } = await until('it fails', (one) => said(one, 'Programmed') === 'Unknown KernelUnknown' && names(one).length === 3)
      assert.deepEqual(names(status).toSorted(), ['one', 'three', 'two'].map((name) => `NetworkPolicy shop/${name} KernelUnknown`))
      assert.equal(said(status, 'Ready'), 'Unknown KernelUnknown')
      assert.ok(!(status.committed ?? []).some(({ uid }) => uid === 'uid-three'), 'it is not told as committed')
    } finally {
      nft.stdin.end()
      await once(nft, 'exit')
    }
    await until('it is over', (one) => names(one).length === 0 && said(one, 'Ready') === 'True Enforcing' && (one.committed ?? []).some(({ uid }) => uid === 'uid-three'))
  })

  it('writes nothing while nothing changes, nor because it is started again', async () => {
    const { metadata } = stored() as Stored
    for (let i = 0; i < 10; i += 1) await world.order({ do: 'put', path: '/api/v1/namespaces', object: { metadata: { name: 'else', uid: 'uid-else', labels: { i: String(i) } } } })
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    assert.equal(stored()?.metadata['resourceVersion'], metadata['resourceVersion'], 'watermarks alone')
    await world.stop('SIGTERM')
    world.start()
    await world.until('it is ready again', ({ ready }) => ready)
    await new Promise((resolve) => setTimeout(resolve, 8_000))
    assert.equal(stored()?.metadata['resourceVersion'], metadata['resourceVersion'], JSON.stringify([metadata, stored()]))
    assert.equal(await problem(), '')
  })

  it('a missing CRD and a missing right are problems that say what to do, and end; enforcement goes on', async () => {
    await world.order({ do: 'answer', path: 'nodeenforcements', status: 404, body: '404 page not found' })
    await world.order({ do: 'put', path: POLICIES, object: policy('four', 1) })
    await world.until('it is told', ({ problems }) => problems.some(({ code, message }) => code === 'StatusNotWritten' && message.includes('kubectl apply --server-side -k crds')))
    await world.until('it is enforced all the same', ({ ready, settled }) => ready && settled)
    const forbidden = { kind: 'Status', reason: 'Forbidden', message: 'forbidden' }
    await world.order({ do: 'answer', path: 'nodeenforcements', status: 403, body: JSON.stringify(forbidden) })
    await world.until('the right is told', ({ problems }) => problems.some(({ code, message }) => code === 'StatusNotWritten' && message.includes('the role lacks the verb')))
    assert.ok((world.metrics().value('picket_status_writes_total', { result: 'PermissionMissing' }) ?? 0) >= 1)
    await world.order({ do: 'usual' })
    await until('it is written', ({ committed = [] }) => committed.some(({ uid }) => uid === 'uid-four'))
    await world.until('no trouble', ({ problems }) => problems.length === 0)
  })

  it('of a Node that is made anew it is made anew, once the old one is gone', async () => {
    const before = stored() as Stored
    await world.order({ do: 'put', path: NODES, object: { metadata: { name: 'n1', uid: 'uid-again', labels: {} } } })
    await world.order({ do: 'put', path: PODS, object: podObject('more') })
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    assert.equal(stored()?.metadata.uid, before.metadata.uid, 'it is not the agent that deletes')
    await world.order({ do: 'remove', path: OBJECTS, key: '/n1' })
    const { metadata, status = {} } = await until('it is there again', (_, object) => object.metadata.uid !== before.metadata.uid)
    assert.equal(metadata.ownerReferences?.[0]?.uid, 'uid-again')
    assert.equal(status.counts?.pods.pending, 2)
  })
})
