// What is behind the ports of a bridge: when they are read, and whose an address is that two of them say.
import assert from 'node:assert/strict'
import type { PortEnd } from '../../../src/model/objects.ts'
import { BridgePorts } from '../../../src/node/bridge-ports.ts'
import type { Link } from '../../../src/netlink/route.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/** A port of bridge 1, whose other end has the same index in namespace 5. */
const port = (index: number): Link => ({ index, name: `p${index}`, kind: 'veth', master: 1, up: true, mac: new Uint8Array(6), end: { netns: 5, index } })

class Harness {
  readonly clock = new FakeClock()
  /** What a reading of each port finds. */
  readonly ends = new Map<number, readonly string[]>()
  readonly behind = new Map<number, PortEnd | null>()
  reads = 0
  readonly ports = new BridgePorts({
    reader: {
      read: (_, index) => {
        this.reads++
        const addresses = this.ends.get(index)
        return addresses === undefined ? null : { mac: `02:00:00:00:00:0${index}`, addresses }
      },
      setHairpin: () => null,
      close: () => undefined,
    },
    clock: this.clock,
    onChange: (index, behind) => this.behind.set(index, behind),
    onRead: () => undefined,
  })

  come(...links: readonly Link[]): void {
    this.ports.changed(new Map(links.map((link) => [link.index, link])))
  }

  of(index: number): readonly string[] {
    return this.behind.get(index)?.addresses ?? []
  }
}

describe('what is behind the ports of a bridge', () => {
  it('rule 97: addresses that come a moment later are found, and a complete port is read no more', async () => {
    const h = new Harness()
    h.ends.set(7, [])
    h.come(port(7))
    assert.deepEqual(h.of(7), [])
    h.ends.set(7, ['10.0.0.1'])
    await h.clock.advance(100)
    assert.deepEqual(h.of(7), ['10.0.0.1'])
    h.ends.set(7, ['10.0.0.1', 'fd00::1'])
    await h.clock.advance(10_000)
    assert.deepEqual(h.of(7), ['10.0.0.1', 'fd00::1'])
    const { reads } = h
    h.ports.again()
    await h.clock.advance(100_000)
    assert.equal(h.reads, reads)
  })

  it('tries end, and begin anew when something is missing', async () => {
    const h = new Harness()
    h.come(port(7))
    await h.clock.advance(3_600_000)
    const { reads } = h
    assert.ok(reads > 5 && reads < 30, `${reads} readings`)
    await h.clock.advance(3_600_000)
    assert.equal(h.reads, reads)
    h.ends.set(7, ['10.0.0.1', 'fd00::1'])
    h.ports.again()
    assert.deepEqual(h.of(7), ['10.0.0.1', 'fd00::1'])
  })

  it('rule 87: an address that a pod takes later is not its own, neither before nor after its owner comes', () => {
    const h = new Harness()
    h.ends.set(7, ['10.0.0.7'])
    h.come(port(7))
    h.ends.set(7, ['10.0.0.7', '10.0.0.8'])
    h.ports.again()
    assert.deepEqual(h.of(7), ['10.0.0.7'])
    h.ends.set(8, ['10.0.0.8'])
    h.come(port(8))
    assert.deepEqual([h.of(7), h.of(8)], [['10.0.0.7'], ['10.0.0.8']])
  })

  it('rule 87: of two ports read at once, the one with fewer addresses has it; the other is told', () => {
    const h = new Harness()
    h.ends.set(7, ['10.0.0.7', '10.0.0.8'])
    h.ends.set(8, ['10.0.0.8'])
    h.come(port(7), port(8))
    assert.deepEqual([h.of(7), h.of(8)], [['10.0.0.7'], ['10.0.0.8']])
    assert.deepEqual(h.ports.problems().map(({ code, object }) => [code, object]), [['DuplicateAddress', 'bridge port p7']])
  })

  it('rule 94: the port that goes gives its address to the one that has it too', () => {
    const h = new Harness()
    for (const index of [7, 8]) h.ends.set(index, ['10.0.0.1'])
    h.come(port(7))
    h.come(port(8))
    assert.deepEqual([h.of(7), h.of(8)], [['10.0.0.1'], []])
    h.ports.changed(new Map([[7, null]]))
    assert.deepEqual([h.of(7), h.of(8), h.ports.problems()], [[], ['10.0.0.1'], []])
  })

  it('what is no port, or has its other end in this namespace, is not read', () => {
    const h = new Harness()
    h.come({ ...port(7), master: 0 }, { ...port(8), end: null })
    assert.equal(h.reads, 0)
  })
})
