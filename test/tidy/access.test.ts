// Rights: what the manifests grant is on the page deploy/docs/rbac.md with a reason, and is what the programs need.
//
// Without a cluster; test/cluster/privileges.test.ts asks a real API server. **Invariant:** a rule that is added, changed or taken away
// without its line on the page is a failure.
import assert from 'node:assert/strict'
import path from 'node:path'
import { NODE_ENFORCEMENT } from '../../src/crd/node-enforcement.ts'
import { POLICY_ENFORCEMENT } from '../../src/crd/policy-enforcement.ts'
import { GROUP } from '../../src/crd/schema.ts'
import { LEASE } from '../../src/kube/lease.ts'
import { RESOURCES } from '../../src/kube/resources.ts'
import { operatorResources } from '../../src/operator/resources.ts'
import { grantsOf, named, pageGrants, pageRows, type Grant } from './access-rules.ts'
import { renderKustomization, type KubeObject } from './kustomize.ts'
import { ROOT } from './table.ts'

const OVERLAYS = ['base', 'policy-only', 'policy-only-gate', 'full']
/** The page's sections, and who each is about. */
const SECTIONS = [['## The agent', 'picket-agent'], ['## The operator', 'picket-operator'], ['## Whoever may `view`', 'view']] as const

const EXPLAIN = '## Whoever asks `picket explain`'
const OBSERVE = '## Whoever asks `picket observe`'
const byResource = (a: Grant, b: Grant): number => (a.resource < b.resource ? -1 : 1)

const grants = grantsOf('base')
const of = (whom: string): readonly Grant[] => grants.get(whom) ?? []
const verbsOn = (whom: string, resource: string): readonly string[] => of(whom).filter((one) => one.resource === resource && one.names.length === 0).flatMap(({ verbs }) => verbs)
const rowOf = ({ resource, verbs, names }: Grant): string => `${resource}${names.map((name) => ` "${name}"`).join('')} | ${verbs.join(', ')}`

function only(kind: string): KubeObject {
  const found = renderKustomization(path.join(ROOT, 'deploy/base')).filter((one) => one.kind === kind)
  assert.equal(found.length, 1, kind)
  return found[0] as KubeObject
}

describe('rights', () => {
  it('are the same in every overlay, and each is of an account on the page', () => {
    assert.deepEqual([...grants.keys()].sort(), SECTIONS.map(([, whom]) => whom).sort())
    for (const name of OVERLAYS) assert.deepEqual(grantsOf(name), grants, name)
  })
  it('are on the page, each with its reason and where it holds, and no others', () => {
    for (const [title, whom] of SECTIONS) {
      const rows = pageRows(title)
      assert.deepEqual(rows.map(([resource, verbs]) => `${resource} | ${verbs}`).sort(), of(whom).map(rowOf).sort(), title)
      for (const [resource, , where, why] of rows) {
        assert.ok((why ?? '').length > 10, `${title}: ${resource}: why?`)
        const bound = of(whom).find((one) => rowOf(one).startsWith(`${resource} |`))?.namespace ?? null
        assert.equal(where === `in ${bound}`, bound !== null, `${title}: ${resource}: ${where}`)
      }
    }
  })
  it('to read are those of what is read', () => {
    for (const { group, plural } of RESOURCES) assert.deepEqual(verbsOn('picket-agent', named(group, plural)), ['get', 'list', 'watch'], plural)
    const read = new Set(operatorResources('picket-system').map(({ group, plural }) => named(group, plural)))
    for (const resource of read) assert.deepEqual(verbsOn('picket-operator', resource).filter((verb) => verb === 'list' || verb === 'watch'), ['list', 'watch'], resource)
    for (const { resource, verbs } of of('picket-operator')) assert.equal(verbs.includes('list') || verbs.includes('watch'), read.has(resource), resource)
  })
  it('of picket explain are on the page: what is read, the agents\' settings, and exec in their pods', () => {
    const read = RESOURCES.map(({ group, plural }) => ({ resource: named(group, plural), verbs: ['list'], namespace: null, names: [] }))
    const there = (resource: string, verbs: readonly string[], ...names: readonly string[]): Grant => ({ resource, verbs, namespace: 'picket-system', names })
    const expected = [...read, there('daemonsets.apps', ['get'], 'picket-agent'), there('configmaps', ['get'], 'picket-agent'), there('pods/exec', ['get', 'create'])]
    assert.deepEqual(pageGrants(EXPLAIN).toSorted(byResource), expected.toSorted(byResource))
  })
  it('of picket observe are on the page: pods, and exec in the agents\' pods', () => {
    const pods = { resource: 'pods', verbs: ['list'], names: [] }
    assert.deepEqual(pageGrants(OBSERVE), [{ ...pods, namespace: 'picket-system' }, { ...pods, namespace: null }, { resource: 'pods/exec', verbs: ['get', 'create'], namespace: 'picket-system', names: [] }])
  })
  it('to write are to the custom resources, events and a Lease', () => {
    const [node, policy] = [named(GROUP, NODE_ENFORCEMENT.plural), named(GROUP, POLICY_ENFORCEMENT.plural)]
    const writes = (whom: string): readonly string[] => of(whom).filter(({ verbs }) => verbs.some((verb) => !['get', 'list', 'watch'].includes(verb))).map(({ resource }) => resource)
    assert.deepEqual(writes('picket-agent').toSorted(), [node, `${node}/status`])
    assert.deepEqual([...new Set(writes('picket-operator'))].sort(), ['events.events.k8s.io', named(LEASE.group, LEASE.plural), node, `${node}/status`, policy, `${policy}/status`].sort())
    assert.deepEqual(writes('view'), [])
  })
})

describe('the admission policy', () => {
  const spec = only('ValidatingAdmissionPolicy')['spec'] as {
    readonly failurePolicy: string
    readonly matchConstraints: { readonly resourceRules: readonly unknown[] }
    readonly matchConditions: readonly { readonly expression: string }[]
    readonly validations: readonly { readonly reason: string; readonly message?: string; readonly messageExpression?: string }[]
  }
  it('matches every write of the agents\' account, and nobody else\'s', () => {
    assert.equal(spec.failurePolicy, 'Fail')
    assert.deepEqual(spec.matchConstraints.resourceRules, [{ apiGroups: [GROUP], apiVersions: ['*'], operations: ['CREATE', 'UPDATE', 'DELETE'], resources: [NODE_ENFORCEMENT.plural, `${NODE_ENFORCEMENT.plural}/status`], scope: '*' }])
    const { metadata, ...agent } = only('DaemonSet')
    const { serviceAccountName } = (agent['spec'] as { readonly template: { readonly spec: { readonly serviceAccountName: string } } }).template.spec
    assert.deepEqual(spec.matchConditions.map(({ expression }) => expression), [`request.userInfo.username == 'system:serviceaccount:${metadata.namespace}:${serviceAccountName}'`])
  })
  it('is bound, denies, and says why', () => {
    const { metadata } = only('ValidatingAdmissionPolicy')
    assert.deepEqual(only('ValidatingAdmissionPolicyBinding')['spec'], { policyName: metadata.name, validationActions: ['Deny'] })
    for (const { reason, message, messageExpression } of spec.validations) assert.ok(reason === 'Forbidden' && (message ?? messageExpression ?? '').length > 20)
  })
})
