// render: the exact text, its order, and that no user's text can become syntax.
import assert from 'node:assert/strict'
import type { NftMap, NftSet, Operation, Transaction } from '../../../src/nft/objects.ts'
import { render } from '../../../src/nft/render.ts'
import { InvalidObject, quotedComment } from '../../../src/nft/validate.ts'

const SET: NftSet = { kind: 'set', name: 'pods/A/v4', key: ['ip saddr', 'meta l4proto', 'th dport'], flags: ['interval'], comment: 'app=web' }
const MAP: NftMap = { kind: 'map', name: 'by-interface', key: ['iifname'], data: ['verdict'], flags: [] }

function text(...operations: readonly Operation[]): string {
  return render({ table: { family: 'inet', name: 'picket' }, step: 'switch', createsTable: false, operations })
}
const chain = (name: string, ...rules: string[]): Operation => ({ verb: 'add', object: { kind: 'chain', name, rules }, owners: [] })
const counter = (name: string, comment?: string): Operation => ({ verb: 'add', object: { kind: 'counter', name, ...(comment === undefined ? {} : { comment }) }, owners: [] })
const addTo = (set: NftSet | NftMap, ...list: [string, string?][]): Operation => ({
  verb: 'add-elements', set, elements: list.map(([key, value]) => (value === undefined ? { key } : { key, value })), owners: [],
})

describe('render', () => {
  it('writes each verb and object, in an order that the kernel accepts', () => {
    const transaction: Transaction = {
      table: { family: 'inet', name: 'picket', comment: 'made by a test' },
      step: 'stage',
      createsTable: true,
      operations: [
        addTo(MAP, ['"veth1"', 'goto ingress/a'], ['"veth2"', 'accept']),
        chain('ingress/a', 'ip saddr @pods/A/v4 accept', 'counter name "denied/a" drop'),
        { verb: 'delete', object: { kind: 'counter', name: 'c1' }, owners: [] },
        { verb: 'delete', object: { kind: 'set', name: 's1' }, owners: [] },
        { verb: 'delete', object: { kind: 'chain', name: 'h1' }, owners: [] },
        { verb: 'delete', object: { kind: 'map', name: 'm1' }, owners: [] },
        { verb: 'delete-elements', set: { ...MAP, name: 'm2' }, elements: [{ key: '"veth9"', value: 'accept' }], owners: [] },
        { verb: 'rewrite', object: { kind: 'chain', name: 'ingress/b', rules: ['accept'] }, owners: [] },
        { verb: 'add', object: { kind: 'chain', name: 'filter-forward', base: { type: 'filter', hook: 'forward', priority: 'filter - 10', policy: 'drop' }, comment: 'first', rules: [] }, owners: [] },
        addTo(SET, ['10.0.0.1-10.0.0.9 . tcp . 80'], ['10.0.0.10 . udp . 1-9']),
        { verb: 'refill-elements', set: { kind: 'set', name: 's2', key: ['ip saddr'], flags: [] }, elements: [{ key: '10.0.0.1' }], owners: [] },
        { verb: 'add', object: SET, owners: [] },
        { verb: 'add', object: MAP, owners: [] },
        { verb: 'add', object: { kind: 'set', name: 'cut-flows', key: ['ip saddr'], flags: ['dynamic', 'timeout'], timeout: 60, size: 100 }, owners: [] },
        counter('denied/a'),
      ],
    }
    assert.equal(
      render(transaction),
      [
        'add table inet picket { comment "made by a test"; }',
        'flush chain inet picket ingress/b',
        'flush set inet picket s2',
        'delete element inet picket m2 { "veth9" }',
        'delete map inet picket m1',
        'delete chain inet picket h1',
        'delete set inet picket s1',
        'delete counter inet picket c1',
        'add counter inet picket denied/a',
        'add set inet picket pods/A/v4 { typeof ip saddr . meta l4proto . th dport; flags interval; comment "app=web"; }',
        'add map inet picket by-interface { typeof iifname : verdict; }',
        'add set inet picket cut-flows { typeof ip saddr; flags dynamic,timeout; timeout 60s; size 100; }',
        'add chain inet picket ingress/a',
        'add chain inet picket filter-forward { type filter hook forward priority filter - 10; policy drop; comment "first"; }',
        'add element inet picket pods/A/v4 { 10.0.0.1-10.0.0.9 . tcp . 80, 10.0.0.10 . udp . 1-9 }',
        'add element inet picket s2 { 10.0.0.1 }',
        'add rule inet picket ingress/a ip saddr @pods/A/v4 accept',
        'add rule inet picket ingress/a counter name "denied/a" drop',
        'add rule inet picket ingress/b accept',
        'add element inet picket by-interface { "veth1" : goto ingress/a, "veth2" : accept }',
        '',
      ].join('\n'),
    )
  })

  it('writes long lists in several lines, and nothing for an empty one', () => {
    const plain: NftSet = { kind: 'set', name: 's', key: ['ip saddr'], flags: [] }
    const lines = text(addTo(plain, ...Array.from({ length: 1001 }, (_, i): [string] => [`10.0.${i >> 8}.${i & 255}`]))).trim().split('\n')
    assert.equal(lines.length, 3)
    assert.equal(lines.flatMap((line) => line.match(/10\.0\.\d+\.\d+/g)).length, 1001)
    assert.equal(text(addTo(plain)), '')
  })

  it('rule 105: cuts comments at 128 bytes, between characters', () => {
    assert.equal(quotedComment('x'.repeat(128)), `"${'x'.repeat(128)}"`)
    assert.equal(quotedComment('x'.repeat(129)), `"${'x'.repeat(125)}..."`)
    assert.equal(quotedComment(`${'x'.repeat(124)}€uro`), `"${'x'.repeat(124)}..."`)
    assert.equal(quotedComment(`${'x'.repeat(122)}€uros`), `"${'x'.repeat(122)}€..."`)
    assert.equal(Buffer.byteLength(quotedComment('\ud800'.repeat(60))) <= 130, true)
  })

  it('rule 105: keeps a comment inside its quotes', () => {
    assert.equal(text(counter('c', 'a"; }\nflush ruleset\n# \\')), 'add counter inet picket c { comment "a\'; } flush ruleset # /"; }\n')
  })

  it('rule 106: takes names of 255 bytes and refuses what nft would not read as a name', () => {
    assert.ok(text(counter('c'.repeat(255))).includes('c'.repeat(255)))
    for (const name of ['', '/a', '1a', '-a', 'a b', 'a;b', 'a"b', 'a\nb', 'ä', 'a{', 'fwd', 'accept', 'th', 'c'.repeat(256)]) {
      assert.throws(() => text(counter(name)), InvalidObject, name)
      assert.throws(() => text(chain(name)), InvalidObject, name)
      assert.throws(() => text({ verb: 'delete', object: { kind: 'set', name }, owners: [] }), InvalidObject, name)
      assert.throws(() => text(addTo(MAP, ['"v"', `goto ${name}`])), InvalidObject, name)
    }
    assert.doesNotThrow(() => [counter('.a'), counter('_a'), counter('fwd-x'), counter('accept/1')].map((o) => text(o)))
  })

  it('refuses keys and values that could be read as something else, naming the set', () => {
    const keys = ['', 'a b', '10.0.0.1, 10.0.0.2', '1 }', '"a', 'a"', '"a"b"', '"a" ', '"a*"', '"a\\"', '"a b"', '"a\n"', '""', '"sixteen-letters-"', '10.0.0.0/8', '*']
    for (const key of keys) assert.throws(() => text(addTo(MAP, [key, 'accept'])), (e) => e instanceof InvalidObject && e.object === 'map by-interface', key)
    for (const value of ['', 'goto', 'goto a b', 'accept }', 'a, b', 'jump accept']) assert.throws(() => text(addTo(MAP, ['"v"', value])), InvalidObject, value)
    assert.doesNotThrow(() => text(addTo(MAP, ['"a;{}#"', 'accept'], ['"fifteen-letters"', 'jump x'])))
  })

  it('refuses keys with too many or too few parts, and values where none belong', () => {
    const added: Operation = { verb: 'add', object: SET, owners: [] }
    assert.throws(() => text(added, addTo(SET, ['10.0.0.1'])), /1 parts, expected 3/)
    assert.throws(() => text(addTo(SET, ['10.0.0.1 . tcp . 80'], ['10.0.0.1 . tcp'])), /2 parts, expected 3/)
    assert.throws(() => text(addTo(SET, ['10.0.0.1 . tcp . 80', '1'])), /sets have none/)
    assert.throws(() => text(addTo(MAP, ['"v"'])), /maps have a value/)
  })

  it('refuses bodies of rules that would not stay one rule', () => {
    const bad = ['', 'accept\ndrop', 'accept; drop', 'accept # x', 'log prefix "x', 'ip saddr { 1.1.1.1', 'accept }', '} {', 'a \\', '<listed>']
    for (const rule of bad) assert.throws(() => text(chain('c', rule)), (e) => e instanceof InvalidObject && e.object === 'chain c', rule)
    assert.doesNotThrow(() => text(chain('c', 'log prefix "a; b # }" group 61', 'meta l4proto { icmp, icmpv6 } accept')))
  })

  it('refuses declarations that would not stay one', () => {
    for (const part of ['', 'ip saddr; flags interval', 'ip saddr\n', '{', 'a : b']) assert.throws(() => text({ verb: 'add', object: { ...SET, key: [part] }, owners: [] }), InvalidObject)
    for (const size of [0, -1, 1.5, NaN]) assert.throws(() => text({ verb: 'add', object: { ...SET, size }, owners: [] }), /size/)
    const base = { type: 'filter', hook: 'forward', priority: '0', policy: 'accept' } as const
    for (const wrong of [{ hook: 'a b' }, { priority: '0; policy drop' }]) {
      assert.throws(() => text({ verb: 'add', object: { kind: 'chain', name: 'c', rules: [], base: { ...base, ...wrong } }, owners: [] }), InvalidObject)
    }
  })
})
