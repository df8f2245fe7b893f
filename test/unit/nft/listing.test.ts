// parseListing on what nft 1.0.6 printed (`nft -n -j list table inet picket`), and on shapes of later versions.
import assert from 'node:assert/strict'
import { parseListing, UnreadableListing } from '../../../src/nft/listing.ts'
import type { NftMap, NftSet } from '../../../src/nft/objects.ts'
import { LISTED_RULES } from '../../../src/nft/state.ts'
import { priorityNumber, sameDeclaration } from '../../../src/nft/types.ts'

const TABLE = { family: 'inet', name: 'picket' } as const

/** One object a line, as recorded. */
const RECORDED = `
{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}
{"table": {"family": "inet", "name": "picket", "handle": 3}}
{"counter": {"family": "inet", "name": "denied/x", "table": "picket", "handle": 1, "comment": "c", "packets": 7, "bytes": 420}}
{"set": {"family": "inet", "name": "cidrs/a", "table": "picket", "type": "ipv4_addr", "handle": 2, "comment": "x y", "flags": ["interval"], "elem": [{"prefix": {"addr": "10.0.0.0", "len": 24}}, "10.0.1.1", {"range": ["10.0.2.0", "10.0.2.9"]}, {"prefix": {"addr": "128.0.0.0", "len": 1}}]}}
{"set": {"family": "inet", "name": "cidrs/b", "table": "picket", "type": "ipv6_addr", "handle": 3, "flags": ["interval"], "elem": ["::ffff:1.2.3.4", {"prefix": {"addr": "1::", "len": 64}}, {"prefix": {"addr": "fd00::", "len": 120}}]}}
{"set": {"family": "inet", "name": "pairs", "table": "picket", "type": ["ipv4_addr", "inet_proto", "inet_service"], "handle": 4, "flags": ["interval"], "elem": [{"concat": ["10.0.0.1", 6, 80]}, {"concat": [{"prefix": {"addr": "10.0.0.4", "len": 30}}, 17, {"range": [80, 90]}]}, {"concat": [{"prefix": {"addr": "0.0.0.0", "len": 0}}, 99, {"range": [1, 65535]}]}]}}
{"set": {"family": "inet", "name": "ifs", "table": "picket", "type": ["ifname", "ipv4_addr"], "handle": 5, "elem": [{"concat": ["veth1", "10.0.0.1"]}, {"concat": ["a;b", "10.0.0.2"]}]}}
{"set": {"family": "inet", "name": "dyn", "table": "picket", "type": ["ipv4_addr", "ipv4_addr"], "handle": 6, "size": 100, "flags": ["timeout"], "timeout": 60, "elem": [{"elem": {"val": {"concat": ["1.1.1.1", "2.2.2.2"]}, "expires": 59}}]}}
{"map": {"family": "inet", "name": "vm", "table": "picket", "type": "ifname", "handle": 7, "map": "verdict", "elem": [["veth1", {"goto": {"target": "a/b"}}], ["veth2", {"accept": null}], ["veth3", {"jump": {"target": "a/b"}}]]}}
{"map": {"family": "inet", "name": "ids", "table": "picket", "type": ["mark", "ipv4_addr", "inet_proto", "inet_service"], "handle": 8, "map": "mark", "elem": [[{"concat": [65536, "10.96.0.10", 6, 80]}, 66048]]}}
{"map": {"family": "inet", "name": "eps6", "table": "picket", "type": ["mark", "integer"], "handle": 10, "map": "ipv6_addr . inet_service", "elem": [[{"concat": [65536, 0]}, {"concat": ["fd00::1", 8080]}]]}}
{"map": {"family": "inet", "name": "counted", "table": "picket", "type": "ifname", "handle": 12, "map": "counter", "elem": [["veth1", "dropped/Egress/shop/U1"]]}}
{"set": {"family": "inet", "name": "none", "table": "picket", "type": "inet_service", "handle": 11}}
{"chain": {"family": "inet", "table": "picket", "name": "a/b", "handle": 16}}
{"chain": {"family": "inet", "table": "picket", "name": "fwd-x", "handle": 17, "type": "filter", "hook": "forward", "prio": -10, "policy": "accept"}}
{"rule": {"family": "inet", "table": "picket", "chain": "a/b", "handle": 18, "comment": "r", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@cidrs/a"}}, {"counter": {"packets": 5, "bytes": 50}}, {"accept": null}]}}
{"chain": {"family": "ip", "table": "picket", "name": "of-another-family", "handle": 1}}
{"chain": {"family": "inet", "table": "other", "name": "of-another-table", "handle": 1}}
`
const listing = (lines: string): string => `{"nftables": [${lines.trim().split('\n').join(', ')}]}`
const oneSet = (fields: string): string => listing(`{"set": {"family": "inet", "table": "picket", "name": "s", ${fields}}}`)

describe('parseListing', () => {
  const { state, counters, rules } = parseListing(listing(RECORDED), TABLE)
  const keys = (name: string): string[] => [...(state.sets.get(name)?.elements.values() ?? [])].map((e) => (e.value === undefined ? e.key : `${e.key} : ${e.value}`))

  it('gives elements the form in which they are written', () => {
    assert.deepEqual(keys('cidrs/a'), ['10.0.0.0-10.0.0.255', '10.0.1.1', '10.0.2.0-10.0.2.9', '128.0.0.0-255.255.255.255'])
    assert.deepEqual(keys('cidrs/b'), ['::ffff:102:304', '1::-1::ffff:ffff:ffff:ffff', 'fd00::-fd00::ff'])
    assert.deepEqual(keys('pairs'), ['10.0.0.1 . tcp . 80', '10.0.0.4-10.0.0.7 . udp . 80-90', '0.0.0.0-255.255.255.255 . 99 . 1-65535'])
    assert.deepEqual(keys('ifs'), ['"veth1" . 10.0.0.1', '"a;b" . 10.0.0.2'])
    assert.deepEqual(keys('dyn'), ['1.1.1.1 . 2.2.2.2'])
    assert.deepEqual(keys('vm'), ['"veth1" : goto a/b', '"veth2" : accept', '"veth3" : jump a/b'])
    assert.deepEqual(keys('ids'), ['65536 . 10.96.0.10 . tcp . 80 : 66048'])
    assert.deepEqual(keys('eps6'), ['65536 . 0 : fd00::1 . 8080'])
    assert.deepEqual(keys('counted'), ['"veth1" : dropped/Egress/shop/U1'])
    assert.deepEqual(keys('none'), [])
  })

  it('takes chains and counters of this table only, with rules that equal nothing', () => {
    assert.deepEqual([...state.chains.values()], [
      { kind: 'chain', name: 'a/b', rules: LISTED_RULES },
      { kind: 'chain', name: 'fwd-x', base: { type: 'filter', hook: 'forward', priority: '-10', policy: 'accept' }, rules: LISTED_RULES },
    ])
    assert.deepEqual([...state.counters.values()], [{ kind: 'counter', name: 'denied/x', comment: 'c' }])
    assert.deepEqual(counters.get('denied/x'), { packets: 7, bytes: 420 })
  })

  it('has a fingerprint of rules that packets do not change', () => {
    const other = parseListing(listing(RECORDED.replace('"packets": 5, "bytes": 50', '"packets": 6, "bytes": 60').replace('"handle": 18', '"handle": 99')), TABLE)
    assert.equal(rules.get('a/b'), other.rules.get('a/b'))
    const changed = parseListing(listing(RECORDED.replace('@cidrs/a"', '@cidrs/b"')), TABLE)
    assert.notEqual(rules.get('a/b'), changed.rules.get('a/b'))
    assert.equal(rules.get('fwd-x'), '')
  })

  it('takes an unchanged set for unchanged, and a changed one for changed', () => {
    const same: [string, NftSet | NftMap][] = [
      ['cidrs/a', { kind: 'set', name: 'cidrs/a', key: ['ip daddr'], flags: ['interval'] }],
      ['pairs', { kind: 'set', name: 'pairs', key: ['ip saddr', 'meta l4proto', 'th dport'], flags: ['interval'] }],
      ['dyn', { kind: 'set', name: 'dyn', key: ['ip saddr', 'ip daddr'], flags: ['dynamic', 'timeout'], timeout: 60, size: 100 }],
      ['vm', { kind: 'map', name: 'vm', key: ['oifname'], data: ['verdict'], flags: [] }],
      ['ids', { kind: 'map', name: 'ids', key: ['ct mark and 0xff00', 'ip daddr', 'meta l4proto', 'th dport'], data: ['ct mark'], flags: [] }],
      ['eps6', { kind: 'map', name: 'eps6', key: ['ct mark', 'numgen random mod 65536'], data: ['ip6 daddr', 'th dport'], flags: [] }],
    ]
    for (const [name, wanted] of same) {
      const listed = state.sets.get(name)?.object as NftSet | NftMap
      assert.ok(sameDeclaration(listed, wanted), name)
      assert.ok(!sameDeclaration(listed, { ...wanted, key: [...wanted.key, 'ip saddr'] }), name)
      assert.ok(!sameDeclaration(listed, { ...wanted, flags: wanted.flags.includes('interval') ? [] : ['interval'] }), name)
    }
    assert.ok(!sameDeclaration(state.sets.get('dyn')?.object as NftSet, { ...(same[2]?.[1] as NftSet), timeout: 61 }))
  })

  it('reads the expressions that later versions list', () => {
    const typed = '"type": {"typeof": {"concat": [{"meta": {"key": "iifname"}}, {"payload": {"protocol": "ip", "field": "saddr"}}, {"ct": {"key": "mark"}}]}}'
    const { state: later } = parseListing(oneSet(`${typed}, "elem": [{"concat": ["veth1", "10.0.0.1", 5]}]`), TABLE)
    assert.deepEqual([...(later.sets.get('s')?.elements.keys() ?? [])], ['"veth1" . 10.0.0.1 . 5'])
    assert.ok(sameDeclaration(later.sets.get('s')?.object as NftSet, { kind: 'set', name: 's', key: ['iifname', 'ip saddr', 'ct mark'], flags: [] }))
  })

  it('calls what it does not know unreadable, and says what that is', () => {
    const bad = [
      ['', /expected JSON/],
      ['{}', /nftables/],
      [listing('{"chain": {"family": "inet", "table": "picket"}}'), /a chain without name/],
    ] as const
    for (const [text, message] of bad) {
      assert.throws(() => parseListing(text, TABLE), (error) => error instanceof UnreadableListing && message.test(error.message), text)
    }
  })

  it('rule 108: takes a set that it cannot read for one of another type, and reads the rest', () => {
    const ours: NftSet = { kind: 'set', name: 's', key: ['ip saddr'], flags: [] }
    const unread = [
      '"type": {"typeof": {"mystery": 1}}',
      '"type": "ipv4_addr", "elem": ["10.0.0.1", {"mystery": 1}]',
      '"type": "ipv4_addr", "elem": [{"concat": ["10.0.0.1", 5]}]',
      '"type": "ifname", "elem": ["veth*"]',
    ]
    for (const text of unread) {
      const read = parseListing(oneSet(text), TABLE).state.sets.get('s')
      assert.ok(read !== undefined && !sameDeclaration(read.object, ours), text)
      assert.equal(read.elements.size, 0, text)
    }
  })

  it('passes over kinds of objects that Picket never makes', () => {
    assert.equal(parseListing(listing('{"quota": {"family": "inet", "table": "picket", "name": "q"}}'), TABLE).state.chains.size, 0)
  })
})

describe('priorityNumber', () => {
  it('knows the names of each family', () => {
    for (const [family, text, number] of [['inet', 'filter - 10', -10], ['inet', 'raw', -300], ['inet', 'dstnat-10', -110], ['inet', '-100', -100], ['inet', 'srcnat + 5', 105], ['bridge', 'dstnat', -300], ['bridge', 'filter', -200]] as const) {
      assert.equal(priorityNumber(family, text), number, text)
    }
    assert.ok(Number.isNaN(priorityNumber('inet', 'nonsense')))
    assert.ok(Number.isNaN(priorityNumber('inet', '1 +')))
  })
})
