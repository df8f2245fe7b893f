// Conntrack read from the kernel, in a namespace of this file's own: short and long tables, both ways of asking, lost workers.
//
// **Invariant:** the machine's own network is never touched; the namespace is gone at the end.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { AddressTexts, flowOf } from '../../src/agent/cut-flows.ts'
import { ConntrackReader } from '../../src/kernel/conntrack.ts'
import { flowAt, flowCount, type Network } from '../../src/kernel/conntrack-flows.ts'

const NETNS = `pk-conntrack-${process.pid}`
const FILL = fileURLToPath(new URL('../support/fill-conntrack.ts', import.meta.url))
const SERVER: Network = { bytes: Uint8Array.of(10, 1, 0, 1), prefix: 32 }

function run(...command: readonly string[]): void {
  const { status, stderr } = spawnSync(command[0] as string, command.slice(1), { encoding: 'utf8' })
  assert.equal(status, 0, `${command.join(' ')}: ${stderr}`)
}

function fill(count: number, to: string, from: string): void {
  run('ip', 'netns', 'exec', NETNS, process.execPath, FILL, String(count), to, '53', from)
}

describe('conntrack, read from the kernel', function () {
  this.timeout(60_000)
  let reader: ConntrackReader

  before(() => {
    run('ip', 'netns', 'add', NETNS)
    reader = new ConntrackReader(`/run/netns/${NETNS}`)
  })
  after(async () => {
    await reader.close()
    run('ip', 'netns', 'del', NETNS)
  })

  /** `source sourcePort` of each flow, once. */
  async function flowsOf(...networks: readonly Network[]): Promise<ReadonlySet<string>> {
    const found = new Set<string>()
    const texts = new AddressTexts()
    const end = await reader.dump(networks, (flows) => {
      const bytes = Buffer.from(flows)
      for (let i = 0; i < flowCount(flows); i++) {
        const flow = flowOf(flowAt(bytes, i).key, texts)
        assert.equal(flow?.port, 53)
        found.add(`${flow.source} ${flow.sourcePort}`)
      }
    })
    assert.equal(end.kind, 'done', JSON.stringify(end))
    return found
  }

  it('an empty table, and a short one', async () => {
    assert.equal((await flowsOf(SERVER)).size, 0)
    fill(300, '10.1.0.1', '10.2')
    fill(200, '10.1.0.2', '10.3')
    const found = await flowsOf(SERVER)
    assert.equal(found.size, 300)
    assert.ok(found.has('10.2.0.7 1031'))
    assert.equal((await flowsOf({ ...SERVER, prefix: 24 })).size, 500)
    assert.deepEqual([...(await flowsOf({ ...SERVER, bytes: Uint8Array.of(10, 3, 0, 9) }))], ['10.3.0.9 1033'])
  })

  it('a long table says the same by filter and as a whole, while the main thread goes on', async () => {
    fill(20_000, '10.1.0.3', '10.4')
    let turns = 0
    const timer = setInterval(() => (turns += 1), 1)
    assert.equal((await flowsOf(SERVER)).size, 300)
    const many = Array.from({ length: 20 }, (_, i): Network => ({ ...SERVER, bytes: Uint8Array.of(10, 1, 0, i + 1) }))
    assert.equal((await flowsOf(...many)).size, 20_500)
    assert.equal((await flowsOf(many[2] as Network, { bytes: new Uint8Array(16), prefix: 128 })).size, 20_000)
    clearInterval(timer)
    // The last dump alone is 20,000 entries in many portions: were it read on this thread, no timer would run until it is over.
    assert.ok(turns >= 5, `the main thread had ${turns} turns meanwhile`)
  })

  it('a worker that is lost is followed by another', async () => {
    const { worker } = reader
    assert.ok(worker !== null)
    await worker.terminate()
    assert.equal((await flowsOf(SERVER)).size, 300)
    assert.ok(reader.worker !== null && reader.worker !== worker)
  })

  it('a dump beyond its deadline fails', async () => {
    const hasty = new ConntrackReader(`/run/netns/${NETNS}`, 1)
    assert.match(JSON.stringify(await hasty.dump([SERVER], () => undefined)), /no answer within 1 ms/)
    await hasty.close()
    assert.deepEqual(await hasty.dump([SERVER], () => undefined), { kind: 'failed', message: 'closed' })
  })
})
