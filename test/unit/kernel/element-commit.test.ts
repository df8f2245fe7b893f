// Transactions of elements -> batches: what is sent, what has to be so before, and what goes as text instead.
//
// What the kernel makes of them is shown by test/kernel/element-commits.test.ts.
import assert from 'node:assert/strict'
import { elementCommit, type ElementCommit } from '../../../src/kernel/element-commit.ts'
import { align4, readAttributes, readU16 } from '../../../src/netlink/attributes.ts'
import { bindTo, renumber } from '../../../src/netlink/element-batch.ts'
import { decodeMessages, NLM_F_ACK } from '../../../src/netlink/messages.ts'
import type { Element, NftMap, NftSet, Operation } from '../../../src/nft/objects.ts'
import { InvalidObject } from '../../../src/nft/validate.ts'

const TABLE = { family: 'inet', name: 'picket' } as const
const PODS: NftSet = { kind: 'set', name: 'pods', key: ['ip saddr'], flags: [] }
const RANGES: NftSet = { kind: 'set', name: 'ranges', key: ['ip saddr'], flags: ['interval'] }
const PAIRS: NftSet = { kind: 'set', name: 'pairs', key: ['ip saddr', 'th dport'], flags: ['interval'] }
const IDS: NftMap = { kind: 'map', name: 'ids', key: ['th dport'], data: ['ct mark'], flags: [] }
const VERDICTS: NftMap = { kind: 'map', name: 'verdicts', key: ['th dport'], data: ['verdict'], flags: [] }

const change = (verb: Extract<Operation, { set: unknown }>['verb'], set: NftSet | NftMap, ...list: readonly (readonly [string, string?])[]): Operation => ({
  verb, set, elements: list.map(([key, value]): Element => (value === undefined ? { key } : { key, value })), owners: [],
})
const commit = (...operations: readonly Operation[]): ElementCommit | null => elementCommit({ table: TABLE, step: 'switch', createsTable: false, operations })
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')

function listed(bytes: Uint8Array | undefined): readonly Uint8Array[] {
  const found: Uint8Array[] = []
  for (let at = 0; bytes !== undefined && at < bytes.length; at += align4(readU16(bytes, at, 'list'))) found.push(bytes.subarray(at + 4, at + readU16(bytes, at, 'list')))
  return found
}

/** `KEY`, `KEY-KEYEND`, `KEY end`, with ` : DATA` or ` : CODE CHAIN`. */
function elementText(bytes: Uint8Array): string {
  const attributes = readAttributes(bytes, 0, 'element')
  const value = (type: number): string => hex(readAttributes(attributes.get(type) ?? new Uint8Array(), 0, 'data').get(1))
  const verdict = readAttributes(attributes.get(2) ?? new Uint8Array(), 0, 'data').get(2)
  const data = attributes.has(2) ? (verdict === undefined ? ` : ${value(2)}` : ` : ${[...readAttributes(verdict, 0, 'verdict')].map(([type, is]) => (type === 1 ? hex(is) : Buffer.from(is).toString('latin1'))).join(' ')}`) : ''
  return `${value(1)}${attributes.has(10) ? `-${value(10)}` : ''}${hex(attributes.get(3)) === '00000001' ? ' end' : ''}${data}`
}

/** `new SET ELEMENT ...`, `delete SET ELEMENT ...`. */
function linesOf(found: ElementCommit | null): readonly string[] | null {
  if (found === null) return null
  return decodeMessages(found.batch).slice(1, -1).map(({ type, payload }) => {
    const attributes = readAttributes(payload, 4, 'elements')
    const verb = type === 0xa0c ? 'new' : 'delete'
    return [verb, Buffer.from(attributes.get(2) ?? []).toString('latin1').slice(0, -1), listed(attributes.get(3)).map(elementText).join(', ')].join(' ').trim()
  })
}

const coversOf = (found: ElementCommit | null): unknown =>
  found?.covers.map(({ request, starts, mayBeFree }) => [elementText(listed(readAttributes(decodeMessages(request)[0]?.payload ?? new Uint8Array(), 4, 'elements').get(3))[0] ?? new Uint8Array()), starts.map(hex).join(' '), mayBeFree])

describe('transactions of elements', () => {
  it('are one batch in the order of the text: flushed, removed, deleted, added', () => {
    const found = commit(
      change('add-elements', PODS, ['10.0.0.1'], ['10.0.0.2']),
      change('delete-elements', IDS, ['80', '7']),
      change('refill-elements', PODS, ['10.0.0.3']),
      change('remove-elements', IDS, ['81', '8']),
      change('add-elements', IDS, ['80', '9']),
      change('add-elements', VERDICTS, ['1', 'accept'], ['2', 'drop'], ['3', 'goto a/b'], ['4', 'jump c'], ['5', 'return'], ['6', 'continue']),
    )
    assert.deepEqual(linesOf(found), [
      'delete pods',
      'new ids 0051 : 08000000',
      'delete ids 0051 : 08000000',
      'delete ids 0050',
      'new pods 0a000003',
      'new pods 0a000001, 0a000002',
      'new ids 0050 : 09000000',
      'new verdicts 0001 : 00000001, 0002 : 00000000, 0003 : fffffffc a/b\0, 0004 : fffffffd c\0, 0005 : fffffffb, 0006 : ffffffff',
    ])
    assert.deepEqual(coversOf(found), [])
    assert.equal(found?.count, 8)
  })

  it('have counters beside them: gone before what comes, and there before an element leads to them', () => {
    const counter = (verb: 'add' | 'delete', name: string, comment?: string): Operation => ({ verb, object: { kind: 'counter', name, ...(comment === undefined ? {} : { comment }) }, owners: [] }) as Operation
    const led: NftMap = { kind: 'map', name: 'led', key: ['th dport'], data: ['counter'], flags: [] }
    const found = commit(change('add-elements', led, ['80', 'dropped/a']), counter('add', 'dropped/a'), counter('delete', 'dropped/b'), change('delete-elements', led, ['81', 'dropped/b']))
    const messages = decodeMessages(found?.batch ?? new Uint8Array()).slice(1, -1)
    const textOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('latin1').replace('\0', '')
    assert.deepEqual(messages.map(({ type, payload }) => [type.toString(16), textOf(readAttributes(payload, 4, 'message').get(2)), readAttributes(payload, 4, 'message').has(4)]), [['a0e', 'led', false], ['a14', 'dropped/b', false], ['a12', 'dropped/a', true], ['a0c', 'led', false]])
    assert.equal(textOf(readAttributes(listed(readAttributes(messages[3]?.payload ?? new Uint8Array(), 4, 'elements').get(3))[0] ?? new Uint8Array(), 0, 'element').get(9)), 'dropped/a')
    assert.deepEqual(messages.map(({ flags }) => (flags & NLM_F_ACK) !== 0), [false, false, false, true])
    assert.equal(commit(counter('add', 'a', 'nft writes comments')), null)
    assert.throws(() => commit(counter('add', 'a b')), InvalidObject)
  })

  it('are numbered afterwards, bound to a generation, and the last change asks for an answer', () => {
    const found = commit(change('add-elements', PODS, ['10.0.0.1']), change('add-elements', IDS, ['80', '9']))
    assert.ok(found !== null)
    renumber(found.batch, 70)
    bindTo(found.batch, 0x0102_0304)
    const messages = decodeMessages(found.batch)
    assert.deepEqual(messages.map(({ sequence }) => sequence), [70, 71, 72, 73])
    assert.deepEqual(messages.map(({ flags }) => (flags & NLM_F_ACK) !== 0), [false, false, true, false])
    assert.equal(hex(readAttributes(messages[0]?.payload ?? new Uint8Array(), 4, 'begin').get(1)), '01020304')
  })

  it('an interval is where it begins and where it has ended, sorted; of several parts it has both ends in one', () => {
    assert.deepEqual(linesOf(commit(change('add-elements', RANGES, ['10.0.1.0-10.0.1.255'], ['10.0.0.1'], ['0.0.0.0-9.255.255.255']))), [
      'new ranges 00000000, 0a000000 end, 0a000001, 0a000002 end, 0a000100, 0a000200 end',
    ])
    assert.deepEqual(linesOf(commit(change('delete-elements', RANGES, ['192.168.0.0-255.255.255.255']))), ['delete ranges c0a80000'])
    assert.deepEqual(linesOf(commit(change('add-elements', PAIRS, ['10.0.0.1 . 80'], ['10.0.0.4-10.0.0.7 . 1-65535']))), [
      'new pairs 0a00000100500000-0a00000100500000, 0a00000400010000-0a000007ffff0000',
    ])
  })

  it('of intervals say what has to cover their ends', () => {
    const found = commit(change('add-elements', RANGES, ['10.0.0.0-10.0.0.9'], ['10.0.0.12']), change('delete-elements', RANGES, ['10.0.0.5-10.0.0.9'], ['10.0.0.11']))
    assert.deepEqual(coversOf(found), [
      ['0a000009', '0a000005', false],
      ['0a00000b', '0a00000b', false],
      ['0a000009', '0a000005 0a00000b', true],
      ['0a00000c', '0a000005 0a00000b', true],
    ])
    assert.deepEqual(coversOf(commit(change('refill-elements', RANGES, ['10.0.0.0-10.0.0.9']))), [])
    assert.deepEqual(coversOf(commit(change('add-elements', PAIRS, ['10.0.0.1 . 80']))), [])
  })

  it('go as text where the kernel would not judge as nft does', () => {
    const wholes: readonly (readonly Operation[])[] = [
      [change('add-elements', RANGES, ['10.0.0.0-10.0.0.9'], ['10.0.0.9-10.0.0.12'])],
      [change('add-elements', RANGES, ['10.0.0.0-10.0.0.9']), change('add-elements', RANGES, ['10.0.0.1'])],
      [change('add-elements', RANGES, ['10.0.0.0-255.255.255.255'])],
      [change('refill-elements', RANGES, ['255.255.255.255'])],
      [change('remove-elements', RANGES, ['10.0.0.0'])],
      [change('refill-elements', RANGES, ['10.0.0.0']), change('delete-elements', RANGES, ['10.0.0.1'])],
      [change('add-elements', { ...RANGES, kind: 'map', data: ['ct mark'] }, ['10.0.0.0', '1'])],
      [change('add-elements', { ...RANGES, flags: ['interval', 'timeout'] }, ['10.0.0.0'])],
      [change('delete-elements', RANGES, ...Array.from({ length: 201 }, (_, i): [string] => [`10.0.0.${i}`]))],
    ]
    for (const operations of wholes) assert.equal(commit(...operations), null, JSON.stringify(operations))
  })

  it('go as text where there is anything else in them, too much, or nothing', () => {
    const added = change('add-elements', PODS, ['10.0.0.1'])
    assert.notEqual(commit(added), null)
    for (const other of [{ verb: 'add', object: PODS, owners: [] }, { verb: 'rewrite', object: { kind: 'chain', name: 'c', rules: [] }, owners: [] }, { verb: 'delete', object: PODS, owners: [] }] as const) {
      assert.equal(commit(added, other), null)
    }
    assert.equal(elementCommit({ table: TABLE, step: 'stage', createsTable: true, operations: [added] }), null)
    assert.equal(commit(added, change('add-elements', PODS, ['10.0.0.1/24'])), null)
    assert.equal(commit(added, change('add-elements', { ...PODS, key: ['ct state'] }, ['2'])), null)
    const many = (count: number): Operation => change('add-elements', PODS, ...Array.from({ length: count }, (_, i): [string] => [`10.1.${i >> 8}.${i & 255}`]))
    assert.notEqual(commit(many(10_000)), null)
    assert.equal(commit(many(10_000), added), null)
    assert.equal(commit(), null)
    assert.equal(commit(change('add-elements', PODS)), null)
  })

  it('refuse names that text would refuse', () => {
    assert.throws(() => commit(change('add-elements', { ...PODS, name: 'a b' }, ['10.0.0.1'])), InvalidObject)
  })
})
