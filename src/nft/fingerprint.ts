// A table -> how much is in it, and a hash of its text: equal wherever the same rules, sets and elements are.
//
// The order in which elements and objects came does not count, so that no list of them is made or sorted; elements are summed up.
// **Invariant:** visits each rule and element once and keeps nothing. The hash tells tables apart by chance alone (64 bits, not
// cryptographic): nothing may be enforced by it.
import { isKernels, type TableState } from './state.ts'

export interface Fingerprint {
  readonly rules: number
  readonly elements: number
  /** 16 hexadecimal digits. */
  readonly hash: string
}

interface Sum {
  high: number
  low: number
}

export function fingerprintOf({ chains, sets, counters }: TableState): Fingerprint {
  const sum: Sum = { high: 0, low: 0 }
  let rules = 0
  let elements = 0
  for (const chain of chains.values()) {
    rules += chain.rules.length
    add(sum, JSON.stringify(chain))
  }
  for (const counter of counters.keys()) add(sum, `counter ${counter}`)
  for (const [name, set] of sets) {
    elements += set.elements.size
    add(sum, JSON.stringify(set.object))
    // Those of the kernel's own come and go with packets.
    if (isKernels(set)) continue
    const seed = hash(name, START)
    for (const { key, value = '' } of set.elements.values()) count(sum, hash(value, hash(key, seed)))
  }
  return { rules, elements, hash: [sum.high, sum.low].map((half) => half.toString(16).padStart(8, '0')).join('') }
}

function add(sum: Sum, text: string): void {
  count(sum, hash(text, START))
}

/** Two sums of the same, mixed in two ways, since plain sums would be too even. */
function count(sum: Sum, value: number): void {
  sum.high = (sum.high + mixed(value, 0x85ebca6b)) >>> 0
  sum.low = (sum.low + mixed(value, 0xc2b2ae35)) >>> 0
}

function mixed(value: number, by: number): number {
  const once = Math.imul(value ^ (value >>> 16), by)
  return (once ^ (once >>> 13)) >>> 0
}

const START = 0x811c9dc5

/** FNV-1a over UTF-16 units, from where another text left it. */
function hash(text: string, from: number): number {
  let value = from
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return Math.imul(value ^ text.length, 0x01000193)
}
