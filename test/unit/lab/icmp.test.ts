// ICMP errors as raw sockets deliver them: which packet they are about.
//
// **Invariant:** no sockets; bytes only.
import assert from 'node:assert/strict'
import { parseIcmpError } from '../../../src/lab/icmp.ts'

function ipv4(protocol: number, destination: readonly number[], payload: Buffer, words = 5): Buffer {
  const header = Buffer.alloc(words * 4)
  header[0] = 0x40 | words
  header[9] = protocol
  Buffer.from(destination).copy(header, 16)
  return Buffer.concat([header, payload])
}

function icmp(type: number, code: number, quoted: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, code, 0, 0, 0, 0, 0, 0]), quoted])
}

const PORTS = Buffer.from([0x9c, 0x40, 0x1f, 0x90, 0, 0, 0, 0])

describe('ICMP errors', () => {
  it('IPv4: name protocol, destination and ports of the quoted packet', () => {
    const bytes = ipv4(1, [10, 0, 0, 1], icmp(3, 13, ipv4(17, [10, 0, 0, 2], PORTS, 6)))
    assert.deepEqual(parseIcmpError(4, bytes), {
      protocol: 17, destination: '10.0.0.2', sourcePort: 40_000, destinationPort: 8080, message: 'ICMP: administratively prohibited',
    })
  })

  it('IPv6: name protocol, destination in canonical form and ports', () => {
    const header = Buffer.alloc(40)
    header[0] = 0x60
    header[6] = 132
    Buffer.from('fd000088000000000000000000000002', 'hex').copy(header, 24)
    assert.deepEqual(parseIcmpError(6, icmp(1, 4, Buffer.concat([header, PORTS]))), {
      protocol: 132, destination: 'fd00:88::2', sourcePort: 40_000, destinationPort: 8080, message: 'ICMPv6: port unreachable',
    })
  })

  it('are null for what is no error, or too short', () => {
    assert.equal(parseIcmpError(4, ipv4(1, [10, 0, 0, 1], icmp(0, 0, ipv4(17, [10, 0, 0, 2], PORTS)))), null)
    assert.equal(parseIcmpError(4, ipv4(1, [10, 0, 0, 1], icmp(3, 3, ipv4(17, [10, 0, 0, 2], Buffer.alloc(2))))), null)
    assert.equal(parseIcmpError(6, icmp(135, 0, Buffer.alloc(64))), null)
    assert.equal(parseIcmpError(6, Buffer.alloc(0)), null)
    assert.equal(parseIcmpError(4, Buffer.alloc(0)), null)
  })
})
