// The law of the publisher: whatever is offered, fails, is late, or is done by others, it ends with what is wanted, within its rate.
//
// **Invariant:** every request stands on the version that it was computed from; without trouble none of them changes nothing.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Fate } from '../support/memory-api.ts'
import { Api, Operator, PATH } from '../support/publishing.ts'
import { report, runs } from '../support/runs.ts'

type Step =
  | { readonly kind: 'want'; readonly name: string; readonly transition: string | null; readonly counts: string; readonly owner: string; readonly urgent: boolean }
  | { readonly kind: 'pass' | 'lag' | 'delay'; readonly ms: number }
  | { readonly kind: 'trouble'; readonly fate: Fate }
  | { readonly kind: 'foreign'; readonly name: string; readonly gone: boolean }
  | { readonly kind: 'quiet'; readonly ms: number }
  | { readonly kind: 'leads'; readonly leads: boolean }
  | { readonly kind: 'relist' | 'takeover' }

const name = fc.constantFrom('a', 'b', 'c', 'd')
const want: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('want' as const),
  name,
  transition: fc.constantFrom('x', 'y', 'z', 'x', 'y', null),
  counts: fc.constantFrom('0', '1', '2'),
  owner: fc.constantFrom('u1', 'u1', 'u1', 'u2'),
  urgent: fc.boolean(),
})
const pass: fc.Arbitrary<Step> = fc.record({ kind: fc.constant('pass' as const), ms: fc.oneof(fc.nat(3_000), fc.nat(700_000)) })
const fate: fc.Arbitrary<Fate> = fc.constantFrom('usual' as const, 'usual' as const, 'refused' as const, 'lost' as const, 'hangs' as const, { status: 500 }, { status: 422 }, { status: 429, retryAfter: '3' })
const calm: readonly fc.WeightedArbitrary<Step>[] = [
  { weight: 10, arbitrary: want },
  { weight: 8, arbitrary: pass },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lag' as const), ms: fc.nat(5_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delay' as const), ms: fc.nat(3_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('quiet' as const), ms: fc.nat(90_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leads' as const), leads: fc.boolean() }) },
]
const troubled: readonly fc.WeightedArbitrary<Step>[] = [
  ...calm,
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('trouble' as const), fate }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('foreign' as const), name, gone: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constantFrom('relist' as const, 'takeover' as const).map((kind) => ({ kind })) },
]

const TIMES = { rate: 2, burst: 5 }

class Run {
  readonly api = new Api()
  operator = new Operator(this.api, TIMES)

  async perform(one: Step): Promise<void> {
    const { api, operator } = this
    switch (one.kind) {
      case 'want':
        return operator.want(one.name, one)
      case 'pass':
        return api.clock.advance(one.ms)
      case 'lag':
        operator.lagMs = one.ms
        return
      case 'delay':
        api.memory.delayMs = () => one.ms
        return
      case 'trouble':
        api.memory.fate = () => one.fate
        return
      case 'foreign': {
        const object = api.memory.find(PATH, `shop/${one.name}`)
        if (object === undefined) return
        if (one.gone) api.memory.remove(PATH, `shop/${one.name}`)
        else api.memory.put(PATH, { ...object, status: { transition: 'foreign', counts: '' } })
        return
      }
      case 'quiet':
        operator.quietUntil = api.clock.now() + one.ms
        return operator.publisher.wake()
      case 'leads':
        operator.leads = one.leads
        return
      case 'relist':
        return operator.relist()
      case 'takeover': {
        // Another operator goes on, while this one still has writes on their way, and still believes that it leads.
        const next = new Operator(api, TIMES)
        for (const [key, wanted] of operator.wanted()) next.want(key, wanted)
        void operator.publisher.close()
        this.operator = next
      }
    }
  }

  async settle(): Promise<void> {
    const { api, operator } = this
    api.memory.fate = () => 'usual'
    api.memory.delayMs = () => 0
    Object.assign(operator, { lagMs: 0, leads: true, quietUntil: -Infinity })
    // What was late is told first, and what was refused for its content waits up to five minutes.
    await api.clock.advance(10_000)
    operator.relist()
    await api.clock.advance(1_200_000)
  }

  check(): void {
    const wanted = [...this.operator.wanted()].filter(([, { transition }]) => transition !== null)
    const texts = wanted.map(([key, { transition, counts }]) => `${key}: ${String(transition)}/${String(counts)}`)
    assert.deepEqual([...this.api.texts()].toSorted(), texts.toSorted())
    for (const [key, { owner }] of wanted) {
      const owners = this.api.memory.find(PATH, `shop/${key}`)?.metadata['ownerReferences'] as readonly { readonly uid: string }[]
      assert.equal(owners[0]?.uid, owner)
    }
  }
}

/** In any time of t seconds, at most `burst + rate * t` (one more for the boundary). */
function checkRate(times: readonly number[]): void {
  for (let i = 0; i < times.length; i += 1) {
    for (let j = i; j < times.length; j += 1) {
      const most = TIMES.burst + (TIMES.rate * ((times[j] as number) - (times[i] as number))) / 1000 + 1
      assert.ok(j - i + 1 <= most, `${j - i + 1} requests from ${times[i]} to ${times[j]}`)
    }
  }
}

describe('property: the publisher', function () {
  this.timeout(120_000)

  it('ends with what is wanted, whatever fails, is late, or is done by others', async () => {
    let requests = 0
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(...troubled), { minLength: 1, maxLength: 50 }), async (steps) => {
        const run = new Run()
        for (const one of steps) await run.perform(one)
        await run.settle()
        run.check()
        requests += run.api.memory.requests.length
        for (const { method, body } of run.api.memory.requests) {
          const { metadata, preconditions } = JSON.parse(body) as { readonly metadata?: Record<string, string>; readonly preconditions?: Record<string, string> }
          if (method === 'POST') assert.equal(metadata?.['resourceVersion'], undefined)
          else assert.ok((preconditions ?? metadata)?.['resourceVersion'] && (preconditions ?? metadata)?.['uid'], `${method} without a version`)
        }
        await run.operator.publisher.close()
      }),
      runs(150),
    )
    report('publisher', requests)
  })
  it('without trouble no request changes nothing, none meets a conflict, and the rate holds', async () => {
    let requests = 0
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(...calm), { minLength: 1, maxLength: 50 }), async (steps) => {
        const run = new Run()
        const { memory } = run.api
        let changes = 0
        const tell = memory.onChange
        memory.onChange = (...args) => {
          changes += 1
          tell(...args)
        }
        for (const one of steps) await run.perform(one)
        await run.settle()
        run.check()
        checkRate(memory.requests.map(({ at }) => at))
        const { setbacks, writes, taken } = run.operator.publisher.counts()
        assert.deepEqual(setbacks, { conflict: 0, missing: 0, refused: 0, away: 0 })
        assert.deepEqual([writes, taken, memory.requests.length], [changes, changes, changes])
        requests += changes
        await run.operator.publisher.close()
      }),
      runs(150),
    )
    report('publisher, calm', requests)
  })
})
