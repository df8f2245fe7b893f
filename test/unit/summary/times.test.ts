// Generations, resourceVersions and times: what is first, what stays, and what another operator left.
import assert from 'node:assert/strict'
import type { PolicyCommit } from '../../../src/crd/node-enforcement.ts'
import type { PolicyEnforcementStatus } from '../../../src/crd/policy-enforcement.ts'
import { compareVersions } from '../../../src/lib/versions.ts'
import { namespace, node, pod, policy } from '../../support/builders.ts'
import { policyStatus } from '../../support/enforcements.ts'
import { badField, conditionOf, said, SILENT, SummaryWorld } from '../../support/summary-world.ts'

const UID = 'policy/default/policy'
const since = (world: SummaryWorld, type = 'Programmed'): string | undefined => conditionOf(world.status(), type)?.lastTransitionTime
const at = (minute: number): string => `2026-01-31T12:${String(minute).padStart(2, '0')}:00Z`

/** One policy with a pod on each node, all alive, who have observed up to 1000. */
function world(nodes: readonly string[] = ['a']): SummaryWorld {
  const made = new SummaryWorld().namespaces(namespace())
  for (const name of nodes) made.nodes(node({ name })).pods(pod({ name: `on-${name}`, node: name })).live(name).report(name)
  return made
}
/** What an operator before wrote of the policy. */
function before(fields: Partial<PolicyEnforcementStatus>, resourceVersion = '400', generation = 1): PolicyEnforcementStatus {
  return policyStatus({ policyRef: { name: 'policy', uid: UID, resourceVersion }, policyGeneration: generation, ...fields })
}

describe('resourceVersions', () => {
  it('are compared as integers of any length; what is none is neither older nor newer', () => {
    const order = (one: string, other: string): number | null => {
      const found = compareVersions(one, other)
      return found === null ? null : Math.sign(found)
    }
    assert.equal(order('9', '10'), -1)
    assert.equal(order('10', '9'), 1)
    assert.equal(order('007', '7'), 0)
    assert.equal(order('0', '00'), 0)
    assert.equal(order(`1${'0'.repeat(50)}`, `1${'0'.repeat(49)}1`), -1)
    assert.equal(order('9'.repeat(50), `1${'0'.repeat(50)}`), -1)
    for (const bad of ['', 'x', '-1', '1.0', ' 1']) assert.equal(order(bad, '1'), null, bad)
  })
})

describe('policyRef.resourceVersion', () => {
  it('is that at which this generation was first seen: labels raise it and change nothing', () => {
    const one = world().policyAt(policy(), '500')
    one.step()
    one.policyAt(policy(), '2000')
    assert.deepEqual([...one.step().changed], [])
    assert.deepEqual(one.status().policyRef, { name: 'policy', uid: UID, resourceVersion: '500' })
    assert.equal(said(one.status(), 'Programmed'), 'True/Programmed')
  })
  it('is a new one with every generation, which nodes have to observe anew', () => {
    const one = world().policyAt(policy(), '500')
    one.step()
    one.policyAt(policy({ generation: 2, pods: '!z' }), '2000').step()
    assert.deepEqual([one.status().policyGeneration, one.status().policyRef.resourceVersion, said(one.status(), 'Programmed')], [2, '2000', 'False/Reconciling'])
    one.report('a', { observedResourceVersions: { networkpolicies: '2000' } }).step()
    assert.equal(said(one.status(), 'Programmed'), 'True/Programmed')
  })
  it('is taken over from the operator before, of the same UID and generation only', () => {
    const seen = (written: PolicyEnforcementStatus): string => {
      const one = world()
      one.written.set('default/policy', written)
      one.policyAt(policy(), '2000').step()
      return `${one.status().policyRef.resourceVersion} ${said(one.status(), 'Programmed')}`
    }
    assert.equal(seen(before({})), '400 True/Programmed')
    assert.equal(seen(before({}, '400', 7)), '2000 False/Reconciling', 'another generation')
    assert.equal(seen(before({ policyRef: { name: 'policy', uid: 'other', resourceVersion: '400' } })), '2000 False/Reconciling', 'another UID')
    assert.equal(seen(before({}, '3000')), '2000 False/Reconciling', 'versions went down: etcd was restored')
  })
  it('of a bad edit is that of the edit, though the last good version stays in force', () => {
    const one = world().policyAt(policy(), '500')
    one.step()
    const bad = policy({ generation: 2 })
    one.decoded(bad, { kind: 'bad', strict: bad, problems: [badField(bad)] }, '600').step()
    assert.deepEqual([one.status().policyGeneration, one.status().policyRef.resourceVersion], [2, '600'])
  })
})

describe('Accepted', () => {
  const after = (kind: 'good' | 'bad', code: string, severity: 'error' | 'warning', more = 0): PolicyEnforcementStatus => {
    const row = policy()
    const problems = [{ ...badField(row), code, severity }, ...Array.from({ length: more }, (_, index) => ({ ...badField(row, `spec.z${index}`), code, severity }))]
    const one = world().decoded(row, kind === 'bad' ? { kind, strict: row, problems } : { kind, row, problems })
    one.step()
    return one.status()
  }
  it('is True/Accepted for a policy without problems', () => {
    const one = world().policies(policy())
    one.step()
    assert.equal(said(one.status(), 'Accepted'), 'True/Accepted')
  })
  it('is False/Invalid with the field where one cannot be read, and Stalled', () => {
    const status = after('bad', 'InvalidField', 'error')
    assert.deepEqual([said(status, 'Accepted'), said(status, 'Stalled')], ['False/Invalid', 'True/Invalid'])
    assert.match(conditionOf(status, 'Accepted')?.message ?? '', /^spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr: found "10\.0\.0\.0\/33", expected a CIDR/)
    assert.match(conditionOf(after('bad', 'InvalidField', 'error', 4), 'Accepted')?.message ?? '', /\(and 4 more\)$/)
  })
  it('is False/Unsupported with the field where there is one that Picket does not know', () => {
    const status = after('good', 'UnknownField', 'warning')
    assert.deepEqual([said(status, 'Accepted'), said(status, 'Stalled')], ['False/Unsupported', 'True/Unsupported'])
  })
  it('stays True where there is only something to remark', () => {
    const status = after('good', 'MissingField', 'warning')
    assert.equal(said(status, 'Accepted'), 'True/Accepted')
    assert.match(conditionOf(status, 'Accepted')?.message ?? '', /^spec\.ingress/)
  })
  it('is True again when the policy was corrected, and what is wrong with another one does not matter', () => {
    const [row, other] = [policy(), policy({ name: 'other' })]
    const one = world().decoded(row, { kind: 'bad', strict: row, problems: [badField(row)] }).decoded(other, { kind: 'bad', strict: other, problems: [badField(other)] })
    one.step()
    one.policies(policy({ generation: 2 })).step()
    assert.equal(said(one.status(), 'Accepted'), 'True/Accepted')
    assert.equal(said(one.status('other'), 'Accepted'), 'False/Invalid')
  })
})

describe('lastTransitionTime', () => {
  it('is that of the change of status, and stays while only reason, message and numbers change', () => {
    const one = world(['a', 'b']).policies(policy())
    one.now = at(1)
    one.step()
    assert.equal(since(one), at(1))
    one.now = at(2)
    one.live('a', SILENT).step()
    assert.equal(since(one), at(2))
    one.now = at(3)
    one.live('b', SILENT).step()
    assert.equal(since(one), at(2), 'still Unknown')
    one.now = at(4)
    one.live('a').live('b').step()
    assert.deepEqual([since(one), since(one, 'Accepted')], [at(4), at(1)])
  })
  it('is not touched by a storm of labels, and is new with every generation that is programmed, even where nobody saw it pending', () => {
    const one = world().policyAt(policy(), '500')
    one.now = at(1)
    one.step()
    for (let minute = 2; minute < 10; minute++) {
      one.now = at(minute)
      one.policyAt(policy(), String(500 + minute)).pods(pod({ name: 'on-a', node: 'a', labels: { minute: String(minute) } })).step()
    }
    assert.equal(since(one), at(1))
    one.now = at(11)
    one.policyAt(policy({ generation: 2 }), '600').step()
    assert.deepEqual([said(one.status(), 'Programmed'), since(one), since(one, 'Accepted')], ['True/Programmed', at(11), at(1)])
  })
  it('is taken over from the operator before where the status is the same', () => {
    const one = world()
    one.written.set('default/policy', before({}))
    one.now = at(30)
    one.policyAt(policy(), '500').step()
    assert.equal(since(one), at(0))
    const other = world()
    other.written.set('default/policy', before({ policyRef: { name: 'policy', uid: 'other', resourceVersion: '400' } }))
    other.now = at(30)
    other.policyAt(policy(), '500').step()
    assert.equal(since(other), at(30), 'a policy that was made anew')
  })
})

describe('timeToEnforce', () => {
  const commit = (latencyMs: number, generation = 1): PolicyCommit => ({ uid: UID, generation, latencyMs })
  it('is p50 and max over the nodes that told it, and how many did', () => {
    const names = ['a', 'b', 'c', 'd', 'e']
    const one = world(names).policies(policy())
    one.step()
    assert.deepEqual([one.status().timeToEnforce, one.status().summary.timeToEnforce], [undefined, '<unknown>'])
    one.report('a', { committed: [commit(9)] }).step()
    assert.deepEqual([one.status().timeToEnforce, one.status().summary.timeToEnforce], [{ p50Ms: 9, maxMs: 9, nodes: 1 }, '9ms'])
    one.report('b', { committed: [commit(1)] }).report('c', { committed: [commit(100)] }).step()
    assert.deepEqual([one.status().timeToEnforce, one.status().summary.timeToEnforce], [{ p50Ms: 9, maxMs: 100, nodes: 3 }, '9ms (max 100ms)'])
    one.report('d', { committed: [commit(3)] }).step()
    assert.deepEqual(one.status().timeToEnforce, { p50Ms: 3, maxMs: 100, nodes: 4 }, 'half of four took 3 at most')
  })
  it('is of this generation, by its first commit there, and outlives the list of the node', () => {
    const one = world().policies(policy()).report('a', { committed: [commit(5), commit(70)] })
    one.step()
    assert.equal(one.status().timeToEnforce?.maxMs, 5)
    one.report('a', { committed: [] })
    assert.deepEqual([...one.step().changed], [])
    assert.equal(one.status().timeToEnforce?.maxMs, 5)
    one.policyAt(policy({ generation: 2 }), '900').step()
    assert.equal(one.status().timeToEnforce, undefined)
    one.report('a', { committed: [commit(5), commit(8, 2)] }).step()
    assert.equal(one.status().timeToEnforce?.maxMs, 8)
  })
  it('of the operator before stays while more nodes told it then', () => {
    const one = world(['a', 'b', 'c'])
    one.written.set('default/policy', before({ timeToEnforce: { p50Ms: 20, maxMs: 30, nodes: 2 } }))
    one.policyAt(policy(), '500').report('a', { committed: [commit(1)] }).step()
    assert.deepEqual(one.status().timeToEnforce, { p50Ms: 20, maxMs: 30, nodes: 2 })
    one.report('b', { committed: [commit(2)] }).report('c', { committed: [commit(3)] }).step()
    assert.deepEqual(one.status().timeToEnforce, { p50Ms: 2, maxMs: 3, nodes: 3 })
    one.policyAt(policy({ generation: 2 }), '600').step()
    assert.equal(one.status().timeToEnforce, undefined)
  })
})

describe('a policy that was deleted and made anew', () => {
  it('begins from nothing under its other UID, in one step or in two', () => {
    for (const inOne of [true, false]) {
      const one = world().policies(policy())
      one.now = at(1)
      one.step()
      one.written.set('default/policy', one.status())
      one.now = at(2)
      one.remove('policy', UID)
      const gone = inOne ? null : one.step().gone
      const delta = one.policyAt(policy({ uid: 'second' }), '5000').step()
      assert.ok((gone ?? delta.gone).has(UID))
      assert.equal(one.summary.statusOf(UID), null)
      assert.deepEqual(one.summary.uidsOf('default', 'policy'), ['second'])
      const status = one.summary.statusOf('second')
      assert.deepEqual([status?.policyRef.resourceVersion, status === null ? '' : said(status, 'Programmed')], ['5000', 'False/Reconciling'])
      assert.equal(status?.conditions[0]?.lastTransitionTime, at(2))
    }
  })
})
