// The demo's tables, timelines and judgements: what they say of numbers that are known.
//
// **Invariant:** every way in which a scene can fail to show what it says has a line here that makes it a fault.
import assert from 'node:assert/strict'
import { endFaults, measureCut } from '../../../src/cli/demo-scene-cut.ts'
import { measureEdit } from '../../../src/cli/demo-scene-edit.ts'
import { measureHit, toldFaults } from '../../../src/cli/demo-scene-repair.ts'
import { leakFaults, lossFaults, timelineLines, type FlowPlan, type MeasuredFlow } from '../../../src/cli/demo-flows.ts'
import { judge } from '../../../src/cli/demo-reach.ts'
import { beside, PLAIN_STYLE, styleOf, wrap } from '../../../src/cli/demo-style.ts'
import { columnLines, matrixLines } from '../../../src/cli/demo-tables.ts'
import type { MatrixCell } from '../../../src/lab/matrix.ts'
import type { FlowSilence, FlowStats } from '../../../src/lab/testbed.ts'

const PLAN: FlowPlan = { from: 'shop/front', to: 'shop/api', protocol: 'UDP', port: 8125, family: 4 }

function flowOf(stats: Partial<FlowStats>): MeasuredFlow {
  const none = { sent: 100, answered: 100, lost: 0, duplicated: 0, lastAnswerAt: null, longestGapMs: 2, by: { 'shop/api': 100 }, silences: [], broken: null }
  return { plan: PLAN, stats: { ...none, ...stats }, startedAt: 1000, endedAt: 2000 }
}

const silence = (firstSentAt: number, lastSentAt: number, nextSentAt: number | null): FlowSilence => ({ first: 10, last: 19, firstSentAt, lastSentAt, nextSentAt })

describe('cli: demo, what is a fault', () => {
  const edit = (silences: readonly FlowSilence[], lost: number): readonly string[] => {
    return measureEdit(PLAIN_STYLE, flowOf({ silences, lost, answered: 100 - lost }), 1200, 1600).faults
  }

  it('an edit that took effect and was taken back is none', () => {
    const { facts, faults } = measureEdit(PLAIN_STYLE, flowOf({ silences: [silence(1230, 1620, 1622)], lost: 10, answered: 90 }), 1200, 1600)
    assert.deepEqual([facts, faults], [{ deniedAfterMs: 30, allowedAfterMs: 22, denied: 10, otherwise: 0 }, []])
  })

  it('an edit without effect, one that is never taken back, and packets lost besides', () => {
    assert.match(edit([], 0).join('\n'), /denied after the edit: none/)
    assert.match(edit([silence(1230, 1900, null)], 10).join('\n'), /taken back: none/)
    assert.match(edit([silence(1230, 1400, 1402)], 10).join('\n'), /taken back: -198 ms/)
    assert.match(edit([silence(1230, 1620, 1622)], 13).join('\n'), /3 of 100 packets were lost that nothing denied/)
    assert.match(edit([silence(1100, 1150, 1152)], 10).join('\n'), /10 of 100 packets were lost that nothing denied/)
  })

  it('a flow that loses, breaks, is silent from the start, or is answered by somebody else', () => {
    assert.deepEqual(lossFaults(PLAIN_STYLE, flowOf({})), [])
    assert.match(lossFaults(PLAIN_STYLE, flowOf({ lost: 2 })).join(), /2 of 100 packets were lost/)
    assert.match(lossFaults(PLAIN_STYLE, flowOf({ broken: 'ECONNRESET' })).join(), /ECONNRESET/)
    assert.match(lossFaults(PLAIN_STYLE, flowOf({ answered: 0, by: {} })).join(), /no packet was answered/)
    assert.match(lossFaults(PLAIN_STYLE, flowOf({ by: { 'shop/api': 99, 'shop/db': 1 } })).join(), /answered by shop\/db/)
  })

  it('a denied flow of which one packet comes through, or that sent none', () => {
    assert.deepEqual(leakFaults(PLAIN_STYLE, flowOf({ answered: 0, lost: 100 })), [])
    assert.match(leakFaults(PLAIN_STYLE, flowOf({ answered: 1, lost: 99 })).join(), /1 of 100 packets came through/)
    assert.match(leakFaults(PLAIN_STYLE, flowOf({ sent: 0, answered: 0 })).join(), /no packet was sent/)
  })

  it('a stream that ends late, too early or never, is not watched, or loses a number', () => {
    const cut = (stats: Partial<FlowStats>): ReturnType<typeof measureCut> => measureCut(PLAIN_STYLE, flowOf(stats), 1200, 1230)
    assert.deepEqual([cut({ lastAnswerAt: 1257.4 }).lastAfterMs, cut({ lastAnswerAt: 1257.4 }).faults], [27, []])
    assert.deepEqual([cut({ lastAnswerAt: 1229 }).lastAfterMs, cut({ lastAnswerAt: 1229 }).faults], [-1, []])
    assert.match(cut({ lastAnswerAt: 1431 }).faults.join(), /201 ms after the commit, expected at most 200 ms/)
    assert.match(cut({ lastAnswerAt: 1199 }).faults.join(), /before the policy was edited/)
    assert.match(cut({ lastAnswerAt: null }).faults.join(), /nothing came at all/)
    assert.match(cut({ lastAnswerAt: 1257, lost: 1 }).faults.join(), /1 of 100 packets were lost/)
    assert.match(cut({ lastAnswerAt: 1257, broken: 'ECONNRESET' }).faults.join(), /ECONNRESET/)
    assert.match(measureCut(PLAIN_STYLE, flowOf({ lastAnswerAt: 1257 }), 1200, Number.NaN).faults.join(), /NaN ms after the commit/)
    assert.match(measureCut(PLAIN_STYLE, flowOf({ lastAnswerAt: 1910 }), 1200, 1900).faults.join(), /not watched for long enough/)
    assert.deepEqual(endFaults(PLAIN_STYLE, flowOf({ lastAnswerAt: 1990 })), [])
    assert.match(endFaults(PLAIN_STYLE, flowOf({ lastAnswerAt: 1500 })).join(), /nothing came in the last 500 ms/)
  })

  it('a rule that does not come back, comes back late, or of which somebody else is told', () => {
    const told = { at: '', by: 'nft (process 7)', what: ['chain ingress/a: rules'] }
    assert.deepEqual(toldFaults(told, 'ingress/a', 7, 24), [])
    assert.match(toldFaults(null, 'ingress/a', 7, null).join(), /repaired nothing within 5000 ms/)
    assert.match(toldFaults(told, 'ingress/a', 7, 5001).join(), /back after 5001 ms/)
    assert.match(toldFaults(told, 'ingress/a', 8, 24).join(), /nft \(process 7\) changed the table, expected nft \(process 8\)/)
    assert.match(toldFaults(told, 'ingress/b', 7, 24).join(), /does not name ingress\/b/)
  })

  it('a flow that lost its rule and never flows again, or loses something while it has it', () => {
    const hit = (silences: readonly FlowSilence[], lost: number): ReturnType<typeof measureHit> => {
      return measureHit(PLAIN_STYLE, flowOf({ silences, lost, answered: 100 - lost }), 1200)
    }
    assert.deepEqual(hit([], 0).faults, [])
    assert.deepEqual([hit([silence(1203, 1218, 1220)], 10).deniedMs, hit([silence(1203, 1218, 1220)], 10).faults], [17, []])
    assert.match(hit([silence(1203, 2000, null)], 10).faults.join(), /never flowed again/)
    assert.match(hit([silence(1203, 6300, 6302)], 10).faults.join(), /denied for 5099 ms/)
    assert.match(hit([silence(1100, 1110, 1112), silence(1203, 1218, 1220)], 12).faults.join(), /2 of 100 packets were lost while the rule was there/)
    assert.match(hit([], 100).faults.join(), /no packet was answered/)
  })

  it('a pair that is reached over one family only, is not meant to be, or was not asked', () => {
    const cell = (from: string, to: string, v4: boolean | null, v6: boolean | null): MatrixCell => ({ from, to, port: '80/tcp', reaches: v4 === true && v6 === true, v4, v6 })
    const cells = [cell('a', 'a', true, true), cell('a', 'b', true, true), cell('b', 'a', false, false)]
    assert.deepEqual(judge(cells, { a: ['b'] }), { pairs: 2, reached: 1, faults: [] })
    assert.match(judge(cells, {}).faults.join(), /a -> b: meant to be denied, but over IPv4 it is allowed/)
    assert.match(judge(cells, 'all').faults.join(), /b -> a: meant to be allowed, but over IPv4 it is denied/)
    assert.match(judge([cell('a', 'b', true, false)], { a: ['b'] }).faults.join(), /over IPv6 denied/)
    assert.match(judge([cell('a', 'b', true, false)], {}).faults.join(), /meant to be denied/)
    assert.match(judge([cell('a', 'b', null, null)], {}).faults.join(), /not asked/)
    assert.match(judge(cells, { a: ['b', 'c'] }).faults.join(), /a -> c: .*no such pair/)
  })
})

describe('cli: demo, how it looks', () => {
  const terminal = (hasColors: boolean): NodeJS.WriteStream => ({ isTTY: true, columns: 120, hasColors: () => hasColors }) as unknown as NodeJS.WriteStream

  it('colours on a terminal that wants them, plain text elsewhere', () => {
    assert.equal(styleOf(terminal(true)).ink('good', 'x'), '\x1b[32mx\x1b[0m')
    assert.equal(styleOf(terminal(true)).width, 80)
    assert.equal(styleOf(terminal(false)), PLAIN_STYLE)
    assert.equal(styleOf({ isTTY: false } as NodeJS.WriteStream), PLAIN_STYLE)
  })

  it('a matrix says in brackets what is other than before', () => {
    const cell = (from: string, to: string, v4: boolean, v6: boolean): MatrixCell => ({ from, to, port: '80/tcp', reaches: v4 && v6, v4, v6 })
    const before = [cell('shop/a', 'shop/a', true, true), cell('shop/a', 'b', true, true), cell('b', 'shop/a', true, true), cell('b', 'b', true, true)]
    const now = [before[0], cell('shop/a', 'b', false, false), cell('b', 'shop/a', true, false), before[3]] as readonly MatrixCell[]
    assert.deepEqual(matrixLines(PLAIN_STYLE, now, before).map((line) => line.trimEnd()), [
      'from \\ to     a      b',
      '           80/tcp 80/tcp',
      '-------------------------',
      'shop/a        .     [-]',
      'b           [v4]     .',
    ])
  })

  it('columns: words to the left, numbers to the right', () => {
    assert.deepEqual(columnLines(PLAIN_STYLE, ['flow', 'lost'], [['a', '1,000'], ['long', '0']]), ['flow   lost', 'a     1,000', 'long      0'])
  })

  it('a timeline shows when a flow was silent, and what happened then', () => {
    const flow = flowOf({ silences: [silence(1250, 1500, 1502)], lost: 10 })
    const [bar, pointer, label] = timelineLines([flow], [{ at: 1250, label: 'edit' }], PLAIN_STYLE, 29 + 20)
    assert.equal(bar, 'front -> api 8125/udp v4  ######.....############')
    assert.equal(pointer?.trimEnd(), `${' '.repeat(26 + 5)}^`)
    assert.equal(label, `${' '.repeat(26 + 3)}edit`)
  })

  it('lines are broken at blanks', () => {
    assert.deepEqual(wrap('one two three', 8), ['one two', 'three'])
    assert.deepEqual(beside('a.yaml', 8, 'one two three', 16), ['a.yaml  one two', '        three'])
  })
})
