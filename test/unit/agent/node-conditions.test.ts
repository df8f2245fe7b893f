// Each condition of a node with each of its reasons: from what it follows, which one comes first, and that the status page has it.
//
// **Invariant:** the table below has every reason that the code can give, and the page no other one.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { auditHealth, auditProblems, LOSS_TOLD_MS, type AuditFacts } from '../../../src/agent/audit-health.ts'
import type { CanaryState } from '../../../src/agent/canary.ts'
import { conditionsOf, type ConditionFacts } from '../../../src/agent/node-conditions.ts'
import type { Problem } from '../../../src/lib/problem.ts'
import { condition } from '../../support/enforcements.ts'

const PAGE = path.resolve(import.meta.dirname, '../../../deploy/docs/status.md')

const problem = (code: string, object = 'table inet picket', message = 'so it is'): Problem => ({ code, severity: 'error', object, message })
const canary = (result: CanaryState['result']): CanaryState => ({ result, since: 0, lastRound: 0, message: `seen: ${result}` })
const WELL: ConditionFacts = { isHeld: true, missing: null, kernel: [], unenforced: [], unread: [], canary: canary('ok'), audit: null, before: [] }
const UNKNOWN = problem('KernelUnknown')
const REFUSED = problem('CommitRefused')
const UNENFORCED = problem('NotEnforced', 'flowtable f of table ip x')
const UNREAD = problem('ApiPermissionMissing', 'pods')

function said(facts: Partial<ConditionFacts>): Readonly<Record<string, string>> {
  return Object.fromEntries([...conditionsOf({ ...WELL, ...facts })].map(([type, { status, reason }]) => [type, `${status}/${reason}`]))
}
const message = (type: string, facts: Partial<ConditionFacts>): string => conditionsOf({ ...WELL, ...facts }).get(type)?.message ?? ''

const TABLE: readonly (readonly [what: string, Partial<ConditionFacts>, ready: string, programmed: string, intact: string])[] = [
  ['all is well', {}, 'True/Enforcing', 'True/Programmed', 'True/PacketsProve'],
  ['before the first ruleset', { isHeld: false, canary: canary('pending') }, 'False/Starting', 'False/Starting', 'Unknown/NotProvenYet'],
  ['the first ruleset is refused', { isHeld: false, kernel: [REFUSED], canary: canary('pending') }, 'False/NotProgrammed', 'False/CommitRefused', 'Unknown/NotProvenYet'],
  ['a later one is refused', { kernel: [REFUSED] }, 'False/NotProgrammed', 'False/CommitRefused', 'True/PacketsProve'],
  ['nobody knows what the kernel holds', { kernel: [REFUSED, UNKNOWN], unenforced: [UNENFORCED] }, 'Unknown/KernelUnknown', 'Unknown/KernelUnknown', 'True/PacketsProve'],
  ['some objects are refused', { kernel: [problem('Quarantined', 'NetworkPolicy shop/web')] }, 'True/Enforcing', 'False/Quarantined', 'True/PacketsProve'],
  ['packets go past the table', { unenforced: [UNENFORCED], canary: canary('leaked') }, 'False/NotEnforced', 'True/Programmed', 'False/PacketsLeaked'],
  ['a denied packet passes', { canary: canary('leaked'), unread: [UNREAD] }, 'False/TableNotIntact', 'True/Programmed', 'False/PacketsLeaked'],
  ['an allowed packet is dropped', { canary: canary('dropped') }, 'False/TableNotIntact', 'True/Programmed', 'False/PacketsDropped'],
  ['a right to read is missing', { unread: [UNREAD] }, 'False/NotRead', 'True/Programmed', 'True/PacketsProve'],
  ['no packet could be sent', { canary: canary('failed') }, 'True/Enforcing', 'True/Programmed', 'Unknown/NothingProven'],
  ['somebody else drops them', { canary: canary('blocked') }, 'True/Enforcing', 'True/Programmed', 'Unknown/NothingProven'],
  ['a family is not there', { canary: canary('skipped') }, 'True/Enforcing', 'True/Programmed', 'Unknown/NothingProven'],
  ['without a canary', { canary: null }, 'True/Enforcing', 'True/Programmed', 'True/ReadBack'],
  ['without a canary, before the first ruleset', { canary: null, isHeld: false }, 'False/Starting', 'False/Starting', 'Unknown/NotProvenYet'],
  ['without a canary, refused', { canary: null, kernel: [REFUSED] }, 'False/NotProgrammed', 'False/CommitRefused', 'Unknown/NotComparable'],
  ['without a canary, unknown', { canary: null, kernel: [UNKNOWN] }, 'Unknown/KernelUnknown', 'Unknown/KernelUnknown', 'Unknown/NotComparable'],
]

const READ: AuditFacts = { cannotLog: null, reader: { kind: 'reading' }, failedSinks: [], sinceLoss: Infinity }
const failed = (code: string): AuditFacts['reader'] => ({ kind: 'failed', code, message: 'so it is' })
const sink = { name: 'file /var/log/flows', failure: 'no space left' }
/** The first that is so counts; null: nothing is said. */
const AUDIT: readonly (readonly [what: string, Partial<AuditFacts>, string | null, problem: string | null])[] = [
  ['all is well', {}, 'True/Reading', null],
  ['before anything is known', { reader: { kind: 'starting' }, failedSinks: [sink] }, null, null],
  ['the kernel takes no log rule', { cannotLog: 'no such module', reader: { kind: 'starting' } }, 'False/CannotLog', null],
  ['somebody else reads the group', { reader: failed('AuditGroupTaken'), failedSinks: [sink] }, 'False/AuditGroupTaken', 'AuditGroupTaken'],
  ['the log cannot be read', { reader: failed('AuditReaderFailed') }, 'False/AuditReaderFailed', 'AuditReaderFailed'],
  ['its thread ended', { reader: failed('AuditReaderEnded') }, 'False/AuditReaderEnded', 'AuditReaderEnded'],
  ['a bug of ours ended it', { reader: failed('AuditBroken') }, 'False/AuditBroken', 'AuditBroken'],
  ['a sink cannot write', { failedSinks: [sink, sink], sinceLoss: 0 }, 'False/SinkFailed', 'AuditSinkFailed'],
  ['something was lost a while ago', { sinceLoss: LOSS_TOLD_MS - 1 }, 'False/Losing', null],
  ['something was lost long ago', { sinceLoss: LOSS_TOLD_MS }, 'True/Reading', null],
]

describe('the conditions of a node', () => {
  for (const [what, facts, ready, programmed, intact] of TABLE) {
    it(what, () => assert.deepEqual(said(facts), { Ready: ready, Programmed: programmed, TableIntact: intact }))
  }
  it('say what is missing, what is wrong with which object, and how many more there are', () => {
    assert.equal(message('Ready', { isHeld: false, missing: 'pods are not read yet' }), 'pods are not read yet')
    assert.equal(message('Programmed', { kernel: [REFUSED] }), 'table inet picket: so it is')
    assert.equal(message('Ready', { unenforced: [UNENFORCED, UNENFORCED, UNENFORCED] }), 'flowtable f of table ip x: so it is (and 2 more)')
    assert.equal(message('Ready', { unread: [UNREAD] }), 'pods: so it is')
    assert.equal(message('TableIntact', { canary: canary('dropped') }), 'seen: dropped')
    assert.equal([...message('Programmed', { kernel: [problem('CommitRefused', 'x', '🐧'.repeat(2_000))] })].length, 1_000)
  })
  it('TableIntact is what the agent before said, good or bad, until the first round', () => {
    const before = [condition('TableIntact', { status: 'False', reason: 'PacketsLeaked' })]
    assert.equal(said({ before, canary: canary('pending') })['TableIntact'], 'False/PacketsLeaked')
    assert.equal(said({ before, canary: canary('ok') })['TableIntact'], 'True/PacketsProve')
  })
  for (const [what, facts, expected, code] of AUDIT) {
    it(`AuditHealthy: ${what}`, () => {
      const health = auditHealth({ ...READ, ...facts })
      assert.equal(said({ audit: health })['AuditHealthy'], expected ?? undefined)
      assert.deepEqual(auditProblems('n1', health).map((one) => one.code), code === null ? [] : [code])
      assert.equal(said({ audit: health })['Ready'], 'True/Enforcing', 'what is enforced does not depend on it')
    })
  }
  it('AuditHealthy names the sink, why, and how many more there are; until it is known, what the agent before said stays', () => {
    assert.equal(auditHealth({ ...READ, failedSinks: [sink, sink, sink] })?.message, 'file /var/log/flows: no space left (and 2 more)')
    const before = [condition('AuditHealthy', { status: 'False', reason: 'Losing' })]
    assert.equal(said({ before })['AuditHealthy'], 'False/Losing')
    assert.equal(said({ before, audit: auditHealth(READ) })['AuditHealthy'], 'True/Reading')
  })
  it('are on the status page with all their reasons, and the page has no others', () => {
    const text = readFileSync(PAGE, 'utf8').split('\n## kubectl get nodeenf\n')[1] ?? ''
    const rows = text.split('| condition | status/reason |')[1]?.split('\n\n')[0] ?? ''
    const own = rows.slice(rows.indexOf('\n| Ready'))
    const given = new Set([...TABLE.flatMap(([, , ...all]) => all), ...AUDIT.flatMap(([, , one]) => one ?? [])].map((one) => one.replace(/^\w+\//, '')))
    for (const reason of given) assert.match(own, new RegExp(`\\b${reason}\\b`))
    const listed = own.split('\n').flatMap((row) => [...(row.split('|')[2] ?? '').matchAll(/\w+/g)].map(([word]) => word)).filter((word) => !['True', 'False', 'Unknown'].includes(word))
    assert.ok(listed.length > 12, listed.join())
    assert.deepEqual(listed.filter((word) => !given.has(word)), [])
  })
})
