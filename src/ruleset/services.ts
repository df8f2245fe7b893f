// Planned Services -> elements of the service maps, chains for the lengths of lists, rules for the timeouts of affinity.
//
// **Invariant:** a chain `endpoints/N` and its element are there exactly while a list has that length; an element is removed for
// whoever had it before another adds it, so that an address may change its Service in one turn.
import type { Change } from '../model/changes.ts'
import { FAMILIES, familyOf, type Cidr, type Family } from '../model/ip.ts'
import { serviceOwner } from '../model/owner.ts'
import type { EndpointList, ListId, NatDelta, PlannedService, RestrictedPort, ServiceEntry } from '../nat/plan.ts'
import { Intervals } from '../nft/intervals.ts'
import type { Element } from '../nft/objects.ts'
import { clientMark, entryMark, listMark, sizeMark, type MarkLayout } from './marks.ts'
import { clusterIps, endpointsChainName, NAMES, serviceCidrs as serviceCidrsSet, serviceEndpoints, serviceIds, sourceRanges, sourceRestricted, staying } from './names.ts'
import { rangeKey } from './policies.ts'
import { endpointsChain, rememberEndpoint } from './service-skeleton.ts'
import type { WantedTable } from './wanted.ts'

type Placed = readonly [set: string, element: Element]

export class ServiceElements {
  readonly #layout: MarkLayout
  readonly #table: WantedTable
  /** How many lists have a length, and its code; lists by timeout. */
  readonly #sizes = new Map<number, { readonly code: number; readonly lists: number }>()
  readonly #timeouts = new Map<number, Set<ListId>>()

  constructor(layout: MarkLayout, table: WantedTable) {
    this.#layout = layout
    this.#table = table
  }

  /** Once. */
  serviceCidrs(cidrs: readonly Cidr[]): void {
    for (const family of FAMILIES) {
      const merged = new Intervals()
      for (const cidr of cidrs) if (cidr.family === family) merged.add(cidr.text, cidr)
      for (const { first, last } of merged.elements()) this.#table.addElement(serviceCidrsSet(family), { key: rangeKey(family, first, last) })
    }
  }

  /** All of a turn's changes at once: what leaves goes first. */
  change(changes: NatDelta['services']): void {
    for (const { before, after } of changes.values()) {
      if (before === null) continue
      const stays = new Set(after === null ? [] : [...this.#elementsOf(after)].map(placeText))
      for (const placed of this.#elementsOf(before)) if (!stays.has(placeText(placed))) this.#table.removeElement(placed[0], placed[1].key)
    }
    this.#changeSizes(changes.values())
    this.#changeTimeouts(changes.values())
    for (const { after } of changes.values()) {
      if (after === null) continue
      const owners = [serviceOwner(after.namespace, after.name)]
      for (const [set, element] of this.#elementsOf(after)) this.#table.addElement(set, element, owners)
    }
  }

  *#elementsOf(service: PlannedService): Iterable<Placed> {
    const lists = new Map(service.lists.map((list) => [list.id, list]))
    for (const entry of service.entries) yield this.#entryElement(entry, lists)
    for (const address of service.clusterIps) yield [clusterIps(familyOf(address)), { key: address }]
    for (const list of service.lists) yield* this.#listElements(list)
    for (const port of service.restricted) yield* restrictedElements(port)
  }

  #entryElement(entry: ServiceEntry, lists: ReadonlyMap<ListId, EndpointList>): Placed {
    const family = familyOf(entry.address)
    const list = typeof entry.to === 'number' ? lists.get(entry.to) : undefined
    const value = entryMark(this.#layout, entry, list?.sizes[family] ?? 0, (list?.affinity ?? null) !== null)
    return [serviceIds(family), { key: `${clientMark(this.#layout, entry.client)} . ${place(entry)}`, value: String(value) }]
  }

  *#listElements({ id, protocol, slots, affinity }: EndpointList): Iterable<Placed> {
    const mark = listMark(this.#layout, id)
    for (const family of FAMILIES) {
      for (const [index, { address, port }] of slots[family].entries()) yield [serviceEndpoints(protocol, family), { key: `${mark} . ${index}`, value: `${address} . ${port}` }]
    }
    if (affinity !== null) yield [staying(affinity), { key: String(mark) }]
  }

  /** Codes that a length has no more go before new ones come: a new one may get an old one's. */
  #changeSizes(changes: Iterable<Change<PlannedService>>): void {
    const codes = new Map<number, number | null>()
    const count = (service: PlannedService | null, by: 1 | -1): void => {
      for (const { slots, sizes } of service?.lists ?? []) {
        for (const family of FAMILIES) {
          const length = slots[family].length
          if (length === 0) continue
          const { code = sizes[family], lists = 0 } = this.#sizes.get(length) ?? {}
          if (!codes.has(length)) codes.set(length, lists > 0 ? code : null)
          this.#sizes.set(length, { code: by === 1 ? sizes[family] : code, lists: lists + by })
        }
      }
    }
    for (const { before, after } of changes) {
      count(before, -1)
      count(after, 1)
    }
    for (const [length, before] of codes) if (before !== null && before !== this.#codeOf(length)) this.#table.removeElement(NAMES.endpointsBySize, String(sizeMark(this.#layout, before)))
    for (const [length, before] of codes) this.#changeSize(length, before, this.#codeOf(length))
  }

  #codeOf(length: number): number | null {
    const { code = 0, lists = 0 } = this.#sizes.get(length) ?? {}
    return lists > 0 ? code : null
  }

  #changeSize(length: number, before: number | null, after: number | null): void {
    const name = endpointsChainName(length)
    if (after === null) {
      this.#sizes.delete(length)
      if (before !== null) this.#table.removeChain(name)
      return
    }
    if (before === null) this.#table.putChain(endpointsChain(this.#layout, name, length), [])
    this.#table.addElement(NAMES.endpointsBySize, { key: String(sizeMark(this.#layout, after)), value: `goto ${name}` })
  }

  #changeTimeouts(changes: Iterable<Change<PlannedService>>): void {
    const before = [...this.#timeouts.keys()].join()
    const all = [...changes]
    const each = (service: PlannedService | null, action: (lists: Set<ListId>, id: ListId) => void): void => {
      for (const { id, affinity } of service?.lists ?? []) {
        if (affinity === null) continue
        const lists = this.#timeouts.get(affinity) ?? new Set()
        this.#timeouts.set(affinity, lists)
        action(lists, id)
      }
    }
    for (const { before: old } of all) each(old, (lists, id) => lists.delete(id))
    for (const { after } of all) each(after, (lists, id) => lists.add(id))
    for (const [seconds, lists] of this.#timeouts) {
      if (lists.size > 0) this.#table.putSet({ kind: 'set', name: staying(seconds), key: ['ct mark'], flags: [], comment: `lists whose clients stay for ${seconds} s` }, [])
      else {
        this.#timeouts.delete(seconds)
        this.#table.removeSet(staying(seconds))
      }
    }
    const timeouts = [...this.#timeouts.keys()]
    if (timeouts.join() === before) return
    this.#table.putChain(rememberEndpoint(this.#layout, timeouts.sort((a, b) => a - b).map((seconds) => [seconds, staying(seconds)])), [])
  }
}

function placeText([set, { key }]: Placed): string {
  return `${set} ${key}`
}

function* restrictedElements(port: RestrictedPort): Iterable<Placed> {
  const family: Family = familyOf(port.address)
  yield [sourceRestricted(family), { key: place(port) }]
  const merged = new Intervals()
  for (const range of port.ranges) merged.add(range.text, range)
  for (const { first, last } of merged.elements()) yield [sourceRanges(family), { key: `${place(port)} . ${rangeKey(family, first, last)}` }]
}

function place({ address, protocol, port }: Pick<ServiceEntry, 'address' | 'protocol' | 'port'>): string {
  return `${address} . ${protocol.toLowerCase()} . ${port}`
}
