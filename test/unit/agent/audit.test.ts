// The audit beside the loop: whatever goes wrong in it ends neither a turn nor the agent.
import assert from 'node:assert/strict'
import { Audit, type AuditOptions } from '../../../src/agent/audit.ts'
import type { AuditRecord } from '../../../src/flows/record.ts'
import { FakeClock } from '../../support/fake-clock.ts'

function audit(options: Partial<AuditOptions> = {}): { readonly audit: Audit; readonly errors: unknown[]; readonly records: AuditRecord[]; readonly clock: FakeClock } {
  const clock = new FakeClock()
  const errors: unknown[] = []
  const records: AuditRecord[] = []
  const turns = {
    get snapshot(): never {
      throw new Error('a mistake')
    },
    plan: { profiles: new Map() },
    nat: { services: null },
  }
  const made = new Audit({
    config: { nodeName: 'n1', auditGroup: 61 },
    clock,
    log: { error: (...all: unknown[]) => errors.push(all) } as never,
    turns: turns as never,
    mark: null,
    problems: { set: () => undefined },
    world: () => null,
    cannotLog: 'no module',
    outlets: [{ write: ({ record }) => records.push(record) }],
    sinkStates: () => new Map(),
    ...options,
  })
  return { audit: made, errors, records, clock }
}

describe('the audit of an agent', () => {
  it('takes a mistake of its own for what it is: the turn goes on, and it is told once', () => {
    const { audit: made, errors } = audit()
    const turn = (): void => made.planned(1, {} as never, {} as never, {} as never)
    turn()
    turn()
    made.held(1)
    assert.equal(errors.length, 1)
    assert.match(JSON.stringify(errors), /a mistake.*report it/)
  })
  it('says that it begins and ends, also where the kernel cannot log, and tells that', async () => {
    const { audit: made, records } = audit()
    made.open()
    assert.deepEqual([made.health?.status, made.health?.reason, made.isReading], ['False', 'CannotLog', false])
    await made.close()
    await made.close()
    assert.deepEqual(records.map((one) => (one.type === 'agent' ? one.event : one.type)), ['started', 'stopped'])
  })
})
