// Deleting one entry of conntrack: the request, which never says less than one entry of UDP, and what an entry is known by.
import assert from 'node:assert/strict'
import { attribute, NetlinkMessageError } from '../../../src/netlink/attributes.ts'
import { idOf, udpDeleteRequest } from '../../../src/netlink/conntrack-delete.ts'
import { visitEntries } from '../../../src/netlink/conntrack.ts'
import { decodeMessages } from '../../../src/netlink/messages.ts'
import { message, PORT, tuple, V6 } from '../../support/conntrack-messages.ts'

const ID = Uint8Array.of(1, 2, 3, 4)
const REPLY = { source: Uint8Array.of(10, 1, 0, 9), destination: Uint8Array.of(10, 1, 0, 1), sourcePort: 53, destinationPort: 40000 }
const SIX = { source: Uint8Array.from(V6(9)), destination: Uint8Array.from(V6(1)), sourcePort: 53, destinationPort: 40000 }

describe('conntrack: deleting an entry', () => {
  it('names the family, the whole reply, UDP, and the id', () => {
    const [four] = decodeMessages(udpDeleteRequest(7, REPLY, ID, false))
    assert.deepEqual([four?.type, four?.flags, four?.sequence], [0x102, 1, 7])
    // CTA_TUPLE_REPLY { CTA_TUPLE_IP { source, destination }, CTA_TUPLE_PROTO { 17, ports } }; CTA_ID
    const proto = '1c000280' + '0500010011000000' + '0600020000350000' + '060003009c400000'
    assert.equal(Buffer.from(four?.payload ?? []).toString('hex'), '02000000' + '34000280' + '14000180' + '080001000a010009' + '080002000a010001' + proto + '08000c0001020304')
    const [six] = decodeMessages(udpDeleteRequest(8, SIX, ID, true))
    assert.deepEqual([six?.flags, six?.sequence], [5, 8])
    const address = (last: string): string => `fd${'00'.repeat(14)}${last}`
    assert.equal(Buffer.from(six?.payload ?? []).toString('hex'), '0a000000' + '4c000280' + '2c000180' + `14000300${address('09')}` + `14000400${address('01')}` + proto + '08000c0001020304')
  })
  it('refuses what would name more than one entry', () => {
    for (const [reply, id] of [[{ ...REPLY, source: new Uint8Array(0), destination: new Uint8Array(0) }, ID], [{ ...REPLY, destination: SIX.destination }, ID], [REPLY, new Uint8Array(0)]] as const) {
      assert.throws(() => udpDeleteRequest(1, reply, id, false), RangeError)
    }
  })
})

describe('conntrack: what an entry is known by', () => {
  const ends = [tuple(1, [10, 1, 0, 1], [10, 96, 0, 10], 17, [40000, 53]), tuple(2, [10, 1, 0, 9], [10, 1, 0, 1], 17, [53, 40000])] as const

  /** The ids of the entries, as hex. */
  function idsOf(...messages: readonly Uint8Array[]): readonly (string | null)[] {
    const bytes = Buffer.concat(messages)
    const found: (string | null)[] = []
    visitEntries(bytes, 1, PORT, (entry) => {
      const at = idOf(bytes, entry)
      found.push(at === null ? null : bytes.toString('hex', at, at + 4))
    })
    return found
  }

  it('its own id, wherever it stands', () => {
    const status = attribute(3, Uint8Array.of(0, 0, 0, 14))
    assert.deepEqual(idsOf(message([...ends, status, attribute(12, ID), attribute(11, status)]), message([attribute(12, Uint8Array.of(5, 6, 7, 8)), ...ends])), ['01020304', '05060708'])
  })
  it('in a zone: no id, it is another network\'s', () => {
    const zone = attribute(18, Uint8Array.of(0, 7))
    const inTuple = Buffer.concat([ends[0], attribute(3, Uint8Array.of(0, 7))])
    inTuple.writeUInt16LE(inTuple.length, 0)
    assert.deepEqual(idsOf(message([...ends, zone, attribute(12, ID)]), message([inTuple, ends[1], attribute(12, ID)])), [null, null])
  })
  it('without one, or with half of one: an error', () => {
    assert.throws(() => idsOf(message([...ends])), NetlinkMessageError)
    assert.throws(() => idsOf(message([...ends, attribute(12, Uint8Array.of(1, 2))])), /2 bytes where 4/)
  })
})
