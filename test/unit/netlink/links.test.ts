// Requests about single links and counters, byte for byte where that matters, and answers that nobody can lead astray with.
//
// **Invariant:** what the kernel makes of the requests is shown by test/kernel/canary.test.ts.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { attribute, nestedAttribute, readAttributes, textAttribute, u32Attribute } from '../../../src/netlink/attributes.ts'
import { countedIn, counterRequest } from '../../../src/netlink/counters.ts'
import { decodeLinkState, hostRouteRequest, isForwarding, vethRequest, wayOut, wayRequest } from '../../../src/netlink/links.ts'
import { decodeMessages, encodeMessage, type NetlinkMessage } from '../../../src/netlink/messages.ts'

const only = (bytes: Uint8Array): NetlinkMessage => decodeMessages(bytes)[0] as NetlinkMessage
const answer = (type: number, parts: readonly Uint8Array[]): NetlinkMessage => only(encodeMessage({ type, flags: 0, sequence: 1, port: 0 }, parts))

function link(flags: number, attributes: readonly Uint8Array[]): NetlinkMessage {
  const head = new Uint8Array(16)
  new DataView(head.buffer).setInt32(4, 7, true)
  new DataView(head.buffer).setUint32(8, flags, true)
  return answer(16, [head, ...attributes])
}
const stats = (...values: readonly number[]): Uint8Array => {
  const bytes = Buffer.alloc(24 * 8)
  values.forEach((value, i) => bytes.writeBigUInt64LE(BigInt(value), 8 * i))
  return attribute(23, bytes)
}

describe('single links', () => {
  it('are read with what they counted', () => {
    const mac = Uint8Array.of(2, 0, 0, 0, 0, 1)
    const veth = nestedAttribute(18, [textAttribute(1, 'veth')])
    const message = link(0x1 | 0x80, [attribute(1, mac), u32Attribute(5, 8), veth, stats(1, 2, 2 ** 40, 400)])
    assert.deepEqual(decodeLinkState(message), { index: 7, kind: 'veth', mac, up: true, quiet: true, master: 0, peer: 8, received: { packets: 1, bytes: 2 ** 40 }, sent: { packets: 2, bytes: 400 } })
    assert.equal(decodeLinkState(link(0x1080, [stats()]))?.quiet, false, 'it speaks to groups')
    assert.equal(decodeLinkState(link(0x1, [stats()]))?.quiet, false, 'it speaks ARP')
    assert.equal(decodeLinkState(link(0, [u32Attribute(5, 8), u32Attribute(37, 0), stats()]))?.peer, 0, 'its other end is elsewhere')
    assert.equal(decodeLinkState(answer(24, [])), null)
  })

  it('are made in pairs, mute from the start, and too small for IPv6 to begin on them', () => {
    const bytes = vethRequest({ name: 'a', mac: Uint8Array.of(2, 0, 0, 0, 0, 1) }, { name: 'b', mac: Uint8Array.of(2, 0, 0, 0, 0, 2) }, 1)
    const { payload } = only(bytes)
    const info = readAttributes(readAttributes(payload, 16, 'x').get(18) as Uint8Array, 0, 'x')
    const peer = readAttributes(info.get(2) as Uint8Array, 0, 'x').get(1) as Uint8Array
    for (const head of [payload, peer]) {
      const view = new DataView(head.buffer, head.byteOffset)
      assert.deepEqual([view.getUint32(8, true), view.getUint32(12, true)], [0x80, 0x1080])
      const mtu = readAttributes(head, 16, 'x').get(4) as Uint8Array
      assert.ok(new DataView(mtu.buffer, mtu.byteOffset).getUint32(0, true) < 1280)
    }
    assert.equal(Buffer.from(readAttributes(peer, 16, 'x').get(3) as Uint8Array).toString(), 'b\0')
  })

  it('have routes that daemons leave alone, and are asked for a way as the kernel wants it', () => {
    const [four, six] = [Uint8Array.of(192, 0, 2, 1), new Uint8Array(16)]
    assert.deepEqual([...only(hostRouteRequest(four, 3, 0, 1)).payload.subarray(0, 8)], [2, 32, 0, 0, 254, 2, 253, 1])
    assert.deepEqual([...only(hostRouteRequest(six, 3, 9, 1)).payload.subarray(0, 8)], [10, 128, 0, 0, 254, 2, 0, 1])
    assert.deepEqual([...only(wayRequest(four, four, 3, 1)).payload.subarray(0, 12)], [2, 32, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    assert.equal(wayOut([answer(24, [new Uint8Array(12), u32Attribute(4, 9)])]), 9)
    assert.equal(wayOut([]), 0)
  })

  it('forward or do not, or nobody says', () => {
    const said = (value: number): NetlinkMessage => answer(80, [Uint8Array.of(2), u32Attribute(2, value)])
    assert.deepEqual([isForwarding([said(1)]), isForwarding([said(0)]), isForwarding([]), isForwarding([answer(80, [Uint8Array.of(2)])])], [true, false, null, null])
  })
})

describe('a counter', () => {
  const packets = (value: bigint): Uint8Array => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(value)
    return nestedAttribute(4, [attribute(2, bytes)])
  }
  it('is asked for by name and read as a number', () => {
    const { type, payload } = only(counterRequest({ family: 'inet', table: 'picket' }, 'denied/canary/egress', 1))
    assert.deepEqual([type, payload[0], Buffer.from(readAttributes(payload, 4, 'x').get(2) as Uint8Array).toString()], [0xa13, 1, 'denied/canary/egress\0'])
    assert.equal(countedIn([answer(0xa12, [new Uint8Array(4), packets(12n)])]), 12)
    assert.throws(() => countedIn([]), { code: 'InvalidNetlinkMessage' })
    assert.throws(() => countedIn([answer(0xa12, [new Uint8Array(4)])]), { code: 'InvalidNetlinkMessage' })
  })

  it('and a link, of whatever bytes, end in a value or in an error that says so', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(16, 24, 80, 0xa12), (payload, type) => {
      const message: NetlinkMessage = { type, flags: 0, sequence: 1, port: 0, payload }
      for (const read of [() => decodeLinkState(message), () => wayOut([message]), () => isForwarding([message]), () => countedIn([message])]) {
        try {
          read()
        } catch (error) {
          assert.equal((error as { readonly code?: string }).code, 'InvalidNetlinkMessage')
        }
      }
    }))
  })
})
