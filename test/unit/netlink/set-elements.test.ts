// Elements of nf_tables' sets: the batch that is sent, and what a dump tells, also damaged.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { attribute, nestedAttribute, NetlinkMessageError, readAttributes, textAttribute } from '../../../src/netlink/attributes.ts'
import { decodeMessages, encodeMessage, NLM_F_ACK, type NetlinkMessage } from '../../../src/netlink/messages.ts'
import { decodeElements, elementsDumpRequest, encodeBatch, type ElementsChange } from '../../../src/netlink/set-elements.ts'

const PLACE = { family: 'inet', table: 'picket' } as const
const [BEGIN, END, NEW, DELETE] = [0x10, 0x11, 0xa0c, 0xa0e]

function change(verb: ElementsChange['verb'], count: number, keyLength = 4): ElementsChange {
  return { verb, set: 's', keys: Uint8Array.from({ length: count * keyLength }, (_, i) => i & 255), keyLength }
}

const decoded = (keyLength: number, message: NetlinkMessage): readonly string[] =>
  (decodeElements({ ...message, type: NEW }, keyLength) ?? []).map(({ key, expiresIn }) => `${Buffer.from(key).toString('hex')} ${String(expiresIn)}`)

describe('elements of sets', () => {
  it('a batch says what is added, is there before it is removed, and asks for one answer behind all others', () => {
    const { bytes, first, last } = encodeBatch(PLACE, [change('add', 2), change('remove', 1), change('flush', 0)], 7)
    const messages = decodeMessages(bytes)
    assert.deepEqual(messages.map(({ type }) => type), [BEGIN, NEW, NEW, DELETE, DELETE, END])
    assert.deepEqual(messages.map(({ sequence }) => sequence), [7, 8, 9, 10, 11, 12])
    assert.deepEqual([first, last], [7, 11])
    assert.deepEqual(messages.filter(({ flags }) => (flags & NLM_F_ACK) !== 0).map(({ sequence }) => sequence), [last])
    assert.deepEqual(messages.slice(1, 4).map((message) => decoded(4, message)), [['00010203 null', '04050607 null'], ['00010203 null'], ['00010203 null']])
    const flush = readAttributes(messages[4]?.payload ?? new Uint8Array(), 4, 'flush')
    assert.deepEqual([...flush.keys()], [1, 2])
  })
  it('many elements take several messages, none longer than an attribute can be', () => {
    for (const [count, keyLength] of [[5_000, 20], [1_500, 44]] as const) {
      const added = change('add', count, keyLength)
      const messages = decodeMessages(encodeBatch(PLACE, [added], 1).bytes).filter(({ type }) => type === NEW)
      const keys = messages.flatMap((message) => (decodeElements(message, keyLength) ?? []).map(({ key }) => key))
      assert.ok(messages.length > 1)
      assert.equal(Buffer.concat(keys).compare(added.keys), 0)
    }
  })
  it('a dump tells keys and how long they stay; nothing of other messages', () => {
    const element = nestedAttribute(1, [nestedAttribute(1, [attribute(1, Uint8Array.of(10, 0, 0, 1))]), attribute(5, Uint8Array.of(0, 0, 0, 0, 0, 0, 3, 232)), attribute(3, new Uint8Array(4))])
    const message = encodeMessage({ type: NEW, flags: 2, sequence: 1, port: 7 }, [Uint8Array.of(1, 0, 0, 0), textAttribute(1, 'picket'), textAttribute(2, 's'), nestedAttribute(3, [element, element])])
    assert.deepEqual(decodeMessages(message).map((one) => decoded(4, one)), [['0a000001 1000', '0a000001 1000']])
    assert.deepEqual(decodeMessages(elementsDumpRequest(PLACE, 's', 3)).map((one) => [one.type, decodeElements(one, 4)]), [[0xa0d, null]])
    assert.throws(() => decodeMessages(message).map((one) => decodeElements(one, 8)), NetlinkMessageError)
  })
  it('damaged bytes end in elements or in an error, and never read outside', () => {
    const whole = encodeBatch(PLACE, [change('add', 3, 20)], 1).bytes
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.nat(whole.length), (damage, length) => {
        const bytes = whole.slice(0, length)
        for (const [at, value] of damage) if (at < length) bytes[at] = value
        try {
          for (const message of decodeMessages(bytes)) for (const { key } of decodeElements(message, 20) ?? []) assert.equal(key.length, 20)
        } catch (error) {
          assert.ok(error instanceof NetlinkMessageError, String(error))
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
