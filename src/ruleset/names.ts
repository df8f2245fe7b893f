// Every name of the table, made here and nowhere else. Static names are a bare noun, dynamic ones hold a `/`.
//
// The kernel takes names of up to 255 bytes of letters, digits, `/`, `-`, `_` and `.` that begin with a letter; a
// namespace and a policy name together can exceed that, so a long one is cut and given a hash (rule 106).
// **Invariant:** two different things never get one name; the same thing always gets the same name.
import type { Family } from '../model/ip.ts'
import type { PodUid, PolicyUid, Protocol } from '../model/objects.ts'
import type { Direction } from '../model/policy.ts'
import { shortHash } from '../lib/hash.ts'
import { portText } from '../policy/dispatch.ts'
import type { PeerSet, PortClass, ProfileId, RuleRef } from '../policy/plan.ts'

export const TABLE_NAME = 'picket'

/** nf_tables' limit, without the closing zero. */
const MAX_NAME = 255

export const NAMES = {
  podInterfaces: 'pod-interfaces',
  knownInterfaces: 'known-interfaces',
  egressByInterface: 'egress-by-interface',
  ingressByInterface: 'ingress-by-interface',
  spoofed: 'spoofed',
  invalid: 'invalid',
  unknownInterface: 'unknown-interface',
  unknownAddress: 'unknown-address',
  cut: 'cut',
  closedPrefixes: 'closed-prefixes',
  endpointsBySize: 'endpoints-by-size',
  rememberEndpoint: 'remember-endpoint',
  outsideSourceRanges: 'outside-source-ranges',
  serviceRejected: 'service-rejected',
  serviceDropped: 'service-dropped',
  canarySpoofed: 'canary-spoofed',
  canaryAllowed: 'canary-allowed',
} as const

/** The canary's; no direction is called so. */
export const CANARY_PROFILES: Readonly<Record<Direction, ProfileId>> = { egress: 'canary/egress', ingress: 'canary/ingress' }

/** What happened to the canary's packets, by who decided. */
export const CANARY_COUNTERS = {
  spoofed: NAMES.canarySpoofed,
  egress: `denied/${CANARY_PROFILES.egress}`,
  ingress: `denied/${CANARY_PROFILES.ingress}`,
  allowed: NAMES.canaryAllowed,
  /** Of everybody. */
  unknown: NAMES.unknownInterface,
} as const

export function podAddresses(family: Family): string {
  return `pod-addresses-v${family}`
}

/** The addresses of local pods on a bridge. */
export function bridgedPods(family: Family): string {
  return `bridged-pods-v${family}`
}

export function byAddress(direction: Direction, family: Family): string {
  return `${direction}-by-address-v${family}`
}

/** What local pods on a bridge may send as besides, with the bridge. */
export function bridgedPrefixes(family: Family): string {
  return `bridged-prefixes-v${family}`
}

export function byPrefix(direction: Direction, family: Family): string {
  return `${direction}-by-prefix-v${family}`
}

export function podPrefixes(family: Family): string {
  return `pod-prefixes-v${family}`
}

export function self(family: Family): string {
  return `self-v${family}`
}

/** Connections that lost their permission: what the agent puts in, and packets keep alive. */
export function cutFlows(family: Family): string {
  return `cut-flows-v${family}`
}

/** Of those the ones that may go on: what the agent is about to take out of cut-flows. */
export function restoredFlows(family: Family): string {
  return `restored-flows-v${family}`
}

/** Addresses of pods whose connections are being judged. */
export function underReview(family: Family): string {
  return `under-review-v${family}`
}

/** Their connections that are answered, as their clients send: what packets put in, and the agent takes out. */
export function replied(family: Family): string {
  return `replied-v${family}`
}

export function serviceIds(family: Family): string {
  return `service-ids-v${family}`
}

/** One for each protocol: nft 1.0.6 takes a map that is there already for one protocol's rules only. */
export function serviceEndpoints(protocol: Protocol, family: Family): string {
  return `endpoints-${protocol.toLowerCase()}-v${family}`
}

export function clusterIps(family: Family): string {
  return `cluster-ips-v${family}`
}

export function serviceCidrs(family: Family): string {
  return `service-cidrs-v${family}`
}

export function sourceRestricted(family: Family): string {
  return `source-restricted-v${family}`
}

export function sourceRanges(family: Family): string {
  return `source-ranges-v${family}`
}

/** Which endpoint a client got; of IPv6 its address, by a hash of the client. */
export function affinityMap(protocol: Protocol, family: Family): string {
  return `affinity-${protocol.toLowerCase()}-v${family}`
}

/** Of IPv6 the endpoint's port. */
export function affinityPorts(protocol: Protocol): string {
  return `affinity-ports-${protocol.toLowerCase()}-v6`
}

/** The lists whose clients stay so long, in seconds. */
export function staying(seconds: number): string {
  return `staying/${seconds}s`
}

/** `endpoints/3`: where lists of three find their endpoint. */
export function endpointsChainName(size: number): string {
  return `endpoints/${size}`
}

/** Addresses of all local pods. */
export function localPods(family: Family): string {
  return `local-pods-v${family}`
}

export function neverMasqueraded(family: Family): string {
  return `never-masqueraded-v${family}`
}

/** `ingress/shop/7F3K2Q8A0B1C` */
export function profileChain(id: ProfileId): string {
  return id
}

/** `ingress/shop/7F3K2Q8A0B1C/tcp-8080`: what the ports of one class lead to. */
export function portsChain(id: ProfileId, ports: PortClass): string {
  const first = ports.ports[0]
  return `${id}/${first === undefined ? 'all' : portText(first)}`
}

export function portsMap(id: ProfileId): string {
  return `ports/${id}`
}

export function deniedCounter(id: ProfileId): string {
  return `denied/${id}`
}

/** Of what is denied, by a profile or else: the packets of it that were logged. The rest was suppressed. */
export function loggedCounter(of: string): string {
  return `logged/${of}`
}

/** New connections that a profile allowed where that is logged; and those that were. */
export function allowedCounter(id: ProfileId): string {
  return `allowed/${id}`
}

export function loggedAllowedCounter(id: ProfileId): string {
  return `logged-allowed/${id}`
}

/** Which verdict's counter a log rule's counter belongs to, and what event that is; null: the name is no such counter's. */
export function logCounters(name: string): { readonly verdict: string; readonly event: string } | null {
  const allowed = /^logged-allowed\/(.+)$/.exec(name)?.[1]
  if (allowed !== undefined) return { verdict: allowedCounter(allowed), event: 'allowed' }
  const of = /^logged\/(.+)$/.exec(name)?.[1]
  if (of === undefined) return null
  // A profile's id begins with its direction; what has none has a bare noun.
  return of.includes('/') ? { verdict: deniedCounter(of), event: 'denied' } : { verdict: of, event: of }
}

/** Where new connections are logged that a place in the profile's dispatch allows; `part` of its ports, 0 where they are all alike. */
export function logChain(id: ProfileId, generation: string, place: string, part: number): string {
  return `log/${id}/${generation}/${place}${part === 0 ? '' : `/${part}`}`
}

/** `passed/shop/web/ingress/0/K2Q8A0B1CDEF`: what that rule of that policy let pass, in whatever profile; another policy of its name has another. */
export function ruleCounter(namespace: string, policy: { readonly name: string; readonly uid: PolicyUid }, direction: Direction, rule: number): string {
  return fitted(`passed/${safe(namespace)}/${safe(policy.name)}`, `/${direction}/${rule}/${shortHash(policy.uid, 12)}`)
}

/** What several rules let pass whose peers are one set. */
export function severalCounter(namespace: string, policy: { readonly name: string } | null, direction: Direction, rules: readonly RuleRef[]): string {
  const whose = policy === null ? '' : `/${safe(policy.name)}`
  return fitted(`passed-several/${safe(namespace)}${whose}`, `/${direction}/${shortHash(JSON.stringify(rules.map(({ policy: uid, index }) => [uid, index])), 12)}`)
}

/** What policies denied a pod. */
export function droppedCounter(namespace: string, pod: PodUid, direction: Direction): string {
  return fitted(`dropped/${direction}/${safe(namespace)}/${safe(pod)}`, '')
}

/** The maps that lead to it. */
export function droppedByInterface(direction: Direction): string {
  return `dropped-${direction}-by-interface`
}

export function droppedByAddress(direction: Direction, family: Family): string {
  return `dropped-${direction}-by-address-v${family}`
}

/** The chain that asks them. */
export function countDropped(direction: Direction): string {
  return `count-dropped-${direction}`
}

/** One set a family; `pods/0QW1N8ZC...` by selector, `cidrs/shop/web/...` by place. */
export function peerSet(set: PeerSet, family: Family): string {
  return `${peerSetBase(set)}/v${family}`
}

function peerSetBase(set: PeerSet): string {
  switch (set.kind) {
    case 'pods':
      return `pods/${shortHash(set.selector.id, 16)}`
    case 'pairs':
      return `port-${safe(set.port)}-${set.protocol.toLowerCase()}/${shortHash(set.selector.id, 16)}`
    case 'cidrs': {
      const { namespace, name, direction, rule, policy, shape } = set.place
      return fitted(`cidrs/${safe(namespace)}/${safe(name)}`, `/${direction}/${rule}/${shortHash(`${policy} ${shape}`, 8)}`)
    }
    case 'union':
      return `any-of/${set.profile}/${set.ports}/${set.holds}`
  }
}

/** `head` cut so that head, a hash of all of head, and tail fit. `/v4` is still to come. */
function fitted(head: string, tail: string): string {
  const room = MAX_NAME - '/v4'.length - tail.length
  return head.length <= room ? head + tail : `${head.slice(0, room - 17)}~${shortHash(head, 16)}`.replace('~', '-') + tail
}

/** Kubernetes' names are safe already; a manifest that nobody validated may hold anything. */
function safe(text: string): string {
  return /^[A-Za-z0-9._-]+$/.test(text) ? text : `x${shortHash(text, 16)}`
}
