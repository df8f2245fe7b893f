// The API server's own protobuf: its pods, Services and slices give the same rows as its JSON, by list and by watch.
//
// What the decoder believes of field numbers, frames and marks is judged here by who defines them.
// **Invariant:** both encodings are read at one resourceVersion, so that no change in between can hide a difference.
import assert from 'node:assert/strict'
import http from 'node:http'
import { acceptOf, eventsOf, itemsOf } from '../../src/kube/encodings.ts'
import { RESOURCES, type Resource } from '../../src/kube/resources.ts'
import { rowOf, versionOf } from '../../src/kube/rows.ts'
import { statusFailure } from '../../src/kube/statuses.ts'
import { api, type KubeObject } from './api.ts'
import { openCluster } from './cluster.ts'
import { FILES } from './layout.ts'
import { podObject } from './pods.ts'

const resourceOf = (name: string): Resource => RESOURCES.find(({ plural }) => plural === name) as Resource
const pods = resourceOf('pods')
const asJson = (resource: Resource): Resource => ({ ...resource, message: null })
const json = asJson(pods)
const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const NAMESPACE = 'protobuf'

interface Answer {
  readonly contentType: string
  readonly body: http.IncomingMessage
}

function get(path: string, accept: string, status = 200): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath: FILES.apiSocket, path, headers: { accept }, timeout: 30_000 }, (body) => {
      assert.equal(body.statusCode, status, path)
      resolve({ contentType: body.headers['content-type'] ?? '', body })
    })
    request.on('timeout', () => request.destroy(new Error(`no answer for 30 s: ${path}`))).on('error', reject).end()
  })
}

async function list(encoded: Resource, query: string): Promise<{ readonly contentType: string; readonly rows: ReadonlyMap<string, unknown>; readonly version: string | null; readonly next: unknown }> {
  const { contentType, body } = await get(`${encoded.path}?${query}`, acceptOf(encoded, 'list'))
  const items = itemsOf(encoded, contentType)
  const rows = new Map<string, unknown>()
  for await (const chunk of body as AsyncIterable<Buffer>) {
    for (const item of items.push(chunk)) rows.set(rowOf(item, encoded).key, { version: versionOf(item), ...rowOf(item, encoded) })
  }
  const end = items.end() as { readonly metadata: { readonly continue?: string } }
  return { contentType, rows, version: versionOf(end), next: end.metadata.continue }
}

/** The events up to the last: type, version and row, or the object of what is none of the resource's. */
async function watch(encoded: Resource, query: string, isLast: (type: unknown, version: string | null) => boolean): Promise<{ readonly contentType: string; readonly events: readonly unknown[] }> {
  const { contentType, body } = await get(`${encoded.path}?watch=true&allowWatchBookmarks=true&${query}`, acceptOf(encoded, 'watch'))
  const stream = eventsOf(encoded, contentType)
  const events: unknown[] = []
  for await (const chunk of body as AsyncIterable<Buffer>) {
    for (const { type, object } of stream.push(chunk)) {
      const last = isLast(type, versionOf(object))
      // A bookmark of the server's clock says nothing about an object.
      if (type !== 'BOOKMARK' || last) events.push(type === 'BOOKMARK' || type === 'ERROR' ? [type, object] : [type, versionOf(object), rowOf(object, encoded)])
      if (last) return { contentType, events }
    }
  }
  assert.fail(`the watch ended after ${events.length} events`)
}

describe('pods in protobuf', function () {
  this.timeout(120_000)
  /** Where the changes begin and end. */
  let first: string
  let last: string

  before(async () => {
    await openCluster(() => undefined)
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
    const ports = [{ name: 'http', containerPort: 8080 }, { name: 'dns', containerPort: 53, protocol: 'UDP' }, { containerPort: 9 }]
    const plain = podObject({ namespace: NAMESPACE, name: 'odd', node: 'nowhere' })
    const { containers } = plain['spec'] as { readonly containers: readonly object[] }
    const pod = await api.create({
      ...plain,
      metadata: { ...plain.metadata, labels: { app: 'odd', constructor: 'x', empty: '' }, annotations: { 'picket.dev/source-prefixes': '10.9.0.0/16,fd09::/64', note: 'ü€𝄞\n' } },
      spec: { ...(plain['spec'] as object), containers: containers.map((one) => ({ ...one, ports })), initContainers: [{ name: 'side', image: 'none', restartPolicy: 'Always', ports: [{ name: 'side', containerPort: 1 }] }, { name: 'once', image: 'none', ports: [{ name: 'once', containerPort: 2 }] }] },
    })
    first = pod.metadata.resourceVersion as string
    await api.patch('v1', 'Pod', NAMESPACE, 'odd', { status: { phase: 'Running', podIP: '10.244.99.1', podIPs: [{ ip: '10.244.99.1' }, { ip: 'fd00:244::99' }] } }, '/status')
    await api.patch('v1', 'Pod', NAMESPACE, 'odd', { metadata: { labels: { app: 'other' } } })
    await api.remove('v1', 'Pod', NAMESPACE, 'odd', 0)
    await api.create({ ...plain, metadata: { ...plain.metadata, name: 'stays', finalizers: ['picket.dev/test'] } })
    await api.remove('v1', 'Pod', NAMESPACE, 'stays')
    last = (await api.patch('v1', 'Pod', NAMESPACE, 'stays', { metadata: { labels: { end: 'yes' } } })).metadata.resourceVersion as string
  })

  after(async () => {
    await api.patch('v1', 'Pod', NAMESPACE, 'stays', { metadata: { finalizers: null } })
    await api.remove('v1', 'Pod', NAMESPACE, 'stays', 0)
    await api.remove('v1', 'Namespace', null, NAMESPACE)
  })

  it('are listed as in JSON, whole and in pages', async () => {
    const at = `resourceVersion=${last}&resourceVersionMatch=Exact`
    const [one, other] = [await list(pods, at), await list(json, at)]
    assert.ok(one.contentType.startsWith(PROTOBUF), one.contentType)
    assert.ok(other.contentType.startsWith('application/json'), other.contentType)
    assert.ok(one.rows.size >= 2, 'pods of the cluster')
    assert.deepEqual(one.rows, other.rows)
    assert.equal(one.version, other.version)
    const page = await list(pods, 'limit=1')
    assert.deepEqual([page.rows.size, typeof page.next], [1, 'string'])
    const rest = await list(pods, `continue=${encodeURIComponent(String(page.next))}`)
    assert.equal(rest.rows.size + 1, one.rows.size)
  })

  it('are watched as in JSON: made, changed, ended, deleted', async () => {
    const query = `resourceVersion=${Number(first) - 1}`
    const isLast = (_: unknown, version: string | null): boolean => version === last
    const [one, other] = [await watch(pods, query, isLast), await watch(json, query, isLast)]
    assert.ok(one.contentType.startsWith(PROTOBUF), one.contentType)
    assert.ok(other.contentType.startsWith('application/json'), other.contentType)
    assert.deepEqual(one.events, other.events)
    const types = new Set((one.events as readonly (readonly unknown[])[]).map(([type]) => type))
    for (const type of ['ADDED', 'MODIFIED', 'DELETED']) assert.ok(types.has(type), type)
    assert.match(JSON.stringify(one.events, plainly), /"terminating":true/)
  })

  it('begin with the whole state and its bookmark', async () => {
    const { contentType, events } = await watch(pods, 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan', (type) => type === 'BOOKMARK')
    assert.ok(contentType.startsWith(PROTOBUF), contentType)
    const { metadata } = (events.at(-1) as readonly [string, { readonly metadata: { readonly annotations: object } }])[1]
    assert.deepEqual(metadata.annotations, { 'k8s.io/initial-events-end': 'true' })
    assert.ok(versionOf({ metadata }) !== null)
  })

  it('that are refused: the reason comes through', async () => {
    const { body, contentType } = await get(`${pods.path}?continue=nonsense`, acceptOf(pods, 'list'), 400)
    assert.ok(contentType.startsWith(PROTOBUF), contentType)
    const parts: Buffer[] = []
    for await (const chunk of body as AsyncIterable<Buffer>) parts.push(chunk)
    const { message } = statusFailure(400, Buffer.concat(parts), 'the server', { verb: 'list', resource: pods }, 'nothing')
    assert.match(message, /refuses the request to list pods \(400\) \(it says: invalid continue token: continue key is not valid: .*\)$/)
  })
})

describe('Services and slices in protobuf', function () {
  this.timeout(120_000)
  const meta = (name: string, labels: Readonly<Record<string, string>> = {}): KubeObject['metadata'] => ({ namespace: NAMES, name, labels })
  const NAMES = 'protobuf-services'

  before(async () => {
    await openCluster(() => undefined)
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMES } })
    const ports = [{ name: 'http', port: 80, targetPort: 'http' }, { name: 'dns', protocol: 'UDP', port: 53, targetPort: 1053 }]
    await api.create({
      apiVersion: 'v1', kind: 'Service', metadata: meta('all', { app: 'all' }),
      spec: {
        type: 'LoadBalancer', ipFamilyPolicy: 'RequireDualStack', selector: { app: 'all' }, ports, externalIPs: ['192.0.2.7', '2001:db8::7'], externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local',
        sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 77 } }, loadBalancerSourceRanges: ['198.51.100.0/24', '2001:db8:1::/48'], trafficDistribution: 'PreferClose',
      },
    })
    await api.patch('v1', 'Service', NAMES, 'all', { status: { loadBalancer: { ingress: [{ ip: '203.0.113.7', ipMode: 'VIP' }, { ip: '203.0.113.8', ipMode: 'Proxy' }, { hostname: 'lb.example' }, { ip: '2001:db8::9' }] } } }, '/status')
    await api.create({ apiVersion: 'v1', kind: 'Service', metadata: meta('headless'), spec: { clusterIP: 'None', ports: [{ port: 1 }] } })
    await api.create({ apiVersion: 'v1', kind: 'Service', metadata: meta('named'), spec: { type: 'ExternalName', externalName: 'example.com' } })
    await api.create({ apiVersion: 'v1', kind: 'Service', metadata: meta('sctp', { 'service.kubernetes.io/service-proxy-name': 'other' }), spec: { type: 'NodePort', ports: [{ protocol: 'SCTP', port: 9 }] } })
    await api.create({
      apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: meta('own', { 'kubernetes.io/service-name': 'all' }), addressType: 'IPv6',
      ports: [{ name: 'http', port: 8080 }, { name: 'dns', protocol: 'UDP', port: 1053 }, { name: 'none' }],
      endpoints: [
        { addresses: ['2001:db8:5::1'] }, { addresses: ['2001:db8:5::2'], conditions: { ready: false, serving: true, terminating: true }, nodeName: 'n1', zone: 'z1', hints: { forZones: [{ name: 'z1' }, { name: 'z2' }] } },
        { addresses: ['2001:db8:5::3'], conditions: { ready: true }, hints: { forZones: [{ name: 'z1' }], forNodes: [{ name: 'n1' }] }, targetRef: { kind: 'Pod', name: 'a', namespace: NAMES } },
      ],
    })
    await api.create({ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: meta('empty', { 'kubernetes.io/service-name': 'all' }), addressType: 'IPv4', endpoints: [], ports: [] })
  })

  after(async () => api.remove('v1', 'Namespace', null, NAMES))

  for (const [plural, least] of [['services', 6], ['endpointslices', 3]] as const) {
    it(`${plural} are listed and watched as in JSON`, async () => {
      const resource = resourceOf(plural)
      const { version } = await list(resource, '')
      const at = `resourceVersion=${String(version)}&resourceVersionMatch=Exact`
      const [one, other] = [await list(resource, at), await list(asJson(resource), at)]
      assert.ok(one.contentType.startsWith(PROTOBUF), one.contentType)
      assert.ok(other.contentType.startsWith('application/json'), other.contentType)
      assert.ok(one.rows.size >= least, `${one.rows.size} ${plural}`)
      assert.deepEqual(one.rows, other.rows)
      const query = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan'
      const isLast = (type: unknown): boolean => type === 'BOOKMARK'
      const rowsOf = async (from: Resource): Promise<readonly unknown[]> => (await watch(from, query, isLast)).events.slice(0, -1).filter((event) => JSON.stringify(event, plainly).includes(NAMES))
      const [ours, theirs] = [await rowsOf(resource), await rowsOf(asJson(resource))]
      assert.ok(ours.length >= least - 2, `${ours.length} events`)
      assert.deepEqual(byText(ours), byText(theirs))
    })
  }
})

function plainly(_: string, value: unknown): unknown {
  return value instanceof Map ? [...value] : typeof value === 'bigint' ? String(value) : value
}

function byText(events: readonly unknown[]): readonly string[] {
  return events.map((event) => JSON.stringify(event, plainly)).sort()
}
