// Kernel.sweepClients() on the real kernel: which entries of affinity maps go, how many at a time, and while they expire.
//
// **Invariant:** only the namespace that this file makes is touched, and it is gone afterwards.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import type { ClientSweep, ForeignChange, Kernel } from '../../src/kernel/kernel.ts'
import { openKernel } from '../../src/kernel/open.ts'
import { bytesOf, FAMILIES, toBits, type Address, type Family } from '../../src/model/ip.ts'
import { PROTOCOLS } from '../../src/model/objects.ts'
import type { Operation } from '../../src/nft/objects.ts'
import { affinityMap, affinityPorts } from '../../src/ruleset/names.ts'
import { markLayout, type MarkLayout } from '../../src/ruleset/marks.ts'
import { readLists } from '../../src/ruleset/service-memory.ts'
import { serviceSets } from '../../src/ruleset/service-skeleton.ts'
import { TABLE } from '../../src/ruleset/skeleton.ts'
import { pause } from '../support/real-wire.ts'

const NETNS = `picket-client-sweep-${process.pid}`
const MARKS = [0x10000, 0x20000, 0x3fff0000] as const
const END: Readonly<Record<Family, (n: number) => Address>> = { 4: (n) => `10.1.0.${n}`, 6: (n) => `fd10::${n}` }

/** A client by number, the number of its endpoint, the endpoint's port. */
interface Entry {
  readonly mark: number
  readonly client: number
  readonly end: number
  readonly port: number
}

describe('clients that are forgotten', function () {
  this.timeout(60_000)
  let kernel: Kernel
  const changes: ForeignChange[] = []

  const nft = (input: string): string => execFileSync('nsenter', [`--net=/run/netns/${NETNS}`, 'nft', '-f', '-'], { input, encoding: 'utf8', maxBuffer: 2 ** 26 })
  const listed = (map: string): string => execFileSync('nsenter', [`--net=/run/netns/${NETNS}`, 'nft', '-n', 'list', 'map', 'inet', 'picket', map], { encoding: 'utf8', maxBuffer: 2 ** 26 })
  const clientOf = (family: Family, n: number): string => (family === 4 ? `172.16.${n >> 8}.${n & 255}` : String(n))

  before(async () => {
    execFileSync('ip', ['netns', 'add', NETNS])
    kernel = await openKernel({ access: 'libnftables', netns: `/run/netns/${NETNS}` })
    const operations = serviceSets().map((object): Operation => ({ verb: 'add', object, owners: [] }))
    assert.deepEqual(await kernel.commit({ table: TABLE, step: 'stage', createsTable: true, operations }), { kind: 'acknowledged' })
    await kernel.watch(TABLE, (change) => changes.push(change))
  })
  after(async () => {
    await kernel.close()
    execFileSync('ip', ['netns', 'delete', NETNS])
  })
  beforeEach(() => nft(PROTOCOLS.flatMap((protocol) => [...FAMILIES.map((family) => affinityMap(protocol, family)), affinityPorts(protocol)]).map((map) => `flush map inet picket ${map}\n`).join('')))

  /** `timeout` by entry, in milliseconds. */
  function remember(family: Family, entries: readonly Entry[], timeout: (index: number) => number = () => 600_000): void {
    const put = (map: string, value: (entry: Entry) => string): string =>
      `add element inet picket ${map} { ${entries.map((entry, index) => `${entry.mark} . ${clientOf(family, entry.client)} timeout ${timeout(index)}ms : ${value(entry)}`).join(', ')} }\n`
    if (family === 4) nft(put(affinityMap('TCP', 4), ({ end, port }) => `${END[4](end)} . ${port}`))
    else nft(put(affinityMap('TCP', 6), ({ end }) => END[6](end)) + put(affinityPorts('TCP'), ({ port }) => String(port)))
  }

  /** `mark client`, of what is in the map; of both maps alike. */
  function held(family: Family, map = affinityMap('TCP', family)): readonly string[] {
    const numbers = [...listed(map).matchAll(/(0x[0-9a-f]+) \. (\S+) (?:timeout|expires)/g)].map(([, mark = '', client = '']) => `${Number(mark)} ${client}`)
    return numbers.sort()
  }
  const named = (family: Family, entries: readonly Entry[]): readonly string[] => entries.map(({ mark, client }) => `${mark} ${clientOf(family, client)}`).sort()

  function sweep(family: Family, judged: readonly number[] | null, valid: readonly Omit<Entry, 'client'>[]): ReturnType<Kernel['sweepClients']> {
    const records = valid.map(({ mark, end, port }) => {
      const [before, behind] = [Buffer.alloc(4), Buffer.alloc(2)]
      before.writeUInt32LE(mark)
      behind.writeUInt16BE(port)
      return Buffer.concat([before, bytesOf(family, toBits(END[family](end))), behind])
    })
    const asked: ClientSweep = { map: affinityMap('TCP', family), ports: family === 4 ? null : affinityPorts('TCP'), addressLength: family === 4 ? 4 : 16, judged, valid: Buffer.concat(records) }
    return kernel.sweepClients(TABLE, asked)
  }

  for (const family of FAMILIES) {
    it(`are those that lead to no endpoint of their list, by address and port, of the lists that are asked for (IPv${family})`, async () => {
      const entries = MARKS.flatMap((mark, list) => [1, 2, 3].flatMap((end) => [80, 8080].map((port) => ({ mark, client: 100 * list + 10 * end + (port === 80 ? 0 : 1), end, port }))))
      remember(family, entries)
      // Of the first list one and two are left, of the second one nobody; of the third one nobody asks.
      const valid = [{ mark: MARKS[0], end: 1, port: 80 }, { mark: MARKS[0], end: 2, port: 8080 }, { mark: MARKS[1], end: 1, port: 81 }]
      const stays = entries.filter(({ mark, end, port }) => mark === MARKS[2] || (mark === MARKS[0] && ((end === 1 && port === 80) || (end === 2 && port === 8080))))
      assert.deepEqual(await sweep(family, [MARKS[0], MARKS[1]], valid), { kind: 'done', forgotten: entries.length - stays.length })
      assert.deepEqual(held(family), named(family, stays))
      if (family === 6) assert.deepEqual(held(6, affinityPorts('TCP')), named(6, stays), 'address and port go together')
      assert.deepEqual(await sweep(family, [MARKS[0], MARKS[1]], valid), { kind: 'done', forgotten: 0 })
      assert.deepEqual(await sweep(family, null, valid), { kind: 'done', forgotten: 6 })
      assert.equal(held(family).length, 2)
    })

    it(`are told to an agent that starts: the numbers under which there are any (IPv${family})`, async () => {
      remember(family, MARKS.map((mark, client) => ({ mark, client, end: 1, port: 8080 })))
      const read = await kernel.readBack(TABLE)
      assert.ok(read.kind === 'table')
      assert.deepEqual([...readLists(read.state, markLayout(0xffffff00) as MarkLayout).clients].sort((a, b) => a - b), [1, 2, 0x3fff])
    })

    it(`are 10,000 of 20,000 at once, and no change by somebody else (IPv${family})`, async () => {
      const entries = Array.from({ length: 20_000 }, (_, client): Entry => ({ mark: MARKS[client % 3] as number, client, end: 1 + (client & 1), port: 8080 }))
      remember(family, entries)
      await pause(300)
      changes.length = 0
      const start = performance.now()
      assert.deepEqual(await sweep(family, null, MARKS.map((mark) => ({ mark, end: 1, port: 8080 }))), { kind: 'done', forgotten: 10_000 })
      assert.ok(performance.now() - start < 5_000, `${Math.round(performance.now() - start)} ms`)
      assert.deepEqual(held(family), named(family, entries.filter(({ end }) => end === 1)))
      await pause(300)
      assert.deepEqual(changes, [])
    })

    it(`may expire meanwhile: that is no error (IPv${family})`, async () => {
      for (let round = 0; round < 3; round++) {
        const entries = Array.from({ length: 6_000 }, (_, client): Entry => ({ mark: MARKS[0], client, end: 1 + (client % 2), port: 8080 }))
        remember(family, entries, (index) => (index % 2 === 0 ? 600_000 : 100 + (index % 1_000)))
        const outcome = await sweep(family, [MARKS[0]], [{ mark: MARKS[0], end: 1, port: 8080 }])
        assert.equal(outcome.kind, 'done', JSON.stringify(outcome))
        assert.deepEqual(held(family), named(family, entries.filter(({ end }) => end === 1)))
        await sweep(family, null, [])
      }
    })
  }

  it('IPv6: a port without an address is nobody\'s and goes; an address whose port has not come yet stays where it is valid', async () => {
    nft(`add element inet picket ${affinityPorts('TCP')} { 65536 . 1 : 8080 }\nadd element inet picket ${affinityMap('TCP', 6)} { 65536 . 2 : fd10::1, 65536 . 3 : fd10::9 }\n`)
    assert.deepEqual(await sweep(6, [MARKS[0]], [{ mark: MARKS[0], end: 1, port: 8080 }]), { kind: 'done', forgotten: 2 })
    assert.deepEqual([held(6), held(6, affinityPorts('TCP'))], [['65536 2'], []])
  })

  it('where there is no such map nobody is, and why is said', async () => {
    const outcome = await kernel.sweepClients(TABLE, { map: 'nowhere', ports: null, addressLength: 4, judged: null, valid: new Uint8Array() })
    assert.ok(outcome.kind === 'failed' && outcome.message.startsWith('ENOENT'), JSON.stringify(outcome))
  })
})
