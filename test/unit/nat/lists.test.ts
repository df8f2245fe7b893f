// Numbers, lengths and indexes of endpoint lists, and who gets an address that several Services claim.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PortClaims } from '../../../src/nat/claims.ts'
import { ListIds, slotted } from '../../../src/nat/lists.ts'
import { SizeCodes } from '../../../src/nat/sizes.ts'
import { targetKey, type Target } from '../../../src/nat/targets.ts'
import { runs } from '../../support/runs.ts'

const none = (): null => null
const target = (n: number): Target => ({ address: `10.0.0.${n}`, port: 80 })

describe('nat: numbers of lists', () => {
  it('one owner has one number, and one that was given back comes round last', () => {
    const ids = new ListIds(3)
    assert.deepEqual([ids.take('a', none), ids.take('b', none), ids.take('a', none)], [1, 2, 1])
    ids.giveBack('a')
    assert.deepEqual([ids.take('c', none), ids.take('d', none), ids.take('e', none)], [3, 1, null])
    ids.giveBack('b')
    assert.equal(ids.take('e', none), 2)
  })
  it('one under which clients may stay is passed over', () => {
    const ids = new ListIds(4)
    for (const owner of ['a', 'b', 'c', 'd']) ids.take(owner, none)
    ids.stays(2)
    ids.giveBack('b')
    ids.giveBack('c')
    assert.deepEqual([ids.take('e', none), ids.resting], [3, [2]])
  })
  it('its owner keeps it meanwhile, and one whose clients were forgotten before rests no longer', () => {
    const ids = new ListIds(2)
    for (const owner of ['a', 'b']) ids.take(owner, none)
    for (const id of [1, 2]) ids.stays(id)
    assert.deepEqual([ids.resting, ids.withClients, ids.take('c', none)], [[], [1, 2], null])
    ids.wake([1])
    for (const owner of ['b', 'a']) ids.giveBack(owner)
    assert.deepEqual([ids.resting, ids.take('c', none), ids.take('d', () => 1), ids.take('d', () => 2)], [[2], 1, null, 2])
  })
  it('one that rests is given to nobody until it wakes, though there is no other', () => {
    const ids = new ListIds(3)
    assert.deepEqual([ids.take('z', none), ids.take('a', none)], [1, 2])
    for (const id of [1, 2]) ids.stays(id)
    ids.giveBack('a')
    ids.giveBack('z')
    assert.deepEqual([ids.hasRoom, ids.take('b', none), ids.resting], [true, 3, [2, 1]])
    assert.deepEqual([ids.hasRoom, ids.take('c', none), ids.resting], [false, null, [2, 1]], 'whoever does not fit waits')
    ids.wake([1])
    assert.deepEqual([ids.hasRoom, ids.take('c', none), ids.take('d', none), ids.resting], [true, 1, null, [2]])
    ids.wake([2])
    assert.deepEqual([ids.take('d', none), ids.take('e', none)], [2, null])
  })
  it('what an earlier agent had rests for whoever had it, once, and only within the mark', () => {
    const ids = new ListIds(9)
    for (const id of [5, 7, 10, 0]) ids.rest(id)
    assert.deepEqual([ids.take('a', () => 5), ids.take('b', () => 5), ids.take('c', () => 10), ids.take('d', () => 7)], [5, 8, 9, 7])
    assert.deepEqual(ids.resting, [])
  })
})

describe('nat: lengths of lists', () => {
  it('a code is the length where it can be, one for each length in use, and none where there is no more', () => {
    const codes = new SizeCodes(4)
    assert.deepEqual([codes.take(2), codes.take(1_000), codes.take(2), codes.take(4), codes.take(3), codes.take(9)], [2, 4, 2, 3, 1, null])
    codes.giveBack(2)
    assert.equal(codes.take(9), null)
    codes.giveBack(2)
    assert.deepEqual([codes.take(9), codes.take(1_000)], [2, 4])
  })
})

describe('nat: indexes of endpoints', () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 9 }))
  it('are dense, of exactly the wanted ones, and no more move than have to', () => {
    fc.assert(
      fc.property(numbers, numbers, (old, wanted) => {
        const before = old.map(target)
        const after = slotted(before, wanted.map(target))
        assert.deepEqual(after.map(targetKey).sort(), wanted.map((n) => targetKey(target(n))).sort())
        const stay = before.filter((one, index) => index < wanted.length && wanted.some((n) => targetKey(target(n)) === targetKey(one)))
        for (const one of stay) assert.equal(after.indexOf(one), before.indexOf(one))
      }),
      runs(300),
    )
  })
  it('the same ones are the same value, and a hole in what is remembered is filled', () => {
    const before = [target(1), target(2)]
    assert.equal(slotted(before, [target(2), target(1)]), before)
    const holed: Target[] = []
    holed[1] = target(2)
    assert.deepEqual(slotted(holed, [target(2), target(3)]), [target(3), target(2)])
  })
})

describe('nat: claims', () => {
  const claimant = (uid: string, createdAt = 0): { readonly uid: string; readonly createdAt: number; readonly title: string } => ({ uid, createdAt, title: `shop/${uid}` })
  it('the oldest holds, then the least UID, whatever the order; whose holding may change is told', () => {
    const claims = new PortClaims()
    assert.deepEqual([...claims.claim(claimant('b', 5), new Set(['x', 'y']))], [])
    assert.deepEqual([...claims.claim(claimant('c', 9), new Set(['x']))], ['b'])
    assert.equal(claims.holder('x')?.uid, 'b')
    assert.deepEqual([...claims.claim(claimant('a', 5), new Set(['x']))].sort(), ['b', 'c'])
    assert.equal(claims.holder('x')?.uid, 'a')
    assert.deepEqual([...claims.claim(claimant('a', 5), new Set())].sort(), ['b', 'c'])
    assert.deepEqual([claims.holder('x')?.uid, claims.holder('y')?.uid, claims.holder('z')], ['b', 'b', null])
    assert.deepEqual([...claims.claim(claimant('b', 99), new Set(['x', 'y']))], ['c'])
    assert.equal(claims.holder('x')?.uid, 'c')
  })
})
