// The static part of the table: base chains in packet order, and what stands in front of every profile. Read this first.
//
//   prerouting, raw          filter-prerouting-spoof   a pod sends only as itself
//   forward, filter - 10     filter-forward-egress     unknown pod? cut? INVALID? settled? else the source pod's profile
//   forward, filter - 5      filter-forward-ingress    settled? else the destination pod's profile
//   input, filter - 10       filter-input-egress       INVALID; with nodeEgress enforce: the source pod's profile (NAT: service-skeleton.ts)
//
// Behind each lookup by interface are those by address and by (bridge, source prefix), for pods on a bridge. `accept` ends one chain only and `drop` is final:
// both stages must let a packet pass (rule 8), and other tables still have their say (rule 109). Never the host's own (58, 68).
// **Invariant:** an interface or address that is known to be a pod's never falls through: what leads to no profile is dropped.
import { FAMILIES } from '../model/ip.ts'
import type { Chain, Counter, NftMap, NftSet, Table } from '../nft/objects.ts'
import { emptyTable, type TableState } from '../nft/state.ts'
import { DIRECTIONS, type Direction } from '../model/policy.ts'
import type { PodAttachment } from '../policy/attach.ts'
import { bridgedPods, bridgedPrefixes, byAddress, byPrefix, countDropped, droppedByAddress, droppedByInterface, NAMES, podAddresses, podPrefixes, self, TABLE_NAME } from './names.ts'
import { putCanary } from './canary.ts'
import { connectionSets, cutRelated, cutRules, REPLIES } from './connections.ts'
import { logSets, withLogRules, type LogOptions } from './log-rules.ts'
import { masqueradeSets, NO_NAT, postrouting, type MasqueradeOptions } from './masquerade.ts'
import { serviceChains, serviceCounters, serviceSets } from './service-skeleton.ts'
import { addressWord } from './words.ts'

export interface SkeletonOptions {
  /** What happens to a pod's interface or address that no snapshot knows yet (rule 90). */
  readonly newPods: 'deny' | 'allow'
  /** Whether egress policy applies to what a pod sends to its own node (rule 61). */
  readonly nodeEgress: 'allow' | 'enforce'
  /** Whether packets that conntrack calls INVALID are dropped, from and to pods. */
  readonly dropInvalid: boolean
  /** `keep`: only a connection's first packet is judged (rules 78, 79). */
  readonly establishedConnections: 'cut' | 'keep'
  /** Names (`cali*`) of pods' interfaces besides those of kind veth. */
  readonly podInterfaces: readonly string[]
  /** `interface`: no pod is led to its profile by its address. */
  readonly podAttachment: PodAttachment
  /** Services, and what leaves the cluster; absent: both are somebody else's. */
  readonly nat?: MasqueradeOptions
  /** The packets that prove the table have their place in it. */
  readonly canary?: boolean
  /** Absent: nothing is logged. */
  readonly log?: LogOptions
}

export const TABLE: Table = {
  family: 'inet',
  name: TABLE_NAME,
  comment: 'Picket: Kubernetes NetworkPolicy and Services; made by the agent, do not edit',
}

export function skeleton(options: SkeletonOptions): TableState {
  const state = emptyTable()
  const cuts = options.establishedConnections === 'cut'
  for (const object of [...sets(), ...maps(), ...(options.podAttachment === 'interface' ? [] : addressMaps()), ...(cuts ? connectionSets() : [])]) state.sets.set(object.name, { object, elements: new Map() })
  const { mark, egress } = options.nat ?? NO_NAT
  for (const object of [...(mark === null ? [] : serviceSets()), ...(egress ? masqueradeSets() : [])]) state.sets.set(object.name, { object, elements: new Map() })
  for (const counter of [...COUNTERS, ...(mark === null ? [] : serviceCounters())]) state.counters.set(counter.name, counter)
  const { chains: all, counters } = options.log?.denies === true ? withLogRules(chains(options), options.log) : { chains: chains(options), counters: [] }
  for (const counter of counters) state.counters.set(counter.name, counter)
  for (const object of options.log === undefined ? [] : logSets(options.log)) state.sets.set(object.name, { object, elements: new Map() })
  for (const chain of all) state.chains.set(chain.name, chain)
  if (options.canary === true) putCanary(state)
  return state
}

const COUNTERS: readonly Counter[] = [
  { kind: 'counter', name: NAMES.spoofed, comment: 'packets with a source that the pod does not own' },
  { kind: 'counter', name: NAMES.cut, comment: 'packets of connections that lost their permission' },
  { kind: 'counter', name: NAMES.invalid, comment: 'packets from or to a pod that conntrack calls INVALID' },
  { kind: 'counter', name: NAMES.unknownInterface, comment: 'packets from or to an interface of a pod that is not known (yet)' },
  { kind: 'counter', name: NAMES.unknownAddress, comment: 'packets to a pod for an address that it does not have' },
]

function sets(): NftSet[] {
  const interfaces = (name: string, comment: string): NftSet => ({ kind: 'set', name, key: ['iifname'], flags: [], comment })
  return [
    interfaces(NAMES.podInterfaces, 'host interfaces of local pods'),
    interfaces(NAMES.knownInterfaces, 'interfaces that are no unknown pod: of local pods, and the node itself'),
    ...FAMILIES.flatMap((family): NftSet[] => {
      const word = addressWord(family)
      return [
        { kind: 'set', name: podAddresses(family), key: ['iifname', `${word} saddr`], flags: [], comment: 'the addresses of each local pod' },
        { kind: 'set', name: podPrefixes(family), key: ['iifname', `${word} saddr`], flags: ['interval'], comment: 'what a local pod may send as besides' },
        { kind: 'set', name: self(family), key: [`${word} saddr`, `${word} daddr`], flags: [], comment: 'a local pod to itself' },
      ]
    }),
  ]
}

function maps(): NftMap[] {
  const map = (name: string, comment: string): NftMap => ({ kind: 'map', name, key: ['iifname'], data: ['verdict'], flags: [], comment })
  return [
    map(NAMES.egressByInterface, 'sending pod : its egress profile, or accept'),
    map(NAMES.ingressByInterface, 'receiving pod : its ingress profile, or accept'),
    ...DIRECTIONS.map((direction): NftMap => ({ kind: 'map', name: droppedByInterface(direction), key: ['iifname'], data: ['counter'], flags: [], comment: 'pod : what policies denied it' })),
  ]
}

/** Pods on a bridge: inet sees the bridge as their interface, so that only the address tells them apart (rule 70). */
function addressMaps(): (NftSet | NftMap)[] {
  return FAMILIES.flatMap((family) => {
    const word = addressWord(family)
    const prefix = (side: string): readonly string[] => ['iifname', `${word} ${side}`]
    const map = (name: string, key: readonly string[], flags: NftMap['flags'], comment: string): NftMap => ({ kind: 'map', name, key, data: ['verdict'], flags, comment })
    return [
      { kind: 'set', name: bridgedPods(family), key: [`${word} saddr`], flags: [], comment: 'the addresses of local pods on a bridge' },
      map(byAddress('ingress', family), [`${word} daddr`], [], 'receiving pod : its ingress profile, or accept'),
      map(byAddress('egress', family), [`${word} saddr`], [], 'sending pod : its egress profile, or accept'),
      ...DIRECTIONS.map((direction): NftMap => ({ kind: 'map', name: droppedByAddress(direction, family), key: [`${word} saddr`], data: ['counter'], flags: [], comment: 'pod : what policies denied it' })),
      { kind: 'set', name: bridgedPrefixes(family), key: prefix('saddr'), flags: ['interval'], comment: 'bridge and what a pod on it may send as besides' },
      map(byPrefix('ingress', family), prefix('daddr'), ['interval'], 'bridge and receiving pod : its ingress profile, or accept'),
      map(byPrefix('egress', family), prefix('saddr'), ['interval'], 'bridge and sending pod : its egress profile, or accept'),
    ]
  })
}

/** Behind what leads by interface: packets of pods with one of their own never get there. Addresses first: they are one pod's alone. */
function bridgedChain(direction: Direction): Chain {
  const [name, side] = direction === 'egress' ? ['iifname', 'saddr'] : ['oifname', 'daddr']
  const rules = FAMILIES.flatMap((f) => {
    const address = `${addressWord(f)} ${side}`
    return [`${address} vmap @${byAddress(direction, f)}`, `${address} @${bridgedPods(f)} goto unknown-pod`, `${name} . ${address} vmap @${byPrefix(direction, f)}`]
  })
  return { kind: 'chain', name: `bridged-${direction}`, comment: 'what led by no interface: pods on a bridge', rules: [...rules, `goto ${NAMES.closedPrefixes}`] }
}

/** Asked by every profile before it drops. A lookup that finds nothing ends its rule, so that it is a rule of its own. */
function countDroppedChain(direction: Direction, onBridges: boolean): Chain {
  const [name, side] = direction === 'egress' ? ['iifname', 'saddr'] : ['oifname', 'daddr']
  const byAddresses = FAMILIES.map((f) => `counter name ${addressWord(f)} ${side} map @${droppedByAddress(direction, f)}`)
  return { kind: 'chain', name: countDropped(direction), comment: 'what policies deny each pod', rules: [`counter name ${name} map @${droppedByInterface(direction)}`, ...(onBridges ? byAddresses : [])] }
}

/** Source prefixes of pods in quarantine, as rules: overlapping ones are what the kernel refuses in a set. */
export function closedPrefixes(matches: readonly string[]): Chain {
  const rules = matches.map((match) => `${match} goto unknown-pod`)
  return { kind: 'chain', name: NAMES.closedPrefixes, comment: 'prefixes of pods on a bridge that are in quarantine', rules }
}

/** What matches packets from (`iifname`) or to (`oifname`) a pod on a bridge. */
function bridged(name: 'iifname' | 'oifname'): string[] {
  const side = name === 'iifname' ? 'saddr' : 'daddr'
  return FAMILIES.flatMap((f) => {
    const address = `${addressWord(f)} ${side}`
    return [`${address} @${bridgedPods(f)}`, `${name} . ${address} @${bridgedPrefixes(f)}`]
  })
}

function base(name: string, hook: string, priority: string, rules: readonly string[]): Chain {
  return { kind: 'chain', name, base: { type: 'filter', hook, priority, policy: 'accept' }, rules }
}

function chains(options: SkeletonOptions): Chain[] {
  const pods = `@${NAMES.podInterfaces}`
  const cuts = options.establishedConnections === 'cut'
  const onBridges = options.podAttachment !== 'interface'
  const nat = options.nat ?? NO_NAT
  const ofBridged = onBridges ? inputBridged(options) : []
  return [
    base('filter-prerouting-spoof', 'prerouting', 'raw', [
      `iifname != ${pods} accept`,
      ...FAMILIES.map((f) => `iifname . ${addressWord(f)} saddr @${podAddresses(f)} accept`),
      ...FAMILIES.map((f) => `iifname . ${addressWord(f)} saddr @${podPrefixes(f)} accept`),
      'goto not-as-itself',
    ]),
    base('filter-forward-egress', 'forward', 'filter - 10', [
      ...(options.newPods === 'deny' ? unknownPods(options.podInterfaces) : []),
      ...(cuts ? [...cutRules(), `ct direction reply jump ${REPLIES.name}`] : []),
      ...(options.dropInvalid ? ['ct state invalid jump invalid'] : []),
      'jump settled',
      `iifname vmap @${NAMES.egressByInterface}`,
      `iifname ${pods} goto unknown-pod`,
      ...(onBridges ? ['goto bridged-egress'] : []),
    ]),
    base('filter-forward-ingress', 'forward', 'filter - 5', [
      'jump settled',
      `oifname vmap @${NAMES.ingressByInterface}`,
      `oifname ${pods} goto unknown-pod`,
      ...(onBridges ? ['goto bridged-ingress'] : []),
    ]),
    base('filter-input-egress', 'input', 'filter - 10', [
      `iifname != ${pods} ${ofBridged.length > 0 ? 'goto input-bridged' : 'accept'}`,
      ...(cuts && options.nodeEgress === 'enforce' ? cutRules() : []),
      ...(options.dropInvalid ? [`ct state invalid counter name "${NAMES.invalid}" drop`] : []),
      ...(options.nodeEgress === 'enforce' ? ['jump settled', `iifname vmap @${NAMES.egressByInterface}`, 'goto unknown-pod'] : []),
    ]),
    ...(ofBridged.length > 0 ? [{ kind: 'chain' as const, name: 'input-bridged', comment: 'from a pod on a bridge to its node, or from anybody else', rules: ofBridged }] : []),
    {
      kind: 'chain',
      name: 'invalid',
      comment: 'dropInvalid: what conntrack cannot place, from or to a pod',
      rules: (['iifname', 'oifname'] as const).flatMap((name) => [`${name} ${pods}`, ...(onBridges ? bridged(name) : [])].map((match) => `${match} counter name "${NAMES.invalid}" drop`)),
    },
    ...(cuts ? [cutRelated(), REPLIES] : []),
    ...(onBridges ? [...DIRECTIONS.map(bridgedChain), closedPrefixes([])] : []),
    ...DIRECTIONS.map((direction) => countDroppedChain(direction, onBridges)),
    ...FIXED_CHAINS,
    { kind: 'chain', name: 'settled', comment: 'what needs no judgement; in both stages, since accept ends one stage only', rules: settled(options) },
    ...(nat.mark === null ? [] : serviceChains(nat.mark, onBridges)),
    ...(nat.mark === null && !nat.egress ? [] : [postrouting(nat, [])]),
  ]
}

function inputBridged(options: SkeletonOptions): string[] {
  const invalid = options.dropInvalid ? bridged('iifname').map((match) => `ct state invalid ${match} counter name "${NAMES.invalid}" drop`) : []
  if (options.nodeEgress === 'allow') return invalid
  return [...(options.establishedConnections === 'cut' ? cutRules() : []), ...invalid, 'jump settled', 'goto bridged-egress']
}

/** Before replies pass: what conntrack remembers of an address must not serve its new owner (rules 90, 94). */
function unknownPods(patterns: readonly string[]): string[] {
  const known = `@${NAMES.knownInterfaces}`
  const kinds = (side: 'iif' | 'oif'): string[] => [`meta ${side}kind "veth"`, ...patterns.map((p) => `${side}name "${p}"`)]
  return [
    ...kinds('iif').map((kind) => `${kind} iifname != ${known} goto unknown-pod`),
    ...kinds('oif').map((kind) => `${kind} oifname != ${known} goto unknown-pod`),
    ...FAMILIES.map((f) => {
      const key = `oifname . ${addressWord(f)} daddr`
      return `oifname @${NAMES.podInterfaces} ${key} != @${podAddresses(f)} ${key} != @${podPrefixes(f)} goto unknown-address`
    }),
  ]
}

function settled(options: SkeletonOptions): string[] {
  return [
    // Replies pass whatever the other direction says (rules 72-74, 80).
    'ct direction reply accept',
    ...(options.establishedConnections === 'keep' ? KEPT : []),
    'meta l4proto { icmp, icmpv6 } jump settled-icmp',
    // "A pod cannot block access to itself" (rule 62). nft 1.0.6 has no `ip saddr == ip daddr`.
    ...FAMILIES.map((f) => `${addressWord(f)} saddr . ${addressWord(f)} daddr @${self(f)} accept`),
  ]
}

/**
 * Established connections, but not what begins one: conntrack takes a SYN, or an INIT, for part of what it remembers of the last
 * connection at these ports (rule 82), and a client that is denied now would use its port again. An INIT is its packet's only chunk.
 */
const KEPT: readonly string[] = [
  'ct state established meta l4proto != { tcp, sctp } accept',
  'ct state established tcp flags & 0x17 != 0x2 accept',
  'ct state established meta l4proto sctp @th,96,8 != 1 accept',
]

const FIXED_CHAINS: readonly Chain[] = [
  {
    kind: 'chain',
    name: 'not-as-itself',
    comment: 'what a pod sends before it has, or without using, its own address',
    rules: [
      'ip6 saddr fe80::/10 goto link-local',
      'ip6 saddr :: goto link-local',
      'ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept',
      `counter name "${NAMES.spoofed}" drop`,
    ],
  },
  {
    kind: 'chain',
    name: 'link-local',
    comment: 'neighbour discovery and multicast listeners; never routed',
    rules: [
      'ip6 hoplimit 255 icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept',
      'ip6 hoplimit 1 icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } accept',
      `counter name "${NAMES.spoofed}" drop`,
    ],
  },
  {
    kind: 'chain',
    name: 'settled-icmp',
    comment: 'ICMP that belongs to what passes, neighbour discovery and multicast listeners; apart, so that others do not visit it',
    rules: [
      // An ICMP error about a reply counts as original direction; other `related` packets are judged (rule 75).
      'ct state related accept',
      // By the hop limits that no router lets through (rule 77): only pods on a bridge have these forwarded.
      'ip6 hoplimit 255 icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept',
      'ip6 hoplimit 1 icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept',
    ],
  },
  { kind: 'chain', name: 'unknown-pod', comment: 'newPods: deny', rules: [`counter name "${NAMES.unknownInterface}" drop`] },
  { kind: 'chain', name: 'unknown-address', comment: 'newPods: deny', rules: [`counter name "${NAMES.unknownAddress}" drop`] },
]
