// A profile -> its chains and its port map; a peer set -> its nft sets, one a family; members -> elements.
//
// A profile's chain: exact ports by one lookup, then ranges, whole protocols, everything; what nothing allowed is
// counted and dropped.
// **Invariant:** the last rule of a profile's chain is a drop: whatever is missing in between can only close.
import { FAMILIES, familyOf, fromBits, type Family } from '../model/ip.ts'
import type { Direction } from '../model/policy.ts'
import type { Chain, Counter, Element, NftMap, NftSet } from '../nft/objects.ts'
import { WHOLE_PROTOCOL } from '../policy/peers.ts'
import type { Member, PeerSet, PlanPort, PortClass, Profile, SetId } from '../policy/plan.ts'
import { profileLogRules, type LogOptions } from './log-rules.ts'
import { countDropped, deniedCounter, peerSet, portsChain, portsMap, profileChain } from './names.ts'
import { counting } from './rule-counters.ts'
import { addressWord } from './words.ts'

export interface ProfileObjects {
  readonly chains: readonly Chain[]
  readonly map: { readonly object: NftMap; readonly elements: readonly Element[] } | null
  readonly counter: Counter
  /** Of what is logged. */
  readonly logCounters: readonly Counter[]
}

/** `setOf` gives the set that an id of the profile's dispatch names; without `logOptions` nothing is logged. */
export function profileObjects(profile: Profile, setOf: (id: SetId) => PeerSet, logOptions?: LogOptions): ProfileObjects {
  const log = profileLogRules(profile, logOptions)
  const place = (c: PortClass, peer: number): string => `${profile.dispatch.indexOf(c)}.${peer}`
  const acceptsOf = (c: PortClass): Accepts => (peer, match) => [...log.allowed(place(c, peer), match), `${match}${counting(profile, c, peer)}accept`]
  // Where everybody may call and nothing is logged or counted, the map itself accepts.
  const hasChain = (c: PortClass): boolean => c.peers !== 'all' || c.by !== undefined || log.isLogged(place(c, 0))
  const exact = profile.dispatch.filter((c) => c.kind === 'exact')
  const wide = profile.dispatch.filter((c) => c.kind !== 'exact')
  const name = profileChain(profile.id)
  const chains: Chain[] = exact
    .filter(hasChain)
    .map((c) => ({ kind: 'chain', name: portsChain(profile.id, c), rules: peerRules('', c.peers, profile.direction, setOf, acceptsOf(c)) }))
  const denied = deniedCounter(profile.id)
  chains.push({
    kind: 'chain',
    name,
    comment: profile.policies.map((p) => `${profile.namespace}/${p.name}`).join(', '),
    rules: [
      ...(exact.length > 0 ? [`meta l4proto . th dport vmap @${portsMap(profile.id)}`] : []),
      ...wide.flatMap((c) => peerRules(portMatch(c.ports[0]), c.peers, profile.direction, setOf, acceptsOf(c))),
      ...log.denied,
      `jump ${countDropped(profile.direction)}`,
      `counter name "${denied}" drop`,
    ],
  })
  chains.push(...log.chains)
  const map = exact.length === 0 ? null : portMap(profile, exact, hasChain)
  return { chains, map, counter: { kind: 'counter', name: denied }, logCounters: log.counters }
}

function portMap(profile: Profile, exact: readonly PortClass[], hasChain: (c: PortClass) => boolean): NonNullable<ProfileObjects['map']> {
  const object: NftMap = {
    kind: 'map',
    name: portsMap(profile.id),
    key: ['meta l4proto', 'th dport'],
    data: ['verdict'],
    flags: [],
    comment: 'exact ports of this profile',
  }
  // A jump, not a goto: the wider rules behind the lookup still count.
  const elements = exact.flatMap((c) =>
    c.ports.map((port) => ({ key: `${port.protocol.toLowerCase()} . ${port.first}`, value: hasChain(c) ? `jump ${portsChain(profile.id, c)}` : 'accept' })),
  )
  return { object, elements }
}

function portMatch(port: PlanPort | undefined): string {
  if (port === undefined) return ''
  const protocol = port.protocol.toLowerCase()
  if (port.first === WHOLE_PROTOCOL.first && port.last === WHOLE_PROTOCOL.last) return `meta l4proto ${protocol} `
  return `${protocol} dport ${port.first}-${port.last} `
}

/** The rules that let a packet pass which `match` matches, at a place of the dispatch. */
type Accepts = (peer: number, match: string) => readonly string[]

function peerRules(ports: string, peers: PortClass['peers'], direction: Direction, setOf: (id: SetId) => PeerSet, accepts: Accepts): readonly string[] {
  if (peers === 'all') return accepts(0, ports)
  const side = direction === 'ingress' ? 'saddr' : 'daddr'
  return peers.flatMap((peer, index) =>
    FAMILIES.flatMap((family) => {
      const address = `${addressWord(family)} ${side}`
      const key = peer.kind === 'pairs' ? `${address} . meta l4proto . th dport` : address
      return accepts(index, `${ports}${key} @${peerSet(setOf(peer.set), family)} `)
    }),
  )
}

/** The nft sets of a peer set, one a family. A set keeps the comment that it was made with: it says what, not who uses it. */
export function setObjects(set: PeerSet): readonly NftSet[] {
  return FAMILIES.map((family) => {
    const address = `${addressWord(family)} ${sideOf(set)}`
    const pairs = set.kind === 'pairs' || (set.kind === 'union' && set.holds === 'pairs')
    const interval = set.kind === 'cidrs' || (set.kind === 'union' && set.holds === 'ranges')
    return {
      kind: 'set',
      name: peerSet(set, family),
      key: pairs ? [address, 'meta l4proto', 'th dport'] : [address],
      flags: interval ? ['interval'] : [],
      comment: commentOf(set),
    }
  })
}

/** Only how the set reads in a listing: both sides are of one type, and sets of pods serve both directions. */
function sideOf(set: PeerSet): 'saddr' | 'daddr' {
  if (set.kind === 'pods') return 'saddr'
  if (set.kind === 'pairs') return 'daddr'
  const direction = set.kind === 'cidrs' ? set.place.direction : set.profile.split('/')[0]
  return direction === 'ingress' ? 'saddr' : 'daddr'
}

function commentOf(set: PeerSet): string {
  switch (set.kind) {
    case 'pods':
      return set.selector.id
    case 'pairs':
      return `port ${set.port}/${set.protocol} of: ${set.selector.id}`
    case 'cidrs':
      return `ipBlocks of ${set.place.direction} rule ${set.place.rule} of ${set.place.namespace}/${set.place.name}`
    case 'union':
      return `every peer of ${set.profile} for ${set.ports}`
  }
}

export function familyOfMember(member: Member): Family {
  return member.kind === 'range' ? member.family : familyOf(member.address)
}

/** The element's key; the kernel wants the first address of a range first, and a range of one as that one. */
export function memberKey(member: Member): string {
  switch (member.kind) {
    case 'address':
      return member.address
    case 'pair':
      return `${member.address} . ${member.protocol.toLowerCase()} . ${member.port}`
    case 'range':
      return rangeKey(member.family, member.first, member.last)
  }
}

export function rangeKey(family: Family, first: bigint, last: bigint): string {
  return first === last ? fromBits(family, first) : `${fromBits(family, first)}-${fromBits(family, last)}`
}
