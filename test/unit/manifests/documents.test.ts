// Files to documents, documents to objects.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeText, readDocuments } from '../../../src/manifests/documents.ts'
import { readObjects } from '../../../src/manifests/objects.ts'

const documents = async (text: string) => (await readDocuments(text)).map((d) => (d.kind === 'value' ? [d.document, d.value] : [d.document, d.message]))
const objects = async (text: string) => readObjects('a.yaml', await readDocuments(text))
const pod = 'apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n'

describe('manifests: documents', () => {
  it('are numbered from 1, and empty ones are counted and left out', async () => {
    assert.deepEqual(await documents('a: 1\n---\n---\n# nothing\n---\nb: 2\n'), [[1, { a: 1 }], [4, { b: 2 }]])
    assert.deepEqual(await documents('# about\n\n---\na: 1\n---\n'), [[1, { a: 1 }]])
    assert.deepEqual(await documents('--- # one\na: 1\r\n---\r\nb: 2\r\n'), [[1, { a: 1 }], [2, { b: 2 }]])
    assert.deepEqual(await documents('--- {a: 1}\n'), [[1, { a: 1 }]])
    for (const nothing of ['', '\n', '# only a comment', '---\n', '---']) assert.deepEqual(await documents(nothing), [])
  })

  it('are not split inside of texts', async () => {
    assert.deepEqual(await documents('a: |\n  x\n  ---\n  y\nb: "---"\n'), [[1, { a: 'x\n---\ny\n', b: '---' }]])
  })

  it('JSON is read as such, also between markers and over several lines', async () => {
    assert.deepEqual(await documents('{"a": {"__proto__": 1}}\n---\n{\n "b": [1, 2]\n}\n'), [[1, JSON.parse('{"a": {"__proto__": 1}}')], [2, { b: [1, 2] }]])
  })

  it('a damaged one spoils no other and tells its line in the file', async () => {
    const found = await documents('a: 1\n---\nb: [1\nc: 2\n---\n{"d": 1,,}\n---\ne: 5\n')
    assert.deepEqual(found.map(([number]) => number), [1, 2, 3, 4])
    assert.match(found[1]?.[1] as string, /^line 4, column 1: /)
    assert.match(found[2]?.[1] as string, /^line 6, column \d+: /)
    assert.deepEqual(found[3], [4, { e: 5 }])
  })

  it('anchors and merge keys work', async () => {
    assert.deepEqual(await documents('x: &x {a: 1}\ny: {<<: *x, b: 2}\n'), [[1, { x: { a: 1 }, y: { a: 1, b: 2 } }]])
  })

  it('values that YAML 1.1 takes for booleans, times and octal numbers stay what they look like', async () => {
    assert.deepEqual(await documents('a: yes\nb: 2020-01-01\nc: 010\n'), [[1, { a: 'yes', b: '2020-01-01', c: 10 }]])
  })

  it('repeated keys, unknown tags, unknown anchors and tabs are damage', async () => {
    for (const text of ['a: 1\na: 2\n', 'a: !x 1\n', 'a: *nowhere\n', '\ta: 1\n']) assert.equal(typeof (await documents(text))[0]?.[1], 'string')
  })

  it('a bomb of aliases and a tower of brackets are damage, at once', async () => {
    let bomb = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n'
    for (let i = 1; i < 12; i += 1) bomb += `a${i}: &a${i} [${Array(9).fill(`*a${i - 1}`).join(', ')}]\n`
    assert.match((await documents(bomb))[0]?.[1] as string, /alias/i)
    assert.equal(typeof (await documents(`a: ${'['.repeat(20_000)}${']'.repeat(20_000)}`))[0]?.[1], 'string')
  })

  it('bytes that are no UTF-8 are no text; a byte order mark is skipped', () => {
    assert.equal(decodeText(Buffer.from([0x61, 0xff])), null)
    assert.equal(decodeText(Buffer.from('\ufeffa: 1')), 'a: 1')
  })

  it('rule 105: never throws, for any text', async () => {
    const piece = fc.oneof(fc.constantFrom('---', '\n', '\n---\n', 'a: ', '- ', '[', '{', '}', '"', '&a ', '*a ', '!x ', '%YAML 1.2\n', '...\n', '|', '\t', ': '), fc.string({ maxLength: 4 }))
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
        readObjects('a.yaml', await readDocuments(pieces.join('')))
      }),
      { numRuns: 300 },
    )
  })
})

describe('manifests: objects', () => {
  it('a file of several kinds, namespaced ones in default', async () => {
    const { items, problems, damaged } = await objects(`${pod}---\napiVersion: v1\nkind: Node\nmetadata: {name: n1, namespace: x, uid: u-1}\n`)
    assert.deepEqual(items.map((i) => [i.kind, i.namespace, i.name, i.uid, i.source]), [['Pod', 'default', 'web', null, 'a.yaml, document 1'], ['Node', null, 'n1', 'u-1', 'a.yaml, document 2']])
    assert.deepEqual([problems, damaged], [[], false])
  })

  it('all kinds that are read', async () => {
    const all = [['v1', 'Namespace'], ['v1', 'Node'], ['v1', 'Pod'], ['networking.k8s.io/v1', 'NetworkPolicy'], ['v1', 'Service'], ['discovery.k8s.io/v1', 'EndpointSlice']]
    const { items } = await objects(all.map(([v, k]) => JSON.stringify({ apiVersion: v, kind: k, metadata: { name: 'x' } })).join('\n---\n'))
    assert.deepEqual(items.map((i) => [i.apiVersion, i.kind]), all)
  })

  it('lists are unfolded: List of any kind, PodList of items that need not name it', async () => {
    const list = { apiVersion: 'v1', kind: 'List', items: [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }, { apiVersion: 'v1', kind: 'PodList', items: [{ metadata: { name: 'b' } }] }] }
    const { items, problems } = await objects(JSON.stringify(list))
    assert.deepEqual(items.map((i) => [i.kind, i.name, i.source]), [['Pod', 'a', 'a.yaml, document 1, items[0]'], ['Pod', 'b', 'a.yaml, document 1, items[1].items[0]']])
    assert.deepEqual(problems, [])
    const policies = await objects(JSON.stringify({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicyList', items: [{ metadata: { name: 'p' } }] }))
    assert.deepEqual(policies.items.map((i) => [i.kind, i.apiVersion]), [['NetworkPolicy', 'networking.k8s.io/v1']])
    assert.deepEqual((await objects('apiVersion: v1\nkind: List\n')).problems, [])
  })

  it('what cannot be read names file, document and field', async () => {
    const cases: [string, string, RegExp][] = [
      ['5\n', 'undefined', /found 5, expected a mapping/],
      ['- a\n', 'undefined', /found a list of 1/],
      ['metadata: {name: x}\n', 'kind', /expected one of Namespace, Node, Pod, NetworkPolicy, Service, EndpointSlice/],
      ['apiVersion: v1\nkind: Pod\n', 'metadata', /found nothing/],
      ['apiVersion: v1\nkind: Pod\nmetadata: {}\n', 'metadata.name', /found nothing/],
      ['apiVersion: v1\nkind: Pod\nmetadata: {name: 5}\n', 'metadata.name', /found 5/],
      ['apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: 5}\n', 'metadata.namespace', /found 5/],
      ['apiVersion: v1\nkind: Pod\nmetadata: {name: a, uid: "manifest:x"}\n', 'metadata.uid', /found "manifest:x"/],
      ['apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: a}\n', 'apiVersion', /found "projectcalico.org\/v3", expected networking.k8s.io\/v1/],
      ['kind: Pod\nmetadata: {name: a}\n', 'apiVersion', /found nothing, expected v1/],
      ['apiVersion: v1\nkind: List\nitems: 5\n', 'items', /found 5/],
      ['apiVersion: v2\nkind: PodList\nitems: []\n', 'apiVersion', /found "v2"/],
    ]
    for (const [text, field, message] of cases) {
      const { items, problems, damaged } = await objects(`${pod}---\n${text}`)
      assert.deepEqual([items.length, damaged, problems.length], [1, true, 1])
      assert.deepEqual([problems[0]?.object, problems[0]?.source, String(problems[0]?.field)], ['file a.yaml', 'a.yaml, document 2', field])
      assert.match(problems[0]?.message ?? '', message)
      assert.match(problems[0]?.message ?? '', /stay as they were$/)
    }
  })

  it('a bad item of a list is named, the others are read', async () => {
    const { items, problems } = await objects('apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: a}}, 7, {metadata: {name: b}}]\n')
    assert.deepEqual([items.map((i) => i.name), problems.map((p) => p.source)], [['a', 'b'], ['a.yaml, document 1, items[1]']])
  })

  it('lists in lists end somewhere', async () => {
    let text = '{apiVersion: v1, kind: List, items: []}'
    for (let i = 0; i < 10; i += 1) text = `{apiVersion: v1, kind: List, items: [${text}]}`
    assert.deepEqual((await objects(text)).problems.map((p) => p.field), ['items'])
  })

  it('other kinds are ignored, with one warning a document that names those that are read', async () => {
    const text = 'apiVersion: v1\nkind: List\nitems: [{kind: ConfigMap}, {kind: Secret}, {kind: ConfigMap}]\n---\napiVersion: apps/v1\nkind: Deployment\n---\nkind: ConfigMapList\n'
    const { problems, damaged } = await objects(text)
    assert.equal(damaged, false)
    assert.deepEqual(problems.map((p) => [p.code, p.severity, p.source]), [1, 2, 3].map((n) => ['UnknownKind', 'warning', `a.yaml, document ${n}`]))
    assert.match(problems[0]?.message ?? '', /2 of ConfigMap, Secret, which .* read are Namespace, Node, Pod, NetworkPolicy, Service, EndpointSlice/)
  })
})
