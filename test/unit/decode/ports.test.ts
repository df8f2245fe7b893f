// Ports of a NetworkPolicy's rules.
import assert from 'node:assert/strict'
import { fieldsOf, good, policy, portsOf, strict } from './support.ts'

const ports = (...list: unknown[]) => policy({ ingress: [{ ports: list }] })

describe('decode: ports', () => {
  it('rule 28: absent, null or empty are all ports of all protocols', () => {
    for (const list of [undefined, null, []]) assert.equal(portsOf(good(policy({ egress: [{ ports: list }] })), 'egress'), 'all')
  })

  it('rule 29: the protocol is TCP where there is none', () => {
    assert.deepEqual(portsOf(good(ports({ port: 80 }, { port: 53, protocol: 'UDP' }, { port: 9, protocol: 'SCTP' }, { port: 1, protocol: null }))), ['TCP 80-80', 'UDP 53-53', 'SCTP 9-9', 'TCP 1-1'])
  })

  it('rule 30: a protocol without a port is all of that protocol only', () => {
    assert.deepEqual(portsOf(good(ports({ protocol: 'SCTP' }, {}, { protocol: 'UDP', port: null }))), ['SCTP', 'TCP', 'UDP'])
  })

  it('rule 32: endPort is inclusive, may equal port, and reaches both ends', () => {
    assert.deepEqual(portsOf(good(ports({ port: 1, endPort: 65_535 }, { port: 80, endPort: 80 }, { port: 90, endPort: null }))), ['TCP 1-65535', 'TCP 80-80', 'TCP 90-90'])
  })

  it('rule 33: an endPort without a number before it, or below it, opens nothing', () => {
    for (const entry of [{ endPort: 90 }, { port: 'http', endPort: 90 }, { port: 80, endPort: 79 }, { port: 80, endPort: 65_536 }, { port: 80, endPort: '90' }, { port: 80, endPort: 80.5 }]) {
      const decoded = ports(entry)
      assert.deepEqual([portsOf(strict(decoded)), fieldsOf(decoded)], [[], ['spec.ingress[0].ports[0].endPort']])
    }
  })

  it('rule 57: an unreadable entry opens nothing, the readable ones stay', () => {
    for (const entry of [null, 'x', 80, [], { port: 0 }, { port: 65_536 }, { port: -1 }, { port: 1.5 }, { port: true }, { port: {} }, { protocol: 'tcp' }, { protocol: '' }, { protocol: 6 }, { protocol: 'ICMP', port: 80 }]) {
      assert.deepEqual(portsOf(strict(ports(entry))), [])
      assert.deepEqual(portsOf(strict(ports(entry, { port: 443 }))), ['TCP 443-443'])
    }
  })

  it('names of ports are IANA service names', () => {
    for (const name of ['http', 'a', 'web-8080', '8080-web', 'abcdefghijklmno']) assert.deepEqual(portsOf(good(ports({ port: name }))), [`TCP ${name}`])
    for (const name of ['', '80', 'HTTP', 'abcdefghijklmnop', '-a', 'a-', 'a--b', 'a_b', 'ä', 'a\n']) assert.deepEqual(portsOf(strict(ports({ port: name }))), [])
  })

  it('a number in quotes is refused with a hint', () => {
    assert.match(ports({ port: '80' }).problems[0]?.message ?? '', /found "80", expected .* or a number without quotes/)
  })
})
