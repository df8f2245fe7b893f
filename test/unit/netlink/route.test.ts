// rtnetlink messages that a kernel sent -> links, addresses and routes.
import assert from 'node:assert/strict'
import { decodeMessages } from '../../../src/netlink/messages.ts'
import type { NetlinkMessage } from '../../../src/netlink/messages.ts'
import type { Route, RouteEvent } from '../../../src/netlink/route.ts'
import { decodeRouteEvent, dumpRequest } from '../../../src/netlink/route.ts'
import * as recorded from './recorded.ts'

function events(bytes: Uint8Array): (RouteEvent | null)[] {
  return decodeMessages(bytes).map(decodeRouteEvent)
}

function hex(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('hex')
}

function routes(bytes: Uint8Array): { readonly verb: string; readonly how: string; readonly route: Route }[] {
  return events(bytes).map((event) => {
    assert.equal(event?.kind, 'route')
    return event as RouteEvent & { readonly kind: 'route' }
  })
}

describe('rtnetlink', () => {
  it('reads a link', () => {
    const [event] = events(recorded.LINK_UP)
    assert.deepEqual(event, {
      kind: 'link',
      verb: 'new',
      link: { index: 10, name: 'pod0', kind: 'veth', master: 0, up: true, mac: Uint8Array.of(2, 0, 0, 0, 0, 10), end: null },
    })
  })

  it('reads the bridge that a port belongs to', () => {
    const [event] = events(recorded.ENSLAVED)
    assert.equal(event?.kind === 'link' ? event.link.master : null, 12)
  })

  it('does not take a port that left its bridge for a link that is gone', () => {
    assert.equal(decodeMessages(recorded.LEFT_BRIDGE)[0]?.type, 17)
    assert.deepEqual(events(recorded.LEFT_BRIDGE), [null])
  })

  it('reads a deleted link', () => {
    const deleted = events(recorded.LINK_DELETED).map((event) => (event?.kind === 'link' ? [event.verb, event.link.index] : null))
    assert.deepEqual(deleted, [['delete', 10], ['delete', 11]])
  })

  it('reads addresses: the own end of a point-to-point address, and those of IPv6', () => {
    const [v4] = events(recorded.IPV4_ADDRESS)
    const [v6] = events(recorded.IPV6_ADDRESS)
    assert.deepEqual(v4, {
      kind: 'address',
      verb: 'new',
      address: { family: 4, index: 10, address: Uint8Array.of(10, 1, 0, 1), peer: Uint8Array.of(10, 1, 0, 2), prefix: 32, scope: 0 },
    })
    assert.ok(v6?.kind === 'address')
    assert.deepEqual([v6.address.family, hex(v6.address.address), v6.address.prefix], [6, 'fd000001000000000000000000000001', 128])
    const [gone] = events(recorded.ADDRESS_DELETED)
    assert.deepEqual(gone, { ...v4, verb: 'delete' })
  })

  it('reads host routes and default routes of both families', () => {
    const [v4, v6] = routes(recorded.HOST_ROUTES)
    assert.deepEqual(v4, {
      kind: 'route',
      verb: 'new',
      how: 'prepend',
      route: {
        family: 4,
        destination: Uint8Array.of(10, 1, 0, 5),
        prefix: 32,
        source: '',
        tos: 0,
        table: 254,
        protocol: 3,
        scope: 253,
        type: 1,
        priority: 0,
        preferredSource: Uint8Array.of(10, 1, 0, 1),
        nexthopId: 0,
        nexthops: [{ oif: 10, gateway: null, dead: false }],
      },
    })
    assert.deepEqual([hex(v6?.route.destination ?? null), v6?.route.prefix], ['fd000001000000000000000000000005', 128])
    const defaults = routes(recorded.DEFAULT_ROUTES).map(({ route }) => [route.destination.length, route.prefix, route.priority, hex(route.nexthops[0]?.gateway ?? null)])
    assert.deepEqual(defaults, [[4, 0, 100, '0a010002'], [16, 0, 1024, 'fd000001000000000000000000000002']])
  })

  it('reads every hop of a multipath route', () => {
    const hops = routes(recorded.MULTIPATH).map(({ route }) => route.nexthops.map((hop) => [hop.oif, hex(hop.gateway)]))
    assert.deepEqual(hops, [
      [[10, '0a010002'], [11, '0a020009']],
      [[10, 'fd000001000000000000000000000008'], [11, 'fd000003000000000000000000000009']],
    ])
  })

  it('tells a replacement from an addition', () => {
    assert.deepEqual(routes(recorded.REPLACED).map(({ verb, how, route }) => [verb, how, route.nexthops[0]?.oif]), [
      ['new', 'replace', 11],
      ['new', 'replace', 11],
    ])
    assert.deepEqual(routes(recorded.ROUTES_DELETED).map(({ verb }) => verb), ['delete', 'delete'])
  })

  it('refuses values that cannot be', () => {
    const message = decodeMessages(recorded.IPV4_ADDRESS)[0] as NetlinkMessage
    const damaged = (at: number, to: number): NetlinkMessage => {
      const payload = message.payload.slice()
      payload[at] = to
      return { ...message, payload }
    }
    assert.throws(() => decodeRouteEvent(damaged(1, 33)), { message: 'RTM_NEWADDR: prefix length 33 where 0 to 32 are possible' })
    assert.throws(() => decodeRouteEvent(damaged(4, 0)), { message: 'RTM_NEWADDR: interface index 0 where a positive one was expected' })
    assert.throws(() => decodeRouteEvent(damaged(0, 10)), { message: /RTM_NEWADDR: attribute 1 is an address of 4 bytes where 16 were expected/ })
    assert.throws(() => decodeRouteEvent({ ...message, payload: message.payload.subarray(0, 8) }), { message: /neither IFA_LOCAL nor IFA_ADDRESS/ })
  })

  it('asks with headers of full length', () => {
    assert.deepEqual(decodeMessages(dumpRequest('IPv6 routes', 3)).map((m) => [m.type, m.flags, m.sequence, hex(m.payload)]), [[26, 0x301, 3, '0a0000000000000000000000']])
    assert.equal(decodeMessages(dumpRequest('links', 4))[0]?.payload.length, 24)
  })
})
