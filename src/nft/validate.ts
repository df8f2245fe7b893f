// What may stand in nft text: names, keys, verdicts, bodies of rules. render asks here before it writes anything.
//
// Text that a user chose (names, comments, interfaces) must never become syntax: a quote, brace, semicolon or newline
// in the wrong place would be a rule of somebody else's making.
// **Invariant:** what passes here stays inside its place in the text; what does not throws InvalidObject, naming the object.
import { PicketError } from '../lib/errors.ts'
import type { Chain, Counter, Element, NftMap, NftSet, Table } from './objects.ts'
import { leadsToCounters } from './types.ts'

export class InvalidObject extends PicketError {
  /** `set pods/X`, as nft would say it. */
  readonly object: string

  constructor(object: string, problem: string) {
    super('InvalidObject', `${object}: ${problem}; nothing of this transaction is sent`)
    this.name = 'InvalidObject'
    this.object = object
  }
}

/** nf_tables: 256 bytes with the closing zero. */
export const MAX_NAME_BYTES = 255
/** NFTNL_UDATA_COMMENT_MAXLEN: one byte more and nft refuses the whole transaction. */
export const MAX_COMMENT_BYTES = 128
/** IFNAMSIZ without the closing zero. */
const MAX_INTERFACE_BYTES = 15

/** Words that nft 1.0.6 to 1.1 reads as syntax where a name stands; all tried on 1.0.6, as chain, counter, set and map. */
const KEYWORDS: ReadonlySet<string> = new Set(
  `accept add ah all and arp auto-merge bridge bytes cgroup chain comment comp constant continue counter cpu create ct day dccp define
  delete describe destroy device devices dnat drop dst dup dynamic ecn element elements eq esp ether exists expires export exthdr fib flags
  flow flowtable flush frag fwd gc-interval ge geneve get goto gre gretap gt handle hbh hook hour ibriport ibrname icmp icmpv6 igmp iif
  iifgroup iifname iiftype import in include index inet insert interval ip ip6 ipsec jhash jump last le limit list log lshift lt map mark
  masquerade meta meter mh missing monitor name ne netdev nftrace not notrack numgen obriport obrname offload oif oifgroup oifname oiftype
  or osf packets pkttype policy position priority queue quota random redefine redirect reject rename replace reset return rshift rt rt0
  rt2 rtclassid rule ruleset sctp secmark set size skgid skuid snat socket srh symhash synproxy table tcp th time timeout tp tproxy type
  typeof udp udplite undefine update vlan vmap vxlan xor xt`.split(/\s+/),
)

export function checkName(kind: string, name: string): void {
  const object = `${kind} ${JSON.stringify(name.slice(0, 80))}`
  if (!/^[A-Za-z_.][A-Za-z0-9/_.-]*$/.test(name)) {
    throw new InvalidObject(object, 'a name begins with a letter, `_` or `.` and holds letters, digits, `/`, `_`, `.` and `-` only')
  }
  if (name.length > MAX_NAME_BYTES) throw new InvalidObject(object, `a name has at most ${MAX_NAME_BYTES} bytes, this one has ${name.length}`)
  if (KEYWORDS.has(name)) throw new InvalidObject(object, 'nft reads this word as syntax, not as a name')
}

export function checkTable(table: Table): void {
  checkName('table', table.name)
}

export function checkSet(set: NftSet | NftMap): void {
  checkName(set.kind, set.name)
  const object = `${set.kind} ${set.name}`
  const expressions = set.kind === 'map' ? [...set.key, ...set.data] : set.key
  if (set.key.length === 0 || (set.kind === 'map' && set.data.length === 0)) throw new InvalidObject(object, 'it needs a key, a map data too')
  for (const text of expressions) if (!/^[a-z][A-Za-z0-9 ()&_-]*$/.test(text)) throw new InvalidObject(object, `${JSON.stringify(text)} is no expression`)
  for (const [field, value] of [['timeout', set.timeout], ['size', set.size]] as const) {
    if (value === undefined || (Number.isSafeInteger(value) && value > 0)) continue
    throw new InvalidObject(object, `${field} is ${value}, expected a whole number above 0`)
  }
}

export function checkCounter(counter: Counter): void {
  checkName('counter', counter.name)
}

export function checkChain(chain: Chain): void {
  checkName('chain', chain.name)
  const object = `chain ${chain.name}`
  if (chain.base !== undefined) {
    const { hook, priority } = chain.base
    if (!/^[a-z]+$/.test(hook)) throw new InvalidObject(object, `${JSON.stringify(hook)} is no hook`)
    if (!/^([a-z]+( ?[+-] ?[0-9]+)?|-?[0-9]+)$/.test(priority)) throw new InvalidObject(object, `${JSON.stringify(priority)} is no priority`)
  }
  for (const rule of chain.rules) checkRule(object, rule)
}

/** A rule's body stays one rule: one line, quotes closed, braces balanced, no `;`, `#` or `\` outside of quotes. */
function checkRule(object: string, rule: string): void {
  const fail = (problem: string): never => {
    throw new InvalidObject(object, `rule ${JSON.stringify(rule.slice(0, 120))}: ${problem}`)
  }
  if (rule.trim() === '' || rule === '<listed>') fail('expected the body of a rule')
  if (/[\0-\x1f\x7f]/.test(rule)) fail('it holds a control character')
  const parts = rule.split('"')
  if (parts.length % 2 === 0) fail('a quote is not closed')
  let depth = 0
  for (let i = 0; i < parts.length; i += 2) {
    const bare = parts[i] as string
    if (/[;#\\]/.test(bare)) fail('`;`, `#` and `\\` may stand inside quotes only')
    if (!/[{}]/.test(bare)) continue
    for (const c of bare) {
      depth += c === '{' ? 1 : c === '}' ? -1 : 0
      if (depth < 0) fail('a brace is closed that was not opened')
    }
  }
  if (depth !== 0) fail('a brace is not closed')
}

const PLAIN = /^[0-9A-Za-z.:_-]+$/
const VERDICT = /^(?:accept|drop|continue|return|(?:goto|jump) ([^ ]+))$/

/** How many parts the key has. Throws where a part could be read as anything but a value. */
export function checkKey(object: string, key: string): number {
  if (PLAIN.test(key)) return 1
  const parts = key.split(' . ')
  for (const part of parts) if (!PLAIN.test(part)) checkInterface(object, part)
  return parts.length
}

/** Names of interfaces are chosen by CNIs: nft reads a trailing `*` as a wildcard, and ends the string at a quote. */
function checkInterface(object: string, part: string): void {
  const name = part.slice(1, -1)
  const fine = part.length > 2 && part.startsWith('"') && part.endsWith('"') && !/["\\\s\0-\x1f\x7f]/.test(name)
  if (!fine) {
    throw new InvalidObject(object, `${JSON.stringify(part.slice(0, 80))} is no part of a key: expected a value, a range, or an interface in quotes`)
  }
  if (name.endsWith('*')) throw new InvalidObject(object, `nft would read the interface ${part} as a wildcard`)
  if (Buffer.byteLength(name) > MAX_INTERFACE_BYTES) throw new InvalidObject(object, `the interface ${part} has more than ${MAX_INTERFACE_BYTES} bytes`)
}

export function checkValue(object: string, value: string): void {
  const verdict = VERDICT.exec(value)
  if (verdict === null) checkData(object, value)
  else if (verdict[1] !== undefined) checkName('chain', verdict[1])
}

function checkData(object: string, value: string): void {
  if (value === 'goto' || value === 'jump') throw new InvalidObject(object, `the verdict ${value} names no chain`)
  checkKey(object, value)
}

/** `withValues`: of a map's elements; to delete one its key is enough. */
export function checkElements(set: NftSet | NftMap, elements: readonly Element[], withValues: boolean): void {
  const [object, parts, isMap] = [`${set.kind} ${set.name}`, set.key.length, set.kind === 'map']
  const check = leadsToCounters(set) ? (_: string, name: string): void => checkName('counter', name) : checkValue
  for (const { key, value } of elements) {
    const count = checkKey(object, key)
    if (count !== parts) throw new InvalidObject(object, `element ${JSON.stringify(key)} has ${count} parts, expected ${parts}`)
    if (value !== undefined) check(object, value)
    if (withValues && isMap !== (value !== undefined)) {
      throw new InvalidObject(object, `element ${JSON.stringify(key)}: elements of maps have a value, those of sets have none`)
    }
  }
}

/** A comment as a quoted nft string. nft has no escapes, so what could end the string is replaced; cut at 128 bytes. */
export function quotedComment(text: string): string {
  const clean = text.toWellFormed().replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ').replaceAll('"', "'").replaceAll('\\', '/')
  return `"${truncated(clean)}"`
}

function truncated(text: string): string {
  if (text.length * 3 <= MAX_COMMENT_BYTES || Buffer.byteLength(text) <= MAX_COMMENT_BYTES) return text
  const room = MAX_COMMENT_BYTES - '...'.length
  let bytes = 0
  let out = ''
  for (const character of text) {
    bytes += Buffer.byteLength(character)
    if (bytes > room) break
    out += character
  }
  return `${out}...`
}
