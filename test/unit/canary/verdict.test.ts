// What is made of the canary's witnesses: our table's faults, others' firewalls, and nothing said where nothing was seen.
//
// **Invariant:** a denied packet that our table did not drop is never called anything but a leak.
import assert from 'node:assert/strict'
import { judgeFamily, judgeRound, type Evidence, type FamilyRound, type ProbeName, type Seen } from '../../../src/canary/verdict.ts'

const NOTHING: Seen['counted'] = { spoofed: 0, egress: 0, ingress: 0, allowed: 0, unknown: 0 }
const seen = (left: number, counted: Partial<Seen['counted']>, more: Partial<Seen> = {}): Seen => ({ sent: 3, refusal: null, arrived: 3, left, counted: { ...NOTHING, ...counted }, ...more })
const INTACT: Evidence = { spoofed: seen(0, { spoofed: 3 }), egressDenied: seen(0, { egress: 3 }), ingressDenied: seen(0, { ingress: 3 }), allowed: seen(3, { allowed: 3 }) }
const HELD = seen(0, { allowed: 3 })

const round = (changes: Partial<Record<ProbeName, Seen>>): FamilyRound => ({ kind: 'sent', evidence: { ...INTACT, ...changes } })
const result = (changes: Partial<Record<ProbeName, Seen>>): string => judgeFamily(4, round(changes)).result

describe("the canary's verdict", () => {
  it('is good where each rule dropped what it should, and the rest came through', () => {
    assert.deepEqual(judgeFamily(4, round({})), { result: 'ok', message: '' })
  })

  it('is a leak where anything that is denied comes through, whatever else is wrong', () => {
    for (const name of ['spoofed', 'egressDenied', 'ingressDenied'] as const) {
      assert.equal(result({ [name]: seen(1, {}) }), 'leaked', name)
      assert.equal(result({ [name]: seen(3, { allowed: 3 }), allowed: seen(0, { egress: 3 }) }), 'leaked', name)
      assert.equal(result({ [name]: seen(3, {}), allowed: seen(0, {}, { arrived: 0 }) }), 'leaked', name)
    }
  })

  it('is a leak where only a firewall behind the table dropped what the table should have', () => {
    for (const name of ['spoofed', 'egressDenied', 'ingressDenied'] as const) assert.equal(result({ [name]: seen(0, {}), allowed: HELD }), 'leaked', name)
  })

  it('is good, and says why, where a firewall behind the table drops all that the table passes', () => {
    const { result: good, message } = judgeFamily(6, round({ allowed: HELD }))
    assert.equal(good, 'ok')
    assert.match(message, /^IPv6: .*another firewall.*FORWARD/)
  })

  it('is a drop where a rule of the table took what it should have passed', () => {
    for (const by of ['spoofed', 'egress', 'ingress', 'unknown'] as const) assert.equal(result({ allowed: seen(0, { [by]: 3 }) }), 'dropped', by)
    assert.deepEqual(judgeFamily(4, round({ allowed: seen(2, { allowed: 2, ingress: 1 }) })), { result: 'dropped', message: 'IPv4: the table dropped packets that it is to pass, 1 of 3 by ingress policy' })
  })

  it('does not take a drop that is counted for others at the same moment for one of its own', () => {
    assert.equal(result({ allowed: seen(3, { allowed: 3, unknown: 2 }) }), 'ok')
  })

  it('says nothing of the table where packets do not come to it', () => {
    const nowhere = seen(0, {})
    assert.equal(result({ spoofed: nowhere, egressDenied: nowhere, ingressDenied: nowhere, allowed: nowhere }), 'blocked')
    const unseen = seen(0, {}, { arrived: 0 })
    assert.equal(result({ spoofed: unseen, egressDenied: unseen, ingressDenied: unseen, allowed: unseen }), 'blocked')
    assert.equal(result({ spoofed: seen(0, {}, { sent: 0, arrived: 0, refusal: 'sendto: EPERM' }) }), 'blocked')
    assert.equal(result({ allowed: nowhere }), 'blocked')
  })

  it('is the worse one of both families, and a family that the node does not forward is none', () => {
    const skipped: FamilyRound = { kind: 'skipped', reason: 'no' }
    const leaked = round({ egressDenied: seen(3, {}) })
    assert.equal(judgeRound({ families: { 4: round({}), 6: skipped } }).result, 'ok')
    assert.equal(judgeRound({ families: { 4: skipped, 6: skipped } }).result, 'skipped')
    assert.equal(judgeRound({ families: { 4: round({}), 6: leaked } }).result, 'leaked')
    assert.equal(judgeRound({ families: { 4: leaked, 6: { kind: 'failed', reason: 'why' } } }).result, 'leaked')
    assert.deepEqual(judgeRound({ families: { 4: round({}), 6: { kind: 'failed', reason: 'why' } } }), { result: 'failed', message: 'IPv6: why' })
  })
})
