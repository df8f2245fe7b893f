// What a NetworkPolicy becomes: defaults, isolation, containment of what cannot be read.
import assert from 'node:assert/strict'
import { decodePolicy } from '../../../src/decode/network-policy.ts'
import { fieldsOf, good, peersOf, policy, portsOf, strict } from './support.ts'

const both = { ingress: true, egress: true }
const ingressOnly = { ingress: true, egress: false }

describe('decode: NetworkPolicy, isolation', () => {
  it('rule 2: policyTypes say which directions are isolated', () => {
    assert.deepEqual(good(policy({ policyTypes: ['Ingress'] })).isolates, ingressOnly)
    assert.deepEqual(good(policy({ policyTypes: ['Egress'] })).isolates, { ingress: false, egress: true })
    assert.deepEqual(good(policy({ policyTypes: ['Egress', 'Ingress'] })).isolates, both)
  })

  it('rule 3: without policyTypes ingress is isolated, egress only where there are egress rules', () => {
    for (const absent of [{}, { policyTypes: null }, { policyTypes: [] }]) {
      assert.deepEqual(good(policy({ ...absent })).isolates, ingressOnly)
      assert.deepEqual(good(policy({ ...absent, egress: [] })).isolates, ingressOnly)
      assert.deepEqual(good(policy({ ...absent, egress: [{}] })).isolates, both)
    }
  })

  it('rule 4: rules of a direction that is not isolated do not count, but are checked', () => {
    assert.deepEqual(good(policy({ policyTypes: ['Ingress'], egress: [{}] })).egress, [])
    const bad = policy({ policyTypes: ['Ingress'], egress: [{ to: [{}] }] })
    assert.deepEqual(strict(bad).isolates, ingressOnly)
    assert.deepEqual(fieldsOf(bad), ['spec.egress[0].to[0]'])
  })

  it('rule 5: no rules deny all, one empty rule allows all', () => {
    assert.deepEqual(good(policy({ ingress: [] })).ingress, [])
    assert.deepEqual(good(policy({ ingress: [{}] })).ingress, [{ index: 0, peers: 'all', ports: 'all' }])
  })

  it('rule 6: podSelector {}, null or absent selects every pod of the namespace', () => {
    for (const spec of [{}, { podSelector: null }, { podSelector: {} }]) assert.equal(good(policy(spec)).pods.text, '')
    assert.equal(good(policy({ podSelector: { matchLabels: { app: 'web' } } })).pods.text, 'app=web')
  })

  it('a version that the API no longer serves is bad, and still isolates and allows as it says', () => {
    const old = decodePolicy({ apiVersion: 'extensions/v1beta1', metadata: { namespace: 'shop', name: 'web' }, spec: { ingress: [{}] } }, 'u1')
    assert.deepEqual(strict(old).isolates, ingressOnly)
    assert.deepEqual(fieldsOf(old), ['apiVersion'])
  })

  it('rule 25: a podSelector that cannot be read selects more pods, and opens nothing for any of them', () => {
    const row = strict(policy({ podSelector: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'Equals', values: ['x'] }] }, ingress: [{}] }))
    assert.equal(row.pods.text, 'app=web')
    assert.deepEqual([row.isolates, row.ingress], [ingressOnly, []])
  })

  it('an absent spec is the empty one, and a warning', () => {
    const decoded = policy(undefined)
    assert.deepEqual(good(decoded).isolates, ingressOnly)
    assert.deepEqual(decoded.problems.map((p) => [p.severity, p.field]), [['warning', 'spec']])
  })

  it('rule 25: unreadable policyTypes isolate both directions', () => {
    for (const policyTypes of ['Ingress', ['ingress'], ['Ingress', 7], [null], { a: 1 }]) assert.deepEqual(strict(policy({ policyTypes })).isolates, both)
    assert.deepEqual(strict(policy({ policyTypes: ['Ingress', 'Ingress', 'Ingress'] })).isolates, ingressOnly)
  })

  it('rule 25: an unreadable spec, egress or ingress isolates what it could have meant and opens nothing', () => {
    for (const spec of ['x', [], 5]) {
      const row = strict(policy(spec))
      assert.deepEqual([row.isolates, row.ingress, row.egress, row.pods.text], [both, [], [], ''])
    }
    assert.deepEqual(strict(policy({ egress: 'none' })).isolates, both)
    const row = strict(policy({ ingress: { from: [] }, egress: [{}] }))
    assert.deepEqual([row.ingress, row.egress.length], [[], 1])
  })

  it('an unreadable rule leaves a hole and the others keep their index', () => {
    const row = strict(policy({ ingress: [{}, null, 'x', { from: [{ podSelector: {} }] }] }))
    assert.deepEqual(row.ingress.map((rule) => rule.index), [0, 3])
  })
})

describe('decode: NetworkPolicy, containment', () => {
  it('rule 57: unreadable parts open nothing and the readable ones beside them stay', () => {
    const decoded = policy({
      ingress: [
        { from: [{ ipBlock: { cidr: '10.0.0.0/33' } }, { ipBlock: { cidr: '10.1.0.0/16' } }], ports: [{ port: 'NO' }, { port: 80 }] },
        { from: [{ ipBlock: { cidr: 'x' } }], ports: [{ port: 0 }] },
        { from: 'all', ports: 'all' },
      ],
    })
    const row = strict(decoded)
    assert.deepEqual([peersOf(row), portsOf(row)], [['10.1.0.0/16'], ['TCP 80-80']])
    assert.deepEqual([peersOf(row, 'ingress', 1), portsOf(row, 'ingress', 1)], [[], []])
    assert.deepEqual([peersOf(row, 'ingress', 2), portsOf(row, 'ingress', 2)], [[], []])
    assert.deepEqual(fieldsOf(decoded), [
      'spec.ingress[0].from[0].ipBlock.cidr',
      'spec.ingress[0].ports[0].port',
      'spec.ingress[1].from[0].ipBlock.cidr',
      'spec.ingress[1].ports[0].port',
      'spec.ingress[2].from',
      'spec.ingress[2].ports',
    ])
  })

  it('a problem names object, field and source, and says what was found, what was expected and what happens now', () => {
    const [problem] = policy({ ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/33' } }] }] }).problems
    assert.deepEqual(problem, {
      code: 'InvalidField',
      severity: 'error',
      object: 'NetworkPolicy shop/web',
      field: 'spec.ingress[0].from[0].ipBlock.cidr',
      source: 'a.yaml, document 1',
      message: 'found "10.0.0.0/33", expected a CIDR such as 10.0.0.0/8 or fd00::/8 (no IPv4-mapped IPv6, no zone, no leading zeros)',
      otherwise: 'this peer matches nothing',
    })
  })

  it('ten thousand mistakes are told in twenty problems and a count', () => {
    const decoded = policy({ ingress: [{ from: Array.from({ length: 10_000 }, () => ({ ipBlock: { cidr: 'x' } })) }] })
    assert.equal(decoded.problems.length, 21)
    assert.match(decoded.problems.at(-1)?.message ?? '', /^9980 further/)
    assert.deepEqual(peersOf(strict(decoded)), [])
  })

  it('an unknown field is ignored with a warning that names the known ones', () => {
    const cases: [unknown, string, RegExp][] = [
      [{ podSelecter: {} }, 'spec.podSelecter', /podSelector, policyTypes, ingress, egress/],
      [{ ingress: [{ to: [] }] }, 'spec.ingress[0].to', /from, ports/],
      [{ egress: [{ from: [] }] }, 'spec.egress[0].from', /to, ports/],
      [{ ingress: [{ from: [{ podSelector: {}, pods: 1 }] }] }, 'spec.ingress[0].from[0].pods', /podSelector, namespaceSelector, ipBlock/],
      [{ ingress: [{ from: [{ ipBlock: { cidr: '::/0', excepts: [] } }] }] }, 'spec.ingress[0].from[0].ipBlock.excepts', /cidr, except/],
      [{ ingress: [{ ports: [{ port: 1, endport: 9 }] }] }, 'spec.ingress[0].ports[0].endport', /protocol, port, endPort/],
      [{ podSelector: { matchlabels: {} } }, 'spec.podSelector.matchlabels', /matchLabels, matchExpressions/],
      [{ podSelector: { matchExpressions: [{ key: 'a', operator: 'Exists', value: 'x' }] } }, 'spec.podSelector.matchExpressions[0].value', /key, operator, values/],
    ]
    for (const [spec, field, known] of cases) {
      const decoded = policy(spec)
      good(decoded)
      assert.deepEqual(decoded.problems.map((p) => [p.code, p.severity, p.field]), [['UnknownField', 'warning', field]])
      assert.match(decoded.problems[0]?.message ?? '', known)
    }
  })

  it('a misspelled peer field leaves an empty peer, which matches nothing', () => {
    assert.deepEqual(peersOf(strict(policy({ ingress: [{ from: [{ podSelecter: {} }] }] }))), [])
  })
})

describe('decode: NetworkPolicy, metadata', () => {
  const decode = (metadata: unknown) => decodePolicy({ metadata, spec: { ingress: [] } }, 'u1')

  it('the namespace is default where there is none; generation is kept', () => {
    const row = good(decode({ name: 'a.b-c', generation: 7 }))
    assert.deepEqual([row.namespace, row.name, row.generation, row.uid], ['default', 'a.b-c', 7, 'u1'])
  })

  it('rule 106: names of 253 characters with dots are valid', () => {
    const name = `${'a'.repeat(100)}.${'b'.repeat(152)}`
    assert.equal(good(decode({ name })).name, name)
    strict(decode({ name: `${name}c` }))
  })

  it('rule 25: an invalid name still fails closed, under a name that can harm nobody', () => {
    const row = strict(decode({ name: 'a"; flush ruleset\n', namespace: 'shop' }))
    assert.deepEqual([row.name, row.namespace, row.isolates.ingress], ['a___flush_ruleset_', 'shop', true])
    assert.equal(strict(decode({ name: 'x'.repeat(1000) })).name.length, 253)
    assert.equal(strict(decode({ name: 'Web' })).name, 'Web_')
  })

  it('without any name there is nothing that could stand in', () => {
    for (const metadata of [{ name: 5 }, {}, { name: 'a', namespace: 5 }, undefined, 'x']) {
      const decoded = decode(metadata)
      assert.deepEqual([decoded.kind, (decoded as { strict: unknown }).strict], ['bad', null])
      assert.equal(decoded.problems.length > 0, true)
    }
  })
})
