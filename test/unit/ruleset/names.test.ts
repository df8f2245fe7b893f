// Names of what policies make: as long as the kernel takes, and never one for two things (rule 106).
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { PeerSet } from '../../../src/policy/plan.ts'
import { peerSet } from '../../../src/ruleset/names.ts'

type Place = Extract<PeerSet, { kind: 'cidrs' }>['place']

const nameOf = (place: Place, family: 4 | 6 = 4): string => peerSet({ kind: 'cidrs', place } as Extract<PeerSet, { kind: 'cidrs' }>, family)
const place = (more: Partial<Place>): Place => ({ namespace: 'shop', name: 'in', direction: 'ingress', rule: 0, policy: 'policy:shop/in', shape: '', ...more }) as Place

describe('names', () => {
  it('rule 106: the longest namespace and name with dots fit, with everything behind them, and differ where only their last letter does', () => {
    const long = (last: string): string => `${Array.from({ length: 4 }, () => 'p'.repeat(62)).join('.')}.${last}`
    const names = ['1', '2'].flatMap((last) => ([4, 6] as const).flatMap((family) => [0, 100].map((rule) => nameOf(place({ namespace: 'n'.repeat(63), name: long(last), policy: `policy:${last}`, rule }), family))))
    for (const name of names) assert.ok(Buffer.byteLength(name) <= 255 && /^[a-z][\w/.-]*$/i.test(name), name)
    assert.equal(new Set(names).size, names.length)
  })

  it('rule 106: policies of one UID, too, have names of their own: namespace, name, direction and rule are in it', () => {
    const long = 'x'.repeat(250)
    const places = [place({}), place({ namespace: 'shop.in', name: 'in' }), place({ namespace: 'shop', name: 'in.in' }), place({ direction: 'egress' }), place({ rule: 1 }), place({ name: `${long}a` }), place({ name: `${long}b` }), place({ name: `${long}b`, direction: 'egress' })]
    const names = places.map((one) => nameOf(one))
    assert.equal(new Set(names).size, names.length, names.join('\n'))
  })

  it('property: rule 106: two places never have one name, and any name is one that nft reads', () => {
    const text = fc.oneof(fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?$/), fc.string({ maxLength: 300 }))
    const any = fc.record({ namespace: text, name: text, direction: fc.constantFrom('ingress', 'egress'), rule: fc.nat(1_000), policy: text, shape: text })
    fc.assert(fc.property(any, any, (a, b) => {
      const [one, two] = [nameOf(a as Place), nameOf(b as Place)]
      for (const name of [one, two]) assert.ok(Buffer.byteLength(name) <= 255 && /^[A-Za-z][A-Za-z0-9/._-]*$/.test(name), name)
      const same = (['namespace', 'name', 'direction', 'rule', 'policy', 'shape'] as const).every((key) => a[key] === b[key])
      assert.equal(one === two, same)
    }), { numRuns: 500 })
  })
})
