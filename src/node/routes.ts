// The kernel's routes, mirrored: route notifications, and the removals that the kernel does not notify -> which
// destinations lead out of which interface. interfaces.ts folds what this tells into rows.
//
// IPv4 removes routes without a word when a link goes down or away, and when an address goes that was the interface's
// last or a route's preferred source (fib_sync_down_dev, fib_sync_down_addr; Linux 6.6 began to tell the last kind).
// IPv6 tells, save with skip_notify_on_dev_down. Both replace a route by a notification about the new one only.
//
// **Invariant:** an event costs the routes that it concerns, whatever the number of all others. Where the mirror
// cannot know what the kernel did, `doubt` says so, and whoever holds it reads everything again.
import type { Route } from '../netlink/route.ts'
import { RT_SCOPE_HOST, RT_TABLE_LOCAL, RTN_UNICAST } from '../netlink/route.ts'
import type { Address } from '../model/ip.ts'
import { addressOf, hexOf, isLinkLocalOrMulticast } from './addresses.ts'

/** Where a route leads: to one address, or to more than one. */
export type Reach = Address | 'wider'

/** `delta` 1: one more route to `reach` leads out of the interface with that index; -1: one fewer. */
export type RouteListener = (index: number, reach: Reach, delta: 1 | -1) => void

/** One route of IPv4 with all its hops; one hop of a route of IPv6, which adds and removes them singly. */
interface Entry {
  readonly key: string
  readonly family: 4 | 6
  /** Equal for the same route: the kernel allows it once for each key. */
  readonly identity: string
  /** IPv6: of the one group of hops by gateway that a key can have (rt6_qualify_for_ecmp). */
  readonly grouped: boolean
  /** Null for what leads nowhere that counts: blackholes and the like. */
  readonly reach: Reach | null
  readonly source: string
  readonly hostScope: boolean
  readonly byObject: boolean
  readonly hops: readonly { readonly oif: number; dead: boolean }[]
}

export class RouteTable {
  readonly #listener: RouteListener
  readonly #byKey = new Map<string, Entry[]>()
  readonly #byLink = new Map<number, Set<Entry>>()
  readonly #bySource = new Map<string, Set<Entry>>()
  #byObject = 0
  /** Why the mirror may differ from the kernel; null while it does not. */
  doubt: string | null = null

  constructor(listener: RouteListener) {
    this.#listener = listener
  }

  /** `again`: what this says may be known already, from a dump that is younger than it. */
  add(route: Route, how: 'replace' | 'append' | 'prepend', again: boolean): void {
    if (!isMirrored(route)) return
    const entries = entriesOf(route)
    const key = (entries[0] as Entry).key
    const before = this.#byKey.get(key) ?? []
    let place = how === 'prepend' && route.family === 4 ? 0 : before.length
    if (how === 'replace' && before.length > 0) {
      if (again && before.length > 1) this.doubt = `a route of ${key} was replaced while routes were read`
      const replaced = replacedBy(entries[0] as Entry, before)
      place = before.indexOf(replaced[0] as Entry)
      for (const entry of replaced) this.#remove(entry)
    }
    for (const entry of entries) if (this.#insert(entry, place)) place++
  }

  delete(route: Route): void {
    if (!isMirrored(route)) return
    for (const { key, identity } of entriesOf(route)) {
      const list = this.#byKey.get(key)
      if (list === undefined) continue
      const entry = list.find((e) => e.identity === identity)
      if (entry !== undefined) this.#remove(entry)
      else this.doubt = `a route of ${key} was deleted that is not known beside others that are`
    }
  }

  /** `family` null: the link went down; 4: it lost its last IPv4 address, which has the same effect there. */
  linkDown(index: number, family: 4 | null): void {
    for (const entry of this.#of(index)) {
      if (family !== null && entry.family !== family) continue
      if (family === null && entry.family === 4 && entry.hostScope) continue
      for (const hop of entry.hops) if (hop.oif === index) hop.dead = true
      const group = entry.grouped ? (this.#byKey.get(entry.key) ?? []).filter((e) => e.grouped) : [entry]
      if (group.every((e) => e.hops.every((hop) => hop.dead))) for (const e of group) this.#remove(e)
    }
  }

  /** Hops that other hops of their route kept from being removed are usable again. */
  linkUp(index: number): void {
    for (const entry of this.#of(index)) for (const hop of entry.hops) if (hop.oif === index) hop.dead = false
  }

  /** Deleted, or moved into another namespace: IPv4 gives up the whole multipath route, IPv6 the hop. */
  linkGone(index: number): void {
    for (const entry of this.#of(index)) this.#remove(entry)
  }

  /** The IPv4 address (in hexadecimal) is on no interface any more: routes that prefer it as their source go. */
  sourceGone(address: string): void {
    for (const entry of [...(this.#bySource.get(address) ?? [])]) this.#remove(entry)
  }

  /** Routes that refer to nexthop objects change with these, in ways that are not told for each of them. */
  nexthopObjectChanged(): void {
    if (this.#byObject > 0) this.doubt = 'a nexthop object changed that routes may refer to'
  }

  /** A copy: removing while walking. */
  #of(index: number): Entry[] {
    return [...(this.#byLink.get(index) ?? [])]
  }

  /** False where it is there already: a route is also told again when only its flags changed. */
  #insert(entry: Entry, place: number): boolean {
    const list = this.#byKey.get(entry.key) ?? []
    if (list.some((e) => e.identity === entry.identity)) return false
    list.splice(place, 0, entry)
    this.#byKey.set(entry.key, list)
    for (const { oif } of entry.hops) {
      if (oif === 0) continue
      addTo(this.#byLink, oif, entry)
      if (entry.reach !== null) this.#listener(oif, entry.reach, 1)
    }
    if (entry.source !== '') addTo(this.#bySource, entry.source, entry)
    if (entry.byObject) this.#byObject++
    return true
  }

  /** No effect where it was removed already. */
  #remove(entry: Entry): void {
    const list = this.#byKey.get(entry.key) ?? []
    const place = list.indexOf(entry)
    if (place < 0) return
    list.splice(place, 1)
    if (list.length === 0) this.#byKey.delete(entry.key)
    for (const { oif } of entry.hops) {
      if (oif === 0) continue
      removeFrom(this.#byLink, oif, entry)
      if (entry.reach !== null) this.#listener(oif, entry.reach, -1)
    }
    if (entry.source !== '') removeFrom(this.#bySource, entry.source, entry)
    if (entry.byObject) this.#byObject--
  }
}

/** The local table lists the node's own addresses; link-local and multicast routes are on every interface. */
function isMirrored(route: Route): boolean {
  return route.table !== RT_TABLE_LOCAL && !isLinkLocalOrMulticast(route.destination, route.prefix)
}

function entriesOf(route: Route): readonly Entry[] {
  const key = `${route.table} ${hexOf(route.destination)}/${route.prefix} ${route.source} ${route.tos} ${route.priority}`
  const width = route.family === 4 ? 32 : 128
  const shared = {
    key,
    family: route.family,
    reach: route.type !== RTN_UNICAST ? null : route.prefix === width ? addressOf(route.destination) : ('wider' as const),
    source: route.family === 4 && route.preferredSource !== null ? hexOf(route.preferredSource) : '',
    hostScope: route.scope === RT_SCOPE_HOST,
    byObject: route.nexthopId !== 0,
  }
  const hops = route.nexthops.map(({ oif, gateway, dead }) => ({ oif, dead, text: `${oif} ${gateway === null ? '' : hexOf(gateway)}` }))
  if (route.family === 6) {
    return hops.map((hop, i) => ({ ...shared, identity: `${route.type} ${hop.text}`, grouped: route.nexthops[i]?.gateway !== null, hops: [hop] }))
  }
  const identity = [route.type, route.scope, route.protocol, shared.source, route.nexthopId, ...hops.map((hop) => hop.text)].join(' ')
  return [{ ...shared, identity, grouped: false, hops }]
}

/**
 * IPv4: the first of the key (fib_table_insert). IPv6: the first that is of the same kind (by gateway or not), else the
 * first, and of a group the whole (fib6_add_rt2node). `before` is not empty.
 */
function replacedBy(entry: Entry, before: readonly Entry[]): readonly Entry[] {
  const first = before[0] as Entry
  if (entry.family === 4) return [first]
  const victim = before.find((e) => e.grouped === entry.grouped) ?? first
  return victim.grouped ? before.filter((e) => e.grouped) : [victim]
}

function addTo<K>(map: Map<K, Set<Entry>>, key: K, entry: Entry): void {
  const entries = map.get(key)
  if (entries === undefined) map.set(key, new Set([entry]))
  else entries.add(entry)
}

function removeFrom<K>(map: Map<K, Set<Entry>>, key: K, entry: Entry): void {
  const entries = map.get(key)
  if (entries?.delete(entry) === true && entries.size === 0) map.delete(key)
}
