// The law of the history of Services: a connection's mark names the Service that translated it, or several, never a wrong one alone.
//
// Few numbers and endpoints, so that they go from one Service to the next all the time. **Invariant:** the oracle knows of each connection
// through which Service it went, and asks the history nothing.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ServiceHistory } from '../../src/audit/history-services.ts'
import { Moments } from '../../src/audit/moments.ts'
import type { Change } from '../../src/model/changes.ts'
import type { PlannedService } from '../../src/nat/plan.ts'
import { report, runs } from '../support/runs.ts'

interface Wanted {
  readonly list: number
  readonly targets: readonly number[]
  readonly port: number
}
/** What each of three Services is from then on; null: there is none. */
type Step = { readonly wanted: readonly (Wanted | null)[]; readonly took: number; readonly calls: number }

const target = (at: number) => ({ address: at % 2 === 0 ? `10.0.0.${at}` : `fd00::${at}`, port: 8080 })
const wanted = fc.option(fc.record({ list: fc.integer({ min: 1, max: 3 }), targets: fc.uniqueArray(fc.nat(3), { maxLength: 3 }), port: fc.constantFrom(80, 80, 443) }))
const step: fc.Arbitrary<Step> = fc.record({ wanted: fc.array(wanted, { minLength: 3, maxLength: 3 }), took: fc.integer({ min: 0, max: 5 }), calls: fc.nat(3) })

function planned(at: number, { list: id, targets, port }: Wanted): PlannedService {
  const clusterIps = [`10.96.0.${at}`, `fd00:96::${at}`]
  const slots = targets.map(target)
  return {
    uid: `s${at}`, namespace: 'shop', name: `s${at}`, clusterIps, restricted: [], udp: [], health: null,
    entries: clusterIps.map((address) => ({ client: 'pod', address, protocol: 'TCP', port, to: id, masquerade: false })),
    lists: [{ id, protocol: 'TCP', affinity: null, sizes: { 4: 0, 6: 0 }, slots: { 4: slots.filter(({ address }) => !address.includes(':')), 6: slots.filter(({ address }) => address.includes(':')) } }],
  }
}

class World {
  readonly moments = new Moments()
  readonly services = new Map<string, { readonly planned: PlannedService }>()
  readonly history: ServiceHistory
  readonly calls: { readonly service: PlannedService; readonly id: number; readonly target: { readonly address: string; readonly port: number }; readonly time: number }[] = []
  now = 1000
  #revision = 0

  constructor() {
    const all = (): PlannedService[] => [...this.services.values()].map((one) => one.planned)
    this.history = new ServiceHistory(this.moments, {
      services: this.services,
      withList: (id) => all().find(({ lists }) => lists.some((list) => list.id === id)) ?? null,
      withPort: (address, _, port) => all().find(({ entries }) => entries.some((entry) => entry.address === address && entry.port === port)) ?? null,
    })
  }

  step({ wanted: next, took, calls }: Step): void {
    const taken = new Set<number>()
    const changes = new Map<string, Change<PlannedService>>()
    for (const [at, one] of next.entries()) {
      const before = this.services.get(`s${at}`)?.planned ?? null
      // A number has one owner.
      const after = one === null || taken.has(one.list) ? null : planned(at, one)
      if (after !== null) taken.add(after.lists[0]?.id ?? 0)
      if (before !== null || after !== null) changes.set(`s${at}`, { before, after })
      if (after === null) this.services.delete(`s${at}`)
      else this.services.set(`s${at}`, { planned: after })
    }
    this.#revision += 1
    this.history.planned(this.moments.planned(this.#revision, this.now), changes)
    this.now += took
    this.moments.held(this.#revision, this.now)
    this.now += 5
    for (const { planned: service } of this.services.values()) {
      const [list] = service.lists
      const slots = [...(list?.slots[4] ?? []), ...(list?.slots[6] ?? [])].slice(0, calls)
      if (list !== undefined) this.calls.push(...slots.map((one) => ({ service, id: list.id, target: one, time: this.now })))
    }
    this.now += 5
  }
}

describe('property: history of Services', function () {
  this.timeout(120_000)

  it('names the Service of a connection, of new packets and of later ones, by mark and by address', () => {
    const counts = { asked: 0, named: 0, open: 0 }
    fc.assert(
      fc.property(fc.array(step, { minLength: 2, maxLength: 12 }), fc.nat(40), (steps, later) => {
        const world = new World()
        for (const one of steps) world.step(one)
        for (const { service, id, target: to, time } of world.calls) {
          const fresh = world.history.byList(id, to, { first: time, last: time }, true)
          assert.deepEqual(fresh.map(({ uid, port, clusterIps }) => [uid, port, clusterIps]), [[service.uid, service.entries[0]?.port, service.clusterIps]], 'of a new connection there is no doubt')
          counts.asked += 1
          const at = Math.min(time + later, world.now)
          const found = world.history.byList(id, to, { first: at, last: at }, false)
          assert.ok(found.some(({ uid }) => uid === service.uid), 'the right one is among them')
          if (found.length === 1) counts.named += 1
          else counts.open += 1
          const [address = ''] = service.clusterIps
          const port = service.entries[0]?.port ?? 0
          assert.deepEqual(world.history.byAddress(address, 'TCP', port, { first: time, last: time }).map((word) => [word?.uid, word?.port]), [[service.uid, port]])
          assert.deepEqual(world.history.byAddress(address, 'TCP', 9, { first: time, last: time }).map((word) => word?.uid), [service.uid], 'a port that it does not have')
          assert.deepEqual(world.history.byAddress('10.96.0.77', 'TCP', port, { first: time, last: time }), [null])
        }
      }),
      runs(300),
    )
    report(`Services: ${JSON.stringify(counts)}`, counts.asked)
    assert.ok(counts.named > counts.asked / 10 && counts.open > 0, JSON.stringify(counts))
  })
})
