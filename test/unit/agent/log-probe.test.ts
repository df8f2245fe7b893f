// A kernel that cannot log: found out before anything is compiled, told, and nothing of log rules in the table then.
import assert from 'node:assert/strict'
import { compileOptions } from '../../../src/agent/compile-options.ts'
import { cannotLog, whyItCannotLog } from '../../../src/agent/log-probe.ts'
import { loadAgentConfig } from '../../../src/config.ts'
import type { CommitOutcome } from '../../../src/kernel/kernel.ts'
import type { Transaction } from '../../../src/nft/objects.ts'
import { render } from '../../../src/nft/render.ts'
import { Translator } from '../../../src/ruleset/translate.ts'

const CONFIG = loadAgentConfig({ nodeName: 'n1', source: 'manifests:m' })
const answers = (outcome: CommitOutcome): { asked: Transaction[]; check: (transaction: Transaction) => Promise<CommitOutcome> } => {
  const asked: Transaction[] = []
  return { asked, check: async (transaction) => (asked.push(transaction), outcome) }
}

describe('whether the kernel can log', () => {
  it('is asked with a log rule in a table that is not ours', async () => {
    const kernel = answers({ kind: 'acknowledged' })
    assert.equal(await whyItCannotLog(kernel, 77), null)
    const [transaction] = kernel.asked as [Transaction]
    assert.notEqual(transaction.table.name, 'picket')
    assert.match(render(transaction), /log prefix "picket\/probe" group 77 snaplen 128 queue-threshold 64/)
  })

  it('is no where it refuses, where nobody knows, and where asking fails', async () => {
    assert.equal(await whyItCannotLog(answers({ kind: 'refused', message: 'No such file' }), 61), 'No such file')
    assert.equal(await whyItCannotLog(answers({ kind: 'unknown', message: 'the worker ended' }), 61), 'the worker ended')
    assert.equal(await whyItCannotLog({ check: () => Promise.reject(new Error('gone')) }, 61), 'gone')
  })

  it('tells the node what is missing, and that everything is enforced', () => {
    const problem = cannotLog('n1', 'No such file')
    assert.deepEqual([problem.code, problem.object], ['CannotLog', 'node n1'])
    assert.match(problem.message, /No such file.*enforced and counted.*nfnetlink_log/)
  })

  it('decides whether the table has log rules at all', () => {
    const rules = (canLog: boolean): number => [...new Translator(compileOptions(CONFIG, canLog).skeleton).wanted.state.chains.values()].flatMap(({ rules }) => rules).filter((rule) => rule.includes('log prefix')).length
    assert.equal(rules(false), 0)
    assert.ok(rules(true) > 5)
    assert.deepEqual([compileOptions(CONFIG, false).step.auditLog, compileOptions(CONFIG, true).step.auditLog], [undefined, 'deny'])
  })
})
