// From datagrams of NFLOG to flows: what is one flow, when it is told, and that no packet is told twice or not at all.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Aggregate } from '../../../src/audit/aggregate.ts'
import { BatchWriter, flowsIn } from '../../../src/audit/batches.ts'
import type { LoggedFlow, LostPackets } from '../../../src/audit/logged-flow.ts'
import { loggedDatagram, type Logged } from '../../support/nflog-messages.ts'
import { ipPacket, tcpPacket, udpPacket } from '../../support/real-packets.ts'

const WALL = 1_800_000_000_000
const V4 = { from: '10.1.0.1', to: '10.1.0.2' }
const V6 = { from: 'fd00::1', to: '2001:db8::2' }
const udp = (source: number, destination = 53): Uint8Array => udpPacket(V4, { source, destination }).bytes

class Stage {
  readonly aggregate: Aggregate
  readonly lost: LostPackets[] = []
  readonly #writer = new BatchWriter()

  constructor(mostKeys = 1_000) {
    this.aggregate = new Aggregate({ windowMs: 5_000, mostKeys })
  }

  add(now: number, ...logged: readonly Logged[]): void {
    this.aggregate.datagram(loggedDatagram(logged), now, WALL + now)
  }

  tell(now: number, all = false, most = 1_000): readonly LoggedFlow[] {
    this.aggregate[all ? 'tellAll' : 'tell'](now, most, (entry) => this.#writer.add(entry))
    this.lost.push(...this.aggregate.takeLost(now, all))
    const { packets } = this.#writer
    const flows = [...flowsIn(this.#writer.take())]
    assert.equal(packets, flows.reduce((sum, { count }) => sum + count, 0))
    return flows
  }
}

const counts = (flows: readonly LoggedFlow[]): readonly number[] => flows.map(({ count }) => count)

describe('audit: aggregation', () => {
  it('a flow says all that was logged, in both families', () => {
    const stage = new Stage()
    stage.add(10, { packet: tcpPacket(V4, { source: 40_000, destination: 443 }, 'syn').bytes, prefix: 'picket/ä', mark: 0xfedcba98, in: 3, out: 0x80000001, time: BigInt(WALL + 5) * 1000n + 250n })
    stage.add(11, { packet: ipPacket(V6, 58, Buffer.from([128, 3, 0, 0])).bytes })
    const [tcp, ping, ...others] = stage.tell(12)
    assert.deepEqual(tcp, {
      prefix: 'picket/ä', family: 4, source: '10.1.0.1', destination: '10.1.0.2', protocol: 6, sourcePort: 40_000, destinationPort: 443, icmp: null, tcpFlags: 2,
      mark: 0xfedcba98, inInterface: 3, outInterface: 0x80000001, first: WALL + 5.25, last: WALL + 5.25, count: 1, bytes: 40,
    })
    assert.deepEqual(ping, {
      prefix: 'picket/x', family: 6, source: 'fd00::1', destination: '2001:db8::2', protocol: 58, sourcePort: null, destinationPort: null, icmp: { type: 128, code: 3 }, tcpFlags: null,
      mark: 0, inInterface: 0, outInterface: 0, first: WALL + 11, last: WALL + 11, count: 1, bytes: 44,
    })
    assert.deepEqual(others, [])
  })

  it('whatever differs makes another flow, time and length do not', () => {
    const stage = new Stage()
    const one: Logged = { packet: udp(1) }
    const differ: readonly Logged[] = [one, { ...one, prefix: 'picket/y' }, { ...one, mark: 1 }, { ...one, in: 1 }, { ...one, out: 1 }, { packet: udp(2) }, { packet: udp(1, 54) }, { packet: udpPacket(V6, { source: 1, destination: 53 }).bytes },
      { packet: udpPacket({ ...V4, from: '10.1.0.3' }, { source: 1, destination: 53 }).bytes }, { packet: tcpPacket(V4, { source: 1, destination: 53 }, 'syn').bytes }, { packet: ipPacket(V4, 1, Buffer.from([8, 0])).bytes }, { packet: ipPacket(V4, 1, Buffer.from([8, 1])).bytes }]
    stage.add(0, ...differ)
    stage.add(1, { packet: udpPacket(V4, { source: 1, destination: 53 }, 500).bytes })
    const flows = stage.tell(2)
    assert.deepEqual(counts(flows), [2, ...differ.slice(1).map(() => 1)])
    assert.equal(flows[0]?.bytes, 36 + 528)
  })

  it('came by the port of a bridge where that is known: a bridge is many pods\'', () => {
    const stage = new Stage()
    const one: Logged = { packet: udp(1), in: 3, out: 3 }
    stage.add(0, { ...one, inPort: 7 }, { ...one, inPort: 8 }, { ...one, outPort: 9 }, one)
    assert.deepEqual(stage.tell(1).map(({ inInterface, outInterface, count }) => [inInterface, outInterface, count]), [[7, 3, 1], [8, 3, 1], [3, 9, 1], [3, 3, 1]])
  })

  it('the first packet is told at once, the next ones when the window ends, and each once', () => {
    const stage = new Stage()
    stage.add(0, { packet: udp(1) })
    assert.ok(stage.aggregate.hasFresh)
    assert.deepEqual(counts(stage.tell(20)), [1])
    stage.add(1_000, { packet: udp(1) }, { packet: udp(1) })
    stage.add(4_000, { packet: udp(1) })
    assert.deepEqual(counts(stage.tell(4_999)), [])
    const [rest, ...others] = stage.tell(5_000)
    assert.deepEqual([rest?.count, rest?.first, rest?.last, others.length], [3, WALL + 1_000, WALL + 4_000, 0])
    // It goes on: one more window, then the key is new again.
    stage.add(6_000, { packet: udp(1) })
    assert.deepEqual(counts(stage.tell(9_999)), [])
    assert.deepEqual(counts(stage.tell(10_000)), [1])
    assert.deepEqual([counts(stage.tell(15_000)), stage.aggregate.keys], [[], 0])
    stage.add(15_001, { packet: udp(1) })
    assert.deepEqual(counts(stage.tell(15_002)), [1])
  })

  it('flows of addresses that others have now end: what was counted is told at once, and what comes is another flow', () => {
    const stage = new Stage()
    const [a, b, c] = ['10.1.0.1', '10.1.0.2', '10.1.0.3'].map((address) => address.split('.').map((part) => String.fromCharCode(Number(part))).join('')) as [string, string, string]
    const from = (address: string, to: string): Logged => ({ packet: udpPacket({ from: address, to }, { source: 1, destination: 53 }).bytes })
    const [one, two, six] = [from('10.1.0.1', '10.1.0.2'), from('10.1.0.3', '10.1.0.9'), { packet: udpPacket(V6, { source: 1, destination: 53 }).bytes }]
    stage.add(0, one, two, six)
    assert.equal(stage.tell(1).length, 3)
    stage.add(100, one, one, two, six)
    stage.aggregate.cut(new Set([b]))
    stage.add(200, one, two)
    assert.deepEqual(stage.tell(201).map(({ source, count, first, last }) => [source, count, first - WALL, last - WALL]), [['10.1.0.1', 2, 100, 100], ['10.1.0.1', 1, 200, 200]])
    stage.aggregate.cut(new Set([a, c]))
    assert.deepEqual(stage.tell(202).map(({ source, count }) => [source, count]), [['10.1.0.3', 2]], 'of one nothing was left to tell')
    assert.equal(stage.aggregate.keys, 1)
    // Once new ones, twice cut: told once.
    stage.add(300, one, two)
    stage.aggregate.cut(null)
    stage.aggregate.cut(null)
    assert.deepEqual(stage.tell(301).map(({ family, count }) => `${family} ${count}`).sort(), ['4 1', '4 1', '6 1'])
    assert.equal(stage.aggregate.keys, 0)
    assert.deepEqual(stage.tell(302, true), [])
  })

  it('what finds no room is lost in the queue, by number', () => {
    const stage = new Stage(2)
    stage.add(0, { packet: udp(1) }, { packet: udp(2) }, { packet: udp(3) }, { packet: udp(4) }, { packet: udp(1) })
    assert.deepEqual(counts(stage.tell(1)), [2, 1])
    assert.deepEqual(stage.lost, [{ stage: 'queue', count: 2, first: WALL, last: WALL }])
    // Keys of which all is told make room; at most one loss is told in a second.
    stage.add(500, { packet: udp(5) }, { packet: udp(6) }, { packet: udp(7) })
    assert.deepEqual(counts(stage.tell(900)), [1, 1])
    assert.equal(stage.lost.length, 1)
    stage.tell(1_001)
    assert.deepEqual(stage.lost[1], { stage: 'queue', count: 1, first: WALL + 500, last: WALL + 500 })
  })

  it('gaps in the sequence are lost in the kernel, from the first packet on and around 2^32', () => {
    const stage = new Stage()
    stage.add(0, { packet: udp(1), sequence: 3 }, { packet: udp(1), sequence: 4 })
    stage.add(100, { packet: udp(1), sequence: 10 })
    stage.tell(100)
    assert.deepEqual(stage.lost, [{ stage: 'kernel', count: 8, first: WALL, last: WALL + 100 }])
    assert.equal(stage.aggregate.taken, 11)
    const around = new Stage()
    for (const sequence of [0x7fff_fffe, 0xffff_fff0, 0xffff_ffff, 1]) around.add(0, { packet: udp(1), sequence })
    around.tell(0, true)
    assert.equal(around.lost[0]?.count, 0x1_0000_0002 - 4)
  })

  it('any packets, tellings and ends: told and lost are what came', () => {
    const step = fc.record({ ports: fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 8 }), skip: fc.integer({ min: 0, max: 3 }), wait: fc.integer({ min: 0, max: 6_000 }), most: fc.integer({ min: 1, max: 5 }), isCut: fc.boolean() })
    fc.assert(fc.property(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), (steps, mostKeys) => {
      const stage = new Stage(mostKeys)
      let [now, sequence, told] = [0, 0, 0]
      const take = (flows: readonly LoggedFlow[]): void => {
        for (const { count, first, last, bytes } of flows) {
          assert.ok(count > 0 && first <= last && bytes === 36 * count)
          told += count
        }
      }
      for (const { ports, skip, wait, most, isCut } of steps) {
        now += wait
        sequence += ports.length === 0 ? 0 : skip
        stage.add(now, ...ports.map((port) => ({ packet: udp(port), sequence: sequence++ })))
        if (isCut) stage.aggregate.cut(null)
        take(stage.tell(now, false, most))
        assert.ok(stage.aggregate.keys <= mostKeys)
      }
      take(stage.tell(now, true))
      assert.equal(told + stage.lost.reduce((sum, { count }) => sum + count, 0), sequence)
      assert.equal(stage.aggregate.taken, sequence)
      assert.equal(stage.aggregate.keys, 0)
    }))
  })

  it('hostile packets and damaged messages count all the same, and never throw', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 130 }), { minLength: 1, maxLength: 20 }), (packets) => {
      const stage = new Stage()
      stage.add(0, ...packets.map((packet, sequence) => ({ packet, sequence })))
      const flows = stage.tell(0, true)
      assert.equal(flows.reduce((sum, { count }) => sum + count, 0), packets.length)
      assert.deepEqual(stage.lost, [])
    }))
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 20 }), fc.nat({ max: 900 }), (damages, length) => {
      const bytes = loggedDatagram([1, 2, 3, 4].map((port, sequence) => ({ packet: udp(port), sequence, time: BigInt(WALL) * 1000n })))
      for (const [at, value] of damages) bytes[at % bytes.length] = value
      const stage = new Stage()
      stage.aggregate.datagram(bytes.subarray(0, length), 0, WALL)
      const flows = stage.tell(0, true)
      const lost = stage.lost.reduce((sum, { count }) => sum + count, 0)
      assert.equal(flows.reduce((sum, { count }) => sum + count, 0) + lost, stage.aggregate.taken)
      for (const { first, last } of flows) assert.ok(first <= last && Math.abs(first - WALL) <= 3_600_000)
    }))
  })
})
