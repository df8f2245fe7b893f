// Services for which the mark has no room: who comes in when there is some, and what a list that only changes its length needs.
//
// **Invariant:** what is asked is the wanted table after each turn: a list is served whole or its port is rejected and named.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Turns } from '../../../src/agent/turn.ts'
import type { Service } from '../../../src/model/service.ts'
import { ServicePlan } from '../../../src/nat/step.ts'
import { markLayout, type MarkLayout } from '../../../src/ruleset/marks.ts'
import { Inbox } from '../../../src/store/inbox.ts'
import { Store } from '../../../src/store/store.ts'
import { node, service, slice } from '../../support/builders.ts'
import { remove, syncAll, upsert } from '../../support/cluster-feed.ts'
import { runs } from '../../support/runs.ts'
import { fateIn } from '../../support/service-table.ts'

const CLOCK = { now: () => 0, wallTime: () => 0, after: () => () => undefined }

class Small {
  readonly turns: Turns

  constructor(mostLists: number, mostSizes: number) {
    this.turns = new Turns({
      clock: CLOCK,
      onWork: () => undefined,
      step: { isLocal: () => false, nodeName: 'node1', podInterfaces: [], podAttachment: 'auto', sourcePrefixNamespaces: [] },
      skeleton: {
        newPods: 'deny', nodeEgress: 'allow', dropInvalid: true, establishedConnections: 'cut', podInterfaces: [], podAttachment: 'auto',
        nat: { mark: markLayout(0xffffff00), egress: false, randomFully: false, serviceCidrs: [] },
      },
      nat: { nodeName: 'node1', services: { nodePortAddresses: 'primary', masqueradeAll: false, mostLists, mostSizes }, masquerade: null },
    })
    syncAll(this.turns.inbox)
    upsert(this.turns.inbox, 'node', node({ name: 'node1', addresses: ['192.168.1.1'] }))
  }

  /** One turn, after which these Services have so many endpoints; `null`: the Service goes. */
  turn(lengths: Readonly<Record<string, number | readonly [four: number, six: number] | null>>): readonly string[] {
    for (const [name, length] of Object.entries(lengths)) {
      if (length === null) remove(this.turns.inbox, 'service', made(name))
      else {
        const [four, six] = typeof length === 'number' ? [length, length] : length
        upsert(this.turns.inbox, 'service', made(name))
        upsert(this.turns.inbox, 'slice', slice(addresses(four, '10.1.0.'), { service: name, name: `${name}-4` }), slice(addresses(six, 'fd10::'), { service: name, name: `${name}-6`, family: 6 }))
      }
    }
    this.turns.run()
    return [...this.turns.problems.values()].map(({ code, object, message }) => `${code} ${object.replace('Service default/', '')}: ${message.replace(/:.*/, '')}`).sort()
  }

  /** How many endpoints it leads to in each family, from the maps. */
  of(name: string): readonly unknown[] {
    return made(name).clusterIps.map((address) => {
      const to = fateIn(this.turns.translator.wanted.state, { client: 'pod', address, protocol: 'TCP', port: 80 })?.to ?? null
      return Array.isArray(to) ? to.length : to
    })
  }

  list(name: string): number | undefined {
    return this.turns.nat.services?.services.get(made(name).uid)?.planned.lists[0]?.id
  }
}

function made(name: string, fields: Partial<Service> = {}): Service {
  const number = name.charCodeAt(0) - 96
  return service({ name, uid: name, clusterIps: [`10.96.0.${number}`, `fd00:96::${number}`], ...fields })
}

function addresses(count: number, prefix: string): readonly { readonly address: string }[] {
  return Array.from({ length: count }, (_, index) => ({ address: `${prefix}${index + 1}` }))
}

const NO_NUMBER = 'ServiceDoesNotFit c: there is no room for another list of endpoints'
const noCode = (name: string): string => `ServiceDoesNotFit ${name}: there is no room for another number of endpoints`

describe('Services that do not fit', () => {
  it('for want of a number: rejected and named, until a number is given back', () => {
    const small = new Small(2, 9)
    assert.deepEqual([small.turn({ a: 1, b: 1, c: 1 }), small.of('a'), small.of('c')], [[NO_NUMBER], [1, 1], ['REJECT', 'REJECT']])
    assert.deepEqual([small.turn({ b: 2 }), small.of('c')], [[NO_NUMBER], ['REJECT', 'REJECT']])
    assert.deepEqual([small.turn({ a: null }), small.of('b'), small.of('c')], [[], [2, 2], [1, 1]])
  })

  it('for want of a number that rests: until it wakes, whatever the turn after it is about', () => {
    const small = new Small(2, 9)
    upsert(small.turns.inbox, 'service', made('a', { affinity: 60 }))
    upsert(small.turns.inbox, 'slice', slice(addresses(1, '10.1.0.'), { service: 'a', name: 'a-4' }))
    small.turn({ b: 1, c: 1 })
    assert.deepEqual([small.turn({ a: null }), small.of('c')], [[NO_NUMBER], ['REJECT', 'REJECT']])
    small.turns.nat.services?.rested([1])
    upsert(small.turns.inbox, 'node', node({ name: 'node2' }))
    assert.deepEqual([small.turn({}), small.of('c')], [[], [1, 1]])
  })

  it('for want of a code for its length: until a length is gone; one that only changes its length needs no other', () => {
    const small = new Small(9, 2)
    assert.deepEqual([small.turn({ a: 1, b: 2 }), small.turn({ c: 3 }), small.of('c')], [[], [noCode('c')], ['REJECT', 'REJECT']])
    const number = small.list('b')
    assert.deepEqual([small.turn({ b: 4 }), small.of('b'), small.of('c'), small.list('b')], [[noCode('c')], [4, 4], ['REJECT', 'REJECT'], number])
    assert.deepEqual([small.turn({ a: 4 }), small.of('a'), small.of('b'), small.of('c')], [[], [4, 4], [4, 4], [3, 3]])
  })

  it('a length that two Services share may become another one for both at once, with the numbers that they had where clients stay', () => {
    const small = new Small(9, 2)
    const shared = (count: number): readonly string[] => {
      upsert(small.turns.inbox, 'service', made('a', { affinity: 60 }), made('b', { affinity: 60 }))
      upsert(small.turns.inbox, 'slice', ...['a', 'b'].map((name) => slice(addresses(count, '10.1.0.'), { service: name, name: `${name}-4` })))
      return small.turn({ c: 5 })
    }
    assert.deepEqual(shared(2), [])
    const before = ['a', 'b'].map((name) => small.list(name))
    assert.deepEqual([shared(3), small.of('a'), small.of('b'), small.of('c')], [[], [3, 'REJECT'], [3, 'REJECT'], [5, 5]])
    assert.deepEqual(['a', 'b'].map((name) => small.list(name)), before)
  })

  it('a length that leaves one Service and comes to another in one turn is led to its own chain, whatever code it has', () => {
    const small = new Small(9, 2)
    assert.deepEqual([small.turn({ a: 7, b: 6 }), small.of('a'), small.of('b')], [[], [7, 7], [6, 6]])
    for (const [a, b] of [[6, 7], [5, 6], [6, 5]] as const) assert.deepEqual([small.turn({ a, b }), small.of('a'), small.of('b')], [[], [a, a], [b, b]])
  })

  it('60,000 Services of one port fit where no bit of the mark is left to others, each with a number of its own', () => {
    const mark = markLayout(0xffffffff) as MarkLayout
    const plan = new ServicePlan({ nodeName: 'node1', nodePortAddresses: 'primary', masqueradeAll: false, mostLists: mark.mostLists, mostSizes: mark.mostSizes })
    const store = new Store()
    const events = new Inbox(() => undefined)
    syncAll(events)
    for (let n = 0; n < 60_000; n++) {
      const [high, low, name] = [n >> 8, n & 255, `s${n}`]
      upsert(events, 'service', service({ name, clusterIps: [`10.96.${high}.${low}`] }))
      upsert(events, 'slice', slice([{ address: `10.1.${high}.${low}` }], { name, service: name }))
    }
    const { delta, snapshot } = store.apply(events.drain())
    const { problems } = plan.step(snapshot, delta)
    const ids = [...plan.services.values()].flatMap(({ planned }) => planned.lists.map(({ id }) => id))
    assert.deepEqual([problems.size, ids.length, new Set(ids).size], [0, 60_000, 60_000])
    assert.ok(Math.min(...ids) >= 1 && Math.max(...ids) <= mark.mostLists)
  })

  it('in any history nobody is led elsewhere, and nobody waits while there is room', () => {
    const length = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }))
    const change = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.oneof({ weight: 4, arbitrary: length }, { weight: 1, arbitrary: fc.constant(null) }), { minKeys: 1, maxKeys: 3 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }), fc.array(change, { maxLength: 12 }), (mostLists, mostSizes, changes) => {
        const small = new Small(mostLists, mostSizes)
        const lengths = new Map<string, readonly [number, number]>()
        for (const one of changes) {
          for (const [name, length] of Object.entries(one)) if (length === null) lengths.delete(name)
          else lengths.set(name, length)
          const problems = small.turn(one)
          const refused = (name: string): boolean => problems.some((text) => text.startsWith(`ServiceDoesNotFit ${name}:`))
          const served = [...lengths].filter(([name, both]) => !refused(name) && Math.max(...both) > 0)
          const used = new Set(served.flatMap(([, both]) => both.filter((count) => count > 0)))
          for (const [name, both] of lengths) {
            assert.deepEqual(small.of(name), refused(name) ? ['REJECT', 'REJECT'] : both.map((count) => (count === 0 ? 'REJECT' : count)), name)
            const wants = new Set([...used, ...both.filter((count) => count > 0)])
            if (refused(name)) assert.ok(served.length === mostLists || wants.size > mostSizes, `${name} waits beside ${JSON.stringify(served)}`)
          }
          const { chains, sets } = small.turns.translator.wanted.state
          const named = [...(sets.get('endpoints-by-size')?.elements.values() ?? [])].map(({ value = '' }) => value.replace('goto ', ''))
          assert.deepEqual(named.sort(), [...chains.keys()].filter((name) => name.startsWith('endpoints/')).sort(), 'a code for each length, and no other')
          for (const name of ['a', 'b', 'c', 'd', 'e']) if (!lengths.has(name)) assert.deepEqual(small.of(name), [null, null])
        }
      }),
      runs(150),
    )
  })
})
