// The canary's stage: two veth pairs, both ends in the node's own namespace, and what leads packets over them.
//
//   client's end -> client's link (the node receives) -> forwarded -> server's link -> server's end (nobody listens)
//
// No interface has an address, and none speaks by itself (no ARP, no groups, no IPv6 of its own). Frames that reach a far end
// are addressed to nobody there, so that the stack drops them unseen. **Invariant:** only links, routes and neighbours of these names
// and addresses are made or taken away; what is as it should be is left alone, so that an agent takes over what another left.
import { CANARY_CLIENT, CANARY_IMPOSTOR, CANARY_LINKS, CANARY_SERVER } from '../model/canary.ts'
import { bytesOf, FAMILIES, toBits, type Address, type Family } from '../model/ip.ts'
import { messageOf } from '../lib/errors.ts'
import { KernelRefusal, NetlinkAsking } from '../netlink/asking.ts'
import * as links from '../netlink/links.ts'
import type { LinkState } from '../netlink/links.ts'
import { NETLINK_ROUTE } from '../netlink/route.ts'

export type FamilyStage =
  | { readonly kind: 'ready' }
  /** The node does not forward this family, and so has no pods of it. */
  | { readonly kind: 'skipped'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string }

/** rtnetlink's lock may be held for seconds where many pods start. */
const TIMEOUT_MS = 10_000
const ALIAS = 'Picket: its packets prove that table inet picket drops and passes what it should'
/** What the client's socket goes by; anybody else goes by the better route, over the server's link. */
const LAST_METRIC = 4_096
/** IPv6 is not in this kernel, or not on this interface. */
const NO_IPV6 = ['EACCES', 'EAFNOSUPPORT', 'EOPNOTSUPP', 'ENOSYS', 'EPROTONOSUPPORT']

const PAIRS = [[CANARY_CLIENT.link, CANARY_CLIENT.end], [CANARY_SERVER.link, CANARY_SERVER.end]] as const

export function addressBytes(family: Family, address: Address): Uint8Array {
  return bytesOf(family, toBits(address))
}

/** Local ones that stay: udev gives others to links that have none of their own choice. */
function macOf(name: string): Uint8Array {
  return Uint8Array.of(0x02, 0x70, 0x6b, 0x63, 0x6e, CANARY_LINKS.indexOf(name))
}

export class Stage {
  readonly #asking = new NetlinkAsking(NETLINK_ROUTE, TIMEOUT_MS)

  /** Makes what is missing. Throws an Error that says what stands in the way of all of it. */
  ensure(): Readonly<Record<Family, FamilyStage>> {
    // Without a table of local addresses, which comes with lo, the kernel puts 0.0.0.0 in place of the source that a socket has.
    if (this.link('lo')?.up === false) throw new Error('interface lo is down, so that the node sends nothing with the source that it should')
    for (const [one, other] of PAIRS) this.#pair(one, other)
    const index = (name: string): number => this.#known(name).index
    const indexes = { clientLink: index(CANARY_CLIENT.link), clientEnd: index(CANARY_CLIENT.end), serverLink: index(CANARY_SERVER.link) }
    const [four, six] = FAMILIES.map((family) => this.#family(family, indexes)) as [FamilyStage, FamilyStage]
    return { 4: four, 6: six }
  }

  /** Null where there is none. */
  link(name: string): LinkState | null {
    try {
      return this.#ask((sequence) => links.linkRequest(name, sequence)).map(links.decodeLinkState).find((link) => link !== null) ?? null
    } catch (error) {
      if (error instanceof KernelRefusal && error.code === 'ENODEV') return null
      throw error
    }
  }

  /** Names of the links that were taken away. */
  remove(): readonly string[] {
    const there = CANARY_LINKS.filter((name) => this.link(name)?.kind === 'veth')
    // The other end of a pair goes with the first.
    for (const name of there) this.#delete(name)
    return there
  }

  close(): void {
    this.#asking.close()
  }

  #pair(one: string, other: string): void {
    const [a, b] = [this.link(one), this.link(other)]
    if (a !== null && b !== null && isRight(one, a, b) && isRight(other, b, a)) return
    for (const name of [one, other]) this.#delete(name)
    this.#ask((sequence) => links.vethRequest({ name: one, mac: macOf(one) }, { name: other, mac: macOf(other) }, sequence))
    for (const name of [one, other]) {
      const { index } = this.#known(name)
      this.#ask((sequence) => links.fullSizeRequest(index, sequence))
      this.#unlessWithout(NO_IPV6, (sequence) => links.noAddressesRequest(index, sequence))
      this.#ask((sequence) => links.upRequest(index, ALIAS, sequence))
    }
  }

  #delete(name: string): void {
    const link = this.link(name)
    if (link === null) return
    if (link.kind !== 'veth') throw new Error(`interface ${name}: it is of kind ${link.kind === '' ? 'none' : link.kind} and not the canary's; rename it`)
    this.#unlessWithout(['ENODEV'], (sequence) => links.deleteLinkRequest(link.index, sequence))
  }

  #family(family: Family, { clientLink, clientEnd, serverLink }: { readonly clientLink: number; readonly clientEnd: number; readonly serverLink: number }): FamilyStage {
    const of = (address: Address): Uint8Array => addressBytes(family, address)
    const [client, server, impostor] = [of(CANARY_CLIENT.addresses[family]), of(CANARY_SERVER.addresses[family]), of(CANARY_IMPOSTOR[family])]
    try {
      const route = (address: Uint8Array, index: number, metric = 0): void => this.#unlessWithout(['EEXIST'], (sequence) => links.hostRouteRequest(address, index, metric, sequence))
      // Back to the client, which reverse path filters look for.
      route(client, clientLink)
      route(impostor, clientLink)
      route(server, serverLink)
      // IPv4 sends out of the interface that a socket is bound to without one.
      if (family === 6) route(server, clientEnd, LAST_METRIC)
      this.#ask((sequence) => links.neighbourRequest(server, clientEnd, macOf(CANARY_CLIENT.link), sequence))
      if (links.isForwarding(this.#ask((sequence) => links.forwardingRequest(family, clientLink, sequence))) === false) return { kind: 'skipped', reason: `the node does not forward IPv${family}` }
      const out = links.wayOut(this.#ask((sequence) => links.wayRequest(client, server, clientLink, sequence)))
      return out === serverLink ? { kind: 'ready' } : { kind: 'failed', reason: `a route or rule of the node leads ${CANARY_SERVER.addresses[family]} out of interface ${out}, expected ${serverLink} (${CANARY_SERVER.link})` }
    } catch (error) {
      if (family === 6 && error instanceof KernelRefusal && NO_IPV6.includes(error.code)) return { kind: 'skipped', reason: `the node has no IPv6 (${error.code})` }
      if (error instanceof KernelRefusal && error.code === 'EXDEV') return { kind: 'failed', reason: `the node's reverse path filter takes no packet from ${CANARY_CLIENT.addresses[family]} by ${CANARY_CLIENT.link}` }
      return { kind: 'failed', reason: messageOf(error) }
    }
  }

  #known(name: string): LinkState {
    const link = this.link(name)
    if (link === null) throw new Error(`interface ${name}: it was made, and is gone`)
    return link
  }

  #unlessWithout(codes: readonly string[], encode: (sequence: number) => Uint8Array): void {
    try {
      this.#ask(encode)
    } catch (error) {
      if (!(error instanceof KernelRefusal && codes.includes(error.code))) throw error
    }
  }

  #ask(encode: (sequence: number) => Uint8Array): ReturnType<NetlinkAsking['ask']> {
    return this.#asking.ask(encode)
  }
}

function isRight(name: string, link: LinkState, other: LinkState): boolean {
  return link.kind === 'veth' && link.up && link.quiet && link.master === 0 && link.peer === other.index && Buffer.compare(link.mac, macOf(name)) === 0
}

/** For `picket cleanup`. Names of the links that were taken away; throws an Error where that is not possible. */
export function removeStage(): readonly string[] {
  const stage = new Stage()
  try {
    return stage.remove()
  } finally {
    stage.close()
  }
}
