// loadBalancerSourceRanges: whom the maps let to a load balancer's address.
//
// **Invariant:** read from the table after a real turn, in both families.
import assert from 'node:assert/strict'
import type { Service } from '../../../src/model/service.ts'
import { cidr, service, slice } from '../../support/builders.ts'
import { upsert } from '../../support/cluster-feed.ts'
import { Pipeline } from '../../support/pipeline.ts'

const VIPS = ['203.0.113.1', 'fd20::1']

/** Elements of source-restricted and source-ranges of that family. */
function ranged(sourceRanges: Service['sourceRanges'], family: 4 | 6): readonly (readonly string[])[] {
  const pipeline = new Pipeline({ nodeName: 'node1', services: {} })
  upsert(pipeline.turns.inbox, 'service', service({ loadBalancerIps: VIPS, externalIps: ['203.0.113.9', ...VIPS], sourceRanges }))
  upsert(pipeline.turns.inbox, 'slice', slice([{ address: '10.1.0.1' }]), slice([{ address: 'fd10::1' }], { name: 'six' }))
  pipeline.turn()
  return ['source-restricted', 'source-ranges'].map((name) => [...(pipeline.applied.sets.get(`${name}-v${family}`)?.elements.keys() ?? [])])
}

describe('source ranges of a load balancer', () => {
  it('where none was asked for, everybody may use it', () => {
    for (const family of [4, 6] as const) assert.deepEqual(ranged(null, family), [[], []])
  })

  it('where none could be read, nobody may but the balancer\'s own address, though it is an external one, too', () => {
    assert.deepEqual(ranged([], 4), [['203.0.113.1 . tcp . 80'], ['203.0.113.1 . tcp . 80 . 203.0.113.1']])
    assert.deepEqual(ranged([], 6), [['fd20::1 . tcp . 80'], ['fd20::1 . tcp . 80 . fd20::1']])
  })

  it('of one family they leave the other one to nobody', () => {
    const four = [['203.0.113.1 . tcp . 80'], ['203.0.113.1 . tcp . 80 . 198.51.100.0-198.51.100.255', '203.0.113.1 . tcp . 80 . 203.0.113.1']]
    assert.deepEqual([ranged([cidr('198.51.100.0/24')], 4), ranged([cidr('198.51.100.0/24')], 6)], [four, ranged([], 6)])
    const six = [['fd20::1 . tcp . 80'], ['fd20::1 . tcp . 80 . fd20::1', 'fd20::1 . tcp . 80 . fd30::-fd30::ffff']]
    assert.deepEqual([ranged([cidr('fd30::/112')], 4), ranged([cidr('fd30::/112')], 6)], [ranged([], 4), six])
  })
})
