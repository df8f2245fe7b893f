// ctnetlink: entries as a kernel (Linux 6.18) sends them, the same damaged, and the request with its filter.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FLOW_LENGTH, FlowCollector, NetworkFilter, encodeNetworks, flowAt, flowCount, singleAddresses } from '../../../src/kernel/conntrack-flows.ts'
import { attribute, nestedAttribute, NetlinkMessageError } from '../../../src/netlink/attributes.ts'
import { conntrackDumpRequest, visitEntries } from '../../../src/netlink/conntrack.ts'
import { decodeMessages, encodeMessage, NLM_F_DUMP_INTR, NLMSG_DONE } from '../../../src/netlink/messages.ts'
import { message, PORT, tuple, V6 } from '../../support/conntrack-messages.ts'

const DONE = encodeMessage({ type: NLMSG_DONE, flags: 2, sequence: 1, port: PORT }, [new Uint8Array(4)])
/** A pod calls 10.96.0.10:80, which leads to 10.1.0.9:8080; the node masquerades it. */
const SERVICE = message([tuple(1, [10, 1, 0, 1], [10, 96, 0, 10], 6, [40000, 80]), tuple(2, [10, 1, 0, 9], [192, 168, 0, 1], 6, [8080, 51000]), attribute(3, Uint8Array.of(0, 0, 0, 14))])
const SIX = message([attribute(25, Uint8Array.of(1)), tuple(1, V6(1), V6(2), 17, [5000, 53]), tuple(2, V6(2), V6(1), 17, [53, 5000])])
const PING = message([tuple(1, [10, 1, 0, 1], [10, 1, 0, 2], 1, null), tuple(2, [10, 1, 0, 2], [10, 1, 0, 1], 1, null)])

function collected(bytes: Uint8Array, ...networks: readonly (readonly [readonly number[], number])[]): readonly object[] {
  const collector = new FlowCollector(new NetworkFilter(encodeNetworks(networks.map(([address, prefix]) => ({ bytes: Uint8Array.from(address), prefix })))))
  visitEntries(bytes, 1, PORT, (entry) => collector.add(bytes, entry))
  const flows = collector.take()
  assert.equal(flows.length % FLOW_LENGTH, 0)
  return Array.from({ length: flowCount(flows) }, (_, i) => {
    const { key, origin } = flowAt(Buffer.from(flows), i)
    return { key: Buffer.from(key, 'latin1').toString('hex'), origin }
  })
}

const hex = (bytes: readonly number[]): string => Buffer.from(bytes).toString('hex')
const port = (value: number): string => `${value.toString(16).padStart(4, '0')}0000`
const keyOf = (source: readonly number[], destination: readonly number[], protocol: number, from: number, to: number): string =>
  `${hex(source)}${hex(destination)}${hex([protocol])}000000${port(from)}${port(to)}`

describe('conntrack: entries', () => {
  const service = { key: keyOf([10, 1, 0, 1], [10, 1, 0, 9], 6, 40000, 8080), origin: 'source' }
  const six = { key: keyOf(V6(1), V6(2), 17, 5000, 53), origin: 'source' }

  it('a connection is told as it looks behind DNAT and before SNAT', () => {
    assert.deepEqual(collected(SERVICE, [[10, 1, 0, 1], 32]), [service])
    assert.deepEqual(collected(SERVICE, [[10, 1, 0, 9], 32]), [service])
  })
  it('found by either end, by a prefix, and not by what NAT hides or by neighbours', () => {
    const all = Buffer.concat([SERVICE, SIX, PING])
    assert.deepEqual(collected(all, [[10, 1, 0, 0], 24]), [service])
    assert.deepEqual(collected(all, [[10, 1, 0, 0], 29]), [service])
    assert.deepEqual(collected(all, [V6(0), 120], [V6(2), 128]), [six])
    assert.deepEqual(collected(all, [V6(1), 128]), [six])
    assert.deepEqual(collected(all, [[10, 96, 0, 10], 32], [[192, 168, 0, 1], 32], [[10, 1, 0, 16], 28], [V6(3), 128], [V6(16), 124]), [])
  })
  it('rule 83: who opened a connection that was taken up in the middle is not known, where its ports say so too', () => {
    const tcp = (flags: readonly [number, number], ports: readonly [number, number] = [80, 40000]) => {
      const states = flags.map((value, i) => attribute(4 + i, Uint8Array.of(value, 0)))
      return message([tuple(1, [10, 1, 0, 1], [10, 1, 0, 2], 6, ports), tuple(2, [10, 1, 0, 2], [10, 1, 0, 1], 6, [ports[1], ports[0]]), attribute(7, Uint8Array.of(0, 0, 0, 1)), nestedAttribute(4, [nestedAttribute(1, [attribute(1, Uint8Array.of(3)), ...states])])])
    }
    const udp = (ports: readonly [number, number], answerer: number[] = V6(2)) => message([tuple(1, V6(1), V6(2), 17, ports), tuple(2, answerer, V6(1), 17, [ports[1], ports[0]])])
    const origin = (bytes: Uint8Array) => (collected(bytes, [[10, 1, 0, 1], 32], [V6(1), 128])[0] as { origin: string }).origin
    assert.equal(origin(tcp([0x0a, 0x0a])), 'picked-up')
    for (const bytes of [tcp([0x0a, 0x02]), tcp([0x03, 0x03]), tcp([0x0a, 0x0a], [40000, 80]), tcp([0x0a, 0x0a], [123, 123])]) assert.equal(origin(bytes), 'source')
    assert.equal(origin(udp([53, 32768])), 'untold')
    for (const bytes of [udp([53, 32767]), udp([40000, 53]), udp([40000, 40001]), udp([53, 40000], V6(9))]) assert.equal(origin(bytes), 'source')
    const damaged = message([tuple(1, [10, 1, 0, 1], [10, 1, 0, 2], 6, [80, 40000]), tuple(2, [10, 1, 0, 2], [10, 1, 0, 1], 6, [40000, 80]), nestedAttribute(4, [nestedAttribute(1, [attribute(4, new Uint8Array(0))])])])
    assert.throws(() => origin(damaged), NetlinkMessageError)
  })
  it('protocols without ports are left out', () => assert.deepEqual(collected(PING, [[10, 1, 0, 1], 32]), []))
  it('answers to others and other dumps are passed over', () => {
    for (const header of [{ sequence: 2 }, { port: 78 }]) {
      const parts = [tuple(1, [10, 1, 0, 1], [10, 1, 0, 2], 17, [1, 2]), tuple(2, [10, 1, 0, 2], [10, 1, 0, 1], 17, [2, 1])]
      assert.deepEqual(collected(message(parts, header), [[10, 1, 0, 1], 32]), [])
    }
  })
  it('tells how the dump ends, and that it was interrupted', () => {
    const visit = (bytes: Uint8Array) => visitEntries(bytes, 1, PORT, () => undefined)
    assert.deepEqual(visit(SERVICE), { end: null, interrupted: false })
    assert.deepEqual(visit(Buffer.concat([SERVICE, DONE])), { end: { kind: 'done' }, interrupted: false })
    const torn = SERVICE.slice()
    new DataView(torn.buffer).setUint16(6, 2 | NLM_F_DUMP_INTR, true)
    assert.equal(visit(torn).interrupted, true)
    const refusal = encodeMessage({ type: 2, flags: 0, sequence: 1, port: PORT }, [Uint8Array.of(0xff, 0xff, 0xff, 0xff), new Uint8Array(16)])
    assert.deepEqual(visit(refusal).end, { kind: 'failed', code: 'EPERM', text: '', offset: null })
  })
  it('what lacks a part is an error that says so', () => {
    const original = tuple(1, [10, 1, 0, 1], [10, 1, 0, 2], 17, [1, 2])
    for (const parts of [[], [original], [original, nestedAttribute(2, [])], [original, tuple(2, V6(1), V6(2), 17, [2, 1])], [original, tuple(2, [10, 1, 0, 2], [10, 1, 0, 1], 6, [2, 1])]]) {
      assert.throws(() => visitEntries(message(parts), 1, PORT, () => undefined), NetlinkMessageError)
    }
    const short = nestedAttribute(2, [nestedAttribute(1, [attribute(1, Uint8Array.of(10, 1, 0)), attribute(2, Uint8Array.of(10, 1, 0, 1))])])
    assert.throws(() => visitEntries(message([original, short]), 1, PORT, () => undefined), /3 bytes where 4/)
  })
  it('damaged bytes end in entries or in an error, and never read outside', () => {
    const whole = Buffer.concat([SERVICE, SIX, PING, DONE])
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }), fc.nat(whole.length), (edits, length) => {
        const bytes = Uint8Array.from(whole.subarray(0, length))
        for (const [at, value] of edits) if (at < length) bytes[at] = value
        try {
          visitEntries(bytes, 1, PORT, ({ original, reply }) => {
            for (const { family, source, destination } of [original, reply]) {
              for (const at of [source, destination]) assert.ok(at > 0 && at + (family === 4 ? 4 : 16) <= length)
            }
          })
        } catch (error) {
          assert.ok(error instanceof NetlinkMessageError, String(error))
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('conntrack: the request', () => {
  it('asks for both families, or for those of one source', () => {
    const [all] = decodeMessages(conntrackDumpRequest(9, { kind: 'all' }))
    assert.deepEqual([all?.type, all?.flags, all?.sequence, [...(all?.payload ?? [])]], [0x101, 0x301, 9, [0, 0, 0, 0]])
    const [one] = decodeMessages(conntrackDumpRequest(9, { kind: 'source', direction: 'reply', source: Uint8Array.of(10, 1, 0, 1) }))
    const [six] = decodeMessages(conntrackDumpRequest(9, { kind: 'family', family: 6 }))
    assert.deepEqual([...(six?.payload ?? [])], [10, 0, 0, 0])
    // AF_INET; CTA_TUPLE_REPLY { CTA_TUPLE_IP { CTA_IP_V4_SRC } }; CTA_FILTER { CTA_FILTER_REPLY_FLAGS: by source }
    assert.equal(Buffer.from(one?.payload ?? []).toString('hex'), '02000000' + '10000280' + '0c000180' + '080001000a010001' + '0c001980' + '0800020001000000')
  })
  it('asks for one protocol of a family', () => {
    const [one] = decodeMessages(conntrackDumpRequest(9, { kind: 'protocol', family: 6, protocol: 17 }))
    // AF_INET6; CTA_TUPLE_ORIG { CTA_TUPLE_PROTO { CTA_PROTO_NUM } }; CTA_FILTER { CTA_FILTER_ORIG_FLAGS: by protocol }
    assert.equal(Buffer.from(one?.payload ?? []).toString('hex'), '0a000000' + '10000180' + '0c000280' + '0500010011000000' + '0c001980' + '0800010008000000')
  })
  it('knows single addresses from wider networks', () => {
    const address = Uint8Array.of(10, 1, 0, 1)
    const six = Uint8Array.from(V6(1))
    assert.deepEqual(singleAddresses(encodeNetworks([{ bytes: address, prefix: 32 }, { bytes: six, prefix: 128 }])), [address, six])
    assert.equal(singleAddresses(encodeNetworks([{ bytes: address, prefix: 31 }])), null)
  })
})
