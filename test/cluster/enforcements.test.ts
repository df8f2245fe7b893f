// What people read of a real cluster's policies: PolicyEnforcements that the operator writes, from what real agents say.
//
// On the installation of install.test.ts: agents on every node, two operators. **Invariant:** what the cluster had before is there
// afterwards: agents and operators run, nodes have their pods.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { PolicyEnforcementStatus } from '../../src/crd/policy-enforcement.ts'
import { API_VERSION } from '../../src/crd/schema.ts'
import type { Condition } from '../../src/crd/shared.ts'
import { eventFaults, type KeptEvent } from '../support/event-rules.ts'
import { agentPod } from './agents.ts'
import { api, ask, pathOf, type KubeObject } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { condition, enforcementOf, said, untilEvent, untilPolicy, webOnEachNode, type Stored, type Told } from './enforcement-objects.ts'
import { endKubeProxies, startKubeProxy } from './kube-proxy.ts'
import { CONTROL, FILES, type NodePlace } from './layout.ts'
import { pidOf } from './pods.ts'
import { mustRun, sleep, until } from './processes.ts'

const NS = 'enforcements'
const NETWORKING = 'networking.k8s.io/v1'
const ROOT = path.resolve(import.meta.dirname, '../..')

function policy(name: string, spec: unknown = { podSelector: {}, policyTypes: ['Ingress'] }, labels: Readonly<Record<string, string>> = {}): KubeObject {
  return { apiVersion: NETWORKING, kind: 'NetworkPolicy', metadata: { namespace: NS, name, labels }, spec }
}

const enforcement = (name: string): Promise<Stored | null> => enforcementOf(NS, name)
const told = (name: string, what: string, wanted: (status: PolicyEnforcementStatus) => boolean, timeout = 20_000): Promise<Told> => untilPolicy(NS, name, what, wanted, timeout)
/** Who leads, and the pod of that. */
const holder = async (): Promise<string> => ((await api.get('coordination.k8s.io/v1', 'Lease', 'picket-system', 'picket-operator'))['spec'] as { readonly holderIdentity?: string }).holderIdentity ?? ''
const podOf = (identity: string): string => identity.slice(0, identity.lastIndexOf('_'))
const event = (name: string, reason: string, note: RegExp, namespace = NS): Promise<void> => untilEvent(namespace, name, reason, note, 20_000)

interface AuditLine {
  readonly verb: string
  /** With the pod that the token is bound to. */
  readonly user: { readonly username: string; readonly extra?: Readonly<Record<string, readonly string[]>> }
  readonly objectRef: { readonly resource: string; readonly subresource?: string; readonly name?: string; readonly namespace?: string }
  readonly responseStatus: { readonly code: number }
}

function auditSince(offset: number): readonly AuditLine[] {
  const lines = readFileSync(FILES.audit, 'utf8').slice(offset).split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as AuditLine)
}

/** What Picket wrote since, by whom: `operator patch policyenforcements/status`. */
function writesSince(offset: number): readonly string[] {
  return auditSince(offset).map(({ verb, user, objectRef: { resource, subresource } }) => `${user.username.split('picket-').at(-1) ?? ''} ${verb} ${resource}${subresource === undefined ? '' : `/${subresource}`}`)
}

/** Pods of operators whose writes of custom resources were taken since. */
function writersSince(offset: number): readonly string[] {
  const taken = auditSince(offset).filter(({ user, objectRef, responseStatus }) => user.username.endsWith(':picket-operator') && /^(policy|node)enforcements$/.test(objectRef.resource) && responseStatus.code < 300)
  return [...new Set(taken.map(({ user }) => user.extra?.['authentication.kubernetes.io/pod-name']?.[0] ?? 'nobody'))]
}

/** The lines of a page that wait with kubectl for `shop/web`, as arguments for another policy. */
function waitsOf(page: string, name: string, generation: unknown): readonly (readonly string[])[] {
  const lines = [...readFileSync(path.join(ROOT, page), 'utf8').matchAll(/^kubectl -n shop (wait .*)$/gm)]
  return lines.map(([, line = '']) => line.replaceAll("'", '').replace('"$GENERATION"', String(generation)).replace('polenf/web', `polenf/${name}`).split(' '))
}

function auditEnd(): number {
  return readFileSync(FILES.audit, 'utf8').length
}

describe('enforcements', function () {
  this.timeout(240_000)
  let cluster: TestCluster

  before(async () => {
    cluster = await openCluster(() => undefined)
    await webOnEachNode(cluster, NS)
  })

  after(async () => {
    await api.remove('v1', 'Namespace', null, NS)
  })

  it('a new policy is programmed on every node with a selected pod, and how long that took is told', async () => {
    const made = await api.create(policy('new'))
    const { status, metadata } = await told('new', 'programmed', (now) => said(now, 'Programmed') === 'True/Programmed' && now.timeToEnforce?.nodes === cluster.nodes.length)
    const nodes = { desired: cluster.nodes.length, programmed: cluster.nodes.length, pending: 0, failed: 0, stale: 0 }
    assert.deepEqual([status.nodes, status.policyGeneration, status.policyRef.uid, status.selectedPods], [nodes, 1, made.metadata.uid, cluster.nodes.length])
    assert.ok((status.timeToEnforce?.maxMs ?? Infinity) < 5000, JSON.stringify(status.timeToEnforce))
    const owners = metadata['ownerReferences'] as readonly Readonly<Record<string, unknown>>[]
    assert.deepEqual(owners.map(({ kind, name, uid, blockOwnerDeletion }) => [kind, name, uid, blockOwnerDeletion ?? false]), [['NetworkPolicy', 'new', made.metadata.uid, false]])
    await event('new', 'Programmed', /generation 1.*2\/2/)
    console.log((await cluster.mustKubectl(['get', 'polenf,nodeenf', '-A'])).split('\n').map((line) => `      ${line}`).join('\n'))
  })

  it('the pages\' lines for kubectl alone end when it is programmed: of a new policy, and of an edit', async () => {
    for (const [page, change] of [['README.md', null], ['deploy/docs/status.md', { spec: { policyTypes: ['Ingress', 'Egress'] } }]] as const) {
      const { metadata: { generation } } = change === null ? await api.create(policy('waited')) : await api.patch(NETWORKING, 'NetworkPolicy', NS, 'waited', change)
      const waits = waitsOf(page, 'waited', generation)
      assert.equal(waits.length, 3, page)
      for (const args of waits) await cluster.mustKubectl(['-n', NS, ...args], { timeout: 70_000 })
      const { status } = (await enforcement('waited')) ?? {}
      assert.deepEqual([status?.policyGeneration, said(status, 'Programmed')], [generation, 'True/Programmed'], page)
    }
    await api.remove(NETWORKING, 'NetworkPolicy', NS, 'waited')
    await until('its status is collected', 20_000, async () => ((await enforcement('waited')) === null ? true : null))
  })

  it('an edit costs under five writes besides the nodes\' own, by the audit log of the API server', async () => {
    await sleep(12_000)
    const from = auditEnd()
    await api.patch(NETWORKING, 'NetworkPolicy', NS, 'new', { spec: { policyTypes: ['Ingress', 'Egress'] } })
    await told('new', 'programmed at generation 2', (now) => now.policyGeneration === 2 && said(now, 'Programmed') === 'True/Programmed')
    await sleep(8000)
    const writes = writesSince(from).filter((one) => !one.endsWith(' leases'))
    const others = writes.filter((one) => !one.startsWith('agent '))
    console.log(`      ${JSON.stringify(writes)}`)
    assert.ok(others.length >= 1 && others.length < 5, JSON.stringify(others))
    assert.ok(writes.length - others.length <= 2 * cluster.nodes.length, JSON.stringify(writes))
  })

  it('labels and annotations alone write nothing, and edits keep times right in a storm', async () => {
    const before = await told('new', 'settled', (now) => now.policyGeneration === 2)
    await api.patch(NETWORKING, 'NetworkPolicy', NS, 'new', { metadata: { labels: { a: 'b' } } })
    await sleep(3000)
    assert.equal((await enforcement('new'))?.metadata.resourceVersion, before.metadata.resourceVersion)
    const began = Math.floor(Date.now() / 1000) * 1000
    for (let index = 0; index < 40; index++) {
      await api.patch(NETWORKING, 'NetworkPolicy', NS, 'new', { metadata: { annotations: { storm: `${index}` } } })
      await api.patch(NETWORKING, 'NetworkPolicy', NS, 'new', { spec: { ingress: [{ ports: [{ protocol: 'TCP', port: 1000 + index }] }] } })
    }
    const ended = Date.now()
    const { status } = await told('new', 'programmed at generation 42', (now) => now.policyGeneration === 42 && said(now, 'Programmed') === 'True/Programmed', 60_000)
    const since = Date.parse(condition(status, 'Programmed')?.lastTransitionTime ?? '')
    assert.ok(since >= began && since >= Math.floor(ended / 1000) * 1000 - 1000, `programmed since ${new Date(since).toISOString()}, the last edit was at ${new Date(ended).toISOString()}`)
    const accepted = Date.parse(condition(status, 'Accepted')?.lastTransitionTime ?? '')
    assert.ok(accepted < began, 'it was accepted all the time')
    await api.patch(NETWORKING, 'NetworkPolicy', NS, 'new', { metadata: { annotations: { storm: 'after' } } })
    await sleep(3000)
    assert.equal(Date.parse(condition((await enforcement('new'))?.status, 'Programmed')?.lastTransitionTime ?? ''), since)
  })

  it('a policy that was deleted and made anew within a second has a status object of its own', async () => {
    const before = await told('new', 'there', () => true)
    await api.remove(NETWORKING, 'NetworkPolicy', NS, 'new')
    const made = await api.create(policy('new'))
    const after = await told('new', 'of the new policy', (now) => now.policyRef.uid === made.metadata.uid && said(now, 'Programmed') === 'True/Programmed', 30_000)
    assert.notEqual(after.metadata.uid, before.metadata.uid)
    assert.equal(after.status.policyGeneration, 1)
  })

  it('an object that no API server would take, written to etcd, is Invalid, with the field', async () => {
    const uid = '00000000-0000-4000-8000-00000000bad1'
    const bad = { ...policy('bad', { podSelector: {}, policyTypes: ['Ingress'], ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/33' } }] }] }) }
    const object = { ...bad, metadata: { ...bad.metadata, uid, generation: 1, creationTimestamp: new Date().toISOString().replace(/\.\d+/, '') } }
    await mustRun({ netns: CONTROL }, [process.execPath, path.join(ROOT, 'test/bench/etcd-put.ts')], { input: `${JSON.stringify({ key: `/registry/networkpolicies/${NS}/bad`, object })}\n` })
    const { status } = await told('bad', 'Invalid', (now) => said(now, 'Accepted') === 'False/Invalid')
    assert.match(condition(status, 'Accepted')?.message ?? '', /spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr.*10\.0\.0\.0\/33/)
    assert.equal(said(status, 'Stalled'), 'True/Invalid')
    await event('bad', 'Invalid', /ipBlock\.cidr/)
    await api.remove(NETWORKING, 'NetworkPolicy', NS, 'bad')
    await until('the status of the bad policy is collected', 20_000, async () => ((await enforcement('bad')) === null ? true : null))
  })

  it('a stopped agent turns stale, and recovers', async () => {
    const [node] = cluster.nodes
    assert.ok(node !== undefined)
    const pid = pidOf(await agentPod(node))
    process.kill(pid, 'SIGSTOP')
    try {
      const { status } = await told('new', 'stale on a node', (now) => said(now, 'Programmed') === 'Unknown/NoReport', 90_000)
      assert.deepEqual([status.nodes.stale, status.nodes.programmed], [1, cluster.nodes.length - 1])
      assert.match(condition(status, 'Programmed')?.message ?? '', new RegExp(node.name))
      assert.equal(said(status, 'Reconciling'), 'True/NoReport')
      const reporting = (await api.get(API_VERSION, 'NodeEnforcement', null, node.name))['status'] as { readonly conditions: readonly Condition[] }
      assert.equal(said(reporting, 'Reporting'), 'False/AgentNotReady')
      await event(node.name, 'NotEnforced', /does not report/, 'default')
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await told('new', 'programmed again', (now) => said(now, 'Programmed') === 'True/Programmed', 90_000)
  })

  it('a Node that was deleted and made anew within a second has a NodeEnforcement of its own', async () => {
    const place = cluster.nodes.at(-1) as NodePlace
    const { name } = place
    const before = await api.get(API_VERSION, 'NodeEnforcement', null, name)
    const node = await api.get('v1', 'Node', null, name)
    await api.remove('v1', 'Node', null, name)
    const { uid, resourceVersion, creationTimestamp, managedFields, ...metadata } = node.metadata
    const made = await api.create({ ...node, metadata })
    assert.notEqual(made.metadata.uid, uid)
    void [resourceVersion, creationTimestamp, managedFields]
    await ask('PUT', `${pathOf('v1', 'Node', null, name)}/status`, { ...made, status: node['status'] })
    const after = await until('the NodeEnforcement is another one', 60_000, async () => {
      const found = await api.find(API_VERSION, 'NodeEnforcement', null, name)
      const owners = (found?.metadata['ownerReferences'] ?? []) as readonly { readonly uid: string }[]
      return found !== null && owners[0]?.uid === made.metadata.uid && (found['status'] as { readonly conditions?: unknown } | undefined)?.conditions !== undefined ? found : null
    })
    assert.notEqual(after.metadata.uid, before.metadata.uid)
    // It ends with its Node.
    await endKubeProxies([place])
    startKubeProxy(place, cluster.roomOf(name), cluster.programs)
    await told('new', 'programmed everywhere', (now) => said(now, 'Programmed') === 'True/Programmed' && now.nodes.desired === cluster.nodes.length, 90_000)
  })

  it('another operator takes over at once, and writes nothing that is there already', async () => {
    const former = await holder()
    const before = (await api.list(API_VERSION, 'PolicyEnforcement', NS)).map(({ metadata }) => metadata.resourceVersion)
    await api.remove('v1', 'Pod', 'picket-system', podOf(former))
    const next = await until('another one leads', 20_000, async () => {
      const now = await holder()
      return now !== '' && now !== former ? now : null
    })
    assert.notEqual(next, former)
    await sleep(6000)
    assert.deepEqual((await api.list(API_VERSION, 'PolicyEnforcement', NS)).map(({ metadata }) => metadata.resourceVersion), before)
    await api.create(policy('second', { podSelector: { matchLabels: { app: 'nobody' } } }))
    const { status } = await told('second', 'told by the new leader', (now) => said(now, 'Programmed') === 'True/Programmed')
    assert.deepEqual([status.nodes.desired, status.warnings.map(({ type }) => type)], [0, ['SelectsNoPods']])
    await cluster.mustKubectl(['-n', 'picket-system', 'rollout', 'status', 'deployment/picket-operator', '--timeout=120s'], { timeout: 150_000 })
  })

  /** Behind the other one: whoever lost the Lease is quiet for a minute when it leads again. */
  it('a leader that stands still is followed by another one, and writes nothing more when it goes on', async () => {
    const former = podOf(await holder())
    const edited = async (types: readonly string[]): Promise<void> => {
      const { metadata: { generation } } = await api.patch(NETWORKING, 'NetworkPolicy', NS, 'new', { spec: { policyTypes: types } })
      await told('new', `programmed at generation ${String(generation)}`, (now) => now.policyGeneration === generation && said(now, 'Programmed') === 'True/Programmed', 70_000)
    }
    const pid = pidOf(await api.get('v1', 'Pod', 'picket-system', former))
    process.kill(pid, 'SIGSTOP')
    let from: number
    let next: string
    try {
      // What was on its way has arrived.
      await sleep(1000)
      from = auditEnd()
      next = await until('another one leads', 40_000, async () => {
        const now = podOf(await holder())
        return now !== '' && now !== former ? now : null
      })
      await edited(['Ingress', 'Egress'])
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await edited(['Ingress'])
    await sleep(5000)
    assert.deepEqual([writersSince(from), podOf(await holder())], [[next], next])
    await cluster.mustKubectl(['-n', 'picket-system', 'rollout', 'status', 'deployment/picket-operator', '--timeout=120s'], { timeout: 150_000 })
  })

  it('was told as Events: Programmed once a generation, whatever flapped and whoever led; Invalid with the field; NotEnforced of the Node', async () => {
    const events = (await api.list('events.k8s.io/v1', 'Event', null)) as unknown as readonly KeptEvent[]
    const ours = events.filter(({ reportingController }) => reportingController === 'picket.dev/operator')
    assert.deepEqual(ours.flatMap(eventFaults), [])
    const of = (reason: string, name: string): readonly KeptEvent[] => ours.filter((one) => one.reason === reason && one.regarding?.name === name)
    const generations = of('Programmed', 'new').map(({ regarding, note, series }) => `${regarding?.uid} ${/^generation \d+/.exec(note ?? '')?.[0]}${series === undefined ? '' : ` x${series.count}`}`)
    assert.ok(generations.some((text) => text.endsWith(' generation 42')), generations.join())
    assert.equal(new Set(generations).size, generations.length)
    assert.ok(generations.every((text) => !text.includes(' x')), generations.join())
    assert.match(of('Invalid', 'bad')[0]?.note ?? '', /spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr/)
    assert.ok(of('NotEnforced', cluster.nodes[0]?.name ?? '').some(({ note }) => /the node does not report \(AgentNotReady\)/.test(note ?? '')))
  })

  it('deletion collects the status objects', async () => {
    for (const name of ['new', 'second']) await api.remove(NETWORKING, 'NetworkPolicy', NS, name)
    await until('they are gone', 20_000, async () => ((await api.list(API_VERSION, 'PolicyEnforcement', NS)).length === 0 ? true : null))
  })
})
