// The custom resources on a real API server: taken whole, explained, shown in columns, guarded by CEL, kept over an upgrade.
//
// Whatever the summary makes is written there and read back. **Invariant:** leaves no object of its own; the definitions stay, as the
// installation has them.
import assert from 'node:assert/strict'
import path from 'node:path'
import { LISTED_COMMITS, LISTED_FAILURES, type NodeEnforcementStatus, type NodeFailure } from '../../src/crd/node-enforcement.ts'
import type { PolicyEnforcementStatus } from '../../src/crd/policy-enforcement.ts'
import { API_VERSION } from '../../src/crd/schema.ts'
import { WARNING_TYPES, WARNINGS } from '../../src/crd/warnings.ts'
import { newsOf } from '../../src/summary/status.ts'
import { namespace as namespaceRow, node as nodeRow, pod, policy } from '../support/builders.ts'
import { AT, condition, nodeStatus, policyStatus } from '../support/enforcements.ts'
import { SummaryWorld } from '../support/summary-world.ts'
import { api, ask, pathOf, type ApiAnswer, type KubeObject } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { pauseOperators, type PausedOperators } from './operators.ts'
import { until } from './processes.ts'

const root = path.resolve(import.meta.dirname, '../..')
const NAMESPACE = 'picket-crds-test'
const NODE = 'picket-crds-test-node'
const APPLY = 'application/apply-patch+yaml'

describe('the custom resources', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let operators: PausedOperators

  before(async () => {
    cluster = await openCluster(() => undefined)
    await kubectl('apply', '--server-side', '--force-conflicts', '-k', path.join(root, 'crds'))
    await kubectl('wait', '--for=condition=Established', 'crd/nodeenforcements.picket.dev', 'crd/policyenforcements.picket.dev', '--timeout=30s')
    operators = await pauseOperators()
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
  })
  after(async () => {
    await api.remove(API_VERSION, 'NodeEnforcement', null, NODE)
    await api.remove('v1', 'Namespace', null, NAMESPACE)
    await operators.resume()
  })

  const kubectl = (...args: readonly string[]): Promise<string> => cluster.mustKubectl(args)
  const object = (kind: string, name: string): KubeObject => ({ apiVersion: API_VERSION, kind, metadata: { name, ...(kind === 'PolicyEnforcement' ? { namespace: NAMESPACE } : {}) } })
  const statusPath = (kind: string, name: string): string => `${pathOf(API_VERSION, kind, kind === 'PolicyEnforcement' ? NAMESPACE : null, name)}/status`
  const merge = (kind: string, name: string, status: unknown): Promise<ApiAnswer> => ask('PATCH', statusPath(kind, name), { status }, 'application/merge-patch+json')
  const statusOf = async (kind: string, name: string): Promise<unknown> => (await api.get(API_VERSION, kind, kind === 'PolicyEnforcement' ? NAMESPACE : null, name))['status']
  const ofPolicy = (name: string, fields: Partial<PolicyEnforcementStatus> = {}): PolicyEnforcementStatus => policyStatus({ policyRef: { name, uid: 'u1', resourceVersion: '900' }, ...fields })
  async function refused(name: string, status: PolicyEnforcementStatus, why: RegExp): Promise<void> {
    const answer = await merge('PolicyEnforcement', name, status)
    assert.equal(answer.status, 422, JSON.stringify(answer.body))
    assert.match((answer.body as { readonly message: string }).message, why)
  }

  it('are taken as they are: structural, established, with their names', async () => {
    for (const plural of ['nodeenforcements', 'policyenforcements']) {
      const { conditions } = (await api.get('apiextensions.k8s.io/v1', 'CustomResourceDefinition', null, `${plural}.picket.dev`))['status'] as { readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[] }
      assert.deepEqual(conditions.filter(({ type, status }) => (type === 'NonStructuralSchema' ? status !== 'False' : status !== 'True')), [], plural)
    }
    const listed = await kubectl('api-resources', '--api-group=picket.dev', '--no-headers')
    assert.match(listed, /^nodeenforcements +nodeenf +picket\.dev\/v1alpha1 +false +NodeEnforcement$/m)
    assert.match(listed, /^policyenforcements +polenf +picket\.dev\/v1alpha1 +true +PolicyEnforcement$/m)
  })

  it('kubectl explain tells every field, and defines every warning', async () => {
    const warnings = await until('kubectl knows the schema', 30_000, async () => {
      const { status, stdout } = await cluster.kubectl(['explain', 'polenf.status.warnings.type'])
      return status === 0 ? stdout.replaceAll(/\s+/g, ' ') : null
    })
    for (const type of WARNING_TYPES) assert.ok(warnings.includes(`${type}: ${WARNINGS[type]}`), type)
    assert.match((await kubectl('explain', 'nodeenf.status.failuresTotal')).replaceAll(/\s+/g, ' '), /every unlisted policy with pods here counts as pending\./)
    for (const kind of ['polenf.status', 'nodeenf.status']) assert.doesNotMatch(await kubectl('explain', kind), /<no description>/, kind)
  })

  it('CEL refuses a status under another name, nodes that do not add up, failed nodes that are not counted, and another UID', async () => {
    await api.create(object('PolicyEnforcement', 'guarded'))
    const nodes = { desired: 3, programmed: 2, pending: 0, failed: 0, stale: 0 }
    await refused('guarded', ofPolicy('other'), /policyRef\.name must be the name of this object/)
    await refused('guarded', ofPolicy('guarded', { nodes }), /exactly one of programmed, pending, failed, stale/)
    await refused('guarded', ofPolicy('guarded', { nodes: { ...nodes, failed: 1 } }), /every failed node is listed or counted/)
    await refused('guarded', ofPolicy('guarded', { timeToEnforce: { p50Ms: 2, maxMs: 1, nodes: 1 } }), /the median is not greater/)
    await refused('guarded', ofPolicy('guarded', { policyRef: { name: 'guarded', uid: 'u1', resourceVersion: 'x' } }), /resourceVersion.*should match/)
    assert.equal((await merge('PolicyEnforcement', 'guarded', ofPolicy('guarded'))).status, 200)
    await refused('guarded', ofPolicy('guarded', { policyRef: { name: 'guarded', uid: 'u2', resourceVersion: '900' } }), /has a status object of its own/)
    assert.equal((await merge('PolicyEnforcement', 'guarded', { nodes: { desired: 4, programmed: 4 } })).status, 200, 'the same one goes on')
    await api.create(object('NodeEnforcement', NODE))
    const failures = [{ ref: { kind: 'NetworkPolicy', namespace: 'a', name: 'b' }, reason: 'R', message: '', since: AT }]
    assert.equal((await merge('NodeEnforcement', NODE, { ...nodeStatus(), failures, failuresTotal: 0 })).status, 422)
    assert.equal((await merge('NodeEnforcement', NODE, { ...nodeStatus(), failures, failuresTotal: 1 })).status, 200)
    assert.equal((await merge('NodeEnforcement', NODE, { failures: null, failuresTotal: 0 })).status, 200)
  })

  it('a spec is pruned, and a status that comes with an object too: it has a way of its own', async () => {
    await api.create({ ...object('PolicyEnforcement', 'pruned'), spec: { a: 1 }, status: ofPolicy('pruned') })
    const made = await api.get(API_VERSION, 'PolicyEnforcement', NAMESPACE, 'pruned')
    assert.deepEqual([made['spec'], made['status'], made.metadata.generation], [undefined, undefined, 1])
  })

  it('kubectl get shows the columns', async () => {
    await api.create(object('PolicyEnforcement', 'shown'))
    await merge('PolicyEnforcement', 'shown', ofPolicy('shown'))
    await merge('NodeEnforcement', NODE, { ...nodeStatus(), conditions: [condition('Ready'), condition('Programmed'), condition('Reporting', { status: 'False' })] })
    const policies = (await kubectl('get', 'polenf', '-A')).split('\n')
    assert.match(policies[0] ?? '', /^NAMESPACE +NAME +PROGRAMMED +NODES +PODS +TIME-TO-ENFORCE +WARNINGS +SINCE$/)
    assert.match(policies.find((line) => line.includes(' shown ')) ?? '', /^picket-crds-test +shown +True +2\/2 +3 +18ms \(max 140ms\) +<none> +\d+\w+$/)
    const nodes = (await kubectl('get', 'nodeenf')).split('\n')
    assert.match(nodes[0] ?? '', /^NAME +REPORTING +READY +POLICIES +PODS +FAILURES +PROGRAMMED +AGE$/)
    assert.match(nodes.find((line) => line.startsWith(NODE)) ?? '', new RegExp(`^${NODE} +False +True +3 +12/20 +0 +True +\\d+\\w+$`))
    const both = await kubectl('get', 'picket', '-A')
    assert.ok(both.includes('nodeenforcement.picket.dev/') && both.includes('policyenforcement.picket.dev/'), 'the category')
    console.log(policies.concat(nodes).map((line) => `      ${line}`).join('\n'))
  })

  it('two managers own a condition each', async () => {
    await api.remove(API_VERSION, 'NodeEnforcement', null, NODE)
    await api.create(object('NodeEnforcement', NODE))
    const apply = async (manager: string, status: NodeEnforcementStatus): Promise<void> => {
      const answer = await ask('PATCH', `${statusPath('NodeEnforcement', NODE)}?fieldManager=${manager}`, { ...object('NodeEnforcement', NODE), status }, APPLY)
      assert.equal(answer.status, 200, JSON.stringify(answer.body))
    }
    await apply('operator', { conditions: [condition('Reporting')] })
    await apply('agent', nodeStatus())
    await apply('agent', nodeStatus({ failuresTotal: 2 }))
    const { conditions, failuresTotal } = (await statusOf('NodeEnforcement', NODE)) as NodeEnforcementStatus
    assert.deepEqual([conditions?.map(({ type }) => type).sort(), failuresTotal], [['Programmed', 'Ready', 'Reporting', 'TableIntact'], 2])
  })

  it('the largest status of a node is taken', async () => {
    // What the test before has written would be merged with it.
    await api.remove(API_VERSION, 'NodeEnforcement', null, NODE)
    await api.create(object('NodeEnforcement', NODE))
    const failure: NodeFailure = { ref: { kind: 'NetworkPolicy', namespace: 'n'.repeat(63), name: 'x'.repeat(253), uid: 'u'.repeat(128) }, reason: 'R'.repeat(128), message: '🐧'.repeat(1024), since: AT }
    const status = nodeStatus({
      failures: Array.from({ length: LISTED_FAILURES }, () => failure), failuresTotal: 100,
      committed: Array.from({ length: LISTED_COMMITS }, (_, index) => ({ uid: 'u'.repeat(128), generation: Number.MAX_SAFE_INTEGER, latencyMs: index })),
      observedResourceVersions: Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`resource${index}`, '9'.repeat(64)])),
    })
    const answer = await merge('NodeEnforcement', NODE, status)
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
  })

  it('what the summary says is taken, and comes back the same', async () => {
    const world = new SummaryWorld().namespaces(namespaceRow({ name: NAMESPACE })).policies(policy({ namespace: NAMESPACE, name: 'told', egress: [], ingress: [] }))
    const failure: NodeFailure = { ref: { kind: 'NetworkPolicy', namespace: NAMESPACE, name: 'told' }, reason: 'CommitRefused', message: '🐧'.repeat(1024), since: AT }
    for (let index = 0; index < 14; index++) {
      const name = `n${index}`
      world.nodes(nodeRow({ name })).pods(pod({ namespace: NAMESPACE, name, node: name })).live(name)
      if (index < 12) world.report(name, index < 11 ? { failures: [failure], failuresTotal: 1 } : { committed: [{ uid: `policy/${NAMESPACE}/told`, generation: 1, latencyMs: 7 }] })
    }
    world.step()
    const wanted = world.status('told', NAMESPACE)
    assert.equal(wanted.moreFailedNodes, 1)
    await api.create(object('PolicyEnforcement', 'told'))
    const answer = await ask('PATCH', `${statusPath('PolicyEnforcement', 'told')}?fieldManager=operator`, { ...object('PolicyEnforcement', 'told'), status: wanted }, APPLY)
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    const written = (await statusOf('PolicyEnforcement', 'told')) as PolicyEnforcementStatus
    assert.deepEqual(written, wanted)
    assert.equal(newsOf(written, wanted), 'nothing')
    await kubectl('wait', '--for=jsonpath={.status.policyGeneration}=1', '-n', NAMESPACE, 'polenf/told', '--timeout=5s')
    await kubectl('wait', '--for=condition=Programmed=false', '-n', NAMESPACE, 'polenf/told', '--timeout=5s')
  })

  it('an upgrade of the definition keeps the objects', async () => {
    const before = await api.get(API_VERSION, 'PolicyEnforcement', NAMESPACE, 'guarded')
    const definition = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/policyenforcements.picket.dev'
    const place = '/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/later'
    const added = await ask('PATCH', definition, [{ op: 'add', path: place, value: { type: 'string', maxLength: 9, description: 'Of a later version.' } }], 'application/json-patch+json')
    assert.equal(added.status, 200, JSON.stringify(added.body))
    await until('the new field is kept', 15_000, async () => {
      await merge('PolicyEnforcement', 'guarded', { later: 'kept' })
      return ((await statusOf('PolicyEnforcement', 'guarded')) as { readonly later?: string }).later === 'kept' ? true : null
    })
    await ask('PATCH', definition, [{ op: 'remove', path: place }], 'application/json-patch+json')
    const after = await until('the old definition holds again', 15_000, async () => {
      await merge('PolicyEnforcement', 'guarded', { selectedPods: 3 })
      const now = await api.get(API_VERSION, 'PolicyEnforcement', NAMESPACE, 'guarded')
      return Object.hasOwn(now['status'] as object, 'later') ? null : now
    })
    assert.deepEqual([after.metadata.uid, after['status']], [before.metadata.uid, before['status']])
  })
})
