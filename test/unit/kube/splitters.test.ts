// Bytes to lines, and bytes to list items: the same whatever the cuts, and limited. And an object's bytes without its managed fields.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FrameSplitter } from '../../../src/kube/frames.ts'
import { ItemSplitter } from '../../../src/kube/items.ts'
import { LineSplitter } from '../../../src/kube/lines.ts'
import { withoutManagedFields } from '../../../src/kube/managed-fields.ts'
import { MessageListSplitter } from '../../../src/kube/message-list.ts'
import { POD_MESSAGE } from '../../../src/kube/messages.ts'
import { bytesField, encodeMessage, frame, listHead, listMessage, numberField, varint } from '../../support/protobuf.ts'
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
function cuts(text: string | Buffer): readonly (readonly Buffer[])[] {
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

describe('kube: frames', () => {
  const framesOf = (chunks: readonly Buffer[], most = MOST): readonly string[] => {
    const splitter = new FrameSplitter(most)
    return chunks.flatMap((chunk) => [...splitter.push(chunk)].map(String))
  }

  it('are the same wherever the chunks are cut, empty ones too', () => {
    const bytes = Buffer.concat([...['', 'a', '', 'ü€𝄞', 'x'.repeat(300), ''].map((text) => frame(Buffer.from(text))), frame(Buffer.from('no end')).subarray(0, -1)])
    for (const chunks of cuts(bytes)) assert.deepEqual(framesOf(chunks), ['', 'a', '', 'ü€𝄞', 'x'.repeat(300), ''])
  })
  it('keep what has not ended for the next chunk', () => {
    const splitter = new FrameSplitter(MOST)
    assert.deepEqual([...splitter.push(Buffer.from('\0\0\0\x04abc'))], [])
    assert.equal(splitter.held, 3)
    assert.deepEqual([...splitter.push(Buffer.from('d\0\0\0\x02e'))].map(String), ['abcd'])
    assert.equal(splitter.held, 1)
  })
  it('are refused beyond the limit by their length, before they come', () => {
    assert.deepEqual(framesOf([frame(Buffer.from('12345'))], 5), ['12345'])
    for (const chunks of cuts(Buffer.from([0, 0, 0, 6]))) assert.throws(() => framesOf(chunks, 5), { code: 'TooLarge' })
    assert.throws(() => framesOf([Buffer.from('<html>')]), { code: 'TooLarge' })
  })
})

describe('kube: list items in protobuf', () => {
  const listOfMessages = (chunks: readonly Buffer[], most = MOST): { readonly items: readonly string[]; readonly list: unknown } => {
    const splitter = new MessageListSplitter(POD_MESSAGE, most, 'the list of pods')
    const items = chunks.flatMap((chunk) => [...splitter.push(chunk)].map((item) => item.toString('hex')))
    return { items, list: splitter.end() }
  }
  const metadata = { resourceVersion: '7', continue: 'next' }
  const items = [{}, { metadata: { name: 'ü€𝄞', labels: { a: 'x'.repeat(200) } } }, {}, { spec: { nodeName: 'n1' } }]
  const bytes = listMessage('Pod', metadata, items)
  const read = { items: items.map((item) => encodeMessage('Pod', item).toString('hex')), list: { metadata } }

  it('are the same wherever the chunks are cut, and the metadata with them', () => {
    for (const chunks of cuts(bytes)) assert.deepEqual(listOfMessages(chunks), read)
  })
  it('come with fields that nobody knows around them, which are skipped', () => {
    const odd = Buffer.concat([bytesField(99, 'x'), numberField(98, 2n ** 64n - 1n), bytesField(97, '')])
    const list = Buffer.concat([odd, bytesField(2, ''), odd, bytesField(1, bytesField(2, '7')), odd])
    const whole = Buffer.concat([Buffer.from('k8s\0'), odd, bytesField(1, bytesField(2, 'PodList')), odd, bytesField(2, list), odd])
    for (const chunks of cuts(whole)) assert.deepEqual(listOfMessages(chunks), { items: [''], list: { metadata: { resourceVersion: '7' } } })
  })
  it('are none in an empty list', () => {
    for (const empty of [listMessage('Pod', metadata, []), Buffer.concat([Buffer.from('k8s\0'), bytesField(2, '')])]) assert.deepEqual(listOfMessages([empty]).items, [])
  })
  it('are Cut where the list ends early, at any place', () => {
    for (let end = 0; end < bytes.length - 4; end += 1) assert.throws(() => listOfMessages([bytes.subarray(0, end)]), { code: 'Cut' }, `at ${end}`)
  })
  it('are refused beyond the limit by their length, and the rest of the list too', () => {
    const one = (length: number): readonly Buffer[] => [listHead('Pod', metadata, 1000), varint(2 * 8 + 2), varint(length)]
    assert.throws(() => listOfMessages(one(28), 28), { code: 'Cut' })
    assert.throws(() => listOfMessages(one(29), 28), { code: 'TooLarge' })
    assert.throws(() => listOfMessages([Buffer.from('k8s\0'), varint(1 * 8 + 2), varint(2 ** 21)]), { code: 'TooLarge' })
  })
  it('are Garbage where it is no list of them', () => {
    const mark = Buffer.from('k8s\0')
    const list = bytesField(2, bytesField(2, ''))
    const bad = {
      'another mark': Buffer.from('<html><head>'),
      'another kind': listMessage('Pod', metadata, []).subarray(4).toString('latin1').replace('PodList', 'PodTest'),
      'a second list': Buffer.concat([mark, list, list]),
      'an item longer than the list': Buffer.concat([mark, varint(2 * 8 + 2), varint(3), varint(2 * 8 + 2), varint(5)]),
      'a group': Buffer.concat([mark, varint(5 * 8 + 3)]),
      'field 0': Buffer.concat([mark, varint(2)]),
      'a number of 11 bytes': Buffer.concat([mark, varint(5 * 8), Buffer.alloc(11, 0xff)]),
    }
    for (const [what, wrong] of Object.entries(bad)) {
      const whole = typeof wrong === 'string' ? Buffer.concat([mark, Buffer.from(wrong, 'latin1')]) : wrong
      assert.throws(() => listOfMessages([whole]), { code: 'Garbage' }, what)
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
