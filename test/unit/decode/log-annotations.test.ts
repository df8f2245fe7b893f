// Annotations audit.picket.dev/... as they are read of Namespaces and NetworkPolicies, the malformed ones among them.
import assert from 'node:assert/strict'
import { decodeNamespace } from '../../../src/decode/namespace.ts'
import { decodePolicy } from '../../../src/decode/network-policy.ts'
import type { Problem } from '../../../src/lib/problem.ts'
import type { LogWish } from '../../../src/model/log-wish.ts'

type Annotations = Readonly<Record<string, unknown>>
interface Read {
  readonly kind: 'good' | 'bad'
  readonly log: LogWish | undefined
  readonly problems: readonly Problem[]
}

function prefixed(annotations: Annotations): Annotations {
  return Object.fromEntries(Object.entries(annotations).map(([name, value]) => [`audit.picket.dev/${name}`, value]))
}

const READERS: Readonly<Record<string, (annotations: unknown) => Read>> = {
  Namespace: (annotations) => {
    const decoded = decodeNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', annotations } }, 'u')
    return { kind: decoded.kind, log: decoded.kind === 'good' ? decoded.row.log : undefined, problems: decoded.problems }
  },
  NetworkPolicy: (annotations) => {
    const decoded = decodePolicy({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'web', namespace: 'shop', annotations }, spec: { podSelector: {} } }, 'u')
    return { kind: decoded.kind, log: decoded.kind === 'good' ? decoded.row.log : undefined, problems: decoded.problems }
  },
}

for (const [kind, read] of Object.entries(READERS)) describe(`audit.picket.dev annotations of a ${kind}`, () => {
  it('ask for nothing where there are none', () => {
    for (const annotations of [undefined, null, {}, { other: 'x', 'example.com/log': 'all' }]) {
      assert.deepEqual(read(annotations), { kind: 'good', log: undefined, problems: [] })
    }
  })

  it('say what, how many, under which label, until when', () => {
    for (const log of ['none', 'deny', 'allow', 'all'] as const) assert.deepEqual(read(prefixed({ log })), { kind: 'good', log: { log }, problems: [] })
    const all = { log: 'all', sample: '1/100', label: 'check out: ä', until: '2026-01-31T12:00:00.5+02:00' }
    assert.deepEqual(read(prefixed(all)).log, { log: 'all', sample: 100, label: 'check out: ä', until: Date.UTC(2026, 0, 31, 10, 0, 0, 500) })
    assert.deepEqual(read(prefixed({ sample: '1/65536' })).log, { sample: 65_536 })
    assert.deepEqual(read(prefixed({ sample: '1/1', label: 'x'.repeat(63) })).log, { sample: 1, label: 'x'.repeat(63) })
    assert.equal(read(prefixed({ log: 'all', until: '2024-02-29t23:59:59z' })).log?.until, Date.UTC(2024, 1, 29, 23, 59, 59))
  })

  const malformed: readonly (readonly [name: string, values: readonly unknown[], expected: RegExp])[] = [
    ['log', ['', 'All', 'denies', 'deny,allow', true, 1, {}, ['all']], /expected none, deny, allow or all/],
    ['sample', ['', '1/0', '1/65537', '2/100', '1/1e2', '1/-1', '100', '1/100 ', '01/10', 0.01], /expected 1\/N with N from 1 to 65536, such as 1\/100/],
    ['label', ['', 'x'.repeat(64), 'a\nb', '\u001b[31mred', 'a\u202eb', 'a\u2028b', 7], /expected a text of 1 to 63 characters, none of them a control character/],
    ['until', ['', 'tomorrow', '2026-01-31', '2026-01-31T12:00:00', '2026-01-31 12:00:00Z', '2026-02-30T12:00:00Z', '2026-13-01T12:00:00Z', '2026-01-31T25:00:00Z', '1769860800', `2026-01-31T12:00:00.${'0'.repeat(50)}Z`], /expected a time as RFC 3339 has it, such as 2026-01-31T12:00:00Z/],
  ]
  for (const [name, values, expected] of malformed) {
    it(`${name}: a malformed one is a problem that names it, and asks for nothing; the object stays good, and the others hold`, () => {
      for (const value of values) {
        const others = name === 'label' ? { sample: '1/7' } : { label: 'other' }
        const { kind: result, log, problems } = read(prefixed({ ...others, [name]: value }))
        assert.equal(result, 'good', String(value))
        assert.deepEqual(log, name === 'label' ? { sample: 7 } : { label: 'other' })
        assert.equal(problems.length, 1)
        const [problem] = problems as [Problem]
        assert.deepEqual([problem.code, problem.severity, problem.object, problem.field], ['InvalidField', 'error', kind === 'Namespace' ? 'Namespace shop' : 'NetworkPolicy shop/web', `metadata.annotations[audit.picket.dev/${name}]`])
        assert.match(problem.message, expected)
        assert.match(problem.message, /the next wider setting holds$/)
        assert.doesNotMatch(problem.message, /[^ -~\u00a0-\u{10ffff}]|\u202e|\u2028/u)
      }
    })
  }

  it('until: where it cannot be read, log does not hold either: nobody wanted it for ever', () => {
    const { log, problems } = read(prefixed({ log: 'all', sample: '1/10', until: 'friday' }))
    assert.deepEqual(log, { sample: 10 })
    assert.match(problems[0]?.message ?? '', /audit\.picket\.dev\/log does not hold either/)
  })

  it('until alone ends nothing', () => assert.equal(read(prefixed({ until: '2026-01-31T12:00:00Z' })).log, undefined))

  it('of another name are told, with those that there are', () => {
    const { log, problems } = read({ ...prefixed({ log: 'all' }), 'audit.picket.dev/sampel': '1/10', 'audit.picket.dev/\u001b[2J': 'x' })
    assert.deepEqual(log, { log: 'all' })
    assert.deepEqual(problems.map((p) => [p.code, p.severity, p.field]), [
      ['UnknownField', 'warning', 'metadata.annotations[audit.picket.dev/sampel]'],
      ['UnknownField', 'warning', 'metadata.annotations[audit.picket.dev/\\u{1b}[2J]'],
    ])
    assert.match(problems[0]?.message ?? '', /known: audit\.picket\.dev\/log, audit\.picket\.dev\/sample, /)
  })
})

it('audit.picket.dev annotations of a policy that is bad are of its strict row, too', () => {
  const decoded = decodePolicy({ kind: 'NetworkPolicy', metadata: { name: 'web', annotations: { 'audit.picket.dev/log': 'none' } }, spec: { podSelector: 7 } }, 'u')
  assert.deepEqual(decoded.kind === 'bad' && decoded.strict?.log, { log: 'none' })
})
