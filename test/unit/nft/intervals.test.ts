// Intervals and subtract against a naive model: a set of points.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Intervals, subtract, type Range } from '../../../src/nft/intervals.ts'

const MAX = 60
const range = fc.tuple(fc.integer({ min: 0, max: MAX }), fc.integer({ min: 0, max: 20 })).map(([first, more]): Range => ({ first: BigInt(first), last: BigInt(first + more) }))
const step = fc.record({ verb: fc.constantFrom('add', 'remove'), source: fc.constantFrom('a', 'b', 'c'), range })
const key = (r: Range): string => `${r.first}-${r.last}`

/** Merged ranges of the points that `covered` holds. */
function merged(covered: (point: bigint) => boolean): string[] {
  const ranges: string[] = []
  let first: bigint | null = null
  for (let p = 0n; p <= BigInt(MAX + 30); p++) {
    if (covered(p)) first ??= p
    else if (first !== null) {
      ranges.push(`${first}-${p - 1n}`)
      first = null
    }
  }
  return ranges
}

describe('intervals', () => {
  it('rule 34, rule 52: are what the sources hold, merged, and each delta leads from one to the next', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const intervals = new Intervals()
        const held = new Map<string, Range>()
        const elements = new Set<string>()
        for (const { verb, source, range: r } of steps) {
          const delta = verb === 'add' ? intervals.add(source, r) : intervals.remove(source, r)
          if (verb === 'add') held.set(`${source} ${key(r)}`, r)
          else held.delete(`${source} ${key(r)}`)
          for (const gone of delta.removed) assert.ok(elements.delete(key(gone)), `removes ${key(gone)}, which was not there`)
          for (const come of delta.added) {
            assert.ok(!elements.has(key(come)))
            elements.add(key(come))
          }
          assert.ok(!delta.added.some((a) => delta.removed.some((b) => key(a) === key(b))), 'it adds what it removes')
          const expected = merged((p) => [...held.values()].some((h) => h.first <= p && p <= h.last))
          assert.deepEqual(intervals.elements().map(key), expected)
          assert.deepEqual([...elements].sort(), expected.toSorted())
        }
      }),
      { numRuns: 500 },
    )
  })

  it('merges with both neighbours and splits again', () => {
    const r = (first: number, last: number): Range => ({ first: BigInt(first), last: BigInt(last) })
    const intervals = new Intervals()
    intervals.add('a', r(0, 9))
    intervals.add('a', r(20, 29))
    assert.deepEqual(intervals.add('b', r(10, 19)), { added: [r(0, 29)], removed: [r(0, 9), r(20, 29)] })
    assert.deepEqual(intervals.add('b', r(5, 6)), { added: [], removed: [] })
    assert.deepEqual(intervals.remove('b', r(10, 19)), { added: [r(0, 9), r(20, 29)], removed: [r(0, 29)] })
    assert.deepEqual(intervals.remove('c', r(0, 9)), { added: [], removed: [] })
    assert.throws(() => intervals.add('a', r(2, 1)), RangeError)
  })

  it('covers a whole family and lets go of it', () => {
    const all = { first: 0n, last: (1n << 128n) - 1n }
    const intervals = new Intervals()
    assert.deepEqual(intervals.add('a', all).added, [all])
    assert.deepEqual(intervals.remove('a', all), { added: [], removed: [all] })
    assert.deepEqual(intervals.elements(), [])
  })

  it('rule 110: 100,000 ranges in random order, half of them taken away again', function () {
    this.timeout(20_000)
    const intervals = new Intervals()
    const at = (i: number): Range => ({ first: BigInt(((i * 7919) % 100_000) * 10), last: BigInt(((i * 7919) % 100_000) * 10 + 5) })
    for (let i = 0; i < 100_000; i++) intervals.add('a', at(i))
    for (let i = 0; i < 50_000; i++) intervals.remove('a', at(i))
    assert.equal(intervals.elements().length, 50_000)
  })

  it('rule 46, rule 49: subtract takes away what is excepted and nothing else', () => {
    fc.assert(
      fc.property(range, fc.array(range, { maxLength: 6 }), (whole, except) => {
        const inside = (p: bigint): boolean => whole.first <= p && p <= whole.last && !except.some((e) => e.first <= p && p <= e.last)
        assert.deepEqual(subtract(whole, except).map(key), merged(inside))
      }),
    )
    const all = { first: 0n, last: 0xffffffffn }
    assert.deepEqual(subtract(all, [{ first: 0n, last: 0x7fffffffn }, { first: 0x80000000n, last: 0xffffffffn }]), [])
  })
})
