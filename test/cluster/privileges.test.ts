// Who may write what, asked of a real API server with real tokens: agents their own node's object, the operator what is listed.
//
// A pod's token is bound to it, and so carries its node; Nodes and pods are made for this test, and nothing runs in them.
// **Invariant:** what is refused is refused by the manifests alone; leaves nothing behind.
import assert from 'node:assert/strict'
import path from 'node:path'
import { API_VERSION } from '../../src/crd/schema.ts'
import { condition, nodeStatus, policyStatus } from '../support/enforcements.ts'
import { grantsOf } from '../tidy/access-rules.ts'
import { api, ask, pathOf, type ApiAnswer, type KubeObject } from './api.ts'
import { openCluster, type TestCluster } from './cluster.ts'
import { pauseOperators, type PausedOperators } from './operators.ts'
import { podObject } from './pods.ts'
import { until } from './processes.ts'
import { allowedTo, linesOf, tokenOf } from './tokens.ts'

const root = path.resolve(import.meta.dirname, '../..')
const NS = 'picket-privileges-test'
const PICKET = 'picket-system'
const [OWN, OTHER] = ['picket-privileges-own', 'picket-privileges-other'] as const
const RBAC = 'rbac.authorization.k8s.io/v1'
const APPLY = 'application/apply-patch+yaml'
const MERGE = 'application/merge-patch+json'

const OTHERS_NODE = /this token of picket-agent is of node picket-privileges-own: it may write the NodeEnforcement picket-privileges-own and no other, not picket-privileges-other/
const NO_NODE = /this token of picket-agent names no node; expected the token of an agent's pod/

describe('privileges', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let operators: PausedOperators
  /** Of an agent's pod, of none, and of an operator's pod. */
  let agent: string
  let unbound: string
  let operator: string

  before(async () => {
    cluster = await openCluster(() => undefined)
    await cluster.mustKubectl(['apply', '-k', path.join(root, 'deploy/policy-only')])
    await cluster.mustKubectl(['wait', '--for=condition=Established', 'crd/nodeenforcements.picket.dev', 'crd/policyenforcements.picket.dev', '--timeout=30s'])
    operators = await pauseOperators()
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NS } })
    for (const name of [OWN, OTHER]) await api.create({ apiVersion: 'v1', kind: 'Node', metadata: { name } })
    for (const account of ['picket-agent', 'picket-operator']) await api.create(podObject({ namespace: PICKET, name: podOf(account), node: OWN, spec: { serviceAccountName: account } }))
    agent = await tokenOf(PICKET, 'picket-agent', podOf('picket-agent'))
    unbound = await tokenOf(PICKET, 'picket-agent')
    operator = await tokenOf(PICKET, 'picket-operator', podOf('picket-operator'))
    await until('the admission policy holds', 30_000, async () => (NO_NODE.test(JSON.stringify((await ask('POST', `${NODES}?dryRun=All`, nodeObject(OWN), undefined, unbound)).body)) ? true : null))
  })
  after(async () => {
    await api.remove(RBAC, 'ClusterRoleBinding', null, NS)
    await api.remove(RBAC, 'ClusterRole', null, NS)
    await api.remove('v1', 'Namespace', null, NS)
    for (const account of ['picket-agent', 'picket-operator']) await api.remove('v1', 'Pod', PICKET, podOf(account), 0)
    for (const name of [OWN, OTHER]) {
      await api.remove('v1', 'Node', null, name)
      await api.remove(API_VERSION, 'NodeEnforcement', null, name)
    }
    await operators.resume()
  })
  afterEach(async () => {
    for (const name of [OWN, OTHER]) await api.remove(API_VERSION, 'NodeEnforcement', null, name)
  })

  const NODES = pathOf(API_VERSION, 'NodeEnforcement', null)
  const podOf = (account: string): string => `${account}-privileges-test`
  const nodeObject = (name: string, more: object = {}): KubeObject => ({ apiVersion: API_VERSION, kind: 'NodeEnforcement', metadata: { name }, ...more })
  const create = (token: string, name: string): Promise<ApiAnswer> => ask('POST', NODES, nodeObject(name), undefined, token)
  const applyStatus = (token: string, name: string, status: object = nodeStatus(), manager = 'picket-agent'): Promise<ApiAnswer> =>
    ask('PATCH', `${NODES}/${name}/status?fieldManager=${manager}&force=true`, nodeObject(name, { status }), APPLY, token)
  const remove = (token: string, name: string): Promise<ApiAnswer> => ask('DELETE', `${NODES}/${name}`, null, undefined, token)
  function taken(answer: ApiAnswer): void {
    assert.ok(answer.status < 300, JSON.stringify(answer.body))
  }
  function refused(answer: ApiAnswer, why: RegExp = /cannot \w+ resource/): void {
    assert.equal(answer.status, 403, JSON.stringify(answer.body))
    assert.match((answer.body as { readonly message: string }).message, why)
  }

  it('an agent makes the object of its own node, and writes its status', async () => {
    taken(await create(agent, OWN))
    taken(await applyStatus(agent, OWN))
    taken(await ask('GET', `${NODES}/${OWN}`, null, undefined, agent))
    refused(await remove(agent, OWN))
  })

  it('an agent of another node, and a token without a node, are refused', async () => {
    refused(await create(agent, OTHER), OTHERS_NODE)
    refused(await create(unbound, OWN), NO_NODE)
    refused(await ask('POST', NODES, { ...nodeObject(''), metadata: { generateName: `${OWN}-` } }, undefined, agent), /and no other, not picket-privileges-own-/)
    await api.create(nodeObject(OWN))
    await api.create(nodeObject(OTHER))
    refused(await applyStatus(agent, OTHER), OTHERS_NODE)
    refused(await applyStatus(unbound, OWN), NO_NODE)
  })

  it('where RBAC would let an agent write all, admission still holds it to its node: object and status, CREATE, UPDATE and DELETE', async () => {
    const rules = [{ apiGroups: ['picket.dev'], resources: ['nodeenforcements', 'nodeenforcements/status'], verbs: ['*'] }]
    await api.create({ apiVersion: RBAC, kind: 'ClusterRole', metadata: { name: NS }, rules })
    await api.create({
      apiVersion: RBAC, kind: 'ClusterRoleBinding', metadata: { name: NS }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: NS },
      subjects: [{ kind: 'ServiceAccount', namespace: PICKET, name: 'picket-agent' }],
    })
    try {
      await api.create(nodeObject(OWN))
      await api.create(nodeObject(OTHER))
      const label = (token: string, name: string): Promise<ApiAnswer> => ask('PATCH', `${NODES}/${name}`, { metadata: { labels: { touched: 'yes' } } }, MERGE, token)
      await until('the role holds', 10_000, async () => ((await label(agent, OWN)).status === 200 ? true : null))
      for (const write of [label, remove, applyStatus]) {
        refused(await write(agent, OTHER), OTHERS_NODE)
        refused(await write(unbound, OWN), NO_NODE)
      }
      const { metadata } = await api.get(API_VERSION, 'NodeEnforcement', null, OTHER)
      refused(await ask('PUT', `${NODES}/${OTHER}/status`, nodeObject(OTHER, { metadata, status: {} }), undefined, agent), OTHERS_NODE)
      refused(await ask('PATCH', `${NODES}/${OTHER}-new?fieldManager=a`, nodeObject(`${OTHER}-new`), APPLY, agent), /and no other, not picket-privileges-other-new/)
      refused(await ask('DELETE', NODES, null, undefined, agent), /and no other/)
      assert.ok((await api.find(API_VERSION, 'NodeEnforcement', null, OTHER)) !== null)
      taken(await remove(agent, OWN))
      refused(await create(unbound, OWN), NO_NODE)
      taken(await create(agent, OWN))
    } finally {
      await api.remove(RBAC, 'ClusterRoleBinding', null, NS)
      await api.remove(RBAC, 'ClusterRole', null, NS)
    }
  })

  it('the condition Reporting is the operator\'s: an agent neither sets, changes nor takes it', async () => {
    taken(await create(agent, OWN))
    const reporting = { conditions: [condition('Reporting')] }
    refused(await applyStatus(agent, OWN, reporting), /the condition Reporting is the operator's/)
    taken(await applyStatus(operator, OWN, reporting, 'picket-operator'))
    taken(await applyStatus(agent, OWN))
    refused(await applyStatus(agent, OWN, { conditions: [condition('Reporting', { status: 'False' })] }), /the condition Reporting is the operator's/)
    const { conditions } = (await api.get(API_VERSION, 'NodeEnforcement', null, OWN))['status'] as { readonly conditions: readonly { readonly type: string; readonly status: string }[] }
    assert.deepEqual(conditions.find(({ type }) => type === 'Reporting')?.status, 'True')
    assert.equal(conditions.length, 4)
  })

  it('an agent writes nothing else', async () => {
    refused(await ask('POST', pathOf(API_VERSION, 'PolicyEnforcement', NS), { apiVersion: API_VERSION, kind: 'PolicyEnforcement', metadata: { name: 'x' } }, undefined, agent))
    refused(await ask('POST', pathOf('events.k8s.io/v1', 'Event', NS), eventObject('x'), undefined, agent))
    refused(await ask('PATCH', `${pathOf('v1', 'Node', null, OWN)}/status`, { status: {} }, MERGE, agent))
    refused(await ask('GET', pathOf('v1', 'Secret', PICKET), null, undefined, agent))
    refused(await ask('GET', pathOf(API_VERSION, 'NodeEnforcement', null), null, undefined, agent))
  })

  it('the operator writes the status of policies, Reporting, events and its Lease', async () => {
    const policies = pathOf(API_VERSION, 'PolicyEnforcement', NS)
    const policy = { apiVersion: API_VERSION, kind: 'PolicyEnforcement', metadata: { namespace: NS, name: 'web' } }
    taken(await ask('POST', policies, policy, undefined, operator))
    taken(await ask('PATCH', `${policies}/web/status?fieldManager=o&force=true`, { ...policy, status: policyStatus() }, APPLY, operator))
    refused(await ask('GET', `${policies}/web`, null, undefined, operator))
    refused(await ask('PATCH', `${policies}/web`, { metadata: { labels: { a: 'b' } } }, MERGE, operator))
    taken(await ask('DELETE', `${policies}/web`, null, undefined, operator))
    refused(await create(operator, OTHER))
    await api.create(nodeObject(OTHER))
    taken(await applyStatus(operator, OTHER, { conditions: [condition('Reporting', { status: 'False' })] }, 'picket-operator'))
    taken(await remove(operator, OTHER))
    const events = pathOf('events.k8s.io/v1', 'Event', NS)
    taken(await ask('POST', events, eventObject('web.1'), undefined, operator))
    taken(await ask('PATCH', `${events}/web.1`, { series: { count: 2, lastObservedTime: '2026-01-31T12:00:00.000000Z' } }, MERGE, operator))
    refused(await ask('PATCH', pathOf('networking.k8s.io/v1', 'NetworkPolicy', NS, 'web'), { metadata: { labels: { a: 'b' } } }, MERGE, operator))
  })

  it('the operator has one Lease, in its own namespace', async () => {
    const lease = (namespace: string, name: string): KubeObject => ({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec: { holderIdentity: 'test' } })
    const leases = (namespace: string): string => pathOf('coordination.k8s.io/v1', 'Lease', namespace)
    const made = await ask('POST', `${leases(PICKET)}?dryRun=All`, lease(PICKET, 'picket-operator'), undefined, operator)
    assert.ok(made.status === 201 || made.status === 409, JSON.stringify(made.body))
    const read = await ask('GET', `${leases(PICKET)}/picket-operator`, null, undefined, operator)
    assert.ok(read.status === 200 || read.status === 404, JSON.stringify(read.body))
    refused(await ask('GET', `${leases(PICKET)}/another`, null, undefined, operator))
    refused(await ask('PUT', `${leases(PICKET)}/another`, lease(PICKET, 'another'), undefined, operator))
    refused(await ask('DELETE', `${leases(PICKET)}/picket-operator`, null, undefined, operator))
    refused(await ask('POST', leases(NS), lease(NS, 'picket-operator'), undefined, operator))
  })

  it('each account may do what the page lists, of all that the API server has, and nothing else', async () => {
    const grants = grantsOf('policy-only')
    await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: NS, name: 'anybody' } })
    // Such as to ask what it may do.
    const anybody = await allowedTo(await tokenOf(NS, 'anybody'), PICKET)
    assert.ok(anybody.length < 10, anybody.join())
    for (const [account, token] of [['picket-agent', agent], ['picket-operator', operator]] as const) {
      const expected = [...linesOf(grants.get(account) ?? []), ...anybody].sort()
      assert.ok(expected.length > 15)
      assert.deepEqual([...(await allowedTo(token, PICKET))].sort(), expected, account)
    }
  })

  it('the garbage collector deletes the object of a Node that is deleted', async () => {
    const { metadata } = await api.get('v1', 'Node', null, OTHER)
    const owner = { apiVersion: 'v1', kind: 'Node', name: OTHER, uid: metadata.uid }
    await api.create({ ...nodeObject(OTHER), metadata: { name: OTHER, ownerReferences: [owner] } })
    await api.remove('v1', 'Node', null, OTHER)
    await until('it is gone', 90_000, async () => ((await api.find(API_VERSION, 'NodeEnforcement', null, OTHER)) === null ? true : null))
  })

  it('`view` reads both; of one namespace, what is in it', async () => {
    const subjects = (name: string) => [{ kind: 'ServiceAccount', namespace: NS, name }]
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' }
    for (const name of ['viewer', 'guest']) await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: NS, name } })
    await api.create({ apiVersion: RBAC, kind: 'ClusterRoleBinding', metadata: { name: NS }, roleRef, subjects: subjects('viewer') })
    await api.create({ apiVersion: RBAC, kind: 'RoleBinding', metadata: { namespace: NS, name: 'guest' }, roleRef, subjects: subjects('guest') })
    const [viewer, guest] = [await tokenOf(NS, 'viewer'), await tokenOf(NS, 'guest')]
    const policies = pathOf(API_VERSION, 'PolicyEnforcement', NS)
    for (const [token, place] of [[viewer, policies], [viewer, NODES], [viewer, pathOf(API_VERSION, 'PolicyEnforcement', null)], [guest, policies]] as const) {
      await until(`${place} can be read`, 15_000, async () => ((await ask('GET', place, null, undefined, token)).status === 200 ? true : null))
    }
    refused(await ask('GET', NODES, null, undefined, guest))
    refused(await create(viewer, OWN))
  })

  function eventObject(name: string): KubeObject {
    return {
      apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: { namespace: NS, name }, eventTime: '2026-01-31T12:00:00.000000Z', type: 'Normal', reason: 'Programmed', action: 'Enforce',
      reportingController: 'picket.dev/operator', reportingInstance: 'test', note: 'a test', regarding: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', namespace: NS, name: 'web' },
    }
  }
})
