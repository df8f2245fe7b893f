// What a Pod becomes.
import assert from 'node:assert/strict'
import { SOURCE_PREFIXES, decodePod } from '../../../src/decode/pod.ts'
import { fieldsOf, good } from './support.ts'

const pod = (parts: { metadata?: object; spec?: unknown; status?: unknown } = {}) =>
  decodePod({ apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'shop', name: 'web-0', ...parts.metadata }, spec: parts.spec, status: parts.status }, 'u1', 's')

function refused(decoded: ReturnType<typeof pod>, ...fields: string[]): void {
  assert.deepEqual([decoded.kind, (decoded as { strict: unknown }).strict, fieldsOf(decoded)], ['bad', null, fields])
}

describe('decode: Pod', () => {
  it('reads everything that is kept', () => {
    const row = good(
      pod({
        metadata: { labels: { b: '2', a: '1' }, creationTimestamp: '2026-01-31T12:00:00Z', deletionTimestamp: '2026-02-01T00:00:00Z' },
        spec: { nodeName: 'n1', hostNetwork: true },
        status: { phase: 'Running', podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: 'FD00:0::1' }] },
      }),
    )
    assert.deepEqual(row, {
      uid: 'u1', namespace: 'shop', name: 'web-0', labels: new Map([['a', '1'], ['b', '2']]), node: 'n1', addresses: ['10.0.0.1', 'fd00::1'],
      hostNetwork: true, finished: false, terminating: true, createdAt: Date.UTC(2026, 0, 31, 12), ports: [], sourcePrefixes: [],
    })
    assert.deepEqual([...row.labels.keys()], ['a', 'b'])
  })

  it('keeps the owner that manages it, and no other; one that cannot be read counts as none', () => {
    const owned = (ownerReferences: unknown): unknown => good(pod({ metadata: { ownerReferences } })).controller
    const set = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-6d5f', uid: 'u', controller: true }
    assert.deepEqual(owned([{ kind: 'Backup', name: 'b', uid: 'x' }, set]), { kind: 'ReplicaSet', name: 'web-6d5f' })
    for (const none of [undefined, null, [], 'x', [{ ...set, controller: false }], [{ ...set, kind: 'Bad\u001bKind' }], [{ ...set, name: 'No\u202eName' }], [{ ...set, name: 7 }], [null, 3]]) assert.equal(owned(none), undefined)
  })

  it('rule 92: without spec and status it is a pod without node and addresses', () => {
    const row = good(pod())
    assert.deepEqual([row.node, row.addresses, row.hostNetwork, row.finished, row.terminating, row.createdAt], [null, [], false, false, false, 0])
    assert.equal(good(pod({ spec: { nodeName: '' } })).node, null)
  })

  it('rule 92: podIP and podIPs are merged, each in its own family', () => {
    assert.deepEqual(good(pod({ status: { podIP: 'fd00::5' } })).addresses, ['fd00::5'])
    assert.deepEqual(good(pod({ status: { podIPs: [{ ip: 'fd00::5' }, { ip: '10.0.0.5' }] } })).addresses, ['fd00::5', '10.0.0.5'])
    assert.deepEqual(good(pod({ status: { podIP: '10.0.0.9', podIPs: [{ ip: 'fd00::5' }] } })).addresses, ['10.0.0.9', 'fd00::5'])
    assert.deepEqual(good(pod({ status: { podIP: '', podIPs: null } })).addresses, [])
  })

  it('addresses that no packet can carry are refused', () => {
    for (const ip of ['::ffff:10.0.0.1', '::FFFF:a00:1', '10.0.0', '010.0.0.1', 'fe80::1%eth0', '10.0.0.1/32', 'x', 5, null, '']) {
      refused(pod({ status: { podIPs: [{ ip }] } }), 'status.podIPs[0].ip')
    }
    refused(pod({ status: { podIP: 'x' } }), 'status.podIP')
    refused(pod({ status: { podIPs: ['10.0.0.1'] } }), 'status.podIPs[0]')
    refused(pod({ status: { podIPs: '10.0.0.1' } }), 'status.podIPs')
  })

  it('rule 93: Succeeded and Failed are finished; an unknown phase counts as running, with a warning', () => {
    for (const phase of ['Succeeded', 'Failed']) assert.equal(good(pod({ status: { phase } })).finished, true)
    for (const phase of ['Pending', 'Running', 'Unknown']) assert.equal(good(pod({ status: { phase } })).finished, false)
    const odd = pod({ status: { phase: 'succeeded' } })
    assert.deepEqual([good(odd).finished, odd.problems.map((p) => [p.severity, p.field])], [false, [['warning', 'status.phase']]])
  })

  it('rules 40, 41: named ports of containers, then of restartable init containers, in their order', () => {
    const row = good(
      pod({
        spec: {
          initContainers: [
            { name: 'setup', ports: [{ name: 'no', containerPort: 1 }] },
            { name: 'sidecar', restartPolicy: 'Always', ports: [{ name: 'http', containerPort: 9, protocol: 'UDP' }, { name: 'http', containerPort: 8 }] },
          ],
          containers: [{ ports: [{ name: 'http', containerPort: 80 }, { containerPort: 81 }] }, { ports: [{ name: 'dns', containerPort: 53, protocol: 'UDP' }] }, {}],
        },
      }),
    )
    assert.deepEqual(row.ports.map((p) => `${p.name} ${p.protocol} ${p.port}`), ['http TCP 80', 'dns UDP 53', 'http UDP 9', 'http TCP 8'])
  })

  it('ports that cannot be read make the pod bad', () => {
    const port = (entry: unknown) => pod({ spec: { containers: [{ ports: [entry] }] } })
    refused(port({ name: 'HTTP', containerPort: 80 }), 'spec.containers[0].ports[0].name')
    refused(port({ name: 'http' }), 'spec.containers[0].ports[0].containerPort')
    refused(port({ name: 'http', containerPort: 65_536 }), 'spec.containers[0].ports[0].containerPort')
    refused(port({ name: 'http', containerPort: 80, protocol: 'tcp' }), 'spec.containers[0].ports[0].protocol')
    refused(port(80), 'spec.containers[0].ports[0]')
    refused(pod({ spec: { containers: ['x'] } }), 'spec.containers[0]')
  })

  it('labels that are no labels make the pod bad', () => {
    refused(pod({ metadata: { labels: { app: 5 } } }), 'metadata.labels[app]')
    refused(pod({ metadata: { labels: { app: null } } }), 'metadata.labels[app]')
    refused(pod({ metadata: { labels: { 'a b': 'x' } } }), 'metadata.labels[a b]')
    refused(pod({ metadata: { labels: { app: 'a,b' } } }), 'metadata.labels[app]')
    refused(pod({ metadata: { labels: { app: 'x'.repeat(64) } } }), 'metadata.labels[app]')
    refused(pod({ metadata: { labels: ['app'] } }), 'metadata.labels')
  })

  it('rule 106: names are checked, since they end up in logs', () => {
    for (const name of ['', 'Web', 'a_b', '-a', 'a..b', `a${'b'.repeat(253)}`, 5, null, 'a\n']) refused(pod({ metadata: { name } }), 'metadata.name')
    for (const namespace of ['Shop', 'a.b', 'x'.repeat(64), 5]) refused(pod({ metadata: { namespace } }), 'metadata.namespace')
    assert.equal(good(pod({ metadata: { namespace: null } })).namespace, 'default')
    assert.equal(good(pod({ metadata: { name: 'a.b-1' } })).name, 'a.b-1')
  })

  it('other fields of a wrong type make the pod bad', () => {
    refused(pod({ spec: { hostNetwork: 'yes' } }), 'spec.hostNetwork')
    refused(pod({ spec: { nodeName: 5 } }), 'spec.nodeName')
    refused(pod({ metadata: { deletionTimestamp: 5 } }), 'metadata.deletionTimestamp')
    refused(pod({ spec: 'x' }), 'spec')
    refused(pod({ status: [] }), 'status')
  })

  it('rule 87: source prefixes come from the annotation, canonical; what is no CIDR is left out with a problem', () => {
    const prefixes = (value: unknown) => pod({ metadata: { annotations: { [SOURCE_PREFIXES]: value } } })
    assert.deepEqual(good(prefixes(' 10.9.0.1/16, fd09::/16 ,,10.9.0.0/16')).sourcePrefixes.map((c) => c.text), ['10.9.0.0/16', 'fd09::/16'])
    const some = prefixes('10.9.0.0/16,nonsense')
    assert.deepEqual(good(some).sourcePrefixes.map((c) => c.text), ['10.9.0.0/16'])
    assert.deepEqual(fieldsOf(some), [`metadata.annotations[${SOURCE_PREFIXES}]`])
    assert.equal(prefixes(5).problems.length, 1)
    assert.deepEqual(good(prefixes(5)).sourcePrefixes, [])
  })

  it('a creation time that is none counts as the oldest, with a warning', () => {
    const odd = pod({ metadata: { creationTimestamp: 'yesterday' } })
    assert.deepEqual([good(odd).createdAt, fieldsOf(odd)], [0, ['metadata.creationTimestamp']])
  })
})
