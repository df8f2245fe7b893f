// What rules ask of a packet (`ip saddr`, `ct state`), and the values that they compare with: both as nft writes them.
//
// **Invariant:** a field that the kernel cannot load from a packet (ports of ICMP by `tcp dport`, IPv6 addresses of an
// IPv4 packet) reads as null and then no rule matches, negated or not: the kernel breaks off the rule (NFT_BREAK).
import { bitString } from './oracle-address.ts'
import { TracerError, type Cursor, type Token } from './tracer-tokens.ts'

export interface Link {
  readonly name: string
  /** IFLA_INFO_KIND; empty for hardware, which has none. */
  readonly kind: string
}

/** One packet with what the kernel knows of it. */
export interface TracePacket {
  readonly path: 'forward' | 'input' | 'output'
  /** Null on the output path. */
  readonly iif: Link | null
  /** Null on the input path, and before routing. */
  readonly oif: Link | null
  readonly source: string
  readonly destination: string
  /** Number of the IP protocol. */
  readonly protocol: number
  /** What stands where TCP has its ports: in other protocols that is something else, and `th dport` reads it all the same. */
  readonly sourcePort: number
  readonly destinationPort: number
  readonly ctState: 'new' | 'established' | 'related' | 'invalid' | 'untracked'
  readonly ctDirection: 'original' | 'reply'
  /** Of an ICMP error that is `related`: the first packet of the connection that it is about. */
  readonly about?: Pick<TracePacket, 'source' | 'destination' | 'protocol' | 'sourcePort' | 'destinationPort'>
  readonly icmpType?: number
  /** A SYN where the connection is new, else an ACK, unless told. */
  readonly tcpFlags?: number
  /** Type of the first chunk: an INIT where the association is new, else DATA, unless told. */
  readonly sctpChunk?: number
  /** As it arrives. */
  readonly hopLimit?: number
  readonly ctMark?: number
  /** Whether conntrack has confirmed its connection: not before the first packet has passed; of one that is new, unless told. */
  readonly confirmed?: boolean
  /** The packet's own, as it arrives. */
  readonly mark?: number
}

export type FieldType = 'ipv4_addr' | 'ipv6_addr' | 'ifname' | 'inet_proto' | 'inet_service' | 'mark' | 'ct_state' | 'ct_dir' | 'ifkind' | 'icmp_type' | 'icmpv6_type' | 'tcp_flags' | 'number' | 'nfproto' | 'ct_status'

/** What has happened to the packet already: the hook decides. */
export interface Moment {
  /** Conntrack has seen it. */
  readonly tracked: boolean
  /** It is known where it goes. */
  readonly routed: boolean
  /** Its hop limit is one less: that comes before the forward hook. */
  readonly forwarded: boolean
  /** The packet's mark, which rules may set. */
  mark: bigint
}

export interface Field {
  readonly text: string
  readonly type: FieldType
  read(packet: TracePacket, moment: Moment): bigint | string | null
}

export const PROTOCOL: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, dccp: 33, gre: 47, esp: 50, ah: 51, icmpv6: 58, 'ipv6-icmp': 58, sctp: 132, udplite: 136 }

const ICMPV6: Readonly<Record<string, number>> = {
  'destination-unreachable': 1, 'packet-too-big': 2, 'time-exceeded': 3, 'parameter-problem': 4, 'echo-request': 128, 'echo-reply': 129,
  'mld-listener-query': 130, 'mld-listener-report': 131, 'mld-listener-done': 132, 'mld-listener-reduction': 132, 'nd-router-solicit': 133,
  'nd-router-advert': 134, 'nd-neighbor-solicit': 135, 'nd-neighbor-advert': 136, 'nd-redirect': 137, 'mld2-listener-report': 143,
}
const ICMP: Readonly<Record<string, number>> = { 'echo-reply': 0, 'destination-unreachable': 3, redirect: 5, 'echo-request': 8, 'time-exceeded': 11, 'parameter-problem': 12 }
const TCP_FLAGS: Readonly<Record<string, number>> = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 }
const FAMILY: Readonly<Record<string, number>> = { ipv4: 2, ipv6: 10 }

const versionOf = (p: TracePacket): 4 | 6 => (p.source.includes(':') ? 6 : 4)

function address(version: 4 | 6, which: 'source' | 'destination'): Field['read'] {
  return (p) => (versionOf(p) === version ? addressValue(p[which]) : null)
}

function port(which: 'sourcePort' | 'destinationPort', protocol?: string): Field['read'] {
  return (p) => (protocol === undefined || p.protocol === PROTOCOL[protocol] ? BigInt(p[which]) : null)
}

/** A packet before conntrack, or one that it could not place, has no entry; `ct state` says INVALID then, everything else breaks off. */
function hasEntry(p: TracePacket, m: Moment): boolean {
  return m.tracked && p.ctState !== 'invalid' && p.ctState !== 'untracked'
}

/** Who sends in that direction of the packet's connection, by its entry, and from which port; nothing is translated. */
function sender(direction: 'original' | 'reply', p: TracePacket): { readonly address: string; readonly port: number } {
  const first = p.about ?? p
  return direction === (p.about === undefined ? p.ctDirection : 'original') ? { address: first.source, port: first.sourcePort } : { address: first.destination, port: first.destinationPort }
}

function entrySender(direction: 'original' | 'reply', version: 4 | 6): Field['read'] {
  return (p, m) => {
    if (!hasEntry(p, m)) return null
    const { address } = sender(direction, p)
    return (address.includes(':') ? 6 : 4) === version ? addressValue(address) : null
  }
}

const READERS: readonly (readonly [string, FieldType, Field['read']])[] = [
  ['ip saddr', 'ipv4_addr', address(4, 'source')],
  ['ip daddr', 'ipv4_addr', address(4, 'destination')],
  ['ip6 saddr', 'ipv6_addr', address(6, 'source')],
  ['ip6 daddr', 'ipv6_addr', address(6, 'destination')],
  ['ip6 hoplimit', 'number', (p, m) => (versionOf(p) === 6 ? BigInt((p.hopLimit ?? 64) - (m.forwarded ? 1 : 0)) : null)],
  ['ip protocol', 'inet_proto', (p) => (versionOf(p) === 4 ? BigInt(p.protocol) : null)],
  ['iifname', 'ifname', (p) => p.iif?.name ?? ''],
  ['oifname', 'ifname', (p, m) => (m.routed ? p.oif?.name : undefined) ?? ''],
  ['meta iifname', 'ifname', (p) => p.iif?.name ?? ''],
  ['meta oifname', 'ifname', (p, m) => (m.routed ? p.oif?.name : undefined) ?? ''],
  ['meta iifkind', 'ifkind', (p) => p.iif?.kind || null],
  ['meta oifkind', 'ifkind', (p, m) => (m.routed && p.oif?.kind) || null],
  ['meta nfproto', 'nfproto', (p) => (versionOf(p) === 4 ? 2n : 10n)],
  ['meta l4proto', 'inet_proto', (p) => BigInt(p.protocol)],
  ['th sport', 'inet_service', port('sourcePort')],
  ['th dport', 'inet_service', port('destinationPort')],
  ...['tcp', 'udp', 'sctp'].flatMap((protocol): readonly (readonly [string, FieldType, Field['read']])[] => [
    [`${protocol} sport`, 'inet_service', port('sourcePort', protocol)],
    [`${protocol} dport`, 'inet_service', port('destinationPort', protocol)],
  ]),
  ['tcp flags', 'tcp_flags', (p) => (p.protocol === 6 ? BigInt(p.tcpFlags ?? (p.ctState === 'new' ? 2 : 16)) : null)],
  // Of SCTP, whose header is as long as that.
  ['@th , 96 , 8', 'number', (p) => (p.protocol === 132 ? BigInt(p.sctpChunk ?? (p.ctState === 'new' ? 1 : 0)) : null)],
  ['icmp type', 'icmp_type', (p) => (p.protocol === 1 && p.icmpType !== undefined ? BigInt(p.icmpType) : null)],
  ['icmpv6 type', 'icmpv6_type', (p) => (p.protocol === 58 && p.icmpType !== undefined ? BigInt(p.icmpType) : null)],
  ['ct state', 'ct_state', (p, m) => (m.tracked ? p.ctState : 'invalid')],
  ['ct direction', 'ct_dir', (p, m) => (hasEntry(p, m) ? p.ctDirection : null)],
  ...(['original', 'reply'] as const).flatMap((direction): readonly (readonly [string, FieldType, Field['read']])[] => [
    [`ct ${direction} ip saddr`, 'ipv4_addr', entrySender(direction, 4)],
    [`ct ${direction} ip6 saddr`, 'ipv6_addr', entrySender(direction, 6)],
    // Of what has no ports, conntrack has something else there.
    [`ct ${direction} proto-src`, 'inet_service', (p, m) => (hasEntry(p, m) ? BigInt(sender(direction, p).port) : null)],
  ]),
  ['ct protocol', 'inet_proto', (p, m) => (hasEntry(p, m) ? BigInt((p.about ?? p).protocol) : null)],
  ['meta mark', 'mark', (_, m) => m.mark],
  ['ct status', 'ct_status', (p, m) => (hasEntry(p, m) ? ((p.confirmed ?? p.ctState !== 'new') ? 8n : 0n) : null)],
  ['ct mark', 'mark', (p, m) => (hasEntry(p, m) ? BigInt(p.ctMark ?? 0) : null)],
]

const FIELDS: ReadonlyMap<string, Field> = new Map(READERS.map(([text, type, read]) => [text, { text, type, read }]))

export function fieldNamed(text: string): Field | null {
  if (text.startsWith('numgen ')) return { text, type: 'number', read: () => 0n }
  return FIELDS.get(text) ?? null
}

/** Takes one field, with `and MASK` where it has one; null where the next words are none. */
export function takeField(cursor: Cursor): Field | null {
  if (cursor.take('numgen', 'inc', 'mod') || cursor.take('numgen', 'random', 'mod')) return counted(cursor)
  if (cursor.take('jhash')) return hashed(cursor)
  for (const [text, field] of FIELDS) {
    if (!cursor.take(...text.split(' '))) continue
    if (!cursor.take('and') && !cursor.take('&')) return field
    return masked(field, (parseValue(field.type, cursor.next('a mask')) as { readonly first: bigint }).first)
  }
  return null
}

/** One of so many: the first, whatever was counted before, as limits are taken as open. */
function counted(cursor: Cursor): Field {
  cursor.next('a modulus')
  const offset = cursor.take('offset') ? BigInt(cursor.next('an offset').text) : 0n
  return { text: 'numgen', type: 'number', read: () => offset }
}

/** Some number, where what is hashed can be read. */
function hashed(cursor: Cursor): Field {
  const field = takeField(cursor)
  if (field === null) throw new TracerError('jhash of what the tracer does not know', cursor.peek() ?? undefined)
  cursor.expect('mod')
  cursor.next('a modulus')
  if (cursor.take('seed')) cursor.next('a seed')
  if (cursor.take('offset')) cursor.next('an offset')
  return { text: 'jhash', type: 'number', read: (p, m) => (field.read(p, m) === null ? null : 0n) }
}

/** As nft lists it: `tcp flags syn / fin,syn,rst,ack`. */
export function takeFlags(cursor: Cursor, field: Field): Field {
  let mask = 0n
  do mask |= (parseValue('tcp_flags', cursor.next('a flag')) as { readonly first: bigint }).first
  while (cursor.take(','))
  return masked(field, mask)
}

function masked(field: Field, mask: bigint): Field {
  return {
    ...field,
    read: (p, m) => {
      const value = field.read(p, m)
      return typeof value === 'bigint' ? value & mask : null
    },
  }
}

/** What a field is compared with: `first` to `last`, a text, or the beginning of one. */
export type Value = { readonly first: bigint; readonly last: bigint } | { readonly text: string; readonly begins: boolean }

export function holds(value: Value, found: bigint | string): boolean {
  if (typeof found === 'bigint') return 'first' in value && value.first <= found && found <= value.last
  if (!('text' in value)) return false
  return value.begins ? found.startsWith(value.text) : found === value.text
}

/** An address as a number; with a bit in front, so that no IPv4 address equals an IPv6 one. */
const ADDRESSES = new Map<string, bigint>()

export function addressValue(text: string): bigint {
  const known = ADDRESSES.get(text)
  if (known !== undefined) return known
  const bits = bitString(text)
  if (bits === null) throw new TracerError(`'${text}' is not an address`)
  const value = BigInt(`0b1${bits}`)
  if (ADDRESSES.size > 50_000) ADDRESSES.clear()
  ADDRESSES.set(text, value)
  return value
}

export function parseValue(type: FieldType, token: Token): Value {
  const { text } = token
  switch (type) {
    case 'ipv4_addr':
    case 'ipv6_addr':
      return parseAddresses(type, token)
    case 'ifname':
    case 'ifkind':
      return text.endsWith('*') && type === 'ifname' ? { text: text.slice(0, -1), begins: true } : { text, begins: false }
    case 'ct_state':
    case 'ct_dir':
      if (!['new', 'established', 'related', 'invalid', 'untracked', 'original', 'reply'].includes(text)) throw new TracerError(`unknown ${type} '${text}'`, token)
      return { text, begins: false }
    case 'inet_proto':
      return numbers(token, PROTOCOL)
    case 'icmp_type':
      return numbers(token, ICMP)
    case 'icmpv6_type':
      return numbers(token, ICMPV6)
    case 'tcp_flags':
      return numbers(token, TCP_FLAGS)
    case 'nfproto':
      return numbers(token, FAMILY)
    case 'ct_status':
      return numbers(token, { confirmed: 8 })
    case 'inet_service':
    case 'mark':
    case 'number':
      return numbers(token, {})
  }
}

function parseAddresses(type: 'ipv4_addr' | 'ipv6_addr', token: Token): Value {
  const version = token.text.includes(':') ? 'ipv6_addr' : 'ipv4_addr'
  if (version !== type) throw new TracerError(`'${token.text}' is no ${type}`, token)
  const slash = token.text.indexOf('/')
  if (slash >= 0) {
    const free = BigInt((type === 'ipv4_addr' ? 32 : 128) - Number(token.text.slice(slash + 1)))
    const base = addressValue(token.text.slice(0, slash))
    const first = (base >> free) << free
    return { first, last: first + (1n << free) - 1n }
  }
  const [first, last] = token.text.split('-') as [string, string?]
  return { first: addressValue(first), last: addressValue(last ?? first) }
}

function numbers(token: Token, names: Readonly<Record<string, number>>): Value {
  const named = names[token.text]
  if (named !== undefined) return { first: BigInt(named), last: BigInt(named) }
  const match = /^(\d+|0x[0-9a-f]+)(?:-(\d+|0x[0-9a-f]+))?$/.exec(token.text)
  if (match === null) throw new TracerError(`expected a number or a name that the tracer knows, found '${token.text}'`, token)
  const first = BigInt(match[1] as string)
  return { first, last: BigInt(match[2] ?? first) }
}
