// The mirror of the kernel's routes: what it does where the kernel does not tell each route.
import assert from 'node:assert/strict'
import type { RouteEvent } from '../../../src/netlink/route.ts'
import { InterfaceFold } from '../../../src/node/interfaces.ts'
import { address, bytesOf, link, noLink, reach, route, rowsAfter } from './events.ts'

describe('what the kernel does without a notification for each route', () => {
  const to = '10.0.0.9'

  it('removes IPv4 routes when the link goes down; a multipath route when all of its hops are dead', () => {
    const links = [link(1), link(2), route('new', 'append', { to, by: [1] }), route('new', 'append', { to: '10.8.0.0/16', by: [1, 2] })]
    const down = (index: number): RouteEvent => link(index, `if${index}`, { up: false })
    assert.deepEqual(reach(rowsAfter(...links, down(1))), ['1: +', '2: +'])
    assert.deepEqual(reach(rowsAfter(...links, down(1), down(2))), ['1: ', '2: '])
    assert.deepEqual(reach(rowsAfter(...links, down(1), link(1), down(2))), ['1: +', '2: +'])
  })

  it('gives up a multipath route of IPv4 with a link that is deleted, and of IPv6 that hop only', () => {
    const v4 = route('new', 'append', { to, by: [1, 2] })
    const v6 = route('new', 'append', { to: 'fd00::9', by: [1, 2], gateway: 'fd00::1' })
    assert.deepEqual(reach(rowsAfter(link(1), link(2), v4, v6, noLink(1))), ['2: fd00::9'])
  })

  it('removes IPv4 routes with the last address of their interface, and with their preferred source', () => {
    const addresses = [link(1), link(2), address('new', 1, '10.0.0.1'), address('new', 1, '10.0.0.2'), address('new', 2, '10.0.0.3')]
    const routes = [route('new', 'append', { to, by: [1] }), route('new', 'append', { to: '10.7.0.1', by: [2] }, { preferredSource: bytesOf('10.0.0.1') })]
    const gone = (text: string): RouteEvent => address('delete', 1, text)
    assert.deepEqual(reach(rowsAfter(...addresses, ...routes, gone('10.0.0.2'))), ['1: 10.0.0.9', '2: 10.7.0.1'])
    assert.deepEqual(reach(rowsAfter(...addresses, ...routes, gone('10.0.0.1'))), ['1: 10.0.0.9', '2: '])
    assert.deepEqual(reach(rowsAfter(...addresses, ...routes, gone('10.0.0.2'), gone('10.0.0.1'))), ['1: ', '2: '])
  })

  it('replaces the first route of the key in IPv4, and in IPv6 the whole group of hops by gateway', () => {
    const v4 = [1, 2].map((oif) => route('new', 'append', { to, by: [oif] }))
    assert.deepEqual(reach(rowsAfter(link(1), link(2), link(3), ...v4, route('new', 'replace', { to, by: [3] }))), ['1: ', '2: 10.0.0.9', '3: 10.0.0.9'])
    const group = route('new', 'append', { to: 'fd00::/64', by: [1, 2], gateway: 'fd01::1' })
    const one = route('new', 'replace', { to: 'fd00::/64', by: [3], gateway: 'fd01::1' })
    assert.deepEqual(reach(rowsAfter(link(1), link(2), link(3), group, one)), ['1: ', '2: ', '3: +'])
  })

  it('is in doubt where it cannot know, and only there', () => {
    const fold = new InterfaceFold()
    for (const event of [link(1), route('new', 'append', { to, by: [1] })]) fold.apply(event)
    fold.apply(route('delete', 'append', { to: '10.0.0.8', by: [1] }))
    fold.apply({ kind: 'nexthop' })
    assert.equal(fold.takeDoubt(), null)
    fold.apply(route('delete', 'append', { to, by: [2] }))
    assert.match(fold.takeDoubt() ?? '', /was deleted that is not known/)
    assert.equal(fold.takeDoubt(), null)
    fold.apply(route('new', 'append', { to: '10.0.0.7', by: [1] }, { nexthopId: 3 }))
    fold.apply({ kind: 'nexthop' })
    assert.match(fold.takeDoubt() ?? '', /nexthop object/)
  })
})
