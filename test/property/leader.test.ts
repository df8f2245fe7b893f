// The law of leader election: whatever fails, stands still or jumps, no two lead at once, and one leads again once nothing fails.
//
// **Invariant:** each contender that is replaced is killed, not closed: it gives nothing back.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Contender, KEY, LEASES, World } from '../support/contenders.ts'
import { settled } from '../support/fake-clock.ts'
import type { Fate } from '../support/memory-api.ts'
import { report, runs } from '../support/runs.ts'

type Step =
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'fate'; readonly who: number; readonly fate: Fate }
  | { readonly kind: 'wall'; readonly who: number; readonly ms: number }
  | { readonly kind: 'stall'; readonly ms: number }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'note' }
  | { readonly kind: 'renew'; readonly who: number }

const who = fc.nat(2)
const fate: fc.Arbitrary<Fate> = fc.constantFrom('usual' as const, 'usual' as const, 'refused' as const, 'lost' as const, 'hangs' as const, { status: 500 }, { status: 429, retryAfter: '3' })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 100, max: 20_000 }) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('fate' as const), who, fate }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wall' as const), who, ms: fc.integer({ min: -100_000, max: 100_000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stall' as const), ms: fc.integer({ min: 1, max: 30_000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delay' as const), ms: fc.nat(6_000) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'note' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('renew' as const), who }) },
)

let made = 0

async function perform(world: World, one: Step): Promise<void> {
  switch (one.kind) {
    case 'pass':
      return world.pass(one.ms)
    case 'fate':
      ;(world.contenders[one.who] as Contender).fate = () => one.fate
      return
    case 'wall':
      ;(world.contenders[one.who] as Contender).ahead += one.ms
      return
    case 'stall':
      return world.clock.stall(one.ms)
    case 'delay':
      world.api.delayMs = () => one.ms
      return
    case 'renew': {
      made += 1
      const [old] = world.contenders.splice(one.who, 1, new Contender(world, `again-${made}`))
      // The old one is killed: it neither gives back nor asks again.
      ;(old as Contender).fate = () => 'hangs'
      void old?.leader.close()
      return
    }
    default:
      if (world.api.find(LEASES, KEY) !== undefined) world.edit({}, { at: String(world.clock.now()) })
  }
}

describe('property: who leads', function () {
  this.timeout(120_000)

  it('never two at once, whatever fails; and one leads again once nothing fails', async () => {
    let checks = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const world = new World()
        for (const name of ['a', 'bb', 'ccc']) world.add(name)
        for (const one of steps) await perform(world, one)
        for (const contender of world.contenders) contender.fate = () => 'usual'
        world.api.delayMs = () => 0
        await world.pass(40_000)
        assert.equal(world.leaders().length, 1)
        checks += 1
        await world.close()
        await settled()
        assert.equal(world.spec()['holderIdentity'], undefined)
      }),
      runs(40),
    )
    report('leaders', checks)
  })
})
