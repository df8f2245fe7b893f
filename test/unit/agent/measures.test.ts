// A scrape of the agent's measures: what the kernel counted between the agent's start and the first scrape is in it.
import assert from 'node:assert/strict'
import net from 'node:net'
import { Applied } from '../../../src/agent/applied.ts'
import { Measures } from '../../../src/agent/measures.ts'
import type { CounterValue } from '../../../src/nft/listing.ts'
import type { AgentConfig } from '../../../src/settings.ts'
import { AuditWorld } from '../../support/audit-world.ts'
import { parseExposition, type Exposition } from '../../support/exposition.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeKernel } from '../../support/fake-kernel.ts'

class CountingKernel extends FakeKernel {
  readonly values = new Map<string, CounterValue>()

  override async readCounters(): Promise<ReadonlyMap<string, CounterValue>> {
    return new Map(this.values)
  }

  count(name: string, packets: number): void {
    this.values.set(name, { packets, bytes: 0 })
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** The first scrape, of what `count` counts once the agent has begun. */
async function scraped(kernel: CountingKernel, count: () => void): Promise<Exposition> {
  const port = await freePort()
  const config = { nodeName: 'n1', metricsAddress: `127.0.0.1:${port}`, healthAddress: '127.0.0.1:0', metricsCounters: 10 } as AgentConfig
  const audit = () => ({ reading: true, records: { made: 0, ambiguous: 0, unresolved: 0, foreign: 0 }, lost: {}, historyBytes: 0, readers: 0, sinks: [] })
  const measures = new Measures(config, new FakeClock(), { turns: new AuditWorld().turns, applied: new Applied(), problems: () => [], cutConnections: () => 0, cluster: () => null, notReady: () => null, audit })
  measures.watchKernel(kernel)
  const listeners = await measures.open()
  try {
    count()
    return parseExposition(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
  } finally {
    for (const listener of listeners) await listener.close()
  }
}

const told = (page: Exposition): readonly unknown[] => ['logged', 'suppressed'].map((result) => page.value('picket_audit_logged_packets_total', { event: 'spoofed', result }))

describe('the measures of an agent', () => {
  it('tell at the first scrape what was logged and suppressed since the start, of a new table and of one that was there', async () => {
    const kernel = new CountingKernel()
    const grow = (verdict: number, logged: number) => (): void => {
      kernel.count('spoofed', verdict)
      kernel.count('logged/spoofed', logged)
    }
    assert.deepEqual(told(await scraped(kernel, grow(50, 20))), [20, 30])
    assert.deepEqual(told(await scraped(kernel, grow(60, 21))), [1, 9])
  })
})
