// What nft answers -> what we say: errors in one line, missing rights and modules, foreign flowtables.
import assert from 'node:assert/strict'
import { decodeFlowtables } from '../../../src/kernel/flowtables.ts'
import { refusal } from '../../../src/kernel/open.ts'
import { firstError, within } from '../../../src/kernel/runner.ts'
import { TextKernel } from '../../../src/kernel/text-kernel.ts'
import type { NftSet, Operation } from '../../../src/nft/objects.ts'
import type { Run, RunResult, Runner } from '../../../src/kernel/runner.ts'

const TABLE = { family: 'inet', name: 'picket' } as const

/** Answers with what it is given, in turn. */
function scripted(...answers: readonly RunResult[]): { readonly runs: Run[]; readonly runner: Runner } {
  const runs: Run[] = []
  const run: Runner['run'] = async (one) => (runs.push(one), answers[runs.length - 1] ?? { kind: 'lost', message: 'no more answers' })
  return { runs, runner: { run, isOwnPort: () => false, close: async () => undefined } }
}

describe('firstError', () => {
  it('names the error and the command, in one line', () => {
    const text = 'add chain inet picket a\ndelete chain inet picket a/b\n'
    const said = '/dev/stdin:2:26-28: Error: Could not process rule: Device or resource busy\ndelete chain inet picket a/b\n                         ^^^\n'
    assert.equal(firstError(said, text), 'Could not process rule: Device or resource busy: delete chain inet picket a/b')
  })

  it('cuts a long command to what the error is about, and counts further errors', () => {
    const keys = Array.from({ length: 200 }, (_, i) => `10.0.0.${i}`)
    const text = `add element inet picket s { ${keys.join(', ')} }\n`
    const at = text.indexOf('10.0.0.150')
    const said = `<cmdline>:1:${at + 1}-${at + 10}: Error: interval overlaps with an existing one\n${text}<cmdline>:1:1-2: Error: more\n`
    const line = firstError(said, text)
    assert.match(line, /^interval overlaps with an existing one: add element inet picket s \{ 10\.0\.0\.0.* \.\.\. 10\.0\.0\.150 \(and 1 more\)$/)
    assert.ok(line.length < 200)
  })

  it('makes do with errors that name no place, or say nothing', () => {
    assert.equal(firstError('netlink: Error: cache initialization failed: Operation not permitted\n', ''), 'cache initialization failed: Operation not permitted')
    assert.equal(firstError('Killed\n', ''), 'Killed')
    assert.equal(firstError('', ''), 'nft gave no reason')
  })
})

describe('refusal', () => {
  it('says what is missing and what to do', () => {
    const permitted = refusal('Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed: Operation not permitted\n', '')
    assert.equal(permitted.code, 'NotPermitted')
    assert.match(permitted.message, /run as root/)
    const missing = refusal('netlink: Error: cache initialization failed: Protocol not supported\n', '')
    assert.equal(missing.code, 'NoNftables')
    assert.match(missing.message, /Protocol not supported.*nf_tables/)
    assert.equal(refusal('Error: nft cannot be started: spawn nft ENOENT', '').code, 'NoNft')
  })
})

describe('decodeFlowtables', () => {
  it('rule 89: lists foreign flowtables with their devices, and none of ours', () => {
    const text = `{"nftables": [{"metainfo": {"version": "1.0.6"}},
      {"flowtable": {"family": "inet", "name": "f", "table": "filter", "handle": 1, "hook": "ingress", "prio": 0, "dev": ["eth0", "veth1"]}},
      {"flowtable": {"family": "ip", "name": "g", "table": "fast", "handle": 2, "hook": "ingress", "prio": 0, "dev": "eth1"}},
      {"flowtable": {"family": "ip", "name": "h", "table": "fast", "handle": 3, "hook": "ingress", "prio": 0}},
      {"flowtable": {"family": "inet", "name": "i", "table": "picket", "handle": 4, "hook": "ingress", "prio": 0, "dev": "eth1"}}]}`
    assert.deepEqual(decodeFlowtables(text, 'picket'), [
      { table: 'inet filter', name: 'f', devices: ['eth0', 'veth1'] },
      { table: 'ip fast', name: 'g', devices: ['eth1'] },
      { table: 'ip fast', name: 'h', devices: [] },
    ])
    assert.deepEqual(decodeFlowtables('{"nftables": [{"metainfo": {}}]}', 'picket'), [])
    assert.deepEqual(decodeFlowtables('nonsense', 'picket'), [])
  })
})

describe('TextKernel', () => {
  it('tells absent, unreadable, failed and lost apart', async () => {
    const { runner } = scripted(
      { kind: 'failed', output: 'Error: No such file or directory; did you mean table ‘other’ in family inet?\nlist table inet picket\n' },
      { kind: 'done', output: '{"nftables": [{"chain": {"family": "inet", "table": "picket"}}]}' },
      { kind: 'failed', output: 'netlink: Error: cache initialization failed: No buffer space available\n' },
      { kind: 'lost', message: 'gone' },
    )
    const kernel = new TextKernel('scripted', runner)
    assert.deepEqual(await kernel.readBack(TABLE), { kind: 'absent' })
    assert.equal((await kernel.readBack(TABLE)).kind, 'unreadable')
    assert.deepEqual(await kernel.readBack(TABLE), { kind: 'failed', message: 'cache initialization failed: No buffer space available' })
    assert.deepEqual(await kernel.readBack(TABLE), { kind: 'failed', message: 'gone' })
  })

  it('calls a commit without an answer unknown, and sends nothing for one that cannot be written or is empty', async () => {
    const { runner, runs } = scripted({ kind: 'lost', message: 'gone' })
    const kernel = new TextKernel('scripted', runner)
    const commit = (name: string): ReturnType<TextKernel['commit']> =>
      kernel.commit({ table: TABLE, step: 'stage', createsTable: false, operations: [{ verb: 'add', object: { kind: 'counter', name }, owners: [] }] })
    assert.equal((await commit('a;b')).kind, 'refused')
    assert.deepEqual(await kernel.commit({ table: TABLE, step: 'stage', createsTable: false, operations: [] }), { kind: 'acknowledged' })
    assert.equal(runs.length, 0)
    assert.deepEqual(await commit('a'), { kind: 'unknown', message: 'gone' })
    assert.deepEqual(runs.map((run) => run.text), ['add counter inet picket a\n'])
  })
})

describe('TextKernel, elements alone', () => {
  it('go as text after text that was not answered, which may land late', async () => {
    const { runner, runs } = scripted({ kind: 'lost', message: 'gone' }, { kind: 'done', output: '' })
    const kernel = new TextKernel('scripted', runner)
    const set: NftSet = { kind: 'set', name: 's', key: ['ip saddr'], flags: [] }
    const added: Operation = { verb: 'add-elements', set, elements: [{ key: '10.0.0.1' }], owners: [] }
    const commit = (...operations: readonly Operation[]): ReturnType<TextKernel['commit']> => kernel.commit({ table: TABLE, step: 'switch', createsTable: false, operations })
    assert.equal((await commit({ verb: 'add', object: set, owners: [] })).kind, 'unknown')
    assert.deepEqual(await commit(added), { kind: 'acknowledged' })
    assert.deepEqual(runs.map((run) => run.text), ['add set inet picket s { typeof ip saddr; }\n', 'add element inet picket s { 10.0.0.1 }\n'])
    await kernel.close()
  })

  it('that cannot be written are refused, without being sent either way', async () => {
    const { runner, runs } = scripted()
    const kernel = new TextKernel('scripted', runner)
    for (const [name, key] of [['a b', '10.0.0.1'], ['s', '"a*"']] as const) {
      const set: NftSet = { kind: 'set', name, key: [key.startsWith('"') ? 'iifname' : 'ip saddr'], flags: [] }
      const outcome = await kernel.commit({ table: TABLE, step: 'switch', createsTable: false, operations: [{ verb: 'add-elements', set, elements: [{ key }], owners: [] }] })
      assert.equal(outcome.kind, 'refused')
    }
    assert.equal(runs.length, 0)
    await kernel.close()
  })
})

describe('within', () => {
  it('gives null where nothing comes in time', async () => {
    assert.equal(await within(new Promise(() => undefined), 5), null)
    assert.equal(await within(Promise.resolve(7), 5), 7)
  })
})
