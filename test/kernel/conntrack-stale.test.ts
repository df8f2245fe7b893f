// Stale entries of UDP, found and deleted in a real conntrack, in a namespace of this file's own: which go and which stay, of both
// families, many of them, entries that are others by now, and lost workers.
//
// **Invariant:** the machine's own network is never touched; the namespace is gone at the end.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { AddressTexts, flowOf } from '../../src/agent/cut-flows.ts'
import { StaleUdp, type StaleReport } from '../../src/agent/stale-udp.ts'
import { ConntrackReader } from '../../src/kernel/conntrack.ts'
import { flowAt, flowCount, type Network } from '../../src/kernel/conntrack-flows.ts'
import type { ServedPort } from '../../src/kernel/served-ports.ts'
import { staleCount, staleFlowAt } from '../../src/kernel/stale-entries.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { Problem } from '../../src/lib/problem.ts'
import { byText } from '../../src/lib/sorting.ts'
import { FAMILIES } from '../../src/model/ip.ts'
import { addressBytes } from './packet-bytes.ts'

const NETNS = `pk-stale-${process.pid}`
const FILL = fileURLToPath(new URL('../support/fill-conntrack.ts', import.meta.url))
const FLUSH = fileURLToPath(new URL('../support/flush-conntrack.ts', import.meta.url))
const [TCP, UDP, SCTP] = [6, 17, 132]
const SERVES = 5300

const PLACES = {
  4: { vip: '10.96.0.10', serving: '10.1.0.2', gone: '10.1.0.1', clients: ['10.2', '10.3', '10.4', '10.5', '10.6'], all: '0.0.0.0' },
  6: { vip: 'fd00:96::10', serving: 'fd00:1::2', gone: 'fd00:1::1', clients: ['fd00:2', 'fd00:3', 'fd00:4', 'fd00:5', 'fd00:6'], all: '::' },
} as const
const EVERYTHING: readonly Network[] = FAMILIES.map((family) => ({ bytes: addressBytes(PLACES[family].all), prefix: 0 }))

function run(...command: readonly string[]): void {
  const { status, stderr } = spawnSync(command[0] as string, command.slice(1), { encoding: 'utf8' })
  assert.equal(status, 0, `${command.join(' ')}: ${stderr}`)
}

const inside = (...command: readonly string[]): void => run('ip', 'netns', 'exec', NETNS, process.execPath, ...command)
const fill = (count: number, to: string, port: number, from: string, by = '', protocol = UDP): void => inside(FILL, String(count), to, String(port), from, by, String(protocol))
const served = (vip: string, port: number, ...serving: readonly string[]): ServedPort =>
  ({ address: addressBytes(vip), port, keeps: serving.map((one) => ({ address: addressBytes(one), port: SERVES })), isServed: true })
const DNS = FAMILIES.map((family) => served(PLACES[family].vip, 53, PLACES[family].serving))

describe('stale entries of UDP, in the kernel', function () {
  this.timeout(60_000)
  let reader: ConntrackReader

  before(() => {
    run('ip', 'netns', 'add', NETNS)
    reader = new ConntrackReader(`/run/netns/${NETNS}`)
  })
  beforeEach(() => inside(FLUSH))
  after(async () => {
    await reader.close()
    run('ip', 'netns', 'del', NETNS)
  })

  /** `UDP 10.1.0.2 5300`: how many entries lead there. */
  async function held(): Promise<Readonly<Record<string, number>>> {
    const counts = new Map<string, number>()
    const seen = new Set<string>()
    const texts = new AddressTexts()
    const end = await reader.dump(EVERYTHING, (flows) => {
      const bytes = Buffer.from(flows)
      for (let i = 0; i < flowCount(flows); i++) {
        const { key } = flowAt(bytes, i)
        if (seen.has(key)) continue
        seen.add(key)
        const flow = flowOf(key, texts)
        const to = `${flow?.protocol} ${flow?.destination} ${flow?.port}`
        counts.set(to, (counts.get(to) ?? 0) + 1)
      }
    })
    assert.equal(end.kind, 'done', JSON.stringify(end))
    return Object.fromEntries([...counts].sort(([a], [b]) => byText(a, b)))
  }

  async function find(ports: readonly ServedPort[]): Promise<{ readonly parts: readonly Uint8Array<ArrayBuffer>[]; readonly seen: number }> {
    const parts: Uint8Array<ArrayBuffer>[] = []
    const end = await reader.findStale(ports, (entries) => parts.push(entries))
    assert.equal(end.kind, 'done', JSON.stringify(end))
    return { parts, seen: end.kind === 'done' ? end.seen : 0 }
  }

  /** Deletes what is found; how many. */
  async function pass(ports: readonly ServedPort[]): Promise<number> {
    let deleted = 0
    for (const part of (await find(ports)).parts) {
      const end = await reader.deleteStale(part)
      assert.equal(end.kind, 'done', JSON.stringify(end))
      deleted += end.kind === 'done' ? end.deleted : 0
    }
    return deleted
  }

  it('go where they lead past who serves, untranslated ones too; TCP and SCTP stay, and what is no Service\'s', async () => {
    for (const family of FAMILIES) {
      const { vip, serving, gone, clients } = PLACES[family]
      fill(20, vip, 53, clients[0], gone)
      fill(30, vip, 53, clients[1], serving)
      fill(40, vip, 53, clients[2])
      for (const protocol of [TCP, SCTP]) fill(5, vip, 53, clients[3], gone, protocol)
      // Another port of the Service's address, an endpoint itself, and the address as a client.
      fill(6, vip, 54, clients[3], gone)
      fill(7, gone, SERVES, clients[4])
    }
    const before = await held()
    assert.equal(await pass([]), 0)
    assert.deepEqual(await held(), before)
    assert.equal(await pass(DNS), 120)
    const wanted = FAMILIES.flatMap((family) => {
      const { serving, gone } = PLACES[family]
      return [[`UDP ${serving} ${SERVES}`, 30], [`TCP ${gone} ${SERVES}`, 5], [`SCTP ${gone} ${SERVES}`, 5], [`UDP ${gone} ${SERVES}`, 13]] as const
    })
    assert.deepEqual(await held(), Object.fromEntries([...wanted].sort(([a], [b]) => byText(a, b))))
    assert.equal(await pass(DNS), 0)
  })

  it('rule 95: where nobody serves, those to who is no endpoint any more go, and the others stay', async () => {
    for (const family of FAMILIES) {
      const { vip, serving, gone, clients } = PLACES[family]
      fill(2, vip, 53, clients[0], gone)
      fill(3, vip, 53, clients[1], serving)
      fill(4, vip, 53, clients[2])
    }
    assert.equal(await pass(DNS.map((port) => ({ ...port, isServed: false }))), 4)
    assert.deepEqual(Object.values(await held()), [3, 4, 3, 4])
  })

  it('the kernel tells UDP only', async () => {
    for (const family of FAMILIES) for (const protocol of [TCP, UDP, SCTP]) fill(10, PLACES[family].vip, 80, PLACES[family].clients[0], '', protocol)
    assert.deepEqual(await find(DNS), { parts: [], seen: 20 })
    assert.equal((await find([DNS[1] as ServedPort])).seen, 10)
  })

  it('an entry that is gone, or another one by now, is no error and is left alone', async () => {
    const COUNT = 300
    for (const family of FAMILIES) fill(COUNT, PLACES[family].vip, 53, PLACES[family].clients[0], PLACES[family].gone)
    const { parts } = await find(DNS)
    assert.equal(parts.reduce((sum, part) => sum + staleCount(part), 0), 2 * COUNT)
    // The same clients and ports again, some of them with the id of their predecessor: one family's come to who serves now.
    inside(FLUSH)
    fill(COUNT, PLACES[4].vip, 53, PLACES[4].clients[0], PLACES[4].serving)
    fill(COUNT, PLACES[6].vip, 53, PLACES[6].clients[0], PLACES[6].gone)
    let deleted = 0
    for (const part of parts) {
      const end = await reader.deleteStale(part)
      assert.equal(end.kind, 'done', JSON.stringify(end))
      deleted += end.kind === 'done' ? end.deleted : 0
    }
    const { [`UDP ${PLACES[4].serving} ${SERVES}`]: four, [`UDP ${PLACES[6].gone} ${SERVES}`]: six = 0 } = await held()
    assert.equal(four, COUNT)
    assert.equal(six, COUNT - deleted)
    assert.ok(six > 0, 'entries were deleted whatever their ids')
  })

  it('20,000 of them go in one pass among 20,000 that stay, while the main thread goes on', async () => {
    for (const family of FAMILIES) {
      const { vip, serving, gone, clients } = PLACES[family]
      fill(10_000, vip, 53, clients[0], gone)
      fill(10_000, vip, 53, clients[1], serving)
    }
    const reports: StaleReport[] = []
    let problems: readonly Problem[] = []
    let [judged, finds, passes] = [0, 0, 0]
    const entries = {
      findStale: (...call: Parameters<ConntrackReader['findStale']>) => (finds++, reader.findStale(...call)),
      deleteStale: (part: Uint8Array<ArrayBuffer>) => reader.deleteStale(part),
    }
    const stale = new StaleUdp({
      clock: systemClock,
      entries,
      cutDenied: async (keys) => {
        judged += keys.length
        return null
      },
      onDeleted: (report) => {
        reports.push(report)
        passes = finds
      },
      onProblems: (found) => (problems = found),
    })
    const target = (address: string, port: number) => ({ address, port })
    // 2,000 Services are looked at, of which one has clients.
    const others = Array.from({ length: 1_000 }, (_, i) => `10.97.${i >> 8}.${i & 255}`).flatMap((one) => [one, `fd00:97::${one.replaceAll('.', ':')}`])
    const changes = [...FAMILIES.map((family) => ({ vip: PLACES[family].vip, by: PLACES[family].serving })), ...others.map((vip) => ({ vip, by: PLACES[vip.includes(':') ? 6 : 4].serving }))]
    let turns = 0
    const timer = setInterval(() => (turns += 1), 1)
    stale.planned(1, changes.map(({ vip, by }) => ({ ...target(vip, 53), keeps: [target(by, SERVES)], isServed: true, isDue: true })))
    stale.held(1)
    for (const until = Date.now() + 10_000; reports.length === 0; await new Promise((resolve) => setTimeout(resolve, 1))) assert.ok(Date.now() < until)
    clearInterval(timer)
    await stale.close()
    assert.deepEqual(problems, [])
    assert.deepEqual(reports.map(({ deleted, ports }) => ({ deleted, ports })), [{ deleted: 20_000, ports: 2_002 }])
    // Later ones are second looks.
    assert.deepEqual([passes, judged], [1, 20_000])
    // 40,000 entries were read and 20,000 deleted: on this thread no timer would have run until that was over.
    assert.ok(turns >= 20, `the main thread had ${turns} turns meanwhile`)
    assert.deepEqual(Object.values(await held()), [10_000, 10_000])
  })

  it('what is asked at the same time is done one after another', async () => {
    for (const family of FAMILIES) fill(10, PLACES[family].vip, 53, PLACES[family].clients[0], PLACES[family].gone)
    const [{ parts }, all] = await Promise.all([find(DNS), held()])
    assert.deepEqual(Object.values(all), [10, 10])
    assert.equal((await Promise.all(parts.map((part) => reader.deleteStale(part)))).every(({ kind }) => kind === 'done'), true)
    assert.deepEqual(await held(), {})
  })

  it('a worker that is lost is told, and the next one goes on; so is a deadline', async () => {
    fill(10, PLACES[4].vip, 53, PLACES[4].clients[0], PLACES[4].gone)
    const { worker } = reader
    const asked = reader.findStale(DNS, () => undefined)
    await worker?.terminate()
    assert.match(JSON.stringify(await asked), /"failed".*conntrack-worker ended/)
    const { parts } = await find(DNS)
    const texts = new AddressTexts()
    assert.equal(flowOf(staleFlowAt(Buffer.from(parts[0] as Uint8Array), 9), texts)?.destination, PLACES[4].gone)
    await reader.worker?.terminate()
    assert.equal(await pass(DNS), 10)
    const hasty = new ConntrackReader(`/run/netns/${NETNS}`, 1)
    assert.match(JSON.stringify(await hasty.findStale(DNS, () => undefined)), /no answer within 1 ms/)
    await hasty.close()
  })
})
