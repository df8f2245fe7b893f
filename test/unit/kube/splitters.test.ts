// Bytes to lines, and bytes to list items: the same whatever the cuts, and limited. And an object's bytes without its managed fields.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ItemSplitter } from '../../../src/kube/items.ts'
import { LineSplitter } from '../../../src/kube/lines.ts'
import { withoutManagedFields } from '../../../src/kube/managed-fields.ts'
import { runs } from '../../support/runs.ts'

const MOST = 64 * 1024

function linesOf(chunks: readonly Buffer[], most = MOST): readonly string[] {
  const splitter = new LineSplitter(most)
  return chunks.flatMap((chunk) => [...splitter.push(chunk)].map(String))
}

function listOf(chunks: readonly Buffer[], most = MOST): { readonly items: readonly unknown[]; readonly list: unknown } {
  const splitter = new ItemSplitter(most)
  const items = chunks.flatMap((chunk) => [...splitter.push(chunk)].map((item) => JSON.parse(String(item)) as unknown))
  return { items, list: JSON.parse(String(splitter.end())) }
}

/** At each place once, at all places at once, and not at all. */
function cuts(text: string): readonly (readonly Buffer[])[] {
  const bytes = Buffer.from(text)
  const twice = Array.from({ length: bytes.length + 1 }, (_, at) => [bytes.subarray(0, at), bytes.subarray(at)])
  return [[bytes], Array.from(bytes, (byte) => Buffer.from([byte])), ...twice]
}

describe('kube: lines', () => {
  it('are the same wherever the chunks are cut', () => {
    const text = '{"a":1}\n\n{"b":"ü€𝄞"}\n{"c":"x\\ny"}\nno end'
    for (const chunks of cuts(text)) assert.deepEqual(linesOf(chunks), ['{"a":1}', '{"b":"ü€𝄞"}', '{"c":"x\\ny"}'])
  })
  it('keep what has not ended for the next chunk', () => {
    const splitter = new LineSplitter(MOST)
    assert.deepEqual([...splitter.push(Buffer.from('abc'))], [])
    assert.equal(splitter.held, 3)
    assert.deepEqual([...splitter.push(Buffer.from('d\ne'))].map(String), ['abcd'])
    assert.equal(splitter.held, 1)
  })
  it('are refused beyond the limit, in one chunk or in many', () => {
    assert.deepEqual(linesOf([Buffer.from('12345\n')], 5), ['12345'])
    for (const chunks of [['123456\n'], ['123', '456'], ['123456'], ['1234', '56\n']]) {
      assert.throws(() => linesOf(chunks.map((text) => Buffer.from(text)), 5), { code: 'TooLarge' })
    }
  })
})

describe('kube: list items', () => {
  const list = {
    kind: 'PodList',
    metadata: { resourceVersion: '7', items: [{ no: 'item' }], continue: '"items":[{' },
    items: [{ a: 1 }, { b: '}{][,"\\' }, { c: [{ d: [] }, {}], e: { items: [1] } }, {}, { f: 'ü€𝄞\n' }],
    after: ['items', { x: [] }],
  }

  it('are the same wherever the chunks are cut, and the rest of the list with them', () => {
    for (const text of [JSON.stringify(list), `${JSON.stringify(list, null, 2)}\n`]) {
      for (const chunks of cuts(text)) assert.deepEqual(listOf(chunks), { items: list.items, list: { ...list, items: [] } })
    }
  })
  it('are those of JSON.parse, for any list', () => {
    const value = fc.json({ maxDepth: 3 }).map((text) => JSON.parse(text) as unknown)
    const item = fc.dictionary(fc.string(), value)
    const chunks = fc.infiniteStream(fc.integer({ min: 1, max: 40 }))
    fc.assert(
      fc.property(fc.array(item), fc.dictionary(fc.string().filter((key) => key !== 'items'), value), chunks, (items, rest, sizes) => {
        const bytes = Buffer.from(JSON.stringify({ ...rest, items, after: rest }))
        const parts: Buffer[] = []
        for (let at = 0; at < bytes.length; at += (parts.at(-1) as Buffer).length) parts.push(bytes.subarray(at, at + (sizes.next().value as number)))
        assert.deepEqual(listOf(parts), JSON.parse(JSON.stringify({ items, list: { ...rest, items: [], after: rest } })))
      }),
      runs(200),
    )
  })
  it('are none where the list has none, in either form', () => {
    for (const items of ['[]', '[ ]', 'null']) assert.deepEqual(listOf([Buffer.from(`{"items":${items},"a":1}`)]).items, [])
    assert.deepEqual(listOf([Buffer.from('{}')]), { items: [], list: {} })
  })
  it('are refused beyond the limit, and the rest of the list too', () => {
    const text = JSON.stringify({ items: [{ a: 'x'.repeat(20) }] })
    assert.equal(listOf([Buffer.from(text)], 28).items.length, 1)
    for (const chunks of cuts(text)) assert.throws(() => listOf(chunks, 27), { code: 'TooLarge' })
    assert.throws(() => listOf([Buffer.from(`{"a":"${'x'.repeat(1024 * 1024)}`)]), { code: 'TooLarge' })
  })
  it('are Garbage or Cut where it is no list', () => {
    for (const text of ['<html>', '[{}]', '{"items":[1]}', '{"items":["a"]}', '{"items":[null]}', '{} {}', '"a"']) {
      assert.throws(() => listOf([Buffer.from(text)]), { code: 'Garbage' }, text)
    }
    for (const text of ['', '{', '{"items":[{}', '{"items":[{}]', '{"items":"']) assert.throws(() => listOf([Buffer.from(text)]), { code: 'Cut' }, text)
  })
})

describe('kube: managed fields', () => {
  const without = (value: unknown): unknown => JSON.parse(withoutManagedFields(Buffer.from(JSON.stringify(value))))

  it('are left out, whatever they hold, and nothing else is', () => {
    const odd = ['"managedFields":[', '\\"managedFields":[', ']', '[', '\\', '\\"', '"]', 'ü€𝄞']
    const fields = [{ manager: 'kubelet', fieldsV1: { 'f:a': {}, 'k:{"b":"]"}': [[], [1]] } }, ...odd]
    for (const text of odd) {
      const rest = { [text]: text, a: [text, { [text]: [text] }] }
      assert.deepEqual(without({ ...rest, metadata: { [text]: text, managedFields: fields, name: text }, after: rest }), {
        ...rest,
        metadata: { [text]: text, managedFields: [], name: text },
        after: rest,
      })
      assert.deepEqual(without(rest), rest)
    }
    assert.deepEqual(without({ managedFields: { a: 1 } }), { managedFields: { a: 1 } })
  })
  it('are left out of any object', () => {
    const text = fc.oneof(fc.string(), fc.constantFrom('managedFields', '"managedFields":[', '\\', '"', ']', '\\"managedFields":['))
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof({ maxDepth: 4 }, text, fc.integer(), fc.array(tie('tree'), { maxLength: 3 }), fc.dictionary(text, tie('tree'), { maxKeys: 3 })),
    }))
    const strip = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(strip)
      if (typeof value !== 'object' || value === null) return value
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, key === 'managedFields' && Array.isArray(inner) ? [] : strip(inner)]))
    }
    fc.assert(fc.property(tree, (value) => assert.deepEqual(strip(without(value)), strip(JSON.parse(JSON.stringify(value))))), runs(500))
  })
  it('that never end are no JSON', () => {
    for (const text of ['{"managedFields":[', '{"managedFields":["]"}', '{"managedFields":[[]', '{"managedFields":["\\']) {
      assert.throws(() => JSON.parse(withoutManagedFields(Buffer.from(text))) as unknown, SyntaxError)
    }
  })
})
