// What is told of interfaces: each change once, the same for any split of the events, at a cost that does not grow.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { HostInterface } from '../../../src/model/objects.ts'
import { InterfaceFold } from '../../../src/node/interfaces.ts'
import { address, link, noLink, reach, route, rowsOf } from './events.ts'

describe('what is told of interfaces', () => {
  it('tells a row that changed once, and one that came back to what it was not at all', () => {
    const fold = new InterfaceFold()
    fold.apply(link(1))
    fold.apply(address('new', 1, '10.0.0.1'))
    assert.deepEqual(fold.changes().map((event) => event.verb), ['upsert'])
    fold.apply(address('new', 1, '10.0.0.2'))
    fold.apply(address('delete', 1, '10.0.0.2'))
    fold.apply(link(1, 'if1', { mac: Uint8Array.of(1) }))
    assert.deepEqual(fold.changes(), [])
    fold.apply(link(2))
    fold.apply(noLink(2))
    assert.deepEqual(fold.changes(), [])
    fold.apply(link(2, 'if1'))
    fold.apply(noLink(1))
    assert.deepEqual(fold.changes().map((event) => [event.verb, 'key' in event ? event.key : '']), [['delete', '1'], ['upsert', '2']])
  })

  it('tells after a resync only what differs, and folds what came while it was read', () => {
    const fold = new InterfaceFold()
    for (const event of [link(1), link(2), route('new', 'append', { to: '10.0.0.9', by: [1] })]) fold.apply(event)
    fold.changes()
    const during = [route('new', 'prepend', { to: '10.0.0.8', by: [3] }), noLink(2)]
    fold.resync([link(1), link(2), link(3), route('new', 'append', { to: '10.0.0.9', by: [1] })], during)
    assert.deepEqual(fold.changes().map((event) => [event.verb, 'key' in event ? event.key : '']), [['delete', '2'], ['upsert', '3']])
    assert.deepEqual(reach(rowsOf(fold.replace())), ['1: 10.0.0.9', '3: 10.0.0.8'])
  })

  it('property: any split of the events tells the same, and it is what a count of all of them gives', () => {
    const index = fc.integer({ min: 1, max: 4 })
    const host = fc.constantFrom('fd00::1', 'fd00::2', 'fd00::3')
    const event = fc.oneof(
      index.map((i) => ({ text: `link ${i}`, event: link(i) })),
      fc.tuple(fc.constantFrom('new' as const, 'delete' as const), index, host).map(([verb, i, a]) => ({ text: `${verb} address ${i} ${a}`, event: address(verb, i, a) })),
      fc.tuple(fc.constantFrom('new' as const, 'delete' as const), index, fc.oneof(host, fc.constantFrom('fd01::/64'))).map(([verb, i, to]) => ({
        text: `${verb} route ${i} ${to}`,
        event: route(verb, 'append', { to, by: [i] }),
      })),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(event, fc.boolean()), { maxLength: 60 }), (steps) => {
        const fold = new InterfaceFold()
        const told = new Map<string, HostInterface>()
        for (const [step, flush] of steps) {
          fold.apply(step.event)
          if (flush) for (const change of fold.changes()) if (change.verb === 'upsert' && change.decoded.kind === 'good') told.set(change.key, change.decoded.row)
        }
        for (const change of fold.changes()) if (change.verb === 'upsert' && change.decoded.kind === 'good') told.set(change.key, change.decoded.row)
        const present = new Set<string>()
        for (const [{ text }] of steps) {
          const [verb, ...rest] = text.split(' ')
          if (verb === 'link') present.add(text)
          else if (verb === 'new') present.add(rest.join(' '))
          else present.delete(rest.join(' '))
        }
        const hosts = ['fd00::1', 'fd00::2', 'fd00::3']
        const expected = [1, 2, 3, 4].filter((i) => present.has(`link ${i}`)).map((i) => {
          const own = hosts.filter((a) => present.has(`address ${i} ${a}`))
          const routes = hosts.filter((a) => present.has(`route ${i} ${a}`) && !own.includes(a))
          return { index: i, name: `if${i}`, kind: 'veth', master: 0, addresses: own, hostRoutes: routes, hasWiderRoutes: present.has(`route ${i} fd01::/64`), networks: [], behind: null }
        })
        assert.deepEqual([...told.values()].sort((a, b) => a.index - b.index), expected)
        assert.deepEqual([...rowsOf(fold.replace()).values()].sort((a, b) => a.index - b.index), expected)
      }),
      { numRuns: 500 },
    )
  })

  it('costs the same for one event whether 100 or 20,000 other routes are there', function () {
    this.timeout(20_000)
    const foldBeside = (others: number): InterfaceFold => {
      const fold = new InterfaceFold()
      for (let i = 1; i <= 100; i++) fold.apply(link(i))
      for (let i = 0; i < others; i++) fold.apply(route('new', 'append', { to: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, by: [2 + (i % 99)] }))
      fold.changes()
      return fold
    }
    const costOf = (fold: InterfaceFold): number => {
      const began = performance.now()
      for (let i = 0; i < 500; i++) {
        fold.apply(route(i % 2 === 0 ? 'new' : 'delete', 'append', { to: '10.200.0.1', by: [1] }))
        assert.equal(fold.changes().length, 1)
      }
      return performance.now() - began
    }
    const [few, many] = [foldBeside(100), foldBeside(20_000)]
    // The shortest of several, by turns: the machine has other things to do at times.
    const costs = Array.from({ length: 12 }, () => [costOf(few), costOf(many)] as const)
    const [beside100, beside20000] = [Math.min(...costs.map(([cost]) => cost)), Math.min(...costs.map(([, cost]) => cost))]
    // Whoever looked at all of them would take 200 times as long.
    assert.ok(beside20000 < beside100 * 40, `${beside100.toFixed(1)} ms for 500 events beside 100 routes, ${beside20000.toFixed(1)} ms beside 20,000`)
  })
})
