// The first bytes of logged packets: both families, extension headers, fragments, what is cut off, and any bytes at all.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { emptyFields, readPacket, UNREADABLE_PROTOCOL, type PacketFields } from '../../../src/audit/packet.ts'
import { ipPacket, tcpPacket, udpPacket } from '../../support/real-packets.ts'

const V4 = { from: '10.1.0.1', to: '10.1.0.2' }
const V6 = { from: 'fd00::1', to: 'fd00::2' }
const PORTS = { source: 40_000, destination: 443 }

function read(bytes: Uint8Array, family = 2): PacketFields {
  const fields = emptyFields()
  // Between other bytes, which nobody may read.
  const around = Buffer.concat([Buffer.alloc(7, 0xee), bytes, Buffer.alloc(60, 0xee)])
  readPacket(around, 7, bytes.length, family, fields)
  return fields
}

function told({ protocol, kind, one, two, tcpFlags }: PacketFields): readonly unknown[] {
  return [protocol, kind, one, two, tcpFlags]
}

describe('audit: packets', () => {
  for (const ends of [V4, V6]) {
    const family = ends === V4 ? 4 : 6
    it(`IPv${family}: TCP with flags, UDP, SCTP, ICMP, and a protocol without ports`, () => {
      assert.deepEqual(told(read(tcpPacket(ends, PORTS, 'syn').bytes)), [6, 'ports', 40_000, 443, 2])
      assert.deepEqual(told(read(udpPacket(ends, PORTS).bytes)), [17, 'ports', 40_000, 443, -1])
      assert.deepEqual(told(read(ipPacket(ends, 132, Buffer.from([0x9c, 0x40, 1, 187, 0, 0, 0, 0])).bytes)), [132, 'ports', 40_000, 443, -1])
      const icmp = family === 4 ? 1 : 58
      assert.deepEqual(told(read(ipPacket(ends, icmp, Buffer.from([8, 1, 0, 0])).bytes)), [icmp, 'icmp', 8, 1, -1])
      assert.deepEqual(told(read(ipPacket(ends, family === 4 ? 58 : 1, Buffer.from([8, 1, 0, 0])).bytes)), [family === 4 ? 58 : 1, 'none', 0, 0, -1])
      assert.deepEqual(told(read(ipPacket(ends, 47, Buffer.alloc(8, 1)).bytes)), [47, 'none', 0, 0, -1])
    })
    it(`IPv${family}: the length is the packet's own, and what is cut off is left out`, () => {
      const whole = udpPacket(ends, PORTS, 1_000).bytes
      const head = family === 4 ? 20 : 40
      assert.equal(read(whole.subarray(0, 128)).length, whole.length)
      assert.deepEqual(told(read(whole.subarray(0, head + 4))), [17, 'ports', 40_000, 443, -1])
      assert.deepEqual(told(read(whole.subarray(0, head + 3))), [17, 'none', 0, 0, -1])
      assert.deepEqual(told(read(tcpPacket(ends, PORTS, 'syn').bytes.subarray(0, head + 13))), [6, 'ports', 40_000, 443, -1])
      const cut = read(whole.subarray(0, head - 1))
      assert.deepEqual([cut.family, cut.sourceAt, cut.destinationAt, cut.protocol, cut.kind], [family, -1, -1, 17, 'none'])
    })
  }

  it('IPv4: options are stepped over, later fragments and impossible headers have no ports', () => {
    const plain = udpPacket(V4, PORTS).bytes
    const options = Buffer.concat([plain.subarray(0, 20), Buffer.alloc(8, 1), plain.subarray(20)])
    options[0] = 0x47
    assert.deepEqual(told(read(options)), [17, 'ports', 40_000, 443, -1])
    for (const [offset, kind] of [[0x2000, 'ports'], [0x2001, 'none'], [1, 'none']] as const) {
      const fragment = Buffer.from(plain)
      fragment.writeUInt16BE(offset, 6)
      assert.equal(read(fragment).kind, kind)
    }
    const impossible = Buffer.from(plain)
    impossible[0] = 0x44
    assert.equal(read(impossible).kind, 'none')
  })

  it('IPv6: extension headers are stepped over, later fragments have no ports', () => {
    const udp = udpPacket(V6, PORTS).bytes.subarray(40)
    const chain = (offset: number): Buffer => Buffer.concat([
      Buffer.from([43, 1, ...Array<number>(14).fill(0)]), Buffer.from([60, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([51, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from([44, 2, ...Array<number>(14).fill(0)]), Buffer.from([17, 0, offset >> 8, offset & 255, 0, 0, 0, 1]), udp,
    ])
    assert.deepEqual(told(read(ipPacket(V6, 0, chain(1)).bytes)), [17, 'ports', 40_000, 443, -1])
    assert.deepEqual(told(read(ipPacket(V6, 0, chain(8)).bytes)), [17, 'none', 0, 0, -1])
    assert.deepEqual(told(read(ipPacket(V6, 0, chain(1)).bytes.subarray(0, 58))), [43, 'none', 0, 0, -1])
  })

  it('no bytes make it throw, and nothing outside of them is read', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 140 }), fc.constantFrom(4, 6, 0), fc.constantFrom(2, 10, 0), (bytes, version, family) => {
      if (bytes.length > 0 && version > 0) bytes[0] = (version << 4) | ((bytes[0] as number) & 15)
      const fields = read(bytes, family)
      const other = emptyFields()
      readPacket(bytes, 0, bytes.length, family, other)
      const shifted = (at: number): number => (at < 0 ? at : at + 7)
      assert.deepEqual(fields, { ...other, sourceAt: shifted(other.sourceAt), destinationAt: shifted(other.destinationAt) })
      for (const value of [fields.one, fields.two, fields.protocol, fields.length]) assert.ok(Number.isInteger(value) && value >= 0 && value <= 65_575)
    }))
    assert.deepEqual([read(new Uint8Array(0), 10).family, read(new Uint8Array(0), 2).family, read(new Uint8Array(0)).protocol], [6, 4, UNREADABLE_PROTOCOL])
  })
})
