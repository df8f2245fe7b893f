// Links, addresses and routes folded into interface rows: what counts.
import assert from 'node:assert/strict'
import * as recorded from '../netlink/recorded.ts'
import { address, decode, link, reach, route, rowsAfter } from './events.ts'

describe('interfaces from what a kernel sent', () => {
  it('gives the rows of a pod with routes and of its peer', () => {
    const { LINK_UP, IPV4_ADDRESS, IPV6_ADDRESS, HOST_ROUTES, DEFAULT_ROUTES } = recorded
    const rows = rowsAfter(link(11, 'eth0'), ...decode(LINK_UP, IPV4_ADDRESS, IPV6_ADDRESS, HOST_ROUTES))
    assert.deepEqual(rows.get(10), {
      index: 10,
      name: 'pod0',
      kind: 'veth',
      master: 0,
      addresses: ['10.1.0.1', 'fd00:1::1'],
      hostRoutes: ['10.1.0.5', 'fd00:1::5'],
      hasWiderRoutes: false,
      networks: [],
      behind: null,
    })
    assert.deepEqual(reach(rowsAfter(...decode(LINK_UP, HOST_ROUTES, DEFAULT_ROUTES))), ['10: 10.1.0.5 fd00:1::5+'])
  })

  it('moves a replaced route, counts multipath hops, and forgets deleted routes', () => {
    const { LINK_UP, HOST_ROUTES, REPLACED, MULTIPATH, ROUTES_DELETED } = recorded
    const start = [link(11, 'eth0'), ...decode(LINK_UP, HOST_ROUTES)]
    assert.deepEqual(reach(rowsAfter(...start, ...decode(REPLACED))), ['10: ', '11: 10.1.0.5 fd00:1::5'])
    assert.deepEqual(reach(rowsAfter(...start, ...decode(REPLACED, MULTIPATH))), ['10: 10.9.0.9+', '11: 10.1.0.5 10.9.0.9 fd00:1::5+'])
    assert.deepEqual(reach(rowsAfter(...start, ...decode(REPLACED, ROUTES_DELETED))), ['10: ', '11: '])
  })

  it('keeps a port that left its bridge, and drops a deleted link', () => {
    const { LINK_UP, ENSLAVED, LEFT_BRIDGE, LINK_DELETED } = recorded
    assert.equal(rowsAfter(...decode(LINK_UP, ENSLAVED)).get(10)?.master, 12)
    assert.ok(rowsAfter(...decode(LINK_UP, ENSLAVED, LEFT_BRIDGE)).has(10))
    assert.equal(rowsAfter(...decode(LINK_UP, LINK_DELETED)).size, 0)
  })
})

describe("the canary's interfaces", () => {
  it('are nobody\'s, under whatever name they came', () => {
    const named = (name: string) => link(1, name)
    assert.equal(rowsAfter(named('picket-canary0')).size, 0)
    assert.equal(rowsAfter(named('veth1'), named('picket-canary3')).size, 0)
    assert.equal(rowsAfter(named('picket-canary3'), named('veth1')).size, 1)
    assert.equal(rowsAfter(named('picket-canary4')).size, 1)
  })
})

describe('which routes of an interface count', () => {
  it('leaves out its own addresses, in either order, and takes them back when the address goes', () => {
    const host = route('new', 'append', { to: 'fd00::1', by: [1] })
    assert.deepEqual(reach(rowsAfter(link(1), host)), ['1: fd00::1'])
    assert.deepEqual(reach(rowsAfter(link(1), host, address('new', 1, 'fd00::1'))), ['1: '])
    assert.deepEqual(reach(rowsAfter(link(1), address('new', 1, 'fd00::1'), host)), ['1: '])
    assert.deepEqual(reach(rowsAfter(link(1), address('new', 1, 'fd00::1'), host, address('delete', 1, 'fd00::1'))), ['1: fd00::1'])
  })

  it('keeps an address that is there with another prefix too', () => {
    const events = [link(1), address('new', 1, 'fd00::1'), address('new', 1, 'fd00::1', 64), address('delete', 1, 'fd00::1')]
    assert.deepEqual(rowsAfter(...events).get(1)?.addresses, ['fd00::1'])
  })

  it('leaves out link-local and multicast destinations and addresses, and those only', () => {
    const left = ['169.254.1.1', '169.254.0.0/16', 'fe80::/64', 'fe80::1', 'febf::/16', 'ff00::/8', 'ff02::1', '224.0.0.0/4', '239.1.1.1']
    for (const to of left) assert.deepEqual(reach(rowsAfter(link(1), route('new', 'append', { to, by: [1] }))), ['1: '], to)
    const counted = ['0.0.0.0/0', '168.0.0.0/7', '192.0.0.0/2', '::/0', 'fe00::/8', 'fec0::/10', '10.0.0.0/31']
    for (const to of counted) assert.deepEqual(reach(rowsAfter(link(1), route('new', 'append', { to, by: [1] }))), ['1: +'], to)
    const rows = rowsAfter(link(1), address('new', 1, 'fe80::1', 64), address('new', 1, '169.254.1.1', 16), address('new', 1, '10.0.0.1', 24))
    assert.deepEqual(rows.get(1)?.addresses, ['10.0.0.1'])
  })

  it('leaves out the local table and every type but unicast', () => {
    for (const more of [{ table: 255 }, { type: 2 }, { type: 5 }, { type: 6 }]) {
      assert.deepEqual(reach(rowsAfter(link(1), route('new', 'append', { to: '10.0.0.1', by: [1] }, more))), ['1: '], JSON.stringify(more))
    }
    assert.deepEqual(reach(rowsAfter(link(1), route('new', 'append', { to: '10.0.0.1', by: [1] }, { table: 1000 }))), ['1: 10.0.0.1'])
  })

  it('counts a destination once for as many routes as lead there', () => {
    const one = { to: '10.0.0.5', by: [1] }
    const both = [link(1), route('new', 'append', one), route('new', 'append', one, { table: 100 })]
    assert.deepEqual(reach(rowsAfter(...both)), ['1: 10.0.0.5'])
    assert.deepEqual(reach(rowsAfter(...both, route('delete', 'append', one))), ['1: 10.0.0.5'])
    assert.deepEqual(reach(rowsAfter(...both, route('delete', 'append', one), route('delete', 'append', one, { table: 100 }))), ['1: '])
  })
})
