// Types of keys and priorities of hooks in one form: when are two declarations the same to the kernel?
//
// We write `typeof ip saddr`, the kernel lists `type ipv4_addr`; we write `filter - 10`, it lists -10. diff compares
// a wanted object with one that was read back, so both forms come down to one here.
// **Invariant:** an expression that is not known here has its own text for a type: equal text stays equal.
import type { Chain, NftMap, NftSet, TableFamily } from './objects.ts'

const TYPES: Readonly<Record<string, readonly string[]>> = {
  ipv4_addr: ['ip saddr', 'ip daddr', 'arp saddr ip', 'arp daddr ip', 'ct original ip saddr', 'ct original ip daddr', 'ct reply ip saddr', 'ct reply ip daddr'],
  ipv6_addr: ['ip6 saddr', 'ip6 daddr', 'ct original ip6 saddr', 'ct original ip6 daddr', 'ct reply ip6 saddr', 'ct reply ip6 daddr'],
  ether_addr: ['ether saddr', 'ether daddr', 'arp saddr ether', 'arp daddr ether'],
  ether_type: ['ether type', 'meta protocol'],
  ifname: ['iifname', 'oifname', 'meta iifname', 'meta oifname', 'meta ibrname', 'meta obrname', 'meta sdifname'],
  inet_proto: ['meta l4proto', 'ip protocol', 'ip6 nexthdr', 'ct protocol', 'ct original protocol', 'ct reply protocol'],
  inet_service: [
    ...['th', 'tcp', 'udp', 'sctp'].flatMap((header) => [`${header} sport`, `${header} dport`]),
    ...['original', 'reply'].flatMap((direction) => [`ct ${direction} proto-src`, `ct ${direction} proto-dst`]),
  ],
  mark: ['ct mark', 'meta mark', 'mark'],
  ct_dir: ['ct direction'],
  ct_state: ['ct state'],
  icmp_type: ['icmp type'],
  icmpv6_type: ['icmpv6 type'],
  nf_proto: ['meta nfproto'],
}

const TYPE_OF: ReadonlyMap<string, string> = new Map(Object.entries(TYPES).flatMap(([type, expressions]) => expressions.map((e) => [e, type])))

/** The kernel's name for the type of an expression: `ipv4_addr` of `ip saddr`. A type's name gives itself. */
export function typeOf(expression: string): string {
  // What is masked keeps its type: `ct mark and 0xff00`.
  const plain = expression.replace(/^\(|\)$/g, '').split(/ (?:and|&) /)[0] as string
  if (/^(numgen|jhash|symhash) /.test(plain)) return 'integer'
  return TYPE_OF.get(plain) ?? plain
}

/** Whether the map's data are names of counters: a rule counts with the one that a packet's key leads to. */
export function leadsToCounters(set: NftSet | NftMap): boolean {
  return set.kind === 'map' && set.data[0] === 'counter'
}

/** Whether the kernel would take one declaration for the other. Comments never count: a set keeps the one it was made with. */
export function sameDeclaration(a: NftSet | NftMap, b: NftSet | NftMap): boolean {
  if (a === b) return true
  return a.kind === b.kind && signature(a) === signature(b) && sameWhereGiven(a.timeout, b.timeout) && sameWhereGiven(a.size, b.size)
}

/** Without flag dynamic: nft 1.0.6 does not list it as JSON. */
function signature(set: NftSet | NftMap): string {
  const data = set.kind === 'map' ? set.data.map(typeOf).join(' . ') : ''
  const times = set.flags.includes('timeout') || set.timeout !== undefined
  return `${set.key.map(typeOf).join(' . ')} : ${data} ${set.flags.includes('interval') ? 'interval' : ''} ${times ? 'timeout' : ''}`
}

function sameWhereGiven(a: number | undefined, b: number | undefined): boolean {
  return a === undefined || b === undefined || a === b
}

const PRIORITIES: Readonly<Record<TableFamily, Readonly<Record<string, number>>>> = {
  inet: { raw: -300, mangle: -150, dstnat: -100, filter: 0, security: 50, srcnat: 100 },
  bridge: { dstnat: -300, filter: -200, out: 100, srcnat: 300 },
}

/** nft(8), "standard priority names": `filter - 10` is -10 in inet and -210 in bridge. NaN where the text is none. */
export function priorityNumber(family: TableFamily, priority: string): number {
  const match = /^(?:([a-z]+)(?: ?([+-]) ?([0-9]+))?|(-?[0-9]+))$/.exec(priority)
  if (match === null) return Number.NaN
  if (match[4] !== undefined) return Number(match[4])
  const base = PRIORITIES[family][match[1] as string] ?? Number.NaN
  return base + (match[2] === '-' ? -1 : 1) * Number(match[3] ?? 0)
}

/** Whether one chain can become the other with its hook as it is: the kernel alters nothing but the policy. */
export function sameHook(family: TableFamily, a: Chain, b: Chain): boolean {
  if (a.base === undefined || b.base === undefined) return a.base === b.base
  return (
    a.base.type === b.base.type &&
    a.base.hook === b.base.hook &&
    priorityNumber(family, a.base.priority) === priorityNumber(family, b.base.priority)
  )
}

export function sameRules(a: readonly string[], b: readonly string[]): boolean {
  return a === b ? a[0] !== '<listed>' : a.length === b.length && a.every((rule, i) => rule === b[i] && rule !== '<listed>')
}
