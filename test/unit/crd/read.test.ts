// What src/crd/read.ts takes and refuses, and that the types and the schema are those of the same fields.
import assert from 'node:assert/strict'
import { LISTED_COMMITS, LISTED_FAILURES, NODE_ENFORCEMENT, type NodeEnforcementStatus } from '../../../src/crd/node-enforcement.ts'
import { POLICY_ENFORCEMENT, type PolicyEnforcementStatus } from '../../../src/crd/policy-enforcement.ts'
import { faultOf, isA } from '../../../src/crd/read.ts'
import { AT, condition, nodeStatus, policyStatus } from '../../support/enforcements.ts'

const node = (fields: object): string | null => faultOf(NODE_ENFORCEMENT.status, { ...nodeStatus(), ...fields }, 'status')
const policy = (fields: object): string | null => faultOf(POLICY_ENFORCEMENT.status, { ...policyStatus(), ...fields }, 'status')

describe('the fields of the custom resources', () => {
  it('take a whole status of each', () => {
    assert.equal(node({}), null)
    assert.equal(policy({}), null)
  })
  it('narrow what was read to its type', () => {
    const raw: unknown = JSON.parse(JSON.stringify(policyStatus()))
    assert.ok(isA(POLICY_ENFORCEMENT.status, raw))
    const typed: PolicyEnforcementStatus = raw
    const warning: 'SelectsNoPods' | 'DNSEgressBlocked' | 'NamedPortUnresolved' | 'ServiceAddressInIPBlock' | 'HostNetworkPodSelected' | 'EmptyPeer' | undefined = typed.warnings[0]?.type
    assert.equal(warning, undefined)
    // @ts-expect-error: another text is no type of a warning
    policyStatus({ warnings: [{ type: 'Other', message: '' }] })
    // @ts-expect-error: an optional field is absent, never undefined
    policyStatus({ timeToEnforce: { p50Ms: 1, maxMs: undefined, nodes: 1 } })
    // @ts-expect-error: a count is a number
    const bad: NodeEnforcementStatus = { failuresTotal: '3' }
    assert.ok(!isA(NODE_ENFORCEMENT.status, bad))
  })
  it('take a NodeEnforcement of which only the operator has written its condition', () => {
    assert.equal(faultOf(NODE_ENFORCEMENT.status, { conditions: [condition('Reporting')] }, 'status'), null)
  })
  it('leave unknown fields alone: a newer version may have written them', () => assert.equal(policy({ later: 1 }), null))
  it('name the field that is missing or of another type', () => {
    const { nodes: _, ...rest } = policyStatus()
    assert.equal(faultOf(POLICY_ENFORCEMENT.status, rest, 'status'), 'status.nodes: it is missing')
    assert.match(policy({ nodes: { desired: '2' } }) ?? '', /^status\.nodes\.desired: found "2", expected a whole number/)
    assert.match(policy({ peers: { ingress: { everyone: 1 } } }) ?? '', /^status\.peers\.ingress\.everyone: .*expected true or false/)
    assert.match(faultOf(POLICY_ENFORCEMENT.status, null, 'status') ?? '', /^status: .*expected a mapping/)
    assert.match(policy({ warnings: {} }) ?? '', /expected a list/)
  })
  it('take a resourceVersion of any length that is an integer, and nothing else', () => {
    const at = (resourceVersion: unknown): string | null => policy({ policyRef: { name: 'web', uid: 'u', resourceVersion } })
    assert.equal(at('9'.repeat(40)), null)
    for (const bad of ['', '-1', '0x1', '1.5', 'a', 7]) assert.match(at(bad) ?? '', /^status\.policyRef\.resourceVersion: /, String(bad))
    assert.match(node({ observedResourceVersions: { pods: 'x' } }) ?? '', /^status\.observedResourceVersions\.pods: /)
  })
  it('bound every list, text and map', () => {
    const failure = { ref: { kind: 'NetworkPolicy', namespace: 'a', name: 'b' }, reason: 'Refused', message: '', since: AT }
    const many = (length: number): object[] => Array.from({ length }, () => failure)
    assert.equal(node({ failures: many(LISTED_FAILURES), failuresTotal: 40 }), null)
    assert.match(node({ failures: many(LISTED_FAILURES + 1) }) ?? '', /found 33 items, expected at most 32/)
    const commits = (length: number): object[] => Array.from({ length }, () => ({ uid: 'u', generation: 1, latencyMs: 2 }))
    assert.equal(node({ committed: commits(LISTED_COMMITS) }), null)
    assert.match(node({ committed: commits(LISTED_COMMITS + 1) }) ?? '', /at most 64/)
    assert.match(node({ kernel: 'x'.repeat(129) }) ?? '', /at most 128 characters/)
    assert.equal(node({ kernel: '🐧'.repeat(128) }), null)
    const resources = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`r${index}`, '1']))
    assert.match(node({ observedResourceVersions: resources }) ?? '', /found 17 entries, expected at most 16/)
  })
  it('take a condition of one type once', () => {
    assert.match(node({ conditions: [condition('Ready'), condition('Ready')] }) ?? '', /status\.conditions: type "Ready" is there twice/)
    assert.match(node({ conditions: [condition('Ready', { status: 'Maybe' as 'True' })] }) ?? '', /expected True, False, Unknown/)
    assert.match(node({ conditions: [condition('Ready', { lastTransitionTime: 'today' })] }) ?? '', /expected a time/)
  })
})
