// Elements as bytes: exact ones, what is left to nft's text, and that nothing is written which nft's text could not say.
//
// That they are what nft itself writes is shown on the real kernel: test/kernel/element-commits.test.ts.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { elementBytes, type ValueBytes } from '../../../src/nft/element-bytes.ts'
import type { NftMap, NftSet } from '../../../src/nft/objects.ts'
import { checkElements } from '../../../src/nft/validate.ts'

const set = (key: readonly string[], ...flags: NftSet['flags']): NftSet => ({ kind: 'set', name: 's', key, flags })
const map = (key: readonly string[], ...data: string[]): NftMap => ({ kind: 'map', name: 'm', key, data, flags: [] })
const hex = (bytes: Uint8Array | null | undefined): string | null => (bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString('hex'))

function said(value: ValueBytes | null | undefined): string {
  if (value === null || value === undefined) return ''
  if (value.kind === 'data') return ` : ${hex(value.bytes)}`
  return value.kind === 'counter' ? ` : counter ${value.name}` : ` : ${value.verdict} ${value.chain}`
}

/** `KEY` or `FIRST-LAST`, then what the value is; null where it goes as text. */
function bytesOf(of: NftSet | NftMap, key: string, value?: string): string | null {
  const found = elementBytes(of, [value === undefined ? { key } : { key, value }], value !== undefined)
  if (found === null) return null
  const [element] = found
  return `${hex(element?.key)}${element?.last === null ? '' : `-${hex(element?.last)}`}${said(element?.value)}`
}

describe('elements as bytes', () => {
  it('one part has its own width, in network order but for numbers of the host', () => {
    for (const [expression, key, bytes] of [
      ['ip saddr', '10.0.0.255', '0a0000ff'],
      ['ct original ip daddr', '0.0.0.0', '00000000'],
      ['ip6 daddr', 'fd00::1:a', 'fd00000000000000000000000001000a'],
      ['ip6 saddr', '::', '00000000000000000000000000000000'],
      ['ip6 saddr', '::ffff:102:304', '00000000000000000000ffff01020304'],
      ['ip6 saddr', '1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
      ['ip6 saddr', '1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
      ['iifname', '"veth-a"', '766574682d6100000000000000000000'],
      ['oifname', '"fifteen-letters"', '6669667465656e2d6c65747465727300'],
      ['ether saddr', '02:00:0a:ff:00:01', '02000aff0001'],
      ['meta l4proto', 'tcp', '06'],
      ['meta l4proto', '132', '84'],
      ['th dport', '443', '01bb'],
      ['icmp type', '8', '08'],
      ['ct mark', '66048', '00020100'],
      ['ct mark', '4294967295', 'ffffffff'],
      ['(ct mark and 0xffffff00)', '256', '00010000'],
      ['numgen random mod 65536', '258', '02010000'],
    ] as const) {
      assert.equal(bytesOf(set([expression]), key), bytes, `${expression} ${key}`)
    }
  })

  it('of several parts each is padded, in data too, and verdicts say where to', () => {
    assert.equal(bytesOf(set(['ip daddr', 'meta l4proto', 'th dport']), '10.0.0.1 . tcp . 80'), '0a000001' + '06000000' + '00500000')
    assert.equal(bytesOf(map(['ether saddr', 'ct mark'], 'ip daddr', 'th dport'), '02:00:00:00:00:01 . 1', '10.0.0.2 . 8080'), '0200000000010000' + '01000000 : 0a000002' + '1f900000')
    assert.equal(bytesOf(map(['th dport'], 'ct mark'), '80', '1'), '0050 : 01000000')
    const verdicts = map(['iifname'], 'verdict')
    for (const [value, said] of [['accept', 'accept null'], ['drop', 'drop null'], ['goto a/b', 'goto a/b'], ['jump a', 'jump a']] as const) {
      assert.equal(bytesOf(verdicts, '"v"', value), `76${'00'.repeat(15)} : ${said}`)
    }
    assert.deepEqual(elementBytes(verdicts, [{ key: '"v"', value: 'drop' }], false)?.map(({ value }) => value), [null])
  })

  it('an element of a set with intervals has two ends, whether or not it is a range', () => {
    assert.equal(bytesOf(set(['ip saddr'], 'interval'), '10.0.0.0-10.0.0.9'), '0a000000-0a000009')
    assert.equal(bytesOf(set(['ip saddr'], 'interval'), '10.0.0.9'), '0a000009-0a000009')
    assert.equal(bytesOf(set(['iifname', 'ip saddr'], 'interval'), '"a-b" . 10.0.0.0-10.0.0.9'), `612d62${'00'.repeat(13)}0a000000-612d62${'00'.repeat(13)}0a000009`)
    assert.equal(bytesOf(set(['ip daddr', 'meta l4proto', 'th dport'], 'interval'), '10.0.0.4-10.0.0.7 . sctp . 1-65535'), '0a0000048400000000010000-0a00000784000000ffff0000')
  })

  it('leaves to text what is not known for certain', () => {
    for (const [expression, ...keys] of [
      ['ip saddr', '10.0.0', '10.0.0.0.1', '10.0.0.256', '10.0.0.01', '10.0.0.-1', '10.0.0.0-10.0.0.9', '10.0.0.0/8', '', '10.0.0.1 . 1'],
      ['ip6 saddr', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4::5:6:7:8', '::1.2.3.4', 'fd00::g', ':1::', '12345::', 'FD00::1', 'fe80::1%eth0', '10.0.0.1'],
      ['iifname', '"veth*"', 'veth', '""', '"sixteen-letters-"', '"a b"', '"a\\"', '"a"b"', '"\n"'],
      ['ether saddr', '2:0:0:0:0:1', '02:00:00:00:00', '02:00:00:00:00:001'],
      ['meta l4proto', '256', 'quic', 'TCP', 'tcp-udp'],
      ['th dport', '65536', 'http', '080', '0x50', '-1', '1e3', '80-81'],
      ['ct mark', '4294967296', '0x10', '1.5'],
      ['meta nfproto', 'ipv4', '2'],
      ['ct state', '2'],
      ['ip saddr . ip daddr', '10.0.0.1 . 10.0.0.2'],
    ] as const) {
      for (const key of keys) assert.equal(bytesOf(set([expression]), key), null, `${expression} ${key}`)
    }
    // nft turns numbers of the host around in sets with intervals.
    assert.equal(bytesOf(set(['ct mark'], 'interval'), '1'), null)
    assert.equal(bytesOf(set(['ct mark', 'ip saddr'], 'interval'), '1 . 10.0.0.1'), null)
    assert.equal(bytesOf(set(['ip saddr'], 'interval'), '10.0.0.9-10.0.0.1'), null)
    assert.equal(bytesOf(set(['ip saddr', 'th dport'], 'interval'), '10.0.0.1-10.0.0.9 . 9-1'), null)
    for (const value of ['', 'goto', 'jump', 'goto a b', 'queue', 'accept ']) assert.equal(bytesOf(map(['iifname'], 'verdict'), '"v"', value), null, value)
    assert.equal(bytesOf(map(['iifname'], 'ct mark'), '"v"', 'accept'), null)
    assert.equal(bytesOf(map(['iifname'], 'ct state'), '"v"', '2'), null)
    assert.equal(elementBytes(map(['iifname'], 'ct mark'), [{ key: '"v"' }], true), null)
    assert.equal(elementBytes(set(['iifname']), [{ key: '"v"', value: '1' }], true), null)
    assert.equal(elementBytes(set([]), [{ key: '' }], true), null)
    assert.equal(elementBytes(set(['ip saddr']), [{ key: '10.0.0.1' }, { key: 'x' }], true), null)
  })

  it('writes nothing that text would refuse to say', () => {
    const good: Readonly<Record<string, readonly string[]>> = {
      'ip saddr': ['10.0.0.1', '10.0.0.1-10.0.0.2'],
      'ip6 saddr': ['::1', 'fd00::2-fd00::3'],
      iifname: ['"veth1"', '"a;b"', '"ä"'],
      'meta l4proto': ['tcp', '6'],
      'th dport': ['0', '1-2'],
      'ct mark': ['0', '80'],
    }
    const bad = fc.oneof(fc.constantFrom('"a*"', 'accept', 'goto x'), fc.string({ unit: fc.constantFrom(...'0123456789abcdef.:-" *;{}\\'), maxLength: 20 }))
    const part = fc.constantFrom(...Object.keys(good)).chain((of) => fc.record({ of: fc.constant(of), text: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...(good[of] as string[])) }, bad) }))
    let written = 0
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 3 }), fc.array(part, { maxLength: 2 }), fc.boolean(), (key, data, interval) => {
        const declared = { name: 's', key: key.map(({ of }) => of), flags: interval ? (['interval'] as const) : [] }
        const of: NftSet | NftMap = data.length === 0 ? { kind: 'set', ...declared } : { kind: 'map', ...declared, data: data.map((one) => one.of) }
        const text = (parts: readonly { readonly text: string }[]): string => parts.map((one) => one.text).join(' . ')
        const element = data.length === 0 ? { key: text(key) } : { key: text(key), value: text(data) }
        if (elementBytes(of, [element], true) === null) return
        written++
        checkElements(of, [element], true)
      }),
      { numRuns: 10_000 },
    )
    assert.ok(written > 1_000, String(written))
  })
})
