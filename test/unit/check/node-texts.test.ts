// What is read of a node as text: rules that write connections' marks, as nft lists them, and routes of /proc/net.
//
// **Invariant:** texts are those of a real kernel and of nft 1.0.6, one change each.
import assert from 'node:assert/strict'
import { markWriters } from '../../../src/check/mark-writers.ts'
import { routesOf4, routesOf6 } from '../../../src/check/routes.ts'

const MARK = { ct: { key: 'mark' } }
const META = { meta: { key: 'mark' } }
const listing = (...statements: readonly unknown[]): string =>
  JSON.stringify({ nftables: [{ metainfo: {} }, ...statements.map((one) => ({ rule: { family: 'ip', table: 't', chain: 'c', expr: [{ counter: { packets: 0, bytes: 0 } }, one] } }))] })
const set = (value: unknown): unknown => ({ mangle: { key: MARK, value } })
const bits = (...statements: readonly unknown[]): readonly (number | null)[] => markWriters(listing(...statements)).map((one) => one.bits)

describe("check: rules that write connections' marks", () => {
  it('which bits each kind of rule changes', () => {
    const cases: readonly [unknown, number][] = [
      [5, 0xffffffff],
      [{ '|': [MARK, 16] }, 0x10],
      [{ '^': [MARK, 16] }, 0x10],
      [{ '&': [MARK, 0xffff0000] }, 0xffff],
      [{ '|': [{ '&': [MARK, 0xffffff00] }, 0x10] }, 0xff],
      [{ '|': [{ '&': [MARK, 0xff] }, 0x80000000] }, 0xffffff00],
      [{ '|': [MARK, 1, 2] }, 3],
      // nft 1.1: two expressions at once.
      [{ '|': [{ '&': [MARK, 0xffffff00] }, { '&': [META, 0xff] }] }, 0xff],
      [{ '|': [MARK, META] }, 0xffffffff],
      [{ '&': [MARK, META] }, 0xffffffff],
      [META, 0xffffffff],
      [{ '&': [META, 0xff] }, 0xffffffff],
      [{ '<<': [MARK, 4] }, 0xffffffff],
      [{ map: { key: { payload: { protocol: 'ip', field: 'saddr' } }, data: '@m' } }, 0xffffffff],
      [null, 0xffffffff],
    ]
    for (const [value, expected] of cases) assert.deepEqual(bits(set(value)), [expected], JSON.stringify(value))
  })
  it('nothing of rules that change nothing of it: its own value, or the mark of the packet', () => {
    assert.deepEqual(bits(set(MARK), { mangle: { key: META, value: MARK } }, { xt: { type: 'target', name: 'MARK' } }, { xt: { type: 'match', name: 'CONNMARK' } }, { xt: null }, null, 'drop', { match: { left: MARK } }), [])
  })
  it('one for each chain, its rules together; bits that iptables does not show stand apart', () => {
    assert.deepEqual(markWriters(listing(set({ '|': [MARK, 1] }), set({ '|': [MARK, 0x80000000] }), { xt: { type: 'target', name: 'CONNMARK' } })), [
      { table: 'ip t', chain: 'c', bits: 0x80000001 },
      { table: 'ip t', chain: 'c', bits: null },
    ])
  })
  it('what is no listing is refused', () => assert.throws(() => markWriters('x'), { code: 'UnreadableListing' }))
})

describe('check: routes of /proc/net', () => {
  const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT'
  const ROUTES4 = `${HEAD}\neth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0   \neth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n*\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0\nodd\n`
  it('of IPv4, as this machine orders bytes; what refuses is none', () => {
    assert.deepEqual(routesOf4(ROUTES4, true).map(({ text }) => text), ['0.0.0.0/0', '192.0.2.0/24'])
    assert.deepEqual(routesOf4(`${HEAD}\neth0\tC0000200\t0\t0001\t0\t0\t0\tFFFFFF00`, false).map(({ text }) => text), ['192.0.2.0/24'])
    assert.deepEqual(routesOf4('', true), [])
  })
  it('of IPv6', () => {
    const line = (destination: string, prefix: string, flags: string): string => `${destination} ${prefix} ${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00000400 00000003 00000000 ${flags}     eth0`
    const text = [line('0'.repeat(32), '00', '00000003'), line('0'.repeat(32), '00', '00200200'), line(`fd${'0'.repeat(30)}`, '40', '00000001'), 'odd', ''].join('\n')
    assert.deepEqual(routesOf6(text).map((one) => one.text), ['::/0', 'fd00::/64'])
  })
})
