// Sets and maps of every type that rulesets use, and random changes of their elements: from few values, so that they meet.
//
// **Invariant:** every key and value is in the form of objects.ts; whether the kernel takes a change is left to chance.
import type { Element, NftMap, NftSet, Operation } from '../../src/nft/objects.ts'
import type { TableState } from '../../src/nft/state.ts'
import type { Random } from '../support/random.ts'
import { chain, map, set } from './conformance-table.ts'

type ElementsOperation = Extract<Operation, { set: unknown }>

export const CHAINS = [chain('to/a', ['accept']), chain('to/b', ['drop'])]

const V4 = ['0.0.0.0', '10.0.0.0', '10.0.0.1', '10.0.0.2', '10.0.0.255', '127.0.0.1', '192.168.1.1', '255.255.255.254', '255.255.255.255']
const V6 = ['::', '::1', '::ffff:102:304', 'fd00::', 'fd00::1', 'fd00:1:2:3:4:5:6:7', 'fe80::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']
const PORTS = ['0', '1', '80', '256', '8080', '65535']
/** Neighbours, and the ends of all: what grows, shrinks and meets. */
const DENSE = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '65533', '65534', '65535']
const MARKS = ['0', '1', '256', '65536', '16909060', '2147483648', '4294967295']
const INTERFACES = ['"veth-a"', '"veth-b"', '"eth0.1"', '"a;b{}"', '"fifteen-letters"', '"ä"']

/** Expression -> values. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  'ip saddr': V4, 'ip daddr': V4, 'ip6 saddr': V6, 'ip6 daddr': V6, 'th sport': PORTS, 'th dport': PORTS, 'tcp dport': PORTS, iifname: INTERFACES, oifname: INTERFACES,
  'tcp sport': DENSE,
  'meta l4proto': ['tcp', 'udp', 'sctp', 'icmp', 'icmpv6', '0', '99', '255'],
  'ct mark': MARKS, 'numgen random mod 65536': MARKS,
  'ether saddr': ['00:00:00:00:00:00', '02:00:00:00:00:01', '02:00:0a:ff:00:01', 'ff:ff:ff:ff:ff:ff'],
  'icmp type': ['0', '3', '8', '255'], 'icmpv6 type': ['1', '128', '255'],
  verdict: ['accept', 'drop', 'return', 'continue', 'goto to/a', 'goto to/b', 'jump to/a', 'goto nowhere'],
}

const KEYS = [['ip saddr'], ['ip6 saddr'], ['iifname'], ['ether saddr'], ['meta l4proto'], ['th dport'], ['ct mark'], ['icmp type'], ['icmpv6 type']]
  .concat([['ip saddr', 'ip daddr'], ['ip6 saddr', 'ip6 daddr'], ['iifname', 'ip saddr'], ['iifname', 'ether saddr', 'ip6 saddr'], ['meta l4proto', 'th dport']])
  .concat([['ip saddr', 'ip daddr', 'meta l4proto', 'th sport', 'th dport'], ['ct mark', 'icmp type', 'ip6 saddr']])
const INTERVALS = [['ip saddr'], ['ip6 saddr'], ['th dport'], ['iifname', 'ip saddr'], ['iifname', 'ip6 saddr'], ['ip daddr', 'meta l4proto', 'th dport', 'ip saddr']]
const MAPS: readonly (readonly [readonly string[], readonly string[]])[] = [
  [['ct mark', 'ip daddr', 'meta l4proto', 'th dport'], ['ct mark']],
  [['ct mark', 'ip6 daddr', 'meta l4proto', 'th dport'], ['ct mark']],
  [['ct mark', 'numgen random mod 65536'], ['ip daddr', 'th dport']],
  [['ct mark', 'numgen random mod 65536'], ['ip6 daddr', 'th dport']],
  [['ct mark', 'numgen random mod 65536'], ['th dport']],
  [['ip daddr'], ['ether saddr']],
  [['ether saddr'], ['ip6 daddr']],
  [['iifname'], ['verdict']],
  [['ct mark'], ['verdict']],
  [['oifname', 'ip6 daddr'], ['verdict']],
  [['meta l4proto', 'th dport'], ['verdict']],
]
/** Those of one part nft 1.0.6 itself does not list as they were written (the last address). */
const INTERVAL_MAPS: readonly (readonly [readonly string[], readonly string[]])[] = [[['ip saddr', 'th dport'], ['ct mark']]]

export const SETS: readonly (NftSet | NftMap)[] = [
  ...KEYS.map((key, i) => set(`set/${i}`, key)),
  ...INTERVALS.flatMap((key, i) => [set(`intervals/${i}`, key, ['interval']), set(`more-intervals/${i}`, key, ['interval'])]),
  ...MAPS.map(([key, data], i) => map(`map/${i}`, key, data)),
  ...INTERVAL_MAPS.map(([key, data], i): NftMap => ({ ...map(`interval-map/${i}`, key, data), flags: ['interval'] })),
  { ...map('affinity', ['ct mark', 'ip saddr'], ['ip daddr', 'tcp dport']), flags: ['dynamic', 'timeout'], timeout: 3_600, size: 64 },
  { ...set('timed', ['ip saddr', 'th dport'], ['dynamic', 'timeout']), timeout: 3_600, size: 8 },
]

/** Of plain intervals only. */
export const PLAIN_INTERVALS = [set('dense', ['tcp sport'], ['interval']), set('denser', ['tcp sport'], ['interval'])]

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)] as T

/** One to three changes, in the order in which they are done; what is emptied or removed has no other change. */
export function randomChanges(random: Random, held: TableState, sets: readonly (NftSet | NftMap)[]): readonly ElementsOperation[] {
  const changes: ElementsOperation[] = []
  for (let i = 1 + Math.floor(random() * 3); i > 0; i--) {
    const change = randomChange(random, held, sets)
    const others = changes.filter(({ set: { name } }) => name === change.set.name)
    if (others.every(({ verb }) => [verb, change.verb].every((one) => one === 'add-elements' || one === 'delete-elements'))) changes.push(change)
    // Intervals grow and shrink: what goes makes room.
    if (change.verb === 'delete-elements' && random() < 0.4) changes.push({ ...change, verb: 'add-elements', elements: [randomElement(random, change.set)] })
  }
  return changes.sort((a, b) => Number(a.verb === 'add-elements') - Number(b.verb === 'add-elements'))
}

function randomChange(random: Random, held: TableState, sets: readonly (NftSet | NftMap)[]): ElementsOperation {
  const of = pick(random, sets)
  const there = [...(held.sets.get(of.name)?.elements.values() ?? [])]
  const isDelete = random() < 0.4
  const verb = random() < 0.08 ? ('refill-elements' as const) : random() < 0.1 ? ('remove-elements' as const) : isDelete ? ('delete-elements' as const) : ('add-elements' as const)
  const count = 1 + Math.floor(random() * 3)
  const list = new Map<string, Element>()
  for (let i = 0; i < count; i++) {
    const known = there.length > 0 && random() < (verb === 'delete-elements' ? 0.9 : 0.1)
    const element = known ? pick(random, there) : randomElement(random, of)
    list.set(element.key, element)
  }
  return { verb, set: of, elements: [...list.values()], owners: [] }
}

function randomElement(random: Random, of: NftSet | NftMap): Element {
  const isInterval = of.flags.includes('interval')
  const key = of.key.map((expression) => {
    const values = VALUES[expression] as readonly string[]
    const first = Math.floor(random() * values.length)
    const last = first + Math.floor(random() * (values.length - first) * 0.6)
    const canRange = isInterval && /addr|port/.test(expression) && !expression.startsWith('ether')
    return canRange && last > first ? `${values[first]}-${values[last]}` : (values[first] as string)
  }).join(' . ')
  if (of.kind === 'set') return { key }
  return { key, value: of.data.map((expression) => pick(random, VALUES[expression] as readonly string[])).join(' . ') }
}
