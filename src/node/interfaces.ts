// Links, addresses and routes -> HostInterface rows, and which of them changed: the pure half of the interface source.
//
// watch.ts feeds it what rtnetlink told; the events that it gives go to the inbox.
// **Invariant:** what changes() told so far, taken together, equals the rows of the present state, and a row is told
// only if it differs from what was told of it before. An event costs what it concerns, not what there is.
import { isCanaryLink } from '../model/canary.ts'
import type { SourceEventOf } from '../model/changes.ts'
import { parseCidr, type Address, type Cidr } from '../model/ip.ts'
import type { HostInterface, PortEnd } from '../model/objects.ts'
import type { InterfaceAddress, Link, RouteEvent } from '../netlink/route.ts'
import { addressOf, hexOf, isLinkLocalOrMulticast } from './addresses.ts'
import type { Reach } from './routes.ts'
import { RouteTable } from './routes.ts'
import { sameList, SortedTexts } from './sorted-texts.ts'

export type InterfaceEvent = SourceEventOf<'interface'>

/** What is known of one index. It can have routes before its link is known. */
interface Known {
  link: Link | null
  /** Each address that the kernel keeps (an address may be there with several prefixes) -> its text; null for link-local ones. */
  readonly held: Map<string, { readonly family: 4 | 6; readonly bytes: string; readonly text: Address | null; readonly prefix: number }>
  ipv4Addresses: number
  /** Its own addresses -> with how many prefixes each is there. */
  readonly own: Map<Address, number>
  readonly addresses: SortedTexts
  /** Destination of host routes -> how many lead there. */
  readonly hostRoutes: Map<Address, number>
  /** Those of them that are no address of its own. */
  readonly shown: SortedTexts
  widerRoutes: number
}

export class InterfaceFold {
  #known = new Map<number, Known>()
  #routes = new RouteTable((index, reach, delta) => this.#countRoute(index, reach, delta))
  /** How many interfaces have each IPv4 address. */
  #holders = new Map<string, number>()
  #dirty = new Set<number>()
  readonly #behind = new Map<number, PortEnd>()
  #links = new Map<number, Link | null>()
  readonly #told = new Map<number, HostInterface>()

  /** Folds one notification. */
  apply(event: RouteEvent): void {
    this.#apply(event, false)
  }

  /**
   * Begins anew from a complete dump. `during` are the notifications that came while it ran, in their order: each may
   * be in the dump already or not, and folding them once more behind it is right in both cases.
   */
  resync(dump: Iterable<RouteEvent>, during: Iterable<RouteEvent>): void {
    for (const index of this.#known.keys()) {
      this.#dirty.add(index)
      this.#links.set(index, null)
    }
    this.#known = new Map()
    this.#holders = new Map()
    this.#routes = new RouteTable((index, reach, delta) => this.#countRoute(index, reach, delta))
    for (const event of dump) this.#apply(event, false)
    for (const event of during) this.#apply(event, true)
  }

  /** Why the state may differ from the kernel's, once; null where it does not. The remedy is a resync. */
  takeDoubt(): string | null {
    const doubt = this.#routes.doubt
    this.#routes.doubt = null
    return doubt
  }

  /** Links that changed since the last call; null: gone. */
  takeLinks(): ReadonlyMap<number, Link | null> {
    const links = this.#links
    this.#links = new Map()
    return links
  }

  /** What was read of the other end of a bridge's port. */
  setBehind(index: number, behind: PortEnd | null): void {
    if (behind === null) this.#behind.delete(index)
    else this.#behind.set(index, behind)
    this.#dirty.add(index)
  }

  /** What changed since the last call, deletions first: one event an interface at most. */
  changes(): InterfaceEvent[] {
    const gone: InterfaceEvent[] = []
    const present: InterfaceEvent[] = []
    for (const index of this.#dirty) {
      const before = this.#told.get(index)
      const row = this.#rowOf(index)
      if (row === null) {
        if (this.#told.delete(index)) gone.push({ verb: 'delete', kind: 'interface', key: String(index) })
      } else if (before === undefined || !sameRow(before, row)) {
        this.#told.set(index, row)
        present.push({ verb: 'upsert', kind: 'interface', key: String(index), decoded: { kind: 'good', row, problems: [] } })
      }
    }
    this.#dirty = new Set()
    return [...gone, ...present]
  }

  /** All rows, whatever was told before. */
  replace(): InterfaceEvent {
    this.changes()
    const rows = new Map([...this.#told].map(([index, row]) => [String(index), { kind: 'good' as const, row, problems: [] }]))
    return { verb: 'replace', kind: 'interface', rows }
  }

  #apply(event: RouteEvent, again: boolean): void {
    switch (event.kind) {
      case 'link':
        return event.verb === 'new' ? this.#setLink(event.link) : this.#removeLink(event.link.index)
      case 'address':
        return event.verb === 'new' ? this.#addAddress(event.address) : this.#removeAddress(event.address)
      case 'route':
        return event.verb === 'new' ? this.#routes.add(event.route, event.how, again) : this.#routes.delete(event.route)
      case 'nexthop':
        return this.#routes.nexthopObjectChanged()
    }
  }

  #setLink(link: Link): void {
    const known = this.#of(link.index)
    const wasUp = known.link?.up ?? false
    known.link = link
    this.#links.set(link.index, link)
    this.#dirty.add(link.index)
    if (wasUp && !link.up) this.#routes.linkDown(link.index, null)
    if (!wasUp && link.up) this.#routes.linkUp(link.index)
  }

  #removeLink(index: number): void {
    const known = this.#known.get(index)
    if (known === undefined) return
    for (const { family, bytes } of known.held.values()) if (family === 4) this.#releaseAddress(bytes)
    this.#routes.linkGone(index)
    this.#known.delete(index)
    this.#links.set(index, null)
    this.#dirty.add(index)
  }

  #addAddress(address: InterfaceAddress): void {
    const known = this.#of(address.index)
    const key = addressKey(address)
    // Also told when only its lifetime or its flags changed.
    if (known.held.has(key)) return
    const bytes = hexOf(address.address)
    const text = isLinkLocalOrMulticast(address.address, address.address.length * 8) ? null : addressOf(address.address)
    known.held.set(key, { family: address.family, bytes, text, prefix: address.prefix })
    if (address.family === 4) {
      known.ipv4Addresses++
      count(this.#holders, bytes, 1)
      if (known.link?.up === true) this.#routes.linkUp(address.index)
    }
    if (text === null) return
    count(known.own, text, 1)
    known.addresses.add(text)
    known.shown.delete(text)
    this.#dirty.add(address.index)
  }

  #removeAddress(address: InterfaceAddress): void {
    const known = this.#known.get(address.index)
    const key = addressKey(address)
    const held = known?.held.get(key)
    if (known === undefined || held === undefined) return
    known.held.delete(key)
    if (held.text !== null && count(known.own, held.text, -1) === 0) {
      known.addresses.delete(held.text)
      if (known.hostRoutes.has(held.text)) known.shown.add(held.text)
      this.#dirty.add(address.index)
    }
    if (held.family !== 4) return
    this.#releaseAddress(held.bytes)
    known.ipv4Addresses--
    if (known.ipv4Addresses === 0) this.#routes.linkDown(address.index, 4)
  }

  #releaseAddress(bytes: string): void {
    if (count(this.#holders, bytes, -1) === 0) this.#routes.sourceGone(bytes)
  }

  #countRoute(index: number, reach: Reach, delta: 1 | -1): void {
    const known = this.#of(index)
    this.#dirty.add(index)
    if (reach === 'wider') {
      known.widerRoutes += delta
      return
    }
    if (count(known.hostRoutes, reach, delta) === 0) known.shown.delete(reach)
    else if (!known.own.has(reach)) known.shown.add(reach)
  }

  #of(index: number): Known {
    let known = this.#known.get(index)
    if (known === undefined) {
      known = nothingKnown()
      this.#known.set(index, known)
    }
    return known
  }

  #rowOf(index: number): HostInterface | null {
    const known = this.#known.get(index)
    if (known === undefined || known.link === null) return null
    const { name, kind, master } = known.link
    // Of no concern to policy, and no pod's.
    if (isCanaryLink(name)) return null
    const hasWiderRoutes = known.widerRoutes > 0
    const networks = kind === 'bridge' ? networksOf(known) : NO_NETWORKS
    return Object.freeze({ index, name, kind, master, addresses: known.addresses.list(), hostRoutes: known.shown.list(), hasWiderRoutes, networks, behind: this.#behind.get(index) ?? null })
  }
}

const NO_NETWORKS: readonly Cidr[] = Object.freeze([])

function networksOf({ held }: Known): readonly Cidr[] {
  const texts = new Set([...held.values()].flatMap(({ text, prefix }) => (text === null ? [] : [`${text}/${prefix}`])))
  return Object.freeze([...texts].sort().flatMap((text) => parseCidr(text) ?? []))
}

function nothingKnown(): Known {
  return {
    link: null,
    held: new Map(),
    ipv4Addresses: 0,
    own: new Map(),
    addresses: new SortedTexts(),
    hostRoutes: new Map(),
    shown: new SortedTexts(),
    widerRoutes: 0,
  }
}

/** The new count, which stays in the map only while it is above 0. */
function count(counts: Map<string, number>, key: string, delta: 1 | -1): number {
  const now = Math.max(0, (counts.get(key) ?? 0) + delta)
  if (now > 0) counts.set(key, now)
  else counts.delete(key)
  return now
}

/** The kernel keeps an address once for each prefix length and peer. */
function addressKey({ address, prefix, peer }: InterfaceAddress): string {
  return `${hexOf(address)}/${prefix} ${hexOf(peer)}`
}

function sameRow(a: HostInterface, b: HostInterface): boolean {
  return (
    a.index === b.index &&
    a.name === b.name &&
    a.kind === b.kind &&
    a.master === b.master &&
    a.hasWiderRoutes === b.hasWiderRoutes &&
    sameList(a.addresses, b.addresses) &&
    sameList(a.hostRoutes, b.hostRoutes) &&
    sameList(a.networks.map((n) => n.text), b.networks.map((n) => n.text)) &&
    a.behind?.mac === b.behind?.mac &&
    sameList(a.behind?.addresses ?? [], b.behind?.addresses ?? [])
  )
}
