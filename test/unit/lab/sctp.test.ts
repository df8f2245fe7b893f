// SCTP packets of the prober and the servers: what is written is read back, and what is damaged is not.
//
// **Invariant:** no sockets; bytes only.
import assert from 'node:assert/strict'
import { crc32c } from '../../../src/lab/crc32c.ts'
import { abortPacket, initAckPacket, initPacket, parsePacket, withoutIpv4Header } from '../../../src/lab/sctp.ts'

const PORTS = { source: 40_000, destination: 8080 }

describe('crc32c', () => {
  it('gives the values of RFC 3720, appendix B.4', () => {
    assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa)
    assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43)
    assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e)
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  })
})

describe('SCTP packets', () => {
  it('carry the token in INIT, with verification tag 0', () => {
    const bytes = initPacket(PORTS, 7, 'token-1')
    assert.equal(bytes.readUInt32BE(4), 0)
    assert.equal(bytes.length % 4, 0)
    assert.deepEqual(parsePacket(bytes), { kind: 'init', ports: PORTS, tag: 7, text: 'token-1' })
  })

  it('carry the answer in INIT-ACK, under the tag of the INIT', () => {
    const bytes = initAckPacket(PORTS, 7, 9, 'token-1 shop/web 3 10.0.0.1')
    assert.equal(bytes.readUInt32BE(4), 7)
    assert.deepEqual(parsePacket(bytes), { kind: 'init-ack', ports: PORTS, tag: 9, text: 'token-1 shop/web 3 10.0.0.1' })
  })

  it('say with ABORT that nobody serves the port', () => {
    const bytes = abortPacket(PORTS, 7)
    assert.equal(bytes.readUInt32BE(4), 7)
    assert.deepEqual(parsePacket(bytes), { kind: 'abort', ports: PORTS })
  })

  it('are one chunk whose length counts the parameter without its padding to 4 bytes', () => {
    for (const text of ['a', 'ab', 'abc', 'abcd', 'abcde']) {
      const bytes = initPacket(PORTS, 1, text)
      assert.equal(12 + bytes.readUInt16BE(14), bytes.length)
      assert.equal(bytes.readUInt16BE(34), 4 + text.length)
      const parsed = parsePacket(bytes)
      assert.equal(parsed?.kind === 'init' ? parsed.text : null, text)
    }
  })

  it('are refused with any one bit changed', () => {
    const bytes = initPacket(PORTS, 7, 'token-1')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes)
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.equal(parsePacket(damaged), null, `bit ${bit}`)
    }
  })

  it('are refused where they are cut short', () => {
    const bytes = initPacket(PORTS, 7, 'token-1')
    for (let length = 0; length < bytes.length; length++) assert.equal(parsePacket(bytes.subarray(0, length)), null)
  })

  it('follow an IPv4 header of any length', () => {
    const packet = abortPacket(PORTS, 1)
    for (const words of [5, 6, 15]) {
      const header = Buffer.alloc(words * 4)
      header[0] = 0x40 | words
      assert.deepEqual(withoutIpv4Header(Buffer.concat([header, packet])), packet)
    }
  })
})
