// Netlink messages and attributes: what a kernel sent reads right, and no bytes whatever lead astray.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { attributeText, joined, nestedAttribute, NetlinkMessageError, readAttributes, textAttribute, u32Attribute } from '../../../src/netlink/attributes.ts'
import { controlOf, decodeMessages, encodeMessage, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN } from '../../../src/netlink/messages.ts'
import type { NetlinkMessage } from '../../../src/netlink/messages.ts'
import { decodeRouteEvent } from '../../../src/netlink/route.ts'
import { ADDRESS_DUMP, ENSLAVED, HOST_ROUTES, MULTIPATH, NO_DEVICE, REFUSED } from './recorded.ts'

function only(datagram: Uint8Array): NetlinkMessage {
  const messages = decodeMessages(datagram)
  assert.equal(messages.length, 1)
  return messages[0] as NetlinkMessage
}

function invalid(message: string): object {
  return { name: 'NetlinkMessageError', code: 'InvalidNetlinkMessage', message }
}

/** Reads all that can be read of a datagram; whatever is wrong with it must be said by a NetlinkMessageError. */
function readAll(datagram: Uint8Array): void {
  try {
    for (const message of decodeMessages(datagram)) if (controlOf(message) === null) decodeRouteEvent(message)
  } catch (error) {
    if (!(error instanceof NetlinkMessageError)) throw error
    assert.match(error.message, /^[^:]+: .+/)
  }
}

describe('netlink messages', () => {
  it('reads a dump to its end', () => {
    const messages = decodeMessages(ADDRESS_DUMP)
    assert.deepEqual(messages.map((m) => [m.type, m.sequence, (m.flags & NLM_F_MULTI) !== 0]), [[20, 7, true], [NLMSG_DONE, 7, true]])
    assert.deepEqual(messages.map((m) => controlOf(m)), [null, { kind: 'done' }])
  })

  it('reads what the kernel says of a request that it refused', () => {
    assert.deepEqual(decodeMessages(NO_DEVICE).map(controlOf), [{ kind: 'failed', code: 'ENODEV', text: '', offset: null }])
    const [refused] = decodeMessages(REFUSED).map(controlOf)
    assert.equal(refused?.kind, 'failed')
    assert.match(refused?.kind === 'failed' ? refused.text : '', /Invalid header for FIB dump request/)
  })

  it('reads an acknowledgement, an overrun and a done that carries an error', () => {
    const error = (errno: number): Uint8Array => joined([Uint8Array.from(new Uint8Array(new Int32Array([errno]).buffer)), new Uint8Array(16)])
    const control = (type: number, payload: Uint8Array): unknown => controlOf({ type, flags: 0, sequence: 1, port: 0, payload })
    assert.deepEqual(control(NLMSG_ERROR, error(0)), { kind: 'acknowledged' })
    assert.deepEqual(control(NLMSG_OVERRUN, new Uint8Array(0)), { kind: 'overrun' })
    assert.deepEqual(control(NLMSG_DONE, new Uint8Array(0)), { kind: 'done' })
    assert.deepEqual(control(NLMSG_DONE, error(-105).subarray(0, 4)), { kind: 'failed', code: 'ENOBUFS', text: '', offset: null })
    assert.deepEqual(control(NLMSG_ERROR, error(-524)), { kind: 'failed', code: 'errno 524', text: '', offset: null })
    assert.throws(() => control(NLMSG_ERROR, new Uint8Array(3)), invalid('NLMSG_ERROR: 3 bytes where at least 20 were expected'))
  })

  it('says what is wrong with a length', () => {
    const whole = encodeMessage({ type: 20, flags: 0, sequence: 1, port: 2 }, [new Uint8Array(8)])
    assert.throws(() => decodeMessages(whole.subarray(0, 12)), invalid('datagram: 12 bytes are left over where a header has 16'))
    assert.throws(() => decodeMessages(whole.subarray(0, 20)), invalid('header: the message says 24 bytes where 16 to 20 are possible'))
    const zero = whole.slice()
    zero[0] = 0
    assert.throws(() => decodeMessages(zero), invalid('header: the message says 0 bytes where 16 to 24 are possible'))
    const attributes = u32Attribute(5, 1)
    assert.throws(() => readAttributes(attributes.subarray(0, 6), 0, 'X'), invalid('X: attribute 5 says 8 bytes where 4 to 6 are possible'))
    assert.throws(() => readAttributes(joined([attributes]).subarray(0, 3), 0, 'X'), invalid('X: 3 bytes are left over behind the attributes'))
    attributes[0] = 3
    assert.throws(() => readAttributes(attributes, 0, 'X'), invalid('X: attribute 5 says 3 bytes where 4 to 8 are possible'))
  })

  it('property: what was encoded is decoded, with every padding', () => {
    const header = fc.record({ type: fc.nat(0xffff), flags: fc.nat(0xffff), sequence: fc.nat(0xffffffff), port: fc.nat(0xffffffff) })
    const text = fc.string({ maxLength: 20 }).filter((t) => !t.includes('\0'))
    fc.assert(
      fc.property(header, text, fc.nat(0xffffffff), (h, name, number) => {
        const nested = nestedAttribute(2, [textAttribute(1, name), u32Attribute(3, number)])
        const message = only(encodeMessage(h, [new Uint8Array(4), nested]))
        assert.deepEqual({ ...message, payload: null }, { ...h, payload: null })
        const inner = readAttributes(readAttributes(message.payload, 4, 'outer').get(2) as Uint8Array, 0, 'inner')
        assert.equal(attributeText(inner, 1), Buffer.from(name).toString())
        assert.equal(new DataView(Uint8Array.from(inner.get(3) as Uint8Array).buffer).getUint32(0, true), number)
      }),
    )
  })

  it('property: random bytes are read or refused, and reading ends', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), readAll), { numRuns: 2_000 })
  })

  it('property: a recorded answer that was cut off or changed anywhere is read or refused, and reading ends', () => {
    const recorded = fc.constantFrom(ADDRESS_DUMP, ENSLAVED, HOST_ROUTES, MULTIPATH, NO_DEVICE, REFUSED)
    const change = fc.record({ at: fc.nat(2_000), to: fc.constantFrom(0, 1, 3, 4, 8, 16, 127, 128, 255) })
    fc.assert(
      fc.property(recorded, fc.array(change, { maxLength: 3 }), fc.option(fc.nat(2_000)), (bytes, changes, cut) => {
        const damaged = bytes.slice()
        for (const { at, to } of changes) damaged[at % damaged.length] = to
        readAll(cut === null ? damaged : damaged.subarray(0, cut))
      }),
      { numRuns: 3_000 },
    )
  })
})
