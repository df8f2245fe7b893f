// The static part of the Service NAT: from a connection's first packet to its endpoint, and what no endpoint took.
//
//   prerouting, output; dstnat - 10   filter-*-source-ranges   loadBalancerSourceRanges, while the packet names the balancer
//   prerouting, output; dstnat        nat-prerouting, -output  who asks -> mark -> list and length -> endpoint
//   forward, input, output; filter    filter-*-services        behind policy: remember the endpoint, reject, drop
//   postrouting, srcnat               nat-postrouting          (masquerade.ts)
//
// One lookup for every kind of address leads to a mark; there is no verdict in a map that grows with the cluster.
// **Invariant:** a connection that is no service's keeps its mark; bits of others survive every path.
import { FAMILIES, type Family } from '../model/ip.ts'
import { PROTOCOLS, type Protocol } from '../model/objects.ts'
import type { Chain, Counter, NftMap, NftSet } from '../nft/objects.ts'
import type { Client } from '../nat/plan.ts'
import { clientMark, dropMark, hex, rejectMark, type MarkLayout } from './marks.ts'
import { affinityMap, affinityPorts, bridgedPods, clusterIps, NAMES, serviceCidrs, serviceEndpoints, serviceIds, sourceRanges, sourceRestricted } from './names.ts'
import { addressWord } from './words.ts'

/** Of remembered clients, in a map; a client that finds no room is balanced anew. */
const MOST_CLIENTS = 262_144
/** Seconds; longer than the longest that the API allows. Each entry brings its own. */
const CLIENT_TIMEOUT = 86_400
/** Every rule must hash alike. */
const HASH = 'jhash ip6 saddr mod 4294967295 seed 0x9c4e'

export function serviceCounters(): Counter[] {
  return [
    { kind: 'counter', name: NAMES.outsideSourceRanges, comment: 'packets that loadBalancerSourceRanges refuses' },
    { kind: 'counter', name: NAMES.serviceRejected, comment: 'no endpoint at all, or unknown port of a ClusterIP' },
    { kind: 'counter', name: NAMES.serviceDropped, comment: 'no local endpoint, or unused address of the service range' },
  ]
}

export function serviceSets(): (NftSet | NftMap)[] {
  return [...FAMILIES.flatMap(setsOf), SIZES]
}

function setsOf(family: Family): (NftSet | NftMap)[] {
  const word = addressWord(family)
  const place = [`${word} daddr`, 'meta l4proto', 'th dport']
  return [
    { kind: 'map', name: serviceIds(family), key: ['ct mark', ...place], data: ['ct mark'], flags: [], comment: '(who asks, address, protocol, port) : mark' },
    { kind: 'set', name: clusterIps(family), key: [`${word} daddr`], flags: [], comment: 'active ClusterIPs' },
    { kind: 'set', name: serviceCidrs(family), key: [`${word} daddr`], flags: ['interval'], comment: 'where ClusterIPs come from' },
    { kind: 'set', name: sourceRestricted(family), key: place, flags: [], comment: 'load balancer ports with source ranges' },
    { kind: 'set', name: sourceRanges(family), key: [...place, `${word} saddr`], flags: ['interval'], comment: 'who may use them' },
    ...PROTOCOLS.flatMap((protocol) => mapsOf(protocol, family)),
  ]
}

/**
 * "conflicting protocols specified: tcp vs. th" is what nft 1.0.6 says of a rule for several protocols that is added
 * later than its map: so each has maps of its own, whose ports are its own.
 */
function mapsOf(protocol: Protocol, family: Family): NftMap[] {
  const port = `${protocol.toLowerCase()} dport`
  const endpoint = [`${addressWord(family)} daddr`, port]
  const endpoints: NftMap = { kind: 'map', name: serviceEndpoints(protocol, family), key: ['ct mark', INDEX], data: endpoint, flags: [], comment: '(list, index) : endpoint' }
  return [endpoints, ...(family === 4 ? [affinity(affinityMap(protocol, 4), ['ct mark', 'ip saddr'], endpoint)] : hashedAffinity(protocol, port))]
}

/**
 * In "update @map" nft 1.0.6 has 16 bytes for the key and 16 for the data, hence two maps and a hash of the client;
 * clients of one hash share an endpoint. "typeof jhash" crashes its list, hence numgen.
 */
function hashedAffinity(protocol: Protocol, port: string): NftMap[] {
  return [affinity(affinityMap(protocol, 6), ['ct mark', INDEX], ['ip6 daddr']), affinity(affinityPorts(protocol), ['ct mark', INDEX], [port])]
}

function affinity(name: string, key: readonly string[], data: readonly string[]): NftMap {
  return { kind: 'map', name, key, data, flags: ['dynamic', 'timeout'], timeout: CLIENT_TIMEOUT, size: MOST_CLIENTS, comment: '(list, client) : endpoint that it got' }
}

const INDEX = 'numgen random mod 65536'

const SIZES: NftMap = { kind: 'map', name: NAMES.endpointsBySize, key: ['ct mark'], data: ['verdict'], flags: [], comment: 'one chain for each length of list in use: grows with those, not with services' }

export function serviceChains(layout: MarkLayout, bridges: boolean): Chain[] {
  return [
    ...(['prerouting', 'output'] as const).map((hook) => filter(`filter-${hook}-source-ranges`, hook, '-110', ['jump source-ranges'])),
    { kind: 'chain', name: 'source-ranges', comment: 'loadBalancerSourceRanges', rules: FAMILIES.map(restricted) },
    nat('nat-prerouting', 'prerouting', [
      `iifname @${NAMES.podInterfaces} ${asks(layout, 'pod')} goto services`,
      ...(bridges ? FAMILIES.map((f) => `${addressWord(f)} saddr @${bridgedPods(f)} ${asks(layout, 'pod')} goto services`) : []),
      `${asks(layout, 'outside')} goto services`,
    ]),
    nat('nat-output', 'output', [`${asks(layout, 'node')} goto services`]),
    {
      kind: 'chain',
      name: 'services',
      comment: 'the first packet of a connection: mark, then endpoint',
      rules: [
        `jump ${layout.foreign.length === 0 ? 'service-id' : 'keep-foreign-bits'}`,
        `ct mark and ${hex(layout.sizes)} == 0 goto not-a-service`,
        `ct mark and ${hex(layout.affinity)} != 0 jump same-endpoint-again`,
        `ct mark and ${hex(layout.sizes)} vmap @${NAMES.endpointsBySize}`,
      ],
    },
    { kind: 'chain', name: 'not-a-service', rules: [setMark(layout, '0')] },
    { kind: 'chain', name: 'same-endpoint-again', comment: 'sessionAffinity: ClientIP', rules: againRules(layout) },
    ...foreignChains(layout),
    {
      kind: 'chain',
      name: 'service-id',
      comment: 'a miss leaves the mark as it was: length 0, not a service',
      rules: FAMILIES.map((f) => `ct mark set ct mark and ${hex(layout.lists)} . ${addressWord(f)} daddr . meta l4proto . th dport map @${serviceIds(f)}`),
    },
    ...(['forward', 'input', 'output'] as const).map((hook) => filter(`filter-${hook}-services`, hook, 'filter', [TRANSLATED, 'ct direction original goto service-leftovers'])),
    { kind: 'chain', name: 'service-leftovers', comment: 'behind policy: only who may ask gets an answer', rules: leftovers(layout) },
    rememberEndpoint(layout, []),
    {
      kind: 'chain',
      name: 'reject-service',
      rules: [`counter name "${NAMES.serviceRejected}"`, 'meta l4proto tcp reject with tcp reset', 'reject with icmpx type port-unreachable'],
    },
    { kind: 'chain', name: 'drop-service', rules: [`counter name "${NAMES.serviceDropped}" drop`] },
  ]
}

/** Where lists of one length find their endpoint. */
export function endpointsChain(layout: MarkLayout, name: string, size: number): Chain {
  const rules = eachProtocol((protocol, family) => `dnat ${addressWord(family)} to ct mark and ${hex(layout.lists)} . numgen random mod ${size} map @${serviceEndpoints(protocol, family)}`)
  return { kind: 'chain', name, comment: `one of ${size}, evenly`, rules }
}

/** Behind policy, so that a denied client writes nothing. Its rules for each timeout in use, in seconds, with its set. */
export function rememberEndpoint(layout: MarkLayout, timeouts: readonly (readonly [seconds: number, set: string])[]): Chain {
  const list = `ct mark and ${hex(layout.lists)}`
  const rules = timeouts.flatMap(([seconds, set]) =>
    eachProtocol((protocol, family) => {
      const port = `${protocol.toLowerCase()} dport`
      const update = (name: string, client: string, data: string): string => `update @${name} { ${list} . ${client} timeout ${seconds}s : ${data} }`
      if (family === 4) return `${list} @${set} ${update(affinityMap(protocol, 4), 'ip saddr', `ip daddr . ${port}`)}`
      return `${list} @${set} ${update(affinityMap(protocol, 6), HASH, 'ip6 daddr')} ${update(affinityPorts(protocol), HASH, port)}`
    }),
  )
  return { kind: 'chain', name: NAMES.rememberEndpoint, comment: 'sessionAffinity: ClientIP', rules }
}

function againRules(layout: MarkLayout): string[] {
  const list = `ct mark and ${hex(layout.lists)}`
  return eachProtocol((protocol, family) => {
    if (family === 4) return `dnat ip to ${list} . ip saddr map @${affinityMap(protocol, 4)}`
    return `dnat ip6 to ${list} . ${HASH} map @${affinityMap(protocol, 6)} : ${list} . ${HASH} map @${affinityPorts(protocol)}`
  })
}

function eachProtocol(rule: (protocol: Protocol, family: Family) => string): string[] {
  return PROTOCOLS.flatMap((protocol) => FAMILIES.map((family) => `meta l4proto ${protocol.toLowerCase()} ${rule(protocol, family)}`))
}

/** Nearly every packet: marks are set by first packets alone, and no endpoint is a ClusterIP, so nothing below could meet it. */
const TRANSLATED = 'ct state != new ct status dnat accept'

function leftovers(layout: MarkLayout): string[] {
  const size = `ct mark and ${hex(layout.sizes)}`
  return [
    // Of each connection its first packet only: one that nobody answers stays new, and would bring an endpoint back that is gone.
    `ct mark and ${hex(layout.affinity)} != 0 ct state new ct status and confirmed == 0 goto ${NAMES.rememberEndpoint}`,
    `${size} == ${hex(rejectMark(layout))} goto reject-service`,
    `${size} == ${hex(dropMark(layout))} goto drop-service`,
    ...FAMILIES.map((f) => `${addressWord(f)} daddr @${clusterIps(f)} goto reject-service`),
    ...FAMILIES.map((f) => `${addressWord(f)} daddr @${serviceCidrs(f)} goto drop-service`),
  ]
}

/**
 * nft 1.0.6 cannot write "ct mark set ct mark and X or map": a looked-up mark is a whole mark. So the bits of others wait
 * on the call stack: each chain asks for one, goes on, and puts it back when the lookup has returned.
 */
function foreignChains({ foreign }: MarkLayout): Chain[] {
  if (foreign.length === 0) return []
  const name = (index: number): string => (index < foreign.length ? `keep-bit-${index}` : 'service-id')
  const all = foreign.reduce((sum, bit) => sum + bit, 0)
  return [
    { kind: 'chain', name: 'keep-foreign-bits', comment: 'bits of the mark that are not ours', rules: [`ct mark and ${hex(all)} == 0 goto service-id`, `goto ${name(0)}`] },
    ...foreign.map((bit, index): Chain => {
      const next = name(index + 1)
      return { kind: 'chain', name: name(index), rules: [`ct mark and ${hex(bit)} == 0 goto ${next}`, `jump ${next}`, `ct mark set ct mark or ${hex(bit)}`] }
    }),
  ]
}

function restricted(family: Family): string {
  const word = addressWord(family)
  const place = `${word} daddr . meta l4proto . th dport`
  return `${place} @${sourceRestricted(family)} ${place} . ${word} saddr != @${sourceRanges(family)} counter name "${NAMES.outsideSourceRanges}" drop`
}

function asks(layout: MarkLayout, client: Client): string {
  return setMark(layout, hex(clientMark(layout, client)))
}

function setMark({ mask, foreign }: MarkLayout, value: string): string {
  if (foreign.length === 0) return `ct mark set ${value}`
  const kept = hex(0xffffffff - mask)
  return value === '0' ? `ct mark set ct mark and ${kept}` : `ct mark set ct mark and ${kept} or ${value}`
}

function filter(name: string, hook: string, priority: string, rules: readonly string[]): Chain {
  return { kind: 'chain', name, base: { type: 'filter', hook, priority, policy: 'accept' }, rules }
}

/** `dstnat` is no priority on output in nft 1.0.6. */
function nat(name: string, hook: 'prerouting' | 'output', rules: readonly string[]): Chain {
  return { kind: 'chain', name, base: { type: 'nat', hook, priority: '-100', policy: 'accept' }, rules }
}
