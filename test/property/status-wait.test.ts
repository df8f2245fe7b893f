// The law of `picket status --wait`: whatever happens around the call, in any order and however late it is heard of, it never ends
// before the kernels are as it promises, and it ends.
//
// **Invariant:** checked after every step, against kernels that whoever waits does not see.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { report, runs } from '../support/runs.ts'
import { NAMES, NAMESPACES, NODES, WaitWorld } from '../support/wait-world.ts'

type Step =
  | { readonly kind: 'put'; readonly namespace: string; readonly name: string; readonly selects: readonly string[] }
  | { readonly kind: 'remove'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'commit'; readonly node: string; readonly count: number }
  | { readonly kind: 'report'; readonly node: string }
  | { readonly kind: 'operate'; readonly count: number }
  | { readonly kind: 'hear'; readonly view: 'policy' | 'told' | 'node'; readonly count: number }
  | { readonly kind: 'pass' | 'collect' }

const at = { namespace: fc.constantFrom(...NAMESPACES), name: fc.constantFrom(...NAMES) }
const node = fc.constantFrom(...NODES)
const count = fc.integer({ min: 1, max: 4 })
const edits: readonly fc.WeightedArbitrary<Step>[] = [
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('put' as const), ...at, selects: fc.subarray([...NODES]) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), ...at }) },
]
const flow: readonly fc.WeightedArbitrary<Step>[] = [
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('commit' as const), node, count }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('report' as const), node }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('operate' as const), count }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('hear' as const), view: fc.constantFrom('policy' as const, 'told' as const, 'node' as const), count }) },
  { weight: 1, arbitrary: fc.constantFrom('pass' as const, 'collect' as const).map((kind) => ({ kind })) },
]
const before = fc.array(fc.oneof(...edits, ...flow), { minLength: 5, maxLength: 40, size: 'max' })
// After the call there is less to edit, so that it ends by itself, too.
const after = fc.array(fc.oneof(...edits.map((one) => ({ ...one, weight: 1 })), ...flow.map((one) => ({ ...one, weight: one.weight * 4 }))), { minLength: 10, maxLength: 100, size: 'max' })

function perform(world: WaitWorld, one: Step): void {
  switch (one.kind) {
    case 'put':
      return world.put(one.namespace, one.name, one.selects)
    case 'remove':
      return world.remove(one.namespace, one.name)
    case 'commit':
      return world.commit(one.node, one.count)
    case 'report':
      return world.report(one.node)
    case 'operate':
      return world.operate(one.count)
    case 'hear':
      return world.hear(one.view, one.count)
    case 'pass':
      return world.pass()
    case 'collect':
      return world.collect()
  }
}

describe('the law of picket status --wait', function () {
  this.timeout(60_000)

  it('never ends before what it promises holds, and ends once everything is at rest', () => {
    let [checks, early] = [0, 0]
    fc.assert(
      fc.property(before, after, (first, then) => {
        const world = new WaitWorld()
        for (const one of first) perform(world, one)
        world.begin()
        for (const one of then) {
          perform(world, one)
          checks += 1
          if (!world.isDone) continue
          early += 1
          assert.deepEqual(world.broken(), [])
          return
        }
        world.settle()
        assert.deepEqual(world.wait?.missing(), [])
        assert.deepEqual(world.broken(), [])
      }),
      runs(1_000),
    )
    report(`the wait, of which ${early} ended by themselves`, checks)
  })
})
