// The law of the owner history: it never names a wrong owner, and it does not shrug where the answer can be known.
//
// Held against an oracle that keeps everything (support/audit-tale.ts), at any time after a packet.
// **Invariant:** what is counted was decided by the product's own path: turn, history, end of a record.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { endOf } from '../../src/audit/ends.ts'
import { BOUNDS, type Bounds } from '../../src/audit/moments.ts'
import { ADDRESSES, Tale, type Sent, type Step } from '../support/audit-tale.ts'
import { report, runs } from '../support/runs.ts'

const slot = fc.nat(ADDRESSES.length - 1)
const of = (kind: 'say' | 'terminate' | 'teardown' | 'delete' | 'relabel'): fc.Arbitrary<Step> => slot.map((one) => ({ kind, slot: one }))
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('create' as const), slot, local: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('live' as const), slot, local: fc.boolean() }) },
  { weight: 6, arbitrary: slot.map((one): Step => ({ kind: 'die', slot: one })) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pass' as const), slot, local: fc.boolean() }) },
  { weight: 6, arbitrary: fc.constant<Step>({ kind: 'settle' }) },
  { weight: 5, arbitrary: of('say') },
  { weight: 3, arbitrary: of('terminate') },
  { weight: 3, arbitrary: of('teardown') },
  { weight: 3, arbitrary: of('delete') },
  { weight: 1, arbitrary: of('relabel') },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('packet' as const), slot, for: fc.constantFrom(0, 0, 0, 2, 20) }) },
  { weight: 9, arbitrary: fc.constantFrom<Step>({ kind: 'turn' }, { kind: 'send' }, { kind: 'ack' }) },
  { weight: 6, arbitrary: fc.oneof({ weight: 9, arbitrary: fc.nat(8) }, { weight: 1, arbitrary: fc.constantFrom(900, 12_000) }).map((ms): Step => ({ kind: 'wait', ms })) },
)

const counts = { named: 0, nobody: 0, ambiguous: 0, unresolved: 0, asked: 0 }

function check(tale: Tale, { question, sender }: Sent, bounds: Bounds): void {
  const { end, why } = endOf(tale.world.history, question)
  const { address, span, interface: index } = question
  counts.asked += 1
  if (why === 'unresolved') {
    counts.unresolved += 1
    const isOld = span.first < tale.begin || span.first <= tale.world.now - bounds.keep
    assert.ok(isOld || (bounds.notes < BOUNDS.notes && tale.changedSince(span.first)), 'what is neither old nor followed by changes is known')
    return
  }
  if (index !== 0) return checkLocal(tale, { question, sender }, end.uid, why)
  const truth = tale.truth(address, span)
  if (why === 'ambiguous') {
    counts.ambiguous += 1
    assert.ok(tale.isOpen(address, span), `only one answer is possible: ${[...truth].join()}`)
    return
  }
  assert.deepEqual([...truth], [end.uid], 'the owner as the kernel had it, all the time')
  if (end.uid === null) counts.nobody += 1
  else counts.named += 1
}

function checkLocal(tale: Tale, { question: { interface: index }, sender }: Sent, named: string | null, why: string | null): void {
  const attached = tale.attached.get(index)
  const isKnown = attached?.size === 1 && attached.has(sender)
  if (why === 'ambiguous') {
    counts.ambiguous += 1
    assert.ok(!isKnown, 'the interface is of one pod only, and everybody knows it')
    return
  }
  if (named === null) {
    counts.nobody += 1
    assert.ok(!isKnown)
  } else {
    counts.named += 1
    assert.equal(named, sender, 'who is behind the interface')
  }
}

function told(steps: readonly Step[], bounds: Bounds): void {
  const tale = new Tale(bounds)
  for (const [at, one] of steps.entries()) {
    tale.step(one)
    // Some at once, all of them at the end.
    const sent = at % 3 === 0 ? tale.packets.at(-1) : undefined
    if (sent !== undefined && sent.question.span.last <= tale.world.now) check(tale, sent, bounds)
  }
  for (const sent of tale.packets) check(tale, sent, bounds)
}

describe('property: owner history', function () {
  this.timeout(240_000)

  it('names who had the address or the interface when the packet came, and says when nobody can know', () => {
    fc.assert(fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), (steps) => told(steps, BOUNDS)), runs(400))
    report(`owners: ${JSON.stringify(counts)}`, counts.asked)
    assert.ok(counts.named > counts.asked / 10 && counts.ambiguous > 0 && counts.nobody > 0, JSON.stringify(counts))
    assert.equal(counts.unresolved, 0, 'nothing is older than minutes here')
  })

  it('is never wrong either where it remembers little', () => {
    counts.unresolved = 0
    fc.assert(fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), fc.integer({ min: 1, max: 20 }), fc.constantFrom(50, 5_000), (steps, notes, keep) => told(steps, { keep, notes, bytes: 2 ** 20 })), runs(400))
    report('owners, with little memory', counts.asked)
    assert.ok(counts.unresolved > 0)
  })
})
