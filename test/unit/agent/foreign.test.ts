// Foreign flowtables as nft lists them -> what the status says of them (rule 89), without a kernel that has any.
//
// **Invariant:** the answers are nft's own JSON, as a kernel with flowtables gives it.
import assert from 'node:assert/strict'
import { ForeignFlowtables } from '../../../src/agent/foreign.ts'
import { decodeFlowtables } from '../../../src/kernel/flowtables.ts'

const METAINFO = { metainfo: { version: '1.0.6', release_name: 'Lester Gooch #5', json_schema_version: 1 } }

/** As `nft -j list flowtables` prints it. */
function answer(...flowtables: readonly object[]): string {
  return JSON.stringify({ nftables: [METAINFO, ...flowtables.map((flowtable) => ({ flowtable }))] })
}

const flowtable = (table: string, name: string, dev?: string | readonly string[]): object => ({ family: 'inet', name, table, handle: 1, hook: 'ingress', prio: 0, ...(dev === undefined ? {} : { dev }) })
const isPod = (name: string): boolean => name.startsWith('veth')
const problemsOf = async (text: string, foreign = new ForeignFlowtables()) => {
  await foreign.look(async () => decodeFlowtables(text, 'picket'))
  return foreign.problems(isPod)
}

describe('foreign flowtables', () => {
  it('rule 89: one on pods\' interfaces makes the node NotEnforced, and names table, flowtable and interfaces', async () => {
    const [problem, ...others] = await problemsOf(answer(flowtable('fast', 'offload', ['uplink', 'veth1', 'veth2'])))
    assert.deepEqual(others, [])
    assert.deepEqual([problem?.code, problem?.severity, problem?.object], ['NotEnforced', 'error', 'flowtable offload of table inet fast'])
    assert.match(problem?.message ?? '', /offloads veth1, veth2, .*remove the pods' interfaces from it/)
    assert.doesNotMatch(problem?.message ?? '', /uplink/)
  })
  it('rule 89: a single device counts, and each flowtable is one problem', async () => {
    const problems = await problemsOf(answer(flowtable('fast', 'a', 'veth1'), flowtable('fast', 'b', 'uplink'), flowtable('other', 'a', ['veth9'])))
    assert.deepEqual(problems.map((one) => one.object), ['flowtable a of table inet fast', 'flowtable a of table inet other'])
  })
  it('rule 89: none on a pod\'s interface, none at all, and one without devices are no problem', async () => {
    for (const text of [answer(), answer(flowtable('fast', 'a', ['uplink', 'eth1'])), answer(flowtable('fast', 'a'))]) assert.deepEqual(await problemsOf(text), [])
  })
  it('rule 89: an interface that becomes a pod\'s later is told then, without another reading', async () => {
    const foreign = new ForeignFlowtables()
    await problemsOf(answer(flowtable('fast', 'a', ['cali1'])), foreign)
    assert.deepEqual(foreign.problems(isPod), [])
    assert.equal(foreign.problems((name) => name === 'cali1').length, 1)
  })
  it('an answer that cannot be read, or none, stops nobody and forgets nothing', async () => {
    assert.deepEqual(await problemsOf('no JSON'), [])
    const foreign = new ForeignFlowtables()
    await problemsOf(answer(flowtable('fast', 'a', ['veth1'])), foreign)
    await foreign.look(() => Promise.reject(new Error('no answer')))
    assert.equal(foreign.problems(isPod).length, 1)
  })
})
