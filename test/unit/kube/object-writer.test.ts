// ObjectWriter against the test's API server over HTTP: what is sent, what comes back, and each failure in clear words.
import assert from 'node:assert/strict'
import { Credentials } from '../../../src/kube/credentials.ts'
import { ApiFailure, type FailureCode } from '../../../src/kube/failures.ts'
import { LEASE } from '../../../src/kube/lease.ts'
import { Leader } from '../../../src/kube/leader.ts'
import { ObjectWriter, type ObjectKind, type StoredObject } from '../../../src/kube/object-writer.ts'
import { getObject } from '../../../src/kube/objects.ts'
import { Transport } from '../../../src/kube/transport.ts'
import { isOlder } from '../../../src/lib/versions.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { ApiServer } from '../../support/api-server.ts'
import { kubeconfigText, TemporaryFolder } from '../../support/cluster-follower.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { STORY, tellStory } from '../../support/write-conformance.ts'

const NODE: ObjectKind = { kind: 'NodeEnforcement', plural: 'nodeenforcements', group: 'picket.dev', version: 'v1alpha1', namespaced: false }
const NODES = '/apis/picket.dev/v1alpha1/nodeenforcements'
const LEASES = '/apis/coordination.k8s.io/v1/leases'
const LIMITS = { connect: 1_000, answer: 1_000, quiet: 1_000 }

describe('kube: writing objects', () => {
  let folder: TemporaryFolder
  let server: ApiServer
  const open: Transport[] = []

  beforeEach(async () => {
    folder = await TemporaryFolder.make()
    server = await ApiServer.start()
  })
  afterEach(async () => {
    await Promise.all(open.splice(0).map((transport) => transport.close()))
    await server.close()
    await folder.remove()
  })

  async function transportTo(...apiServers: readonly string[]): Promise<Transport> {
    const kubeconfig = await folder.write('k', kubeconfigText(server.url))
    const transport = new Transport({ credentials: new Credentials({ kubeconfig, context: null, clock: systemClock }), apiServers, limits: LIMITS })
    open.push(transport)
    return transport
  }

  async function writerOf(fieldManager: string, ...apiServers: readonly string[]): Promise<ObjectWriter> {
    return new ObjectWriter({ transport: await transportTo(...apiServers), clock: systemClock, fieldManager })
  }

  const lease = (holder: string, more = {}) => ({ metadata: { namespace: 'picket', name: 'operator', ...more }, spec: { holderIdentity: holder } })
  const failed = async (promise: Promise<unknown>): Promise<readonly [FailureCode, string]> => {
    const error = await promise.then(() => assert.fail('it was taken'), (reason: unknown) => reason)
    assert.ok(error instanceof ApiFailure, String(error))
    return [error.code, error.message]
  }

  it('makes, reads, replaces and deletes; whoever has an older version, or another object in mind, changes nothing', async () => {
    const writer = await writerOf('operator')
    assert.equal(await writer.get(LEASE, lease('a').metadata), null)
    const made = await writer.create(LEASE, lease('a'))
    assert.deepEqual(await writer.get(LEASE, made.metadata), made)
    const again = await failed(writer.create(LEASE, lease('b')))
    assert.equal(again[0], 'AlreadyExists')
    assert.match(again[1], /does not create leases picket\/operator: there is one already \(409\)/)
    const second = await writer.replace(LEASE, { ...made, spec: { holderIdentity: 'b' } })
    const late = await failed(writer.replace(LEASE, { ...made, spec: { holderIdentity: 'c' } }))
    assert.equal(late[0], 'Conflict')
    assert.match(late[1], /update leases picket\/operator.*\(409\).*has been modified/)
    assert.deepEqual(server.list(LEASES), [second])
    assert.equal((await failed(writer.delete(LEASE, made.metadata, { uid: 'other' })))[0], 'Conflict')
    assert.equal((await failed(writer.delete(LEASE, made.metadata, { uid: made.metadata.uid, resourceVersion: made.metadata.resourceVersion })))[0], 'Conflict')
    assert.equal(await writer.delete(LEASE, made.metadata, { uid: made.metadata.uid, resourceVersion: second.metadata.resourceVersion }), true)
    assert.equal(await writer.delete(LEASE, made.metadata, { uid: made.metadata.uid }), false)
    assert.equal((await failed(writer.replace(LEASE, second)))[0], 'Conflict')
    assert.deepEqual(server.list(LEASES), [])
  })
  it('what is sent names the kind, the manager and the path, in the form of each verb', async () => {
    const writer = await writerOf('picket-operator')
    const made = await writer.create(LEASE, lease('a'))
    await writer.replace(LEASE, { ...made, spec: {} })
    await writer.apply(NODE, { metadata: { name: 'n1' } }, { force: true })
    await writer.apply(NODE, { metadata: { name: 'n1' }, status: { a: 1 } }, { force: false, status: true })
    await writer.delete(LEASE, made.metadata, { uid: made.metadata.uid })
    assert.deepEqual(server.asked.map(({ method, path, query }) => [method, path, query]), [
      ['POST', '/apis/coordination.k8s.io/v1/namespaces/picket/leases', { fieldManager: 'picket-operator' }],
      ['PUT', '/apis/coordination.k8s.io/v1/namespaces/picket/leases/operator', { fieldManager: 'picket-operator' }],
      ['PATCH', `${NODES}/n1`, { fieldManager: 'picket-operator', force: 'true' }],
      ['PATCH', `${NODES}/n1/status`, { fieldManager: 'picket-operator', force: 'false' }],
      ['DELETE', '/apis/coordination.k8s.io/v1/namespaces/picket/leases/operator', {}],
    ])
    const bodies = server.asked.map(({ body }) => JSON.parse(body) as Record<string, unknown>)
    assert.deepEqual(bodies.map((body) => [body['apiVersion'], body['kind']]).slice(0, 3), [['coordination.k8s.io/v1', 'Lease'], ['coordination.k8s.io/v1', 'Lease'], ['picket.dev/v1alpha1', 'NodeEnforcement']])
    assert.deepEqual(bodies[4]?.['preconditions'], { uid: made.metadata.uid })
    assert.equal(server.asked[2]?.contentType, 'application/apply-patch+yaml')
    assert.equal(server.asked[0]?.contentType, 'application/json')
  })
  it('two managers each own their part of a status: what one leaves out of the next apply goes, what the other owns stays', async () => {
    const agent = await writerOf('agent')
    const operator = await writerOf('operator')
    await agent.apply(NODE, { metadata: { name: 'n1', labels: { node: 'n1' } } }, { force: false })
    const condition = (type: string, status: string) => ({ type, status })
    await agent.apply(NODE, { metadata: { name: 'n1' }, status: { pods: 3, failures: ['x'], conditions: [condition('Ready', 'True')] } }, { force: false, status: true })
    await operator.apply(NODE, { metadata: { name: 'n1' }, status: { conditions: [condition('Reporting', 'True')] } }, { force: false, status: true })
    const after = await agent.apply(NODE, { metadata: { name: 'n1' }, status: { pods: 4, conditions: [condition('Ready', 'False')] } }, { force: false, status: true })
    assert.deepEqual(after['status'], { pods: 4, conditions: [condition('Ready', 'False'), condition('Reporting', 'True')] })
    const refused = await failed(operator.apply(NODE, { metadata: { name: 'n1' }, status: { pods: 5 } }, { force: false, status: true }))
    assert.equal(refused[0], 'Conflict')
    const same = await agent.apply(NODE, { metadata: { name: 'n1' }, status: { pods: 4, conditions: [condition('Ready', 'False')] } }, { force: false, status: true })
    assert.equal(same.metadata.resourceVersion, after.metadata.resourceVersion, 'a write that changes nothing is none')
    const forced = await operator.apply(NODE, { metadata: { name: 'n1' }, status: { pods: 5, conditions: [condition('Reporting', 'True')] } }, { force: true, status: true })
    assert.equal((forced['status'] as { pods: number }).pods, 5)
  })
  it('an apply with a version or a UID is refused where the object is no longer that, and one to a status that is not there', async () => {
    const writer = await writerOf('operator')
    const made = await writer.create(NODE, { metadata: { name: 'n1' } })
    const status = (metadata: Partial<StoredObject['metadata']>, pods: number) => writer.apply(NODE, { metadata: { name: 'n1', ...metadata }, status: { pods } }, { force: true, status: true })
    const second = await status({ resourceVersion: made.metadata.resourceVersion, uid: made.metadata.uid }, 1)
    assert.equal((await failed(status({ resourceVersion: made.metadata.resourceVersion }, 2)))[0], 'Conflict')
    assert.equal((await failed(writer.apply(NODE, { metadata: { name: 'n1', uid: 'other' } }, { force: true })))[0], 'RequestRefused')
    assert.equal((await failed(status({ uid: 'other', resourceVersion: made.metadata.resourceVersion }, 2)))[0], 'Conflict')
    assert.deepEqual(server.list(NODES), [second])
    server.remove(NODES, '/n1')
    const gone = await failed(status({ resourceVersion: second.metadata.resourceVersion }, 3))
    assert.equal(gone[0], 'NotFound')
    assert.match(gone[1], /cannot patch nodeenforcements\/status n1: it is not there \(404\)/)
    assert.equal((await failed(writer.apply(NODE, { metadata: { name: 'n1', uid: made.metadata.uid } }, { force: true })))[0], 'Conflict')
  })
  it('each failure says what was to be done, to what, and when to come again', async () => {
    const writer = await writerOf('operator')
    const body = (reason: string, more: object = {}) => JSON.stringify({ kind: 'Status', reason, message: 'because', ...more })
    const cases: readonly (readonly [number, string, FailureCode, RegExp])[] = [
      [403, body('Forbidden'), 'PermissionMissing', /the role lacks the verb "patch" on the resource "nodeenforcements\/status" of the group picket\.dev \(403\) \(it says: because\)/],
      [403, body('Forbidden', { details: { causes: [{ reason: 'NamespaceTerminating' }] } }), 'NotFound', /patch nodeenforcements\/status n1: the namespace is being deleted/],
      [404, '404 page not found', 'UnknownServer', /knows no such path \(404\) to patch nodeenforcements\/status n1/],
      [404, body('NotFound', { details: { name: 'n1' } }), 'NotFound', /is not there/],
      [409, body('Conflict'), 'Conflict', /no longer what this was computed from/],
      [409, 'null', 'Conflict', /no longer/],
      [422, body('Invalid'), 'RequestRefused', /refuses the request to patch nodeenforcements\/status n1 \(422\)/],
      [500, body('InternalError'), 'ServerError', /fails to patch nodeenforcements\/status n1 \(500\)/],
      [401, '', 'CredentialsRefused', /refuses the credentials/],
    ]
    for (const [status, text, code, words] of cases) {
      server.behaviour.instead = () => ({ status, body: text })
      const [found, message] = await failed(writer.apply(NODE, { metadata: { name: 'n1' } }, { force: true, status: true }))
      assert.equal(found, code, `${status} ${text}`)
      assert.match(message, words)
    }
    server.behaviour.instead = () => ({ status: 429, body: '', headers: { 'retry-after': '3' } })
    const error = await writer.get(NODE, { name: 'n1' }).then(() => null, (reason: unknown) => reason as ApiFailure)
    assert.deepEqual([error?.code, error?.retryAfterMs], ['Overloaded', 3000])
    server.behaviour.instead = () => ({ status: 200, body: '{"metadata":{"name":"n1"}}' })
    assert.equal((await failed(writer.get(NODE, { name: 'n1' })))[0], 'Garbage')
  })
  it('a server that hangs, or cuts, is left for the next one; nothing is written twice', async () => {
    const other = await ApiServer.start()
    try {
      const writer = await writerOf('operator', other.url, server.url)
      other.behaviour.instead = () => 'destroy'
      const made = await writer.create(NODE, { metadata: { name: 'n1' } })
      assert.deepEqual(server.list(NODES), [made])
      other.behaviour.instead = () => 'hang'
      const third = await writerOf('operator', other.url, server.url)
      await third.apply(NODE, { metadata: { name: 'n1' }, status: { pods: 1 } }, { force: true, status: true })
      assert.deepEqual(server.list(NODES).map(({ status }) => status), [{ pods: 1 }])
      // An object that is not there is not looked for elsewhere.
      const before = other.asked.length
      assert.equal(await third.get(NODE, { name: 'n2' }), null)
      assert.equal(other.asked.length, before)
    } finally {
      await other.close()
    }
  })
  it('nothing waits longer than its time, and nothing at all once its signal is aborted', async () => {
    const clock = new FakeClock()
    const writer = new ObjectWriter({ transport: await transportTo(), clock, fieldManager: 'operator', timeoutMs: 5_000 })
    server.behaviour.instead = () => 'hang'
    const late = failed(writer.create(NODE, { metadata: { name: 'n1' } }))
    while (server.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    await clock.advance(5_000)
    assert.deepEqual(await late, ['Hung', 'no API server has answered to create nodeenforcements n1 for 5 s'])
    const stop = new AbortController()
    const ended = writer.get(NODE, { name: 'n1' }, stop.signal)
    stop.abort(new Error('closed'))
    await assert.rejects(ended, /closed/)
  })
  it('mistakes of our own are no requests', async () => {
    const writer = await writerOf('operator')
    assert.equal((await failed(writer.replace(LEASE, lease('a'))))[0], 'Internal')
    for (const name of ['', '.', '..', 'a/b', 'a%2fb']) assert.equal((await failed(writer.get(NODE, { name })))[0], 'Internal', name)
    assert.equal((await failed(writer.get(LEASE, { name: 'a' })))[0], 'Internal')
    assert.equal((await failed(writer.get(NODE, { namespace: 'b', name: 'a' })))[0], 'Internal')
    assert.deepEqual(server.asked, [])
    await writer.create({ ...NODE, plural: 'roles' }, { metadata: { name: 'system:a b' } })
    assert.equal((await writer.get({ ...NODE, plural: 'roles' }, { name: 'system:a b' }))?.metadata.name, 'system:a b')
  })
  it('the story of writes, as a real API server tells it (test/cluster/writes.test.ts)', async () => {
    assert.deepEqual(await tellStory(await writerOf('a'), await writerOf('b'), 'shop'), STORY)
    assert.deepEqual([server.list('/apis/test.picket.dev/v1/trials'), server.list(LEASES)], [[], []])
  })
  it('who only looks sees the same: an object, or none', async () => {
    const transport = await transportTo()
    const path = { path: `${NODES}/n1`, plural: 'nodeenforcements', group: 'picket.dev' }
    assert.equal(await getObject(transport, path, new AbortController().signal), null)
    await (await writerOf('operator')).create(NODE, { metadata: { name: 'n1' } })
    assert.equal(((await getObject(transport, path, new AbortController().signal)) as StoredObject).metadata.name, 'n1')
  })
  it('over HTTP, too, one of two leads, and the next one when it ends', async () => {
    const times = { duration: 1_500, deadline: 1_000, retry: 50 }
    const told: string[] = []
    const make = async (identity: string): Promise<Leader> => {
      const writer = await writerOf(identity)
      return new Leader({ writer, clock: systemClock, random: Math.random, namespace: 'picket', name: 'operator', identity, times, onStarted: () => void told.push(`${identity} leads`), onStopped: () => void told.push(`${identity} ends`) })
    }
    const until = async (condition: () => boolean): Promise<void> => {
      for (const end = Date.now() + 10_000; !condition(); ) {
        assert.ok(Date.now() < end, told.join(', '))
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    const [a, b] = [await make('a'), await make('b')]
    a.start()
    await until(() => a.leads())
    b.start()
    await until(() => b.holder === 'a')
    await a.close()
    await until(() => b.leads())
    await b.close()
    assert.deepEqual(told, ['a leads', 'a ends', 'b leads', 'b ends'])
    assert.deepEqual(server.list(LEASES).map(({ spec }) => (spec as { holderIdentity?: string }).holderIdentity), [undefined])
  })
})

describe('kube: resource versions', () => {
  it('are whole numbers of any length, compared as such', () => {
    assert.deepEqual([isOlder('9', '10'), isOlder('10', '9'), isOlder('10', '10'), isOlder('9'.repeat(40), `1${'0'.repeat(40)}`)], [true, false, false, true])
    assert.deepEqual([isOlder('a', '10'), isOlder('10', ''), isOlder('-1', '10')], [false, false, false])
  })
})
