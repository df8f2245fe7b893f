// The audit beside turns: what happens to a turn where the history of owners has a mistake, or where the kernel cannot log.
import assert from 'node:assert/strict'
import { Audit } from '../../../src/agent/audit.ts'
import type { Turns } from '../../../src/agent/turn.ts'
import type { RecordLine } from '../../../src/sinks/sink.ts'
import type { SnapshotDelta } from '../../../src/store/snapshot.ts'
import { openLog } from '../../../src/telemetry/log.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const NONE = new Map()
const ROWS = { pods: NONE, nodes: NONE, interfaces: NONE, policies: NONE, namespaces: NONE } as unknown as SnapshotDelta

class World {
  readonly clock = new FakeClock()
  readonly lines: RecordLine[] = []
  readonly codes: string[] = []
  asked = 0
  readonly audit: Audit

  constructor(cannotLog: string | null) {
    const asked = (): never => {
      this.asked += 1
      throw new Error('a mistake')
    }
    const turns = { get snapshot() { return asked() }, plan: { profiles: NONE }, nat: { services: null } } as unknown as Turns
    this.audit = new Audit({
      config: { nodeName: 'n1', auditGroup: 61 },
      clock: this.clock,
      log: openLog('silent', {}),
      turns,
      mark: null,
      problems: { set: (_, problems) => this.codes.push(...problems.map(({ code }) => code)) },
      world: () => null,
      cannotLog,
      outlets: [{ write: (line) => this.lines.push(line) }],
      sinkStates: () => NONE,
    })
  }

  turn(): void {
    this.audit.planned(1, { profiles: NONE, attachments: NONE } as never, NONE, ROWS)
    this.audit.held(1)
  }
}

describe('the audit of a node', () => {
  it('ends by a mistake in its history, told once with what to do, and the turn does not', async () => {
    const world = new World(null)
    assert.doesNotThrow(() => world.turn())
    world.audit.open()
    await world.clock.advance(10_000)
    world.turn()
    assert.equal(world.asked, 1)
    assert.deepEqual(world.codes, ['AuditBroken'])
    const { health } = world.audit
    assert.deepEqual([health?.status, health?.reason], ['False', 'AuditBroken'])
    assert.match(health?.message ?? '', /start the agent again/)
    await world.audit.close()
    assert.deepEqual(world.lines.map(({ record }) => record.type), ['agent', 'agent'])
  })

  it('remembers nothing where the kernel cannot log', async () => {
    const world = new World('no such module')
    world.audit.open()
    world.turn()
    assert.equal(world.asked, 0)
    assert.equal(world.audit.health?.reason, 'CannotLog')
    await world.audit.close()
  })
})
