// Raw objects that the summary takes: what is read of them, and that nothing they hold makes it throw.
import assert from 'node:assert/strict'
import { nodeEnforcementOf, policyEnforcementOf } from '../../../src/crd/objects.ts'
import { readDnsService, readNodeEnforcement, readPolicyEnforcement, readPolicyVersion } from '../../../src/summary/read.ts'
import { condition, nodeStatus, policyStatus } from '../../support/enforcements.ts'

const NODE = nodeEnforcementOf({ name: 'a', uid: 'n1' })
const POLICY = policyEnforcementOf({ namespace: 'shop', name: 'web', uid: 'u1' })

describe('what the summary reads', () => {
  it('of a NodeEnforcement: its owner and what it says', () => {
    const read = readNodeEnforcement({ ...NODE, status: nodeStatus({ conditions: [condition('Reporting')] }) })
    assert.deepEqual([read?.fault, read?.report.node, read?.report.owner, read?.report.observed, read?.report.reporting?.type], [null, 'a', 'n1', '1000', 'Reporting'])
  })
  it('of one without a status, or with one that is not as the schema says: nothing, and the fault', () => {
    assert.deepEqual([readNodeEnforcement(NODE)?.report.observed, readNodeEnforcement(NODE)?.fault], [null, null])
    const bad = readNodeEnforcement({ ...NODE, status: nodeStatus({ failuresTotal: -1 }) })
    assert.equal(bad?.report.observed, null)
    assert.match(bad?.fault ?? '', /^status\.failuresTotal: /)
  })
  it('takes the Node of its own name for its owner, and nobody else', () => {
    const [owner] = NODE.metadata.ownerReferences
    for (const other of [{ ...owner, name: 'b' }, { ...owner, kind: 'Pod' }, { ...owner, apiVersion: 'v2' }, 7, null]) {
      assert.equal(readNodeEnforcement({ ...NODE, metadata: { name: 'a', ownerReferences: [other] } })?.report.owner, null)
    }
  })
  it('of a PolicyEnforcement: its status, its versions and its policy', () => {
    const raw = { ...POLICY, metadata: { ...POLICY.metadata, uid: 'own', resourceVersion: '77' }, status: policyStatus() }
    assert.deepEqual(readPolicyEnforcement(raw), { namespace: 'shop', name: 'web', uid: 'own', resourceVersion: '77', owner: 'u1', status: policyStatus() })
    assert.equal(readPolicyEnforcement({ ...raw, status: { ...policyStatus(), nodes: 3 } })?.status, null)
  })
  it('of a NetworkPolicy: its versions, whatever its spec is', () => {
    assert.deepEqual(readPolicyVersion({ metadata: { uid: 'u1', generation: 3, resourceVersion: '12' }, spec: 7 }), { uid: 'u1', generation: 3, resourceVersion: '12' })
    assert.equal(readPolicyVersion({ metadata: {} }), null)
    assert.equal(readPolicyVersion({ metadata: { uid: 'u1', generation: -1 } })?.generation, 0)
  })
  it('of the DNS Service: the pods\' ports behind its port 53', () => {
    const ports = [{ name: 'dns', port: 53, protocol: 'UDP', targetPort: 'dns' }, { name: 'dns-tcp', port: 53, protocol: 'TCP' }, { name: 'metrics', port: 9153, targetPort: 9153 }]
    const raw = (metadata: object, spec: object = { selector: { 'k8s-app': 'kube-dns' }, ports }): unknown => ({ metadata: { namespace: 'kube-system', name: 'kube-dns', ...metadata }, spec })
    const expected = { namespace: 'kube-system', selector: new Map([['k8s-app', 'kube-dns']]), targets: [{ protocol: 'UDP', port: 'dns' }, { protocol: 'TCP', port: 53 }] }
    assert.deepEqual(readDnsService(raw({})), expected)
    assert.deepEqual(readDnsService(raw({ name: 'other', labels: { 'k8s-app': 'kube-dns' } })), expected)
    for (const other of [raw({ namespace: 'shop' }), raw({ name: 'other' }), raw({}, { ports }), raw({}, { selector: {}, ports })]) assert.equal(readDnsService(other), null)
  })
  it('throws at nothing', () => {
    for (const raw of [null, 7, [], {}, { metadata: null }, { metadata: { name: 7, namespace: 'x' } }, { metadata: { name: 'x', namespace: 'kube-system', ownerReferences: {}, labels: [] }, spec: { selector: 7, ports: 7 }, status: 7 }]) {
      for (const read of [readNodeEnforcement, readPolicyEnforcement, readPolicyVersion, readDnsService]) assert.doesNotThrow(() => read(raw))
    }
  })
})

describe('the objects that are made', () => {
  it('are owned without blockOwnerDeletion, and by one owner', () => {
    assert.deepEqual(POLICY.metadata.ownerReferences, [{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: 'web', uid: 'u1' }])
    assert.deepEqual(NODE.metadata, { name: 'a', ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'a', uid: 'n1' }] })
  })
})
